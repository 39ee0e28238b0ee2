"""The oracle: the pure engine run again, single-threaded and in memory, over the batches of the journal.

What the real system published and what it keeps must equal what this yields: the same messages, the same states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.journal import RecordBatch, TimerBatch
from schemas.topics import TOPIC
from triggers.engine.batch import BatchResult, Message, RawRecord, decode_batch, run_records, run_timers
from triggers.engine.stage import Stage
from triggers.language.model import RuleSet

ReadRange = Callable[[str, int, int, int], Sequence[RawRecord]]
"""Takes a topic (the registry's name), a partition and the first and last offset; returns the records there are."""


class JournalBroken(Exception):
    """The journal's ranges overlap, leave a gap, or repeat a sequence number with another batch."""


@dataclass(slots=True)
class Replay:
    """What the journal's batches yield. ``states`` maps (stage, partition, key) to the state's bytes."""

    messages: list[tuple[int, Message]] = field(default_factory=list)
    """Each with its partition, in the journal's order."""
    states: dict[tuple[str, int, str], bytes] = field(default_factory=dict)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)


def replay(
    journal: Iterable[RecordBatch | TimerBatch],
    stages: Mapping[str, Stage[Any]],
    tenant: str,
    read: ReadRange,
    ruleset_of: Callable[[str], RuleSet],
) -> Replay:
    """Runs the batches of a journal in the order of each partition's sequence.

    A sequence number that stands twice (a batch that was run again after a crash) counts once.

    Raises:
        JournalBroken: the ranges of a topic's partition do not touch, or a sequence number is missing or ambiguous.
    """
    result = Replay()
    states: dict[tuple[str, int], dict[str, Any]] = {}
    index: dict[tuple[str, int], dict[str, int]] = {}
    for entry in _in_order(journal):
        stage = stages[entry.stage]
        held = states.setdefault((entry.stage, entry.partition), {})
        due = index.setdefault((entry.stage, entry.partition), {})
        ruleset = ruleset_of(entry.ruleset)
        if isinstance(entry, RecordBatch):
            outcome = _records(entry, stage, held, tenant, read, ruleset, result)
        else:
            keys = sorted((at, key) for key, at in due.items() if at <= entry.until_ms)[: entry.limit]
            outcome = run_timers(stage, entry, [key for _, key in keys], held, ruleset)
        for key, at in outcome.due.items():
            if at is None:
                due.pop(key, None)
            else:
                due[key] = at
        result.messages.extend((entry.partition, message) for message in outcome.messages)
    for (name, partition), held in states.items():
        for key, state in held.items():
            result.states[name, partition, key] = stages[name].encode(state)
    return result


def _records(
    entry: RecordBatch,
    stage: Stage[Any],
    held: dict[str, Any],
    tenant: str,
    read: ReadRange,
    ruleset: RuleSet,
    result: Replay,
) -> BatchResult:
    where = (entry.topic, entry.partition)
    expected = result.positions.get(where, entry.first_offset)
    if entry.first_offset != expected:
        raise JournalBroken(
            f"{entry.topic}/{entry.partition}: batch {entry.sequence} begins at {entry.first_offset}, not {expected}"
        )
    result.positions[where] = entry.last_offset + 1
    topic = TOPIC[entry.topic]
    records = read(entry.topic, entry.partition, entry.first_offset, entry.last_offset)
    decoded = decode_batch(stage, topic, tenant, records)
    for key in decoded.keys:
        if key not in held:
            held[key] = stage.fresh(key)
    return run_records(stage, entry, topic, decoded, held, ruleset)


def _in_order(journal: Iterable[RecordBatch | TimerBatch]) -> list[RecordBatch | TimerBatch]:
    batches: dict[tuple[int, int], RecordBatch | TimerBatch] = {}
    for entry in journal:
        known = batches.setdefault((entry.partition, entry.sequence), entry)
        if known.model_copy(update={"epoch": 0}) != entry.model_copy(update={"epoch": 0}):
            raise JournalBroken(f"partition {entry.partition}: sequence {entry.sequence} names two batches")
    for partition, sequence in batches:
        if sequence > 1 and (partition, sequence - 1) not in batches:
            raise JournalBroken(f"partition {partition}: sequence {sequence - 1} is missing")
    return [batches[key] for key in sorted(batches)]
