"""F14: one customer with half of the traffic."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Final

from streams.publisher import partition_of
from tests.support.bank_history import BEGIN, account_history
from tests.support.faults import fault_system, history, settle
from tests.support.metrics import forget_peak, metrics, peak_mib
from tests.support.system import Event, System
from tests.support.worker_process import WorkerProcess, wait_until

HOT = "hot"
MINUTE = timedelta(minutes=1)
PAYMENT = Decimal(120)
COST = 6
"""With twice the records a worker may use so many times the processor time; what it costs to begin is in both."""
LONG: Final = 1_500
PAD: Final = 60_000
"""So many more records of it have so many bytes besides, 86 MiB in all, which take next to nothing on the wire."""
GROWTH_MIB: Final = 30
"""What is read ahead of a topic partition is a few MiB, however few or many records that is."""

BUDGET_S: Final = 1.0
BUDGET_TIMES: Final = 3.0
"""The others' p99 with it may be so many times that without it, or up to a second: their events share a core with it,
which doubles the work, and tests share the machine with others."""
RATE: Final = 60
"""Events of the others in a second, and as many of the hot one: far below what a worker can do, so that no backlog is
measured."""
SLICE: Final = 150
"""Events of the others with it, and as many without, in each round: what else the machine does concerns both."""
ROUNDS: Final = 2
OTHERS: Final = 20


def test_the_others_are_answered_as_soon(
    kafka: str, redis_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """From an event's own time stamp to that of its action: the others' p99 keeps within its budget while half of the

    traffic is one customer's, also in that customer's partition.
    """
    with fault_system(kafka, redis_url, tmp_path, name="f14-latency") as system:
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        count = SLICE * ROUNDS * 2
        histories = [account_history(f"o{n}", count // OTHERS, BEGIN, MINUTE, PAYMENT) for n in range(OTHERS)]
        others = iter([one for at_once in zip(*histories, strict=True) for one in at_once])
        hot = iter(account_history(HOT, count // 2, BEGIN, MINUTE, PAYMENT))
        alone, beside = set[str](), set[str]()
        system.publish(account_history("first", 10, BEGIN, MINUTE, PAYMENT))
        for _ in range(ROUNDS):
            for of in (alone, beside):
                events = list(islice(others, SLICE))
                of.update(map(_occasion, events))
                if of is beside:
                    events = [one for pair in zip(events, hot, strict=False) for one in pair]
                system.wait_until_drained()
                system.publish(_paced(events, len(events) / SLICE * RATE))
        verdict = settle(system)
        system.stop_workers()
        assert verdict.actions == count + count // 2 + 10

        waited = _waits(system)
        its = partition_of(HOT.encode(), system.partitions)
        for name, partitions in (("all", range(system.partitions)), ("its own partition", (its,))):
            mine = {occasion: seconds for (number, occasion), seconds in waited.items() if number in partitions}
            without, with_it = (_p99([mine[one] for one in of if one in mine]) for of in (alone, beside))
            record_property(f"p99 of others in {name}, s", round(with_it, 2))
            budget = max(BUDGET_S, BUDGET_TIMES * without)
            assert with_it <= budget, f"{name}: {with_it:.2f} s with the hot customer, {without:.2f} s without"


def test_the_others_do_not_wait_for_it(
    kafka: str, redis_url: str, tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """All others but those of its own partition are done long before it is; its records cost about what others' do;

    and where they are long and come compressed, the worker unpacks no more of them than it is about to run.
    """
    with fault_system(kafka, redis_url, tmp_path, name="f14") as system:
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        others = history(seed, customers=60)
        began = _cpu_seconds(worker)
        system.publish(others)
        system.wait_until_drained()
        alone = _cpu_seconds(worker) - began

        began = _cpu_seconds(worker)
        again = history(seed, customers=60, part=1)
        hot = account_history(HOT, len(again) + LONG, BEGIN + timedelta(days=60), MINUTE, PAYMENT)
        short, long = hot[: len(again)], [replace(one, value=one.value + b" " * PAD) for one in hot[len(again) :]]
        worker.pause()
        system.publish(event for pair in zip(again, short, strict=True) for event in pair)
        worker.resume()
        its = partition_of(HOT.encode(), system.partitions)
        cold = frozenset(range(system.partitions)) - {its}
        wait_until(lambda: system.lag(cold) == 0, "the others are done", 90)
        left = system.lag(frozenset({its}))
        system.wait_until_drained()
        with_it = _cpu_seconds(worker) - began
        assert left >= len(short) // 4, f"the others were done when {left} records of the hot partition were left"
        assert with_it <= COST * alone, f"{with_it:.1f} s of processor time with it, {alone:.1f} s without"

        before = forget_peak(worker)
        worker.pause()
        system.publish(long, compression="gzip")
        worker.resume()
        verdict = settle(system)
        grown = peak_mib(worker) - before
        assert grown <= GROWTH_MIB, f"{grown:.0f} MiB more than before"
        assert verdict.actions >= len(hot), "its payments led to no actions"
        record_property("cost with it, times", round(with_it / alone, 1))
        record_property("most memory with it, MiB", round(grown))
        system.stop_workers()


def _paced(events: Sequence[Event], rate: float) -> Iterator[Event]:
    """The events at so many a second, whatever becomes of those before."""
    began = time.monotonic()
    for number, one in enumerate(events):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        yield one


def _occasion(one: Event) -> str:
    return f"transaction:{json.loads(one.value)['event_id']}"


def _waits(system: System) -> dict[tuple[int, str], float]:
    """By partition and occasion the seconds from an event's own time stamp to that of the first action of it."""
    sent = {
        f"transaction:{json.loads(raw.value or b'')['event_id']}": raw.sent_ms
        for raw in system.read("bank.transactions")
    }
    found: dict[tuple[int, str], float] = {}
    for raw in system.read("outreach.push"):
        occasion = json.loads(raw.value or b"")["occasion"]
        found.setdefault((raw.partition, occasion), (raw.sent_ms - sent[occasion]) / 1000)
    return found


def _p99(seconds: Sequence[float]) -> float:
    assert len(seconds) >= 50, f"only {len(seconds)} were measured"
    return sorted(seconds)[len(seconds) * 99 // 100]


def _cpu_seconds(worker: WorkerProcess) -> float:
    return sum(value for _, value in metrics(worker)["process_cpu_seconds_total"])
