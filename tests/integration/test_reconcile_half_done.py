"""A worker that dies, or loses the database, after the channel was asked leaves nothing half done for good."""

from typing import Any

import pytest
from test_reconcile_mends import (
    breaks,
    day_of,
    fetched,
    next_morning,
    no_bills,
    paid,
    party,
    rounds,
    shop,
    tools,
    uploaded_and_silent,
)

from merchant import Merchant
from paidup.payments.states import State
from paidup.reconcile import worker
from paidup.reconcile.breaks import Kind
from paidup.reconcile.states import State as Is
from paidup.reconcile.worker import work_day
from paidup.sandbox.faults import Faults

__all__ = ["no_bills", "shop"]


def breaks_once(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The database goes away at this step of the next round."""
    whole, calls = getattr(worker, step), []

    async def broken(*given: Any, **named: Any) -> Any:
        calls.append(step)
        if len(calls) == 1:
            raise ConnectionResetError("gone")
        return await whole(*given, **named)

    monkeypatch.setattr(worker, step, broken)


async def test_what_was_booked_is_laid_beside_the_bill_though_the_worker_died(
    shop: Merchant, no_bills: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The silent channel speaks at last and the payment is booked, and then the database is gone: the day is worked on
    again when the lease is over, and its case is closed."""
    payment = await uploaded_and_silent(shop)
    await rounds(shop, party(shop), hours=0.5)
    shop.sandbox.faults = Faults()
    breaks_once(monkeypatch, "reconcile")
    with pytest.raises(ConnectionResetError):
        await rounds(shop, party(shop), hours=8)
    assert State.PAID is (await shop.payment(payment)).state
    assert "reconcile_breaks" in await shop.cases()
    assert [1] == await rounds(shop, party(shop), hours=1)
    assert ([Is.HEALED], False) == ([one.state for one in await breaks(shop)], "reconcile_breaks" in await shop.cases())


async def test_people_hear_of_a_silent_channel_though_the_worker_died(
    shop: Merchant, no_bills: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third silence was written down, and then the database is gone: they hear of it when the lease is over."""
    await uploaded_and_silent(shop)
    assert [1] == await rounds(shop, party(shop), hours=0.2)
    breaks_once(monkeypatch, "expire")
    with pytest.raises(ConnectionResetError):
        await rounds(shop, party(shop), hours=0.5)
    assert ([(Is.WAITING, 3)], []) == ([(one.state, one.tries) for one in await breaks(shop)], await shop.cases())
    await rounds(shop, party(shop), hours=0.6)
    assert ([Is.OPEN], {"reconcile_long", "reconcile_breaks"}) == (
        [one.state for one in await breaks(shop)], set(await shop.cases()),
    )  # fmt: skip


async def test_a_run_that_a_person_began_is_brought_to_its_end(
    shop: Merchant, no_bills: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`paidup reconcile run` was killed when all but the last step was done: the workers do that."""
    await uploaded_and_silent(shop)
    await rounds(shop, party(shop), hours=0.5)
    shop.sandbox.faults = Faults()
    breaks_once(monkeypatch, "expire")
    day = (await breaks(shop))[0].day
    with pytest.raises(ConnectionResetError):
        await work_day(shop.db, party(shop), day, tools=tools(shop), who="cli", is_early=True)
    assert "reconcile_breaks" in await shop.cases()
    assert 1 in await rounds(shop, party(shop), hours=1)
    assert "reconcile_breaks" not in await shop.cases()


async def test_a_day_that_is_worked_on_is_left_alone_meanwhile(shop: Merchant, no_bills: None) -> None:
    """Another worker has it: its questions come back when their lease is over, and nothing is done twice."""
    payment = await uploaded_and_silent(shop)
    shop.sandbox.faults, day = Faults(), (await breaks(shop))[0].day
    async with worker._until_done(shop.db, party(shop), day, tools(shop)) as free:
        assert (True, [1]) == (free, await rounds(shop, party(shop), hours=0.2))
        assert State.PAID is not (await shop.payment(payment)).state
    assert 1 in await rounds(shop, party(shop), hours=1)
    assert State.PAID is (await shop.payment(payment)).state


async def test_money_that_is_held_by_the_bill_is_laid_beside_it_at_once(shop: Merchant, no_bills: None) -> None:
    """The silent channel's bill has another amount than agreed: it is held, and the difference says just that."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    shop.trade(payment).amount_minor += 1
    await next_morning(shop, "wechat", day)
    await fetched(shop, day)
    shop.sandbox.faults = Faults(fail=1.0)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    (one,) = await breaks(shop)
    assert (State.HELD, Kind.AMOUNT, 1) == ((await shop.payment(payment)).state, one.kind, one.differs_minor)
