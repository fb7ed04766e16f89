"""Callbacks that were true once: sent again, later, earlier, elsewhere, or out of their order, they change nothing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from merchant import Merchant
from paidup.channels.messages import CallbackRequest
from paidup.errors import Verdict
from paidup.intake import quarantine
from paidup.intake.receive import Receiver, replay
from paidup.intake.worker import run_once
from paidup.payments.payment import Payment

# How far from its signing (in seconds, both ways) a channel's callback is still taken; Alipay signs no time.
TAKEN = {"wechat": 299, "stripe": 300, "alipay": None}
SHIFTS_S = (-86_400 * 400, -86_400, -301, -300, -299, 0, 1, 299, 300, 301, 3600, 86_400, 86_400 * 400)
A_DAY_S = 86_400
TABLES = ("orders", "payments", "refunds", "events")


class Entrance:
    """Receives at any time one likes, and lets the intake work."""

    def __init__(self, merchant: Merchant) -> None:
        self._merchant = merchant
        self._receiver = Receiver(merchant.db, merchant.accounts, max_waiting=100, keep_per_source=1000)

    async def send(self, request: CallbackRequest, *, seconds: float = 0, to: str = "") -> Verdict:
        """The verdict on it, so many seconds from now."""
        now = self._merchant.clock.now() + timedelta(seconds=seconds)
        channel = to or request.target.split("/")[2]
        got = await self._receiver.receive(request, channel, "main", source="203.0.113.7", now=now)
        assert (got.verdict is Verdict.VALID) == (200 <= got.reply.status < 300)
        return got.verdict

    async def settle(self) -> None:
        """Everything that was taken in is applied, whenever it was said to come."""
        later = self._merchant.clock.now() + timedelta(days=800)
        while await run_once(self._merchant.db, now=later, limit=100, handlers=self._merchant.handlers):
            pass

    async def whole(self) -> list[list[tuple[Any, ...]]]:
        """Orders, payments, refunds and what was announced."""
        async with self._merchant.db.session() as tx:
            return [[tuple(row) for row in await tx.fetch(f"SELECT * FROM {table} ORDER BY id")] for table in TABLES]


@pytest.fixture(params=sorted(TAKEN))
async def paid(request: pytest.FixtureRequest, merchant: Merchant) -> tuple[Entrance, Payment, CallbackRequest]:
    """A payment that was paid by its callback, which an attacker has seen."""
    channel = request.param
    payment = await merchant.offer(await merchant.order(currency="USD" if channel == "stripe" else "CNY"), channel)
    merchant.pay(payment)
    (seen,) = merchant.callbacks(payment)
    entrance = Entrance(merchant)
    assert Verdict.VALID == await entrance.send(seen)
    await entrance.settle()
    assert "paid" == (await merchant.payment(payment)).state
    return entrance, payment, seen


async def test_sent_again_at_any_time_it_changes_nothing(paid: tuple[Entrance, Payment, CallbackRequest]) -> None:
    """Within the channel's tolerance it is taken and weighed as a repeat; outside it is refused as expired. Either way
    not one row of money moves."""
    entrance, payment, seen = paid
    before, taken = await entrance.whole(), TAKEN[payment.channel]
    verdicts = {seconds: await entrance.send(seen, seconds=seconds) for seconds in SHIFTS_S}
    await entrance.settle()
    fresh = {seconds: taken is None or abs(seconds) <= taken for seconds in SHIFTS_S}
    assert {s: Verdict.VALID if fresh[s] else Verdict.EXPIRED for s in SHIFTS_S} == verdicts
    assert before == await entrance.whole()


async def test_after_the_refund_it_does_not_pay_again(
    paid: tuple[Entrance, Payment, CallbackRequest], merchant: Merchant
) -> None:
    """The old proof of payment arrives once more when the money has gone back: the order stays refunded."""
    entrance, payment, seen = paid
    await merchant.refund(payment)
    await merchant.repair_for(120)
    assert ["refunded"] == await merchant.column("SELECT state FROM orders")
    before = await entrance.whole()
    signed_at = -(merchant.clock.now() - payment.created_at).total_seconds()
    assert Verdict.VALID == await entrance.send(seen, seconds=signed_at)
    await entrance.settle()
    assert before == await entrance.whole()


async def test_dated_anew_it_is_no_longer_signed(paid: tuple[Entrance, Payment, CallbackRequest]) -> None:
    """An attacker who writes today's time over an old callback breaks its signature."""
    entrance, payment, seen = paid
    redated = REDATED[payment.channel](seen)
    assert seen != redated
    assert Verdict.INVALID_SIGNATURE == await entrance.send(redated, seconds=A_DAY_S)


def _header(seen: CallbackRequest, name: str, change: Callable[[str], str]) -> CallbackRequest:
    headers = tuple((key, change(value) if key == name else value) for key, value in seen.headers)
    return msgspec.structs.replace(seen, headers=headers)


def _stripe(value: str) -> str:
    stamp, _, rest = value.removeprefix("t=").partition(",")
    return f"t={int(stamp) + A_DAY_S},{rest}"


REDATED: dict[str, Callable[[CallbackRequest], CallbackRequest]] = {
    "wechat": lambda seen: _header(seen, "wechatpay-timestamp", lambda value: str(int(value) + A_DAY_S)),
    "stripe": lambda seen: _header(seen, "stripe-signature", _stripe),
    "alipay": lambda seen: msgspec.structs.replace(seen, body=seen.body.replace(b"notify_time=2", b"notify_time=3")),
}


async def test_at_another_door_it_is_refused(paid: tuple[Entrance, Payment, CallbackRequest]) -> None:
    """One channel's callback proves nothing to another."""
    entrance, payment, seen = paid
    others = [channel for channel in TAKEN if channel != payment.channel]
    assert [] == [other for other in others if await entrance.send(seen, to=other) is Verdict.VALID]


async def test_the_quarantine_does_not_rejuvenate(
    paid: tuple[Entrance, Payment, CallbackRequest], merchant: Merchant
) -> None:
    """An expired callback that was kept is judged by the time it came, when it is replayed: it stays expired. Nothing
    of Alipay's expires, so nothing of it is kept."""
    entrance, payment, seen = paid
    expires = TAKEN[payment.channel] is not None
    first, again = await entrance.send(seen, seconds=7200), []
    async with merchant.db.transaction() as tx:
        for row in await quarantine.page(tx, None, 10, with_replayed=True):
            kept = await quarantine.get(tx, row["id"])
            assert kept is not None
            again.append(await replay(tx, kept, merchant.accounts, merchant.clock.now()))
    assert ((Verdict.EXPIRED, [Verdict.EXPIRED]) if expires else (Verdict.VALID, [])) == (first, again)


async def test_an_earlier_state_that_comes_late_undoes_nothing(merchant: Merchant) -> None:
    """Alipay's WAIT_BUYER_PAY and a query's "unknown", held back by somebody and sent after the money came."""
    payment = await merchant.offer(await merchant.order(), "alipay")
    merchant.sandbox.world.scan(merchant.trade(payment), merchant.clock.now())
    held_back = merchant.callbacks(payment)
    merchant.pay(payment)
    entrance = Entrance(merchant)
    for request in merchant.callbacks(payment):
        await entrance.send(request)
    await entrance.settle()
    before = await entrance.whole()
    for request in held_back:
        await entrance.send(request)
    await entrance.settle()
    assert ("paid", before) == ((await merchant.payment(payment)).state, await entrance.whole())
