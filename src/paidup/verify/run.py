"""Run all claims: order by order for what concerns one order, and over whole tables for the rest."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import blake2b

from paidup.db.transaction import Database
from paidup.seal import SIZE_BYTES
from paidup.verify import reconciled, stock, whole
from paidup.verify.check import MAX_NAMED, Check, Report
from paidup.verify.judge import CLAIMS
from paidup.verify.read import records
from paidup.verify.record import Record

_WHOLE = (whole.CALLBACKS, stock.COUNTERS, stock.ORDERS, reconciled.DAYS, whole.TOLD)

MARGIN = timedelta(minutes=2)
"""A batch is dated when it begins and visible when it is committed: what is younger is looked at again next time."""


async def verify(
    db: Database,
    *,
    now: datetime | None = None,
    since: datetime | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Prove that nothing is lost, doubled or edited. It may run while callbacks arrive.

    now: what may have left by age is not missed (None: nothing has yet). since: look only at what changed from then on.
    progress is called with the number of orders looked at so far.
    """
    figures: Counter[str] = Counter()
    breaches: dict[str, list[str]] = {claim.name: [] for claim in CLAIMS}
    anchor, seen = blake2b(digest_size=SIZE_BYTES), 0
    async for chunk in records(db, since=since, now=now):
        for record in chunk:
            anchor.update(_fingerprint(record))
            for claim in CLAIMS:
                named = breaches[claim.name]
                named += claim.judge(record, figures)
                del named[MAX_NAMED:]
        seen += len(chunk)
        progress(seen)
    checks = [Check(c.name, c.claim, {name: figures[name] for name in c.figures}, breaches[c.name]) for c in CLAIMS]
    callbacks, *others = [await whole.check(db, claim, since, now) for claim in _WHOLE]
    return Report(
        checks=[callbacks, *checks, *others],
        since=since,
        up_to=now - MARGIN if now else None,
        orders=seen,
        anchor=anchor.hexdigest() if since is None else "",
    )


def _fingerprint(record: Record) -> bytes:
    """What the anchor holds of an order: the head of its chain, and the seals of all its rows."""
    rows = sorted((record.order.id, *(row.id for row in record.payments), *(row.id for row in record.refunds)))
    return record.order.chain + b"".join(name.encode() + record.seals[name] for name in rows)
