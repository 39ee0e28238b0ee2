"""The desk stage with two workers, killed in the middle of batches: capacity holds, nobody is assigned, handed over or
recalled twice.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.system import Event, System, event
from tests.support.worker_process import ROOT, WorkerProcess, wait_until

RULES = ROOT / "tests" / "integration" / "rules" / "desks"
SETTINGS: dict[str, Any] = {"max_batch": 10, "session_timeout_ms": 12_000}
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

        _hand_over_and_recall(system, steady, heir, assigned)
        system.stop_workers()
        verdict = check_against_oracle(system)
        assert verdict.states > CUSTOMERS


def _hand_over_and_recall(
    system: System, steady: WorkerProcess, doomed: WorkerProcess, assigned: Mapping[str, str]
) -> None:
    """Some become rich and are handed over to one more VIP manager, later the neglected are recalled; a worker is
    killed while pools work on the first of it. Afterwards the steps of each customer are one chain, and nobody has too
    many.
    """
    rich = [name for name, manager in assigned.items() if not manager.endswith("V")][::4]
    places = sum(min(CAPACITY["vip"], count) for count in Counter(map(_branch, rich)).values())
    assert len(BRANCHES) < places < len(rich), "all of them, or nobody, would have room"
    system.publish([_manager(f"{branch}-2V", "2026-03-20T09:00:00+08:00") for branch in BRANCHES])
    system.wait_until_drained()
    doomed.pause()
    richer = [_profile(name, 2, "high", "2026-03-20T10:00:00+08:00") for name in rich]
    system.publish(richer + _reviews(2, "2026-04-01"))
    doomed.resume()
    pending = _catch_desks_at_work(system, doomed)
    doomed.kill()
    _await_both(system, steady, system.start_worker())
    system.wait_until_drained()
    assert any(system.rerun_logged(partition, batch.sequence) for partition, batch in pending.items())

    # What nobody answered is asked again at the next review.
    system.publish(_reviews(3, "2026-05-01"))
    system.wait_until_drained()
    asked = {
        action["action_id"]: action["customer_id"]
        for action in system.actions()
        if action["offer"] == "handover_approval" and action["created_at"] >= "2026-05-01"
    }
    assert len(asked) == len(set(asked.values())) == places, "a request for each place, once"
    system.publish([_approval(action_id, customer) for action_id, customer in asked.items()])
    system.wait_until_drained()
    # Nobody was spoken with for more than 90 days, and one more manager has room for some.
    system.publish([_manager(f"{branch}-4", "2026-08-03T09:00:00+08:00") for branch in BRANCHES])
    system.wait_until_drained()

    has: dict[str, str] = {}
    kinds: Counter[str] = Counter()
    told: set[tuple[str, int]] = set()
    for value in dict.fromkeys(record.value or b"" for record in system.read("desk.steps")):
        step: dict[str, Any] = json.loads(value)
        customer = step["customer_id"]
        assert (customer, step["number"]) not in told, f"{step} stands twice"
        told.add((customer, step["number"]))
        kinds[step["step"]] += 1
        if step["step"] != "call":
            assert step["former_manager_id"] == has.get(customer), f"{step}, but {has.get(customer)} has the customer"
            has[customer] = step["manager_id"]
    assert has.keys() > assigned.keys(), "who waited was not served when places became free"
    assert kinds["handed_over"] == len(asked)
    assert kinds["recalled"] > 0
    for manager, load in Counter(has.values()).items():
        assert load <= CAPACITY["vip" if manager.endswith("V") else "counter"], f"{manager} has {load} customers"


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
    for _ in range(2_000):  # most are of the customer stage; once nothing waits any more this ends by itself
        pending = system.catch_in_flight(worker)
        if any(batch.stage == "desk" for batch in pending.values()):
            return pending
        done = system.batches_done(pending)
        worker.resume()
        # Stopped again at once it would never come further.
        wait_until(lambda done=done, of=tuple(pending): system.batches_done(of) > done, "a batch is committed")
    raise AssertionError("no batch of the desk stage was under way")


def _await_both(system: System, *workers: WorkerProcess) -> None:
    """Waits until the workers share all partitions."""

    def shared() -> bool:
        owned = [worker.owned() for worker in workers]
        return all(owned) and sum(map(len, owned)) == system.partitions == len(frozenset().union(*owned))

    wait_until(shared, "the workers share the partitions")


def _customer(number: int) -> str:
    return f"C{number:04d}"


def _branch(customer: str) -> str:
    return BRANCHES[int(customer[1:]) % len(BRANCHES)]


def _customers(begin: int, end: int) -> list[Event]:
    """One in eight belongs to the VIP desk; nobody has a manager."""
    return [
        _profile(
            _customer(number),
            1,
            "high" if number // len(BRANCHES) % 8 == 0 else "mid",
            f"2026-03-02T10:{number % 60:02d}:00+08:00",
        )
        for number in range(begin, end)
    ]


def _profile(customer: str, sequence: int, tier: str, at: str) -> Event:
    branch = _branch(customer)
    body = {"tenant": "bank", "event_id": f"p-{customer}-{sequence}", "occurred_at": at, "customer_id": customer}
    return event("bank.profiles", customer, **body, sequence=sequence, tier=tier, branch_id=branch)


def _reviews(sequence: int, day: str) -> list[Event]:
    """The managers' records once more: the pools' time moves on to that day, on which there is a review at 08:00."""
    return [_manager(f"{branch}-{place}", f"{day}T09:00:00+08:00", sequence) for branch in BRANCHES for place in (1, 2)]


def _approval(handover_id: str, customer: str) -> Event:
    branch = _branch(customer)
    at = "2026-05-01T10:00:00+08:00"
    body = {"tenant": "bank", "event_id": f"a-{customer}", "occurred_at": at, "customer_id": customer}
    return event("bank.desk-answers", branch, **body, branch_id=branch, handover_id=handover_id, answer="approved")


def _managers(first: int, count: int) -> list[Event]:
    """So many of the counter for each branch, and once a VIP manager."""
    found = []
    for branch in BRANCHES:
        names = [f"{branch}-{number}" for number in range(first, first + count)]
        names += [f"{branch}-V"] if first == 1 else []
        found += [_manager(name, "2026-03-02T09:00:00+08:00") for name in names]
    return found


def _manager(name: str, at: str, sequence: int = 1) -> Event:
    body = {
        "tenant": "bank",
        "event_id": f"m-{name}-{sequence}",
        "occurred_at": at,
        "manager_id": name,
        "sequence": sequence,
        "desk": "vip" if name.endswith("V") else "counter",
        "branch_id": name.partition("-")[0],
    }
    return event("bank.managers", name, **body)
