"""Who runs the command line, for the audit. Whoever has a shell here has the database: a name is kept, not proven."""

import getpass

import click

from paidup.db.transaction import Database
from paidup.people.audit import Actor
from paidup.people.named import in_the_name_of
from paidup.people.user import Right

by_option = click.option("--by", required=True, help="who it is: a user of `paidup users list`, with the role for it")


def operator() -> Actor:
    """The account of the operating system that runs this command."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name, as in some containers
        name = "unknown"
    return Actor(f"cli:{name}"[:80], "cli")


async def speaker(db: Database, name: str | None) -> Actor:
    """The user of this name, with what their role allows; the account that runs this command when there is no name.

    Raises NotFound and NotAllowed.
    """
    if name is None:
        return operator()
    async with db.session() as tx:
        return await in_the_name_of(tx, operator(), name)


async def said_by(db: Database, name: str | None, right: Right) -> str:
    """The same in one word for a record of who said what. Raises NotAllowed, too, when their role lacks the right."""
    actor = await speaker(db, name)
    actor.must_have(right)
    return f"{actor.who} ({actor.by})" if actor.by else actor.who
