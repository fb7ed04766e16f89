"""Sending callbacks, with every fault on the way: each try is signed anew, retried on the channel's own schedule, and
lost, repeated, delayed, corrupted or forged as the dice fall."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import aiohttp

from paidup.clock import Clock
from paidup.sandbox.faults import Dice, Faults
from paidup.sandbox.ledger import Refund, Trade
from paidup.sandbox.wire import Notice

AT_ONCE = 24
REAL_TIMEOUT_S = 15.0


class Speaker(Protocol):
    """What a channel needs to be able to do to send callbacks."""

    def notice(self, trade: Trade, refund: Refund | None = None, *, key: str) -> Notice:
        """The callback, signed now."""
        ...

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Whether the channel takes this answer as a success."""
        ...


class Callbacks:
    """Sends callbacks in the background. `counts` says what befell them."""

    def __init__(self, clock: Clock, dice: Dice, faults: Callable[[], Faults]) -> None:
        self._clock = clock
        self._dice = dice
        self._faults = faults
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.counts: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """Notices that are neither acknowledged, nor lost, nor given up."""
        return len(self._tasks)

    def tell(
        self, speaker: Speaker, retries_s: tuple[float, ...], url: str, trade: Trade, refund: Refund | None = None
    ) -> None:
        """Tell the merchant of what happened, now and until it is acknowledged."""
        what = refund.merchant_ref + refund.state if refund else trade.state + (trade.dispute or "")
        key = f"{trade.channel}-{trade.merchant_ref}-{what}"
        task = asyncio.create_task(self._tell(speaker, retries_s, url, trade, refund, key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop sending."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session:
            await self._session.close()

    async def _tell(
        self,
        speaker: Speaker,
        retries_s: tuple[float, ...],
        url: str,
        trade: Trade,
        refund: Refund | None,
        key: str,
    ) -> None:
        faults = self._faults()
        if self._dice.hits(faults.reorder, "reorder", key):
            self.counts["reordered"] += 1
            await self._clock.sleep(self._dice.throw("overtaken", key).uniform(1, 10))
        if self._dice.hits(faults.delay, "delay", key):
            self.counts["delayed"] += 1
            await self._clock.sleep(self._dice.throw("late", key).expovariate(1 / faults.delay_s))
        for attempt, pause_s in enumerate((0.0, *retries_s)):
            await self._clock.sleep(pause_s)
            lost_as = key if faults.lose_for_good else f"{key}#{attempt}"
            if self._dice.hits(faults.lose, "lose", lost_as):
                self.counts["lost"] += 1
                if faults.lose_for_good:
                    return
                continue
            if await self._try(speaker, url, trade, refund, key, attempt):
                self.counts["acknowledged"] += 1
                return
        self.counts["given_up"] += 1

    async def _try(
        self, speaker: Speaker, url: str, trade: Trade, refund: Refund | None, key: str, attempt: int
    ) -> bool:
        faults, mark = self._faults(), f"{key}#{attempt}"
        if self._dice.hits(faults.forge, "forge", mark):
            self.counts["forged"] += 1
            await self._send(url, self._forged(speaker, trade, refund, key))
        notice = speaker.notice(trade, refund, key=key)
        if self._dice.hits(faults.corrupt, "corrupt", mark):
            self.counts["corrupted"] += 1
            notice = Notice(notice.headers, notice.body[:-9] + bytes([notice.body[-9] ^ 1]) + notice.body[-8:])
        if self._dice.hits(faults.repeat, "repeat", mark):
            self.counts["repeated"] += 1
            await self._send(url, notice)
        status, body = await self._send(url, notice)
        return speaker.is_acknowledged(status, body)

    def _forged(self, speaker: Speaker, trade: Trade, refund: Refund | None, key: str) -> Notice:
        """A notice with another amount under the signature of the genuine one."""
        genuine = speaker.notice(trade, refund, key=f"{key}-forged")
        digit = str(trade.amount_minor).encode()
        body = genuine.body.replace(digit, b"1") if digit in genuine.body else genuine.body[:-1] + b" }"
        return Notice(genuine.headers, body)

    async def _send(self, url: str, notice: Notice) -> tuple[int, bytes]:
        """One POST; (0, b"") when nobody answered in time."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REAL_TIMEOUT_S))
        self.counts["sent"] += 1
        try:
            async with (
                self._gate,
                self._session.post(
                    url, data=notice.body, headers=dict(notice.headers), allow_redirects=False
                ) as answer,
            ):
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.counts["unanswered"] += 1
            return 0, b""
