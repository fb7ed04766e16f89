"""What of a bill agrees with our rows by its money, and what each side comes to."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest

from paidup.channels.bill import BillLine, LineKind
from paidup.reconcile.match import MAX_LEFT, Added, Matched, TooDifferent, match
from paidup.reconcile.rules import Rules
from paidup.reconcile.table import Limits, opened

AT = datetime(2026, 11, 22, 4, tzinfo=UTC)
PAYMENT, REFUND, FEE = LineKind.PAYMENT, LineKind.REFUND, LineKind.FEE


def line(n: int, amount: int, fee: int = 0, kind: LineKind = PAYMENT, currency: str = "CNY") -> BillLine:
    """Of payment n, or of its refund."""
    refund = {"channel_refund_id": f"re{n}", "merchant_refund_ref": f"ref{n}"} if kind is REFUND else {}
    return BillLine(
        number=n, kind=kind, word="SUCCESS", currency=currency, amount_minor=amount, fee_minor=fee,
        net_minor=amount - fee, occurred_at=AT, channel_txn_id=f"txn{n}", merchant_ref=f"pay{n}", raw="", **refund,
    )  # fmt: skip


def laid(
    bill: Iterable[BillLine], payments: Sequence[tuple[int, int]] = (), refunds: Sequence[tuple[int, int]] = (),
    rules: Rules | None = None, currency: str = "CNY",
) -> Matched:  # fmt: skip
    """The two sides laid over each other; ours by their numbers and amounts."""
    with opened(None, Limits(memory_mb=64, threads=1)) as table:
        table.add_lines(list(bill))
        for name, rows in (
            ("payments", [f"pay{n},txn{n},,{currency},{amount}\n" for n, amount in payments]),
            ("refunds", [f"ref{n},re{n},,{currency},{amount},txn{n},pay{n}\n" for n, amount in refunds]),
        ):
            path = table.folder / f"{name}.csv"
            path.write_text("".join(rows))
            table.add_ours(name, path)
        return match(table.sql, rules or Rules())


def differing(found: list) -> list[tuple[str | None, str | None]]:
    return [(one.txn if one else None, ours) for one, ours in found]


def test_each_kind_of_line_is_added_up_on_both_sides() -> None:
    """By kind and currency; what a refund gave back is below nothing on both sides, and fees are the bill's alone."""
    bill = [
        line(1, 1000, 6),
        line(2, 500, 3),
        line(3, 700, 4, currency="USD"),
        line(1, -200, -1, REFUND),
        line(9, -5, kind=FEE),
    ]
    assert [
        Added(what="fee", currency="CNY", bill_lines=1, bill_minor=-5, bill_net_minor=-5),
        Added(
            what="payment", currency="CNY", bill_lines=2, bill_minor=1500, bill_fee_minor=9, bill_net_minor=1491,
            ours=3, ours_minor=1750,
        ),
        Added(what="payment", currency="USD", bill_lines=1, bill_minor=700, bill_fee_minor=4, bill_net_minor=696),
        Added(
            what="refund", currency="CNY", bill_lines=1, bill_minor=-200, bill_fee_minor=-1, bill_net_minor=-199,
            ours=2, ours_minor=-230,
        ),
    ] == laid(bill, [(1, 1000), (2, 500), (4, 250)], [(1, 200), (2, 30)]).sums  # fmt: skip


def test_what_only_we_have_is_added_up_too() -> None:
    """A bill of a day on which the channel knows of nothing."""
    found = laid([], [(1, 1000)])
    assert [Added(what="payment", currency="CNY", ours=1, ours_minor=1000)] == found.sums
    assert [(None, "pay1")] == differing(found.payments)


def test_a_refund_agrees_when_it_takes_what_we_gave_back() -> None:
    """The bill writes it below nothing. One that adds money is another happening."""
    bill = [line(1, -200, kind=REFUND), line(2, 200, kind=REFUND), line(3, -201, kind=REFUND)]
    assert [("txn2", "ref2"), ("txn3", "ref3")] == differing(laid(bill, refunds=[(1, 200), (2, 200), (3, 200)]).refunds)


def test_an_amount_may_differ_as_far_as_was_agreed_for_its_currency() -> None:
    """Two fen, up or down; and in no other currency."""
    rules = Rules(tolerance_minor={"CNY": 2, "JPY": 9})
    bill, ours = [line(n, 1000 + n - 3) for n in range(7)], [(n, 1000) for n in range(7)]
    assert [("txn0", "pay0"), ("txn6", "pay6")] == differing(laid(bill, ours, rules=rules).payments)
    dollars = [line(1, 1001, currency="USD"), line(2, 1000, currency="USD")]
    assert [("txn1", "pay1")] == differing(laid(dollars, [(1, 1000), (2, 1000)], rules=rules, currency="USD").payments)


def test_the_same_number_in_another_currency_is_another_amount() -> None:
    """Whatever may differ."""
    found = laid([line(1, 1000, currency="USD")], [(1, 1000)], rules=Rules(tolerance_minor={"CNY": 9, "USD": 9}))
    assert [("txn1", "pay1")] == differing(found.payments)


@pytest.mark.parametrize("tolerance", [0, 1])
@pytest.mark.parametrize("amount", [1, 82, 83, 84, 1000, 10_000_000_000])
def test_the_fee_of_a_payment_is_the_agreed_one(amount: int, tolerance: int) -> None:
    """0.6 % and ten on top, rounded half up (83 is 0.498, 84 is 0.504), as the rules state it to people."""
    rules = Rules(fee_ppm=6000, fee_fixed_minor=10, fee_tolerance_minor=tolerance)
    agreed = {1: 10, 82: 10, 83: 10, 84: 11, 1000: 16, 10_000_000_000: 60_000_010}[amount]
    assert agreed == rules.fee_of(amount)
    bill = [line(n, amount, agreed + n - 3) for n in range(7)]
    right = {3} if tolerance == 0 else {2, 3, 4}
    found = laid(bill, [(n, amount) for n in range(7)], rules=rules).payments
    assert [(f"txn{n}", f"pay{n}") for n in range(7) if n not in right] == differing(found)


def test_no_fee_is_agreed_for_refunds_nor_where_nothing_was() -> None:
    """What a channel gives back of its fee follows its own rule, and a payment of no agreed fee may cost anything."""
    refund = laid([line(1, -1000, -3, REFUND)], refunds=[(1, 1000)], rules=Rules(fee_ppm=6000))
    payment = laid([line(1, 1000, 999)], [(1, 1000)])
    assert ([], []) == (refund.refunds, payment.payments)


def test_what_is_neither_payment_nor_refund_is_handed_out() -> None:
    """All but fees and payouts, which are added up."""
    bill = [line(1, -5, kind=FEE), line(2, -900, kind=LineKind.PAYOUT), line(3, -7, kind=LineKind.DISPUTE)]
    assert [("txn3", -7)] == [(one.txn, one.amount) for one in laid(bill).others]


def test_a_bill_of_another_account_is_no_work_for_people() -> None:
    """So many differences, and not one more: nothing is recorded of it."""
    missing = [(n, 100) for n in range(MAX_LEFT + 1)]
    assert MAX_LEFT == len(laid([], missing[:-1]).payments)
    with pytest.raises(TooDifferent, match="another account's or another day's bill"):
        laid([], missing)


@pytest.mark.parametrize("code", ["CN", "CNYX", "C1Y", "ＣＮＹ", "'--"])
def test_what_is_no_currency_never_gets_into_a_query(code: str) -> None:
    """Rules are a file that somebody wrote."""
    with pytest.raises(ValueError, match=code):
        laid([line(1, 1000)], [(1, 1000)], rules=Rules(tolerance_minor={code: 1}))
