"""A balance is told by a bill, or by the day before; what no bill tells there is not, and what two tell is one."""

from datetime import date

import pytest

from paidup.channels.bill import LineKind, Sums, Totals
from paidup.reconcile.balance import Whose, balances_of
from paidup.reconcile.match import Added
from paidup.reconcile.runs import Closed, Payout

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
