"""F14: one customer with half of the traffic."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from streams.publisher import partition_of
from tests.support.bank_history import BEGIN, account_history
from tests.support.faults import fault_system, history, settle
from tests.support.metrics import forget_peak, metrics, peak_mib
from tests.support.worker_process import WorkerProcess, wait_until

HOT = "hot"
COST = 6
"""With twice the records a worker may use so many times the processor time; what it costs to begin is in both."""
GROWTH_MIB = 64


def test_the_others_do_not_wait_for_it(
    kafka: str, redis_url: str, tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """All others but those of its own partition are done long before it is; its records cost about what others' do; the

    worker needs no memory for it.
    """
    with fault_system(kafka, redis_url, tmp_path, name="f14") as system:
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        others = history(seed, customers=60)
        began = _cpu_seconds(worker)
        system.publish(others)
        system.wait_until_drained()
        alone = _cpu_seconds(worker) - began

        before, began = forget_peak(worker), _cpu_seconds(worker)
        again = history(seed, customers=60, part=1)
        hot = account_history(HOT, len(again), BEGIN + timedelta(days=60), timedelta(minutes=1), Decimal(120))
        worker.pause()
        system.publish(event for pair in zip(again, hot, strict=True) for event in pair)
        worker.resume()
        its = partition_of(HOT.encode(), system.partitions)
        cold = frozenset(range(system.partitions)) - {its}
        wait_until(lambda: system.lag(cold) == 0, "the others are done", 90)
        left = system.lag(frozenset({its}))
        verdict = settle(system)
        with_it = _cpu_seconds(worker) - began

        assert left >= len(hot) // 4, f"the others were done when {left} records of the hot partition were left"
        assert with_it <= COST * alone, f"{with_it:.1f} s of processor time with it, {alone:.1f} s without"
        assert peak_mib(worker) - before <= GROWTH_MIB
        assert verdict.actions >= len(hot), "its payments led to no actions"
        record_property("cost with it, times", round(with_it / alone, 1))
        system.stop_workers()


def _cpu_seconds(worker: WorkerProcess) -> float:
    return sum(value for _, value in metrics(worker)["process_cpu_seconds_total"])
