"""Whoever types another person's name acts as that person may, and under both names."""

from paidup.db.transaction import Tx
from paidup.errors import NotAllowed, NotFound
from paidup.people import store
from paidup.people.audit import Actor
from paidup.people.user import RIGHTS


async def in_the_name_of(tx: Tx, actor: Actor, name: str) -> Actor:
    """A user, with the rights of their role and no others; the audit says, too, who typed the name.

    The name is not proven: whoever has a shell has the database. But it is somebody's, and no role is made up. Raises
    NotFound for a name that is nobody's, and NotAllowed for somebody who is disabled.
    """
    user = await store.find(tx, name)
    if user is None:
        raise NotFound(
            f"there is no user {name[:64]!r}: name one of `paidup users list`, or add them: "
            f"paidup users add {name[:64]} --role finance"
        )
    if user.disabled_at is not None:
        raise NotAllowed(f"{name} is disabled: name somebody else, or bring them back: paidup users reset {name}")
    return Actor(user.name, actor.via, RIGHTS[user.role], by=actor.who)
