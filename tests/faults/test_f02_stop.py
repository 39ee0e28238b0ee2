"""F2: SIGTERM under load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.faults import fault_system, history, load, settle
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
        assert verdict.repeated_batches <= system.partitions, "more was repeated than the batches in flight"
        assert verdict.actions >= 300
