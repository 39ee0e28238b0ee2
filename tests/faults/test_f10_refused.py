"""F10: an output topic refuses writes: message too large, too few replicas, disk full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.faults import fault_system, history, load, settle
from tests.support.kafka_broker import KafkaBroker, KafkaCluster, set_topic_config
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
        load(system, worker, history(seed, customers=40))
        wait_until(lambda: system.journal_size() >= 5, "the worker goes on")
        set_topic_config(kafka, system.kafka_topic(PUSH), {"max.message.bytes": "100"})
        # By now a partition may have done all that it had.
        system.publish(history(seed, customers=40, part=1))
        _check_it_stands_still(system, worker)
        assert f"Kafka refuses what is published to {system.kafka_topic(PUSH)}" in worker.text()
        set_topic_config(kafka, system.kafka_topic(PUSH), {"max.message.bytes": "1048588"})
        assert settle(system).actions >= 200
        wait_until(lambda: ready(worker)[0] == 200 and not away(worker, "kafka"), "the worker is ready again")
        system.stop_workers()


@pytest.mark.thorough
def test_too_few_replicas_waits_until_there_are_enough(
    kafka_cluster: KafkaCluster, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """A topic wants three replicas in step, and one broker dies: actions wait, and go out when it is back."""
    with fault_system(
        kafka_cluster.bootstrap, redis_url, tmp_path, name="f10-replicas", replication_factor=3
    ) as system:
        set_topic_config(kafka_cluster.bootstrap, system.kafka_topic(PUSH), {"min.insync.replicas": "3"})
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        load(system, worker, history(seed, customers=40))
        wait_until(lambda: system.journal_size() >= 5, "the worker goes on")
        kafka_cluster.brokers[1 + seed % 3].kill()
        system.publish(history(seed, customers=20, part=1))
        wait_until(lambda: away(worker, "kafka"), lambda: f"the worker waits for Kafka: {worker}")
        assert system.lag(range(system.partitions)) > 0, "everything was done before"
        kafka_cluster.start()
        assert settle(system).actions >= 200
        system.stop_workers()


@pytest.mark.thorough
def test_a_full_disk_waits_until_there_is_room(redis_url: str, tmp_path: Path, seed: int) -> None:
    """The broker's disk is full, and the broker ends, as Kafka does; with room on the disk and the broker started again

    everything is there, and the worker goes on by itself.
    """
    with (
        _small_disk(tmp_path / "disk") as disk,
        KafkaBroker(tmp_path / "broker", {"log.dirs": str(disk / "data")}) as broker,
        fault_system(broker.bootstrap, redis_url, tmp_path, name="f10-disk", kafka_request_timeout_ms=5_000) as system,
    ):
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        load(system, worker, history(seed, customers=60))
        wait_until(lambda: system.journal_size() >= 5, "the worker goes on")
        _fill(disk / "filler")
        wait_until(lambda: not broker.running, "the broker finds its disk full")
        wait_until(lambda: away(worker, "kafka"), lambda: f"the worker waits for Kafka: {worker}")
        assert worker.running
        (disk / "filler").unlink()
        broker.kill()  # what is left of it
        broker.start()
        assert settle(system).actions >= 200
        system.stop_workers()


@contextmanager
def _small_disk(folder: Path, mib: int = 96) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(file: Path) -> None:
    """Leaves no room on its disk."""
    with file.open("wb", buffering=0) as filler:
        for size in (1_048_576, 4_096, 1):
            with suppress(OSError):
                while True:
                    filler.write(b"x" * size)


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
