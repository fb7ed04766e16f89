"""What is repaired without anybody's approval stays within a day's limits; what people agreed to is done."""

import asyncio
from datetime import date, timedelta

from test_reconcile_mends import breaks, day_of, next_morning, no_bills, paid, party, shop, tools

from merchant import Merchant
from paidup.ask import Answer, Asker
from paidup.channels.bill import BillKind
from paidup.orders.order import Order
from paidup.payments.payment import Payment
from paidup.reconcile import people
from paidup.reconcile.fetch import fetch_bill
from paidup.reconcile.mend import mend
from paidup.reconcile.run import reconcile
from paidup.reconcile.states import State as Is
from paidup.reconcile.table import Limits
from paidup.reconcile.worker import run_once

__all__ = ["no_bills", "shop"]


class Together:
    """Asks when both are about to ask, as two processes do that begin at the same time."""

    def __init__(self, asker: Asker, both: asyncio.Barrier) -> None:
        self._asker, self._both = asker, both
        self.now_of = asker.now_of

    async def about_payment(self, payment: Payment, order: Order, now: object) -> Answer:
        await self._both.wait()
        return await self._asker.about_payment(payment, order, now)  # type: ignore[arg-type]


async def laid_with_one_unknown(shop: Merchant, number: str) -> date:
    """A day whose bill has a payment that is unpaid here."""
    await shop.to_a_fresh_day()
    await paid(shop, number)
    day = day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    await fetch_bill(shop.db, shop.asker, party(shop), BillKind.TRADES, day)
    await reconcile(
        shop.db, party(shop), day, now=shop.clock.now(), spill=None, limits=Limits(memory_mb=128), who="test"
    )
    return day


async def test_two_processes_share_the_limits_of_a_day(shop: Merchant, no_bills: None) -> None:
    """One repair a day needs no approval. Two days are mended at the same time, and one payment is booked: the other
    waits for people."""
    days = [await laid_with_one_unknown(shop, number) for number in ("A-1", "A-2")]
    its, both = party(shop, repair_count=1), asyncio.Barrier(2)

    async def mended(day: date) -> int:
        asker = Together(shop.asker, both)
        return await mend(shop.db, its, day, asker=asker, handlers=shop.handlers, who="test")  # type: ignore[arg-type]

    assert [0, 1] == sorted(await asyncio.gather(*map(mended, days)))
    assert [Is.HEALED, Is.OPEN] == sorted(one.state for one in await breaks(shop))
    assert [1] == await shop.column("SELECT count(*) FROM payments WHERE state = 'paid'")
    steps = await shop.column("SELECT why FROM break_steps WHERE step = 'approval wanted'")
    assert ["1 repairs a day need no approval, and so many were done"] == steps


async def test_what_was_agreed_to_does_not_wait_for_accounts_that_are_gone(shop: Merchant, no_bills: None) -> None:
    """Of an account that was taken out of the accounts folder older repairs were agreed to, as many as a round does."""
    await laid_with_one_unknown(shop, "A-1")
    (waits,) = await breaks(shop)
    async with shop.db.transaction() as tx:
        for who in ("anna", "bob"):
            await people.approve(
                tx, waits.id, shop=None, who=who, why="seen", rules=party(shop).rules, now=shop.clock.now()
            )
        changed = "jsonb_build_object('id', 'brk_gone', 'account', 'gone', 'day', $1::date)"
        await tx.execute(
            f"INSERT INTO breaks SELECT (jsonb_populate_record(b, {changed})).* FROM breaks b",
            waits.day - timedelta(days=90),
        )
    done = await run_once(shop.db, now=shop.clock.now(), limit=1, parties=[party(shop)], tools=tools(shop))
    left = {one.id: one.state for one in await breaks(shop)}
    assert (1, {waits.id: Is.HEALED, "brk_gone": Is.APPROVED}) == (done, left)
