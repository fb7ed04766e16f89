"""A balance is told by a bill, or by the day before; what no bill tells there is not, and what two tell is one."""

from datetime import date

import pytest

from paidup.channels.bill import LineKind, Sums, Totals
from paidup.reconcile.balance import Whose, balance_breaks, balances_of
from paidup.reconcile.breaks import Kind
from paidup.reconcile.match import Added
from paidup.reconcile.runs import Balance, Closed, Payout
from paidup.reconcile.states import State

WHOSE = Whose(channel="alipay", account="main", shop="s", day=date(2026, 11, 24), run_id="rec1")
YESTERDAY = {"CNY": Closed(date(2026, 11, 23), 900, None, is_grounded=False)}


@pytest.mark.parametrize(
    ("lines", "before", "closes"), [(0, {}, []), (0, YESTERDAY, [900]), (1, {}, [500]), (1, YESTERDAY, [1400])]
)
def test_a_silent_bill_begins_no_account(lines: int, before: dict[str, Closed], closes: list[int]) -> None:
    """Our books have a payment of the day. Zero as its closing balance would contradict what the next day's bill says
    that it opens with."""
    trades = Added(what="payment", currency="CNY", bill_lines=lines, bill_net_minor=500 * lines, ours=1, ours_minor=500)
    assert closes == [one.closing_minor for one in balances_of(WHOSE, [trades], None, [], before)]


PAYOUT = Payout(payout_id="po_1", currency="CNY", net_minor=1000, takes=[])
FUNDS = Totals(
    lines=2, other_days=0, balances={"CNY": (0, 4000)},
    sums={
        (LineKind.PAYMENT, "CNY"): Sums(lines=1, amount_minor=5000, net_minor=5000),
        (LineKind.PAYOUT, "CNY"): Sums(lines=1, amount_minor=-1000, net_minor=-1000),
    },
)  # fmt: skip


@pytest.mark.parametrize(("funds", "payouts"), [(FUNDS, []), (None, [PAYOUT]), (FUNDS, [PAYOUT]), (None, [])])
def test_a_payout_that_several_bills_have_left_once(funds: Totals | None, payouts: list[Payout]) -> None:
    """A described trade bill has it among its lines; so may the fund flow, and the report of payouts."""
    trades = [
        Added(what="payment", currency="CNY", bill_lines=1, bill_minor=5000, bill_net_minor=5000),
        Added(what="payout", currency="CNY", bill_lines=1, bill_minor=-1000, bill_net_minor=-1000),
    ]
    (one,) = balances_of(WHOSE, trades, funds, payouts, {})
    assert (1000, 4000) == (one.payouts_minor, one.closing_minor)


def added(what: str, net_minor: int, fee_minor: int = 0, currency: str = "CNY") -> Added:
    """So much moved, of which the channel kept so much."""
    return Added(
        what=what, currency=currency, bill_lines=1, bill_minor=net_minor + fee_minor, bill_fee_minor=fee_minor,
        bill_net_minor=net_minor,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("what", "net", "fee", "moved"),
    [
        ("payment", 990, 10, (1000, 0, 10, 0)),
        ("refund", -495, -5, (0, 500, -5, 0)),
        ("refund_failed", 500, 0, (500, 0, 0, 0)),
        ("refund_failed", -1, 0, (-1, 0, 0, 0)),
        ("refund_undone", 500, 0, (500, 0, 0, 0)),
        ("dispute", -1515, 15, (0, 1500, 15, 0)),
        ("dispute", 5, 0, (0, -5, 0, 0)),
        ("dispute_won", 1500, 0, (1500, 0, 0, 0)),
        ("dispute_won", -3, 0, (-3, 0, 0, 0)),
        ("fee", -30, 30, (0, 0, 30, 0)),
        ("payout", -900, 0, (0, 0, 0, 900)),
        ("unknown", 70, 0, (70, 0, 0, 0)),
        ("unknown", -70, 0, (0, 70, 0, 0)),
    ],
)
def test_what_comes_what_goes_fees_and_payouts_are_told_apart(
    what: str, net: int, fee: int, moved: tuple[int, int, int, int]
) -> None:
    """Before fees, each counted upwards; what is of no known kind, by its sign. They make what the day closes with."""
    (one,) = balances_of(WHOSE, [added(what, net, fee)], None, [], YESTERDAY)
    assert moved == (one.in_minor, one.out_minor, one.fees_minor, one.payouts_minor)
    assert (900, 900 + net, 0 if what == "payout" else net) == (one.opening_minor, one.closing_minor, one.trades_minor)


def test_a_days_lines_add_up_per_currency() -> None:
    """No currency's money is another's, and whose the day is stands on each."""
    trades = [added("payment", 990, 10), added("payment", 495, 5), added("refund", -200), added("payment", 7, 0, "USD")]
    cny, usd = balances_of(WHOSE, trades, None, [], YESTERDAY)
    assert Balance(
        channel="alipay", account="main", shop="s", day=WHOSE.day, currency="CNY", opening_minor=900, in_minor=1500,
        out_minor=200, fees_minor=15, payouts_minor=0, closing_minor=2185, trades_minor=1285, funds_minor=None,
        run_id="rec1",
    ) == cny  # fmt: skip
    assert ("USD", 0, 7, 7) == (usd.currency, usd.opening_minor, usd.in_minor, usd.closing_minor)


def test_payouts_of_one_day_add_up() -> None:
    """A channel may pay out twice a day, and in several currencies."""
    payouts = [PAYOUT, PAYOUT, Payout(payout_id="po_2", currency="USD", net_minor=3, takes=[])]
    days = balances_of(WHOSE, [], None, payouts, YESTERDAY)
    assert [("CNY", 2000, -1100), ("USD", 3, -3)] == [(d.currency, d.payouts_minor, d.closing_minor) for d in days]


@pytest.mark.parametrize(("stated", "opens"), [(None, 900), (950, 950)])
def test_the_day_opens_with_what_the_channel_says_else_with_what_the_day_before_closed_with(
    stated: int | None, opens: int
) -> None:
    """And what the fund flow moved apart from payouts stands beside the trades."""
    balances = {} if stated is None else {"CNY": (stated, stated + 4000)}
    funds = Totals(lines=2, other_days=0, balances=balances, sums=FUNDS.sums)
    (one,) = balances_of(WHOSE, [added("payment", 5000)], funds, [], YESTERDAY)
    assert (opens, opens + 4000, 5000, 1000) == (
        one.opening_minor,
        one.closing_minor,
        one.funds_minor,
        one.payouts_minor,
    )
    assert (stated, stated and stated + 4000) == (one.stated_opening_minor, one.stated_closing_minor)


def test_what_the_day_before_is_stated_to_have_closed_with_counts_more_than_what_was_added_up() -> None:
    """A history that begins in the middle makes no later day wrong."""
    before = {"CNY": Closed(date(2026, 11, 23), 900, 950, is_grounded=True)}
    (one,) = balances_of(WHOSE, [added("payment", 50)], None, [], before)
    assert (950, 1000) == (one.opening_minor, one.closing_minor)


def breaks(trades_minor: int = 5000, funds: Totals | None = FUNDS, **closed: object) -> list[tuple[object, ...]]:
    """What a day with this fund flow is found to differ in, after a day that closed so."""
    day = balances_of(WHOSE, [added("payment", trades_minor)], funds, [], {})
    before = {"CNY": Closed(date(2026, 11, 23), **closed)} if closed else {}  # type: ignore[arg-type]
    found = balance_breaks(day, before)
    assert [(Kind.BALANCE, State.OPEN, "CNY")] * len(found) == [(one.kind, one.state, one.currency) for one in found]
    return [(one.key, one.what, one.bill_minor, one.ours_minor) for one in found]


def test_a_fund_flow_that_moved_otherwise_than_the_trades_is_a_break() -> None:
    """To the minor unit; without a fund flow there is nothing to compare."""
    assert [] == breaks()
    assert [("balance:CNY", "balance", 5000, 4999)] == breaks(4999)
    assert [] == breaks(4999, None)


def test_a_day_that_opens_otherwise_than_the_day_before_closed_is_a_break() -> None:
    """What the day before is stated to have closed with counts more than what was added up; what was only added up from
    nought on says nothing of what lay there before us."""
    off = [("opening:CNY", "opening", 0, 1)]
    assert off == breaks(closing_minor=1, stated_minor=None, is_grounded=True)
    assert off == breaks(closing_minor=0, stated_minor=1, is_grounded=True)
    assert [] == breaks(closing_minor=0, stated_minor=None, is_grounded=True)
    assert [] == breaks(closing_minor=1, stated_minor=None, is_grounded=False)
    assert [] == breaks(5000, None, closing_minor=1, stated_minor=None, is_grounded=True)
