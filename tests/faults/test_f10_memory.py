"""F10: memory while writes are refused, while the store does not answer, under a flood of bad records."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from streams.embedded_redis import EmbeddedRedis
from tests.support.faults import fault_system, history
from tests.support.kafka_broker import set_topic_config
from tests.support.metrics import away, forget_peak, peak_mib
from tests.support.system import Event, System
from tests.support.tcp_proxy import TcpProxy
from tests.support.worker_process import WorkerProcess, wait_until

FLOOD_MIB = 160
BOUND_MIB = 80
"""What may wait in a worker are a few chunks of two MiB for each partition; without a bound all of the flood would."""
STEADY_S = 2.0

Record = Callable[[str, object], None]


def test_while_kafka_refuses_writes(kafka: str, redis_url: str, tmp_path: Path, record_property: Record) -> None:
    """Actions are refused and 160 MiB come in: what is read waits in Kafka, not in the worker."""
    with fault_system(kafka, redis_url, tmp_path, name="f10-memory") as system:
        worker = _started(system)
        set_topic_config(kafka, system.kafka_topic("outreach.push"), {"max.message.bytes": "100"})
        system.publish(history(1, customers=40))
        wait_until(lambda: away(worker, "kafka"), "the worker waits for Kafka")
        _check_flood(system, worker, record_property)


def test_while_the_store_does_not_answer(kafka: str, redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """As when Kafka refuses: the worker reads no more than a little ahead of what it can commit."""
    with (
        TcpProxy(redis_server.port) as line,
        fault_system(kafka, redis_server.url, tmp_path, name="f10-store", redis_timeout_ms=500) as system,
    ):
        worker = _started(system, redis_url=f"redis://{line.address}")
        line.freeze()
        system.publish(history(1, customers=40))
        wait_until(lambda: away(worker, "store"), "the worker waits for the store")
        _check_flood(system, worker)


def test_under_a_flood_of_bad_records(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Nothing is held up, and 160 MiB of bad records become dead letters a few at a time."""
    with fault_system(kafka, redis_url, tmp_path, name="f10-flood", dead_letter_percent=0) as system:
        worker = _started(system)
        before = forget_peak(worker)
        sent = system.publish(_flood())
        system.wait_until_drained()
        _check(worker, before)
        assert sum(system.ends("bank.dead-letters").values()) == sent + system.partitions
        system.stop_workers()


def _started(system: System, **settings: object) -> WorkerProcess:
    """A worker that has done something of everything, so that what it loads only once is there."""
    worker = system.start_worker(**settings)
    worker.wait_for_partitions(system.partitions)
    system.publish(Event("bank.transactions", None, b"{", partition) for partition in range(system.partitions))
    system.wait_until_drained()
    return worker


def _check_flood(system: System, worker: WorkerProcess, record_property: Record | None = None) -> None:
    before = forget_peak(worker)
    sent = system.publish(_flood())
    peak, since = peak_mib(worker), time.monotonic()

    def steady() -> bool:
        nonlocal peak, since
        if (now := peak_mib(worker)) > peak:
            peak, since = now, time.monotonic()
        return time.monotonic() - since > STEADY_S

    wait_until(steady, "the worker takes no more memory")
    if record_property is not None:
        record_property("most memory while refused, MiB", round(peak - before))
    _check(worker, before)
    assert system.lag(range(system.partitions)) >= sent, "what was held up went on"


def _check(worker: WorkerProcess, before: float) -> None:
    assert worker.running, f"{worker}"
    grown = peak_mib(worker) - before
    assert grown <= BOUND_MIB, f"{grown:.0f} MiB more than before"


def _flood() -> list[Event]:
    value = b"x" * 1_000_000
    return [
        Event("bank.transactions", None, value, number % 4) for number in range(FLOOD_MIB * 1_048_576 // len(value))
    ]
