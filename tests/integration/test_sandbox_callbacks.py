"""Callbacks on their way: real HTTP to a receiver on loopback, time moved by hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

import sandbox_merchant as merchant
from paidup.sandbox.alipay import provider as alipay
from paidup.sandbox.callbacks import Callbacks
from paidup.sandbox.faults import Dice, Faults
from paidup.sandbox.stripe import provider as stripe
from paidup.sandbox.wechat import provider as wechat
from paidup.sandbox.wire import Notice
from paidup.sandbox.world import Manners, World
from paidup.testing.clock import ManualClock
from sandbox_merchant import NOW

OK = {"wechat": (204, b""), "alipay": (200, b"success"), "stripe": (200, b"{}")}
OPENINGS = {
    "wechat": merchant.wechat_open("order1", notify_url=""),
    "alipay": merchant.alipay_ask(
        "alipay.trade.precreate", notify_url="", out_trade_no="order1", total_amount="12.50", subject="tickets"
    ),
    "stripe": merchant.stripe_open("order1"),
}


class Receiver:
    """A merchant's address: keeps what it got, answers as it is told."""

    def __init__(self, status: int, body: bytes, *, silent: bool = False) -> None:
        self.answer = (status, body)
        self.got: asyncio.Queue[Notice] = asyncio.Queue()
        self._silent = silent
        self._never = asyncio.Event()

    async def hear(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.put_nowait(Notice(headers, await request.read()))
        if request.path == "/elsewhere":
            return web.Response(status=200, body=b"success")
        if self._silent:
            await self._never.wait()
        return web.Response(status=self.answer[0], body=self.answer[1], headers={"location": "/elsewhere"})


class Road:
    """A world, its sender, a clock and the receiver."""

    def __init__(self, channel: str, receiver: Receiver, url: str, faults: Faults, patience: float) -> None:
        self.clock = ManualClock(NOW)
        self.receiver = receiver
        dice = Dice(1)
        self.world = World({"main": merchant.keys()}, dice, Manners(faults=faults), url)
        self.callbacks = Callbacks(self.clock, dice, lambda: faults, patience)
        self._channel = channel
        self.provider = self.world.provider(channel, "main")

    def pay(self) -> None:
        """A buyer pays, and the merchant is told."""
        self.world.respond(OPENINGS[self._channel], NOW)
        self.world.pay(self.world.find(self._channel, "main", "order1", NOW), self.clock.now())
        self.tell()

    def tell(self) -> None:
        news, self.world.news = self.world.news, []
        for one in news:
            self.callbacks.tell(self.provider, one)

    async def over(self) -> dict[str, int]:
        """Wait until nothing is under way; the counts."""
        while self.callbacks.under_way:
            await asyncio.gather(*self.callbacks._tasks)
            await asyncio.sleep(0)
        return self.callbacks.totals()


@asynccontextmanager
async def road(
    channel: str, status: int = 500, body: bytes = b"", *, faults: Faults | None = None, silent: bool = False,
    patience: float = 1.0,
) -> AsyncIterator[Road]:  # fmt: skip
    receiver = Receiver(status, body, silent=silent)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.hear)
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    one = Road(channel, receiver, url, faults or Faults(), patience)
    try:
        async with asyncio.timeout(20):  # a callback that never comes fails the test instead of hanging it
            yield one
    finally:
        await one.callbacks.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    ("channel", "schedule"),
    [("wechat", wechat.RETRIES_S), ("alipay", alipay.RETRIES_S), ("stripe", stripe.RETRIES_S)],
)
async def test_a_refused_callback_is_sent_again_on_the_channels_schedule(channel: str, schedule: tuple) -> None:
    """At once, after each pause of the schedule, and then never again."""
    async with road(channel) as one:
        one.pay()
        pauses = []
        for _ in schedule:
            await one.receiver.got.get()
            pauses.append(await one.clock.until_somebody_sleeps())
            await one.clock.advance(pauses[-1])
        counts = await one.over()
        assert list(schedule) == pauses
        assert (len(schedule) + 1, 1) == (counts["sent"], counts["given_up"])


def test_the_schedules_are_as_long_as_the_channels_say() -> None:
    """WeChat Pay 15 more tries in 24 h 4 m, Alipay 8 sendings in 24 h 24 m, Stripe about three days."""
    totals = {module.NAME: (len(module.RETRIES_S), sum(module.RETRIES_S)) for module in (wechat, alipay, stripe)}
    assert (15, 24 * 3600 + 4 * 60) == totals["wechat"]
    assert (7, 24 * 3600 + 24 * 60) == totals["alipay"]
    assert totals["stripe"][1] == pytest.approx(3 * 86400, rel=0.2)


@pytest.mark.parametrize("channel", list(OK))
async def test_an_acknowledged_callback_is_sent_once(channel: str) -> None:
    """In the channel's own way of acknowledging."""
    async with road(channel, *OK[channel]) as one:
        one.pay()
        assert {"sent": 1, "acknowledged": 1} == await one.over()


@pytest.mark.parametrize(
    ("channel", "status", "body"), [("wechat", 302, b""), ("alipay", 200, b"ok"), ("stripe", 307, b"")]
)
async def test_what_is_no_acknowledgement_is_tried_again(channel: str, status: int, body: bytes) -> None:
    """A redirect is not followed; Alipay wants its word exactly."""
    async with road(channel, status, body) as one:
        one.pay()
        await one.receiver.got.get()
        assert one.provider.retries_s[0] == await one.clock.until_somebody_sleeps()


async def test_who_does_not_answer_in_time_is_told_again() -> None:
    """WeChat Pay waits 5 s of real time, here a hundredth of it."""
    async with road("wechat", silent=True, patience=0.01) as one:
        one.pay()
        assert 15 == await one.clock.until_somebody_sleeps()
        assert {"sent": 1, "unanswered": 1} == one.callbacks.totals()
        assert (1, 1) == (one.callbacks.under_way, one.callbacks.retrying)


async def test_a_lost_callback_never_arrives_and_costs_nothing() -> None:
    """Nothing is sent, nothing waits."""
    async with road("wechat", *OK["wechat"], faults=Faults(lose=1)) as one:
        one.pay()
        assert ({"lost": 1}, True) == (await one.over(), one.receiver.got.empty())


async def test_a_repeated_callback_arrives_twice_as_the_same_bytes() -> None:
    """As when two of the channel's servers send the same notice within the same second."""
    async with road("wechat", *OK["wechat"], faults=Faults(repeat=1)) as one:
        one.pay()
        assert {"sent": 2, "repeated": 1, "acknowledged": 1} == await one.over()
        first, second = one.receiver.got.get_nowait(), one.receiver.got.get_nowait()
        assert first.body == second.body


async def test_a_delayed_callback_is_late() -> None:
    """It is on its way only after its delay."""
    async with road("stripe", *OK["stripe"], faults=Faults(delay=1, delay_s=60)) as one:
        one.pay()
        late_s = await one.clock.until_somebody_sleeps()
        assert one.receiver.got.empty()
        await one.clock.advance(late_s)
        assert {"sent": 1, "delayed": 1, "acknowledged": 1} == await one.over()


async def test_a_reordered_callback_is_overtaken() -> None:
    """The refund's notice arrives before the payment's."""
    async with road("alipay", *OK["alipay"]) as one:
        slow = Callbacks(one.clock, Dice(1), lambda: Faults(reorder=1, reorder_s=10))
        one.callbacks, quick = slow, one.callbacks
        one.pay()
        await one.clock.until_somebody_sleeps()
        one.callbacks = quick
        refund = merchant.alipay_ask("alipay.trade.refund", out_trade_no="order1", refund_amount="1.00")
        one.world.respond(refund, one.clock.now())
        one.tell()
        overtaker = merchant.alipay_fields(await one.receiver.got.get())
        await one.clock.advance(10)
        overtaken = merchant.alipay_fields(await one.receiver.got.get())
        assert ("1.00", None) == (overtaker["refund_fee"], overtaken.get("refund_fee"))
        await one.over()
        await slow.close()


async def test_a_corrupted_callback_fails_and_its_retry_is_whole() -> None:
    """One bit is wrong at first; refused, it comes again as it should be."""
    faults = Faults(corrupt=0.5)
    async with road("stripe", 400, faults=faults) as one:
        one.pay()
        verdicts = []
        while not {True, False} <= set(verdicts):
            verdicts.append(merchant.stripe_check(await one.receiver.got.get()))
            await one.clock.advance(await one.clock.until_somebody_sleeps())
        assert verdicts.count(False) <= one.callbacks.totals()["corrupted"] < one.callbacks.totals()["sent"]


async def test_a_forgery_is_tried_once_and_its_success_is_counted() -> None:
    """A merchant who acknowledges everything is found out."""
    async with road("stripe", *OK["stripe"], faults=Faults(forge=1)) as one:
        one.world.respond(OPENINGS["stripe"], NOW)
        one.world.advance(merchant.after(6))
        one.tell()
        counts = await one.over()
        assert {"sent": 1, "forged": 1, "forged_and_accepted": 1} == counts
        assert not merchant.stripe_check(one.receiver.got.get_nowait())


async def test_a_probe_goes_first_and_the_notice_follows() -> None:
    """Whether the probe was refused or not; who acknowledged it is counted."""
    async with road("wechat", *OK["wechat"], faults=Faults(probe=1)) as one:
        one.pay()
        counts = await one.over()
        probe, notice = one.receiver.got.get_nowait(), one.receiver.got.get_nowait()
        assert {"sent": 2, "probed": 1, "probes_accepted": 1, "acknowledged": 1} == counts
        assert probe.headers["wechatpay-signature"].startswith("WECHATPAY/SIGNTEST/")
        assert "order1" == merchant.wechat_opened(notice)[1]["out_trade_no"]


async def test_an_acknowledged_event_counts_as_delivered() -> None:
    """Stripe's list of events knows which were not."""
    async with road("stripe", *OK["stripe"]) as one:
        one.pay()
        undelivered = merchant.stripe_ask("GET", "/v1/events?delivery_success=false")
        before = json.loads(one.world.respond(undelivered, NOW).body)["data"]
        await one.over()
        assert (1, []) == (len(before), json.loads(one.world.respond(undelivered, NOW).body)["data"])


async def test_a_receiver_that_is_not_there_is_tried_again() -> None:
    """Nobody listens: unanswered, and due again after the first pause."""
    async with road("wechat") as one:
        one.world = World({"main": merchant.keys()}, Dice(1), Manners(), "http://127.0.0.1:1")
        one.pay()
        assert 15 == await one.clock.until_somebody_sleeps()
        assert {"sent": 1, "unanswered": 1} == one.callbacks.totals()
