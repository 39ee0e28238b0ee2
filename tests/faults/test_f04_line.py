"""F4: the line to the broker slow, cut, frozen, half open; slow when a worker starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.faults import fault_system, history, load, settle
from tests.support.kafka_broker import KafkaBroker, group_members
from tests.support.metrics import away, ready
from tests.support.system import System
from tests.support.tcp_proxy import TcpProxy
from tests.support.worker_process import WorkerProcess, wait_until

QUICK: Final[dict[str, Any]] = {"kafka_request_timeout_ms": 3_000}
"""After so long a request is given up."""
SHIPPED: Final[dict[str, Any]] = {
    "session_timeout_ms": 6_000,
    "heartbeat_interval_ms": 1_000,
    "kafka_request_timeout_ms": 6_000,
}
"""As a worker has it unless told otherwise. A shorter session would be over before its heartbeats are answered."""
SLOW_S: Final = 1.0
"""In either direction: 2 s for a question and its answer."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """With a line of its own for the workers; the test itself asks it beside that."""
    with KafkaBroker(tmp_path_factory.mktemp("f04") / "broker", proxied=True) as broker:
        yield broker


@pytest.fixture
def line(broker: KafkaBroker) -> Iterator[TcpProxy]:
    """The line, which is good again after each test."""
    yield broker.proxy
    broker.proxy.heal()


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("cut", marks=pytest.mark.thorough),
        pytest.param("frozen", marks=pytest.mark.thorough),
        "half-open",
    ],
)
def test_nothing_passes_for_a_while(
    broker: KafkaBroker, line: TcpProxy, redis_url: str, tmp_path: Path, seed: int, how: str
) -> None:
    """Under load; longer than a request or the session may last. The worker lives, says what it waits for, and goes on

    by itself: what the oracle sends is sent, and what is sent twice is the same.
    """
    with fault_system(broker.bootstrap, redis_url, tmp_path, name=f"f04-{how}", **QUICK) as system:
        worker = _at_work(system, broker, seed)
        {"cut": line.cut, "frozen": line.freeze, "half-open": line.half_open}[how]()
        system.publish(history(seed, customers=10, part=1))
        wait_until(lambda: away(worker, "kafka"), lambda: f"the worker waits for Kafka: {worker}")
        status, checks = ready(worker)
        assert (status, checks["store"]) == (503, "ok"), checks
        # Its session is over before it is heard of again.
        wait_until(lambda: group_members(broker.bootstrap, system.name) == 0, "the group has given the worker up")
        done = system.batches_done(range(system.partitions))
        assert worker.running, f"{worker}"
        line.heal()
        verdict = settle(system)
        assert verdict.actions >= 200
        assert system.batches_done(range(system.partitions)) > done
        wait_until(lambda: not away(worker, "kafka"), lambda: f"Kafka takes messages again: {worker}")
        system.stop_workers()


@pytest.mark.thorough
def test_two_seconds_for_an_answer(
    broker: KafkaBroker, line: TcpProxy, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """Within the time of a request: batches go on, slowly; nothing is lost and nothing else comes of it."""
    with fault_system(broker.bootstrap, redis_url, tmp_path, name="f04-slow", **SHIPPED) as system:
        worker = _at_work(system, broker, seed)
        line.slow(SLOW_S)
        # So that there is something to go on with, however quick the worker was.
        system.publish(history(seed, customers=10, part=1))
        done = system.batches_done(range(system.partitions))
        # Those in flight may have had most of their way behind them.
        wait_until(lambda: system.batches_done(range(system.partitions)) > done + system.partitions, "batches go on")
        assert worker.running, f"{worker}"
        assert "broken off" not in worker.text(), f"it kept its partitions: {worker}"
        line.heal()
        assert settle(system).actions >= 200
        system.stop_workers()


def test_a_line_that_is_too_slow_at_the_start(
    broker: KafkaBroker, line: TcpProxy, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """No request is answered in time: the worker waits and says so; when the line is good it starts by itself."""
    with fault_system(broker.bootstrap, redis_url, tmp_path, name="f04-start", **QUICK) as system:
        line.slow(2 * SLOW_S)
        worker = system.start_worker(kafka_bootstrap=broker.proxied_bootstrap, startup_seconds=120)
        worker.wait_for("does not answer yet, waiting for it for up to")
        system.publish(history(seed, customers=10))
        line.heal()
        assert settle(system).actions >= 50
        system.stop_workers()


def _at_work(system: System, broker: KafkaBroker, seed: int) -> WorkerProcess:
    """A worker in the middle of a history, behind the line."""
    worker = system.start_worker(kafka_bootstrap=broker.proxied_bootstrap)
    worker.wait_for_partitions(system.partitions)
    load(system, worker, history(seed, customers=50))
    wait_until(lambda: system.journal_size() >= 10, "the worker goes on")
    assert system.lag(range(system.partitions)) > 0, "everything was done before"
    return worker
