"""Reading Kafka's log beside the consumer group: a batch to run again, a hole to look into, what offsets there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from streams.connections import no_answer
from streams.patience import Patience
from streams.refusals import RecordsLost
from triggers.engine.batch import RawRecord

_FETCH_BYTES = 1024 * 1024
"""A record may be larger: Kafka sends the first whatever its size."""
_AT_ONCE = 4
"""Clients open at the same time; each buffers a fetch."""


class KafkaUnavailable(Exception):
    """Kafka did not answer; the question may be asked again."""


class KafkaLog:
    """What the log holds and what the group has committed. Waits, through ``patience``, while Kafka is away.

    ``options`` are those of ``connections.kafka_options``; ``patience`` must count ``KafkaUnavailable`` as loss.
    ``isolation_level`` must be that of the consumer whose records are read again.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        group: str,
        patience: Patience,
        isolation_level: Literal["read_uncommitted", "read_committed"] = "read_committed",
    ) -> None:
        self._options = dict(options)
        self._group = group
        self._patience = patience
        self._isolation_level = isolation_level
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def read(self, topic: str, partition: int, first: int, last: int) -> list[RawRecord]:
        """As ``partition.RecordSource.read``."""
        return await self._patience.insist(lambda: self._read(topic, partition, first, last))

    async def spans(self, partitions: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], tuple[int, int]]:
        """As ``processor.Offsets.spans``."""
        return await self._patience.insist(lambda: self._spans(partitions))

    async def committed(self, partitions: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], int | None]:
        """As ``processor.Offsets.committed``."""
        return await self._patience.insist(lambda: self._committed(partitions))

    async def tails(self, topic: str, partitions: AbstractSet[int], offsets: int) -> Mapping[int, list[RawRecord]]:
        """The records at the last so many offsets of each partition of a topic (Kafka's name)."""
        return await self._patience.insist(lambda: self._tails(topic, partitions, offsets))

    async def _tails(self, topic: str, partitions: AbstractSet[int], offsets: int) -> Mapping[int, list[RawRecord]]:
        found: dict[int, list[RawRecord]] = {number: [] for number in partitions}
        tps = [TopicPartition(topic, number) for number in sorted(partitions)]
        async with self._consumer({topic}) as consumer:
            starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
            left = {tp for tp in tps if starts[tp] < ends[tp]}
            consumer.assign(left)
            for tp in left:
                consumer.seek(tp, max(starts[tp], ends[tp] - offsets))
            while left:
                for tp, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                    found[tp.partition].extend(record for record in records if record.offset < ends[tp])
                left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
        return found

    async def _read(self, topic: str, partition: int, first: int, last: int) -> list[RawRecord]:
        tp = TopicPartition(topic, partition)
        records: list[RawRecord] = []
        async with self._consumer({topic}) as consumer:
            start = (await consumer.beginning_offsets([tp]))[tp]
            end = (await consumer.end_offsets([tp]))[tp]
            if first < start or last >= end:
                raise RecordsLost(topic, partition, first if first < start else last + 1, start, end)
            consumer.assign([tp])
            consumer.seek(tp, first)
            # The position moves over offsets without a record too, also at the end of the range.
            while (position := await consumer.position(tp)) <= last:
                try:
                    # No more than is asked for: what was compressed may be many times what was fetched.
                    fetched = await consumer.getmany(tp, timeout_ms=500, max_records=last - position + 1)
                except OffsetOutOfRangeError as error:
                    start = (await consumer.beginning_offsets([tp]))[tp]
                    raise RecordsLost(topic, partition, first, start, end) from error
                records.extend(record for record in fetched.get(tp, ()) if first <= record.offset <= last)
        return records

    async def _spans(self, partitions: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], tuple[int, int]]:
        tps = [TopicPartition(*pair) for pair in sorted(partitions)]
        if not tps:
            return {}
        async with self._consumer({tp.topic for tp in tps}) as consumer:
            starts = await consumer.beginning_offsets(tps)
            ends = await consumer.end_offsets(tps)
        return {(tp.topic, tp.partition): (starts[tp], ends[tp]) for tp in tps}

    async def _committed(self, partitions: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], int | None]:
        async with _lost_is_unavailable():
            admin = AIOKafkaAdminClient(**self._options)
            try:
                await admin.start()
                tps = [TopicPartition(*pair) for pair in sorted(partitions)]
                offsets = await admin.list_consumer_group_offsets(self._group, partitions=tps) if tps else {}
            finally:
                await admin.close()
        found = {(tp.topic, tp.partition): meta.offset for tp, meta in offsets.items()}
        if not found.keys() >= partitions:
            # aiokafka drops the answer's own error (a coordinator that still loads). "No offset" would be a guess, and
            # one that lets a lost state pass.
            raise KafkaUnavailable("the group's coordinator did not answer for every partition")
        return {pair: found[pair] if found[pair] >= 0 else None for pair in partitions}

    @asynccontextmanager
    async def _consumer(self, topics: AbstractSet[str]) -> AsyncIterator[AIOKafkaConsumer]:
        async with self._slots, _lost_is_unavailable():
            consumer = AIOKafkaConsumer(
                **self._options,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level=self._isolation_level,
                max_partition_fetch_bytes=_FETCH_BYTES,
            )
            try:
                await consumer.start()
                # Otherwise it finds out one topic at a time that it does not know it, and waits 0.1 s for each: a
                # worker would take its partitions over 1.6 s later.
                await consumer._client.set_topics(topics)  # noqa: SLF001  no public way without an assignment
                yield consumer
            finally:
                await consumer.stop()


@asynccontextmanager
async def _lost_is_unavailable() -> AsyncIterator[None]:
    try:
        yield
    except (KafkaError, OSError) as error:
        if not no_answer(error):
            raise
        raise KafkaUnavailable(str(error) or type(error).__name__) from error
