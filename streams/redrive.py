"""Sending dead letters again to the topics they came from, or giving them up: an operator's decision, on record.

A record that is sent again goes through the same checks as any other. It cannot take effect twice: its event id is
remembered for as long as an event may be late, and after that it is too late. What was done is written behind the dead
letter, after the record's own acknowledgement; a command that dies in between leaves a dead letter that is sent once
more, and counts once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

from aiokafka import AIOKafkaProducer

from schemas.base import from_ms
from schemas.dead_letter import RESOLUTION_HEADER, DeadLetter, Reason, Resolution
from schemas.decode import Rejected, decode
from schemas.encode import encode
from schemas.topics import DEAD_LETTERS, TOPIC
from streams.clock import Clock
from streams.dead_letters import StoredDeadLetter
from streams.publisher import MAX_REQUEST_BYTES

_AT_ONCE: Final = 500


def obstacle(letter: StoredDeadLetter, tenant: str) -> str | None:
    """Why sending a dead letter again would be in vain, or ``None``. Holds none of the record's values."""
    about = letter.about
    if about is None:
        return letter.problem
    topic = TOPIC.get(about.topic)
    if topic is None or topic.direction != "inbound":
        return f"{about.topic} is no inbound topic"
    if about.reason is Reason.TOO_LATE:
        # It may be a repeat of one that took effect and is no longer remembered.
        return "it came too late, and is later now"
    found = decode(topic, tenant, letter.key, letter.value)
    if isinstance(found, Rejected):
        return f"it is refused as before: {found.reason} {found.field}".rstrip()
    return None


class Redriver:
    """Carries out what an operator decides. Made by ``open_redriver``."""

    def __init__(self, producer: AIOKafkaProducer, tenant: str, topic_prefix: str, clock: Clock) -> None:
        self._producer = producer
        self._tenant = tenant
        self._prefix = topic_prefix
        self._clock = clock

    async def redrive(self, letters: Sequence[StoredDeadLetter], note: str) -> None:
        """Sends them again, in their order, each to the partition of its key. None of them may have an obstacle.

        Raises aiokafka's errors; those that were not acknowledged are not marked.
        """
        for first in range(0, len(letters), _AT_ONCE):
            some = letters[first : first + _AT_ONCE]
            sent = [
                await self._producer.send(self._prefix + _about(letter).topic, letter.value, key=letter.key)
                for letter in some
            ]
            for one in sent:
                await one
            await self._resolve(some, "redriven", note)

    async def drop(self, letters: Sequence[StoredDeadLetter], note: str) -> None:
        """Marks them as given up. They stay in the topic until its retention ends."""
        for first in range(0, len(letters), _AT_ONCE):
            await self._resolve(letters[first : first + _AT_ONCE], "dropped", note)

    async def _resolve(
        self, letters: Sequence[StoredDeadLetter], outcome: Literal["redriven", "dropped"], note: str
    ) -> None:
        now = from_ms(self._clock.now_ms())
        sent = []
        for letter in letters:
            about = _about(letter)
            resolution = Resolution(
                tenant=self._tenant,
                outcome=outcome,
                note=note,
                topic=about.topic,
                partition=about.partition,
                offset=about.offset,
                resolved_at=now,
            )
            headers = [(RESOLUTION_HEADER, encode(resolution))]
            topic = self._prefix + DEAD_LETTERS
            sent.append(
                await self._producer.send(topic, None, key=letter.key, partition=letter.partition, headers=headers)
            )
        for one in sent:
            await one


@asynccontextmanager
async def open_redriver(
    options: Mapping[str, Any], tenant: str, topic_prefix: str, clock: Clock
) -> AsyncIterator[Redriver]:
    """Connects. ``options`` are those of ``connections.kafka_options``. Raises aiokafka's errors."""
    # The default partitioner hashes the key as every Java and Python client does: one key, one partition.
    producer = AIOKafkaProducer(
        **options, acks="all", enable_idempotence=True, linger_ms=5, max_request_size=MAX_REQUEST_BYTES
    )
    await producer.start()
    try:
        yield Redriver(producer, tenant, topic_prefix, clock)
    finally:
        await producer.stop()


def _about(letter: StoredDeadLetter) -> DeadLetter:
    assert letter.about is not None, "chosen without a reason"
    return letter.about
