"""While the channel is asked, or a bill is read, others go on: what they said since is not overwritten."""

import io
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta

import pytest
from test_reconcile_mends import breaks, day_of, fetched, next_morning, paid, party, shop, tools

from merchant import Merchant
from paidup.ask import Answer, Asker
from paidup.channels.bill import BillKind
from paidup.db.transaction import Database, Tx
from paidup.errors import Conflict
from paidup.orders.order import Order
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.reconcile import bills, people, run, run_lay, runs, store
from paidup.reconcile.breaks import Kind
from paidup.reconcile.known import Known
from paidup.reconcile.match import Matched
from paidup.reconcile.party import Party
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import UNSETTLED
from paidup.reconcile.states import State as Is
from paidup.reconcile.worker import run_once, work_day
from upload_side import DAY, LIMITS, MCHID, NOW, a_party, booked, wechat_bill

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


def while_looked_up(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[object]]) -> None:
    """Something happens after the first run has read its bill and our books, and before it writes what it found."""
    original, looked = run_lay.look_up, []

    async def slowly(tx: Tx, party: Party, day: date, matched: Matched) -> Known:
        found = await original(tx, party, day, matched)
        if not looked:
            looked.append(day)
            await happens()
        return found

    monkeypatch.setattr(run_lay, "look_up", slowly)


async def kept(db: Database, now: datetime, *refs: str, day: date = DAY) -> None:
    """The channel's bill of a day, with these payments."""
    its = bills.Brought(
        shop="teahouse", channel="wechat", account="main", kind=BillKind.TRADES, day=day, source="fetched"
    )
    async with db.transaction() as tx:
        await bills.keep(tx, its, io.BytesIO(wechat_bill(MCHID, *refs, day=day)), now)


async def laid_beside(db: Database, now: datetime, day: date = DAY) -> None:
    outcome = await run.reconcile(db, a_party("teahouse"), day, now=now, spill=None, limits=LIMITS, who="test")
    assert outcome.run is not None, outcome.refused


async def unsettled(db: Database) -> list[Kind]:
    async with db.session() as tx:
        return [one.kind for one in await store.page(tx, store.Filter(), 10) if one.state in UNSETTLED]


async def test_a_slow_run_over_the_first_version_does_not_take_back_the_second(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process reads version 1, which lacks a line. Version 2 comes, another process lays it, and both sides agree:
    so they do when the first process has ended, too."""
    await booked(db, a_party("teahouse"), "A-1", "A-2")
    await kept(db, NOW, "A-1")

    async def corrected() -> None:
        await kept(db, NOW + timedelta(seconds=5), "A-1", "A-2")
        await laid_beside(db, NOW + timedelta(seconds=6))

    while_looked_up(monkeypatch, corrected)
    await laid_beside(db, NOW)
    async with db.session() as tx:
        latest = await runs.latest_of(tx, "wechat", "main", DAY)
        (balance,) = await runs.page_of_balances(tx, None, 10)
    assert latest is not None
    assert (2, [], 2500 - 16) == (latest.bill_version, await unsettled(db), balance.closing_minor)


async def test_a_slow_run_does_not_forget_what_was_booked_meanwhile(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bill is the same, but our books were copied before a payment was booked: the run that saw it holds."""
    await kept(db, NOW, "A-1")

    async def heard_of() -> None:
        await booked(db, a_party("teahouse"), "A-1")
        await laid_beside(db, NOW)

    while_looked_up(monkeypatch, heard_of)
    await laid_beside(db, NOW)
    assert [] == await unsettled(db)


async def test_two_neighbour_days_that_are_laid_at_once_find_each_other(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payment of DAY stands in the next day's bill. Each run looks up what the other days said before either has
    written anything; the second to write still sees what the first one wrote."""
    await booked(db, a_party("teahouse"), "A-1")
    tomorrow = DAY + timedelta(days=1)
    await kept(db, NOW)
    await kept(db, NOW, "A-1", day=tomorrow)

    async def the_day_before() -> None:
        await laid_beside(db, NOW)

    while_looked_up(monkeypatch, the_day_before)
    await laid_beside(db, NOW, tomorrow)
    assert [] == await unsettled(db)


async def test_who_is_always_overtaken_gives_up(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others write faster than this one reads: it says so, and leaves the day to them."""
    await booked(db, a_party("teahouse"), "A-1")
    await kept(db, NOW, "A-1")
    original = run_lay.look_up

    async def slowly(tx: Tx, party: Party, day: date, matched: Matched) -> Known:
        found = await original(tx, party, day, matched)
        monkeypatch.setattr(run_lay, "look_up", original)
        await laid_beside(db, NOW)
        monkeypatch.setattr(run_lay, "look_up", slowly)
        return found

    monkeypatch.setattr(run_lay, "look_up", slowly)
    with pytest.raises(Conflict, match="another run of wechat/main 2026-11-22 was first"):
        await laid_beside(db, NOW)
    assert [] == await unsettled(db)
