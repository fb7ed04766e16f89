"""A day with more differences than one round asks about: what can be mended is mended, whatever stands beside it."""

import io
from datetime import date, timedelta

import msgspec
import pytest
from test_reconcile_mends import day_of, next_morning, no_bills, paid, party, shop, tools

from merchant import Merchant
from paidup.channels.bill import BillKind
from paidup.db.transaction import Database
from paidup.payments.states import State
from paidup.reconcile import bills, store
from paidup.reconcile.breaks import Break, Kind
from paidup.reconcile.decide import Change
from paidup.reconcile.mend_plan import BATCH, proposals
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import State as Is
from paidup.reconcile.worker import work_day
from reconcile_side import a_break
from upload_side import NOW, a_party, wechat_bill

__all__ = ["no_bills", "shop"]


async def brought(shop: Merchant, day: date, *refs: str) -> None:
    one = bills.Brought(
        shop=party(shop).account.shop, channel="wechat", account="main", kind=BillKind.TRADES, day=day, source="fetched"
    )
    async with shop.db.transaction() as tx:
        content = io.BytesIO(wechat_bill(party(shop).account.mchid, *refs, day=day))
        await bills.keep(tx, one, content, shop.clock.now())


async def test_hundreds_of_strangers_do_not_keep_a_known_payment_from_its_repair(
    shop: Merchant, no_bills: None
) -> None:
    """The bill has the payments of another system on the same merchant number, which nobody here can be asked about.
    Its second version brings one of ours of which nobody told us: the channel is asked, and it is booked."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    strangers = [f"OTHER-{n}" for n in range(BATCH + 10)]
    await next_morning(shop, "wechat", day)
    for refs in (strangers, [*strangers, payment.merchant_ref]):
        await brought(shop, day, *refs)
        await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
        await shop.clock.advance(60)
    async with shop.db.session() as tx:
        mine = [one for one in await store.page(tx, store.Filter(), 1000) if one.payment_id == payment.id]
    assert ([Is.HEALED], State.PAID) == ([one.state for one in mine], (await shop.payment(payment)).state)


async def many(db: Database, like: Break, count: int, *, kind: Kind, tries: int = 0) -> list[Break]:
    """So many breaks of one day, about payments that we know."""
    some = [
        msgspec.structs.replace(
            like, id=f"brk{kind}{n:04}", key=f"{kind}:{n}", kind=kind, payment_id=f"pay{n}", tries=tries
        )
        for n in range(count)
    ]
    async with db.transaction() as tx:
        await store.write(tx, [Change(None, one, "found", one.why) for one in some], "test", NOW)
    return some


@pytest.mark.parametrize("approve", [("long",), ()], ids=["those need people", "those were asked about before"])
async def test_the_one_behind_hundreds_has_its_turn(db: Database, approve: tuple[str, ...]) -> None:
    """Those about which people must agree first take up no question, and what was asked about least comes first."""
    stranger = await a_break(db, "teahouse")
    await many(db, stranger, BATCH + 10, kind=Kind.LONG, tries=0 if approve else 1)
    (mine,) = await many(db, stranger, 1, kind=Kind.SHORT)
    async with db.session() as tx:
        proposed = await proposals(tx, a_party("teahouse", Rules(approve=approve)), mine.day, NOW)
    asked = [one.broken.id for one in proposed if not one.needs]
    assert (True, BATCH if not approve else 1) == (mine.id in asked, len(asked))


async def test_all_that_are_to_be_asked_about_again_are(db: Database) -> None:
    """They were taken for this round, and nobody else asks about them: none is left out for being one too many."""
    some = await many(db, await a_break(db, "teahouse"), BATCH + 10, kind=Kind.SHORT)
    wanted = frozenset(one.id for one in some)
    async with db.session() as tx:
        proposed = await proposals(tx, a_party("teahouse"), some[0].day, NOW + timedelta(days=1), only=wanted)
    assert wanted == {one.broken.id for one in proposed}
