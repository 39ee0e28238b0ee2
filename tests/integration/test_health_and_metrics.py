"""A running worker tells how it is, and counts what it did: the figures are those of the topics themselves."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path
from typing import Any

from schemas.journal import RecordBatch
from schemas.topics import CONSUMED
from streams.embedded_redis import EmbeddedRedis
from tests.support.bank_history import bank_history
from tests.support.metrics import Samples, away, get, metrics, ready, total
from tests.support.redis_server import held
from tests.support.system import Event, System
from tests.support.worker_process import WorkerProcess, wait_until

RULES = Path(__file__).parent / "rules" / "independent"


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
        wait_until(lambda: ready(worker)[0] == 200, "the worker is ready")
        found = metrics(worker)
        system.stop_workers()

        assert total(found, "records_total") == len(events) + len(bad)
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
        assert total(found, "batches_total") == records + timers
        assert total(found, "batch_seconds_count") == 4 * (records + timers)
        assert total(found, "event_to_action_seconds_count") > 0
        assert total(found, "partitions_assigned") == system.partitions
        assert total(found, "rebalances_total") >= 1
        assert total(found, "lag_records") == 0
        states = system.states()
        assert total(found, "cache_states") == len(states)
        assert total(found, "cache_bytes") == sum(map(len, states.values()))
        assert total(found, "cache_lookups_total", result="miss") == len(states)
        assert total(found, "cache_lookups_total", result="hit") > 0
        assert [labels["hash"] for labels, _ in found["bank_triggers_ruleset"]] == list(system.rulesets)


def test_readiness_follows_the_store(kafka: str, redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """A worker is ready when it has partitions and both answer; while the store stands still it is not, but lives, and

    tells by topic and partition what waits.
    """
    with System(kafka, redis_server.url, tmp_path, rules=RULES, name="ready", redis_timeout_ms=1_000) as system:
        system.create_topics()
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        assert ready(worker) == (200, {"partitions": "ok", "input": "ok", "store": "ok", "kafka": "ok"})
        with held(redis_server):
            status, body = ready(worker)
            assert (status, body["partitions"], body["kafka"]) == (503, "ok", "ok")
            assert body["store"] != "ok"
            system.publish(bank_history(customers=2))
            wait_until(lambda: away(worker, "store"), "the worker waits for the store")
            assert get(worker, "/live") == (200, '{"live": "ok"}\n')
            # Nothing was there before, and nothing can be committed now: all of it waits.
            waiting = {(t.name, str(p)): end for t in CONSUMED for p, end in system.ends(t.name).items() if end}
            assert len({topic for topic, _ in waiting}) >= 3
            wait_until(lambda: _lags(worker) == waiting, lambda: f"the lag is told: {_lags(worker)}, not {waiting}")
        wait_until(lambda: ready(worker)[0] == 200 and not away(worker, "store"), "the worker is ready again")
        assert sum(n for labels, n in metrics(worker)["bank_triggers_dependency_errors_total"]) >= 1
        system.wait_until_drained()
        system.stop_workers()


def test_a_worker_without_partitions_is_not_ready(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """The second worker of one partition says so, and lives; it is ready once the partition is its own."""
    with System(kafka, redis_url, tmp_path, rules=RULES, name="spare", partitions=1) as system:
        system.create_topics()
        first = system.start_worker()
        first.wait_for_partitions()
        spare = system.start_worker()
        spare.wait_for("health and metrics at")
        found: dict[WorkerProcess, tuple[int, dict[str, str]]] = {}

        def one_is_ready() -> bool:
            found.update({worker: ready(worker) for worker in (first, spare)})
            return sorted(status for status, _ in found.values()) == [200, 503]

        # Whichever of the two the group leaves without.
        wait_until(one_is_ready, "one of the two has the partition")
        owner, idle = sorted(found, key=lambda worker: found[worker][0])
        assert found[idle][1] == {"partitions": "none assigned", "input": "ok", "store": "ok", "kafka": "ok"}
        assert get(idle, "/live")[0] == 200
        assert owner.terminate() < 20
        wait_until(lambda: ready(idle)[0] == 200, "the partition is its own", 30)
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


def _lags(worker: WorkerProcess) -> dict[tuple[str, str], float]:
    lags = metrics(worker)["bank_triggers_lag_records"]
    return {(labels["topic"], labels["partition"]): lag for labels, lag in lags if lag}


def _by(found: Samples, name: str, *labels: str) -> Counter[Any]:
    samples = found[f"bank_triggers_{name}"]
    return Counter({tuple(sample[label] for label in labels): int(value) for sample, value in samples})


def _journal_sizes(system: System) -> tuple[int, int]:
    entries = {(entry.partition, entry.sequence): entry for entry in system.journal()}.values()
    records = sum(isinstance(entry, RecordBatch) for entry in entries)
    return records, len(entries) - records
