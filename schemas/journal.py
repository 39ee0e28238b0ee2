"""The journal: which batches were run, in which order. With it every past decision can be run again."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, TypeAdapter

from schemas.base import Count, Identifier, Milliseconds, Record, Sequence, TopicName


class RecordBatch(Record):
    """A batch of records: the offsets ``first_offset`` to ``last_offset`` of one partition, both included."""

    record_type: ClassVar[str] = "journal"

    kind: Literal["records"] = "records"
    partition: Count
    sequence: Sequence
    epoch: Sequence
    stage: Identifier
    topic: TopicName
    first_offset: Sequence
    last_offset: Sequence
    ruleset: Identifier
    clock: Literal["wall", "record"]
    now_ms: Milliseconds


class TimerBatch(Record):
    """A batch of due timers: those of the first ``limit`` customers due by ``until_ms``."""

    record_type: ClassVar[str] = "journal"

    kind: Literal["timers"] = "timers"
    partition: Count
    sequence: Sequence
    epoch: Sequence
    stage: Identifier
    until_ms: Milliseconds
    limit: Count
    ruleset: Identifier
    clock: Literal["wall", "record"]
    now_ms: Milliseconds


JournalEntry = Annotated[RecordBatch | TimerBatch, Field(discriminator="kind")]
JOURNAL: TypeAdapter[RecordBatch | TimerBatch] = TypeAdapter(JournalEntry)
"""Reads a journal entry. It doubles as a batch's *intent* in the store. All times are milliseconds from the epoch."""
