"""A kept bill handed out as it came, byte by byte; to whom, stands in the audit."""

from collections.abc import AsyncIterator
from datetime import datetime

from paidup.db.transaction import Database
from paidup.errors import NotFound
from paidup.people import audit
from paidup.people.audit import Actor
from paidup.reconcile import bills

_ENDINGS = (".csv.gz", ".gz", ".zip", ".xlsx", ".csv", ".txt")
_BEGINNINGS = {b"\x1f\x8b": ".csv.gz", b"PK": ".zip"}


async def hand_out(
    db: Database, bill_id: str, *, shop: str | None, actor: Actor, now: datetime
) -> tuple[bills.Kept, str]:
    """The bill, and a file name of our own for it, after it was written down who takes it. shop None: of any shop.

    Raises NotFound when there is none, or its file is kept no longer.
    """
    async with db.transaction() as tx:
        kept = await bills.get(tx, bill_id)
        if kept is None or (shop is not None and kept.shop != shop):
            raise NotFound(f"there is no bill {bill_id[:80]}; `paidup reconcile bills` lists those that are kept")
        if not kept.size_bytes:
            raise NotFound("the channel said that there is no bill of this day, so no file is kept")
        name = _name(kept, await bills.part(tx, kept, 0))
        why = f"{kept.channel}/{kept.account} {kept.kind} {kept.day}, version {kept.version}"
        await audit.write(tx, actor, "bill.downloaded", now, shop=kept.shop, subject_id=kept.id, why=why)
    return kept, name


async def content(db: Database, kept: bills.Kept) -> AsyncIterator[bytes]:
    """The file, part by part. Raises NotFound should it have been removed meanwhile."""
    for n in range(bills.parts_of(kept)):
        async with db.session() as tx:
            part = await bills.part(tx, kept, n)
        yield part


def _name(kept: bills.Kept, begins: bytes) -> str:
    """Made of our own words: what somebody called the file is only asked for its ending."""
    theirs = next((ending for ending in _ENDINGS if kept.file_name.lower().endswith(ending)), "")
    ending = theirs or _BEGINNINGS.get(begins[:2], ".csv")
    return f"{kept.channel}-{kept.account}-{kept.kind}-{kept.day}-v{kept.version}{ending}"
