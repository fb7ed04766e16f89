"""The sandbox's bills beside our books: what was planted in a bill is what is found, and nothing else."""

import io
from collections.abc import AsyncIterator

import pytest

from bill_desk import DAY, Desk, desk
from paidup.channels.bill import BillKind
from paidup.channels.registry import CHANNELS
from paidup.db.transaction import Database
from paidup.reconcile import bills
from paidup.reconcile.rules import Rules
from paidup.reconcile.run import Outcome, Party, reconcile
from paidup.reconcile.table import Limits
from paidup.sandbox.faults import BillFaults, Faults
from reconcile_side import book

CHANNELS_ALL = ("wechat", "alipay", "stripe")
_RULES = Rules()


@pytest.fixture
async def there() -> AsyncIterator[Desk]:
    async with desk() as it:
        yield it


async def laid(db: Database, there: Desk, channel: str, rules: Rules = _RULES, **faults: float) -> Outcome:
    """The day's bill under these faults, fetched, kept and reconciled."""
    there.sandbox.faults = Faults(bill=BillFaults(**faults))
    account = there.account(channel)
    for kind in BillKind:
        content, proof = await there.fetch(channel, kind)
        brought = bills.Brought(
            shop=account.shop, channel=channel, account="main", kind=kind, day=DAY, source="fetched", proof=proof
        )
        async with db.transaction() as tx:
            await bills.keep(tx, brought, io.BytesIO(content), there.clock.now())
    party = Party(CHANNELS[channel], account, rules)
    return await reconcile(db, party, DAY, now=there.clock.now(), spill=None, limits=Limits(), who="test")


@pytest.mark.parametrize("channel", CHANNELS_ALL)
async def test_a_day_without_faults_agrees(db: Database, there: Desk, channel: str) -> None:
    """Payments and refunds as they were booked: every line is matched, no break, and the balance closes."""
    there.sell(channel)
    await book(db, there.booked(channel), there.account(channel))
    outcome = await laid(db, there, channel)
    assert outcome.run is not None
    assert ([], outcome.run.lines) == ([c.after for c in outcome.changes], outcome.run.matched)
    (balance,) = outcome.balances
    assert (
        balance.closing_minor
        == sum(e.amount_minor - e.fee_minor for e in there.booked(channel)) - balance.payouts_minor
    )
