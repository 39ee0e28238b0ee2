"""Workers on the wall clock, the default: silence is noticed by the passing of time, with no record to bring it."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.embedded_redis import EmbeddedRedis
from tests.support.kafka_broker import group_members
from tests.support.metrics import metrics, total
from tests.support.oracle_check import check_against_oracle
from tests.support.redis_server import held
from tests.support.system import Event, System, event, payment
from tests.support.wall_clock import WallClock
from tests.support.worker_process import WorkerProcess, wait_until

RULES = Path(__file__).parent / "rules" / "wall_clock"
HOUR_MS = 3_600_000


def test_silence_is_noticed_when_its_hour_is_over_though_nothing_comes(
    kafka: str, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """Payments nearly an hour old: the action of each silence comes by itself when the hour is over, not before, once.

    An event further ahead than publishers' clocks may be is set aside, one within that is not. The metrics tell how
    late timers are, while the store holds one up and after.
    """
    with System(kafka, redis_server.url, tmp_path, rules=RULES, name="wall", partitions=2, clock="wall") as system:
        system.create_topics()
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        now = _now_ms()
        due = {"soon": now + 3_000, "later": now + 5_500}
        begun = _now_ms()
        system.publish(
            [
                *(_payment(customer, at - HOUR_MS) for customer, at in due.items()),
                _payment("a-little-ahead", now + 20_000),
                _payment("far-ahead", now + 300_000),
            ]
        )
        wait_until(lambda: _customers(system) == ["soon"], "the first silence is noticed", 30)
        wait_until(lambda: _overdue(worker) == 0, "its timer is no longer due")
        assert _now_ms() < due["later"], "the machine is too slow for this test: both hours were over"
        with held(redis_server):
            wait_until(lambda: _overdue(worker) > 0, "a timer is overdue", 30)
            assert _overdue(worker) <= (_now_ms() - due["later"]) / 1000
        wait_until(lambda: len(_silences(system)) == 2, "both silences are noticed", 30)
        system.wait_until_drained()
        wait_until(lambda: _overdue(worker) == 0, "no timer is overdue")
        found, seconds = metrics(worker), (_now_ms() - begun) / 1000
        system.stop_workers()

        late = [(_ms(action["created_at"]) - due[action["customer_id"]]) / 1000 for action in _silences(system)]
        assert total(found, "timer_delay_seconds_count", stage="customer") == 2
        assert total(found, "timer_delay_seconds_sum", stage="customer") == pytest.approx(sum(late))
        assert total(found, "event_to_action_seconds_count") == 3
        # From the record's arrival on Kafka: the payments themselves are an hour old.
        assert 0 < total(found, "event_to_action_seconds_sum") <= 3 * seconds
        # Of each batch of records, by the time stamps that Kafka gave them.
        for record in ("first", "last"):
            assert total(found, "batch_wait_seconds_count", record=record) == total(found, "batch_records_count") > 0

        for action in _silences(system):
            created = _ms(action["created_at"])
            assert due[action["customer_id"]] <= created <= _now_ms(), f"not when its hour was over: {action}"
        payments = [action for action in system.actions() if action["trigger"] == "any_payment"]
        assert {action["customer_id"] for action in payments} == {*due, "a-little-ahead"}
        for action in payments:
            # On the wall clock, though the payments are an hour old; one from ahead counts as of when it came.
            assert begun <= _ms(action["created_at"]) <= _now_ms(), f"not the time at which it was processed: {action}"
        ((about, record),) = system.dead_letters()
        assert (about.reason, about.field, record.key) == ("FROM_THE_FUTURE", "occurred_at", b"far-ahead")
        verdict = check_against_oracle(system)
        assert verdict.triggers == {"any_payment": 3, "an_hour_without": 2}
        assert verdict.dead_letters == 1


def test_a_silence_outlives_the_worker_that_waited_for_it(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """SIGKILL before either hour is over, one ends while no worker runs: the next worker sends both, each once.

    Who opted out while no worker ran, after what else of theirs lies unread, hears nothing more.
    """
    with System(kafka, redis_url, tmp_path, rules=RULES, name="wall-kill", partitions=1, clock="wall") as system:
        system.create_topics()
        first = system.start_worker()
        first.wait_for_partitions()
        now = _now_ms()
        due = {"alone": now + 5_000, "after": now + 14_000}
        out = {"opts-out": now + 5_001, "pays-and-opts-out": now + 5_002}
        system.publish(_payment(customer, at - HOUR_MS) for customer, at in {**due, **out}.items())
        system.wait_until_drained()
        assert system.meta(0).first_due_ms == {"customer": due["alone"]}
        first.kill()
        assert _now_ms() < due["alone"], "the machine is too slow for this test: the hour was over before the kill"
        assert _silences(system) == []

        wait_until(lambda: _now_ms() > max(out.values()), "the hours of all but one are over", 30)
        assert system.meta(0).first_due_ms == {"customer": due["alone"]}
        system.publish([_payment("pays-and-opts-out", _now_ms(), number=2), *map(_opt_out, out)])
        system.start_worker().wait_for_partitions()
        wait_until(lambda: _customers(system) == ["alone"], "the silence that ended meanwhile is noticed", 30)
        wait_until(lambda: _customers(system) == ["alone", "after"], "the later silence is noticed", 30)
        system.wait_until_drained()
        system.stop_workers()
        assert system.meta(0).first_due_ms.keys() <= {"customer"}
        silences = [one for one in system.decisions() if one["trigger"] == "an_hour_without"]
        assert {one["customer_id"]: one["reason"] for one in silences} == {
            **dict.fromkeys(due, "sent"),
            **dict.fromkeys(out, "no_consent"),
        }
        for action in _silences(system):
            assert _ms(action["created_at"]) >= due[action["customer_id"]]
        verdict = check_against_oracle(system)
        assert verdict.triggers == {"any_payment": 4, "an_hour_without": 2}


def test_what_has_expired_since_it_was_decided_is_not_sent(
    kafka: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies between a batch's journal entry and its actions, and the store is lost. After the rebuild, a while

    later, the next worker runs the batch again at its old time: what has expired by then is not sent; what has not is.
    """
    rules = tmp_path / "rules"
    shutil.copytree(RULES, rules)
    text = (rules / "any_payment.yaml").read_text()
    brief = text.replace("trigger: any_payment", "trigger: brief").replace("expires: 48h", "expires: 10m")
    (rules / "brief.yaml").write_text(brief.replace("event.amount >= 100 ", 'event.account_id == "a-brief" '))
    (rules / "any_payment.yaml").write_text(text.replace("event.amount >= 100 ", 'event.account_id != "a-brief" '))
    clock = WallClock(tmp_path, monkeypatch)
    with System(kafka, redis_url, tmp_path, rules=rules, name="expired", partitions=1, clock="wall") as system:
        system.create_topics()
        system.publish([_payment("brief", _now_ms()), _payment("long", _now_ms())])
        assert system.start_worker(fail_point="mid_publish:1").wait() == -9
        clock.ahead(timedelta(minutes=20))
        system.forget_everything()
        # A worker that was killed counts for the length of its session.
        wait_until(lambda: group_members(kafka, system.name) == 0, "nobody is in the group")
        code, text = system.command("state", "rebuild", "--yes")
        assert code == 0, text
        assert system.actions() == []
        worker = system.start_worker()
        worker.wait_for_partitions()
        system.publish([_payment("after", _now_ms() + 20 * 60_000)])
        system.wait_until_drained()
        system.stop_workers()
        sent = sorted((action["customer_id"], action["trigger"]) for action in system.actions())
        assert sent == [("after", "any_payment"), ("long", "any_payment")]
        assert "1 actions of batch 1 have expired since it was begun, and are not sent" in worker.text()
        assert [one["reason"] for one in system.decisions()] == ["sent"] * 3


def _payment(customer: str, at_ms: int, number: int = 1) -> Event:
    return payment(customer, number, _iso(at_ms))


def _opt_out(customer: str) -> Event:
    return event(
        "bank.profiles",
        customer,
        tenant="bank",
        event_id=f"{customer}-profile",
        occurred_at=_iso(_now_ms()),
        customer_id=customer,
        sequence=1,
        consents={"push": False, "sms": False},
    )


def _silences(system: System) -> list[dict[str, Any]]:
    return [action for action in system.actions() if action["trigger"] == "an_hour_without"]


def _overdue(worker: WorkerProcess) -> float:
    return total(metrics(worker), "timers_overdue_seconds", stage="customer")


def _customers(system: System) -> list[str]:
    return [action["customer_id"] for action in _silences(system)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
