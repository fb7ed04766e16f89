"""A dispute is opened on one day and ends on another: each day's bill has one line of it."""

import io
from datetime import UTC, datetime, timedelta

from bill_ledgers import PARSED
from paidup.channels.bill import BillKind
from paidup.channels.registry import CHANNELS
from paidup.db.transaction import Database
from paidup.reconcile import bills
from paidup.reconcile.party import Party
from paidup.reconcile.rules import Rules
from paidup.reconcile.run import reconcile
from paidup.sandbox.bookings import Entry, EntryKind
from reconcile_side import book
from upload_side import DAY, LIMITS, NOW

BILL = """\
balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,charge_id,payment_intent_id
txn_1,2026-11-22 12:00:00,usd,20.00,0.88,19.12,charge,ch_1,ch_1,pi_1
txn_2,2026-11-22 18:00:00,usd,-20.00,15.00,-35.00,dispute,dp_1,ch_1,pi_1
"""


async def test_a_dispute_that_was_won_since_is_no_difference_of_its_first_day(db: Database) -> None:
    """The bill of the day on which it was opened is laid when it is known here as won: both sides know it."""
    account = PARSED["stripe"]
    mine = Entry(
        kind=EntryKind.PAYMENT, at=datetime(2026, 11, 22, 12, tzinfo=UTC), amount_minor=2000, fee_minor=88,
        currency="USD", number="pi_1", merchant_ref="pay1",
    )  # fmt: skip
    await book(db, [mine], account)
    one = bills.Brought(
        shop=account.shop, channel="stripe", account="main", kind=BillKind.TRADES, day=DAY, source="fetched"
    )
    async with db.transaction() as tx:
        await tx.execute("UPDATE payments SET dispute_id = 'dp_1', dispute_says = 'won'")
        await bills.keep(tx, one, io.BytesIO(BILL.encode()), NOW)
    outcome = await reconcile(
        db, Party(CHANNELS["stripe"], account, Rules()), DAY, now=NOW + timedelta(days=9), spill=None, limits=LIMITS,
        who="test",
    )  # fmt: skip
    assert [] == [(change.after.kind, change.after.why) for change in outcome.changes]
