"""A running worker tells how it is, and counts what it did: the figures are those of the topics themselves."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from schemas.journal import RecordBatch
from streams.embedded_redis import EmbeddedRedis
from tests.support.bank_history import bank_history
from tests.support.redis_server import held
from tests.support.system import Event, System
from tests.support.worker_process import WorkerProcess, wait_until

RULES = Path(__file__).parent / "rules" / "independent"
_ADDRESS = re.compile(r"health and metrics at (http://127\.0\.0\.1:\d+)")


def test_metrics_agree_with_the_topics(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Records, actions, decisions, dead letters and lag of a worker, against what Kafka holds."""
    events = bank_history(customers=30)
    bad = [Event("bank.transactions", b"c1", b"{"), Event("bank.profiles", b"c1", b"[]")]
    with System(kafka, redis_url, tmp_path, rules=RULES, name="metrics") as system:
        system.create_topics()
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        system.publish([*events, *bad])
        system.wait_until_drained()
        wait_until(lambda: _ready(worker)[0] == 200, "the worker is ready")
        found = _metrics(worker)
        system.stop_workers()

        assert _total(found, "records_total") == len(events) + len(bad)
        assert _by(found, "actions_total", "channel", "trigger") == Counter(
            (action["channel"], action["trigger"]) for action in system.actions()
        )
        assert _by(found, "decisions_total", "outcome", "reason") == Counter(
            (decision["outcome"], decision["reason"]) for decision in system.decisions()
        )
        assert _by(found, "dead_letters_total", "topic", "reason") == Counter(
            (about.topic, about.reason) for about, _ in system.dead_letters()
        )
        records, timers = _journal_sizes(system)
        assert _total(found, "batches_total") == records + timers
        assert _total(found, "batch_seconds_count") == 4 * (records + timers)
        assert _total(found, "event_to_action_seconds_count") > 0
        assert _total(found, "partitions_assigned") == system.partitions
        assert _total(found, "rebalances_total") >= 1
        assert _total(found, "lag_records") == 0
        assert [labels["hash"] for labels, _ in found["bank_triggers_ruleset"]] == list(system.rulesets)


def test_readiness_follows_the_store(kafka: str, redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """A worker is ready when it has partitions and both answer; while the store stands still it is not, but lives."""
    with System(kafka, redis_server.url, tmp_path, rules=RULES, name="ready", redis_timeout_ms=1_000) as system:
        system.create_topics()
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        assert _ready(worker) == (200, {"partitions": "ok", "input": "ok", "store": "ok", "kafka": "ok"})
        with held(redis_server):
            status, body = _ready(worker)
            assert (status, body["partitions"], body["kafka"]) == (503, "ok", "ok")
            assert body["store"] != "ok"
            system.publish(bank_history(customers=2))
            wait_until(lambda: _away(worker) == 1, "the worker waits for the store")
            assert _get(worker, "/live") == (200, '{"live": "ok"}\n')
        wait_until(lambda: _ready(worker)[0] == 200 and _away(worker) == 0, "the worker is ready again")
        assert sum(n for labels, n in _metrics(worker)["bank_triggers_dependency_errors_total"]) >= 1
        system.wait_until_drained()
        system.stop_workers()


def test_a_port_that_is_taken_is_told_at_the_start(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Exit with the address and what would be right, before anything is consumed."""
    with socket.socket() as holder, System(kafka, redis_url, tmp_path, rules=RULES, name="port") as system:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        code, text = system.command("worker", http_port=port)
        assert code != 0
        assert f"http_port: nothing can listen at 127.0.0.1:{port} (Address already in use); expected" in text
        assert "Traceback" not in text


def _get(worker: WorkerProcess, path: str) -> tuple[int, str]:
    found = _ADDRESS.findall(worker.text())
    assert found, f"the log names no address: {worker}"
    try:
        with urllib.request.urlopen(found[-1] + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _ready(worker: WorkerProcess) -> tuple[int, dict[str, str]]:
    status, body = _get(worker, "/ready")
    return status, json.loads(body)


Samples = dict[str, list[tuple[dict[str, str], float]]]


def _metrics(worker: WorkerProcess) -> Samples:
    status, text = _get(worker, "/metrics")
    assert status == 200
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def _total(found: Samples, name: str) -> float:
    return sum(value for _, value in found[f"bank_triggers_{name}"])


def _by(found: Samples, name: str, *labels: str) -> Counter[Any]:
    samples = found[f"bank_triggers_{name}"]
    return Counter({tuple(sample[label] for label in labels): int(value) for sample, value in samples})


def _away(worker: WorkerProcess) -> float:
    samples = _metrics(worker)["bank_triggers_dependency_away"]
    return next(value for labels, value in samples if labels["dependency"] == "store")


def _journal_sizes(system: System) -> tuple[int, int]:
    entries = {(entry.partition, entry.sequence): entry for entry in system.journal()}.values()
    records = sum(isinstance(entry, RecordBatch) for entry in entries)
    return records, len(entries) - records
