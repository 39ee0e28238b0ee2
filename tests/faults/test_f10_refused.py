"""F10: an output topic refuses writes: message too large, too few replicas, not the leader, disk full."""

from __future__ import annotations

from pathlib import Path

from tests.support.faults import fault_system, history, load, settle
from tests.support.kafka_broker import set_topic_config
from tests.support.metrics import away, errors, ready
from tests.support.system import System
from tests.support.worker_process import WorkerProcess, wait_until

PUSH = "outreach.push"


def test_message_too_large_waits_until_the_topic_takes_it(
    kafka: str, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """The topic's limit is lowered under a worker with work to do: nothing is committed past what it cannot send, it

    says so, and goes on by itself when the limit is raised again.
    """
    with fault_system(kafka, redis_url, tmp_path, name="f10-large") as system:
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        load(system, worker, history(seed, customers=60))
        wait_until(lambda: system.journal_size() >= 5, "the worker goes on")
        set_topic_config(kafka, system.kafka_topic(PUSH), {"max.message.bytes": "100"})
        _check_it_stands_still(system, worker)
        assert f"Kafka refuses what is published to {system.kafka_topic(PUSH)}" in worker.text()
        set_topic_config(kafka, system.kafka_topic(PUSH), {"max.message.bytes": "1048588"})
        assert settle(system).actions >= 200
        wait_until(lambda: ready(worker)[0] == 200 and not away(worker, "kafka"), "the worker is ready again")
        system.stop_workers()


def _check_it_stands_still(system: System, worker: WorkerProcess) -> None:
    """That every partition waits with a batch announced, and the worker says what for."""
    standing = system.await_standstill(range(system.partitions), seconds=60)
    assert set(standing) == set(range(system.partitions)), "a partition has no batch to send"
    assert away(worker, "kafka")
    status, body = ready(worker)
    assert (status, body["kafka"]) == (503, "does not take messages")
    ends, done = system.ends(PUSH), system.batches_done(range(system.partitions))
    wait_until(lambda: errors(worker, "kafka") >= 3, "the worker tries again")
    assert system.ends(PUSH) == ends
    assert system.batches_done(range(system.partitions)) == done, "something was committed that was not sent"
    assert system.lag(range(system.partitions)) > 0, "everything was done before"
