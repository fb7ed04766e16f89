"""What the shop is told of a day that was laid beside its bill (reconcile.…), and the table `reconcile_lanes`.

The events of one account and day are a lane of their own, as those of an order are: numbered 1, 2, 3 … without gaps,
and delivered in this order; what goes wrong on one day holds up no other. The lane's row is the lock that makes it so.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import groupby

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.events import EventType, Scalar
from paidup.outbox import store as outbox
from paidup.reconcile import store
from paidup.reconcile.breaks import Break
from paidup.reconcile.decide import Change
from paidup.reconcile.runs import Run
from paidup.reconcile.states import State

MOST_AT_ONCE = 200
"""So many breaks of a run are told one by one; whoever has to do with more wants the list, and reconcile.finished
counts them all."""
_ENDED = (State.HEALED, State.RESOLVED)

NUMBERS = """
INSERT INTO reconcile_lanes (channel, account, day, seq) VALUES ($1, $2, $3, $4)
ON CONFLICT (day, account, channel) DO UPDATE SET seq = reconcile_lanes.seq + $4 RETURNING seq"""


class Lane(msgspec.Struct, frozen=True, order=True):
    """One account and day. `name` stands in the events where others have their order's id."""

    channel: str
    account: str
    day: date

    @property
    def name(self) -> str:
        """``wechat/main/2026-11-22``."""
        return f"{self.channel}/{self.account}/{self.day}"


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell, before it has its number."""

    lane: Lane
    type: EventType
    shop: str
    subject_id: str
    data: dict[str, Scalar]


async def changed(tx: Tx, changes: Sequence[Change], who: str, now: datetime) -> None:
    """Write changed breaks, each with its step, and tell the shop of those that opened or ended."""
    await store.write(tx, changes, who, now)
    await write(tx, of_breaks(changes), now)


async def write(tx: Tx, news: Iterable[News], now: datetime) -> None:
    """Number what is to be told, and write it with the change that it announces."""
    ordered = sorted(news, key=lambda one: one.lane)  # whoever locks several lanes does so in this order
    series, written = ids.Series(now), []
    for lane, group in groupby(ordered, key=lambda one: one.lane):
        of_lane = list(group)
        last = int(await tx.fetchval(NUMBERS, lane.channel, lane.account, lane.day, len(of_lane)))
        for seq, one in enumerate(of_lane, start=last - len(of_lane) + 1):
            written.append(
                outbox.Written(
                    id=series.new_id(ids.EVENT),
                    created_at=now,
                    shop=one.shop,
                    type=one.type,
                    order_id=lane.name,
                    seq=seq,
                    subject_id=one.subject_id,
                    data=one.data,
                )
            )
    await outbox.write(tx, written)


def of_breaks(changes: Sequence[Change]) -> list[News]:
    """Breaks that somebody must look at now, and those that ended after they were told of."""
    told = [(change, kind) for change in changes if (kind := _kind_of(change)) is not None]
    return [_of_break(change.after, kind, change.why) for change, kind in told[:MOST_AT_ONCE]]


def _kind_of(change: Change) -> EventType | None:
    before, after = change.before, change.after
    was_open = before is not None and before.state in (State.OPEN, State.APPROVED)
    if after.state is State.OPEN and not (was_open and before is not None and before.version == after.version):
        return EventType.RECONCILE_BREAK_OPENED
    return EventType.RECONCILE_BREAK_SETTLED if was_open and after.state in _ENDED else None


def _of_break(one: Break, kind: EventType, why: str) -> News:
    return News(
        lane=Lane(one.channel, one.account, one.day),
        type=kind,
        shop=one.shop,
        subject_id=one.id,
        data={
            "channel": one.channel,
            "account": one.account,
            "day": one.day.isoformat(),
            "kind": one.kind.value,
            "what": one.what,
            "state": one.state.value,
            "version": one.version,
            "currency": one.currency,
            "bill_minor": one.bill_minor,
            "ours_minor": one.ours_minor,
            "differs_minor": one.differs_minor,
            "channel_txn_id": one.channel_txn_id,
            "payment_id": one.payment_id,
            "refund_id": one.refund_id,
            "order_id": one.order_id,
            "why": why[:1000],
            "next_step": one.next_step,
        },
    )


def of_run(run: Run, unsettled: int) -> News:
    """A day that was reconciled, with how many of its breaks are not settled."""
    return News(
        lane=Lane(run.channel, run.account, run.day),
        type=EventType.RECONCILE_FINISHED,
        shop=run.shop,
        subject_id=run.id,
        data={
            "channel": run.channel,
            "account": run.account,
            "day": run.day.isoformat(),
            "bill_id": run.bill_id,
            "bill_version": run.bill_version,
            "lines": run.lines,
            "matched": run.matched,
            "opened": run.opened,
            "reopened": run.reopened,
            "cleared": run.cleared,
            "unsettled": unsettled,
        },
    )


def of_refusal(lane: Lane, shop: str, bill_id: str, fault: str, why: str) -> News:
    """A bill of which nothing is used."""
    return News(
        lane=lane,
        type=EventType.RECONCILE_REFUSED,
        shop=shop,
        subject_id=bill_id,
        data={
            "channel": lane.channel,
            "account": lane.account,
            "day": lane.day.isoformat(),
            "fault": fault,
            "why": why[:1000],
        },
    )


def of_put_off(lane: Lane, shop: str, bill_id: str, why: str) -> News:
    """A day whose bill is sound as far as anybody knows, and that there was no room for here; it is tried again."""
    return News(
        lane=lane,
        type=EventType.RECONCILE_PUT_OFF,
        shop=shop,
        subject_id=bill_id,
        data={"channel": lane.channel, "account": lane.account, "day": lane.day.isoformat(), "why": why[:1000]},
    )
