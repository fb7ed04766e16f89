"""What has waited long enough is missing: it is given to people, as a case of its order and of its day."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from paidup import ids, log
from paidup.apply import Item, apply
from paidup.cases import store as cases
from paidup.db.transaction import Tx
from paidup.handlers import Handlers
from paidup.money import shown
from paidup.orders import store as orders
from paidup.reconcile import store, tell
from paidup.reconcile.breaks import Break
from paidup.reconcile.decide import overdue
from paidup.reconcile.party import Party
from paidup.reconcile.propose import SILENT_TRIES
from paidup.reconcile.states import UNSETTLED, State
from paidup.settle.book import NeedPerson

AT_ONCE = 500
OF_DAY = "reconcile_breaks"
SETTLED = "every break of the day is settled"


async def expire(tx: Tx, party: Party, handlers: Handlers, who: str, now: datetime) -> int:
    """Open what has waited long enough; whoever knows the order is told by its case. Returns how many."""
    changes = [change for one in await _locked(tx, party, now) if (change := overdue(one, now)) is not None]
    await tell.changed(tx, changes, who, now)
    needs = [
        Item(
            what=NeedPerson(
                order_id=one.order_id,
                subject_id=one.refund_id or one.payment_id or one.id,
                kind=f"reconcile_{one.kind}",
                why=f"break {one.id} of {one.day}: {one.why}. {one.next_step}",
            ),
            shop=one.shop,
            road="bill",
        )
        for one in (change.after for change in changes)
        if one.order_id is not None
    ]
    await apply(tx, needs, now, handlers)
    for change in changes:
        log.error("break.overdue", broken=change.after.id, kind=change.after.kind, why=change.after.why)
    return len(changes)


async def overdue_of(tx: Tx, party: Party, now: datetime, limit: int) -> list[Break]:
    """What has waited long enough, and is not about to be asked about once more."""
    account = party.account
    return await store.overdue(tx, account.channel, account.name, now, limit, silent_tries=SILENT_TRIES)


async def _locked(tx: Tx, party: Party, now: datetime) -> list[Break]:
    """What has waited long enough, locked after the orders that it is about: whoever comes through the door locks the
    order first and then writes down how its break fared, and the other way round two would wait in a circle."""
    late = await overdue_of(tx, party, now, AT_ONCE)
    held = {order.id for order in await orders.lock(tx, [one.order_id for one in late if one.order_id])}
    locked = await store.get(tx, [one.id for one in late], lock=True)
    still = [one for one in locked if one.wait_until is not None and one.wait_until <= now]
    return [one for one in still if one.order_id is None or one.order_id in held]


async def tell_people(tx: Tx, party: Party, now: datetime) -> None:
    """One case for each day with open breaks, closed when none of the day is left. Whatever touched a day: its own run,
    that of a neighbour, the time that it waited, or a person."""
    channel, account = party.account.channel, party.account.name
    days = {_subject(channel, account, day): (day, is_open)
            for day, is_open in (await store.unsettled_days(tx, channel, account)).items()}  # fmt: skip
    has_case = await cases.open_of(tx, OF_DAY, f"{party.name} ")
    await cases.resolve_kind(tx, OF_DAY, sorted(has_case - days.keys()), SETTLED, now)
    wanted = [
        cases.Case(
            id=ids.new_id(ids.CASE, now), shop=party.account.shop, kind=OF_DAY, subject_id=subject, order_id=None,
            why=said_of(subject, day, await _open(tx, channel, account, day)), opened_at=now,
        )
        for subject, (day, is_open) in days.items()
        if is_open and subject not in has_case
    ]  # fmt: skip
    await cases.open_many(tx, wanted)


async def close_settled(tx: Tx, one: Break, now: datetime) -> None:
    """The case of a break's day is over when this was the last one that was left."""
    counts = await store.counts(tx, one.channel, one.account, one.day)
    if not any(some["state"] in UNSETTLED for some in counts):
        await cases.resolve_kind(tx, OF_DAY, [_subject(one.channel, one.account, one.day)], SETTLED, now)


async def _open(tx: Tx, channel: str, account: str, day: date) -> list[dict[str, Any]]:
    return [one for one in await store.counts(tx, channel, account, day) if one["state"] == State.OPEN]


def _subject(channel: str, account: str, day: date) -> str:
    return f"{channel}/{account} {day}"


def said_of(subject: str, day: date, counts: Iterable[Mapping[str, Any]]) -> str:
    """What a day's case says: how many breaks of each kind, and over how much, whichever side has more."""
    said = ", ".join(
        f"{one['breaks']} {one['kind']} over {shown(one['apart_minor'], one['currency'])}" for one in counts
    )
    return f"{subject}: {said}; see `paidup reconcile breaks --day {day}`"
