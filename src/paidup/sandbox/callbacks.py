"""Sending callbacks with everything that can befall them: each try is signed anew and retried on the channel's own
schedule, and is lost, repeated, delayed, overtaken or corrupted as the dice fall."""

import asyncio
from collections import Counter
from collections.abc import Callable

import aiohttp
import msgspec

from paidup.clock import Clock
from paidup.sandbox.faults import Dice, Faults
from paidup.sandbox.wechat.provider import Wechat
from paidup.sandbox.wire import News, Notice, Provider, flipped

AT_ONCE = 64
MAX_ACK_BYTES = 64 << 10


class Fate(msgspec.Struct, frozen=True):
    """What befalls one sending. corrupt_at: where in the body a bit flips, as a share of its length."""

    lost: bool = False
    repeated: bool = False
    probed: bool = False
    corrupt_at: float | None = None


def fate_of(faults: Faults, dice: Dice, news: News, attempt: int) -> Fate:
    """The same for the same news and attempt in every run with this seed; forgeries only have the sender's luck."""
    whom = (news.channel, news.account, news.about, news.kind, news.key)
    if news.forged:
        return Fate()
    lost_as = whom if faults.lose_for_good else (*whom, attempt)
    corrupted = dice.hits(faults.corrupt, "corrupt", *whom, attempt)
    return Fate(
        lost=dice.hits(faults.lose, "lose", *lost_as),
        repeated=dice.hits(faults.repeat, "repeat", *whom, attempt),
        probed=news.channel == Wechat.channel and dice.hits(faults.probe, "probe", *whom, attempt),
        # In the first half: what lies there is signed at every channel, and is no signature itself.
        corrupt_at=dice.throw("place", *whom, attempt).uniform(0, 0.5) if corrupted else None,
    )


def held_back_s(faults: Faults, dice: Dice, news: News) -> tuple[float, float]:
    """How long the first sending is overtaken by others, and how long it is delayed, in seconds."""
    whom = (news.channel, news.account, news.about, news.kind, news.key)
    if news.forged:
        return 0.0, 0.0
    overtaken = dice.hits(faults.reorder, "reorder", *whom) and faults.reorder_s > 0
    late = dice.hits(faults.delay, "delay", *whom) and faults.delay_s > 0
    return (
        dice.throw("overtaken", *whom).uniform(faults.reorder_s / 10, faults.reorder_s) if overtaken else 0.0,
        dice.throw("late", *whom).expovariate(1 / faults.delay_s) if late else 0.0,
    )


class Callbacks:
    """Sends callbacks in the background. `counts` says, by channel, what befell them."""

    def __init__(self, clock: Clock, dice: Dice, faults: Callable[[], Faults], patience: float = 1.0) -> None:
        """patience: a factor on how long each channel waits for an acknowledgement. The receiver's work takes real
        time however fast the clock runs, so that wait is the only one in real seconds."""
        self._clock = clock
        self._dice = dice
        self._faults = faults
        self._patience = patience
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._retrying = 0
        self.counts: Counter[tuple[str, str]] = Counter()

    @property
    def under_way(self) -> int:
        """Notices that are neither acknowledged, nor lost, nor given up."""
        return len(self._tasks)

    @property
    def retrying(self) -> int:
        """Of those under way, the ones that were tried in vain and wait for their next try."""
        return self._retrying

    def totals(self) -> dict[str, int]:
        """The counts of all channels together."""
        totals: Counter[str] = Counter()
        for (_, what), count in self.counts.items():
            totals[what] += count
        return dict(totals)

    def tell(self, provider: Provider, news: News) -> None:
        """Tell the merchant, now and until it is acknowledged; a forger tries once."""
        task = asyncio.create_task(self._forged(provider, news) if news.forged else self._tell(provider, news))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop sending."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session:
            await self._session.close()

    async def _tell(self, provider: Provider, news: News) -> None:
        await self._hold_back(news)
        for attempt, pause_s in enumerate((0.0, *provider.retries_s)):
            if pause_s:
                self._retrying += 1
                await self._clock.sleep(pause_s)
                self._retrying -= 1
            fate = fate_of(self._faults(), self._dice, news, attempt)
            if fate.lost:
                self._count(news, "lost")
                if self._faults().lose_for_good:
                    return
            elif await self._try(provider, news, fate):
                provider.acknowledged(news)
                self._count(news, "acknowledged")
                return
        self._count(news, "given_up")

    async def _forged(self, provider: Provider, news: News) -> None:
        self._count(news, "forged")
        if await self._try(provider, news, Fate()):
            self._count(news, "forged_and_accepted")

    async def _hold_back(self, news: News) -> None:
        overtaken_s, late_s = held_back_s(self._faults(), self._dice, news)
        for name, seconds in (("reordered", overtaken_s), ("delayed", late_s)):
            if seconds:
                self._count(news, name)
                await self._clock.sleep(seconds)

    async def _try(self, provider: Provider, news: News, fate: Fate) -> bool:
        async with self._gate:  # signed only when it is its turn: a signature that waits grows old
            notice = provider.notice(news, self._clock.now())
            if fate.probed:
                self._count(news, "probed")
                probe = await self._send(provider, news, Wechat.probe(notice))
                if provider.is_acknowledged(*probe):
                    self._count(news, "probes_accepted")
            if fate.corrupt_at is not None:
                self._count(news, "corrupted")
                notice = flipped(notice, int(len(notice.body) * fate.corrupt_at))
            if not fate.repeated:
                return provider.is_acknowledged(*await self._send(provider, news, notice))
            self._count(news, "repeated")
            answers = await asyncio.gather(*(self._send(provider, news, notice) for _ in range(2)))
            return any(provider.is_acknowledged(*answer) for answer in answers)

    async def _send(self, provider: Provider, news: News, notice: Notice) -> tuple[int, bytes]:
        """One POST; (0, b"") when nobody answered in the channel's time."""
        self._session = self._session or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2 * AT_ONCE))
        timeout = aiohttp.ClientTimeout(total=provider.ack_within_s * self._patience)
        self._count(news, "sent")
        try:
            async with self._session.post(
                news.url, data=notice.body, headers=notice.headers, allow_redirects=False, timeout=timeout
            ) as answer:
                return answer.status, await answer.content.read(MAX_ACK_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self._count(news, "unanswered")
            return 0, b""

    def _count(self, news: News, what: str) -> None:
        self.counts[(news.channel, what)] += 1
