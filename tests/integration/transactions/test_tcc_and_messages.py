"""Claims about TCC, reliable messages with check-back, and a service as the pivot, over services that misbehave."""

import pytest

from paidup.participant import Call, Operation
from paidup.testing.builders import closed, paid
from participant_side import Mischief
from transaction_side import PAYMENT, Shop, a_saga, a_step, a_tcc

FIRST_FAILS = [Mischief.ACT_AND_SILENCE, Mischief.ACT_AND_500, Mischief.SILENCE, Mischief.TWICE, Mischief.ANSWER_TWICE]


@pytest.mark.parametrize("mischief", FIRST_FAILS)
async def test_every_try_is_confirmed_once_whatever_goes_wrong_at_first(shop: Shop, mischief: Mischief) -> None:
    """Tries and confirmations act and do not say so, are lost, or come twice."""
    for service in shop.services.values():
        service.plan = lambda _call, n: mischief if n == 0 else Mischief.NONE
    t = await shop.begin(a_tcc(a_step("coupon"), a_step("points", parallel=True)))
    await shop.to_the_end()
    assert ["INIT", "TRYING", "CONFIRMING", "CONFIRMED"] == await shop.moves(t)
    assert [["try", "confirm"]] * 2 == [shop.services[name].deeds(t.id) for name in ("coupon", "points")]


async def test_a_refused_try_gives_everything_back(shop: Shop) -> None:
    """What was set aside is cancelled; nothing is confirmed."""
    shop.services["points"].plan = lambda _call, _n: Mischief.REFUSE
    t = await shop.begin(a_tcc(a_step("coupon"), a_step("points", parallel=True)))
    await shop.to_the_end()
    assert ["INIT", "TRYING", "CANCELLING", "CANCELLED"] == await shop.moves(t)
    assert (["try", "cancel"], []) == (shop.services["coupon"].deeds(t.id), shop.services["points"].deeds(t.id))


async def test_what_was_tried_is_final_once_the_order_is_paid(shop: Shop) -> None:
    """Nothing is confirmed before, and nothing cancelled after."""
    t = await shop.begin(a_tcc(a_step("coupon"), a_step("points"), PAYMENT))
    await shop.rest()
    assert ("TRYING", ["try", "try"]) == ((await shop.now(t)).state, shop.asked("coupon", "points"))
    await shop.hears(paid())
    await shop.to_the_end()
    assert ("CONFIRMED", ["try", "confirm"]) == ((await shop.now(t)).state, shop.services["coupon"].deeds(t.id))


async def test_an_order_that_can_no_longer_be_paid_gives_everything_back(shop: Shop) -> None:
    """The channel closed the last offer of an order that was given up."""
    t = await shop.begin(a_tcc(a_step("coupon"), PAYMENT))
    await shop.rest()
    await shop.close_order()
    await shop.hears(closed())
    await shop.to_the_end()
    assert ("CANCELLED", {"coupon": 0, "points": 0, "parcel": 0}) == ((await shop.now(t)).state, shop.left(t))


async def test_a_payment_overtakes_the_wish_to_cancel(shop: Shop) -> None:
    """Its time is over and the order is being closed; the customer was quicker: it is made final after all."""
    t = await shop.begin(a_tcc(a_step("coupon"), PAYMENT, within_s=60.0))
    await shop.rest()
    await shop.clock.advance(61)
    await shop.rest()
    assert ("CANCELLING", "closing") == ((await shop.now(t)).state, await shop.order_state())
    await shop.hears(paid())
    await shop.to_the_end()
    assert ["INIT", "TRYING", "CANCELLING", "CONFIRMING", "CONFIRMED"] == await shop.moves(t)
    assert ["try", "confirm"] == shop.services["coupon"].deeds(t.id)


async def test_a_confirmation_that_keeps_failing_calls_a_person(shop: Shop) -> None:
    """It is never cancelled instead: the order is paid."""

    def plan(call: Call, _n: int) -> Mischief:
        return Mischief.ERROR if call.operation is Operation.CONFIRM else Mischief.NONE

    shop.services["coupon"].plan = plan
    t = await shop.begin(a_tcc(a_step("coupon"), a_step("points", parallel=True)))
    await shop.to_the_end()
    stuck = await shop.now(t)
    assert ("MANUAL", "CONFIRMING", [("transaction_stuck", t.id)]) == (stuck.state, stuck.stuck_in, await shop.cases())
    assert ["try", "confirm"] == shop.services["points"].deeds(t.id)


async def test_a_message_whose_sender_acted_is_carried_out(shop: Shop) -> None:
    """The coupon service acts by itself, in its own transaction; checked back, it says so, and the points are given."""
    t = await shop.begin(a_saga(a_step("coupon", check_back=True, after_s=10.0), a_step("points")))
    await shop.rest()
    assert [] == shop.services["coupon"].got  # not sooner than ten seconds after the beginning
    acts = Call(xid=t.id, step="coupon", operation=Operation.ACTION, shop="teahouse", order_id="ord1")
    assert 200 == shop.services["coupon"].act(acts)[0]
    await shop.to_the_end()
    assert ("DONE", 1, 1) == (
        (await shop.now(t)).state, shop.services["coupon"].left(t.id), shop.services["points"].left(t.id)
    )  # fmt: skip


async def test_a_sender_has_a_minute_to_act_unless_the_table_says_otherwise(shop: Shop) -> None:
    """A worker goes on as soon as the transaction has begun; a sender that acts a moment later is not denied before."""
    t = await shop.begin(a_saga(a_step("coupon", check_back=True), a_step("points")))
    await shop.rest()
    await shop.clock.advance(59)
    await shop.rest()
    acts = Call(xid=t.id, step="coupon", operation=Operation.ACTION, shop="teahouse", order_id="ord1")
    status, said = shop.services["coupon"].act(acts)
    await shop.to_the_end()
    assert (200, "DONE") == (status, (await shop.now(t)).state), said
    assert 60 == ((await shop.now(t)).ended_at - t.began_at).total_seconds()


async def test_a_check_back_after_a_day_ends_by_when_it_says(shop: Shop) -> None:
    """Asked later than within_s, which is an hour: what `ends_by` promises holds all the same."""
    t = await shop.begin(a_saga(a_step("coupon", check_back=True, after_s=86400.0), a_step("points")))
    await shop.to_the_end()
    seen = await shop.now(t)
    assert ("COMPENSATED", True) == (seen.state, seen.ended_at <= seen.ends_by)


async def test_a_message_whose_sender_did_not_act_is_dropped_and_he_can_act_no_more(shop: Shop) -> None:
    """Whatever he does afterwards finds the door shut: nothing half-done is left."""
    t = await shop.begin(a_saga(a_step("coupon", check_back=True), a_step("points")))
    await shop.to_the_end()
    acts = Call(xid=t.id, step="coupon", operation=Operation.ACTION, shop="teahouse", order_id="ord1")
    assert ("COMPENSATED", 409) == ((await shop.now(t)).state, shop.services["coupon"].act(acts)[0])
    assert {"coupon": 0, "points": 0, "parcel": 0} == shop.left(t)


async def test_nobody_guesses_what_a_silent_pivot_did(shop: Shop) -> None:
    """The service that takes the money never says whether it did: neither forward nor back, but a person."""
    shop.services["points"].plan = lambda _call, _n: Mischief.ACT_AND_500
    t = await shop.begin(a_saga(a_step("coupon"), a_step("points", pivot=True), a_step("parcel")))
    await shop.to_the_end()
    assert ("MANUAL", ["action"], []) == (
        (await shop.now(t)).state, shop.services["coupon"].deeds(t.id), shop.asked("parcel")
    )  # fmt: skip
    assert "nobody knows whether points was done" in (await shop.now(t)).why
