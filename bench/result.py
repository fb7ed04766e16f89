"""What a bench hands back: figures with all their rounds, the bars they are held to, charts, and texts to read.

A bench is `async def run(asked: Asked) -> Result`, and stands in `bench.__main__.BENCHES` under its name.
"""

from collections.abc import Sequence
from statistics import median, quantiles
from typing import Literal

import msgspec


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How long a run may take. minutes: for the one bench that looks for growth under load; None is its default.
    rate: for the whole way, the only rate to try, callbacks a second; None: the highest that is held. rows: of history,
    for the bench of the console's pages. flush_ms: how much longer a flush to the disk takes than it does here."""

    quick: bool = False
    minutes: float | None = None
    rate: int | None = None
    rows: int | None = None
    flush_ms: float = 0


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was measured, as often as it was. better: which way is good, for comparing two runs."""

    name: str
    unit: str
    rounds: list[float]
    better: Literal["higher", "lower", "neither"] = "higher"

    @property
    def median(self) -> float:
        """The figure to print."""
        return median(self.rounds)

    @property
    def noise(self) -> float:
        """Half of the distance between the quartiles of the rounds; 0 for a single one."""
        if len(self.rounds) < 2:
            return 0.0
        low, _, high = quantiles(self.rounds, n=4, method="inclusive")
        return (high - low) / 2


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """What a figure is held to: at least, or at most. It is printed whether it was met or missed."""

    claim: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether it was."""
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        bound = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        return f"{'met   ' if self.met else 'MISSED'}  {self.claim}: {shown(self.value)} ({bound})"


class Series(msgspec.Struct, frozen=True):
    """A line of a chart, or the bars of one colour. Points: (where, how much); bars take a text as where."""

    name: str
    points: list[tuple[float | str, float]]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A small picture."""

    title: str
    kind: Literal["bars", "lines"]
    unit: str
    series: list[Series]
    along: str = ""  # what the x axis counts, for lines


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All that one bench found. texts: title and text, such as a profile."""

    figures: list[Figure] = []
    bars: list[Bar] = []
    charts: list[Chart] = []
    notes: list[str] = []
    texts: list[tuple[str, str]] = []

    def figure(self, name: str) -> Figure:
        """The figure of this name. Raises KeyError."""
        return {figure.name: figure for figure in self.figures}[name]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run, as it stands in bench.json. machine: what it ran on, and how busy that was before."""

    machine: str
    date: str
    load_before: str
    quick: bool
    results: dict[str, Result]


def ratios(name: str, above: Sequence[float], below: Sequence[float]) -> Figure:
    """Ratios of neighbouring rounds: the machine's speed drifts, so that a ratio of medians says less."""
    pairs = zip(above, below, strict=True)
    return Figure(name=name, unit="×", rounds=[a / max(b, 1e-9) for a, b in pairs])


def shown(value: float) -> str:
    """For people: about three digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
