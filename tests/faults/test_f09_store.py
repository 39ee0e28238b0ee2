"""F9: Redis down, slow by 2 s, half open, its replica away, restarted empty, restored from an older snapshot."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.embedded_redis import EmbeddedRedis
from tests.support.faults import SHIPPED, fault_system, history, load, settle
from tests.support.kafka_broker import group_offsets
from tests.support.metrics import away, errors
from tests.support.redis_server import ask, held
from tests.support.system import OUTBOUND, System
from tests.support.tcp_proxy import BOTH, Direction, TcpProxy
from tests.support.worker_process import WorkerProcess, wait_until

REFUSED = 5
"""The exit code of a worker that an operator must look after."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A server of this test's own, which forgets nothing when it is killed."""
    with EmbeddedRedis(tmp_path / "redis", appendonly=True) as server:
        yield server


@pytest.fixture
def line(redis: EmbeddedRedis) -> Iterator[TcpProxy]:
    """What lies between the worker and that server; the test itself asks the server."""
    with TcpProxy(redis.port) as proxy:
        yield proxy


def test_down_and_up_again(kafka: str, redis: EmbeddedRedis, tmp_path: Path, seed: int) -> None:
    """The server is killed while records wait, with triggers that have caps: nothing is sent until it is back, and then

    everything as if it had never been away.
    """
    with fault_system(kafka, redis.url, tmp_path, name="f09-down", rules=SHIPPED) as system:
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        load(system, worker, history(seed, customers=80))
        wait_until(lambda: system.journal_size() >= 10, "the worker goes on")
        redis.kill()
        _check_nothing_is_sent(system, worker)
        redis.restart()
        verdict = settle(system, order_free=False)
        assert verdict.actions >= 100
        system.stop_workers()


@pytest.mark.parametrize("timeout_ms", [pytest.param(5_000, marks=pytest.mark.thorough), 1_000])
def test_slow_by_two_seconds(
    kafka: str, redis: EmbeddedRedis, line: TcpProxy, tmp_path: Path, seed: int, timeout_ms: int
) -> None:
    """Within the time a step may take, batches go on slowly; beyond it nothing is sent. In time again, nothing is lost.

    What a step did whose answer came too late is not done again.
    """
    with fault_system(kafka, redis.url, tmp_path, name="f09-slow", redis_timeout_ms=timeout_ms) as system:
        worker = system.start_worker(redis_url=f"redis://{line.address}")
        worker.wait_for_partitions(system.partitions)
        load(system, worker, history(seed, customers=50))
        wait_until(lambda: system.journal_size() >= 5, "the worker goes on")
        line.slow(latency_s=1.0)
        if timeout_ms > 2_000:
            done = system.batches_done(range(system.partitions))
            # Those in flight may have had most of their way behind them.
            wait_until(
                lambda: system.batches_done(range(system.partitions)) > done + system.partitions, "batches go on"
            )
            assert errors(worker, "store") == 0
        else:
            _check_nothing_is_sent(system, worker)
        assert system.lag(range(system.partitions)) > 0, "everything was done before"
        line.heal()
        assert settle(system).actions >= 200
        system.stop_workers()


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(BOTH, id="both-ways", marks=pytest.mark.thorough),
        pytest.param(frozenset({"to_client"}), id="answers"),
    ],
)
def test_half_open_connections(
    kafka: str, redis: EmbeddedRedis, line: TcpProxy, tmp_path: Path, seed: int, lost: frozenset[Direction]
) -> None:
    """The connections there are die without a word, again and again; new ones work: the worker finds that out alone.

    Where only answers are lost, each step was done and is asked for a second time.
    """
    with fault_system(kafka, redis.url, tmp_path, name="f09-half", redis_timeout_ms=500) as system:
        worker = system.start_worker(redis_url=f"redis://{line.address}")
        worker.wait_for_partitions(system.partitions)
        load(system, worker, history(seed, customers=50))
        rng = random.Random(seed)
        for _ in range(3):
            done = system.journal_size()
            wait_until(lambda: system.journal_size() >= done + rng.randint(2, 10), "the worker goes on")  # noqa: B023
            before = errors(worker, "store")
            line.half_open(lost)
            line.heal()
            wait_until(lambda: errors(worker, "store") > before, "the worker finds a connection dead")  # noqa: B023
        assert settle(system).actions >= 200
        system.stop_workers()


def test_its_replica_does_not_answer(kafka: str, redis: EmbeddedRedis, tmp_path: Path, seed: int) -> None:
    """Where a replica must have each commit, none counts while it stands still, and the log says why; then all goes on,

    and the replica has what the server has.
    """
    options = {"replicaof": f"127.0.0.1 {redis.port}"}
    with (
        EmbeddedRedis(tmp_path / "replica", appendonly=False, options=options) as replica,
        fault_system(kafka, redis.url, tmp_path, name="f09-replica", redis_wait_replicas=1) as system,
    ):
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        load(system, worker, history(seed, customers=50))
        wait_until(lambda: system.journal_size() >= 5, "the worker goes on")
        with held(replica):
            _check_nothing_is_sent(system, worker)
            assert "0 of 1 replicas have the write" in worker.text()
            assert system.lag(range(system.partitions)) > 0, "everything was done before"
        assert settle(system).actions >= 200
        system.stop_workers()
        for partition in range(system.partitions):
            meta = f"{{{system.name}:{partition}}}:meta"
            assert ask(replica, "HGET", meta, "seq") == b"%d" % system.meta(partition).sequence


def test_restarted_empty(kafka: str, redis: EmbeddedRedis, tmp_path: Path, seed: int) -> None:
    """A memory that is gone is refused by the worker that runs and by each that is started: nothing is sent on it."""
    with fault_system(kafka, redis.url, tmp_path, name="f09-empty") as system:
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        system.publish(history(seed, customers=20))
        settle(system)
        wait_until(lambda: len(_offsets(system)) > 0, "Kafka knows that something was read")
        redis.kill()
        shutil.rmtree(redis.directory)
        redis.directory.mkdir()
        redis.restart()
        sent = _sent(system)
        system.publish(history(seed, customers=20, part=1))
        assert worker.wait() == REFUSED, f"{worker}"
        assert "the store knows less of partition" in worker.text()
        again = system.start_worker()
        assert again.wait() == REFUSED, f"{again}"
        assert "is lost" in again.text()
        assert _sent(system) == sent, "something was sent on an empty memory"


def test_restored_from_an_older_snapshot(kafka: str, tmp_path: Path, seed: int) -> None:
    """The worker ends; the next one runs what was done since as the journal has it, with triggers that have caps:

    the states are as if nothing had been lost, and only the last batches are sent again.
    """
    with (
        EmbeddedRedis(tmp_path / "redis", appendonly=False) as redis,
        fault_system(kafka, redis.url, tmp_path, name="f09-old", rules=SHIPPED) as system,
    ):
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        system.publish(history(seed, customers=60))
        system.wait_until_drained()
        load(system, worker, history(seed, customers=30, part=1))
        done = system.journal_size() + random.Random(seed).randint(1, 20)
        wait_until(lambda: system.journal_size() >= done, "the worker goes on")
        with redis.client() as client:
            client.save()
        snapshot = (redis.directory / "dump.rdb").read_bytes()
        system.wait_until_drained()
        before = system.batches_done(range(system.partitions))
        sent = Counter(action["action_id"] for action in system.actions())
        redis.kill()
        (redis.directory / "dump.rdb").write_bytes(snapshot)
        redis.restart()
        assert system.batches_done(range(system.partitions)) < before, "the snapshot is no older"
        system.publish(history(seed, customers=20, part=2))
        assert worker.wait() == REFUSED, f"{worker}"
        assert "the store knows less of partition" in worker.text()

        system.workers.remove(worker)  # It has ended as it should.
        second = system.start_worker()
        second.wait_for_partitions(system.partitions)
        assert "the store was put back to batch" in second.text()
        verdict = settle(system, order_free=False)
        ids = Counter(action["action_id"] for action in system.actions())
        assert max(ids.values()) == 1, f"an action came again with another body: {ids.most_common(1)}"
        assert sent.keys() <= ids.keys()
        assert verdict.repeated_batches <= system.partitions + system.broken_off()
        assert verdict.actions >= 100
        system.stop_workers()


def _check_nothing_is_sent(system: System, worker: WorkerProcess) -> None:
    """That nothing goes out while the store does not answer, over several attempts to reach it."""
    wait_until(lambda: away(worker, "store"), lambda: f"the worker waits for the store: {worker}")
    # What was being published when the store went away may still arrive.
    before: dict[str, int] = {}
    while before != (before := _sent(system)):
        _await_attempts(worker, 1)
    _await_attempts(worker, 3)
    assert away(worker, "store")
    assert _sent(system) == before, "something was sent while the store was away"


def _await_attempts(worker: WorkerProcess, count: int) -> None:
    before = errors(worker, "store")
    wait_until(lambda: errors(worker, "store") >= before + count, "the worker tries to reach the store")


def _sent(system: System) -> dict[str, int]:
    """How many messages each outbound topic holds."""
    return {topic: sum(system.ends(topic).values()) for topic in OUTBOUND}


def _offsets(system: System) -> dict[tuple[str, int], int]:
    topics = [system.kafka_topic("bank.transactions")]
    return group_offsets(system.kafka, system.settings.app_id, topics, system.partitions)
