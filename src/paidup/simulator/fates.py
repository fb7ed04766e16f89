"""What goes wrong in a run. Whether a fault hits follows from the seed and from whom it befalls, never from timing, so
that taking one fault away leaves the others where they were."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b

import msgspec

KINDS: Mapping[str, tuple[float, str]] = {
    "db.refused": (0.008, "no connection can be had"),
    "db.broken": (0.0015, "the connection breaks at a statement"),
    "commit.undone": (0.02, "the connection dies before the commit reaches the server"),
    "commit.lost": (0.02, "the commit is done, its answer is lost"),
    "process.dies": (0.001, "the process is killed"),
    "overlap": (0.04, "somebody else goes on first"),
    "second worker": (0.3, "another process runs the same round at the same moment"),
    "stall": (0.0008, "the process stands still for a while"),
    "channel.refused": (0.05, "the channel cannot be reached"),
    "channel.5xx": (0.05, "the channel answers 502 and does nothing"),
    "channel.silent": (0.06, "the channel acts and never answers"),
    "channel.acts late": (0.02, "the request reaches the channel long after we gave up"),
    "channel.garbled": (0.02, "the channel acts, its answer is damaged"),
    "channel.slow": (0.08, "the channel answers after seconds"),
    "channel.outage": (0.5, "the channel is away for a while"),
    "channel.contradicts": (0.1, "the channel says closed, and takes the customer's money all the same"),
    "customer.hurries": (0.05, "the customer pays in the moment in which the channel is asked"),
    "shop.hurries": (0.05, "the shop cancels an order while the channel is asked about it"),
    "callback.lost": (0.25, "this sending never arrives"),
    "callback.never": (0.15, "no sending of this notice ever arrives"),
    "callback.late": (0.2, "it comes minutes or hours late"),
    "callback.overtaken": (0.3, "later ones overtake it"),
    "callback.repeated": (0.15, "two copies arrive in the same moment"),
    "callback.resent": (0.1, "the channel sends it again although it was acknowledged"),
    "callback.corrupted": (0.05, "a bit flips on the way"),
    "callback.unheard": (0.05, "it is stored, our answer is lost"),
    "shop.fails": (0.08, "the shop's endpoint answers 500"),
    "shop.busy": (0.03, "the shop's endpoint answers 429"),
    "shop.slow": (0.1, "the shop's endpoint takes its time"),
    "shop.deaf": (0.06, "the shop has it, and its answer never arrives"),
    "shop.outage": (0.5, "the shop's endpoint is away for a while"),
    "shop.repeats": (0.15, "the shop sends a request twice"),
    "channel.keeps quiet": (0.4, "the channel takes money for what it called closed, and only its bill tells"),
    "bill.coming": (0.1, "the bill is not there yet"),
    "bill.denied": (0.08, "the channel says that there is no bill, and has one"),
    "bill.cut": (0.05, "the bill's file breaks off"),
    "bill.wrong hash": (0.05, "the file is not the one that was announced"),
    "bill.wrong total": (0.05, "the bill's own totals do not fit its lines"),
    "bill.other day": (0.05, "the file is the bill of another day"),
    "bill.missing": (0.04, "a line is missing in the bill"),
    "bill.extra": (0.04, "the bill has money that nobody paid"),
    "bill.wrong amount": (0.04, "a line's amount is off by one"),
    "bill.wrong fee": (0.04, "a line's fee is off by one"),
    "bill.wrong day": (0.04, "a line stands in the next day's bill"),
    "bill.duplicate": (0.04, "a line is printed twice"),
    "bill.corrected": (0.4, "the channel prints a wrong bill anew, and finance uploads it"),
    "clock.jumps": (0.5, "nothing runs for a while, then the clock has jumped"),
    "service.refused": (0.1, "the service that takes part cannot be reached"),
    "service.5xx": (0.12, "the service answers 500 or 503 and does nothing"),
    "service.silent": (0.15, "the service acts and never answers"),
    "service.unwell": (0.1, "the service acts and answers 500"),
    "service.acts late": (0.15, "the request reaches the service long after we gave up, perhaps after its undoing"),
    "service.repeats": (0.2, "two copies of the request reach the service in the same moment"),
    "service.resent": (0.15, "a copy of the request reaches the service minutes after it was answered"),
    "service.slow": (0.15, "the service answers after seconds"),
    "service.declines": (0.12, "the service says no, as businesses do"),
    "service.outage": (0.5, "the service is away for a while"),
}
"""What may go wrong: how likely it is at each occasion in ordinary weather, and how people read it."""

BILLS_JOB = "reconcile"
"""Whoever bears it in his name fetches bills."""

Weather = Mapping[str, float]


class Hit(msgspec.Struct, frozen=True):
    """A fault that befell something. key: the same in every run of this seed."""

    kind: str
    key: str
    at: datetime


class Fates:
    """Decides what goes wrong, and remembers what did.

    weather: how likely each kind is; kinds that are not named never happen. only: when given, nothing hits but what
    has one of these keys.
    """

    def __init__(self, seed: int, weather: Weather, only: frozenset[str] | None = None) -> None:
        self._seed = seed
        self._weather = weather
        self._only = only
        self._nth: Counter[str] = Counter()
        self.hit: list[Hit] = []
        self._once: dict[str, bool] = {}
        self.over = False
        """From then on nothing goes wrong any more, but for bills and those who fetch them."""
        self.bills_are_well = False
        """From then on nothing goes wrong with them, either."""

    def hits(self, kind: str, whom: str, at: datetime, weight: float = 1.0) -> bool:
        """Whether this kind of fault befalls it now; asked once for each occasion. weight: how much likelier here."""
        rate = self._weather.get(kind, 0.0) * weight
        if not rate or not self._may_hit(kind, whom):
            return False
        occasion = f"{kind}: {whom}"
        self._nth[occasion] += 1
        key = f"{occasion} #{self._nth[occasion]}"
        if self.share(key) >= rate or (self._only is not None and key not in self._only):
            return False
        self.hit.append(Hit(kind, key, at))
        return True

    def may_hit(self, kind: str) -> bool:
        """Whether this kind of fault can befall anybody now: `hits` need not be asked where not."""
        return kind in self._weather and not (self.over and self.bills_are_well)

    def _may_hit(self, kind: str, whom: str) -> bool:
        if kind.startswith("bill.") or BILLS_JOB in whom:
            return not self.bills_are_well
        return not self.over

    def once(self, kind: str, whom: str, at: datetime) -> bool:
        """As `hits`, decided the first time it is asked."""
        occasion = f"{kind}: {whom}"
        if occasion not in self._once:
            self._once[occasion] = self.hits(kind, whom, at)
        return self._once[occasion]

    def share(self, *whom: object) -> float:
        """A number from 0 to 1 that belongs to this."""
        digest = blake2b(f"{self._seed}/{'/'.join(map(str, whom))}".encode(), digest_size=7).digest()
        return int.from_bytes(digest) / 2**56

    def roll(self, whom: str) -> float:
        """A number from 0 to 1, another one each time this is asked for."""
        self._nth[whom] += 1
        return self.share(whom, self._nth[whom])

    def between(self, low: float, high: float, whom: str) -> float:
        """A number from low to high, another one each time."""
        return low + (high - low) * self.roll(whom)

    def pick(self, count: int, whom: str) -> int:
        """One of 0 … count − 1, another one each time."""
        return int(self.roll(whom) * count)


def weather_of(seed: int) -> Weather:
    """Each seed has weather of its own: about half of the kinds are absent, the others rare or frequent. Runs in which
    everything happens at once hide what one fault alone would show."""
    dice = Fates(seed, {})
    return {
        kind: min(0.9, usual * 4 ** dice.between(-1, 1, f"how often {kind}"))
        for kind, (usual, _) in KINDS.items()
        if dice.share("whether", kind) < 0.55
    }
