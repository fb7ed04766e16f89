"""The table `audit`: what people did by hand, who, when, why, before and after. It is only ever added to."""

from datetime import datetime
from typing import Any

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.errors import NotAllowed
from paidup.people.user import Right, must_have

MAX_WHY_CHARS = 1000


class Actor(msgspec.Struct, frozen=True):
    """Who does something by hand: a user of the console, an API key, or the account that runs the command line.

    rights: of a user, those of their role. Which keys may do something by hand is said by their scopes; whoever has a
    shell has the database. by: who typed a user's name in their place; empty: they did it themselves.
    let_in_by: the other user by whose link they came in.
    """

    who: str
    via: str  # "console", "api" or "cli"
    rights: frozenset[Right] = frozenset(Right)
    by: str = ""
    let_in_by: str = ""

    def must_be_themselves(self) -> None:
        """What takes two people is nothing for whoever came in by another user's link: that one may have opened it.
        Raises NotAllowed."""
        if self.let_in_by:
            raise NotAllowed(
                f"you came in by a link of {self.let_in_by}: sign out, and in again with your own password, "
                "so that two people are two"
            )

    def must_have(self, right: Right) -> None:
        """Raises NotAllowed, saying which roles may."""
        must_have(self.rights, right)


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `audit`. before and after say where the subject stood, in words."""

    id: str
    at: datetime
    who: str
    via: str
    action: str
    shop: str = ""
    subject_id: str = ""
    order_id: str | None = None
    why: str = ""
    before: str = ""
    after: str = ""


COLUMNS = "id, at, who, via, action, shop, subject_id, order_id, why, before, after"

WRITE = f"INSERT INTO audit ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"

LIST = f"""
SELECT {COLUMNS} FROM audit
WHERE ($1::text IS NULL OR who = $1) AND ($2::text IS NULL OR action = $2)
  AND ($3::text IS NULL OR n < (SELECT n FROM audit WHERE id = $3)) AND ($5::text IS NULL OR shop = $5)
ORDER BY n DESC LIMIT $4"""

OF_ORDER = f"SELECT {COLUMNS} FROM audit WHERE order_id = $1 ORDER BY n"


async def write(
    tx: Tx,
    actor: Actor,
    action: str,
    now: datetime,
    *,
    shop: str = "",
    subject_id: str = "",
    order_id: str | None = None,
    why: str = "",
    before: str = "",
    after: str = "",
) -> str:
    """Add a line, in the transaction of what was done; returns its id. action: noun.past, like events."""
    deed_id = ids.new_id("aud", now)
    told = f"{why[: MAX_WHY_CHARS - 100]} (entered by {actor.by})" if actor.by else why
    texts = (text[:MAX_WHY_CHARS] for text in (told, before, after))
    await tx.execute(WRITE, deed_id, now, actor.who, actor.via, action, shop, subject_id, order_id, *texts)
    return deed_id


async def page(
    tx: Tx, *, who: str | None, action: str | None, before: str | None, limit: int, shop: str | None = None
) -> list[Deed]:
    """Newest first, as they were written, those before the line `before`; shop None: all shops."""
    return [_deed(row) for row in await tx.fetch(LIST, who, action, before, limit, shop)]


async def of_order(tx: Tx, order_id: str) -> list[Deed]:
    """What was done about one order, oldest first."""
    return [_deed(row) for row in await tx.fetch(OF_ORDER, order_id)]


def _deed(row: Any) -> Deed:
    return msgspec.convert(dict(row), Deed)
