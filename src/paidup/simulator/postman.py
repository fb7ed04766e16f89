"""The channels' callbacks on their way to us: each is sent again on its channel's own schedule until we acknowledge it,
and is lost, repeated, delayed, overtaken, damaged or heard of twice as the seed decides."""

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from paidup.clock import Clock
from paidup.sandbox.wire import News, Notice, flipped
from paidup.sandbox.world import World
from paidup.simulator.actors import Died
from paidup.simulator.channels import Later
from paidup.simulator.process import Process, Replied, request
from paidup.simulator.stage import Stage
from paidup.simulator.witness import Acknowledged, Witness


class Postman:
    """Carries news of the world to whichever process answers. pick: a process that lives, or None."""

    def __init__(
        self,
        world: World,
        stage: Stage,
        clock: Clock,
        witness: Witness,
        *,
        pick: Callable[[str], Process | None],
        later: Later,
    ) -> None:
        self._world = world
        self._stage = stage
        self._clock = clock
        self._witness = witness
        self._pick = pick
        self._later = later
        self.sent = 0
        self._names: dict[str, str] = {}
        self._nth: Counter[str] = Counter()

    def collect(self) -> None:
        """Take on what the channels have to tell."""
        news, self._world.news = self._world.news, []
        for one in news:
            self._take_on(one)

    def _take_on(self, news: News) -> None:
        if news.forged:
            self._at(0.0, news, 0)
            return
        self._witness.news[news.key] = news.about
        if news.about in self._witness.kept_quiet or self._befalls("callback.never", news):
            return
        wait_s = 0.0
        if self._befalls("callback.overtaken", news):
            wait_s += self._stage.fates.between(1, 15, f"overtaken {self._name(news)}")
        if self._befalls("callback.late", news):
            wait_s += 30 * 400 ** self._stage.fates.share("late", self._name(news))
        self._at(wait_s, news, 0)

    def _at(self, seconds: float, news: News, attempt: int) -> None:
        self._later(seconds, lambda: self._spawn(news, attempt))

    def _spawn(self, news: News, attempt: int) -> None:
        self._stage.spawn(f"post {self._name(news)}", self._try(news, attempt))

    async def _try(self, news: News, attempt: int) -> None:
        """One sending, and what follows from how it went."""
        provider = self._world.provider(news.channel, news.account)
        acknowledged = False
        if not self._befalls("callback.lost", news):
            notice = provider.notice(news, self._clock.now())
            corrupt = not news.forged and self._befalls("callback.corrupted", news)
            if corrupt:
                place = int(len(notice.body) / 2 * self._stage.fates.share("bit", self._name(news), attempt))
                notice = flipped(notice, place)
            if self._befalls("callback.repeated", news):
                self._stage.spawn(f"post again {self._name(news)}", self._deliver(news, notice, genuine=not corrupt))
            acknowledged = await self._deliver(news, notice, genuine=not (corrupt or news.forged))
        if news.forged:
            return
        if acknowledged and not self._befalls("callback.unheard", news):
            provider.acknowledged(news)
            if self._befalls("callback.resent", news):
                self._at(60 * 1500 ** self._stage.fates.share("again", self._name(news)), news, len(provider.retries_s))
        elif attempt < len(provider.retries_s):
            self._at(provider.retries_s[attempt], news, attempt + 1)

    async def _deliver(self, news: News, notice: Notice, *, genuine: bool) -> bool:
        """One POST; whether we acknowledged it."""
        process = self._pick(self._name(news))
        if process is None:
            return False
        self.sent += 1
        path = f"/callbacks/{news.channel}/{news.account}"
        call = request(process.callbacks, "POST", path, tuple(notice.headers.items()), notice.body, source="10.0.0.1")
        replied = await answered(self._stage, f"callback {self._name(news)}", call, process)
        self._stage.note(f"callback {self._name(news)} answered {replied.status}")
        provider = self._world.provider(news.channel, news.account)
        if not provider.is_acknowledged(replied.status, replied.body):
            return False
        if not genuine:
            what = f"a forged or damaged callback was accepted: {self._name(news)}"
            self._witness.breach("no forgery is believed", what)
        now = self._clock.now()
        self._witness.arrived.add(news.key)
        self._witness.acknowledged.append(Acknowledged(news.channel, news.about, news.kind, notice.body, now))
        return True

    def _name(self, news: News) -> str:
        """What people and fates call it: the nth of its kind about a payment."""
        if news.key not in self._names:
            about = self._witness.opened_by.get(news.about, news.about)
            name = f"{news.channel} {news.kind}{' forged' if news.forged else ''} {about}"
            self._nth[name] += 1
            self._names[news.key] = f"{name} {self._nth[name]}"
        return self._names[news.key]

    def _befalls(self, kind: str, news: News) -> bool:
        return self._stage.fates.hits(kind, self._name(news), self._clock.now())


async def answered(stage: Stage, name: str, call: Coroutine[Any, Any, Replied], process: Process) -> Replied:
    """What came back of a request to this process; nothing, when it died meanwhile."""
    try:
        replied = await stage.spawn(name, call, process.life)
    except Died:
        return Replied(0, b"")
    return replied if process.life.alive else Replied(0, b"")
