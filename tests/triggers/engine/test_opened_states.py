"""States that a batch reads from their bytes and lets go of: the same comes of it as of states kept as objects."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from schemas.journal import RecordBatch, TimerBatch
from schemas.topics import TOPIC
from tests.benchmarks.engine import Raw
from tests.benchmarks.rule_sets import rule_set
from tests.benchmarks.work import RULES, holdings, profiles, transactions
from triggers.engine.batch import Message, Opened, decode_batch, run_records, run_timers
from triggers.engine.customer import CustomerStage
from triggers.engine.stage import UnreadableState
from triggers.engine.state import CustomerState

CUSTOMERS = 12
EVENTS = 900
LATE = 4_000_000_000_000


class Counting(CustomerStage):
    """Counts what it reads."""

    def __init__(self) -> None:
        super().__init__("bank")
        self.read: Counter[str] = Counter()

    def decode(self, key: str, data: bytes) -> CustomerState:
        self.read[key] += 1
        return super().decode(key, data)


def _batches(size: int) -> list[tuple[str, list[Raw]]]:
    made = []
    for source in (profiles(CUSTOMERS), holdings(CUSTOMERS), transactions(EVENTS, CUSTOMERS)):
        events = list(source)
        for begin in range(0, len(events), size):
            part = events[begin : begin + size]
            made.append((part[0].topic, [Raw(at, event.key, event.value) for at, event in enumerate(part, begin)]))
    return made


def _entry(topic: str, raws: list[Raw]) -> RecordBatch:
    return RecordBatch(
        tenant="bank",
        partition=0,
        sequence=1,
        epoch=1,
        stage="customer",
        topic=topic,
        first_offset=raws[0].offset,
        last_offset=raws[-1].offset,
        ruleset="0" * 16,
        clock="record",
        now_ms=0,
    )


def _sweep() -> TimerBatch:
    return TimerBatch(
        tenant="bank",
        partition=0,
        sequence=1,
        epoch=1,
        stage="customer",
        ruleset="0" * 16,
        clock="record",
        now_ms=0,
        until_ms=LATE,
        limit=CUSTOMERS,
    )


@pytest.mark.parametrize("size", [1, 7, 250])
def test_states_read_anew_for_each_batch_come_to_the_same_bytes_and_messages(size: int) -> None:
    """However often a state goes through its bytes: the same messages, due times and states, to the byte."""
    ruleset = rule_set(RULES, 10, "full")
    kept_stage, stage = CustomerStage("bank"), Counting()
    kept: dict[str, CustomerState] = {}
    stored: dict[str, bytes | None] = {}
    due: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    messages: tuple[list[Message], list[Message]] = ([], [])
    for topic, raws in _batches(size):
        decoded = decode_batch(stage, TOPIC[topic], "bank", raws)
        for key in decoded.keys:
            kept.setdefault(key, kept_stage.fresh(key))
            stored.setdefault(key, None)
        stage.read.clear()
        opened = Opened(stage, stored)
        entry = _entry(topic, raws)
        results = (
            run_records(kept_stage, entry, TOPIC[topic], decoded, kept, ruleset),
            run_records(stage, entry, TOPIC[topic], decoded, opened, ruleset),
        )
        assert not opened, "a state is let go of behind its last record"
        assert all(count == 1 for count in stage.read.values()), "a state is read once for a batch"
        assert results[0].states == results[1].states
        for index, result in enumerate(results):
            messages[index].extend(result.messages)
            due[index].update(result.due)
        stored.update(results[1].states)
    keys = sorted(stored)
    opened = Opened(stage, stored)
    swept = (
        run_timers(kept_stage, _sweep(), keys, kept, ruleset),
        run_timers(stage, _sweep(), keys, opened, ruleset),
    )
    assert not opened
    assert swept[0].states == swept[1].states
    assert swept[0].messages == swept[1].messages
    assert swept[0].due == swept[1].due
    assert messages[0] == messages[1]
    assert due[0] == due[1]
    assert len(messages[0]) > 100
    assert swept[0].messages


def test_a_batch_makes_what_its_records_make_one_by_one_in_their_order() -> None:
    """Customers are worked one after another; messages, dead letters among them, still stand in the records' order."""
    ruleset = rule_set(RULES, 10, "full")
    told = []
    for size in (1, EVENTS * 2):
        stage = CustomerStage("bank")
        states: dict[str, CustomerState] = {}
        messages: list[Message] = []
        acted, counts, tallies = [], Counter[str](), Counter[tuple[str, ...]]()
        for topic, raws in _batches(EVENTS):
            mixed = [Raw(raw.offset, raw.key, b"{" if raw.offset % 10 == 3 else raw.value) for raw in raws]
            for begin in range(0, len(mixed), size):
                part = mixed[begin : begin + size]
                decoded = decode_batch(stage, TOPIC[topic], "bank", part)
                for key in decoded.keys:
                    states.setdefault(key, stage.fresh(key))
                result = run_records(stage, _entry(topic, part), TOPIC[topic], decoded, states, ruleset)
                messages += result.messages
                acted += [(topic, part[index].offset) for index in result.acted]
                counts += result.counts
                tallies += result.tallies
        told.append((messages, acted, counts, tallies))
    assert told[0] == told[1]
    messages, acted, counts, _ = told[0]
    assert counts["dead_letters"] > EVENTS // 11
    assert len(acted) > 10
    assert len(messages) > counts["dead_letters"] + 100


def test_damaged_bytes_are_refused_where_they_are_read() -> None:
    """What cannot be read is no new customer."""
    stage = CustomerStage("bank")
    opened = Opened(stage, {"C1": b"\x00damaged", "C2": None})
    with pytest.raises(UnreadableState):
        opened["C1"]
    assert stage.encode(opened["C2"]) == stage.encode(stage.fresh("C2"))
    with pytest.raises(KeyError):
        opened["C3"]
