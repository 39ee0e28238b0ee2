"""F1: SIGKILL of a worker, on the histories of real banks and with every trigger that ships."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from schemas.journal import RecordBatch, TimerBatch
from schemas.topics import INBOUND
from streams.event_file import format_event
from tests.support.bank_data import bank_folder
from tests.support.bank_history import bank_history
from tests.support.faults import SHIPPED, await_shared, load, settle
from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import Verdict
from tests.support.system import Event, System, events_of_file
from tests.support.worker_process import ROOT, WorkerProcess, run_command, wait_until

RULES = ROOT / "tests" / "data" / "rules"
MAPPINGS = ROOT / "tests" / "data" / "mappings"

Batch = RecordBatch | TimerBatch


@pytest.mark.parametrize(
    "bank",
    [pytest.param("made-up", marks=pytest.mark.thorough), "berka", pytest.param("anz", marks=pytest.mark.thorough)],
)
def test_a_worker_killed_twice_loses_nothing_and_repeats_nothing_else(
    kafka_broker: KafkaBroker, redis_url: str, tmp_path: Path, bank: str
) -> None:
    """Two workers, one killed with SIGKILL in the middle of a batch, replaced, and killed again while Kafka holds its

    messages back: ids, bodies and states equal those of the pure engine run in the journal's order.
    """
    events, rules, tenant = _history(bank, tmp_path)
    third = len(events) // 3
    with System(
        kafka_broker.bootstrap, redis_url, tmp_path, rules=rules, name=bank, tenant=tenant, max_batch=25
    ) as system:
        system.create_topics()
        _publish_by_command(system, events[:third], tmp_path / "first.jsonl.gz")
        steady = system.start_worker()
        first = system.start_worker()
        await_shared(system, steady, first)

        killed = _kill_in_flight(system, first, events[third : 2 * third])
        size = system.journal_size()
        second = system.start_worker()
        await_shared(system, steady, second)
        assert system.journal_size() > size, "nothing was done after the first kill"
        for partition, batch in killed.items():
            assert system.rerun_logged(partition, batch.sequence), f"nobody ran {batch} again"

        killed = _kill_after_publish(system, kafka_broker, second, events[2 * third :])
        size = system.journal_size()
        third_worker = system.start_worker()
        await_shared(system, steady, third_worker)
        verdict = settle(system, order_free=False)
        assert system.journal_size() > size, "nothing was done after the second kill"
        for partition, batch in killed.items():
            assert system.rerun_logged(partition, batch.sequence), f"nobody ran {batch} again"
        _check_it_was_worth_it(bank, verdict)
        repeated = verdict.repeated_batches + verdict.repeated_messages
        assert repeated >= 1, "nothing was published twice: the second kill came too early"


def _publish_by_command(system: System, events: Sequence[Event], file: Path) -> None:
    """As an operator does it. What an event file cannot hold (it is no JSON) goes the other way."""
    texts = [(event, event.value.decode()) for event in events]
    with gzip.open(file, "wt") as lines:
        lines.writelines(
            format_event(event.topic, (event.key or b"").decode(), text) for event, text in texts if _is_json(text)
        )
    code, text = system.command("publish", file)
    assert code == 0, text
    system.publish(event for event, text in texts if not _is_json(text))
    assert sum(sum(system.ends(topic.name).values()) for topic in INBOUND) == len(events)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _kill_in_flight(system: System, worker: WorkerProcess, events: Sequence[Event]) -> dict[int, Batch]:
    """SIGKILL with batches announced and not committed, and records left to read; returns those batches."""
    done = system.batches_done(worker.owned())
    load(system, worker, events)
    wait_until(lambda: system.batches_done(worker.owned()) >= done + 3, "the worker goes on")
    pending = system.catch_in_flight(worker)
    assert system.lag(worker.owned()) > 0, "the worker had done everything before it was killed"
    worker.kill()
    return pending


def _kill_after_publish(
    system: System, broker: KafkaBroker, worker: WorkerProcess, events: Sequence[Event]
) -> dict[int, Batch]:
    """SIGKILL after the batch's messages are on their way to Kafka and before any is acknowledged."""
    done = system.batches_done(worker.owned())
    load(system, worker, events)
    wait_until(lambda: system.batches_done(worker.owned()) >= done + 3, "the worker goes on")
    with broker.held():
        pending = system.await_standstill(worker.owned())
        worker.kill()
    return pending


def _history(bank: str, folder: Path) -> tuple[list[Event], Path, str]:
    """The bank's messages, the folder of its rules and its tenant."""
    if bank == "made-up":
        return bank_history(customers=150), SHIPPED, "bank"
    data = bank_folder(bank)
    file = folder / f"{bank}.jsonl"
    code, text = run_command("import", MAPPINGS / f"{bank}.yaml", data, "--output", file, settings={})
    assert code == 0, text
    return events_of_file(file), RULES / bank, bank


def _check_it_was_worth_it(bank: str, verdict: Verdict) -> None:
    """That the comparison had something to compare: a system that does nothing equals an oracle that does nothing."""
    assert verdict.actions >= 500, verdict
    assert len(verdict.triggers) >= 5, verdict
    assert verdict.states >= 20, verdict
    if bank == "made-up":
        assert verdict.cancellations >= 20, verdict
        assert verdict.dead_letters >= 20, verdict
