"""A payout ties to the minor unit, or says what of it does not."""

from datetime import UTC, date, datetime

import msgspec

from paidup.channels.bill import BillLine, LineKind
from paidup.reconcile.breaks import Found, Kind
from paidup.reconcile.payouts import added, payout_breaks, payouts_of, untied
from paidup.reconcile.runs import Balance, Payout

DAY = date(2026, 11, 22)
LINE = BillLine(
    number=2, raw="", kind=LineKind.PAYMENT, word="charge", currency="USD", amount_minor=1250, fee_minor=66,
    net_minor=1184, occurred_at=datetime(2026, 11, 22, 8, tzinfo=UTC), entry="txn_1", payout="po_1",
)  # fmt: skip
PAID_OUT = msgspec.structs.replace(LINE, kind=LineKind.PAYOUT, word="payout", net_minor=-1184, entry="txn_9")
BALANCE = Balance(
    channel="stripe", account="main", shop="shop1", day=DAY, currency="USD", opening_minor=5000, in_minor=0,
    out_minor=0, fees_minor=0, payouts_minor=1184, closing_minor=3816, trades_minor=0, funds_minor=0, run_id="rec1",
)  # fmt: skip


def tied(mine: list[BillLine], bill: list[BillLine]) -> list[Payout]:
    lines = [line for line in mine if line.kind is not LineKind.PAYOUT]
    return payouts_of(added(mine, UTC), {DAY: untied(lines, bill, UTC)})


def broken(payouts: list[Payout], **balance: int) -> list[Found]:
    return list(payout_breaks(payouts, [msgspec.structs.replace(BALANCE, **balance)]))


def test_a_payout_that_took_what_the_bill_has_is_no_break() -> None:
    """Its lines are those of the bill, it is over their sum, and so much left the balance."""
    payouts = tied([LINE, PAID_OUT], [LINE])
    assert (1184, 1184, 0) == (payouts[0].net_minor, payouts[0].stated_minor, payouts[0].takes[0].untied)
    assert [] == broken(payouts)


def test_a_line_that_no_bill_has_so_breaks_its_payout() -> None:
    """Unknown there, with another net, in another currency, or taken twice: over exactly that, and named."""
    other = msgspec.structs.replace(LINE, net_minor=1183, fee_minor=67)
    yen = msgspec.structs.replace(LINE, currency="JPY")
    for mine, bill in (([LINE], []), ([LINE], [other]), ([LINE], [yen])):
        (found,) = broken(tied(mine, [*bill, msgspec.structs.replace(LINE, entry="txn_2")]))
        assert (Kind.PAYOUT, "payout:po_1:USD", 1184, 1184, True) == (
            found.kind, found.key, found.bill_minor, found.differs_minor, "txn_1" in found.why,
        )  # fmt: skip
    (found,) = broken(tied([LINE, LINE], [LINE]), payouts_minor=2368)
    assert (2368, 1184) == (found.bill_minor, found.ours_minor)


def test_a_day_without_a_bill_is_said_and_breaks_nothing() -> None:
    """What was paid before the first bill is paid out after it: nobody can look for it; nor in a bill that does not
    number its lines."""
    unread = payouts_of(added([LINE], UTC), {DAY: None})
    unnumbered = tied([LINE], [msgspec.structs.replace(LINE, entry=None)])
    assert [(False, 0, []), (False, 0, [])] == [
        (one[0].takes[0].is_read, one[0].takes[0].untied, broken(one)) for one in (unread, unnumbered)
    ]


def test_a_payout_over_other_money_than_its_lines_is_a_break() -> None:
    """Where the report has the payout itself, its amount is held to its lines."""
    (found,) = broken(tied([LINE, msgspec.structs.replace(PAID_OUT, net_minor=-1200)], [LINE]))
    assert ("paid:po_1:USD", 1200, 1184) == (found.key, found.bill_minor, found.ours_minor)


def test_money_that_left_and_that_no_payout_explains_is_a_break() -> None:
    """A payout by hand is in no report; and without a report nobody asks."""
    (found,) = broken(tied([LINE], [LINE]), payouts_minor=2000)
    assert ("payouts:USD", 816) == (found.key, found.differs_minor)
    assert [] == list(payout_breaks(None, [BALANCE]))


def test_the_order_of_lines_means_nothing() -> None:
    """Neither in the report nor in the bill."""
    more = [msgspec.structs.replace(LINE, entry=f"txn_{n}", number=n) for n in range(2, 6)]
    assert tied([LINE, *more], more) == tied([*more[::-1], LINE], more[::-1])
