"""Claims about the time that a transaction takes, whatever its participants ask for."""

from datetime import timedelta

import pytest

from paidup.participant import Call, Operation
from paidup.testing.builders import paid
from participant_side import Mischief
from transaction_side import PAYMENT, Shop, a_saga, a_step


def busy(shop: Shop, name: str, *operations: Operation) -> None:
    """Asked for one of these, it says for ever: in an hour."""

    def plan(call: Call, _n: int) -> Mischief:
        return Mischief.BUSY if call.operation in operations else Mischief.NONE

    shop.services[name].plan = plan
    shop.services[name].retry_after = "3600"


async def test_what_has_not_passed_its_pivot_in_time_is_undone_whatever_a_participant_asks(shop: Shop) -> None:
    """within_s is a minute; points asks for an hour. The coupon is given back after a minute."""
    busy(shop, "points", Operation.ACTION)
    t = await shop.begin(a_saga(a_step("coupon"), a_step("points"), within_s=60))
    await shop.to_the_end()
    seen = await shop.now(t)
    assert ("COMPENSATED", 0, t.expires_at) == (seen.state, shop.left(t)["coupon"], seen.ended_at)


async def test_a_participant_gets_the_time_it_asks_for_where_there_is_time(shop: Shop) -> None:
    """within_s is two hours: it is asked again after the hour that it wants, and not before."""
    busy(shop, "points", Operation.ACTION)
    t = await shop.begin(a_saga(a_step("coupon"), a_step("points"), within_s=7200))
    await shop.rest()
    assert (1, t.began_at + timedelta(hours=1)) == (len(shop.asked("points")), (await shop.now(t)).due_at)


@pytest.mark.parametrize("pivot", ["points", "coupon"])
async def test_it_has_ended_or_called_a_person_by_its_bound_whatever_a_participant_asks(shop: Shop, pivot: str) -> None:
    """A pivot, or what follows it, that asks for an hour each time: a person is called by `ends_by`."""
    busy(shop, "points", Operation.ACTION)
    t = await shop.begin(a_saga(*(a_step(name, pivot=name == pivot) for name in ("coupon", "points")), within_s=60))
    await shop.to_the_end()
    seen = await shop.now(t)
    assert ("MANUAL", True) == (seen.state, seen.updated_at <= seen.ends_by)


async def test_what_is_undone_is_undone_by_its_bound_whatever_a_participant_asks(shop: Shop) -> None:
    """Points refuses, and the coupon asks for an hour each time that it is to be given back."""
    busy(shop, "coupon", Operation.COMPENSATE)
    shop.services["points"].plan = lambda _call, _n: Mischief.REFUSE
    t = await shop.begin(a_saga(a_step("coupon"), a_step("points"), within_s=60))
    await shop.to_the_end()
    seen = await shop.now(t)
    assert ("MANUAL", True) == (seen.state, seen.updated_at <= seen.ends_by)


async def test_after_the_payment_a_participant_gets_the_time_that_the_channels_did_not_need(shop: Shop) -> None:
    """A day was kept for them; the parcel may ask for an hour of it."""
    busy(shop, "parcel", Operation.ACTION)
    t = await shop.begin(a_saga(PAYMENT, a_step("parcel"), within_s=60))
    await shop.hears(paid())
    await shop.rest()
    assert t.began_at + timedelta(hours=1) == (await shop.now(t)).due_at
    await shop.to_the_end()
    seen = await shop.now(t)
    assert ("MANUAL", True) == (seen.state, seen.updated_at <= seen.ends_by)
