"""Days of which nothing is recorded, and who hears of it: the bill is wrong, or there is no room here to read it."""

from datetime import datetime

from paidup import ids, log
from paidup.cases import store as cases
from paidup.db.transaction import Database
from paidup.reconcile import bills, tell

REFUSED, TOO_DIFFERENT, NO_ROOM = "bill_refused", "bill_too_different", "bill_no_room"
"""Kinds of cases."""


class Refused(Exception):
    """A bill of which nothing is used, and why; `kind` is that of the case."""

    def __init__(self, kept: bills.Kept, kind: str, fault: str, why: str) -> None:
        super().__init__(why)
        self.kept, self.kind, self.fault, self.why = kept, kind, fault, why


async def refuse(db: Database, refusal: Refused, now: datetime) -> None:
    """Open the day's case, and tell the shop when it is new. A bill for which there is no room is sound: its day is put
    off, and other systems hear that instead of a refusal."""
    kept = refusal.kept
    subject = f"{kept.channel}/{kept.account} {kept.kind} {kept.day}"
    async with db.transaction() as tx:
        if refusal.kind == REFUSED:
            await bills.was_read(tx, kept.id, "refused", now, fault=refusal.fault, why=refusal.why)
        case = cases.Case(
            id=ids.new_id(ids.CASE, now), shop=kept.shop, kind=refusal.kind, subject_id=subject, order_id=None,
            why=f"{subject}: {refusal.why}", opened_at=now,
        )  # fmt: skip
        if await cases.open_many(tx, [case]):
            await tell.write(tx, [_news(refusal)], now)
    account, day = f"{kept.channel}/{kept.account}", kept.day.isoformat()
    if refusal.kind == NO_ROOM:
        log.error("reconcile.put_off", account=account, day=day, why=refusal.why)
    else:
        log.error("bill.refused", account=account, day=day, why=refusal.why)


def _news(refusal: Refused) -> tell.News:
    kept = refusal.kept
    lane = tell.Lane(kept.channel, kept.account, kept.day)
    if refusal.kind == NO_ROOM:
        return tell.of_put_off(lane, kept.shop, kept.id, refusal.why)
    return tell.of_refusal(lane, kept.shop, kept.id, refusal.fault, refusal.why)
