"""How the last minutes went: counted once when a minute is over, so that nobody counts whole tables to look at it."""
