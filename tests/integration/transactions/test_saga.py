"""Claims about a saga whose participants are real services that misbehave on order."""

import pytest

from paidup.participant import Call, Operation
from paidup.testing.builders import closed, paid
from paidup.transactions.table import MAX_WITHIN_S
from participant_side import Mischief
from transaction_side import PAYMENT, Shop, a_saga, a_step


async def test_every_service_does_its_step_once_and_the_shop_is_told(shop: Shop) -> None:
    """Stage by stage; one event at the end."""
    t = await shop.begin(a_saga())
    await shop.to_the_end()
    assert ["RUNNING", "DONE"] == await shop.moves(t)
    assert (["action"], ["action"]) == (shop.services["coupon"].deeds(t.id), shop.services["points"].deeds(t.id))
    assert ["transaction.done"] == await shop.told()


async def test_a_refusal_undoes_what_was_done_last_first(shop: Shop) -> None:
    """The third says no: points, then the coupon, are taken back; whoever refused is not asked to undo."""
    shop.services["parcel"].plan = lambda _call, _n: Mischief.REFUSE
    t = await shop.begin(a_saga(a_step("coupon"), a_step("points"), a_step("parcel")))
    await shop.to_the_end()
    assert ["RUNNING", "COMPENSATING", "COMPENSATED"] == await shop.moves(t)
    undone = [line.step for line in await shop.lines(t) if line.outcome == "success" and line.operation == "compensate"]
    assert ["points", "coupon"] == undone
    assert {"coupon": 0, "points": 0, "parcel": 0} == shop.left(t)
    assert ["transaction.undone"] == await shop.told()


@pytest.mark.parametrize(
    "mischief",
    [
        Mischief.ACT_AND_SILENCE, Mischief.ACT_AND_ABORT, Mischief.ACT_AND_500, Mischief.SILENCE, Mischief.ERROR,
        Mischief.BUSY, Mischief.TWICE, Mischief.ANSWER_TWICE,
    ],
)  # fmt: skip
async def test_whatever_goes_wrong_at_first_each_step_counts_once(shop: Shop, mischief: Mischief) -> None:
    """An unknown outcome is asked again under the same key; the barrier answers what was answered before."""
    for service in shop.services.values():
        service.plan = lambda _call, n: mischief if n == 0 else Mischief.NONE
    t = await shop.begin(a_saga(a_step("coupon"), a_step("points", parallel=True), a_step("parcel")))
    await shop.to_the_end()
    assert ("DONE", {"coupon": 1, "points": 1, "parcel": 1}) == ((await shop.now(t)).state, shop.left(t))
    assert {1} == {len(set(service.keys)) for service in shop.services.values()}


async def test_who_may_have_acted_is_undone_and_a_late_request_finds_the_door_shut(shop: Shop) -> None:
    """It never answers its action; it is undone although nobody knows, and what comes late does nothing."""
    points = shop.services["points"]
    points.plan = lambda call, _n: Mischief.LATE if call.operation is Operation.ACTION else Mischief.NONE
    t = await shop.begin(a_saga(a_step("coupon"), a_step("points", tries=2)))
    await shop.to_the_end()
    points.deliver_late()
    assert ("COMPENSATED", {"coupon": 0, "points": 0, "parcel": 0}) == ((await shop.now(t)).state, shop.left(t))
    assert [] == points.deeds(t.id)


async def test_a_compensation_that_keeps_failing_calls_one_person_with_its_whole_record(shop: Shop) -> None:
    """MANUAL after all its tries, with one case, one event, and a line for each try."""

    def fails(call: Call, _n: int) -> Mischief:
        return Mischief.ERROR if call.operation is Operation.COMPENSATE else Mischief.NONE

    shop.services["coupon"].plan = fails
    shop.services["points"].plan = lambda _call, _n: Mischief.REFUSE
    t = await shop.begin(a_saga())
    await shop.to_the_end()
    stuck = await shop.now(t)
    tries = [line for line in await shop.lines(t) if line.operation == "compensate"]
    assert ("MANUAL", "COMPENSATING", 12) == (stuck.state, stuck.stuck_in, len(tries))
    assert ([("transaction_stuck", t.id)], ["case.opened"]) == (await shop.cases(), await shop.told())
    assert stuck.updated_at <= stuck.ends_by


async def test_after_the_payment_there_is_only_forward(shop: Shop) -> None:
    """The parcel refuses after the order was paid: nothing is taken back, a person decides."""
    shop.services["parcel"].plan = lambda _call, _n: Mischief.REFUSE
    t = await shop.begin(a_saga(a_step("coupon"), PAYMENT, a_step("parcel")))
    await shop.rest()
    assert ("RUNNING", True) == ((await shop.now(t)).state, (await shop.now(t)).waits)
    await shop.hears(paid())
    await shop.to_the_end()
    assert ("MANUAL", {"coupon": 1, "points": 0, "parcel": 0}) == ((await shop.now(t)).state, shop.left(t))
    assert [("transaction_stuck", t.id)] == await shop.cases()


async def test_the_order_is_given_up_before_anything_is_taken_back(shop: Shop) -> None:
    """A step refuses: the order is closed first, so that nobody can pay for what is no longer reserved."""
    shop.services["points"].plan = lambda _call, _n: Mischief.REFUSE
    t = await shop.begin(a_saga(a_step("coupon"), a_step("points"), PAYMENT))
    await shop.rest()
    assert ("COMPENSATING", "closing", 1) == (
        (await shop.now(t)).state, await shop.order_state(), shop.services["coupon"].left(t.id)
    )  # fmt: skip
    await shop.hears(closed())
    await shop.to_the_end()
    assert ("COMPENSATED", {"coupon": 0, "points": 0, "parcel": 0}) == ((await shop.now(t)).state, shop.left(t))


async def test_rows_of_the_barrier_may_go_when_their_transaction_has_ended_and_not_by_their_age(shop: Shop) -> None:
    """As the guide says it: one that waited a month for its payment is undone after others' rows were deleted."""
    ended = await shop.begin(a_saga(), 1)
    t = await shop.begin(a_saga(a_step("coupon"), PAYMENT, within_s=MAX_WITHIN_S), 2)
    await shop.rest()
    await shop.clock.advance(MAX_WITHIN_S + 1)
    coupons = shop.services["coupon"]
    for old in (ended, t):
        if (await shop.now(old)).is_final:
            coupons.db.execute("DELETE FROM paidup_barrier WHERE xid = ?", (old.id,))
    await shop.rest()
    async with shop.db.transaction() as tx:  # the channel says that nobody can pay any more
        await tx.execute("UPDATE orders SET state = 'closed', updated_at = $1", shop.clock.now())
    await shop.to_the_end()
    assert ("COMPENSATED", 0) == ((await shop.now(t)).state, coupons.left(t.id))
    assert ("DONE", 1) == ((await shop.now(ended)).state, coupons.left(ended.id))
