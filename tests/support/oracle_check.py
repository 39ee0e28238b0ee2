"""Compares what a system published and keeps with the oracle: the pure engine run in the journal's order."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from schemas.journal import JOURNAL, RecordBatch, TimerBatch
from schemas.topics import (
    BEHAVIOUR,
    CONSUMED,
    DEAD_LETTERS,
    DESK_REPORTS,
    IDENTITY_DECISIONS,
    JOURNAL_TOPIC,
    placed_by_key,
)
from streams.demo.tap import BETWEEN
from streams.publisher import partition_of
from streams.worker import make_routes
from tests.support.kafka_broker import Consumed
from tests.support.side_by_side import in_processes
from tests.support.system import OUTBOUND, QUEUES, System
from triggers.casework.oracle import JournalBroken, Replay, replay
from triggers.engine.batch import ORIGIN_HEADER, Message, decode_batch, run_records

_AROUND = 4
Entry = RecordBatch | TimerBatch
Sent = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
"""Key, value and headers of a message."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was compared, for a test to see that there was something to compare."""

    actions: int
    cancellations: int
    decisions: int
    dead_letters: int
    states: int
    batches: int
    """Distinct ones."""
    repeated_batches: int
    """Journal entries beyond the first of their sequence number."""
    repeated_messages: int
    triggers: Counter[str]
    """Actions by trigger."""
    sent_on: int
    """Behaviour of ids, sent on to their customers."""


def check_against_oracle(system: System, *, processes: int = 1) -> Verdict:
    """The system must be at rest. Raises ``AssertionError`` with the first difference and the journal around it.

    Of long journals the oracle may run the partitions in several ``processes``: none knows of another.
    """
    entries = _journal(system)
    kafka = {topic.name: _by_partition(system.read(topic.name)) for topic in CONSUMED}
    oracle = _replay_side_by_side(system, entries, kafka, processes)
    _check_coverage(system, entries, oracle, kafka)
    repeats = 0
    for topic in (*OUTBOUND, *BETWEEN, BEHAVIOUR, IDENTITY_DECISIONS, DESK_REPORTS, DEAD_LETTERS):
        expected, found = _expected(oracle, topic, system.partitions), _by_partition(_ours(system, topic))
        for partition in sorted(expected.keys() | found.keys()):
            sent = [_sent(record) for record in found.get(partition, ())]
            repeats += _check_messages(
                system, entries, kafka, oracle, topic, partition, expected.get(partition, []), sent
            )
    _check_states(system, entries, oracle)
    actions = [json.loads(m.value or b"") for _, m in oracle.messages if m.topic in OUTBOUND]
    kinds = Counter(body.get("type", "decision") for body in actions)
    ids = [body["action_id"] for body in actions if body.get("type") == "action"]
    assert len(ids) == len(set(ids)), f"the oracle itself repeats an action: {Counter(ids).most_common(1)}"
    return Verdict(
        actions=kinds["action"],
        cancellations=kinds["cancellation"],
        decisions=kinds["decision"],
        dead_letters=sum(m.topic == DEAD_LETTERS for _, m in oracle.messages),
        states=len(oracle.states),
        batches=len({(e.partition, e.sequence) for e in entries}),
        repeated_batches=len(entries) - len({(e.partition, e.sequence) for e in entries}),
        repeated_messages=repeats,
        sent_on=sum(m.topic == BEHAVIOUR for _, m in oracle.messages),
        triggers=Counter(body["trigger"] for body in actions if body.get("type") == "action"),
    )


def _ours(system: System, topic: str) -> list[Consumed]:
    """What the system sent to a topic. Of behaviour that others publish it sends some anew, with its origin."""
    return [record for record in system.read(topic) if topic != BEHAVIOUR or ORIGIN_HEADER in dict(record.headers)]


def _journal(system: System) -> list[Entry]:
    """The entries as published; a sequence number that stands twice must be the same bytes."""
    first: dict[tuple[int, int], bytes] = {}
    entries = []
    for record in system.read(JOURNAL_TOPIC):
        entry = JOURNAL.validate_json(record.value or b"")
        assert entry.partition == record.partition, f"{entry} is in the journal's partition {record.partition}"
        known = first.setdefault((entry.partition, entry.sequence), record.value or b"")
        assert known == record.value, (
            f"partition {entry.partition}: batch {entry.sequence} stands in the journal with other bytes\n"
            f"first: {known!r}\nthen:  {record.value!r}"
        )
        entries.append(entry)
    return entries


def _replay_side_by_side(
    system: System,
    entries: Sequence[Entry],
    kafka: Mapping[str, Mapping[int, Sequence[Consumed]]],
    processes: int,
) -> Replay:
    """As ``_replay``, whose batches are in the order of their partitions."""
    partitions = sorted({entry.partition for entry in entries})
    size = -(-len(partitions) // processes) or 1
    shares = [set(partitions[start : start + size]) for start in range(0, len(partitions), size)]
    parts = in_processes(
        [partial(_replay, system, [e for e in entries if e.partition in share], kafka) for share in shares]
    )
    whole = Replay()
    for part in parts:
        whole.messages += part.messages
        whole.states |= part.states
        whole.positions |= part.positions
    return whole


def _replay(system: System, entries: Sequence[Entry], kafka: Mapping[str, Mapping[int, Sequence[Consumed]]]) -> Replay:
    def read(topic: str, partition: int, first: int, last: int) -> list[Consumed]:
        records = kafka[topic].get(partition, ())
        begin = bisect_left(records, first, key=_offset)
        return list(records[begin : bisect_right(records, last, begin, key=_offset)])

    routes = make_routes(system.settings)  # with stages of their own
    stages = {route.stage.name: route.stage for route in map(routes.of_kafka, routes.kafka_topics)}
    try:
        return replay(entries, stages, system.settings.tenant, read, lambda name: system.rulesets[name])
    except JournalBroken as error:
        raise AssertionError(f"{error}\nthe journal:\n{show_journal(entries)}") from error


def _check_coverage(
    system: System,
    entries: Sequence[Entry],
    oracle: Replay,
    kafka: Mapping[str, Mapping[int, Sequence[Consumed]]],
) -> None:
    for topic in CONSUMED:
        for partition, end in system.ends(topic.name).items():
            where = f"{topic.name}/{partition}"
            records = [
                e for e in entries if isinstance(e, RecordBatch) and (e.topic, e.partition) == (topic.name, partition)
            ]
            covered = oracle.positions.get((topic.name, partition), 0)
            assert covered == end, (
                f"{where}: the journal covers offsets below {covered}, there are {end}\n{show_journal(records)}"
            )
            begins = min((entry.first_offset for entry in records), default=0)
            assert begins == 0, f"{where}: the journal begins at offset {begins}"
            stored = system.meta(partition).positions.get(topic.name, 0)
            assert stored == end, f"{where}: the stored position is {stored}, not {end}"
    for partition in range(system.partitions):
        journalled = max((e.sequence for e in entries if e.partition == partition), default=0)
        stored = system.meta(partition).sequence
        assert stored == journalled, f"partition {partition}: batch {stored} is committed, {journalled} is journalled"


def _check_messages(
    system: System,
    entries: Sequence[Entry],
    kafka: Mapping[str, Mapping[int, Sequence[Consumed]]],
    oracle: Replay,
    topic: str,
    partition: int,
    expected: Sequence[Sent],
    found: Sequence[Sent],
) -> int:
    """Each expected message is there, nothing else, and first occurrences are in order. Returns the repeats."""
    where = f"{topic}/{partition}"
    first_seen = list(dict.fromkeys(found))
    wanted, there = dict.fromkeys(expected), set(found)
    for message in wanted:
        if message not in there:
            same_id = [other for other in first_seen if _id(other) == _id(message)]
            with_other_body = f"\nwith its id, but another body: {_text(same_id[0])}" if same_id else ""
            around = show_journal(_around(system, entries, kafka, topic, partition, message))
            raise AssertionError(
                f"{where}: this message is missing ({len(wanted.keys() - there)} are):\n{_text(message)}"
                f"{with_other_body}\nthe journal around it:\n{around}"
            )
    for message in first_seen:
        if message not in wanted:
            tail = [entry for entry in entries if entry.partition == partition][-2 * _AROUND :]
            raise AssertionError(
                f"{where}: this message should not be there ({len(there - wanted.keys())} such):\n{_text(message)}\n"
                f"the end of the journal:\n{show_journal(tail)}"
            )
    # What several partitions send to one has no order between them: also what the desks send beside customers.
    mixed = placed_by_key(topic) or any(m.by_key for _, m in oracle.messages if m.topic == topic)
    ordered = () if mixed else zip(first_seen, wanted, strict=True)
    for index, (message, right) in enumerate(ordered):
        if message != right:
            around = show_journal(_around(system, entries, kafka, topic, partition, right))
            raise AssertionError(
                f"{where}: the order differs at message {index}:\n{_text(message)}\nexpected:\n{_text(right)}\n"
                f"the journal around it:\n{around}"
            )
    return len(found) - len(first_seen)


def _check_states(system: System, entries: Sequence[Entry], oracle: Replay) -> None:
    stored = system.states()
    for where in sorted(stored.keys() | oracle.states.keys()):
        if stored.get(where) != oracle.states.get(where):
            stage, partition, key = where
            tail = [entry for entry in entries if entry.partition == partition][-_AROUND:]
            raise AssertionError(
                f"the state of {key} (stage {stage}, partition {partition}) differs\n"
                f"store:  {stored.get(where)!r}\noracle: {oracle.states.get(where)!r}\n"
                f"the end of the journal:\n{show_journal(tail)}"
            )


def _expected(oracle: Replay, topic: str, partitions: int) -> dict[int, list[Sent]]:
    expected: dict[int, list[Sent]] = defaultdict(list)
    for partition, message in oracle.messages:
        if message.topic == topic:
            reached = partition_of(message.key or b"", partitions) if message.placed else partition
            expected[reached].append(_sent(message))
    return expected


def _sent(message: Message | Consumed) -> Sent:
    return message.key, message.value, tuple((name, value) for name, value in message.headers)


def _offset(record: Consumed) -> int:
    return record.offset


def _by_partition(records: Sequence[Consumed]) -> dict[int, list[Consumed]]:
    found: dict[int, list[Consumed]] = defaultdict(list)
    for record in records:
        found[record.partition].append(record)
    return found


def _id(message: Sent) -> object:
    if message[2]:
        return message[2]
    body = json.loads(message[1] or b"{}")
    return body.get("type"), body.get("decision_id") or body.get("action_id")


def _text(message: Sent) -> str:
    headers = "".join(f" {name} {value.decode()}" for name, value in message[2])
    return f"  key {message[0]!r}{headers} value {(message[1] or b'')[:600]!r}"


def _around(
    system: System,
    entries: Sequence[Entry],
    kafka: Mapping[str, Mapping[int, Sequence[Consumed]]],
    topic: str,
    partition: int,
    message: Sent,
) -> list[Entry]:
    """The batches around the one that yields a message: the shortest beginning of the journal that has it."""
    mine = sorted({e.sequence: e for e in entries if e.partition == partition}.items())
    batches = [entry for _, entry in mine]

    def has_it(count: int) -> bool:
        return message in _expected(_replay(system, batches[:count], kafka), topic, system.partitions).get(
            partition, []
        )

    low, high = 1, len(batches)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if has_it(middle) else (middle + 1, high)
    sequences = {entry.sequence for entry in batches[max(0, low - 1 - _AROUND) : low + _AROUND]}
    # With the repeats, and marked.
    return [entry for entry in entries if entry.partition == partition and entry.sequence in sequences]


def show_journal(entries: Sequence[Entry]) -> str:
    """One line for each of the first entries."""
    lines = []
    for entry in entries[:400]:
        what = (
            f"{entry.topic} {entry.first_offset}..{entry.last_offset}"
            if isinstance(entry, RecordBatch)
            else f"timers until {entry.until_ms}"
        )
        lines.append(
            f"  partition {entry.partition} batch {entry.sequence} epoch {entry.epoch} {entry.stage} {what} "
            f"rules {entry.ruleset[:12]}"
        )
    return "\n".join(lines) or "  (nothing)"


def _first_copies(records: Sequence[Consumed]) -> list[Consumed]:
    first: dict[tuple[bytes | None, bytes | None], Consumed] = {}
    for record in records:
        first.setdefault((record.key, record.value), record)
    return list(first.values())


def expect_same_ids(found: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    """The same ids on both sides; the first ones that are not are shown."""
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    assert not missing, f"{len(missing)} ids are missing, the first: {wanted[missing[0]]}"
    assert not extra, f"{len(extra)} ids should not be there, the first: {found[extra[0]]}"


def check_straight_pass(
    system: System, forgotten_at: Mapping[tuple[str, int], int] | None = None, *, once: bool = False
) -> int:
    """That the actions are those of one straight pass over the input, topic after topic, whatever the journal says.

    For triggers that do not interact (no caps, each fed by one topic, no timers), run under one rule set. Withdrawals
    are left out: whether an action has expired when its cause is reversed depends on how far other topics have come.
    ``forgotten_at``: offsets by (topic, partition) from which on every customer is new. ``once``: as if of each message
    only the first copy had been published. Returns how many actions.
    """
    (ruleset,) = system.rulesets.values()
    routes = make_routes(system.settings)
    wanted: dict[str, object] = {}
    for topic in CONSUMED:
        stage = routes.of_topic(topic.name).stage
        for partition, records in _by_partition(system.read(topic.name)).items():
            records = _first_copies(records) if once else records
            cut = (forgotten_at or {}).get((topic.name, partition), 0)
            for part in ([r for r in records if r.offset < cut], [r for r in records if r.offset >= cut]):
                if not part:
                    continue
                decoded = decode_batch(stage, topic, system.settings.tenant, part)
                entry = RecordBatch(
                    tenant=system.settings.tenant,
                    partition=partition,
                    sequence=1,
                    epoch=1,
                    stage=stage.name,
                    topic=topic.name,
                    first_offset=part[0].offset,
                    last_offset=part[-1].offset,
                    ruleset=ruleset.hash,
                    clock="record",
                    now_ms=0,
                )
                states = {key: stage.fresh(key) for key in decoded.keys}
                for message in run_records(stage, entry, topic, decoded, states, ruleset).messages:
                    if message.topic in QUEUES:
                        body = json.loads(message.value or b"")
                        if body["type"] == "action":
                            wanted[body["action_id"]] = body
    expect_same_ids({body["action_id"]: body for body in system.actions()}, wanted)
    return len(wanted)
