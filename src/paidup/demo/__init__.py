"""The demo: a shop's worst day, in a minute, with a verdict at its end."""
