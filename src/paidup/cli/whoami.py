"""Who runs the command line, for the audit. Whoever has a shell here has the database: the name is kept, not proven."""

import getpass

from paidup.people.audit import Actor


def operator() -> Actor:
    """The account of the operating system that runs this command."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name, as in some containers
        name = "unknown"
    return Actor(f"cli:{name}"[:80], "cli")
