"""Running batches of the journal again: the unfinished one of a former owner, or all that the store has forgotten.

A batch is run from its journal entry over the same records, with the same rule set and time: the states come out the
same, byte for byte. All but the last were published whole before the next one was announced, so nothing of them is
sent again.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from schemas.actions import OUTREACH, NextBestAction
from schemas.base import to_ms
from schemas.journal import RecordBatch
from schemas.topics import TOPIC
from streams.clock import Clock
from streams.journal import Journalled, Repeats
from streams.partition import Partition, Publisher, RecordSource, Services
from streams.refusals import JournalBroken
from streams.store import Ownership
from triggers.engine.batch import Message, RawRecord

log = logging.getLogger(__name__)

_AHEAD: Final = 10_000
_TELL_EVERY: Final = 10_000


async def run_again(services: Services, partition: Partition, journalled: Journalled) -> None:
    """Runs a batch to its commit, as its first owner would have; what has expired since is not sent any more."""
    entry = journalled.entry
    publisher = services.publisher
    if entry.clock == "wall":
        publisher = Unexpired(publisher, services.clock, entry.sequence)
    ruleset = await services.rulesets.named(entry.ruleset, partition.number)
    if isinstance(entry, RecordBatch):
        route = services.routes.of_topic(entry.topic)
        records = await services.source.read(route.kafka_topic, partition.number, entry.first_offset, entry.last_offset)
        await partition.run_records(entry, journalled.data, partition.read(entry.topic, records), ruleset, publisher)
    else:
        await partition.run_timers(entry, journalled.data, ruleset, publisher)


def silent(services: Services, source: RecordSource) -> Services:
    """Services for batches that were published before: nothing is sent, nothing is counted."""
    return replace(services, publisher=SILENT, source=source, observe=lambda _report: None)


async def catch_up(
    services: Services, number: int, taken: Ownership, batches: AsyncIterator[Journalled], source: RecordSource
) -> tuple[Ownership, Journalled | None]:
    """Runs all but the last of the batches that follow on ``taken``, and publishes nothing.

    Returns what the store then holds, and the last batch: whether all of it was published is not known. ``None`` where
    there was no batch at all. Raises ``JournalBroken`` where the batches do not follow one another.
    """
    quiet = silent(services, source)
    partition = Partition(number, quiet, taken, taken.positions)
    last: Journalled | None = None
    repeats = Repeats()
    async for journalled in batches:
        if repeats.is_repeat(journalled):
            continue
        if last is not None:
            await run_again(quiet, partition, last)
            if partition.sequence % _TELL_EVERY == 0:
                log.info("partition %d: batch %d is run again", number, partition.sequence)
        _check_follows(partition, journalled)
        last = journalled
    held = replace(
        taken, sequence=partition.sequence, positions=partition.positions, next_due=partition.next_due, intent=None
    )
    return held, last


def _check_follows(partition: Partition, journalled: Journalled) -> None:
    entry = journalled.entry
    if entry.sequence != partition.sequence + 1:
        raise JournalBroken(partition.number, partition.sequence, f"goes on at batch {entry.sequence}")
    if isinstance(entry, RecordBatch):
        position = partition.positions.get(entry.topic, entry.first_offset)
        if entry.first_offset != position:
            raise JournalBroken(
                partition.number,
                partition.sequence,
                f"goes on at offset {entry.first_offset} of {entry.topic}, where the store is at {position}",
            )


class _Silent:
    """A publisher of nothing: for what was published before."""

    async def publish(self, partition: int, messages: Sequence[Message], *, first: Message) -> None:
        pass


SILENT: Final = _Silent()


class Unexpired:
    """Sends what a batch that is run again at its old time makes, but for actions that have expired since then.

    Its decisions stay as they were: they tell what was decided at that time, and perhaps they were sent by then, as the
    actions were. The state, too, holds the contact as made: what follows on an action that nobody answered, follows.
    """

    def __init__(self, publisher: Publisher, clock: Clock, sequence: int) -> None:
        self._publisher = publisher
        self._clock = clock
        self._sequence = sequence

    async def publish(self, partition: int, messages: Sequence[Message], *, first: Message) -> None:
        """As ``partition.Publisher.publish``."""
        now_ms = self._clock.now_ms()
        left = [message for message in messages if not _expired(message, now_ms)]
        if len(left) < len(messages):
            log.warning(
                "partition %d: %d actions of batch %d have expired since it was begun, and are not sent",
                partition,
                len(messages) - len(left),
                self._sequence,
            )
        await self._publisher.publish(partition, left, first=first)


def _expired(message: Message, now_ms: int) -> bool:
    if message.value is None or NextBestAction not in TOPIC[message.topic].models:
        return False
    what = OUTREACH.validate_json(message.value)
    return isinstance(what, NextBestAction) and to_ms(what.expires_at) <= now_ms


@dataclass(frozen=True, slots=True)
class _Held:
    first: int
    last: int
    records: Sequence[RawRecord]


class ReadAhead:
    """Reads forward through the topics of a partition, thousands of records at once.

    ``ends`` maps (Kafka topic, partition) to the offset behind the last record.
    """

    def __init__(self, source: RecordSource, ends: Mapping[tuple[str, int], int], ahead: int = _AHEAD) -> None:
        self._source = source
        self._ends = ends
        self._ahead = ahead
        self._held: dict[tuple[str, int], _Held] = {}

    async def read(self, topic: str, partition: int, first: int, last: int) -> list[RawRecord]:
        """As ``partition.RecordSource.read``."""
        where = topic, partition
        held = self._held.get(where)
        if held is None or first < held.first or last > held.last:
            until = max(last, min(first + self._ahead, self._ends[where]) - 1)
            held = _Held(first, until, await self._source.read(topic, partition, first, until))
            self._held[where] = held
        offset: Callable[[Any], int] = lambda record: record.offset  # noqa: E731 - the key of both searches
        begin = bisect_left(held.records, first, key=offset)
        return list(held.records[begin : bisect_left(held.records, last + 1, key=offset)])
