"""What a worker tells of itself to Prometheus: every metric, its type and its meaning stand in this one place.

No label holds anything of a customer: topics, partitions, channels, triggers and reason codes only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from streams.collector import BUCKETS, Pauses
from streams.partition import BatchReport

PREFIX: Final = "bank_triggers_"

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_RECORDS: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric as Prometheus sees it. ``buckets`` are a histogram's upper bounds."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """With our prefix, and as a counter is exposed."""
        return PREFIX + self.name + ("_total" if self.kind == "counter" else "")


DEFINITIONS: Final = (
    Definition("lag_records", "gauge", "Records that wait, as of the last fetch.", ("topic", "partition")),
    Definition("partitions_assigned", "gauge", "Partitions that this worker owns."),
    Definition("partitions_halted", "gauge", "Partitions halted by a flood of dead letters."),
    Definition("rebalances", "counter", "How often partitions were taken over."),
    Definition("batches", "counter", "Committed batches; topic is empty for timers.", ("stage", "topic")),
    Definition("records", "counter", "Records of committed batches.", ("topic",)),
    Definition("batch_records", "histogram", "Records of one batch.", ("stage",), _RECORDS),
    Definition(
        "batch_seconds",
        "histogram",
        "Time of one batch by phase: load (announce and read states), evaluate, publish, commit.",
        ("phase",),
        _SECONDS,
    ),
    Definition(
        "batch_wait_seconds",
        "histogram",
        "From the time stamp of a batch's first and last record on Kafka to its announcement, by the wall clock.",
        ("record",),
        _LONG_SECONDS,
    ),
    Definition(
        "event_to_action_seconds",
        "histogram",
        "From the time stamp of a record on Kafka to the acknowledgement of the action it led to.",
        (),
        _LONG_SECONDS,
    ),
    Definition("actions", "counter", "Next-best actions sent.", ("channel", "trigger")),
    Definition("cancellations", "counter", "Actions taken back.", ("channel", "trigger")),
    Definition("decisions", "counter", "What became of candidates, and why.", ("outcome", "reason")),
    Definition("identity_decisions", "counter", "What became of links, merges and held behaviour.", ("outcome",)),
    Definition("desk_reports", "counter", "What the bank was told of its managers.", ("kind",)),
    Definition("dead_letters", "counter", "Records set aside.", ("topic", "reason")),
    Definition("timer_keys", "counter", "Customers, ids or desks whose due timers were run.", ("stage",)),
    Definition(
        "timer_delay_seconds",
        "histogram",
        "How late the first timer of a batch was run, by the wall clock.",
        ("stage",),
        _LONG_SECONDS,
    ),
    Definition("timers_overdue_seconds", "gauge", "How long the oldest due timer waits.", ("stage",)),
    Definition("cache_lookups", "counter", "States asked of the cache: hit or miss.", ("result",)),
    Definition("cache_states", "gauge", "States held in the cache."),
    Definition("cache_bytes", "gauge", "Their size as encoded."),
    Definition("dependency_errors", "counter", "Steps that the store or kafka did not answer.", ("dependency",)),
    Definition("dependency_away", "gauge", "1 while it does not answer and the worker waits for it.", ("dependency",)),
    Definition(
        "gc_pause_seconds",
        "histogram",
        "Pauses of Python's garbage collector, in which nothing else runs.",
        ("generation",),
        BUCKETS,
    ),
    Definition("ruleset", "gauge", "Always 1; its label is the hash of the rule set in force.", ("hash",)),
)
"""In the order of the reference. The process's own (``process_…``: memory, CPU, open files) come beside them."""

_BY_NAME: Final = {definition.name: definition for definition in DEFINITIONS}


class Gauges(Protocol):
    """What is read when Prometheus asks, not counted as it happens."""

    def lags(self) -> Iterable[tuple[str, int, int]]:
        """Topic (the registry's name), partition and records that wait; only where it is known."""

    def partitions(self) -> int: ...
    def halted(self) -> int:
        """Partitions whose records are not consumed until an operator says so."""

    def rebalances(self) -> int: ...
    def overdue_seconds(self) -> Mapping[str, float]:
        """By stage, how long the oldest due timer waits."""

    def cache(self) -> tuple[int, int, int, int]:
        """Hits, misses, states held, their bytes."""

    def dependencies(self) -> Mapping[str, tuple[int, bool]]:
        """Of each dependency the errors so far and whether it is away."""

    def pauses(self) -> Pauses:
        """Of the garbage collector."""

    def ruleset(self) -> str:
        """The hash in force."""


class WorkerMetrics:
    """A worker's metrics, in a registry of their own."""

    def __init__(self, gauges: Gauges) -> None:
        self.registry = CollectorRegistry()
        self._counters = {d.name: self._counter(d) for d in DEFINITIONS if d.kind == "counter" and d.name not in _READ}
        self._histograms = {
            d.name: self._histogram(d) for d in DEFINITIONS if d.kind == "histogram" and d.name not in _READ
        }
        self.registry.register(_Scrape(gauges))
        ProcessCollector(registry=self.registry)

    def observe(self, report: BatchReport) -> None:
        """Counts a committed batch. A few microseconds for each batch, none for a record."""
        count, histogram = self._counters, self._histograms
        count["batches"].labels(report.stage, report.topic or "").inc()
        if report.topic is None:
            count["timer_keys"].labels(report.stage).inc(report.counts["timer_keys"])
            if report.timer_delay_seconds is not None:
                histogram["timer_delay_seconds"].labels(report.stage).observe(report.timer_delay_seconds)
        else:
            count["records"].labels(report.topic).inc(report.counts["records"])
            histogram["batch_records"].labels(report.stage).observe(report.counts["records"])
        for phase, seconds in report.phases.items():
            histogram["batch_seconds"].labels(phase).observe(seconds)
        for record, seconds in report.waited_seconds.items():
            histogram["batch_wait_seconds"].labels(record).observe(seconds)
        for seconds in report.action_seconds:
            histogram["event_to_action_seconds"].observe(seconds)
        for (name, *labels), number in report.tallies.items():
            count[name].labels(*labels).inc(number)

    def _counter(self, of: Definition) -> Counter:
        return Counter(PREFIX + of.name, of.meaning, of.labels, registry=self.registry)

    def _histogram(self, of: Definition) -> Histogram:
        return Histogram(PREFIX + of.name, of.meaning, of.labels, buckets=of.buckets, registry=self.registry)


_READ: Final = ("rebalances", "cache_lookups", "dependency_errors", "gc_pause_seconds")
"""Counters and histograms kept elsewhere."""


class _Scrape(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        read = self._gauges
        hits, misses, states, size = read.cache()
        dependencies = read.dependencies()
        yield _family("lag_records", [((topic, str(number)), lag) for topic, number, lag in read.lags()])
        yield _family("partitions_assigned", [((), read.partitions())])
        yield _family("partitions_halted", [((), read.halted())])
        yield _family("rebalances", [((), read.rebalances())])
        yield _family("timers_overdue_seconds", [((stage,), late) for stage, late in read.overdue_seconds().items()])
        yield _family("cache_lookups", [(("hit",), hits), (("miss",), misses)])
        yield _family("cache_states", [((), states)])
        yield _family("cache_bytes", [((), size)])
        yield _family("dependency_errors", [((name,), errors) for name, (errors, _) in dependencies.items()])
        yield _family("dependency_away", [((name,), away) for name, (_, away) in dependencies.items()])
        yield _pauses(read.pauses())
        yield _family("ruleset", [((read.ruleset(),), 1)])


def _family(name: str, samples: Sequence[tuple[tuple[str, ...], float]]) -> Metric:
    of = _BY_NAME[name]
    family: CounterMetricFamily | GaugeMetricFamily
    if of.kind == "counter":
        family = CounterMetricFamily(PREFIX + name, of.meaning, labels=of.labels)
    else:
        family = GaugeMetricFamily(PREFIX + name, of.meaning, labels=of.labels)
    for labels, value in samples:
        family.add_metric(labels, float(value))
    return family


def _pauses(pauses: Pauses) -> Metric:
    of = _BY_NAME["gc_pause_seconds"]
    family = HistogramMetricFamily(of.full_name, of.meaning, labels=of.labels)
    for generation, seconds in enumerate(pauses.seconds):
        family.add_metric((str(generation),), pauses.cumulative(generation), seconds)
    return family


def reference() -> str:
    """Every metric as a Markdown table."""
    lines = [
        "# The metrics of a worker",
        "",
        "Served at `/metrics` of the address that the worker's log names at the start (`http_host`, `http_port`),",
        "beside `/live` and `/ready`. The process's own metrics (`process_…`: memory, CPU, open files) come with them.",
        "",
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{d.full_name}` | {d.kind} | {', '.join(f'`{label}`' for label in d.labels)} | {d.meaning} |"
        for d in DEFINITIONS
    ]
    return "\n".join(lines)
