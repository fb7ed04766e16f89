"""Any order of the lines, any split into files, any repetition of the run: the same breaks, and every cent is accounted
for."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paidup.channels.bill import BillLine, LineKind
from paidup.reconcile.breaks import Found, OurSide
from paidup.reconcile.decide import Whose, decide
from paidup.reconcile.judge import judge
from paidup.reconcile.known import Day, Judged, Known
from paidup.reconcile.match import Matched, match
from paidup.reconcile.naming import names_in, names_of
from paidup.reconcile.rules import Rules
from paidup.reconcile.table import Limits, Table, opened

BEGINS = datetime(2026, 11, 21, 16, tzinfo=UTC)
ENDS = BEGINS + timedelta(days=1)
RULES = Rules(fee_ppm=6000)
DAY = Day(bill_id="bil1", begins_at=BEGINS, ends_at=ENDS, rules=RULES)
WHOSE = Whose(run_id="rec1", shop="tea", channel="wechat", account="main", day=date(2026, 11, 22), now=ENDS)
AMOUNTS = (100, 250, 350, 1250)


class Ours(msgspec.Struct, frozen=True):
    """A payment or refund of ours, by its number. is_of_day: it is paid on this day; else only look-ups find it.
    is_first: a refund that was made elsewhere, under a number that other payments' refunds bear, too."""

    number: int
    amount: int
    state: str
    refund_of: int | None = None
    is_first: bool = False

    @property
    def is_of_day(self) -> bool:
        return self.state in ("paid", "succeeded")

    @property
    def side(self) -> OurSide:
        back, paid = self.refund_of is not None, f"pay{self.refund_of if self.refund_of is not None else self.number}"
        txn = paid.replace("pay", "txn")
        return OurSide(
            payment_id=paid, order_id=f"ord{self.number % 3}", shop="tea", state=self.state, currency="CNY",
            amount_minor=self.amount, at=BEGINS + timedelta(hours=12) if self.is_of_day else None,
            refund_id=f"ref{self.number}" if back else None, channel_txn_id=txn, merchant_ref=paid,
            channel_refund_id=f"rid{self.number}" if back and not self.is_first else None,
            merchant_refund_ref=("1" if self.is_first else f"ref{self.number}") if back else None,
            shop_order_no=f"A-{self.number % 3}",
        )  # fmt: skip


numbers = st.integers(0, 5)
our_payments = st.lists(
    st.builds(Ours, numbers, st.sampled_from(AMOUNTS), st.sampled_from(("paid", "paid", "paid", "open", "held"))),
    unique_by=lambda one: one.number, max_size=6,
)  # fmt: skip
our_refunds = st.lists(
    st.builds(
        Ours, numbers, st.sampled_from((50, 100)), st.sampled_from(("succeeded", "pending", "failed")), numbers,
        st.booleans(),
    ),
    unique_by=(lambda one: one.number, lambda one: (one.refund_of if one.is_first else -1 - one.number)), max_size=4,
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> BillLine:
    kind = draw(st.sampled_from((LineKind.PAYMENT,) * 4 + (LineKind.REFUND, LineKind.REFUND_FAILED, LineKind.UNKNOWN)))
    number, amount, is_first = draw(numbers), draw(st.sampled_from(AMOUNTS)), draw(st.booleans())
    back = kind in (LineKind.REFUND, LineKind.REFUND_FAILED)
    sign = -1 if kind is LineKind.REFUND else 1
    amount = draw(st.sampled_from((50, 100))) if back else amount
    fee = 0 if back else (amount * 6 + 500) // 1000 + draw(st.sampled_from((0, 0, 0, 5)))
    return BillLine(
        number=1, raw="", kind=kind, word=kind.upper(), currency=draw(st.sampled_from(("CNY", "CNY", "CNY", "USD"))),
        amount_minor=sign * amount, fee_minor=fee, net_minor=sign * amount - fee,
        occurred_at=BEGINS + timedelta(hours=draw(st.integers(1, 20))),
        channel_txn_id=draw(st.sampled_from((f"txn{number}", None))), merchant_ref=f"pay{number}",
        channel_refund_id=f"rid{number}" if back and not is_first else None,
        merchant_refund_ref=("1" if is_first else f"ref{number}") if back else None,
    )  # fmt: skip


bills = st.lists(lines(), max_size=10)


def numbered(some: Sequence[BillLine]) -> list[BillLine]:
    return [msgspec.structs.replace(line, number=n) for n, line in enumerate(some, start=1)]


def lay(table: Table, files: Sequence[Sequence[BillLine]], ours: Sequence[Ours]) -> Matched:
    for file in files:
        table.add_lines(file)
    for name, back in (("payments", False), ("refunds", True)):
        mine = [one for one in ours if (one.refund_of is not None) is back and one.is_of_day]
        path = table.folder / f"{name}.csv"
        path.write_text("".join(_row(one) for one in mine))
        table.add_ours(name, path)
    return match(table.sql, RULES)


def _row(one: Ours) -> str:
    side = one.side
    if side.refund_id is None:
        return f"{side.subject_id},{side.channel_txn_id},,CNY,{one.amount}\n"
    number = "1" if one.is_first else ""
    of = f"{side.channel_txn_id},{side.merchant_ref}"
    return f"{side.subject_id},{side.channel_refund_id or ''},{number},CNY,{one.amount},{of}\n"


def known_of(ours: Sequence[Ours]) -> Known:
    payments = [one.side for one in ours if one.refund_of is None]
    return Known(
        by_number={str(number): side for side in payments for number in (side.merchant_ref, side.channel_txn_id)},
        refunds=[one.side for one in ours if one.refund_of is not None],
        by_id={one.side.subject_id: one.side for one in ours},
        days={one.side.subject_id: WHOSE.day for one in ours if one.is_of_day},
    )


@pytest.fixture(scope="module", autouse=True)
def the_table() -> Iterator[None]:
    """One for all examples: making one takes longer than an example."""
    with opened(None, Limits(memory_mb=64, threads=1)) as table:
        TABLES.append(table)
        yield
        TABLES.clear()


TABLES: list[Table] = []


def judged(files: Sequence[Sequence[BillLine]], ours: Sequence[Ours]) -> tuple[Matched, Judged]:
    table = TABLES[0]
    for name in ("lines", "payments", "refunds"):
        table.sql.execute(f"DELETE FROM {name}")
    matched = lay(table, files, ours)
    return matched, judge(matched, known_of(ours), DAY)


def without_places(found: Sequence[Found]) -> list[Found]:
    """A line's place in the file is all that an order may change."""
    return [
        msgspec.structs.replace(one, line=msgspec.structs.replace(one.line, line=0) if one.line else None)
        for one in found
    ]


@settings(max_examples=25, deadline=None)
@given(bill=bills, ours=st.tuples(our_payments, our_refunds).map(lambda two: [*two[0], *two[1]]), data=st.data())
def test_any_order_and_any_split_give_the_same_breaks(
    bill: list[BillLine], ours: list[Ours], data: st.DataObject
) -> None:
    """The lines shuffled, and cut into two files at any place, are the same bill."""
    shuffled = numbered(data.draw(st.permutations(bill)))
    cut = data.draw(st.integers(0, len(shuffled)))
    _, first = judged([numbered(bill)], ours)
    _, second = judged([shuffled[:cut], shuffled[cut:]], ours)
    assert without_places(first.breaks) == without_places(second.breaks)


@settings(max_examples=25, deadline=None)
@given(bill=bills, ours=st.tuples(our_payments, our_refunds).map(lambda two: [*two[0], *two[1]]))
def test_a_second_run_changes_nothing(bill: list[BillLine], ours: list[Ours]) -> None:
    """Decided again on the same findings, no break moves; when nothing differs any more, all heal, once."""
    _, found = judged([numbered(bill)], ours)
    ids = (f"brk{n}" for n in range(1000))
    stored = {change.after.key: change.after for change in decide({}, found.breaks, WHOSE, ids)}
    assert len(found.breaks) == len(stored)
    assert [] == decide(stored, found.breaks, WHOSE, ids)
    healed = decide(stored, [], WHOSE, ids)
    assert {"healed"} >= {change.after.state for change in healed}
    assert [] == decide({change.after.key: change.after for change in healed}, [], WHOSE, ids)


@settings(max_examples=40, deadline=None)
@given(bill=bills, ours=st.tuples(our_payments, our_refunds).map(lambda two: [*two[0], *two[1]]))
def test_every_line_and_every_row_is_accounted_for(bill: list[BillLine], ours: list[Ours]) -> None:
    """Each line agrees or stands in exactly one break of its own; each of ours agrees, or stands alone in a break; and
    what the bill has more than we do is what the breaks say, to the minor unit."""
    matched, found = judged([numbered(bill)], ours)
    left = [line for line, _ in (*matched.payments, *matched.refunds) if line is not None] + matched.others
    in_breaks = [one.line.line for one in found.breaks if one.line is not None]
    agreed = [one.line.n for one in found.agreed]
    assert sorted(line.n for line in left) == sorted([*in_breaks, *agreed])
    alone = [one.ours.subject_id for one in found.breaks if one.line is None and one.ours is not None]
    assert len(alone) == len(set(alone))
    for currency in ("CNY", "USD"):
        bill_minor = sum(
            line.amount_minor for line in bill if line.currency == currency and line.kind in ("payment", "refund")
        )
        ours_minor = sum(one.side.signed_minor for one in ours if one.is_of_day and currency == "CNY")
        assert bill_minor - ours_minor == sum(
            _money(one, currency) for one in found.breaks if one.what in ("payment", "refund")
        ) + _undone(found, ours, currency)


def _money(one: Found, currency: str) -> int:
    """By how much this break makes the bill larger than our books of the day."""
    bill = one.line.amount_minor if one.line is not None and one.line.currency == currency else 0
    is_of_day = one.ours is not None and one.ours.at is not None and one.ours.currency == currency
    counts = one.kind in ("amount", "currency", "fee") or one.line is None
    return bill - (one.ours.signed_minor if one.ours is not None and is_of_day and counts else 0)


def _undone(found: Judged, ours: Sequence[Ours], currency: str) -> int:
    """Refunds that came back in the same bill: they agree, although our books of the day have none."""
    failed = {name for one in ours if one.state == "failed" for name in names_of(one.side)}
    return sum(
        one.line.amount
        for one in found.agreed
        if one.line.kind == "refund" and one.line.currency == currency and failed & set(names_in(one.line))
    )
