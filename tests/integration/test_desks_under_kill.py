"""The desk stage with two workers, one killed in the middle of a batch: capacity holds, nobody is assigned twice."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.system import Event, System, event
from tests.support.worker_process import ROOT, WorkerProcess, wait_until

RULES = ROOT / "tests" / "integration" / "rules" / "desks"
SETTINGS: dict[str, Any] = {"max_batch": 10, "session_timeout_ms": 8_000}
"""A worker that stands still while customers are published must keep its partitions, on a slow machine too."""
BRANCHES = [f"B{number}" for number in range(8)]
CUSTOMERS = 640
CAPACITY = {"counter": 20, "vip": 10}
"""As in the rules; the bank would let each have 1,000."""


def test_a_killed_worker_neither_overloads_a_manager_nor_assigns_a_customer_twice(
    kafka_broker: KafkaBroker, redis_url: str, tmp_path: Path
) -> None:
    """Customers of eight branches want more managers than there are; more come later, and everybody has an outcome."""
    with System(kafka_broker.bootstrap, redis_url, tmp_path, rules=RULES, name="desks", **SETTINGS) as system:
        system.create_topics()
        steady, doomed = system.start_worker(), system.start_worker()
        _await_both(system, steady, doomed)
        system.publish(_managers(first=1, count=2) + _customers(0, CUSTOMERS // 2))

        doomed.pause()
        system.publish(_customers(CUSTOMERS // 2, CUSTOMERS))
        doomed.resume()
        pending = _catch_desks_at_work(system, doomed)
        doomed.kill()
        heir = system.start_worker()
        _await_both(system, steady, heir)
        system.wait_until_drained()
        assert any(system.rerun_logged(partition, batch.sequence) for partition, batch in pending.items())
        first = _assigned(system)
        assert 0 < len(first) < CUSTOMERS, "everybody or nobody had room: nothing was put to the test"

        system.publish(_managers(first=3, count=1))
        system.wait_until_drained()
        system.stop_workers()
        verdict = check_against_oracle(system)
        assert verdict.states > CUSTOMERS

        assigned = _assigned(system)
        assert assigned.items() > first.items(), "who waited was not served when a manager came"
        loads = Counter(assigned.values())
        for manager, load in loads.items():
            desk = "vip" if manager.endswith("V") else "counter"
            assert load <= CAPACITY[desk], f"{manager} has {load} customers"
        assert max(loads.values()) == CAPACITY["counter"], "no manager was full"
        outcomes: dict[str, set[str]] = defaultdict(set)
        for decision in system.decisions():
            if decision["trigger"] == "desk_assignment":
                outcomes[decision["customer_id"]].add(decision["reason"])
        assert outcomes.keys() == {_customer(number) for number in range(CUSTOMERS)}
        for customer, reasons in outcomes.items():
            assert ("assigned" in reasons) == (customer in assigned), customer
            assert customer in assigned or reasons == {"no_capacity"}


def _assigned(system: System) -> dict[str, str]:
    """Whom each customer was given; a customer who was given anybody twice fails the test."""
    found: dict[str, str] = {}
    for value in dict.fromkeys(record.value or b"" for record in system.read("desk.steps")):
        step: dict[str, Any] = json.loads(value)
        assert step["step"] == "assigned", step
        assert step["customer_id"] not in found, f"{step} after {found[step['customer_id']]}"
        found[step["customer_id"]] = step["manager_id"]
    return found


def _catch_desks_at_work(system: System, worker: WorkerProcess) -> Any:
    """Stops the worker with a batch of the desk stage announced and not committed."""
    for _ in range(200):
        pending = system.catch_in_flight(worker)
        if any(batch.stage == "desk" for batch in pending.values()):
            return pending
        worker.resume()
    raise AssertionError("no batch of the desk stage was under way")


def _await_both(system: System, *workers: WorkerProcess) -> None:
    """Waits until the workers share all partitions."""

    def shared() -> bool:
        owned = [worker.owned() for worker in workers]
        return all(owned) and sum(map(len, owned)) == system.partitions == len(frozenset().union(*owned))

    wait_until(shared, "the workers share the partitions")


def _customer(number: int) -> str:
    return f"C{number:04d}"


def _customers(begin: int, end: int) -> list[Event]:
    """One in eight belongs to the VIP desk; nobody has a manager."""
    return [
        event(
            "bank.profiles",
            _customer(number),
            tenant="bank",
            event_id=f"p-{number}",
            occurred_at=f"2026-03-02T10:{number % 60:02d}:00+08:00",
            customer_id=_customer(number),
            sequence=1,
            tier="high" if number // len(BRANCHES) % 8 == 0 else "mid",
            branch_id=BRANCHES[number % len(BRANCHES)],
        )
        for number in range(begin, end)
    ]


def _managers(first: int, count: int) -> list[Event]:
    """So many of the counter for each branch, and once a VIP manager."""
    found = []
    for branch in BRANCHES:
        names = [f"{branch}-{number}" for number in range(first, first + count)]
        for name in [*names, f"{branch}-V"] if first == 1 else names:
            body = {
                "tenant": "bank",
                "event_id": f"m-{name}",
                "occurred_at": "2026-03-02T09:00:00+08:00",
                "manager_id": name,
                "sequence": 1,
                "desk": "vip" if name.endswith("V") else "counter",
                "branch_id": branch,
            }
            found.append(event("bank.managers", name, **body))
    return found
