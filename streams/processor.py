"""Runs every stage over the partitions that this worker owns.

The driver hands over partitions, chunks of records and revocations; each partition has an ``Owner`` that runs its
batches one after another, and partitions overlap: while one waits for an acknowledgement another evaluates.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from pydantic import ValidationError

from schemas.journal import JOURNAL, RecordBatch
from streams.catch_up import ReadAhead, catch_up, run_again
from streams.journal import Journal, Journalled
from streams.owner import Owner
from streams.partition import Partition, Services
from streams.refusals import RecordsLost, StateForgotten, StateLost, WentBack
from streams.stages import Route
from streams.store import Fenced, Ownership, StoreCorrupt, StoreRolledBack
from streams.unread import Unread
from triggers.engine.batch import RawRecord, decode_batch

log = logging.getLogger(__name__)

_RECALL_RECORDS = 256
"""How many of a topic's last processed records tell a new owner the records' time (``clock: record``)."""


class Chunk(Protocol):
    """Records of one partition of a topic, in offset order; ``topic`` is Kafka's name."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def records(self) -> Sequence[RawRecord]: ...


class Offsets(Protocol):
    """What Kafka knows of the partitions. Topics are Kafka's names."""

    async def committed(self, partitions: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], int | None]:
        """The consumer group's committed offset of each; ``None`` where it has none."""

    async def spans(self, partitions: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], tuple[int, int]]:
        """The offset of the first record kept, and the one after the last, of each."""


class Processor:
    """The owner of this worker's partitions. All of its methods belong to one event loop."""

    def __init__(self, services: Services, offsets: Offsets, journal: Journal) -> None:
        self._services = services
        self._offsets = offsets
        self._journal = journal
        self._owners: dict[int, Owner] = {}
        self._left: dict[int, tuple[int, int]] = {}
        """Partitions released in good order, whose states are still cached: their epoch and sequence then."""
        self._failed: asyncio.Future[None] | None = None
        self.failure: Exception | None = None
        """What made the worker fail, if it has failed."""
        self.takeovers = 0
        """How often partitions were taken over."""

    @property
    def partitions(self) -> Sequence[Partition]:
        """What is owned now, by number."""
        return [owner.partition for _, owner in sorted(self._owners.items())]

    async def take_over(self, assigned: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        """Takes exactly these partitions (Kafka topic, partition) and returns the next offset to read of each.

        Raises each partition's epoch and runs its unfinished batch, if it has one, before anything else; where the
        store was put back to an older state, all that the journal says was done since. States
        stay cached through a rebalance; they are used again only if nobody owned the partition in between, and
        dropped here where the partition did not come back.

        Raises ``Refused`` (``StateLost``, ``RecordsLost``, ``RulesetUnknown`` ...) or ``StoreCorrupt``: nothing may be
        read then, the worker must end.
        """
        topics: dict[int, list[Route]] = defaultdict(list)
        for kafka_topic, number in sorted(assigned):
            topics[number].append(self._services.routes.of_kafka(kafka_topic))
        await self.release(set(self._owners))
        for number in [number for number in self._left if number not in topics]:
            self._forget(number)
        committed, spans, newest = await asyncio.gather(
            self._offsets.committed(assigned), self._offsets.spans(assigned), self._journal.newest(set(topics))
        )
        taken = await asyncio.gather(
            *(self._take(number, routes, committed, spans, newest[number]) for number, routes in topics.items()),
            return_exceptions=True,
        )
        owners: dict[Owner, bool] = {}
        for outcome in taken:
            if isinstance(outcome, BaseException):
                raise outcome
            owners[outcome[0]] = outcome[1]
        self.takeovers += 1
        for owner, fenced in owners.items():
            self._owners[owner.partition.number] = owner
            owner.start(fenced=fenced)
        return {
            (route.kafka_topic, number): self._owners[number].partition.positions[route.topic.name]
            for number, routes in topics.items()
            for route in routes
        }

    async def release(self, revoked: AbstractSet[int]) -> None:
        """Gives partitions back: a batch in flight may finish within bounds, what is queued is dropped unacked.

        The states stay cached for the next ``take_over``, if no batch was broken off.
        """
        owners = [self._owners.pop(number) for number in sorted(revoked) if number in self._owners]
        ends = await asyncio.gather(*(owner.stop(self._services.limits.release_seconds) for owner in owners))
        for owner, clean in zip(owners, ends, strict=True):
            partition = owner.partition
            if clean:
                self._left[partition.number] = (partition.epoch, partition.sequence)
            else:
                self._forget(partition.number)

    async def submit(self, chunk: Chunk, done: Callable[[], None]) -> None:
        """Queues a chunk and returns; waits while its partition's queue is full. ``done`` is called after the commit.

        A chunk of a partition that is not (or no longer) owned is ignored: its records will be read by the owner.
        Raises what made the worker fail, if it has failed.
        """
        failed = self.failed()
        if failed.done():
            failed.result()
        owner = self._owners.get(chunk.partition)
        if owner is None:
            log.info("%s partition %d is not owned here: a chunk is ignored", chunk.topic, chunk.partition)
        elif chunk.records:
            await owner.submit(self._services.routes.of_kafka(chunk.topic), chunk.records, done)
        else:
            done()

    def failed(self) -> asyncio.Future[None]:
        """Completes, with an exception, when the worker must end."""
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        return self._failed

    async def stop(self) -> None:
        """Releases everything; batches in flight may finish within bounds."""
        await self.release(set(self._owners))
        for number in list(self._left):
            self._forget(number)

    def _forget(self, number: int) -> None:
        self._left.pop(number, None)
        self._services.cache.drop(number)

    def _fail(self, error: Exception) -> None:
        log.critical("the worker must end: %s: %s", type(error).__name__, error, exc_info=error)
        failed = self.failed()
        if not failed.done():
            self.failure = error
            failed.set_exception(error)
            failed.exception()  # It is logged: no second report when nobody asks for it.

    async def _take(
        self,
        number: int,
        routes: Sequence[Route],
        committed: Mapping[tuple[str, int], int | None],
        spans: Mapping[tuple[str, int], tuple[int, int]],
        newest: int,
    ) -> tuple[Owner, bool]:
        """The new owner of a partition, and whether it has lost it again already."""
        services = self._services
        taken = await services.patience.insist(lambda: services.store.take_over(number))
        if taken.intent is not None or self._left.get(number) != (taken.epoch - 1, taken.sequence):
            services.cache.drop(number)
        self._left.pop(number, None)
        if newest and not taken.known:
            for route in routes:
                _check_held(route, taken, None, number, committed)
            raise StateForgotten(number, newest)
        lost, unfinished = False, None if taken.intent is None else _read_intent(taken, number)
        try:
            if newest > taken.sequence + (unfinished is not None):
                taken, unfinished = await self._catch_up(number, taken, newest, spans)
            positions = {}
            for route in routes:
                _check_held(route, taken, unfinished, number, committed)
                positions[route.topic.name] = _position(
                    route, taken, unfinished, number, spans[route.kafka_topic, number]
                )
            partition = Partition(number, services, taken, positions)
            if unfinished is not None:
                log.info("partition %d: the batch %d of its last owner is run again", number, unfinished.entry.sequence)
                await run_again(services, partition, unfinished)
        except StoreRolledBack as error:
            raise WentBack(number, error) from error
        except Fenced:
            lost = True
            ends = {route.topic.name: spans[route.kafka_topic, number][1] for route in routes}
            partition = Partition(number, services, taken, ends)
        # By the records' own time, what is unread holds timers back by itself (``streams.watermark``).
        unread = Unread(number, routes if services.clock_mode == "wall" else (), self._offsets, services.source)
        unread.saw(spans)
        owner = Owner(partition, services, unread, self._fail)
        if services.clock_mode == "record" and not lost:
            await self._recall_time(owner, routes, spans)
        return owner, lost

    async def _catch_up(
        self, number: int, taken: Ownership, newest: int, spans: Mapping[tuple[str, int], tuple[int, int]]
    ) -> tuple[Ownership, Journalled | None]:
        log.warning(
            "partition %d: the store was put back to batch %d, the journal reaches to %d: what was done in between is "
            "done again, and nothing of it is sent again",
            number,
            taken.sequence,
            newest,
        )
        ends = {where: end for where, (_, end) in spans.items()}
        batches = self._journal.after(number, taken.sequence)
        return await catch_up(self._services, number, taken, batches, ReadAhead(self._services.source, ends))

    async def _recall_time(
        self, owner: Owner, routes: Sequence[Route], spans: Mapping[tuple[str, int], tuple[int, int]]
    ) -> None:
        # Without it the timers that the last owner's records made due would wait for new records.
        services, partition = self._services, owner.partition
        for route in routes:
            end = partition.positions[route.topic.name]
            begin = max(spans[route.kafka_topic, partition.number][0], end - _RECALL_RECORDS)
            if begin < end:
                records = await services.source.read(route.kafka_topic, partition.number, begin, end - 1)
                decoded = decode_batch(route.stage, route.topic, services.tenant, records)
                partition.watermark.saw(route.topic.name, decoded)


def _check_held(
    route: Route,
    taken: Ownership,
    unfinished: Journalled | None,
    number: int,
    committed: Mapping[tuple[str, int], int | None],
) -> None:
    """Raises where the group has read a topic of which the store knows nothing."""
    read = committed[route.kafka_topic, number]
    if read and route.topic.name not in taken.positions and _first_offset(route, unfinished) is None:
        raise StateLost(route.kafka_topic, number, read)


def _first_offset(route: Route, unfinished: Journalled | None) -> int | None:
    """Where the unfinished batch begins, if it is one of this topic."""
    entry = None if unfinished is None else unfinished.entry
    return entry.first_offset if isinstance(entry, RecordBatch) and entry.topic == route.topic.name else None


def _read_intent(taken: Ownership, number: int) -> Journalled:
    data = taken.intent or b""
    try:
        entry = JOURNAL.validate_json(data)
    except ValidationError as error:
        raise StoreCorrupt(f"the intent of partition {number} is no journal entry: {error}") from error
    if entry.sequence != taken.sequence + 1 or entry.partition != number:
        raise StoreCorrupt(
            f"the intent of partition {number} is of batch {entry.sequence} of partition {entry.partition}; "
            f"the last committed batch is {taken.sequence}"
        )
    return Journalled(entry, data)


def _position(route: Route, taken: Ownership, unfinished: Journalled | None, number: int, span: tuple[int, int]) -> int:
    """The next offset to read of a topic, if what Kafka and the store say fits together."""
    start, end = span
    position = taken.positions.get(route.topic.name)
    first = _first_offset(route, unfinished)
    if position is None:
        # The very first batch of a topic may be the unfinished one: the log began there when it was announced.
        position = start if first is None else first
    elif first is not None and first != position:
        raise StoreCorrupt(
            f"the intent of {route.topic.name} partition {number} begins at offset {first}, its position is {position}"
        )
    if not start <= position <= end:
        raise RecordsLost(route.kafka_topic, number, position, start, end)
    return position
