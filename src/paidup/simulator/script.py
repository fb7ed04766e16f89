"""What people do in a run, and when: all of it follows from the seed. Times are seconds after the run's start."""

import random
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from paidup.orders.order import LatePayment
from paidup.simulator.process import Limits

CHANNELS = ("wechat", "alipay", "stripe")
METHODS = {"wechat": "native", "alipay": "precreate", "stripe": "payment_intent"}
HOUR = 3600.0


class Offer(msgspec.Struct, frozen=True):
    """One way in which an order is offered, and what the customer makes of it: seconds after he got it; None: never.

    registered_s: the shop opened it at the channel by itself, and tells us so much later. wrong_minor: the channel
    takes so much more than agreed. method: how it is paid, where not by the channel's entry of METHODS; follows_s: when
    the customer follows an Alipay page, from when on his other times count. says_when: the shop that registers it says
    until when it can be paid; lives: for how many of the order's lifetimes.
    """

    after_s: float
    channel: str
    scans_s: float | None
    fails_s: float | None
    pays_s: float | None
    registered_s: float | None = None
    wrong_minor: int = 0
    dispute_s: float | None = None
    dispute_ends_s: float | None = None
    dispute_is_lost: bool = False
    console_refund_s: float | None = None
    comes_back_s: float | None = None
    method: str = ""
    follows_s: float | None = None
    says_when: bool = False
    lives: float = 1.0


class Wish(msgspec.Struct, frozen=True):
    """A refund that the shop asks for under this key; minor None: all that is left."""

    at_s: float
    key: str
    minor: int | None


class Undertaking(msgspec.Struct, frozen=True):
    """A transaction across services, about one order. table: its table of steps; undo_s: when somebody changes his
    mind; acts_s: when the sender of a reliable message acts by itself (None: it never does)."""

    table: str
    after_s: float
    undo_s: float | None = None
    acts_s: float | None = None


class Way(StrEnum):
    """What others say to a request of somebody in the office."""

    AGREED = "agreed"
    REFUSED = "refused"
    OWN = "own"  # who asked agrees to it himself
    TWICE = "twice"  # several agree in one moment
    BOTH = "both"  # one agrees, another one refuses, in one moment
    NOBODY = "nobody"


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody does by hand about the payment that this offer led to. action: refund or confirm; minor
    None: all of it; second_after_s: so much later others say what `way` has."""

    offer: int
    key: str
    action: str
    after_s: float
    minor: int | None
    asker: str
    way: Way
    second_after_s: float


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """Up to how much one person may do alone, how much a day is repaired without any, and kinds of differences that
    never are."""

    limit_minor: int
    repair_minor: int
    kinds: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True):
    """The life of one order, as the shop wants it."""

    name: str
    at_s: float
    amount_minor: int
    ttl_s: int
    offers: tuple[Offer, ...]
    cancels_s: float | None = None
    wishes: tuple[Wish, ...] = ()
    redrives_s: tuple[float, ...] = ()
    wants: tuple[tuple[str, int], ...] = ()
    """(SKU, quantity) of what is ordered, in a sale."""
    undertakings: tuple[Undertaking, ...] = ()
    errands: tuple[Errand, ...] = ()


class Away(msgspec.Struct, frozen=True):
    """An outage: a fault that has a beginning and an end."""

    whom: str
    from_s: float
    to_s: float
    storm: bool
    """Not quite away: most requests fail at once, and some are answered after seconds."""


class Script(msgspec.Struct, frozen=True):
    """A whole run before anything goes wrong."""

    plans: tuple[Plan, ...]
    late_payment: LatePayment
    limits: Limits
    trouble_s: float
    outages: tuple[Away, ...]
    jumps: tuple[tuple[float, float], ...]
    forge: float
    refund_fail: float
    hot_units: int = 0
    shelves: Mapping[str, int] = {}
    """How many units each service that takes part in transactions has; empty: there are none."""
    office: Office | None = None
    """What takes two people; None: nobody does anything by hand."""


def write_script(seed: int) -> Script:
    """The script of this seed."""
    dice = random.Random(f"script/{seed}")  # noqa: S311 - a story, not a secret
    trouble_s = dice.choice((2, 4, 8, 26)) * HOUR
    rush = dice.random() < 0.25
    count = dice.randint(18, 24) if rush else dice.randint(3, 9)
    spread_s = 60.0 if rush else trouble_s * 0.6
    only = dice.choice(CHANNELS) if rush else None
    small = dice.random() < 0.3
    return Script(
        plans=tuple(_plan(dice, n, dice.uniform(0, spread_s), only) for n in range(count)),
        late_payment=dice.choice(tuple(LatePayment)),
        limits=Limits(intake=dice.choice((1, 3)), repair=dice.choice((1, 3)), delivery=2) if small else Limits(),
        trouble_s=trouble_s,
        outages=tuple(_outages(dice, trouble_s)),
        jumps=tuple((dice.uniform(0, trouble_s), dice.uniform(120, 3 * HOUR)) for _ in range(dice.randint(0, 2))),
        forge=dice.choice((0.0, 0.3)),
        refund_fail=dice.choice((0.0, 0.0, 0.4)),
    )


def write_days(seed: int, days: int) -> Script:
    """So many ordinary days: a few orders each, the same troubles, spread out."""
    dice = random.Random(f"days/{seed}/{days}")  # noqa: S311 - a story, not a secret
    trouble_s = days * 24 * HOUR
    return Script(
        plans=tuple(
            _plan(dice, n, day * 24 * HOUR + dice.uniform(0, 24 * HOUR), None)
            for n, day in enumerate(day for day in range(days) for _ in range(dice.choice((0, 1, 2, 3))))
        ),
        late_payment=dice.choice(tuple(LatePayment)),
        limits=Limits(),
        trouble_s=trouble_s,
        outages=tuple(away for _ in range(-(-days // 10)) for away in _outages(dice, trouble_s)),
        jumps=tuple((dice.uniform(0, trouble_s), dice.uniform(120, 3 * HOUR)) for _ in range(-(-days // 10))),
        forge=dice.choice((0.0, 0.3)),
        refund_fail=dice.choice((0.0, 0.4)),
    )


def _plan(dice: random.Random, n: int, at_s: float, only: str | None) -> Plan:
    ttl_s = dice.choice((900, 3600, 7200))
    amount_minor = dice.randint(100, 99_999)
    first = _offer(dice, 0, ttl_s, only)
    offers = [first]
    if dice.random() < 0.35:
        offers.append(_offer(dice, dice.uniform(0, ttl_s * 0.5), ttl_s, only))
    wishes = []
    for k in range(dice.choice((0, 0, 1, 1, 2, 3))):
        minor = dice.choice((None, dice.randint(1, amount_minor), dice.randint(1, amount_minor // 4)))
        wishes.append(Wish(dice.uniform(20, ttl_s * 1.5), f"r{k}", minor))
    return Plan(
        name=f"o{n}",
        at_s=at_s,
        amount_minor=amount_minor,
        ttl_s=ttl_s,
        offers=tuple(offers),
        cancels_s=dice.uniform(5, ttl_s) if dice.random() < 0.3 else None,
        wishes=tuple(wishes),
        redrives_s=tuple(dice.uniform(20, ttl_s) for _ in range(dice.choice((0, 0, 1, 4)))),
    )


def _offer(dice: random.Random, after_s: float, ttl_s: int, only: str | None) -> Offer:
    channel = only or dice.choice(CHANNELS)
    pays_s = _pays_s(dice, ttl_s - after_s)
    paid_s = pays_s if pays_s is not None else 0.0
    disputed = pays_s is not None and channel == "stripe" and dice.random() < 0.25
    dispute_s = paid_s + dice.choice((1.0, dice.uniform(60, 2 * HOUR))) if disputed else None
    registered = dice.random() < 0.15
    refunded = pays_s is not None and dice.random() < (0.4 if registered else 0.12)
    return Offer(
        after_s=after_s,
        channel=channel,
        scans_s=dice.uniform(1, 60) if pays_s is None and dice.random() < 0.5 else paid_s * 0.6,
        fails_s=paid_s * 0.8 if pays_s is not None and dice.random() < 0.2 else None,
        pays_s=pays_s,
        registered_s=dice.choice((1.0, paid_s + dice.uniform(1, 600))) if registered else None,
        wrong_minor=dice.choice((-1, 1, 1000)) if dice.random() < 0.05 else 0,
        dispute_s=dispute_s,
        dispute_ends_s=dispute_s + dice.uniform(60, 4 * HOUR) if dispute_s and dice.random() < 0.6 else None,
        dispute_is_lost=dice.random() < 0.5,
        console_refund_s=paid_s + dice.choice((1.0, dice.uniform(60, HOUR))) if refunded else None,
        comes_back_s=dice.uniform(60, HOUR) if refunded and channel != "alipay" and dice.random() < 0.3 else None,
    )


def _pays_s(dice: random.Random, left_s: float) -> float | None:
    """Most pay within a minute, some at the last moment, some never."""
    chance = dice.random()
    if chance < 0.2:
        return None
    if chance < 0.35:
        return max(1.0, left_s - dice.choice((0.5, 5.0, 30.0)))
    if chance < 0.5:
        return dice.uniform(1, left_s)
    return min(25.0 * dice.lognormvariate(0, 1), left_s * 0.9)


def _outages(dice: random.Random, trouble_s: float) -> list[Away]:
    found = []
    for whom in (*CHANNELS, "shop"):
        for _ in range(dice.randint(0, 2)):
            start = dice.uniform(0, dice.choice((300.0, trouble_s)))
            found.append(Away(whom, start, start + dice.choice((30.0, 300.0, 3600.0, 4 * HOUR)), dice.random() < 0.5))
    return found
