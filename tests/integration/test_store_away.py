"""The store stands still: nothing is acknowledged past it, and a worker killed meanwhile has lost nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.topics import CONSUMED
from streams.embedded_redis import EmbeddedRedis
from tests.support.bank_history import bank_history
from tests.support.kafka_broker import group_offsets
from tests.support.oracle_check import check_against_oracle, check_straight_pass
from tests.support.redis_server import held
from tests.support.system import System

RULES = Path(__file__).parent / "rules" / "independent"
STORE_TIMEOUT_MS = 3_000
"""Three times as long as a worker waits before it tells Kafka, for lag tools, what it has done."""


def test_nothing_is_acknowledged_before_it_is_committed(
    kafka: str, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """Redis does not answer while records wait, and the worker is killed: the group's offsets are not ahead of the

    positions in the store, and the next worker's outcome is the oracle's.
    """
    events = bank_history(customers=40)
    half = len(events) // 2
    settings: dict[str, Any] = {"max_batch": 10, "redis_timeout_ms": STORE_TIMEOUT_MS}
    with System(kafka, redis_server.url, tmp_path, rules=RULES, name="away", **settings) as system:
        system.create_topics()
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        system.publish(events[:half])
        system.wait_until_drained()
        before = system.journal_size()

        worker.pause()
        system.publish(events[half:])
        with held(redis_server):
            worker.resume()
            worker.wait_for("the store does not answer, waiting for it")
            worker.kill()
        for (topic, partition), offset in _offsets(system).items():
            position = system.meta(partition).positions.get(topic, 0)
            assert offset <= position, f"{topic}/{partition}: acknowledged up to {offset}, committed up to {position}"

        system.start_worker().wait_for_partitions(system.partitions)
        system.wait_until_drained()
        system.stop_workers()
        assert system.journal_size() > before
        check_against_oracle(system)
        assert check_straight_pass(system) >= 300


def _offsets(system: System) -> dict[tuple[str, int], int]:
    """The group's committed offsets by the registry's topics."""
    names = {system.kafka_topic(topic.name): topic.name for topic in CONSUMED}
    found = group_offsets(system.kafka, system.settings.app_id, list(names), system.partitions)
    return {(names[topic], partition): offset for (topic, partition), offset in found.items()}
