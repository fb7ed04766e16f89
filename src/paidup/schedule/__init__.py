"""The schedule: what must be asked or sent next."""
