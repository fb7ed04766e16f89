"""Reconciled days to report of: real bills over HTTP, laid beside books in a real database."""

import io

from bill_desk import DAY, Desk
from paidup.channels.registry import CHANNELS
from paidup.db.transaction import Database
from paidup.reconcile import bills
from paidup.reconcile.party import Party
from paidup.reconcile.rules import Rules
from paidup.reconcile.run import reconcile
from paidup.reconcile.run_record import Outcome
from paidup.reconcile.table import Limits
from paidup.sandbox.faults import BillFaults, Faults
from reconcile_side import book


async def reconciled(db: Database, there: Desk, channel: str, **faults: float) -> Outcome:
    """A day of sales at a channel, booked here as they were, and its bill with these faults."""
    there.sell(channel)
    await book(db, there.booked(channel), there.account(channel))
    there.sandbox.faults = Faults(bill=BillFaults(**faults))
    account = there.account(channel)
    for kind in CHANNELS[channel].bills:
        content, proof = await there.fetch(channel, kind)
        brought = bills.Brought(
            shop=account.shop, channel=channel, account="main", kind=kind, day=DAY, source="fetched", proof=proof
        )
        async with db.transaction() as tx:
            await bills.keep(tx, brought, io.BytesIO(content), there.clock.now())
    party = Party(CHANNELS[channel], account, Rules())
    return await reconcile(db, party, DAY, now=there.clock.now(), spill=None, limits=Limits(), who="test")
