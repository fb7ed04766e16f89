"""A balance is told by a bill, or by the day before; where both are silent, there is none."""

from datetime import date

import pytest

from paidup.reconcile.balance import Whose, balances_of
from paidup.reconcile.match import Added
from paidup.reconcile.runs import Closed

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
