"""Figures on their way to Prometheus: counts and distributions, which can be added up."""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from typing import Self

import msgspec

from paidup.metrics.families import Family, Kind

Labels = tuple[str, ...]


class Distribution(msgspec.Struct):
    """How many values fell into each bucket (the last one is everything above), and their sum."""

    counts: list[int]
    total: float = 0.0

    @classmethod
    def over(cls, buckets: tuple[float, ...]) -> Self:
        """An empty one; a value that equals an upper bound belongs to it."""
        return cls([0] * (len(buckets) + 1))

    def add(self, value: float, buckets: tuple[float, ...]) -> None:
        """Count one value."""
        self.counts[bisect_left(buckets, value)] += 1
        self.total += value

    def plus(self, other: "Distribution") -> "Distribution":
        """Both together."""
        return Distribution([a + b for a, b in zip(self.counts, other.counts, strict=True)], self.total + other.total)


class Readings:
    """Values by family and labels. Reading a label twice adds up."""

    def __init__(self) -> None:
        self._values: dict[Family, dict[Labels, float | Distribution]] = {}

    def count(self, family: Family, value: float, *labels: object) -> None:
        """So much more of it."""
        key = _key(family, labels)
        before = self._values.setdefault(family, {}).get(key, 0.0)
        if isinstance(before, Distribution):
            raise TypeError(f"{family.name} is a histogram")
        self._values[family][key] = before + value

    def spread(self, family: Family, part: Distribution, *labels: object) -> None:
        """These values more of it."""
        key = _key(family, labels)
        before = self._values.setdefault(family, {}).get(key)
        self._values[family][key] = part.plus(before) if isinstance(before, Distribution) else part

    def plus(self, other: "Readings") -> "Readings":
        """Both together, as a value of its own."""
        total = Readings()
        for part in (self, other):
            for family, labels, value in part:
                if isinstance(value, Distribution):
                    total.spread(family, value, *labels)
                else:
                    total.count(family, value, *labels)
        return total

    def of(self, family: Family) -> dict[Labels, float | Distribution]:
        """What is known of one family."""
        return self._values.get(family, {})

    def __iter__(self) -> Iterator[tuple[Family, Labels, float | Distribution]]:
        for family, values in self._values.items():
            for labels, value in values.items():
                yield family, labels, value


def _key(family: Family, labels: tuple[object, ...]) -> Labels:
    if len(labels) != len(family.labels):
        raise TypeError(f"{family.name} has the labels {family.labels}, not {labels}")
    return tuple(map(str, labels))


def age_s(moment: datetime | None, now: datetime) -> float:
    """Seconds since then; 0 for nothing and for what lies ahead."""
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0


def fresh(family: Family) -> Distribution:
    """An empty distribution of a histogram's family."""
    if family.kind is not Kind.HISTOGRAM:
        raise TypeError(f"{family.name} is no histogram")
    return Distribution.over(family.buckets)
