"""What the tests of ``tests/faults`` are made of; each runs the real thing and compares it with the oracle.

A test of a fault is a module ``tests/faults/test_fNN_<name>.py`` whose docstring begins with the fault in a few words
(the table of ``make faults`` shows it). Its tests go through five steps::

    def test_what_holds(kafka: str, redis_url: str, tmp_path: Path, seed: int) -> None:
        with fault_system(kafka, redis_url, tmp_path, name="f99") as system:    # topics are there, no worker yet
            worker = system.start_worker()
            worker.wait_for_partitions(system.partitions)
            load(system, worker, history(seed))                                 # all of it waits when it goes on
            ...                                                                 # the fault, by ``seed``
            verdict = settle(system)                                            # lag zero, then both comparisons
        assert verdict.actions >= 100                                           # there was something to compare

``seed`` (a fixture of ``tests/faults/conftest.py``) is 1, or what ``--fault-seed`` says; a test marked ``many_seeds``
runs with 1 to N under ``--fault-seeds N``. Whatever is random comes from ``random.Random(seed)``. A failure shows the
first difference, the journal around it, the logs of the workers and how to repeat the run. Figures worth a place in the
table are given to pytest's ``record_property("slowest exit, s", 1.2)``; of several runs the largest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from tests.support.bank_history import BEGIN, bank_history
from tests.support.oracle_check import Verdict, check_against_oracle, check_straight_pass, show_journal
from tests.support.system import Event, System
from tests.support.worker_process import ROOT, WorkerProcess, wait_until

T = TypeVar("T")

INDEPENDENT: Final = ROOT / "tests" / "integration" / "rules" / "independent"
"""Triggers that do not interact: no caps, no timers, each fed by one topic. For them the order-free check holds."""
SHIPPED: Final = ROOT / "triggers" / "library"
"""The triggers that ship: with caps, timers, journeys."""


@contextmanager
def fault_system(
    kafka: str,
    redis_url: str,
    folder: Path,
    *,
    name: str,
    rules: Path = INDEPENDENT,
    partitions: int = 4,
    max_batch: int = 20,
    **settings: object,
) -> Iterator[System]:
    """A system with its topics and no worker; its batches are small. ``settings`` as for ``System``."""
    with System(
        kafka, redis_url, folder, rules=rules, name=name, partitions=partitions, max_batch=max_batch, **settings
    ) as system:
        system.create_topics()
        yield system


def history(seed: int, customers: int = 60, *, part: int = 0, days: int = 60) -> list[Event]:
    """About 25 events for each customer, the same for the same seed.

    ``part``: of several histories for one system; each has customers of its own and begins when the one before ends.
    """
    begin = BEGIN + timedelta(days=part * days)
    return bank_history(customers, days, seed * 1_000 + part, prefix=f"s{seed}p{part}c", begin=begin)


def load(system: System, worker: WorkerProcess, events: Sequence[Event]) -> None:
    """Publishes while a worker stands still, so that it has everything before it when it goes on."""
    worker.pause()
    system.publish(events)
    worker.resume()


def await_shared(system: System, *workers: WorkerProcess) -> None:
    """Waits until these workers share all partitions.

    Choose their number so that it divides that of the partitions: where it does not, the assignor of Faust may leave a
    worker without any.
    """

    def shared() -> bool:
        for worker in workers:
            assert worker.running, f"{worker}"
        owned = [worker.owned() for worker in workers]
        return all(owned) and sum(map(len, owned)) == system.partitions == len(frozenset().union(*owned))

    wait_until(shared, "the workers share the partitions")


def settle(system: System, *, order_free: bool = True, once: bool = False, seconds: float = 90.0) -> Verdict:
    """Waits until the lag is zero, then compares with the oracle and, where the triggers allow it, in no order at all.

    ``order_free`` needs ``INDEPENDENT`` rules and one rule set; with ``once`` its input is each message's first copy.
    Workers go on; publish nothing meanwhile. Raises ``AssertionError`` with all that differs.
    """
    system.wait_until_drained(seconds)
    differences: list[str] = []
    verdict = _compared(lambda: check_against_oracle(system), differences)
    if (
        order_free
        and _compared(lambda: check_straight_pass(system, once=once), differences) is None
        and verdict is not None
    ):
        differences.append(f"the journal:\n{show_journal(system.journal())}")
    if verdict is None or differences:
        raise AssertionError("\n".join(differences))
    return verdict


def _compared(compare: Callable[[], T], differences: list[str]) -> T | None:
    try:
        return compare()
    except AssertionError as difference:
        differences.append(str(difference))
        return None
