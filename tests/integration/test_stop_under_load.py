"""SIGTERM while records pour in."""

from __future__ import annotations

from pathlib import Path

from tests.support.bank_history import bank_history
from tests.support.oracle_check import check_against_oracle, check_straight_pass
from tests.support.system import System
from tests.support.worker_process import wait_until

RULES = Path(__file__).parent / "rules" / "independent"


def test_sigterm_under_load_ends_within_five_seconds_and_loses_nothing(
    kafka: str, redis_url: str, tmp_path: Path
) -> None:
    """The worker ends with 0, batches in flight are finished or left to the next, which goes on where it stopped."""
    with System(kafka, redis_url, tmp_path, rules=RULES, name="stop", max_batch=5) as system:
        system.create_topics()
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        worker.pause()
        system.publish(bank_history(customers=80))
        worker.resume()
        wait_until(lambda: system.journal_size() >= 10, "the worker goes on")
        took = worker.terminate()
        assert worker.process.returncode == 0, f"{worker}"
        assert took <= 5, f"the stop took {took:.1f} s: {worker}"
        assert system.lag(range(system.partitions)) > 0, "everything was done before the signal came"
        size = system.journal_size()

        system.start_worker().wait_for_partitions(system.partitions)
        system.wait_until_drained()
        system.stop_workers()
        assert system.journal_size() > size
        verdict = check_against_oracle(system)
        assert verdict.repeated_batches <= system.partitions, "more was repeated than the batches in flight"
        assert check_straight_pass(system) >= 500
