"""Calls to the sandbox's channels without a socket, and what can go wrong on the way there and back."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import BinaryIO
from urllib.parse import urlsplit

from paidup.channels.channel import Account
from paidup.channels.http import ChannelHttp, Sent
from paidup.channels.messages import Declined, Exchange, Outcome, Request, Response, Retryable, Success, Unknown
from paidup.resilience.breaker import Rules, State
from paidup.sandbox.ledger import Trade, TradeState
from paidup.sandbox.stripe.objects import CHECKOUT, session_number
from paidup.sandbox.wire import Ask
from paidup.sandbox.world import World
from paidup.simulator.stage import Stage
from paidup.simulator.witness import Witness

Later = Callable[[float, Callable[[], object]], None]
"""Do something after so many simulated seconds."""

_BAD_GATEWAY = Response(502, (("content-type", "text/html"),), b"<h1>502 Bad Gateway</h1>")


class Trouble(StrEnum):
    """How somebody is out of reach."""

    AWAY = "away"  # nothing comes back
    STORM = "storm"  # most requests fail at once, some are answered after seconds


class StagedChannels(ChannelHttp):
    """As ChannelHttp, breakers included, up to where the socket would be.

    is_away: whether a channel is out of reach now. later: do something after so many seconds. cancels: the shop wants
    no money for this trade any more.
    """

    def __init__(
        self,
        world: World,
        stage: Stage,
        witness: Witness,
        *,
        is_away: Callable[[str], Trouble | None],
        later: Later,
        cancels: Callable[[Trade], Awaitable[None]],
    ) -> None:
        super().__init__(seconds=lambda: stage.clock.now().timestamp())
        self._world = world
        self._stage = stage
        self._witness = witness
        self._is_away = is_away
        self._later = later
        self._cancels = cancels
        self._opened_at: dict[str, datetime] = {}

    async def send(
        self, account: Account, exchange: Exchange, *, now_of: Callable[[], datetime], deadline_s: float
    ) -> Sent:
        """As in ChannelHttp; notes when a breaker opened."""
        sent = await super().send(account, exchange, now_of=now_of, deadline_s=deadline_s)
        breaker = self.breaker(account)
        if breaker.state is State.OPEN and breaker.reopens_at is not None:
            self._opened_at[account.channel] = breaker.reopens_at - timedelta(seconds=breaker.wait_s)
        return sent

    async def _try(self, key: str, exchange: Exchange, now_of: Callable[[], datetime], deadline_s: float) -> Sent:
        channel, stage = key.partition("/")[0], self._stage
        self._must_be_closed(channel)
        await stage.point(f"calls {channel}")
        stage.dies("call")
        if stage.befalls("channel.refused", channel):
            await stage.pause(stage.fates.between(0.1, 3, f"refused {channel}"))
            return _sent(exchange.request, Retryable("not sent: connection refused"))
        trouble = self._is_away(channel)
        if trouble is Trouble.AWAY:
            await stage.pause(deadline_s)
            return _sent(exchange.request, Unknown("no usable answer: it is away"))
        if trouble is Trouble.STORM:
            if stage.fates.roll(f"storm {channel}") < 0.7:
                return _sent(exchange.request, exchange.read(_BAD_GATEWAY, now_of()), _BAD_GATEWAY)
            await stage.pause(stage.fates.between(0.5, deadline_s - 1, f"stormy {channel}"))
        answer = await self._answer(channel, exchange.request, deadline_s)
        stage.dies("answer")
        if answer is None:
            return _sent(exchange.request, Unknown(f"no usable answer: TimeoutError after {deadline_s:g} s"))
        return _sent(exchange.request, exchange.read(answer, now_of()), answer)

    async def _fetch(self, key: str, request: Request, into: BinaryIO, max_bytes: int, deadline_s: float) -> Sent:
        """A file on its way here: whatever goes wrong, it is fetched anew."""
        channel, stage = key.partition("/")[0], self._stage
        await stage.point(f"downloads from {channel}")
        stage.dies("call")
        if stage.befalls("channel.refused", channel) or self._is_away(channel) is not None:
            await stage.pause(stage.fates.between(0.1, 3, f"refused {channel}"))
            return _sent(request, Retryable("the file did not come: connection refused"))
        response = _BAD_GATEWAY if stage.befalls("channel.5xx", channel) else self._act(request, stage.who)
        if stage.befalls("channel.slow", channel):
            await stage.pause(stage.fates.between(0.5, 60, f"slow {channel}"))
        if stage.befalls("channel.silent", channel):
            await stage.pause(deadline_s)
            return _sent(request, Retryable(f"the file did not come: TimeoutError after {deadline_s:g} s"))
        if stage.befalls("channel.garbled", channel):
            into.write(response.body[: len(response.body) // 2])
            return _sent(request, Retryable("the file did not come: the connection broke off"))
        stage.dies("answer")
        if response.status != 200:
            return _sent(request, Retryable(f"HTTP {response.status} instead of the file"), response)
        if len(response.body) > max_bytes:
            return _sent(request, Declined("too_large", f"the file has more than {max_bytes} bytes"))
        into.write(response.body)
        return _sent(request, Success())

    async def _answer(self, channel: str, request: Request, deadline_s: float) -> Response | None:
        """What arrives of the channel's answer; None when nothing does in time."""
        stage = self._stage
        if stage.befalls("channel.5xx", channel):
            return _BAD_GATEWAY
        if stage.befalls("channel.acts late", channel):
            self._later(stage.fates.between(1, 120, f"late {channel}"), partial(self._act, request, stage.who))
            await stage.pause(deadline_s)
            return None
        seen = self._seen(request)
        if seen and stage.befalls("customer.hurries", channel):
            stage.note(f"customer hurries: {[self._world.pay(trade, stage.clock.now()) for trade in seen]}")
        response = self._act(request, stage.who)
        self._perhaps_contradicted(channel, seen)
        if seen and stage.befalls("shop.hurries", channel):
            await self._cancels(seen[0])
        if stage.befalls("channel.silent", channel):
            await stage.pause(deadline_s)
            return None
        if stage.befalls("channel.slow", channel):
            await stage.pause(stage.fates.between(0.5, deadline_s - 0.5, f"slow {channel}"))
        if stage.befalls("channel.garbled", channel) and response.body:
            return self._garbled(channel, response)
        return response

    def _garbled(self, channel: str, response: Response) -> Response:
        """A bit flips where answers are signed. Stripe's are guarded by TLS alone, which lets no flipped bit through:
        there the answer breaks off."""
        stage = self._stage
        place = stage.fates.pick(len(response.body), f"garbled {channel}")
        body = bytearray(response.body)
        if channel == "stripe":
            del body[place:]
        else:
            body[place] ^= 1
        return Response(response.status, response.headers, bytes(body))

    def _seen(self, request: Request) -> list[Trade]:
        """What a request asks about, of all that a customer has before him."""
        asked = request.target.encode() + request.body
        return [t for t in self._witness.offers_seen if any(name.encode() in asked for name in _names(t))]

    def _perhaps_contradicted(self, channel: str, seen: list[Trade]) -> None:
        """Money was under way at the bank while its trade was closed, and arrives."""
        closed = [trade for trade in seen if trade.closed_at == self._stage.clock.now()]
        if closed and self._stage.befalls("channel.contradicts", channel):
            wait_s = self._stage.fates.between(1, 600, f"contradicts {channel}")
            self._later(wait_s, partial(self._paid_after_all, closed[0]))

    def _paid_after_all(self, trade: Trade) -> None:
        if trade.state is TradeState.CLOSED:
            trade.state, trade.closed_at, trade.expires_at = TradeState.WAITING, None, None
            self._witness.contradicted.add(trade.merchant_ref)
            name = self._witness.opened_by.get(trade.merchant_ref, trade.merchant_ref)
            if self._stage.fates.hits("channel.keeps quiet", name, self._stage.clock.now()):
                self._witness.kept_quiet.add(trade.merchant_ref)
            self._stage.note(f"paid after all: {self._world.pay(trade, self._stage.clock.now())}")

    def _act(self, request: Request, who: str) -> Response:
        now, ledger = self._stage.clock.now(), self._world.ledger
        before = len(ledger)
        headers = {name.lower(): value for name, value in request.headers} | {"host": urlsplit(request.base_url).netloc}
        tell = self._world.respond(Ask(request.method, request.target, headers, request.body), now)
        for trade in ledger.page(before, 1):
            self._witness.opened_by[trade.merchant_ref] = who.removesuffix(" again")
        self._stage.note(f"channel: {request.method} {tell.status}")
        return Response(tell.status, tuple((name.lower(), value) for name, value in tell.headers.items()), tell.body)

    def _must_be_closed(self, channel: str) -> None:
        """After a breaker opened nothing goes out for its shortest wait, whatever comes back of older calls."""
        opened_at, now = self._opened_at.get(channel), self._stage.clock.now()
        if opened_at is not None and now < opened_at + timedelta(seconds=Rules().wait_s):
            self._witness.breach(
                "an open breaker stays open", f"{channel} was called at {now}, its breaker opened at {opened_at}"
            )


def _names(trade: Trade) -> tuple[str, ...]:
    own = (trade.merchant_ref, trade.number)
    return (*own, session_number(trade)) if trade.method == CHECKOUT else own


def _sent(request: Request, outcome: Outcome, response: Response | None = None) -> Sent:
    return Sent(
        outcome=outcome,
        status=response.status if response else None,
        elapsed_ms=0,
        request_line=f"{request.method} {request.base_url}",
        answer=response.body[:1000] if response else b"",
    )
