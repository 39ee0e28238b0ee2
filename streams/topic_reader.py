"""Reading a topic beside the consumer group: what is there now, or all that comes. Nothing is committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.partitioner import murmur2

_FETCH_BYTES = 17 * 1024 * 1024
_IDLE_MS = 500


class NoSuchTopic(Exception):
    """A topic does not exist. Names the command that creates it."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"the topic {topic} does not exist; create it with: bank-triggers topics create")


async def read_topic(
    options: Mapping[str, Any],
    topic: str,
    *,
    from_beginning: bool = True,
    follow: bool = False,
    key: bytes | None = None,
    partition: int | None = None,
) -> AsyncIterator[ConsumerRecord]:
    """The records of a topic (Kafka's name), in order within each partition.

    Up to the ends that the partitions have at the start; with ``follow``, on for ever. With a ``key``, only those of
    that key, and only their partition is read; with a ``partition``, only that one. ``options`` are those of
    ``connections.kafka_options``.

    Raises ``NoSuchTopic``, and aiokafka's errors where Kafka does not answer.
    """
    count = await _partition_count(options, topic)
    if key is not None:
        partition = partition_of(key, count)
    numbers = range(count) if partition is None else [partition]
    partitions = [TopicPartition(topic, number) for number in numbers]
    consumer = AIOKafkaConsumer(
        **options,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    try:
        await consumer.start()
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions) if from_beginning else ends
        consumer.assign(partitions)
        for tp in partitions:
            consumer.seek(tp, starts[tp])
        while follow or await _behind(consumer, ends):
            fetched = await consumer.getmany(*partitions, timeout_ms=_IDLE_MS)
            for tp, records in fetched.items():
                for record in records:
                    if (follow or record.offset < ends[tp]) and key in (None, record.key):
                        yield record
    finally:
        await consumer.stop()


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key; a customer's outputs go to the same number."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


async def partition_counts(options: Mapping[str, Any]) -> dict[str, int]:
    """The topics that Kafka has, each with its number of partitions."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        # All topics, not one by name: asking for a name makes some brokers create it.
        return {
            found["topic"]: len(found["partitions"])
            for found in await admin.describe_topics()
            if not found["error_code"]
        }
    finally:
        await admin.close()


async def _partition_count(options: Mapping[str, Any], topic: str) -> int:
    counts = await partition_counts(options)
    if topic not in counts:
        raise NoSuchTopic(topic)
    return counts[topic]


async def _behind(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return True
    return False
