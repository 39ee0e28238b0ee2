"""Publishing a batch: every message acknowledged before it counts.

A message goes to the partition number of its batch's input; what another stage of ours reads, to that of its own key.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    BrokerResponseError,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    TopicAuthorizationFailedError,
    UnknownProducerId,
)
from aiokafka.partitioner import murmur2

from streams.clock import Clock, SystemClock
from streams.connections import no_answer
from triggers.engine.batch import Message

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES: Final = 17 * 1024 * 1024
"""A dead letter of 16 MiB with its header and the protocol's own bytes around it."""
_BATCH_BYTES: Final = 512 * 1024
"""Below the broker's default ``max.message.bytes``, which counts whole batches."""
_FIRST_SECONDS: Final = 0.1
_MOST_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 2.0
_SILENT_SECONDS: Final = 5.0

_SESSION_LOST: Final = (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)
"""The broker no longer knows our numbering (its log was truncated, or a batch of ours never reached it)."""

_Place = tuple[str, int | None]
"""Where something is sent: Kafka's topic and the partition, where it is known."""


class PublishRefused(Exception):
    """This message cannot be sent: larger than a request, no such partition, a bug. Names the topic alone."""


class KafkaPublisher:
    """One idempotent producer with ``acks=all`` for all partitions of a worker.

    While Kafka is away ``publish`` waits, and so it does where Kafka refuses what an operator can make it take: a
    topic's limit was lowered, a permission taken away, a disk is full. A batch whose acknowledgement is in doubt is
    sent again: ids are deterministic, consumers drop the repeat. ``options``: those of ``connections.kafka_options``.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        topic_prefix: str = "",
        compression: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._options = dict(options)
        self._prefix = topic_prefix
        self._compression = compression
        self._clock = clock or SystemClock()
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._waiting: set[_Place] = set()
        self.errors = 0
        """Attempts that Kafka did not take."""
        self._closing: set[asyncio.Task[None]] = set()
        self._closed: dict[AIOKafkaProducer, asyncio.Future[None]] = {}
        """Of each producer that is not closed yet: done when it is."""

    @property
    def away(self) -> bool:
        """Whether there is something that Kafka does not take."""
        return bool(self._waiting)

    async def start(self) -> None:
        """Connects; waits while no broker answers."""
        await self._current()

    async def stop(self) -> None:
        """Closes the producer. What was not acknowledged belongs to a batch that is run again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer)
        if self._closing:
            await asyncio.wait(self._closing)

    async def publish(self, partition: int, messages: Sequence[Message], *, first: Message | None = None) -> None:
        """Sends all, in order per topic and partition; returns when every one is acknowledged.

        ``first`` is acknowledged before any other is sent. Raises ``PublishRefused``.
        """
        if first is not None:
            await self._send_topic(self._prefix + first.topic, partition, [first])
        by_topic: dict[str, list[Message]] = {}
        for message in messages:
            by_topic.setdefault(message.topic, []).append(message)
        await _all(
            self._send_by_key(self._prefix + topic, of_topic)
            if of_topic[0].placed
            else self._send_topic(self._prefix + topic, partition, of_topic)
            for topic, of_topic in by_topic.items()
        )

    async def _send_by_key(self, topic: str, messages: Sequence[Message]) -> None:
        count = await self._partitions_of(topic)
        parts: dict[int, list[Message]] = {}
        for message in messages:
            parts.setdefault(partition_of(message.key or b"", count), []).append(message)
        await _all(self._send_topic(topic, partition, part) for partition, part in parts.items())

    async def _partitions_of(self, topic: str) -> int:
        with self._taken((topic, None)) as place:
            delay = _FIRST_SECONDS
            while True:
                try:
                    return len(await (await self._current()).partitions_for(topic))
                except TopicAuthorizationFailedError as error:
                    self._note_away(place, error, refused=True)
                except (KafkaTimeoutError, KafkaConnectionError, TimeoutError, OSError) as error:
                    self._note_away(place, error)
                await self._clock.sleep(delay)
                delay = min(delay * 2, _MOST_SECONDS)

    async def _send_topic(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        with self._taken((topic, partition)) as place:
            delay = _FIRST_SECONDS
            while True:
                producer = await self._current()
                # Without a word from any broker aiokafka tries on for ever: nobody may take that for a quiet day.
                silent = asyncio.get_running_loop().call_later(_SILENT_SECONDS, self._note_away, place, TimeoutError())
                try:
                    await _unless(self._closed[producer], _send(producer, topic, partition, messages))
                except _SESSION_LOST as error:
                    self._note_away(place, error)
                    await self._renew(producer)
                except (KafkaTimeoutError, KafkaConnectionError, TimeoutError, OSError) as error:
                    self._note_away(place, error)
                except KafkaError as error:
                    refused = not error.retriable
                    if refused and not isinstance(error, BrokerResponseError):
                        raise PublishRefused(
                            f"what is published to {topic} partition {partition} cannot be sent: {type(error).__name__}"
                        ) from None
                    self._note_away(place, error, refused=refused)
                    # aiokafka gave up on a batch it had numbered already: the next one would leave a gap behind it.
                    await self._renew(producer)
                else:
                    return
                finally:
                    silent.cancel()
                await self._clock.sleep(delay)
                delay = min(delay * 2, _MOST_SECONDS)

    async def _current(self) -> AIOKafkaProducer:
        async with self._renewing:
            if self._producer is None:
                self._producer = await self._reopen()
            return self._producer

    async def _reopen(self) -> AIOKafkaProducer:
        with self._taken(("any topic", None)) as place:
            delay = _FIRST_SECONDS
            while True:
                try:
                    return await self._open()
                except (KafkaError, OSError) as error:
                    if not no_answer(error):
                        raise
                    self._note_away(place, error)
                await self._clock.sleep(delay)
                delay = min(delay * 2, _MOST_SECONDS)

    async def _renew(self, failed: AIOKafkaProducer) -> None:
        """Leaves a producer whose session is lost; whoever else used it finds the next one too."""
        async with self._renewing:
            if self._producer is not failed:
                return
            self._producer = None
        task = asyncio.create_task(_close(failed))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        task.add_done_callback(lambda _: self._closed.pop(failed).set_result(None))

    async def _open(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._options,
            enable_idempotence=True,
            acks="all",
            compression_type=self._compression,
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
            # Batches are whole when they are handed over: nothing would join them.
            linger_ms=0,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._closed[producer] = asyncio.get_running_loop().create_future()
        return producer

    @contextmanager
    def _taken(self, place: _Place) -> Iterator[_Place]:
        """Sends to a place inside; behind it Kafka has taken everything, or nobody waits for that any more."""
        try:
            yield place
        except BaseException:
            self._waiting.discard(place)
            raise
        if place in self._waiting:
            self._waiting.discard(place)
            if not self._waiting:
                log.info("Kafka takes messages again")

    def _note_away(self, place: _Place, error: BaseException, *, refused: bool = False) -> None:
        self.errors += 1
        if place in self._waiting:
            return
        others = bool(self._waiting)
        self._waiting.add(place)
        topic, partition = place
        # Only the error's name: its text may quote the message.
        if refused:
            log.error(
                "Kafka refuses what is published to %s partition %s: %s; it is sent again until Kafka takes it",
                topic,
                partition,
                type(error).__name__,
            )
        elif not others:
            log.warning("Kafka does not take messages for %s, waiting: %s", topic, type(error).__name__)


def partition_of(key: bytes, count: int) -> int:
    """Where every publisher's default partitioner sends this key, of so many partitions."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % count


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, messages: Sequence[Message]) -> None:
    known = await producer.partitions_for(topic)
    if partition not in known:
        raise PublishRefused(
            f"{topic} has no partition {partition}; all topics need the same number: bank-triggers topics check"
        )
    largest = max(map(_size, messages), default=0)
    if largest > MAX_REQUEST_BYTES - 4096:
        raise PublishRefused(f"a message of {largest} bytes for {topic} is larger than {MAX_REQUEST_BYTES}")
    # Whole batches: one future each instead of one per message.
    acknowledgements = []
    index = 0
    now_ms = int(time.time() * 1000)
    try:
        while index < len(messages):
            batch = producer.create_batch()
            while index < len(messages):
                message = messages[index]
                if (
                    batch.append(timestamp=now_ms, key=message.key, value=message.value, headers=list(message.headers))
                    is None
                ):
                    break
                index += 1
            batch.close()
            acknowledgements.append(await producer.send_batch(batch, topic, partition=partition))
    except BaseException:
        for acknowledgement in acknowledgements:
            acknowledgement.cancel()
        raise
    await _all(acknowledgements)


async def _unless(closed: asyncio.Future[None], sending: Coroutine[Any, Any, None]) -> None:
    """Sends. What is handed to a producer that another place has just left would wait for its sender for ever."""
    task = asyncio.ensure_future(sending)
    try:
        await asyncio.wait({task, closed}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        raise KafkaConnectionError("the producer was closed")
    task.result()


def _size(message: Message) -> int:
    return len(message.key or b"") + len(message.value or b"") + sum(len(value) for _, value in message.headers)


async def _all(awaitables: Any) -> None:
    """Waits for every one, then raises the first error: nothing is left running behind it."""
    outcomes = await asyncio.gather(*awaitables, return_exceptions=True)
    # What cannot be mended counts before what can.
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for error in errors:
        if isinstance(error, PublishRefused):
            raise error
    if errors:
        raise errors[0]


async def _close(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await producer.stop()
    except TimeoutError:
        # It waits for acknowledgements that do not come. Ending its sender is all that keeps it from going on alone.
        sender = producer._sender.sender_task  # noqa: SLF001 - aiokafka has no stop without a flush
        if sender is not None:
            sender.cancel()
        await producer.client.close()
    except KafkaError as error:
        log.info("the producer closed with %s", type(error).__name__)
