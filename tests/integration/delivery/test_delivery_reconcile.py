"""What the shop is told of its reconciled days: numbered per account and day, delivered in order, and once."""

from datetime import timedelta

import msgspec
import pytest
from delivery_side import SHOP, Receiver, an_endpoint, run_once

from paidup.db.transaction import Database
from paidup.delivery.courier import Courier
from paidup.errors import ConfigError
from paidup.handlers import Handlers
from paidup.outbox import store as outbox
from paidup.reconcile import people, store, tell
from paidup.reconcile.tell import MOST_AT_ONCE
from paidup.reconcile.upload import FileRefused
from paidup.testing.builders import LONG_AGO
from upload_side import DAY, MCHID, NOW, a_party, brought, laid, wechat_bill

LANE = f"wechat/main/{DAY}"
OPENED, SETTLED, FINISHED = "reconcile.break_opened", "reconcile.break_settled", "reconcile.finished"


async def told(db: Database) -> list[tuple[int, str]]:
    async with db.session() as tx:
        return [(event.seq, event.type.value) for event in await outbox.of_order(tx, LANE, since=LONG_AGO)]


async def test_a_day_is_told_from_its_first_run_on(db: Database) -> None:
    """What opened, then that the day is done; a second run says nothing; a corrected bill settles what it lacks now,
    and the numbers go on."""
    party = a_party(SHOP)
    await brought(db, party, wechat_bill(MCHID, "A-1", "A-2"))
    await laid(db, party)
    first = await told(db)
    await laid(db, party)
    again = await told(db)
    await brought(db, party, wechat_bill(MCHID, "A-1"))
    await laid(db, party)
    assert ([(1, OPENED), (2, OPENED), (3, FINISHED)], first) == (first, again)
    assert [(4, SETTLED), (5, FINISHED)] == (await told(db))[3:]


async def test_a_refused_bill_is_told_with_its_reason(db: Database) -> None:
    """Its fault and its sentence; the day has no other event."""
    with pytest.raises(FileRefused):
        await brought(db, a_party(SHOP), wechat_bill(MCHID, "A-1", stated=2))
    async with db.session() as tx:
        (event,) = await outbox.of_order(tx, LANE, since=LONG_AGO)
    assert ("reconcile.refused", "wrong_total", 1) == (event.type, event.data["fault"], event.seq)
    assert "总交易单数" in str(event.data["why"])


async def test_what_a_person_settles_is_told(db: Database) -> None:
    """Its number follows on, and it says how."""
    party = a_party(SHOP)
    await brought(db, party, wechat_bill(MCHID, "A-1"))
    (change,) = (await laid(db, party)).changes
    async with db.transaction() as tx:
        await people.resolve(tx, change.after.id, shop=SHOP, who="anna", why="given back", now=NOW)
    async with db.session() as tx:
        *_, last = await outbox.of_order(tx, LANE, since=LONG_AGO)
    assert (3, SETTLED, "resolved", change.after.id) == (last.seq, last.type, last.data["state"], last.subject_id)
    assert "given back" in str(last.data["why"])


async def test_a_days_events_are_delivered_in_order(db: Database, receiver: Receiver, courier: Courier) -> None:
    """To an endpoint that wants them, signed like all others; one for orders alone hears nothing of it."""
    await an_endpoint(db, receiver.url, ["reconcile.break_opened", "reconcile.finished"])
    await an_endpoint(db, f"{receiver.url}/orders", ["order.paid"])
    party = a_party(SHOP)
    await brought(db, party, wechat_bill(MCHID, "A-1", "A-2"))
    await laid(db, party)
    for n in range(6):
        await run_once(db, now=NOW + timedelta(seconds=n), limit=100, courier=courier)
    bodies = [msgspec.json.decode(got.body) for got in receiver.got]
    assert [(1, OPENED), (2, OPENED), (3, FINISHED)] == [(body["seq"], body["type"]) for body in bodies]
    assert {LANE} == {body["order_id"] for body in bodies}
    assert (2, 2) == (bodies[2]["data"]["lines"], bodies[2]["data"]["unsettled"])
    assert {"/hook"} == {got.path for got in receiver.got}


async def test_a_flood_of_breaks_is_counted_and_not_told_one_by_one(db: Database) -> None:
    """More than anybody reads one by one: so many are told, and the last event says how many there are."""
    party = a_party(SHOP)
    await brought(db, party, wechat_bill(MCHID, *(f"A-{n}" for n in range(MOST_AT_ONCE + 5))))
    await laid(db, party)
    async with db.session() as tx:
        events = await outbox.of_order(tx, LANE, since=LONG_AGO)
    last = events[-1]
    assert (MOST_AT_ONCE + 1, MOST_AT_ONCE + 5) == (len(events), last.data["unsettled"])
    assert list(range(1, MOST_AT_ONCE + 2)) == [event.seq for event in events]


async def test_days_have_numbers_of_their_own(db: Database) -> None:
    """Of two days in one transaction each goes on by itself."""
    party = a_party(SHOP)
    await brought(db, party, wechat_bill(MCHID, "A-1"))
    (change,) = (await laid(db, party)).changes
    other = msgspec.structs.replace(change.after, id="brk-other", key="other", day=DAY - timedelta(days=1))
    async with db.transaction() as tx:
        await tell.changed(tx, [msgspec.structs.replace(change, after=other)], "test", NOW)
        events = await outbox.of_order(tx, f"wechat/main/{other.day}", since=LONG_AGO)
        assert "brk-other" in await store_ids(tx)
    assert ([(1, OPENED)], [(1, OPENED), (2, FINISHED)]) == ([(e.seq, e.type.value) for e in events], await told(db))


async def store_ids(tx: object) -> list[str]:
    return [one.id for one in await store.page(tx, store.Filter(), 10)]


def test_handlers_are_not_promised_what_they_do_not_hear() -> None:
    """They run in the transaction that changes an order; a day's result changes none."""
    with pytest.raises(ConfigError, match="endpoints only"):
        Handlers().on("reconcile.finished")
