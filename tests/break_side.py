"""A real difference for people to decide about: money that only the channel's bill shows, too much to book unasked."""

from datetime import date, datetime, timedelta

import msgspec

from api_side import Api
from paidup.channels.bill import BillKind
from paidup.channels.registry import CHANNELS
from paidup.reconcile import bills, store, worker
from paidup.reconcile.fetch import fetch_bill
from paidup.reconcile.party import Party

AGREE_FIRST = {"deed": "agree", "why": "商户后台已见"}
CAREFUL = "[default]\nrepair_minor = 100\napprovers = 2\n"
"""Above one yuan two people agree first."""
DAYS_AGO = 2
"""So long ago that the channel has its bill, at any hour of the day that it is now."""


class Waits(msgspec.Struct, frozen=True):
    """A break that waits for people."""

    break_id: str
    order_id: str
    payment_id: str
    day: date


async def a_break(api: Api, number: str = "A-1") -> Waits:
    """Paid at WeChat Pay the day before yesterday, and nobody told us; its bill was read, and two people must agree."""
    (api.paidup.settings.data / "reconcile.toml").write_text(CAREFUL, encoding="utf-8")
    payment = await api.an_open_payment(number)
    await api.buyer_pays(payment)
    then = api.paidup.clock.now() - timedelta(days=DAYS_AGO)
    await _happened(api, payment["id"], payment["merchant_ref"], then)
    day = await _lay_bill_beside(api, then)
    async with api.paidup.db.session() as tx:
        found = await store.page(tx, store.Filter(since=day, until=day), 100)
    (mine,) = [one for one in found if one.payment_id == payment["id"]]
    return Waits(mine.id, payment["order_id"], payment["id"], day)


async def a_match(api: Api, number: str = "A-1") -> Waits:
    """Paid at WeChat Pay the day before yesterday and known here as paid, before its bill was read: nothing differs."""
    payment = await api.an_open_payment(number)
    await api.buyer_pays(payment)
    then = api.paidup.clock.now() - timedelta(days=DAYS_AGO)
    await _happened(api, payment["id"], payment["merchant_ref"], then)
    status, asked = await api.call("POST", f"/v1/payments/{payment['id']}/query")
    assert (200, "paid") == (status, asked["state"])
    return Waits("", payment["order_id"], payment["id"], await _lay_bill_beside(api, then))


async def _lay_bill_beside(api: Api, then: datetime) -> date:
    """WeChat Pay's bill of that day, fetched and reconciled."""
    party = _wechat(api)
    day = then.astimezone(CHANNELS["wechat"].bill_zone(party.account)).date()
    kept = await fetch_bill(api.paidup.db, api.paidup.asker, party, BillKind.TRADES, day)
    assert isinstance(kept, bills.Kept), kept
    await worker.work_day(api.paidup.db, party, day, tools=api.paidup.reconcile_tools(), who="reconcile")
    return day


async def next_round(api: Api) -> None:
    """What the reconcile worker does by itself from time to time."""
    paidup = api.paidup
    await worker.run_once(
        paidup.db, now=paidup.clock.now(), limit=8, parties=paidup.parties(), tools=paidup.reconcile_tools()
    )


def _wechat(api: Api) -> Party:
    (party,) = [one for one in api.paidup.parties() if one.name == "wechat/main"]
    return party


async def _happened(api: Api, payment_id: str, merchant_ref: str, then: datetime) -> None:
    """As if it had been then, here and at the channel."""
    trade = api.sandbox.world.ledger.named("wechat", "main", merchant_ref, api.paidup.clock.now())
    assert trade is not None
    trade.opened_at, trade.paid_at = then, then
    async with api.paidup.db.transaction() as tx:
        await tx.execute("UPDATE payments SET created_at = $2 WHERE id = $1", payment_id, then)
