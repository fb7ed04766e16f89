"""The text that Prometheus reads, written by Prometheus' own library."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from paidup.metrics.families import FAMILIES, Family, Kind, Source
from paidup.metrics.readings import Distribution, Readings

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class _Fixed(Collector):
    """What was read, as a collector."""

    def __init__(self, readings: Readings, sources: Sequence[Source]) -> None:
        self._readings = readings
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            if family.source in self._sources:
                yield _metric(family, self._readings)


def text(readings: Readings, sources: Sequence[Source] = tuple(Source)) -> bytes:
    """Every family of these sources, those without a value as well; with the process's memory and processor time."""
    registry = CollectorRegistry()
    registry.register(_Fixed(readings, sources))
    if Source.PROCESS in sources:
        ProcessCollector(registry=registry)
    return generate_latest(registry)


def _metric(family: Family, readings: Readings) -> Metric:
    values = sorted(readings.of(family).items())
    if family.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(family.name, family.says, labels=family.labels)
        for labels, value in values:
            if isinstance(value, Distribution):
                histogram.add_metric(labels, list(_cumulative(family.buckets, value.counts)), value.total)
        return histogram
    kind = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = kind(family.name, family.says, labels=family.labels)
    for labels, value in values:
        if not isinstance(value, Distribution):
            metric.add_metric(labels, value)
    return metric


def _cumulative(bounds: Iterable[float], counts: Sequence[int]) -> Iterator[tuple[str, float]]:
    """Prometheus' buckets: at most so much, and at last everything."""
    below = 0
    for bound, count in zip((*bounds, float("inf")), counts, strict=True):
        below += count
        yield "+Inf" if bound == float("inf") else f"{bound:g}", below
