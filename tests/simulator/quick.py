"""Which seeds are played first, so that a test takes seconds."""

from math import prod

from paidup.simulator.bill_fates import CORRECTED
from paidup.simulator.fates import weather_of
from paidup.simulator.office import OFFICE_FROM
from paidup.simulator.pages import PAGES_FROM
from paidup.simulator.script import Offer, Plan, write_script
from paidup.simulator.story import story_of
from paidup.simulator.undertakings import SERVICES_FROM
from paidup.simulator.watch import HARMLESS

RUSH = 18
"""So many orders a story has in which all come within a minute."""


def quickest(seeds: range, at_least: int = 0) -> list[int]:
    """The seeds, those with the fewest orders first. at_least: so many orders each of them has."""
    orders = {seed: len(write_script(seed).plans) for seed in seeds}
    return sorted((seed for seed in seeds if orders[seed] >= at_least), key=orders.__getitem__)


def densest(seeds: range) -> list[int]:
    """The seeds, first those in which a few orders meet the most kinds of trouble with services."""
    return sorted(seeds, key=lambda seed: len(write_script(seed).plans) - 1.5 * _kinds_of("service", seed))


def _kinds_of(prefix: str, seed: int) -> int:
    return sum(kind.startswith(prefix) for kind in weather_of(seed))


def calmest(seeds: range) -> list[int]:
    """The seeds, first those in whose weather the least puts off a question: what comes late there has no excuse."""
    return sorted(seeds, key=_kinds_that_put_off)


def likeliest(kind: str, seeds: range) -> list[int]:
    """Those of the seeds in whose weather this fault is frequent, first those with the fewest orders."""
    rates = {seed: weather_of(seed).get(kind, 0.0) for seed in seeds}
    frequent = sorted(rates, key=lambda seed: -rates[seed])[: len(seeds) // 5]
    return sorted(frequent, key=lambda seed: (len(write_script(seed).plans), seed))


def most_corrected(seeds: range) -> list[int]:
    """The seeds, first those in which a few orders meet many wrong lines of bills that are corrected."""

    def rate(seed: int) -> float:
        weather = weather_of(seed)
        return weather.get("bill.corrected", 0.0) * sum(weather.get(f"bill.{what}", 0.0) for what in CORRECTED)

    return sorted(seeds, key=lambda seed: -rate(seed))


def busiest_office(way: str, seeds: range) -> list[int]:
    """The seeds, first those of whose orders most have refunds above the limit to which others say this ("alone":
    above a limit that leaves much to one person); without a word for it, those in which what only the bill knows is
    never repaired without two people."""

    def rate(seed: int) -> float:
        story = story_of(seed)
        if story.office is None:
            return 0.0
        if not way:
            return (story.office.repair_minor == 0) * weather_of(seed).get("callback.never", 0.0)
        minors = [
            errand.minor or plan.amount_minor
            for plan in story.plans
            for errand in plan.errands
            if errand.action == "refund" and way in (errand.way, "alone" if story.office.limit_minor else "")
        ]
        return sum(minor > story.office.limit_minor for minor in minors) / len(story.plans)

    return sorted(seeds, key=lambda seed: (-rate(seed), len(story_of(seed).plans)))


def most_outliving(method: str, seeds: range) -> list[int]:
    """The seeds, first those of whose offers most are paid in this way when the order has ended; of codes, those that
    the shop opened by itself and said no more of; of Stripe's pages, those too that are never paid."""

    def counts(plan: Plan, offer: Offer) -> bool:
        if offer.method != method or (method == "precreate" and not is_of_the_shop(plan, offer)):
            return False
        if offer.pays_s is None:
            return method == "checkout"
        return offer.after_s + offer.pays_s > min(plan.ttl_s, plan.cancels_s or plan.ttl_s)

    def is_of_the_shop(plan: Plan, offer: Offer) -> bool:
        return offer.registered_s is not None and not offer.says_when and plan.cancels_s is None

    def rate(seed: int) -> float:
        plans = story_of(seed).plans
        return sum(counts(plan, offer) for plan in plans for offer in plan.offers) / len(plans)

    return sorted(seeds, key=lambda seed: -rate(seed))


def most_overlapping(seeds: range) -> list[int]:
    """The seeds, first those in which many customers come at once, and calls to channels that fail meet slow ones."""
    kinds = ("channel.refused", "channel.slow", "overlap")
    rates = {seed: prod(weather_of(seed).get(kind, 0.0) for kind in kinds) for seed in seeds}
    return sorted(rates, key=lambda seed: -rates[seed] * (len(write_script(seed).plans) >= RUSH))


def latest_committed(seeds: range) -> list[int]:
    """The seeds, first those in which small rounds of deliveries meet what was begun earlier and committed later: who
    decides stands still meanwhile, and is overtaken."""

    def rate(seed: int) -> float:
        weather = weather_of(seed)
        doubled = weather.get("callback.repeated", 0.0) + weather.get("shop.repeats", 0.0)
        return weather.get("stall", 0.0) * (weather.get("overlap", 0.0) + 0.02) * (1 + doubled)

    small = [seed for seed in seeds if write_script(seed).limits.delivery == 2]
    return sorted(small, key=lambda seed: -rate(seed))


def longest_paged(seeds: range) -> list[int]:
    """The seeds, first those in which many payments are closed in small rounds, and the least puts off a question."""

    def rank(seed: int) -> tuple[bool, int]:
        script = write_script(seed)
        return not (len(script.plans) >= RUSH and script.limits.repair == 1), _kinds_that_put_off(seed)

    return sorted(seeds, key=rank)


def _kinds_that_put_off(seed: int) -> int:
    return sum(not kind.startswith(HARMLESS) for kind in weather_of(seed))


def worth_a_try(first: int = 1, needs: str = "") -> list[int]:
    """In which a defect is looked for, in this order. first: from which seed on. needs: the kind of fault that it
    takes."""
    if first == OFFICE_FROM:
        return busiest_office(needs, range(first, first + 600))[:60]
    if first >= PAGES_FROM:
        return most_outliving(needs, range(first, first + 600))[:60]
    if first >= SERVICES_FROM:
        return densest(range(first, first + 400))[:120]
    if needs == "bill.corrected":
        return most_corrected(range(first, first + 600))[:60]
    if needs == "breaker":
        return most_overlapping(range(first, first + 2000))[:40]
    if needs == "late commits":
        return latest_committed(range(first, first + 600))[:60]
    if needs == "paging":
        return longest_paged(range(first, first + 3000))[:40]
    if needs:
        return likeliest(needs, range(first, first + 600))[:60]
    quick, calm = quickest(range(first, first + 300)), calmest(range(first, first + 1000))
    return list(dict.fromkeys([*quick[:60], *calm[:60]]))
