"""Reading the dead letters back: what was set aside, why, and the original bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from schemas.dead_letter import DEAD_LETTER_HEADER, DeadLetter
from schemas.topics import DEAD_LETTERS

_FETCH_BYTES = 17 * 1024 * 1024
_IDLE_MS = 500


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """One message of the dead-letter topic, at ``partition`` and ``offset`` of that topic.

    ``key`` and ``value`` are the record's original bytes, which may hold personal data. ``about`` is ``None`` where the
    header is missing or unreadable: somebody else wrote to the topic, and ``problem`` says what is wrong with it.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    about: DeadLetter | None
    problem: str = ""


class NoDeadLetterTopic(Exception):
    """The topic does not exist. Names the command that creates it."""


async def read_dead_letters(options: Mapping[str, Any], topic_prefix: str = "") -> AsyncIterator[StoredDeadLetter]:
    """Every dead letter from the oldest to those there are now, partition by partition.

    ``options`` are those of ``connections.kafka_options``. Nothing is committed: reading again finds the same.

    Raises ``NoDeadLetterTopic``, and aiokafka's errors where Kafka does not answer.
    """
    topic = topic_prefix + DEAD_LETTERS
    consumer = AIOKafkaConsumer(
        **options,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    try:
        await consumer.start()
        # topics() lists without naming one, which could create it.
        if topic not in await consumer.topics():
            raise NoDeadLetterTopic(f"the topic {topic} does not exist; create it with: bank-triggers topics create")
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.assign([partition])
            consumer.seek(partition, starts[partition])
            while await consumer.position(partition) < ends[partition]:
                for message in (await consumer.getmany(partition, timeout_ms=_IDLE_MS)).get(partition, ()):
                    if message.offset < ends[partition]:
                        yield _read(message)
    finally:
        await consumer.stop()


def _read(message: Any) -> StoredDeadLetter:
    about, problem = _about(message.headers)
    return StoredDeadLetter(
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=message.timestamp,
        key=message.key,
        value=message.value,
        about=about,
        problem=problem,
    )


def _about(headers: Sequence[tuple[str, bytes | None]]) -> tuple[DeadLetter | None, str]:
    for name, value in headers:
        if name == DEAD_LETTER_HEADER:
            try:
                return DeadLetter.model_validate_json(value or b""), ""
            except ValidationError as error:
                return None, f"the header {DEAD_LETTER_HEADER} cannot be read: {error.error_count()} mistakes"
    return None, f"the header {DEAD_LETTER_HEADER} is missing"
