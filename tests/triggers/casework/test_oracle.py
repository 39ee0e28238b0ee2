"""The oracle runs a journal's batches again, and refuses a journal that cannot be true."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from schemas.journal import RecordBatch, TimerBatch
from schemas.topics import DECISIONS
from tests.support.bank import START, at
from tests.support.rules import DAY, ruleset, trigger
from triggers.casework.oracle import JournalBroken, Replay, replay
from triggers.engine.customer import CustomerStage
from triggers.language.model import OnSilence


class Raw(NamedTuple):
    """A message as a client delivers it."""

    offset: int
    key: bytes | None
    value: bytes | None


def raw(offset: int) -> Raw:
    """The transaction at an offset."""
    body = {
        "tenant": "bank",
        "event_id": f"t{offset}",
        "occurred_at": at(offset).isoformat(),
        "customer_id": "c1",
        "account_id": "a1",
        "sequence": offset,
        "direction": "credit",
        "amount": "10",
        "currency": "CNY",
        "balance_after": str(10 * offset),
    }
    return Raw(offset, b"c1", json.dumps(body).encode())


LOG = [raw(offset) for offset in range(10)]
RULES = ruleset(trigger("any"), trigger("quiet", on=(OnSilence("transaction", None, 30 * DAY),)))


def records(sequence: int, first: int, last: int, **more: Any) -> RecordBatch:
    """A journal entry of a batch of records."""
    fields = {
        "tenant": "bank",
        "partition": 0,
        "sequence": sequence,
        "epoch": 1,
        "stage": "customer",
        "topic": "bank.transactions",
        "first_offset": first,
        "last_offset": last,
        "ruleset": RULES.hash,
        "clock": "record",
        "now_ms": 0,
    }
    return RecordBatch.model_validate({**fields, **more})


def timers(sequence: int, days: float) -> TimerBatch:
    """A journal entry of a sweep."""
    return TimerBatch(
        tenant="bank",
        partition=0,
        sequence=sequence,
        epoch=1,
        stage="customer",
        until_ms=int(at(days).timestamp() * 1000),
        limit=100,
        ruleset=RULES.hash,
        clock="record",
        now_ms=0,
    )


def run(*journal: RecordBatch | TimerBatch) -> Replay:
    """Replays a journal over the log above."""

    def read(_topic: str, _partition: int, first: int, last: int) -> Sequence[Raw]:
        return LOG[first : last + 1]

    return replay(journal, {"customer": CustomerStage("bank")}, "bank", read, lambda _: RULES)


def unindexed(result: Replay) -> bytes:
    """The customer's state without what the timer index holds of it."""
    stage = CustomerStage("bank")
    state = stage.decode("c1", result.states["customer", 0, "c1"])
    state.indexed_due = None
    return stage.encode(state)


def test_the_batches_do_not_change_what_comes_of_the_records() -> None:
    """One batch or many: the same messages and the same customer; only the timer index may lag differently."""
    one = run(records(1, 0, 9))
    many = run(records(1, 0, 2), records(2, 3, 3), records(3, 4, 9))
    assert one.messages == many.messages
    assert len([message for _, message in one.messages if message.topic != DECISIONS]) == 10
    assert unindexed(one) == unindexed(many)
    assert one.positions == {("bank.transactions", 0): 10}


def test_a_batch_that_stands_twice_counts_once() -> None:
    """A crash between publish and commit leaves the same entry again, of a later epoch."""
    assert run(records(1, 0, 4), records(1, 0, 4, epoch=2), records(2, 5, 9)).messages == run(records(1, 0, 9)).messages


def test_timers_run_where_the_journal_says() -> None:
    """The sweep fires the silence that the records armed, and only once."""
    swept = run(records(1, 0, 9), timers(2, 60), timers(3, 90))
    fired = [message for _, message in swept.messages if message.topic != DECISIONS][10:]
    assert len(fired) == 1
    assert json.loads(fired[0].value or b"")["trigger"] == "quiet"


@pytest.mark.parametrize(
    ("journal", "why"),
    [
        ([records(1, 0, 4), records(2, 6, 9)], "begins at 6, not 5"),
        ([records(1, 0, 4), records(2, 4, 9)], "begins at 4, not 5"),
        ([records(1, 0, 4), records(3, 5, 9)], "sequence 2 is missing"),
        ([records(1, 0, 4), records(1, 0, 5)], "names two batches"),
    ],
    ids=["gap", "overlap", "missing", "ambiguous"],
)
def test_a_journal_that_cannot_be_true_is_refused(journal: list[RecordBatch], why: str) -> None:
    """Its ranges must touch and its numbers must run."""
    with pytest.raises(JournalBroken, match=why):
        run(*journal)


def test_the_start_is_a_fixed_day() -> None:
    """The tests' calendar does not move with the machine's."""
    assert START.isoformat() == "2026-03-02T02:00:00+00:00"
