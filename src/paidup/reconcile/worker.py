"""对账, one round: fetch what is due, keep it, lay it beside our books, and mend what proof can mend.

Every step can be done again: a worker that dies gives its bill back when its lease ends, the same file is the same
version, and a second run of a day changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from paidup.ask import Asker
from paidup.channels.channel import BillComing
from paidup.db.transaction import Database
from paidup.handlers import Handlers
from paidup.reconcile import bills
from paidup.reconcile.fetch import fetch_bill, is_doubtful, not_there, want_bills
from paidup.reconcile.run import Party, bounds_of, reconcile
from paidup.reconcile.table import Limits

LEASE = timedelta(minutes=30)
WHO = "reconcile"


class Tools(msgspec.Struct, frozen=True):
    """What a round works with. spill: where DuckDB may write; None: the system's temporary folder."""

    asker: Asker
    handlers: Handlers
    limits: Limits
    spill: Path | None = None


async def run_once(db: Database, *, now: datetime, limit: int, parties: Sequence[Party], tools: Tools) -> int:
    """Fetch up to `limit` bills that are due and reconcile their days; returns how many were there."""
    by_account = {(party.account.channel, party.account.name): party for party in parties}
    async with db.transaction() as tx:
        await want_bills(tx, parties, now)
        fetches = await bills.claim(tx, now, now + LEASE, limit)
    there = 0
    for fetch in fetches:
        party = by_account.get((fetch.channel, fetch.account))
        if party is None:  # the account was taken out of the accounts folder
            async with db.transaction() as tx:
                await bills.put_off(tx, fetch, now, "the account is gone", state="given_up")
            continue
        there += await _one(db, party, fetch, now, tools)
    return there


async def _one(db: Database, party: Party, fetch: bills.Fetch, now: datetime, tools: Tools) -> int:
    found = await fetch_bill(db, tools.asker, party, fetch.kind, fetch.day, made_as=fetch.made_as)
    now = max(now, tools.asker.now_of())
    why, made_as = "", None
    if isinstance(found, BillComing):
        why, made_as = found.why, found.made_as
    elif isinstance(found, str):
        why = found
    else:
        async with db.session() as tx:
            if await is_doubtful(tx, party, found, bounds_of(party, fetch.day, found), now):
                why = f"the channel says that there is none, and payments of the day stand here: {found.why}"
    if not why and not isinstance(found, str | BillComing):
        outcome = await reconcile(db, party, fetch.day, now=now, spill=tools.spill, limits=tools.limits, who=WHO)
        async with db.session() as tx:
            kept = await bills.get(tx, found.id)
        why = kept.why if kept is not None and kept.state == "refused" else ""
        why = why or ("" if outcome.run is not None or fetch.kind != "trades" else outcome.refused)
    async with db.transaction() as tx:
        if why or made_as is not None:
            await not_there(tx, party, fetch, why, now, made_as=made_as)
            return 0
        await bills.put_off(tx, fetch, now, "", state="done")
    return 1
