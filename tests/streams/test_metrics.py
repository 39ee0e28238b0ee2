"""What a worker tells Prometheus: each definition is filled, with the labels it promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import streams
from streams.collector import Pauses
from streams.metrics import DEFINITIONS, PREFIX, WorkerMetrics, reference
from streams.partition import BatchReport

PAUSES = Pauses()
PHASES = {"load": 0.001, "evaluate": 0.02, "publish": 0.003, "commit": 0.004}


class FakeGauges:
    """A worker with one partition, whose store is away."""

    def lags(self) -> Iterable[tuple[str, int, int]]:
        yield "bank.transactions", 3, 17

    def partitions(self) -> int:
        return 1

    def halted(self) -> int:
        return 0

    def rebalances(self) -> int:
        return 2

    def overdue_seconds(self) -> Mapping[str, float]:
        return {"customer": 1.5}

    def cache(self) -> tuple[int, int, int, int]:
        return 7, 3, 4, 4096

    def dependencies(self) -> Mapping[str, tuple[int, bool]]:
        return {"store": (5, True), "kafka": (0, False)}

    def pauses(self) -> Pauses:
        return PAUSES

    def ruleset(self) -> str:
        return "abc"


def report(*, topic: str | None = "bank.transactions", records: int = 10, **changes: object) -> BatchReport:
    """A committed batch."""
    body: dict[str, object] = {
        "partition": 3,
        "sequence": 1,
        "stage": "customer",
        "topic": topic,
        "counts": Counter({"records": records} if topic else {"timer_keys": records}),
        "messages": 2,
        "evaluate_seconds": 0.02,
        "total_seconds": 0.028,
        "phases": PHASES,
        "tallies": {},
        "action_seconds": (),
        "waited_seconds": {},
        "timer_delay_seconds": None,
    }
    return BatchReport(**{**body, **changes})  # type: ignore[arg-type]  # the fields of the report, by name


def samples(metrics: WorkerMetrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels, as a scraper reads it."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(metrics: WorkerMetrics, name: str, **labels: str) -> float:
    return samples(metrics)[PREFIX + name, frozenset(labels.items())]


def test_a_batch_of_records_is_counted() -> None:
    """Records, phases, what was made of them, and how long each action took."""
    metrics = WorkerMetrics(FakeGauges())
    tallies = {
        ("actions", "push", "balance_drop"): 2,
        ("decisions", "suppressed", "capped"): 3,
        ("dead_letters", "bank.transactions", "NOT_JSON"): 1,
        ("cancellations", "sms", "balance_drop"): 1,
    }
    for _ in range(2):
        waited = {"first": 0.3, "last": 0.1}
        metrics.observe(report(tallies=tallies, action_seconds=(0.02, 4.0), waited_seconds=waited))
    assert value(metrics, "batches_total", stage="customer", topic="bank.transactions") == 2
    assert value(metrics, "records_total", topic="bank.transactions") == 20
    assert value(metrics, "batch_records_sum", stage="customer") == 20
    assert value(metrics, "batch_seconds_sum", phase="evaluate") == pytest.approx(0.04)
    assert value(metrics, "actions_total", channel="push", trigger="balance_drop") == 4
    assert value(metrics, "decisions_total", outcome="suppressed", reason="capped") == 6
    assert value(metrics, "dead_letters_total", topic="bank.transactions", reason="NOT_JSON") == 2
    assert value(metrics, "cancellations_total", channel="sms", trigger="balance_drop") == 2
    assert value(metrics, "batch_wait_seconds_sum", record="first") == pytest.approx(0.6)
    assert value(metrics, "batch_wait_seconds_sum", record="last") == pytest.approx(0.2)
    assert value(metrics, "event_to_action_seconds_count") == 4
    assert value(metrics, "event_to_action_seconds_sum") == pytest.approx(8.04)


def test_a_batch_of_timers_is_counted() -> None:
    """Its keys, and how late it was; where the records' time counts nothing is late."""
    metrics = WorkerMetrics(FakeGauges())
    metrics.observe(report(topic=None, records=4, timer_delay_seconds=2.0))
    metrics.observe(report(topic=None, records=1))
    assert value(metrics, "timer_keys_total", stage="customer") == 5
    assert value(metrics, "timer_delay_seconds_count", stage="customer") == 1
    assert value(metrics, "timer_delay_seconds_sum", stage="customer") == 2.0


def test_what_is_read_at_the_scrape() -> None:
    """Lag, partitions, cache, dependencies and rule set are as they are when Prometheus asks."""
    metrics = WorkerMetrics(FakeGauges())
    assert value(metrics, "lag_records", topic="bank.transactions", partition="3") == 17
    assert value(metrics, "partitions_assigned") == 1
    assert value(metrics, "rebalances_total") == 2
    assert value(metrics, "timers_overdue_seconds", stage="customer") == 1.5
    assert value(metrics, "cache_lookups_total", result="hit") == 7
    assert value(metrics, "cache_lookups_total", result="miss") == 3
    assert value(metrics, "cache_states") == 4
    assert value(metrics, "cache_bytes") == 4096
    assert value(metrics, "dependency_errors_total", dependency="store") == 5
    assert value(metrics, "dependency_away", dependency="store") == 1
    assert value(metrics, "dependency_away", dependency="kafka") == 0
    assert value(metrics, "ruleset", hash="abc") == 1


def test_every_definition_is_exposed_and_nothing_else() -> None:
    """A metric that is defined and never filled, or filled and not defined, is found here."""
    metrics = WorkerMetrics(FakeGauges())
    pairs = ("actions", "cancellations", "decisions", "dead_letters")
    singles = ("identity_decisions", "desk_reports")
    tallies = {**{(name, "a", "b"): 1 for name in pairs}, **{(name, "a"): 1 for name in singles}}
    metrics.observe(report(tallies=tallies, action_seconds=(1.0,), waited_seconds={"first": 0.1}))
    metrics.observe(report(topic=None, timer_delay_seconds=1.0))
    families = list(text_string_to_metric_families(generate_latest(metrics.registry).decode()))
    ours = {
        family.name: family for family in families if family.name.startswith(PREFIX) and not _is_created(family.name)
    }
    assert set(ours) == {PREFIX + definition.name for definition in DEFINITIONS}
    for definition in DEFINITIONS:
        family = ours[PREFIX + definition.name]
        assert (family.type, family.documentation) == (definition.kind, definition.meaning)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(definition.labels), sample


def _is_created(name: str) -> bool:
    return name.endswith("_created")


def test_the_reference_is_made_from_the_definitions() -> None:
    """streams/METRICS.md is what `bank-triggers schemas metrics` prints."""
    page = Path(streams.__file__).parent / "METRICS.md"
    assert page.read_text(encoding="utf-8") == reference() + "\n"
