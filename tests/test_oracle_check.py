"""What the comparison with the oracle finds, and what a failure shows: on a small run in memory that was spoilt."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
from collections import defaultdict
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from schemas.journal import JOURNAL, RecordBatch
from schemas.topics import DEAD_LETTERS, DECISIONS, JOURNAL_TOPIC
from streams.publisher import partition_of
from streams.settings import load_settings
from streams.worker import make_routes
from tests.faults.conftest import pytest_runtest_makereport
from tests.support.bank_history import bank_history
from tests.support.faults import INDEPENDENT, settle
from tests.support.kafka_broker import Consumed
from tests.support.oracle_check import Verdict, check_against_oracle, check_straight_pass
from tests.support.side_by_side import in_processes
from tests.support.system import Meta, System
from triggers.casework.oracle import replay
from triggers.language.loader import load_ruleset

TRANSACTIONS, PUSH = "bank.transactions", "outreach.push"
BATCH = 5


class AtRest(System):
    """What a system without a fault leaves behind: payments in two partitions, in batches, and what comes of them."""

    def __init__(self) -> None:
        self.partitions = 2
        self.settings = load_settings(environ={}, partitions=2, clock="record", tenant="bank")
        self.routes = make_routes(self.settings)
        loaded = load_ruleset([INDEPENDENT])
        assert loaded.ruleset is not None
        self.rulesets = {loaded.ruleset.hash: loaded.ruleset}
        self.topics: dict[str, list[Consumed]] = defaultdict(list)
        for event in bank_history(customers=20, days=40):
            if event.topic == TRANSACTIONS:
                self.add(TRANSACTIONS, partition_of(event.key or b"", 2), event.key, event.value)
        self.add(TRANSACTIONS, 1, b"c1", b"{")
        self.entries = [
            RecordBatch(
                tenant="bank",
                partition=partition,
                sequence=first // BATCH + 1,
                epoch=1,
                stage="customer",
                topic=TRANSACTIONS,
                first_offset=first,
                last_offset=min(first + BATCH, end) - 1,
                ruleset=loaded.ruleset.hash,
                clock="record",
                now_ms=0,
            )
            for partition, end in self.ends(TRANSACTIONS).items()
            for first in range(0, end, BATCH)
        ]
        self.made_by: dict[object, RecordBatch] = {}
        """By the value and headers of a message the batch it comes of."""
        for entry in self.entries:
            self.add(JOURNAL_TOPIC, entry.partition, b"%d" % entry.partition, JOURNAL.dump_json(entry))
        for count, entry in enumerate(self.entries, 1):
            done = replay(
                self.entries[:count],
                {route.stage.name: route.stage for route in map(self.routes.of_kafka, self.routes.kafka_topics)},
                "bank",
                lambda topic, partition, first, last: [
                    r for r in self.topics[topic] if r.partition == partition and first <= r.offset <= last
                ],
                self.rulesets.__getitem__,
            )
            for _, message in done.messages:
                self.made_by.setdefault((message.value, tuple(message.headers)), entry)
        for partition, message in done.messages:
            self.add(message.topic, partition, message.key, message.value, tuple(message.headers))
        self.kept = done.states
        self.metas = [
            Meta(
                sequence=max(entry.sequence for entry in self.entries if entry.partition == partition),
                positions={TRANSACTIONS: end},
            )
            for partition, end in self.ends(TRANSACTIONS).items()
        ]

    def add(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        """One more message, at the end of a partition."""
        self.topics[topic].append(Consumed(partition, self.ends(topic)[partition], key, value, headers))

    def read(self, topic: str) -> list[Consumed]:
        return self.topics[topic]

    def ends(self, topic: str) -> dict[int, int]:
        return {p: sum(record.partition == p for record in self.topics[topic]) for p in range(self.partitions)}

    def meta(self, partition: int) -> Meta:
        return self.metas[partition]

    def states(self) -> dict[tuple[str, int, str], bytes]:
        return self.kept

    def wait_until_drained(self, seconds: float = 0) -> None:
        """It is at rest."""


@pytest.fixture(scope="module")
def run() -> AtRest:
    return AtRest()


@pytest.fixture
def system(run: AtRest) -> AtRest:
    """One to spoil."""
    mine = copy(run)
    mine.topics = defaultdict(list, {topic: list(records) for topic, records in run.topics.items()})
    mine.kept, mine.metas = dict(run.kept), list(run.metas)
    return mine


def difference(of: Callable[[], object]) -> str:
    """The text of the failure that there must be."""
    with pytest.raises(AssertionError) as found:
        of()
    return str(found.value)


def test_a_run_without_a_fault_has_no_difference(system: AtRest) -> None:
    """And there was something to compare; a message sent twice and alike is counted, not refused."""
    system.topics[PUSH].append(system.topics[PUSH][3])
    verdict = settle(system)
    assert isinstance(verdict, Verdict)
    assert verdict.batches == len(system.entries) >= 20
    assert verdict.actions + verdict.cancellations == len(system.topics[PUSH]) - 1
    assert verdict.actions >= 20
    assert verdict.decisions >= 20
    assert verdict.dead_letters >= 1
    assert (verdict.states, verdict.repeated_messages, verdict.repeated_batches) == (len(system.kept), 1, 0)


@pytest.mark.parametrize("topic", [PUSH, DECISIONS, DEAD_LETTERS])
def test_a_message_that_is_missing_is_shown_with_the_journal_around_it(system: AtRest, topic: str) -> None:
    """Which one, how many are, and the batches before and after the one that it comes of, not all of them."""
    lost = next(record for record in system.topics[topic] if system.made_by[record.value, record.headers].sequence > 5)
    at, number = system.made_by[lost.value, lost.headers], lost.partition
    system.topics[topic].remove(lost)
    said = difference(lambda: check_against_oracle(system))
    assert f"{topic}/{number}: this message is missing (1 are):\n  key {lost.key!r}" in said
    assert repr(lost.value)[2:-1][:500] in said
    assert "another body" not in said
    around = said.partition("\nthe journal around it:\n")[2].splitlines()
    last = min(at.sequence + 4, system.metas[number].sequence)
    assert [re.findall(r"partition (\d) batch (\d+) epoch 1 customer", line) for line in around] == [
        [(str(number), str(sequence))] for sequence in range(at.sequence - 4, last + 1)
    ]
    assert f"{TRANSACTIONS} {at.first_offset}..{at.last_offset} rules {at.ruleset[:12]}" in around[4]


def test_a_message_with_another_body_is_shown_beside_the_right_one(system: AtRest) -> None:
    """The same id, and not what the engine makes."""
    right = system.topics[PUSH][5]
    body = json.loads(right.value or b"")
    system.topics[PUSH][5] = replace(right, value=json.dumps({**body, "priority": 99}).encode())
    said = difference(lambda: check_against_oracle(system))
    wanted, _, found = said.partition("with its id, but another body:")
    assert "this message is missing (1 are)" in wanted
    assert body["action_id"] in wanted
    assert '"priority": 99' in found
    assert "the journal around it:\n  partition" in found


def test_a_message_that_should_not_be_there_is_shown_with_the_end_of_the_journal(system: AtRest) -> None:
    """An action that no batch makes."""
    first = system.topics[PUSH][0]
    body = json.loads(first.value or b"")
    system.add(PUSH, 1, first.key, json.dumps({**body, "action_id": "made-up"}).encode())
    said = difference(lambda: check_against_oracle(system))
    assert f"{PUSH}/1: this message should not be there (1 such):" in said
    assert '"action_id": "made-up"' in said
    assert f"batch {system.metas[1].sequence} epoch 1" in said.partition("the end of the journal:\n")[2]


def test_messages_in_another_order_are_shown(system: AtRest) -> None:
    """Within a partition events take effect in order."""
    here = [index for index, record in enumerate(system.topics[PUSH]) if record.partition == 0]
    one, other = here[2], here[3]
    records = system.topics[PUSH]
    records[one], records[other] = records[other], records[one]
    said = difference(lambda: check_against_oracle(system))
    assert f"{PUSH}/0: the order differs at message 2:" in said
    assert said.index(repr(records[one].value)[2:200]) < said.index("expected:")
    assert said.index("expected:") < said.index(repr(records[other].value)[2:200])
    assert "the journal around it:\n  partition 0 batch " in said


@pytest.mark.parametrize("lost", [True, False])
def test_a_state_that_differs_is_shown_beside_the_right_one(system: AtRest, lost: bool) -> None:
    """Whose, what the store holds, what the oracle has, and the end of that partition's journal."""
    stage, partition, key = where = sorted(system.kept)[3]
    right = system.kept.pop(where)
    if not lost:
        system.kept[where] = right[:-1]
    said = difference(lambda: check_against_oracle(system))
    assert f"the state of {key} (stage {stage}, partition {partition}) differs" in said
    assert f"store:  {None if lost else right[:-1]!r}\noracle: {right!r}\n" in said
    assert f"partition {partition} batch {system.metas[partition].sequence} " in said


def _other_bytes(system: AtRest) -> str:
    again = system.entries[0].model_copy(update={"now_ms": 7})
    system.add(JOURNAL_TOPIC, 0, b"0", JOURNAL.dump_json(again))
    return "partition 0: batch 1 stands in the journal with other bytes\nfirst: b'{"


def _lost_batch(system: AtRest) -> str:
    del system.topics[JOURNAL_TOPIC][3]
    return "partition 0: sequence 4 is missing\nthe journal:\n  partition 0 batch 1 epoch 1"


def _lost_last_batch(system: AtRest) -> str:
    system.topics[JOURNAL_TOPIC].pop()
    last = system.entries[-1]
    return (
        f"{TRANSACTIONS}/1: the journal covers offsets below {last.first_offset}, there are {last.last_offset + 1}\n"
        "  partition 1 batch 1"
    )


def _lost_position(system: AtRest) -> str:
    end = system.metas[1].positions[TRANSACTIONS]
    system.metas[1] = replace(system.metas[1], positions={TRANSACTIONS: end - 1})
    return f"{TRANSACTIONS}/1: the stored position is {end - 1}, not {end}"


def _lost_commit(system: AtRest) -> str:
    last = system.metas[0].sequence
    system.metas[0] = replace(system.metas[0], sequence=last - 1)
    return f"partition 0: batch {last - 1} is committed, {last} is journalled"


@pytest.mark.parametrize("spoil", [_other_bytes, _lost_batch, _lost_last_batch, _lost_position, _lost_commit])
def test_a_journal_that_does_not_fit_is_shown(system: AtRest, spoil: Callable[[AtRest], str]) -> None:
    """Its ranges touch, a number is one batch, and the store stands where it ends."""
    assert spoil(system) in difference(lambda: check_against_oracle(system))


@pytest.mark.parametrize("processes", [2, 3])
def test_partitions_that_are_run_side_by_side_yield_the_same(system: AtRest, processes: int) -> None:
    """The same verdict, in the same order; what does not fit in either is shown as ever."""
    assert check_against_oracle(system, processes=processes) == check_against_oracle(system)
    for spoil in (_lost_batch, _lost_last_batch):
        mine = copy(system)
        mine.topics = defaultdict(list, {topic: list(records) for topic, records in system.topics.items()})
        assert spoil(mine) in difference(lambda at=mine: check_against_oracle(at, processes=processes))


def test_a_process_that_is_lost_is_an_error() -> None:
    """With the code that it ended with; nothing is left of the others."""
    with pytest.raises(AssertionError, match="a process ended with 7 before its work did"):
        in_processes([lambda: os._exit(7), signal.pause, lambda: 2])
    assert multiprocessing.active_children() == []
    assert in_processes([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]
    assert in_processes([]) == []


def test_the_straight_pass_finds_what_is_missing_and_what_is_too_much(system: AtRest) -> None:
    """Whatever the journal says; and a failure of both shows both."""
    lost = system.topics[PUSH].pop(5)
    body = json.loads(lost.value or b"")
    said = difference(lambda: settle(system))
    assert "this message is missing (1 are)" in said
    assert f"1 ids are missing, the first: {body}" in said
    system.topics[PUSH].insert(5, lost)
    system.add(PUSH, 0, lost.key, json.dumps({**body, "action_id": "made-up"}).encode())
    assert "1 ids should not be there, the first: {" in difference(lambda: check_straight_pass(system))


def _reported(nodeid: str, parameters: dict[str, object] | None, *, failed: bool) -> list[tuple[str, str]]:
    item = SimpleNamespace(nodeid=nodeid)
    if parameters is not None:
        item.callspec = SimpleNamespace(params=parameters)
    sections: list[tuple[str, str]] = []
    report = SimpleNamespace(failed=failed, sections=sections)
    hook = pytest_runtest_makereport(cast(Any, item))
    next(hook)
    with pytest.raises(StopIteration) as end:
        hook.send(cast(Any, report))
    assert end.value.value is report
    return sections


def test_a_failure_says_how_to_repeat_it() -> None:
    """The test as pytest takes it, with the seed where it has one; nothing beside a test that passed."""
    test = "tests/faults/test_f01_kill.py::test_x"
    assert _reported(f"{test}[seed-7]@test_x-0", {"seed": 7}, failed=True) == [
        ("to repeat", f"python -m pytest '{test}[seed-7]' --fault-seed 7")
    ]
    assert _reported(test, None, failed=True) == [("to repeat", f"python -m pytest '{test}'")]
    assert _reported(f"{test}[seed-7]", {"seed": 7}, failed=False) == []
