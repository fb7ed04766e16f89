"""Claims about those who decide, about many workers, and about services that fail broadly."""

import asyncio
from datetime import timedelta

import pytest

from paidup.errors import BrokenPromise, Conflict
from paidup.handlers import Handlers
from paidup.participant import Call, Operation
from paidup.testing.builders import paid
from paidup.transactions import participants, person, store
from paidup.transactions.transaction import Transaction
from paidup.transactions.worker import Coordinator
from participant_side import Mischief
from transaction_side import PAYMENT, Shop, a_saga, a_step, takes_over

LIN = {"shop": None, "who": "lin", "why": "seen to"}


async def decides(shop: Shop, deed: str, t: Transaction, *args: str) -> Transaction:
    async with shop.db.transaction() as tx:
        return await getattr(person, deed)(tx, t.id, *args, **LIN, now=shop.clock.now())


async def a_stuck_parcel(shop: Shop) -> Transaction:
    """Paid, and the parcel refuses."""
    shop.services["parcel"].plan = lambda _call, _n: Mischief.REFUSE
    t = await shop.begin(a_saga(a_step("coupon"), PAYMENT, a_step("parcel"), a_step("points")))
    await shop.hears(paid())
    await shop.to_the_end()
    assert "MANUAL" == (await shop.now(t)).state
    return t


async def test_a_step_that_somebody_answers_for_lets_the_rest_go_on(shop: Shop) -> None:
    """Skipped with a reason: the case is closed with it, the points are given, and the record says who."""
    t = await a_stuck_parcel(shop)
    await decides(shop, "skip_step", t, "parcel")
    await shop.to_the_end()
    assert ("DONE", [], 1) == ((await shop.now(t)).state, await shop.cases(), shop.services["points"].left(t.id))
    (line,) = [line for line in await shop.lines(t) if line.kind == "operator"]
    assert ("skip", "parcel", "lin", "seen to") == (line.operation, line.step, line.who, line.why)


async def test_what_is_stuck_is_tried_again_when_somebody_says_so(shop: Shop) -> None:
    """A participant keeps its refusal, so that only another participant's mending helps; stuck again is a new case."""
    t = await a_stuck_parcel(shop)
    await decides(shop, "retry", t)
    await shop.to_the_end()
    assert ("MANUAL", [("transaction_stuck", t.id)]) == ((await shop.now(t)).state, await shop.cases())
    assert 2 == (await shop.told()).count("case.opened")


async def test_nobody_undoes_what_has_passed_its_pivot(shop: Shop) -> None:
    """Refund the order instead: said with a conflict."""
    t = await a_stuck_parcel(shop)
    with pytest.raises(Conflict, match="refund the order instead"):
        await decides(shop, "compensate", t)


async def a_silent_pivot(shop: Shop) -> Transaction:
    shop.services["points"].plan = lambda _call, _n: Mischief.ERROR
    t = await shop.begin(a_saga(a_step("coupon"), a_step("points", pivot=True), a_step("parcel"), within_s=60))
    await shop.to_the_end()
    assert "MANUAL" == (await shop.now(t)).state
    return t


async def test_who_has_found_out_that_the_pivot_was_not_done_can_have_the_rest_undone(shop: Shop) -> None:
    """His word stands in the record as the step's own move; the pivot is asked for nothing any more."""
    t = await a_silent_pivot(shop)
    asked = len(shop.asked("points"))
    async with shop.db.transaction() as tx:
        await person.compensate(tx, t.id, **LIN, now=shop.clock.now(), not_done="points")
    await shop.to_the_end()
    assert ("COMPENSATED", {"coupon": 0, "points": 0, "parcel": 0}, asked, []) == (
        (await shop.now(t)).state, shop.left(t), len(shop.asked("points")), await shop.cases()
    )  # fmt: skip
    (line,) = [line for line in await shop.lines(t) if line.after == "refused"]
    assert ("points", "a person knows that it was not done: seen to") == (line.step, line.why)


async def test_nobody_undoes_what_may_be_done_without_saying_that_it_was_not(shop: Shop) -> None:
    """A pivot that stayed silent: a wish alone is not enough, and the answer names both ways. Only of such a pivot can
    it be said, and only when a person was called."""
    t = await a_silent_pivot(shop)
    with pytest.raises(Conflict, match="if it was not, say so"):
        await decides(shop, "compensate", t)
    young = await shop.begin(a_saga(a_step("coupon"), a_step("points", pivot=True)), 2)
    await shop.rest()
    for which, step in ((t, "coupon"), (t, "parcel"), (young, "points")):
        with pytest.raises(Conflict, match="is no pivot that waits for a person"):
            async with shop.db.transaction() as tx:
                await person.compensate(tx, which.id, **LIN, now=shop.clock.now(), not_done=step)


async def test_a_customer_who_gives_up_gets_everything_back(shop: Shop) -> None:
    """Undone on demand while it waits for the payment; the order is closed at the channel first."""
    t = await shop.begin(a_saga(a_step("coupon"), PAYMENT))
    await shop.rest()
    await decides(shop, "compensate", t)
    await shop.rest()
    assert ("COMPENSATING", "closing", 1) == (
        (await shop.now(t)).state, await shop.order_state(), shop.services["coupon"].left(t.id)
    )  # fmt: skip


@pytest.mark.parametrize("deed", ["compensate", "retry"])
async def test_who_lets_it_be_undone_gives_the_channel_its_day_again(shop: Shop, deed: str) -> None:
    """Stuck because the channel did not say for a day that nobody can pay: it is not called stuck again at once."""
    t = await shop.begin(a_saga(a_step("coupon"), PAYMENT, within_s=60))
    await shop.to_the_end()
    assert ("MANUAL", "COMPENSATING") == ((await shop.now(t)).state, (await shop.now(t)).stuck_in)
    await decides(shop, deed, t)
    await shop.rest()
    assert ("COMPENSATING", shop.clock.now()) == ((await shop.now(t)).state, (await shop.now(t)).turned_at)


async def test_what_is_being_undone_can_be_undone_once_more_whoever_answered_for_the_payment(shop: Shop) -> None:
    """Somebody answered for the payment that a channel was silent about, and then the coupon service failed: it has not
    passed its pivot by that."""
    shop.services["coupon"].plan = lambda call, _n: (
        Mischief.ERROR if call.operation is Operation.COMPENSATE else Mischief.NONE
    )
    t = await shop.begin(a_saga(a_step("coupon"), PAYMENT, within_s=60))
    await shop.to_the_end()
    await decides(shop, "skip_step", t, "payment")
    await shop.to_the_end()
    assert "MANUAL" == (await shop.now(t)).state
    shop.services["coupon"].plan = lambda _call, _n: Mischief.NONE
    await decides(shop, "compensate", t)
    await shop.to_the_end()
    assert ("COMPENSATED", 0, []) == ((await shop.now(t)).state, shop.left(t)["coupon"], await shop.cases())


async def test_who_hurries_a_message_does_not_deny_its_sender(shop: Shop) -> None:
    """The question shuts the door on what the sender has not done yet: it is not asked before after_s."""
    t = await shop.begin(a_saga(a_step("coupon", check_back=True, after_s=600.0), a_step("points")))
    await shop.rest()
    await decides(shop, "retry", t)
    await shop.rest()
    assert ([], t.began_at + timedelta(seconds=600)) == (shop.asked("coupon"), (await shop.now(t)).due_at)


async def test_who_hurries_what_waits_for_its_next_try_has_it_asked_at_once(shop: Shop) -> None:
    """A check back, too, once it may be asked."""
    shop.services["coupon"].plan = lambda _call, _n: Mischief.ERROR
    t = await shop.begin(a_saga(a_step("coupon", check_back=True, after_s=600.0), a_step("points")))
    await shop.clock.advance(600)
    await shop.rest()
    assert 1 == len(shop.asked("coupon"))
    await decides(shop, "retry", t)
    await shop.rest()
    assert 2 == len(shop.asked("coupon"))


async def test_a_compensation_mended_goes_on_from_where_it_was(shop: Shop) -> None:
    """The coupon service was broken for long; after its mending one retry ends it, and the case is closed."""
    broken = [True]

    def plan(call: Call, _n: int) -> Mischief:
        return Mischief.ERROR if call.operation is Operation.COMPENSATE and broken[0] else Mischief.NONE

    shop.services["coupon"].plan = plan
    shop.services["points"].plan = lambda _call, _n: Mischief.REFUSE
    t = await shop.begin(a_saga())
    await shop.to_the_end()
    broken[0] = False
    await decides(shop, "retry", t)
    await shop.to_the_end()
    assert ("COMPENSATED", [], {"coupon": 0, "points": 0, "parcel": 0}) == (
        (await shop.now(t)).state, await shop.cases(), shop.left(t)
    )  # fmt: skip


async def test_who_decides_while_a_request_is_under_way_is_obeyed(shop: Shop) -> None:
    """The worker that was asking finds that it was taken over; what it heard is on record, and changes nothing."""
    shop.services["coupon"].plan = lambda _call, _n: Mischief.ACT_AND_SILENCE
    t = await shop.begin(a_saga(a_step("coupon", timeout_s=1.0)))
    await shop.round()
    assert shop.coordinator.busy
    await decides(shop, "compensate", t)
    shop.services["coupon"].plan = lambda _call, _n: Mischief.NONE
    await shop.to_the_end()
    assert ("COMPENSATED", ["action", "compensate"]) == (
        (await shop.now(t)).state, shop.services["coupon"].deeds(t.id)
    )  # fmt: skip
    assert 1 == len([line for line in await shop.lines(t) if line.operation == "action" and line.kind == "call"])


async def test_a_handler_that_raises_does_not_keep_a_person_from_being_called(shop: Shop) -> None:
    """The shop's own handler of case.opened is broken: told five times in half a minute, then the case is opened
    without it, for the reason that there was; its participant is asked no more than once."""
    told = []

    @shop.coordinator.handlers.on("case.opened")
    async def fails(_tx: object, _event: object) -> None:
        told.append(shop.clock.now())
        raise ValueError("the shop's own table is full")

    shop.services["parcel"].plan = lambda _call, _n: Mischief.REFUSE
    t = await shop.begin(a_saga(a_step("coupon", pivot=True), a_step("parcel")))
    await shop.to_the_end()
    seen = await shop.now(t)
    assert ("MANUAL", "RUNNING", True, [("transaction_stuck", t.id)]) == (
        seen.state, seen.stuck_in, "there is none left" in seen.why, await shop.cases()
    )  # fmt: skip
    assert (6, 30, ["action"]) == (len(told), (told[-1] - told[0]).total_seconds(), shop.asked("parcel"))


async def test_a_handler_of_the_end_that_raises_calls_a_person_who_lets_it_end(shop: Shop) -> None:
    """All is done, and the shop's own handler of transaction.done is broken: a person is called, nobody is asked again,
    and once it is mended one retry ends it."""
    broken = [True]

    @shop.coordinator.handlers.on("transaction.done")
    async def fails(_tx: object, _event: object) -> None:
        if broken[0]:
            raise ValueError("the shop's own table is full")

    t = await shop.begin(a_saga())
    await shop.to_the_end()
    seen = await shop.now(t)
    assert ("MANUAL", True, ["case.opened"]) == (seen.state, "table is full" in seen.why, (await shop.told())[-1:])
    broken[0] = False
    await decides(shop, "retry", t)
    await shop.to_the_end()
    assert ("DONE", [], ["action"], ["action"]) == (
        (await shop.now(t)).state, await shop.cases(), shop.asked("coupon"), shop.asked("points")
    )  # fmt: skip


async def test_many_workers_take_each_transaction_once(shop: Shop) -> None:
    """Three at a time over thirty transactions: each step is asked for once."""
    begun = [await shop.begin(a_saga(), number) for number in range(1, 31)]
    others = [Coordinator(shop.coordinator.requester, Handlers(), spread=lambda: 1.0) for _ in range(3)]

    async def work(coordinator: Coordinator) -> None:
        while await shop.round(coordinator=coordinator) or coordinator.busy:
            pass

    await asyncio.gather(*map(work, others))
    await shop.to_the_end()
    assert {"DONE"} == {(await shop.now(t)).state for t in begun}
    assert {1} == set(shop.services["coupon"].keys.values()) | set(shop.services["points"].keys.values())


async def test_a_service_that_fails_broadly_is_left_alone_and_everything_ends_all_the_same(shop: Shop) -> None:
    """After ten failures the breaker opens: what is not sent counts as a try, so that the time stays bounded."""
    acts = Operation.ACTION
    shop.services["points"].plan = lambda call, _n: Mischief.BUSY if call.operation is acts else Mischief.NONE
    begun = [await shop.begin(a_saga(), number) for number in range(1, 16)]
    await shop.to_the_end()
    ended = [await shop.now(t) for t in begun]
    assert {"COMPENSATED"} == {t.state for t in ended}
    assert [] == [t.id for t in ended if t.ended_at is None or t.ended_at > t.ends_by]
    assert len(shop.services["points"].got) < 15 * 8  # not all of their tries were sent


async def test_a_participant_that_is_not_registered_is_waited_for_within_bounds(shop: Shop) -> None:
    """A table may outlive a participant; nothing is sent, and what was done is undone."""
    async with shop.db.transaction() as tx:
        await tx.execute("DELETE FROM participants WHERE name = 'points'")
        assert ["coupon", "parcel"] == [p.name for p in await participants.list_participants(tx, None)]
    t = await shop.begin(a_saga())
    await shop.to_the_end()
    assert ("COMPENSATED", 0) == ((await shop.now(t)).state, shop.services["coupon"].left(t.id))


async def sql(shop: Shop, query: str, t: Transaction) -> None:
    async with shop.db.transaction() as tx:
        await tx.execute(query, t.id)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE transaction_steps SET state = 'paused' WHERE xid = $1 AND name = 'coupon'",
        "UPDATE transactions SET state = 'PAUSED' WHERE id = $1",
        "UPDATE transactions SET agreed = '{}' WHERE id = $1",
    ],
    ids=["a step", "its state", "its table"],
)
async def test_a_transaction_that_cannot_be_read_hinders_no_other(shop: Shop, damage: str) -> None:
    """An older version after a rollback does not know every state: each round goes on with all the others, and lists
    show them."""
    broken, whole, stuck = [await shop.begin(a_saga(), number) for number in (1, 2, 3)]
    await sql(shop, damage, broken)
    manual = "UPDATE transactions SET state = 'MANUAL', stuck_in = 'RUNNING', due_at = NULL WHERE id = $1"
    await sql(shop, manual, stuck)
    for _ in range(3):
        await shop.rest()
        await takes_over(shop)
    assert "DONE" == (await shop.now(whole)).state
    async with shop.db.session() as tx:
        listed = await store.unfinished(tx, None, None, None, 1)
        assert ([stuck.id], []) == ([t.id for t in listed], await store.of_order(tx, broken.order_id))
        with pytest.raises(BrokenPromise, match=broken.id):
            await store.get(tx, broken.id)
