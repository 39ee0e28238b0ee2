"""F2: SIGTERM under load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from schemas.topics import CONSUMED
from streams.embedded_redis import EmbeddedRedis
from tests.support.faults import fault_system, history, load, settle
from tests.support.kafka_broker import group_offsets
from tests.support.redis_server import ask
from tests.support.worker_process import wait_until


def test_sigterm_under_load_ends_within_five_seconds_and_loses_nothing(
    kafka: str, redis_url: str, tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """The worker ends with 0, batches in flight are finished or left to the next, which goes on where it stopped."""
    with fault_system(kafka, redis_url, tmp_path, name="f02", max_batch=5) as system:
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        load(system, worker, history(seed, customers=80))
        wait_until(lambda: system.journal_size() >= 10, "the worker goes on")
        took = worker.terminate()
        assert worker.process.returncode == 0, f"{worker}"
        assert took <= 5, f"the stop took {took:.1f} s: {worker}"
        record_property("slowest exit, s", round(took, 2))
        assert system.lag(range(system.partitions)) > 0, "everything was done before the signal came"

        system.start_worker().wait_for_partitions(system.partitions)
        verdict = settle(system)
        in_flight = system.partitions + system.broken_off()
        assert verdict.repeated_batches <= in_flight, "more was repeated than the batches in flight"
        assert verdict.actions >= 300


def test_sigterm_while_the_store_takes_nothing_acknowledges_nothing_that_is_not_committed(
    kafka: str, redis_server: EmbeddedRedis, tmp_path: Path, seed: int
) -> None:
    """Batches that cannot be committed are broken off in time; Kafka knows of no position beyond the store's."""
    with fault_system(
        kafka,
        redis_server.url,
        tmp_path,
        name="f02-store",
        # A fetched chunk is as small as a batch, so that one that is acknowledged too early is so as a whole.
        max_batch=100,
        max_poll_records=5,
        redis_timeout_ms=500,
    ) as system:
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        load(system, worker, history(seed))
        wait_until(lambda: system.journal_size() >= 10, "the worker goes on")
        # What is not carried out before the worker has gone never is: Redis drops what waits of a client that left.
        ask(redis_server, "CLIENT PAUSE", 60_000, "WRITE")
        try:
            worker.wait_for("the store does not answer")
            took = worker.terminate()
        finally:
            ask(redis_server, "CLIENT UNPAUSE")
        assert worker.process.returncode == 0, f"{worker}"
        assert took <= 5, f"the stop took {took:.1f} s: {worker}"
        assert "a batch is broken off" in worker.text(), f"nothing was under way: {worker}"
        topics = {system.kafka_topic(topic.name): topic.name for topic in CONSUMED}
        acknowledged = group_offsets(kafka, system.settings.app_id, list(topics), system.partitions)
        assert acknowledged
        for (topic, partition), offset in acknowledged.items():
            committed = system.meta(partition).positions.get(topics[topic], 0)
            assert offset <= committed, f"{topic}/{partition}: {offset} is acknowledged, {committed} is committed"

        system.start_worker().wait_for_partitions(system.partitions)
        verdict = settle(system)
        in_flight = system.partitions + system.broken_off()
        assert verdict.repeated_batches <= in_flight, "more was repeated than the batches in flight"
        assert verdict.actions >= 300, verdict
