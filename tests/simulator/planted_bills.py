"""Defects of reconciliation that people really write; planted by planted.py like all others."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from paidup import ids
from paidup.evidence import RefundEvidence
from paidup.reconcile import bills, mend_ask, mend_settle, worker
from paidup.reconcile.judge_bench import Bench
from paidup.reconcile.known import Agreed
from paidup.simulator.run import START

Patch = pytest.MonkeyPatch


def a_line_is_matched_twice(patch: Patch) -> None:
    """Whatever bears the number of something of ours is matched with it, however often that was done before."""

    def add_extra(self: Bench, line: Any, _ours: Any, _why: str) -> None:
        self.agreed.append(Agreed(line))

    patch.setattr(Bench, "add_extra", add_extra)


def mended_under_a_new_number(patch: Patch) -> None:
    """Each time the bill shows a refund that is not here, one is booked, under a number of our own."""
    honest = mend_ask._item

    def item(subject: Any, evidence: Any) -> Any:
        if isinstance(evidence, RefundEvidence):
            number = ids.new_id(ids.REFUND, START)
            evidence = msgspec.structs.replace(evidence, merchant_refund_ref=number, channel_refund_id=number)
        return honest(subject, evidence)

    patch.setattr(mend_ask, "_item", item)


def mended_around_the_door(patch: Patch) -> None:
    """What the bill shows as given back is written into the payment, without the door."""
    honest = mend_settle.apply
    query = "UPDATE payments SET refunded_minor = refunded_minor + $2 WHERE merchant_ref = $1"

    async def apply(tx: Any, items: Any, now: datetime, handlers: Any) -> Any:
        for item in items:
            if isinstance(item.what, RefundEvidence) and item.what.amount is not None:
                await tx.execute(query, item.what.merchant_ref, item.what.amount.amount_minor)
        return await honest(tx, items, now, handlers)

    patch.setattr(mend_settle, "apply", apply)


def kept_and_never_laid(patch: Patch) -> None:
    """What somebody uploads is kept, and nobody is told to lay it beside the books."""

    async def want_work(*_: Any) -> None:
        return

    patch.setattr(bills, "want_work", want_work)


def no_bill_is_an_empty_day(patch: Patch) -> None:
    async def is_doubtful(*_: Any) -> bool:
        return False

    patch.setattr(worker, "is_doubtful", is_doubtful)


def what_waits_is_never_cleared(patch: Patch) -> None:
    patch.setattr(Bench, "clears", lambda _self, _ours, _side: False)


def fetched_before_it_is_read(patch: Patch) -> None:
    """The fetch is done when the file is here; what comes of it follows in transactions of its own."""
    honest = worker._use
    query = "UPDATE bill_fetches SET state = 'done' WHERE (channel, account, kind, day) = ($1, $2, $3, $4)"

    async def use(db: Any, party: Any, day: Any, came: Any, now: datetime, tools: Any) -> Any:
        async with db.transaction() as tx:
            for kept in came:
                await tx.execute(query, kept.channel, kept.account, kept.kind.value, day)
        return await honest(db, party, day, came, now, tools)

    patch.setattr(worker, "_use", use)


def a_refused_file_is_final(patch: Patch) -> None:
    """A file that cannot be read is kept for people, and nobody asks for another one."""
    honest = worker._use

    async def use(*args: Any) -> Any:
        whys, is_put_off = await honest(*args)
        return dict.fromkeys(whys, ""), is_put_off

    patch.setattr(worker, "_use", use)
