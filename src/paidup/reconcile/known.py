"""What the judge is told, and what it says: the day, what look-ups found, and what agrees or differs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from paidup.channels.bill import LineKind
from paidup.reconcile.breaks import BillSide, Found, Kind, OurSide
from paidup.reconcile.match import Line
from paidup.reconcile.rules import Rules

OF_DISPUTES = (LineKind.DISPUTE, LineKind.DISPUTE_WON)
ARRIVES_WITHIN = timedelta(days=7)
"""A refund that is on its way may be so much longer than what another day's bill may bring."""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """The day that is judged: its bounds in the channel's own time zone, and whose bill it is."""

    bill_id: str
    begins_at: datetime
    ends_at: datetime
    rules: Rules

    @property
    def wait_until(self) -> datetime:
        """How long the other side of something may be waited for."""
        return self.ends_at + timedelta(days=self.rules.wait_days)

    @property
    def wait_for_arrival_until(self) -> datetime:
        """How long a refund that is on its way may be so: banks take some working days."""
        return self.wait_until + ARRIVES_WITHIN

    def wait_for(self, at: datetime | None) -> datetime:
        """How long a day may be waited for on which something of ours stands."""
        until = self.wait_until
        return until if at is None else max(until, at + timedelta(days=1 + self.rules.wait_days))

    def is_near_its_bounds(self, at: datetime | None) -> bool:
        """Whether another clock may count this moment to the day before or after."""
        near = timedelta(minutes=self.rules.cutoff_minutes)
        return at is not None and not self.begins_at + near <= at < self.ends_at - near


class Earlier(msgspec.Struct, frozen=True):
    """A break of another day about the same payment or refund. side: which side it has, "ours" or "bill".
    bill_minor: what that day's bill says, in this currency; None where it has nothing."""

    id: str
    subject: str
    side: str
    day: date
    currency: str = ""
    bill_minor: int | None = None


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What look-ups told. by_number: our payments by any number of theirs, in any state and of any day. refunds:
    ours that lines may name (naming.py), likewise. by_id: our rows that a pair names. earlier: by our id. read: days
    whose bill was read already, and when last. days: the day of each of ours, by id. cleared_here: keys of this day's
    breaks that another day's bill cleared. unsettled_here: keys of those that are not settled. disputes: what was said
    last of each one, by the payment's id. suggestions: by the line's number."""

    by_number: Mapping[str, OurSide]
    by_id: Mapping[str, OurSide]
    refunds: Sequence[OurSide] = ()
    earlier: Mapping[str, Sequence[Earlier]] = {}
    read: Mapping[date, datetime] = {}
    days: Mapping[str, date] = {}
    cleared_here: frozenset[str] = frozenset()
    unsettled_here: frozenset[str] = frozenset()
    disputes: Mapping[str, frozenset[str]] = {}
    suggestions: Mapping[int, OurSide] = {}

    @property
    def subjects(self) -> set[str]:
        """The ids of all of ours that it tells of."""
        return {side.subject_id for side in (*self.by_id.values(), *self.by_number.values(), *self.refunds)}


class Agreed(msgspec.Struct, frozen=True):
    """A line that needs no break after all. in_group: it agrees only together with others. ours_minor: our side of it
    that is none of the day's rows, for a refund that came back counts no more: it left, and came back."""

    line: Line
    in_group: bool = False
    ours_minor: int = 0


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """What a line and our booking differ in, the money. ours_minor: ours, in the line's currency."""

    kind: Kind
    ours_minor: int
    why: str


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """breaks: what differs. agreed: lines that were left over and agree all the same. cleared: breaks of other days
    whose other side is here. apart: those of them whose line is over other money, by id."""

    breaks: list[Found]
    agreed: list[Agreed]
    cleared: list[str]
    apart: Mapping[str, Apart] = {}


def side_of(line: Line, bill_id: str) -> BillSide:
    """A line as it stands in a break."""
    return BillSide(
        bill_id=bill_id, line=line.n, kind=line.kind, word=line.word or "", currency=line.currency,
        amount_minor=line.amount, fee_minor=line.fee, at=datetime.fromtimestamp(line.at, UTC),
        channel_txn_id=line.txn, merchant_ref=line.ref, channel_refund_id=line.rid, merchant_refund_ref=line.rref,
    )  # fmt: skip


def order_of(line: Line) -> tuple[object, ...]:
    """To put lines in order by what they say, and not by their place in a file."""
    numbers = (line.txn or "", line.ref or "", line.rref or "", line.rid or "")
    return (line.at, line.amount, line.fee, line.net, line.currency, *numbers)


def named_apart(breaks: Iterable[Found]) -> Iterable[Found]:
    """Several breaks about the very same thing are told apart by their order, which follows from what they say."""
    by_key: dict[str, list[Found]] = defaultdict(list)
    for found in breaks:
        by_key[found.key].append(found)
    for key, same in by_key.items():
        for n, found in enumerate(sorted(same, key=_content)):
            yield msgspec.structs.replace(found, key=f"{key}#{n + 1}") if n else found


def _content(found: Found) -> bytes:
    """All that it says, but for the place of its line in the file."""
    line = msgspec.structs.replace(found.line, line=0) if found.line else None
    return msgspec.json.encode(msgspec.structs.replace(found, line=line))
