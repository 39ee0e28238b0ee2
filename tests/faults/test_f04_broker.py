"""F4: broker restarted, broker killed, an outage, the leader of a cluster killed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import fault_system, history, load, settle
from tests.support.kafka_broker import KafkaBroker, KafkaCluster
from tests.support.metrics import away, forget_peak, get, peak_mib, ready
from tests.support.system import System
from tests.support.worker_process import WorkerProcess, wait_until

SOON: dict[str, Any] = {"kafka_request_timeout_ms": 5_000}
"""A request that gets no answer holds a worker up for so long."""
GROWTH_MIB = 64
"""More than what may wait in a worker for four partitions and a new connection or two; it has no more to do."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One that these tests may end."""
    with KafkaBroker(tmp_path_factory.mktemp("f04") / "broker") as broker:
        yield broker


@pytest.mark.parametrize("how", [pytest.param("restart", marks=pytest.mark.thorough), "kill"])
def test_a_broker_that_comes_back_at_once(
    broker: KafkaBroker, redis_url: str, tmp_path: Path, seed: int, how: str
) -> None:
    """In the middle of batches the only broker ends, in order or not, and is started again: nothing is lost, and nobody

    has to do anything.
    """
    with fault_system(broker.bootstrap, redis_url, tmp_path, name=f"f04-{how}", **SOON) as system:
        _at_work(system, seed)
        if how == "restart":
            broker.restart()
        else:
            broker.kill()
            broker.start()
        assert settle(system).actions >= 200
        system.stop_workers()


def test_an_outage(broker: KafkaBroker, redis_url: str, tmp_path: Path, seed: int, outage_s: float) -> None:
    """The only broker is gone for longer than every timeout: the worker lives, says what it waits for, takes no more

    memory, and goes on by itself.
    """
    with fault_system(broker.bootstrap, redis_url, tmp_path, name="f04-outage", **SOON) as system:
        worker = _at_work(system, seed)
        before = forget_peak(worker)
        broker.kill()
        wait_until(lambda: away(worker, "kafka"), lambda: f"the worker waits for Kafka: {worker}")
        status, checks = ready(worker)
        assert (status, checks["store"]) == (503, "ok"), checks
        # By a probe of its own: a worker that has nothing to publish must say it, too.
        assert re.match("no (good )?answer", checks["kafka"]), checks
        _pass(outage_s, worker)
        grown = peak_mib(worker) - before
        assert grown <= GROWTH_MIB, f"{grown:.0f} MiB more than before"
        broker.start()
        wait_until(lambda: not away(worker, "kafka"), lambda: f"Kafka takes messages again: {worker}")
        # Also what comes only now.
        system.publish(history(seed, customers=10, part=1))
        assert settle(system).actions >= 200
        system.stop_workers()


@pytest.mark.thorough
def test_the_leader_of_a_cluster_is_killed(
    kafka_cluster: KafkaCluster, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """Of three brokers the one dies that leads a partition being worked; the others take over, and it comes back."""
    with fault_system(
        kafka_cluster.bootstrap, redis_url, tmp_path, name="f04-leader", replication_factor=3, **SOON
    ) as system:
        _at_work(system, seed)
        leader = kafka_cluster.leaders(system.kafka_topic("bank.transactions"))[seed % system.partitions]
        kafka_cluster.brokers[leader].kill()
        system.publish(history(seed, customers=10, part=1))
        system.wait_until_drained()
        kafka_cluster.start()
        # Leadership goes back to the one that was away.
        kafka_cluster.elect_preferred()
        system.publish(history(seed, customers=10, part=2))
        assert settle(system).actions >= 200
        system.stop_workers()


def _pass(seconds: float, worker: WorkerProcess) -> None:
    """Lets an outage last, and sees that the worker lives through it."""
    until = time.monotonic() + seconds

    def over() -> bool:
        assert worker.running, f"{worker}"
        assert get(worker, "/live")[0] == 200
        return time.monotonic() > until

    wait_until(over, "the outage is over", 2 * seconds + 30)


def _at_work(system: System, seed: int) -> WorkerProcess:
    """A worker in the middle of a history."""
    worker = system.start_worker()
    worker.wait_for_partitions(system.partitions)
    load(system, worker, history(seed, customers=50))
    wait_until(lambda: system.journal_size() >= 10, "the worker goes on")
    assert system.lag(range(system.partitions)) > 0, "everything was done before"
    return worker
