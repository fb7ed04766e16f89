"""While the channel is asked, or a bill is read, others go on: what they said since is not overwritten."""

from collections.abc import Awaitable, Callable

import pytest
from test_reconcile_mends import breaks, day_of, fetched, next_morning, paid, party, shop, tools

from merchant import Merchant
from paidup.ask import Answer, Asker
from paidup.orders.order import Order
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.reconcile import people
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import State as Is
from paidup.reconcile.worker import run_once, work_day

__all__ = ["shop"]


def while_asked(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[object]]) -> None:
    """Something happens while the first question is under way."""
    original, asked = Asker.about_payment, []

    async def slowly(asker: Asker, payment: Payment, order: Order, now: object) -> Answer:
        if not asked:
            asked.append(payment.id)
            await happens()
        return await original(asker, payment, order, now)  # type: ignore[arg-type]  # its own type

    monkeypatch.setattr(Asker, "about_payment", slowly)


async def test_what_a_person_settled_while_the_channel_was_asked_stays_settled(
    shop: Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anna has given the money back in cash, and says so in this moment: nothing is booked, and her word stands."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    await fetched(shop, day)

    async def resolve() -> None:
        (one,) = await breaks(shop)
        async with shop.db.transaction() as tx:
            await people.resolve(tx, one.id, shop=None, who="anna", why="given back in cash", now=shop.clock.now())

    while_asked(monkeypatch, resolve)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    (one,) = await breaks(shop)
    assert (Is.RESOLVED, State.OPEN) == (one.state, (await shop.payment(payment)).state)


async def test_what_people_agreed_to_while_the_channel_was_asked_is_done(
    shop: Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel contradicts its bill, and in this moment two people agree to the repair all the same: the answer does
    not undo that, and the next round repairs it."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    await fetched(shop, day)
    trade = shop.trade(payment)
    trade.state, trade.paid_at = type(trade.state).WAITING, None

    async def agree() -> None:
        (one,) = await breaks(shop)
        for who in ("anna", "bob"):
            async with shop.db.transaction() as tx:
                await people.approve(
                    tx, one.id, shop=None, who=who, why="seen", rules=Rules(), now=shop.clock.now()
                )  # fmt: skip

    while_asked(monkeypatch, agree)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    assert [Is.APPROVED] == [one.state for one in await breaks(shop)]
    await run_once(shop.db, now=shop.clock.now(), limit=8, parties=[party(shop)], tools=tools(shop))
    assert ([Is.HEALED], State.PAID) == ([one.state for one in await breaks(shop)], (await shop.payment(payment)).state)
