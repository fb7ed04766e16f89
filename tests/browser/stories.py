"""What happens at the tea house: the day's business, a payment whose callback is lost, and orders that are not paid."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from teahouse import FRIDAY, TeaHouse

from paidup.hand import breaks, deeds
from paidup.hand import confirm as confirming
from paidup.hand.confirm import Confirm, put_through
from paidup.people.audit import Actor
from paidup.people.user import RIGHTS, Role

TEAS = (("Longjing, 100 g", 6800), ("Da Hong Pao, 50 g", 12800), ("Jasmine pearls, 100 g", 4500), ("Gaiwan", 8900))
CHANNELS = ("wechat", "wechat", "alipay", "wechat", "alipay", "stripe")
HERO = "TH-20261127-0412"


@dataclass
class Told:
    """The ids by the names of their stories."""

    orders: dict[str, str]
    payments: dict[str, str]


async def business(house: TeaHouse, day: str, first: int, count: int, every_s: float) -> None:
    """Customers who order, pay after a while, and are told of; one callback in seven is lost, and healed."""
    for n in range(first, first + count):
        what, minor = TEAS[n % len(TEAS)]
        channel = CHANNELS[n % len(CHANNELS)]
        house.faults(lose=1.0 if n % 7 == 3 else 0.0)
        currency = "USD" if channel == "stripe" else "CNY"
        order = await house.order(
            f"TH-{day}-{n:04}", minor // (7 if channel == "stripe" else 1), what, currency=currency
        )
        payment = await house.offer(order, channel)
        house.jump(14 + 5 * (n % 4))
        await house.pays(payment)
        if n % 7 == 3:
            house.jump(21)
        await house.until_row("SELECT state = 'paid' FROM orders WHERE id = $1", order)
        house.jump(every_s)
    house.faults()


async def healed(house: TeaHouse) -> dict[str, Any]:
    """The callback is lost; the question finds the payment; the shop confirms."""
    order = await house.order(HERO, 6800, "Longjing, 100 g", buyer_ref="customer-004711")
    payment = await house.offer(order, "wechat")
    house.faults(lose=1.0)
    house.jump(24)
    await house.pays(payment)
    house.jump(31)
    await house.until_applied(order)
    house.faults()
    return payment | {"order_id": order}


async def unpaid(house: TeaHouse) -> Told:
    """Orders that are not paid, each for another reason."""
    told = Told({}, {})

    async def start(name: str, number: str, minor: int, channel: str = "", currency: str = "CNY") -> dict[str, Any]:
        told.orders[name] = await house.order(number, minor, "Da Hong Pao, 50 g", currency=currency)
        payment = await house.offer(told.orders[name], channel) if channel else {}
        if payment.get("id"):
            told.payments[name] = payment["id"]
        house.jump(7)
        return payment

    await start("not started", "TH-20261128-0701", 12800)
    await start("not begun", "TH-20261128-0702", 12800, "alipay")
    await start("nobody paid", "TH-20261128-0703", 12800, "wechat")
    declined = await start("declined", "TH-20261128-0704", 1830, "stripe", "USD")
    house.api.sandbox.world.fail(house.trade(declined), house.clock.now())
    house.api.sandbox.pass_on()
    await start("held", "TH-20261128-0705", 12800, "wechat")
    wanted = Confirm(
        payment_id=told.payments["held"], channel_txn_id="4200001127202611280705", amount_minor=9800, currency="CNY",
        why="the merchant console shows 98.00",
    )  # fmt: skip
    async with house.api.paidup.db.transaction() as tx:
        await put_through(tx, house.api.desk, Actor("carol", "console"), wanted)
    await start("closed", "TH-20261128-0706", 12800, "wechat")
    await deeds.close(house.api.desk, Actor("alice", "console"), told.orders["closed"], "the customer changed his mind")
    await house.until_row("SELECT state = 'closed' FROM orders WHERE id = $1", told.orders["closed"])
    house.jump(75)
    await house.until_row("SELECT count(*) > 0 FROM channel_calls WHERE subject_id = $1 AND purpose = 'query'",
                          told.payments["nobody paid"])  # fmt: skip
    await start("channel away", "TH-20261128-0707", 1830, "stripe", "USD")
    await _does_not_answer(house, told.payments["channel away"])
    return told


async def _does_not_answer(house: TeaHouse, payment_id: str) -> None:
    """The channel fails when it is asked about this payment; the others are asked about later."""
    postpone = "UPDATE due SET due_at = greatest(due_at, $2) WHERE (subject_id = $1) = $3"
    async with house.api.paidup.db.session() as tx:
        await tx.execute(postpone, payment_id, house.clock.now() + timedelta(minutes=5), False)
    house.faults(fail=1.0)
    for n in (1, 2):
        house.jump(32)
        await house.until_row(
            "SELECT count(*) >= $2 FROM channel_calls WHERE subject_id = $1 AND outcome <> 'success'", payment_id, n
        )
    async with house.api.paidup.db.session() as tx:
        await tx.execute(postpone, payment_id, house.clock.now() + timedelta(minutes=2), True)
    house.faults()


async def asked_for_a_second_person(house: TeaHouse) -> Told:
    """A dear order that a person says was paid; the channel contradicts."""
    order = await house.order("TH-20261128-0710", 180_000, "Aged pu'er, 357 g")
    payment = await house.offer(order, "wechat")
    house.jump(40)
    wanted = Confirm(
        payment_id=payment["id"], channel_txn_id="4200001127202611280710", amount_minor=180_000, currency="CNY",
        why="the customer sent a picture of her payment",
    )  # fmt: skip
    done = await confirming.confirm(house.api.desk, Actor("carol", "console"), wanted, key="0710")
    assert done.approval_id
    return Told({"dear": order}, {"dear": payment["id"], "approval": done.approval_id})


async def trouble(house: TeaHouse) -> None:
    """What somebody must look at: forged callbacks, a shop that does not listen, tea that runs out, a service."""
    for body in (b"{}", b"trade_status=TRADE_SUCCESS"):
        async with house.api.session.post(f"{house.api.url}/callbacks/wechat/main", data=body) as answer:
            assert answer.status in (400, 401)
    for sku, name, left in (
        ("LONGJING-100", "Longjing, 100 g", 0),
        ("DHP-50", "Da Hong Pao, 50 g", 3),
        ("GAIWAN", "Gaiwan", 41),
    ):
        await house.api.call("PUT", f"/v1/skus/{sku}", {"name": name, "low_at": 5})
        if left:
            await house.api.call(
                "POST", f"/v1/skus/{sku}/restock", {"quantity": left, "reason": "delivery note 4711"}, once=sku
            )


async def agreed_by_one(house: TeaHouse) -> str:
    """Finance agrees to the repair of a payment that only Friday's bill shows; an approver has not yet."""
    async with house.api.paidup.db.session() as tx:
        broken = await tx.fetchval("SELECT id FROM breaks WHERE kind = 'long' AND payment_id IS NOT NULL LIMIT 1")
    carol = Actor("carol", "console", RIGHTS[Role.FINANCE])
    await breaks.agree(house.api.desk, carol, broken, "seen in the merchant console")
    return str(broken)


async def only_in_the_bill(house: TeaHouse) -> None:
    """Paid at the channel, which neither calls nor answers; nobody asks again before the bill comes."""
    order = await house.order("TH-20261127-0431", 12800, "Da Hong Pao, 50 g", expires_in_s=5 * 86400)
    payment = await house.offer(order, "wechat")
    house.faults(lose=1.0, fail=1.0)
    house.jump(12)
    await house.pays(payment)
    async with house.api.paidup.db.transaction() as tx:  # its next question comes after the bill
        await tx.execute(
            "UPDATE due SET due_at = $2 WHERE subject_id = $1", payment["id"], house.clock.now() + timedelta(days=3)
        )
    house.faults()


async def two_days(house: TeaHouse) -> dict[str, Any]:
    """A week ago; Friday with the healed payment; the night; Saturday, when the bills have come and tea is sold again.
    Returns the healed payment."""
    await business(house, "20261120", 1, 16, 900)
    house.jump_to(FRIDAY)
    await business(house, "20261127", 396, 16, 1000)
    house.jump_to(FRIDAY.replace(hour=14, minute=2, second=21))
    hero = await healed(house)
    await business(house, "20261127", 413, 12, 1100)
    await only_in_the_bill(house)
    house.jump_to((FRIDAY + timedelta(days=1)).replace(hour=10, minute=31))
    await house.until_row("SELECT count(*) >= 2 FROM reconciliations WHERE day = '2026-11-27'")
    return hero
