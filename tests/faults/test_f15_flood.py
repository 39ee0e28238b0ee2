"""F15: a flood of poison: more than 1% of the last 10,000 records of a partition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streams.publisher import partition_of
from tests.support.faults import fault_system, settle
from tests.support.metrics import metrics, ready, total
from tests.support.system import Event, System, payment
from tests.support.worker_process import WorkerProcess, wait_until

TOPIC = "bank.transactions"


def test_a_flood_halts_consumption_until_an_operator_resumes(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Past the limit nothing more is consumed or set aside; log, health and metrics say so, also after a restart; the

    other partition goes on. After ``state resume`` everything is processed, and the whole equals the oracle.
    """
    limits: dict[str, Any] = {"dead_letter_window": 200, "dead_letter_percent": 10}
    flood = [Event(TOPIC, b"c1", b"{") for _ in range(100)]
    bad = partition_of(b"c1", 2)
    other = next(name for name in map("c{}".format, range(2, 99)) if partition_of(name.encode(), 2) != bad)
    halted, resume = f"partition {bad} is halted: ", ("state", "resume", "--partition", str(bad))
    with fault_system(kafka, redis_url, tmp_path, name="f15", partitions=2, **limits) as system:
        system.publish([_payment(1), *flood, _payment(2)])
        first = system.start_worker()
        first.wait_for(halted)
        assert f"bank-triggers {' '.join(resume)}" in first.text()
        status, checks = ready(first)
        assert status == 503
        assert any(f"{bad}" in answer and "halted" in answer for answer in checks.values()), checks
        assert total(metrics(first), "partitions_halted") == 1
        assert total(metrics(first), "dead_letters_total", reason="NOT_JSON") == len(system.dead_letters())
        system.publish([_payment(1, other)])
        wait_until(lambda: f"transaction:{other}-1" in _occasions(system), "the other partition goes on")
        halted_at = system.meta(bad).positions[TOPIC]
        set_aside = len(system.dead_letters())
        assert (set_aside, halted_at) == (21, 22), "10% of 200, and the one that is too many"
        first.kill()

        second = system.start_worker()
        second.wait_for(halted)
        system.publish([_payment(3)])
        assert system.meta(bad).positions[TOPIC] == halted_at
        assert len(system.dead_letters()) == set_aside
        rounds = 0
        while not _is_drained(system, bad):
            # Each time it takes another few before it stops anew: the flood is not over.
            rounds += 1
            assert rounds < 10
            assert system.command(*resume) == (0, f"partition {bad} goes on\n")
            _wait_until_it_stops_again(system, second, rounds, bad)
        assert rounds >= 2
        # The last of the flood may have halted it once more, with nothing behind it.
        system.command(*resume)
        assert system.command(*resume) == (0, f"partition {bad} is not halted\n")
        assert [about.reason for about, _ in system.dead_letters()] == ["NOT_JSON"] * 100
        wait_until(lambda: ready(second)[0] == 200, "the worker is ready again")
        assert settle(system).dead_letters == 100
        done = [*(f"transaction:c1-{number}" for number in (1, 2, 3)), f"transaction:{other}-1"]
        assert _occasions(system) == sorted(done)
        system.stop_workers()


def _wait_until_it_stops_again(system: System, worker: WorkerProcess, rounds: int, bad: int) -> None:
    def stopped() -> bool:
        resumed = worker.text().count(f"partition {bad} goes on: an operator resumed it")
        halted = worker.text().count(f"partition {bad} is halted: ")
        return resumed == rounds and (halted == rounds + 1 or _is_drained(system, bad))

    wait_until(stopped, "it stops again, or all is done")


def _is_drained(system: System, partition: int) -> bool:
    return system.meta(partition).positions[TOPIC] == system.ends(TOPIC)[partition]


def _payment(number: int, customer: str = "c1") -> Event:
    return payment(customer, number, f"2026-03-02T10:00:0{number}+08:00")


def _occasions(system: System) -> list[str]:
    return sorted(action["occasion"] for action in system.actions())
