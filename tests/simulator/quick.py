"""Which seeds are played first, so that a test takes seconds."""

from paidup.simulator.bill_fates import CORRECTED
from paidup.simulator.fates import weather_of
from paidup.simulator.script import write_script
from paidup.simulator.undertakings import SERVICES_FROM
from paidup.simulator.watch import HARMLESS


def quickest(seeds: range) -> list[int]:
    """The seeds, those with the fewest orders first."""
    return sorted(seeds, key=lambda seed: len(write_script(seed).plans))


def densest(seeds: range) -> list[int]:
    """The seeds, first those in which a few orders meet the most kinds of trouble with services."""
    return sorted(seeds, key=lambda seed: len(write_script(seed).plans) - 1.5 * _kinds_of("service", seed))


def _kinds_of(prefix: str, seed: int) -> int:
    return sum(kind.startswith(prefix) for kind in weather_of(seed))


def calmest(seeds: range) -> list[int]:
    """The seeds, first those in whose weather the least puts off a question: what comes late there has no excuse."""
    return sorted(seeds, key=lambda seed: sum(not kind.startswith(HARMLESS) for kind in weather_of(seed)))


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


def worth_a_try(first: int = 1, needs: str = "") -> list[int]:
    """In which a defect is looked for, in this order. first: from which seed on. needs: the kind of fault that it
    takes."""
    if first >= SERVICES_FROM:
        return densest(range(first, first + 400))[:120]
    if needs == "bill.corrected":
        return most_corrected(range(first, first + 600))[:60]
    if needs:
        return likeliest(needs, range(first, first + 600))[:60]
    quick, calm = quickest(range(first, first + 300)), calmest(range(first, first + 1000))
    return list(dict.fromkeys([*quick[:60], *calm[:60]]))
