"""The batch driver: Faust fetches, assigns and supervises; one Faust message carries one fetched chunk of a partition.

Stock Faust pays four tasks per record in ``Consumer._drain_messages``. Here a message is a *chunk*: its value is the
list of the client's own records, its offset that of the last of them, so the cost is per chunk and vanishes under
load. The position to read from is the one stored with the state: Kafka's committed offset is
written for lag tools alone and never read.

Three counters keep a partition's past out of its present:

* ``seeks`` counts the seeks made in the client's thread. A fetch is tagged with it at the moment its records are
  taken out of the client's buffer; a fetch that waited across a rebalance has an older tag and is dropped.
* ``_owned`` holds, for each partition taken over, the chunks handed out and not yet acknowledged. It is cleared
  on revocation, before the owner is told, so a late ``done`` of a former assignment finds nothing to acknowledge.
* Faust's ``consumer_generation_id`` makes a stream drop what a rebalance left in an agent's queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, cast

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as stock
from faust.types import TP, ConsumerMessage
from faust.types.tuples import Message
from mode import Service

from streams.assignor import TopicsNotKnown
from streams.connections import no_answer
from streams.refusals import RecordsLost

if TYPE_CHECKING:
    from triggers.engine.batch import RawRecord

logger = logging.getLogger(__name__)

faust_logger: Final = logging.getLogger("faust.batch")
"""For the services below: otherwise Faust's own chatter about them goes to this module's logger."""

SCHEME: Final = "batch"
"""The scheme of a broker URL that selects this driver: ``batch://host:port``."""

CHUNKS_IN_HAND: Final = 2
"""Chunks of one topic partition handed out and not yet done: one in work, one waiting. More only costs memory.

What waits of a topic partition is so many times about two MiB, and what the client has fetched of it: another.
"""

STOP_S: Final = 3.0
"""How long the owner may take to finish what is in flight when the worker stops."""

_PIECE: Final = 128
"""Records are taken out of the client's buffer so many at a time, ..."""
_PIECES: Final = 8
"""... fewer where so many such pieces, by the size of the last records, would be more than a chunk may have."""

_FULL_POLL_S: Final = 0.02
_COORDINATOR_CHECK_S: Final = 1.0
_AGAIN_S: Final = 1.0
"""Between two attempts while Kafka does not answer."""
_OUT_OF_TOUCH: Final = 3
"""Looks in a row that found no coordinator; a worker that has just started may need one or two."""
_FINAL_COMMIT_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Chunk:
    """One fetched chunk of one topic partition. ``topic`` is the Kafka name; ``records`` are in offset order.

    The first records may lie below the position asked for (a compressed batch is fetched whole), and offsets may have
    holes (compaction, transaction markers).
    """

    topic: str
    partition: int
    records: Sequence[RawRecord]


class PartitionOwner(Protocol):
    """Who decides where to read from and what happens to what was read: ``streams.processor.Processor``."""

    async def take_over(self, assigned: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        """Takes partitions over and returns the offset to read next for each (topic, partition)."""

    async def release(self, revoked: AbstractSet[int]) -> None:
        """Finishes or abandons what is in flight for these partition numbers; nothing of them is done after."""

    async def submit(self, chunk: Chunk, done: Callable[[], None]) -> None:
        """Queues a chunk, waiting while the partition's queue is full. ``done`` is called after its commit.

        The call is cancelled when the partition is revoked while it waits.
        """

    def failed(self) -> asyncio.Future[None]:
        """Completes with an exception when the worker must crash."""


class NotTakenOver(Exception):
    """Faust opened the flow although the owner has not taken the assigned partitions over."""


class UnevenAssignment(Exception):
    """The group's assignment is not co-partitioned: a partition number without all topics."""


class PassthroughSchema(faust.Schema[Any, Any]):
    """Hands the list of records through undecoded: a decode error inside Faust would be acknowledged away."""

    def loads_key(self, app: Any, message: Message, **_: Any) -> Any:  # noqa: ARG002  the signature is Faust's
        return None

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:  # noqa: ARG002  the signature is Faust's
        return message.value


@dataclass(frozen=True, slots=True)
class _Fetched:
    seeks: int
    records: Mapping[TP, list[Any]]


class ConsumerThread(stock.AIOKafkaConsumerThread):
    """The client in its own thread and event loop, so that heartbeats go on whatever the worker's loop does."""

    logger = faust_logger
    seeks: int = 0
    _record_bytes: int = 1
    """The mean of the last records taken."""

    async def on_start(self) -> None:
        """Connects; the stock method ends the worker where no broker answers at that moment."""
        while not self.should_stop:
            try:
                await super().on_start()
            except (KafkaError, OSError) as error:
                if not no_answer(error):
                    raise
                logger.warning("Kafka does not answer, the group is not joined yet: %s", error or type(error).__name__)
                await self._ensure_consumer().stop()
                await self.sleep(_AGAIN_S)
            else:
                return

    def _create_worker_consumer(self, transport: stock.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust offers it with its own transactions only. What a publisher took back must not become an action.
        consumer._isolation_level = "read_committed"  # noqa: SLF001  read when the client starts
        # One fetch is in flight for each broker: a partition that it leaves out (its records were not taken within
        # 0.1 s) waits until it returns, after this time at the latest. Faust's 1.5 s would be everybody's latency then.
        # Each return costs about a millisecond of work: a worker without news takes 5% of a core at 20 ms, 1.6% at 100.
        consumer._fetch_max_wait_ms = cast(Any, transport.app).fetch_wait_ms  # noqa: SLF001  read when the client starts
        return consumer

    async def fetch(self, partitions: frozenset[TP], timeout_s: float) -> _Fetched:
        """Takes what the client has buffered for ``partitions``, waiting up to ``timeout_s`` for something."""
        return cast(_Fetched, await self.call_thread(self._fetch, partitions, timeout_s))

    async def seek_all(self, positions: Mapping[TP, int]) -> None:
        """Sets the next offset of each partition; what was buffered for another offset is dropped by the client."""
        await self.call_thread(self._seek_all, positions)

    def end(self, tp: TP) -> int | None:
        """The next offset to be written, as of the last fetch; ``None`` where none of this assignment returned yet.

        Read from any thread at each look for due timers: Faust's `assignment` and `highwater` build a set each time.
        """
        subscription = self._ensure_consumer()._subscription.subscription  # noqa: SLF001  no other cheap reader
        assignment = None if subscription is None else subscription.assignment
        # aiokafka's partition is a named tuple as Faust's is: they are equal, and so is their hash.
        state = None if assignment is None else assignment.state_value(tp)
        return None if state is None else cast("int | None", state.highwater)

    async def check_coordinator(self) -> bool:
        """Whether the group's coordinator is known. Raises what keeps the client from taking part in its group."""
        return cast(bool, await self.call_thread(self._check_coordinator))

    async def _check_coordinator(self) -> bool:
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001  no public reader
        if coordinator is None:  # not connected yet
            return False
        try:
            coordinator.check_errors()  # the client's own `getmany` does so
        except KafkaError as error:
            if not isinstance(error.__cause__, TopicsNotKnown):
                raise
            # Once its error is read the client joins again, and finds what it asked for meanwhile.
            logger.warning("nothing is assigned yet: %s", error.__cause__)
            self._ensure_consumer()._client.force_metadata_update()  # noqa: SLF001  no public way
            return False
        return coordinator.coordinator_id is not None

    async def _fetch(self, partitions: frozenset[TP], timeout_s: float) -> _Fetched:
        """Of each partition about as many bytes as one fetch may have, whatever they took on the wire.

        The client has what it fetched as it came, compressed or not, and unpacks it record by record.
        """
        consumer = self._ensure_consumer()
        room, most = consumer._max_poll_records, consumer._max_partition_fetch_bytes  # noqa: SLF001  no public readers
        wanted, taken, sizes, seeks = set(partitions), dict[TP, list[Any]](), Counter[TP](), self.seeks
        while wanted and room > 0:
            piece = min(room, _PIECE, max(1, most // (_PIECES * self._record_bytes)))
            found = await self._take(consumer, wanted, 0.0 if taken else timeout_s, piece)
            if seeks != self.seeks:
                # What was taken before a seek counts for nothing: where to read on was said anew.
                wanted, taken, sizes, seeks = set(partitions), {}, Counter(), self.seeks
            if not found:
                break
            for tp, records in found.items():
                size = _size(records)
                self._record_bytes = max(1, size // len(records))
                taken.setdefault(tp, []).extend(records)
                room -= len(records)
                sizes[tp] += size
                if sizes[tp] >= most:
                    wanted.discard(tp)
        # No await since the last records left the buffer: tag and records are of one moment, as `_seek_all` runs here.
        return _Fetched(seeks, taken)

    async def _take(
        self, consumer: AIOKafkaConsumer, wanted: set[TP], timeout_s: float, most: int
    ) -> Mapping[TP, list[Any]]:
        _leave_as_they_are(consumer)
        try:
            return await self._fetch_records(consumer, wanted, timeout=timeout_s, max_records=most)
        except NoOffsetForPartitionError:
            # The client looked for a committed offset before the seek. Every partition read from is sought first.
            return {}
        except OffsetOutOfRangeError as error:
            await self._check_positions(consumer, error)
            return {}

    async def _check_positions(self, consumer: AIOKafkaConsumer, error: OffsetOutOfRangeError) -> None:
        """Raises ``RecordsLost`` where Kafka does not have what must be read next."""
        wanted = error.args[0]
        try:
            starts, ends = await consumer.beginning_offsets(wanted), await consumer.end_offsets(wanted)
        except KafkaError as away:
            logger.info("what Kafka keeps is not known, the next fetch tells: %s", away)
            return
        assignment = consumer._subscription.subscription.assignment  # noqa: SLF001  no public reader
        for tp, offset in wanted.items():
            state = None if assignment is None else assignment.state_value(tp)
            # A fetch sent before the seek may fail after it; only the offset we want tells.
            if state is None or not state.has_valid_position or state.position != offset:
                continue
            if not starts[tp] <= offset <= ends[tp]:
                raise RecordsLost(tp.topic, tp.partition, offset, starts[tp], ends[tp]) from error

    async def _seek_all(self, positions: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        fresh = [tp for tp, position in positions.items() if position == 0]
        # Nothing was read yet: start with the oldest record there is, which retention may have moved above 0.
        oldest = await consumer.beginning_offsets([TopicPartition(*tp) for tp in fresh]) if fresh else {}
        for tp, position in positions.items():
            consumer.seek(TopicPartition(*tp), position or oldest[TopicPartition(*tp)])
        self.seeks += 1

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        # The stock method crashes the worker on any error. Nothing but lag tools reads these offsets: try again later.
        assigned = self.assignment()
        wanted = {TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in assigned}
        if not wanted:
            return False
        try:
            await self._ensure_consumer().commit(wanted)
        except KafkaError as error:
            logger.info("offsets for lag tools not committed: %s", error)
            return False
        return True


def _leave_as_they_are(consumer: AIOKafkaConsumer) -> None:
    """What the client has buffered comes out as its unpacker's own records, which have all that we ask of one.

    It would copy each into an object of eleven fields: 0.5 us of the 0.9 us that a record takes to unpack, and 120
    bytes of 610. What comes in while a fetch waits for it is still copied.
    """
    for found in consumer._fetcher._records.values():  # noqa: SLF001  no public way
        unpacking = getattr(found, "_partition_records", None)  # an error has none
        if unpacking is not None:
            unpacking._consumer_record = _itself  # noqa: SLF001  no public way


def _itself(_tp: TP, record: Any) -> Any:
    return record


def _size(records: Sequence[Any]) -> int:
    """The bytes of values and headers: keys are small."""
    values = sum([len(record.value or b"") for record in records])
    return values + sum([len(value) for record in records if record.headers for _, value in record.headers if value])


class Consumer(stock.Consumer):
    """Faust's consumer, a chunk at a time, with the position taken from the partition's owner.

    Each override says what the stock method does that must not happen here.
    """

    logger = faust_logger
    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._owned: dict[TP, deque[Message]] = {}
        self._committable: dict[TP, int] = {}
        self._room = asyncio.Event()
        self._handing_over: set[asyncio.Task[None]] = set()
        self._taking_over: asyncio.Task[Mapping[TP, int]] | None = None
        # Partition numbers the owner was asked to take over, also where it has not answered yet.
        self._taken: set[int] = set()
        self._looks_for_coordinator = 0

    @property
    def out_of_touch(self) -> bool:
        """Whether the group's coordinator has not been found for a while: without one nothing is assigned."""
        return self._looks_for_coordinator >= _OUT_OF_TOUCH

    @property
    def owner(self) -> PartitionOwner:
        """The app's partition owner."""
        return cast(PartitionOwner, self.app.partition_owner)  # type: ignore[attr-defined]  # streams.app.WorkerApp

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def lag(self, tp: TP, position: int) -> int | None:
        """How many records lie at or after a position, as of the last fetch; ``None`` before the first."""
        end = self._thread.end(tp)
        return None if end is None else max(0, end - position)

    # Fetching

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109  Faust's signature
        """Yields one message per partition that has records.

        The stock method yields one per record, drops fetched records of a partition that was paused meanwhile (the
        client is past them then), and seeks again when the flow stopped during the fetch, at a moment at which
        another worker may own the partitions.
        """
        if not self.flow_active:
            await self.wait(self.can_resume_flow.wait())
        if self.should_stop:
            return
        active = frozenset(self._get_active_partitions())
        if not active <= self._owned.keys():
            raise NotTakenOver("the flow was opened before the assigned partitions were taken over")
        ready = frozenset(tp for tp in active if len(self._owned[tp]) < CHUNKS_IN_HAND)
        if not ready:
            await self._wait_for_room(timeout)
            return
        # With some partitions held back, waiting long for the others would keep them waiting when they have room again.
        fetched = await self._thread.fetch(ready, timeout if ready == active else _FULL_POLL_S)
        if not self.flow_active:
            # A rebalance began while the fetch waited. Records taken after the seek that ends it must not get lost.
            await self.wait(self.can_resume_flow.wait())
        for tp, records in fetched.records.items():
            if self.should_stop or not self.flow_active or fetched.seeks != self._thread.seeks:
                return
            tp = TP(tp.topic, tp.partition)
            read_offset = self._read_offset[tp]
            if tp not in self._owned or not records or (read_offset is not None and records[-1].offset < read_offset):
                continue
            message = self._to_message(tp, records)
            self._owned[tp].append(message)
            yield tp, message

    async def _wait_for_room(self, timeout_s: float) -> None:
        self._room.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._room.wait()
        except TimeoutError:
            pass

    def _to_message(self, tp: TP, records: list[Any]) -> ConsumerMessage:
        last = records[-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            None,
            # Typed as bytes by Faust; PassthroughSchema hands it on as it is.
            cast(bytes, records),
            None,
            0,
            0,
            tp,
            # Without it the stream drops the message without a word.
            generation_id=self.app.consumer_generation_id,
        )

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: the stock method would take the inside of each chunk for a hole and remember every offset of it."""

    # Handing over and acknowledging

    async def hand_over(self, message: Message) -> None:
        """Gives a chunk to the owner. Returns when it is queued, or when a rebalance took the partition away."""
        if not self._in_hand(message):
            return
        chunk = Chunk(message.topic, message.partition, cast("Sequence[RawRecord]", message.value))
        task = asyncio.ensure_future(self.owner.submit(chunk, lambda: self._done(message)))
        self._handing_over.add(task)
        try:
            # `wait`, not `await task`: the task alone is cancelled on revocation, the agent goes on.
            await asyncio.wait({task})
        finally:
            self._handing_over.discard(task)
            task.cancel()
        if not task.cancelled():
            task.result()

    def ack(self, message: Message) -> bool:
        """Marks a chunk done. The stock method keeps single offsets, and those of a former assignment with them."""
        if not self._in_hand(message):
            return False
        message.acked = True
        in_hand = self._owned[message.tp]
        while in_hand and in_hand[0].acked:
            # Chunks were handed out in order, so whatever lies between two of them is a hole and no record.
            self._committable[message.tp] = in_hand.popleft().offset + 1
        self._room.set()
        return True

    def _done(self, message: Message) -> None:
        self.ack(message)

    def _in_hand(self, message: Message) -> bool:
        return any(held is message for held in self._owned.get(message.tp, ()))

    # Offsets for lag tools

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        return [tp for tp in self._committable if topics is None or tp in topics or tp.topic in topics]

    def _new_offset(self, tp: TP) -> int | None:
        """The offset after the last chunk before the first one that is not done."""
        return self._committable.get(tp)

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:  # noqa: ARG002
        # The stock method notes the offsets as committed even where the commit failed, and flushes a producer unused.
        committed = await self._commit(offsets)
        if committed:
            self._committed_offset.update(offsets)
        return committed

    async def on_task_error(self, exc: BaseException) -> None:
        """Nothing: the stock method commits when something failed."""

    # Assignment

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Asks the owner where to read on. Faust calls it after each rebalance, before records flow.

        Raises ``UnevenAssignment``, and whatever the owner raises: all of them stop the worker.
        """
        if self._taking_over is not None:
            # Faust cancels the call of the generation before, but does not wait for its end.
            await asyncio.wait({self._taking_over})
        task = self._taking_over = asyncio.ensure_future(self._take_over())
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        if task.cancelled():
            # Faust's sign for "another rebalance has begun": it waits for that one's assignment.
            raise IllegalStateError("the partitions were revoked while they were being taken over")
        return task.result()

    async def _take_over(self) -> Mapping[TP, int]:
        assigned = {TP(tp.topic, tp.partition) for tp in self.assignment()}
        self._check_assignment(assigned)
        self._taken.update(tp.partition for tp in assigned)
        positions = await self.owner.take_over({(tp.topic, tp.partition) for tp in assigned})
        by_tp = {tp: positions[tp.topic, tp.partition] for tp in assigned}
        await self._seek_all(by_tp)
        self._committable.clear()
        self._owned = {tp: deque() for tp in assigned}
        return by_tp

    async def _seek_all(self, positions: Mapping[TP, int]) -> None:
        while True:
            try:
                await self._thread.seek_all(positions)
            except (KafkaError, OSError) as error:
                if not no_answer(error):
                    raise
                logger.warning("Kafka does not answer, where to read on is not set: %s", error or type(error).__name__)
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    def _check_assignment(self, assigned: AbstractSet[TP]) -> None:
        topics = {tp.topic for tp in assigned}
        for partition in {tp.partition for tp in assigned}:
            missing = {topic for topic in topics if TP(topic, partition) not in assigned}
            if missing:
                raise UnevenAssignment(
                    f"partition {partition} was assigned without topic {min(missing)}: "
                    "all inbound topics must have the same number of partitions and the same workers"
                )

    async def on_partitions_revoked(self, revoked: AbstractSet[TP]) -> None:
        """Stops the flow, lets the owner finish, and commits, before the base class forgets.

        Errors crash the worker here: the client would log and swallow them.
        """
        try:
            # The base class does this too, but later; until then nothing more may reach an agent.
            self.stop_flow()
            self.app.flow_control.suspend()
            self.app.flow_control.clear()
            await self._let_go()
        except Exception as error:  # noqa: BLE001  passed on to the worker
            await self.crash(error)
        await super().on_partitions_revoked(cast(set[TP], revoked))

    async def on_stop(self) -> None:
        """As on revocation; the app has stopped the flow already."""
        try:
            async with asyncio.timeout(STOP_S):
                await self._let_go()
        except TimeoutError:
            logger.warning("a batch in flight was abandoned at stop: it will be run again")

    async def _let_go(self) -> None:
        if self._taking_over is not None:
            self._taking_over.cancel()
            await asyncio.wait({self._taking_over})
        for task in self._handing_over:
            task.cancel()
        if self._taken and not self.crashed:
            await self.owner.release(set(self._taken))
            await self._commit_last()
        self._taken.clear()
        self._owned = {}
        self._committable.clear()

    async def _commit_last(self) -> None:
        try:
            async with asyncio.timeout(_FINAL_COMMIT_S):
                await self.maybe_wait_for_commit_to_finish()
                await self.force_commit()
        except TimeoutError:
            logger.info("offsets for lag tools not committed: the broker did not answer")

    # Supervision

    @Service.task
    async def _watch_coordinator(self) -> None:
        # The client waits until somebody asks for an error it cannot get over alone (an ACL, an unexpected answer of
        # the group coordinator). Faust never asks: its worker would hang without a word.
        while not self.should_stop:
            found = await self._thread.check_coordinator()
            self._looks_for_coordinator = 0 if found else self._looks_for_coordinator + 1
            await self.sleep(_COORDINATOR_CHECK_S)

    @Service.task
    async def _watch_owner(self) -> None:
        failed = self.owner.failed()
        # Shielded: the future is the owner's, and this task is cancelled at each stop.
        await asyncio.shield(failed)

    async def verify_all_partitions_active(self) -> None:
        """Nothing: the stock checks guess from single records and log errors on a partition held back on purpose."""


class Transport(stock.Transport):
    """The transport of ``batch://`` URLs."""

    Consumer: ClassVar[Any] = Consumer


# By name, not by entry point: the driver must also be found where the package was put on the path uninstalled.
TRANSPORTS.aliases[SCHEME] = "streams.driver:Transport"
