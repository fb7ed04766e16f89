"""Bills are asked for at their time, downloaded, and kept as they came. Nothing is read here."""

import tempfile
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import BinaryIO

from paidup import ids, log
from paidup.ask import Asker, bill_subject
from paidup.cases import store as cases
from paidup.channels.bill import BillKind, BillName
from paidup.channels.bill_file import LIMITS
from paidup.channels.channel import Account
from paidup.channels.messages import BillAt, BillComing, NoBill, Success
from paidup.db.transaction import Database, Tx
from paidup.journal import store as journal
from paidup.journal.store import Call
from paidup.reconcile import bill_fetches, bills
from paidup.reconcile.due import EMPTY_AFTER, GIVE_UP_AFTER, next_ask, should_alarm
from paidup.reconcile.party import Party

DOWNLOAD_DEADLINE_S = 600.0
MAX_DAYS_BACK = 31
NO_BILL = "no_bill"
ACCOUNT_BACK_AFTER = timedelta(minutes=15)

HOLDS = """
SELECT EXISTS (SELECT FROM payments WHERE channel = $1 AND account = $2 AND paid_at >= $3 AND paid_at < $4)
  OR EXISTS (SELECT FROM refunds WHERE channel = $1 AND account = $2 AND settled_at >= $3 AND settled_at < $4)"""


async def want_bills(tx: Tx, parties: Iterable[Party], now: datetime) -> None:
    """Put yesterday's bills of every account into the schedule, and those of the days before that were missed."""
    for party in parties:
        zone = party.channel.bill_zone(party.account)
        yesterday = now.astimezone(zone).date() - timedelta(days=1)
        wanted = []
        for kind in party.channel.bills:
            last = await bill_fetches.last_wanted(tx, party.account.channel, party.account.name, kind)
            days = _days(last, yesterday)
            wanted += [
                (party.account.channel, party.account.name, kind, day, party.channel.bill_ready_at(day, party.account))
                for day in days
            ]
        await bill_fetches.want(tx, wanted)


def _days(last: date | None, yesterday: date) -> list[date]:
    missed = (yesterday - last).days if last else 1
    return [yesterday - timedelta(days=back) for back in range(min(max(missed, 0), MAX_DAYS_BACK))]


async def fetch_bill(
    db: Database, asker: Asker, party: Party, kind: BillKind, day: date, *, made_as: str | None = None
) -> bills.Kept | BillComing | str:
    """Ask for a bill and keep what comes. A text says why nothing came; BillComing that it is not made yet."""
    account = party.account
    name = BillName(kind=kind, day=day, made_as=made_as)
    sent, call = await asker.for_bill(account, name, asker.now_of())
    found = sent.outcome.bill if isinstance(sent.outcome, Success) else None
    with tempfile.TemporaryFile() as file:
        calls = [call]
        if isinstance(found, BillAt):
            got, downloaded = await asker.download(
                account, name, found.download, file, max_bytes=LIMITS.file_bytes, deadline_s=DOWNLOAD_DEADLINE_S
            )
            calls.append(downloaded)
            if not isinstance(got.outcome, Success):
                return await _journaled(db, calls, downloaded.why)
        if isinstance(found, BillAt | NoBill):
            return await _keep(db, account, name, found, file, calls, asker.now_of())
    if isinstance(found, BillComing):
        await _journaled(db, calls, "")
        return found
    return await _journaled(db, calls, call.why)


async def _journaled(db: Database, calls: list[Call], why: str) -> str:
    async with db.transaction() as tx:
        await journal.write_calls(tx, calls)
    return why


async def _keep(
    db: Database,
    account: Account,
    name: BillName,
    found: BillAt | NoBill,
    file: BinaryIO,
    calls: list[Call],
    now: datetime,
) -> bills.Kept:
    brought = bills.Brought(
        shop=account.shop,
        channel=account.channel,
        account=account.name,
        kind=name.kind,
        day=name.day,
        source="fetched",
        **({"proof": found.proof} if isinstance(found, BillAt) else {"state": "none", "why": found.why}),
    )
    async with db.transaction() as tx:
        await journal.write_calls(tx, calls)
        return await bills.keep(tx, brought, file, now)


async def is_doubtful(tx: Tx, party: Party, kept: bills.Kept, bounds: tuple[datetime, datetime], now: datetime) -> bool:
    """The channel says that there is no bill, and we hold payments of that day: it may only be late, or mistaken.

    Whoever asks days late hears it for the first time, and doubts it as long as everybody else.
    """
    said_since = max(kept.kept_at, party.channel.bill_ready_at(kept.day, party.account))
    if kept.state != "none" or now >= said_since + EMPTY_AFTER:
        return False
    return bool(await tx.fetchval(HOLDS, party.account.channel, party.account.name, *bounds))


async def not_there(
    tx: Tx, party: Party, fetch: bill_fetches.Fetch, why: str, now: datetime, *, made_as: str | None = None
) -> None:
    """Ask again later; from an hour after its time on, somebody is told once."""
    ready_at = party.channel.bill_ready_at(fetch.day, party.account)
    is_made = made_as is not None
    at = next_ask(now, ready_at, is_made_on_demand=is_made)
    alarms = should_alarm(now, ready_at, tries=fetch.tries, is_made_on_demand=is_made) and not fetch.alarmed
    state = "waiting" if at is not None else "given_up"
    await bill_fetches.put_off(tx, fetch, at or now, why, made_as=made_as, alarmed=fetch.alarmed or alarms, state=state)
    if not alarms and at is not None:
        return
    subject = bill_subject(party.account, BillName(kind=fetch.kind, day=fetch.day))
    said = f"{subject}: the bill is not there, {fetch.tries} tries so far: {why}"
    case = cases.Case(
        id=ids.new_id(ids.CASE, now), shop=party.account.shop, kind=NO_BILL, subject_id=subject, order_id=None,
        why=said[:1000], opened_at=now,
    )  # fmt: skip
    if await cases.open_many(tx, [case]):
        log.error("bill.missing", account=party.name, day=fetch.day.isoformat(), why=why)


async def no_room(tx: Tx, party: Party, fetch: bill_fetches.Fetch, why: str, now: datetime) -> None:
    """The bill is here, and there was no room to read it: the day has its own case, and is tried again for as long as a
    bill that is late is asked for."""
    at = next_ask(now, party.channel.bill_ready_at(fetch.day, party.account))
    state = "waiting" if at is not None else "given_up"
    await bill_fetches.put_off(tx, fetch, at or now, why, alarmed=fetch.alarmed, state=state)


async def without_account(tx: Tx, fetch: bill_fetches.Fetch, now: datetime) -> None:
    """The account was taken out of the accounts folder, perhaps for a moment. Nothing else leads back to the bill of
    this day, so it waits for the account as long as for a bill that is late."""
    is_over = now.date() - fetch.day > GIVE_UP_AFTER
    state = "given_up" if is_over else "waiting"
    at = now if is_over else now + ACCOUNT_BACK_AFTER
    await bill_fetches.put_off(
        tx, fetch, at, "the account is gone", made_as=fetch.made_as, alarmed=fetch.alarmed, state=state
    )
