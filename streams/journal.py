"""The journal read back: how far it reaches, and its batches in order, each once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import ValidationError

from schemas.journal import JOURNAL, RecordBatch, TimerBatch
from schemas.topics import JOURNAL_TOPIC
from streams.refusals import JournalUnreadable
from streams.replay import KafkaLog

_CHUNK: Final = 10_000
_TAIL: Final = 16
"""Offsets looked at for the newest batch: what a fenced worker wrote late may stand behind it."""
_REMEMBERED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Journalled:
    """A batch as the journal has it. ``data`` are its bytes, the intent it was announced with."""

    entry: RecordBatch | TimerBatch
    data: bytes


class Journal(Protocol):
    """What a processor asks of the journal."""

    async def newest(self, partitions: Collection[int]) -> Mapping[int, int]:
        """The last sequence number of each partition; 0 where the journal has none."""

    def after(self, partition: int, sequence: int) -> AsyncIterator[Journalled]:
        """The batches beyond a sequence number, as they stand: repeats too, and whatever is missing is missing."""


class KafkaJournal:
    """The journal on Kafka. ``topic`` is Kafka's name."""

    def __init__(self, log: KafkaLog, topic_prefix: str = "") -> None:
        self._log = log
        self._topic = topic_prefix + JOURNAL_TOPIC

    async def newest(self, partitions: Collection[int]) -> Mapping[int, int]:
        tails = await self._log.tails(self._topic, frozenset(partitions), _TAIL)
        return {
            number: max((self._read(number, raw.offset, raw.value).entry.sequence for raw in tail), default=0)
            for number, tail in tails.items()
        }

    async def after(self, partition: int, sequence: int) -> AsyncIterator[Journalled]:
        start, end = (await self._log.spans({(self._topic, partition)}))[self._topic, partition]
        offset = start if sequence == 0 else await self._offset_of(partition, sequence + 1, start, end)
        while offset < end:
            last = min(offset + _CHUNK, end) - 1
            for raw in await self._log.read(self._topic, partition, offset, last):
                journalled = self._read(partition, raw.offset, raw.value)
                if journalled.entry.sequence > sequence:
                    yield journalled
            offset = last + 1

    async def _offset_of(self, partition: int, sequence: int, start: int, end: int) -> int:
        """Where to begin reading so as not to miss a batch: entries stand in order, and some twice."""
        back = _TAIL
        while end - back > start:
            first = (await self._log.read(self._topic, partition, end - back, end - back + _TAIL - 1))[0]
            found = self._read(partition, first.offset, first.value).entry.sequence
            if found < sequence:
                return end - back
            back += max(back, found - sequence + _TAIL)
        return start

    def _read(self, partition: int, offset: int, value: bytes | None) -> Journalled:
        try:
            entry = JOURNAL.validate_json(value or b"")
        except ValidationError as error:
            raise JournalUnreadable(f"{self._topic}/{partition}@{offset} is no journal entry: {error}") from error
        if entry.partition != partition:
            raise JournalUnreadable(f"{self._topic}/{partition}@{offset} is of partition {entry.partition}")
        return Journalled(entry, value or b"")


class Repeats:
    """Tells a batch that stands in the journal once more (it was run again after a crash) from another one."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, bytes] = OrderedDict()

    def is_repeat(self, journalled: Journalled) -> bool:
        """Whether this very batch stood there before. One with the same number and other bytes is not a repeat."""
        sequence = journalled.entry.sequence
        known = self._seen.get(sequence)
        if known is not None:
            return known == journalled.data
        self._seen[sequence] = journalled.data
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return False
