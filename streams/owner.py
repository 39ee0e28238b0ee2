"""The task that owns one partition: its bounded queue, and the choice of the next batch."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter, le

from schemas.encode import encode
from schemas.journal import RecordBatch, TimerBatch
from streams.breaker import Breaker
from streams.partition import Partition, RecordsRead, Services
from streams.refusals import PartitionTaken, WentBack
from streams.stages import Route
from streams.store import Fenced, StoreRolledBack
from streams.unread import Unread
from triggers.engine.batch import RawRecord

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
"""How often an idle partition asks anew whether its other topics are read to their end (``clock: record``)."""
_RESUME_SECONDS = 1.0
"""How often a halted partition asks whether it may go on."""
_UNDELIVERED_SECONDS = 1.0
"""After so long without a record of those that come first, the log is asked whether there is one at all."""
_LOOK_SECONDS = 30.0
"""The longest sleep before a timer: the wall clock may be set while we sleep."""
_offset = attrgetter("offset")


@dataclass(slots=True)
class _Queued:
    route: Route
    records: Sequence[RawRecord]
    done: Callable[[], None]
    begin: int = 0


class Owner:
    """Runs the batches of one partition, strictly one after another, over all its topics and timers.

    Record batches and timer batches take turns while both wait; what has to be read first (``unread``) goes before
    either. Consecutive chunks of one topic are run as one
    batch, a large chunk as several; a batch ends early where its bad records halt the partition. When the store
    refuses the epoch, the owner gives up: its queue is dropped, chunks are ignored from then on. Any other error goes
    to ``failed``.
    """

    def __init__(
        self, partition: Partition, services: Services, unread: Unread, failed: Callable[[Exception], None]
    ) -> None:
        self.partition = partition
        self._services = services
        self._unread = unread
        self._failed = failed
        self._queue: deque[_Queued] = deque()
        self._later: deque[_Queued] = deque()
        """What was queued of other topics while something has to be read first."""
        self._waiting_records = 0
        self._room = asyncio.Event()
        self._wake = asyncio.Event()
        self._closed = False
        self._stopping = False
        self._timers_next = False
        self._breaker = Breaker(services.limits.dead_letter_window, services.limits.dead_letter_percent)
        self._pace = _Pace(services.limits.max_batch, services.limits.max_batch_seconds)
        self._task: asyncio.Task[None] | None = None

    def start(self, *, fenced: bool = False) -> None:
        """Starts the task. ``fenced``: the partition was lost while it was taken over."""
        if self.partition.halted is not None:
            self._tell_halted(self.partition.halted)
        self._task = asyncio.create_task(self._main(fenced), name=f"partition-{self.partition.number}")

    async def submit(self, route: Route, records: Sequence[RawRecord], done: Callable[[], None]) -> None:
        """Queues records in offset order; waits while the queue is full. ``done`` is called after their commit.

        Raises ``ValueError`` where the offsets do not ascend.
        """
        offsets = [record.offset for record in records]
        if any(map(le, offsets[1:], offsets)):
            raise ValueError(f"offsets of {route.kafka_topic} partition {self.partition.number} do not ascend")
        # What may have to be read first never waits behind what waits for it; of that the driver has few chunks.
        if not self._unread.concerns(route.topic.name):
            while self._waiting_records >= self._services.limits.queue_records and not self._closed:
                self._room.clear()
                await self._room.wait()
        if self._closed:
            return
        self._queue.append(_Queued(route, records, done))
        self._waiting_records += len(records)
        self._wake.set()

    async def stop(self, seconds: float) -> bool:
        """Ends the task; a batch in flight has so long to commit. True where nothing was broken off."""
        self._stopping = True
        self._close()
        self._wake.set()
        task = self._task
        if task is None:
            return self.partition.clean
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                log.warning("partition %d: a batch is broken off, the next owner runs it", self.partition.number)
                task.cancel()
        await asyncio.wait({task})
        return self.partition.clean

    def _close(self) -> None:
        """Takes no more chunks; whoever waits to queue one goes on without."""
        self._closed = True
        self._room.set()

    async def _main(self, fenced: bool) -> None:
        try:
            if not fenced:
                while not self._stopping:
                    await self._step()
                return
        except StoreRolledBack as error:
            self._close()
            self._failed(WentBack(self.partition.number, error))
            return
        except Fenced:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker must end: nothing may be acked past it
            self._close()
            self._failed(error)
            return
        finally:
            self._queue.clear()
            self._later.clear()
        await self._give_up()

    async def _give_up(self) -> None:
        self._close()
        self._services.cache.drop(self.partition.number)
        self.partition.clean = False
        log.warning(
            "partition %d was taken over by another worker (our epoch was %d): given up",
            self.partition.number,
            self.partition.epoch,
        )
        # A rebalance ends this wait. Where none comes nobody would ever run this partition again.
        seconds = self._services.limits.fenced_grace_seconds
        if not self._stopping and not await self._idle(seconds):
            self._failed(PartitionTaken(self.partition.number, seconds))

    async def _step(self) -> None:
        due = self._due()
        if await self._reads_first(due):
            if not self._queue:
                if not await self._idle(_UNDELIVERED_SECONDS):
                    await self._unread.leave_out_empty(self.partition.positions)
                return
            due = None
        if due is not None and (self._timers_next or not self._queue or self.partition.halted is not None):
            self._timers_next = False
            await self._sweep(*due)
        elif self.partition.halted is not None:
            await self._wait_for_operator()
            return
        elif self._queue:
            self._timers_next = True
            await self._run_queued()
        else:
            await self._idle(self._seconds_to_wait())
            return
        # With everything cached and acknowledged at once a batch may never have waited: let others run.
        await asyncio.sleep(0)

    async def _reads_first(self, due: tuple[str, int, int] | None) -> bool:
        """Whether something has to be read before all else; only that is queued then."""
        unread, partition = self._unread, self.partition
        if partition.halted is not None:  # nothing is read, and its timers go on
            return False
        if not unread.awaited:
            if due is None or not unread.held_up(partition.next_due[due[0]], due[2]):
                return False
            await unread.look()
        if unread.reached(partition.positions, self._services.clock.now_ms()):
            self._queue.extend(self._later)
            self._later.clear()
            # At least one sweep after each look: however long the batches last, timers go on.
            self._timers_next = True
            return False
        for _ in range(len(self._queue)):
            queued = self._queue.popleft()
            (self._queue if unread.concerns(queued.route.topic.name) else self._later).append(queued)
        return True

    async def _run_queued(self) -> None:
        route = self._queue[0].route
        topic = route.topic.name
        position = self.partition.positions[topic]
        records, taken = self._collect(route, position)
        # Before it is announced: a batch that is run again is cut where it was, by the offsets of its entry.
        read = self.partition.read(topic, records, self._breaker.room)
        if len(read.decoded.records) < len(records):
            records = records[: len(read.decoded.records)]
            taken = _used(taken, records[-1].offset + 1)
        if records:
            if records[0].offset > position:
                await self._verify_hole(route, position, records[0].offset - 1)
            await self._run_records(route, position, read, records[-1].offset)
        for queued, end in taken:
            self._waiting_records -= end - queued.begin
            queued.begin = end
            if end == len(queued.records):
                self._queue.popleft()
                queued.done()
        if self._waiting_records < self._services.limits.queue_records:
            self._room.set()

    def _collect(self, route: Route, position: int) -> tuple[list[RawRecord], list[tuple[_Queued, int]]]:
        """The next batch from the head of the queue, and up to which index it uses each chunk.

        Records below the position are passed over: they are committed, and were fetched before the last seek.
        """
        records: list[RawRecord] = []
        taken: list[tuple[_Queued, int]] = []
        room = self._pace.size
        for queued in self._queue:
            if queued.route is not route or room == 0:
                break
            chunk, begin = queued.records, queued.begin
            floor = records[-1].offset + 1 if records else position
            while begin < len(chunk) and chunk[begin].offset < floor:
                begin += 1
            if records and begin < len(chunk) and chunk[begin].offset != floor:
                break  # A hole between chunks is verified at the head of a batch.
            end = min(begin + room, len(chunk))
            records.extend(chunk[begin:end])
            room -= end - begin
            taken.append((queued, end))
            if end < len(chunk):
                break
        return records, taken

    async def _verify_hole(self, route: Route, first: int, last: int) -> None:
        # Transaction markers and compaction leave offsets without a record. A record there would have been skipped.
        skipped = await self._services.source.read(route.kafka_topic, self.partition.number, first, last)
        if skipped:
            raise RuntimeError(
                f"{route.kafka_topic} partition {self.partition.number}: records from offset {skipped[0].offset} on "
                f"were not delivered before offset {last + 1}"
            )

    async def _run_records(self, route: Route, position: int, read: RecordsRead, last: int) -> None:
        services, partition = self._services, self.partition
        ruleset = await services.rulesets.current()
        entry = RecordBatch(
            tenant=services.tenant,
            partition=partition.number,
            sequence=partition.sequence + 1,
            epoch=partition.epoch,
            stage=route.stage.name,
            topic=route.topic.name,
            first_offset=position,
            last_offset=last,
            ruleset=ruleset.hash,
            clock=services.clock_mode,
            now_ms=services.clock.now_ms(),
        )
        report = await partition.run_records(entry, encode(entry), read, ruleset)
        records = len(read.decoded.records)
        self._pace.took(records, report.evaluate_seconds)
        flood = self._breaker.saw(records, report.counts["dead_letters"])
        if flood is not None:
            await services.patience.insist(lambda: services.store.halt(partition.number, partition.epoch, flood))
            partition.halted = flood
            self._tell_halted(flood)

    def _tell_halted(self, why: str) -> None:
        number = self.partition.number
        log.critical(
            "partition %d is halted: %s; its timers go on. Mend the publisher, then: "
            "bank-triggers state resume --partition %d",
            number,
            why,
            number,
        )

    async def _wait_for_operator(self) -> None:
        services, number = self._services, self.partition.number
        if await services.patience.insist(lambda: services.store.halted(number)) is None:
            log.info("partition %d goes on: an operator resumed it", number)
            self.partition.halted = None
            self._breaker.reset()
            return
        await self._idle(_RESUME_SECONDS, halted=True)

    async def _sweep(self, stage: str, until_ms: int, now_ms: int) -> None:
        services, partition = self._services, self.partition
        ruleset = await services.rulesets.current()
        entry = TimerBatch(
            tenant=services.tenant,
            partition=partition.number,
            sequence=partition.sequence + 1,
            epoch=partition.epoch,
            stage=stage,
            until_ms=until_ms,
            limit=services.limits.timer_limit,
            ruleset=ruleset.hash,
            clock=services.clock_mode,
            now_ms=now_ms,
        )
        await partition.run_timers(entry, encode(entry), ruleset)

    def _due(self) -> tuple[str, int, int] | None:
        """The stage whose timers are longest due, the time to sweep to, and the wall clock's time."""
        due = self.partition.next_due
        if not due:
            return None
        now = self._services.clock.now_ms()
        for stage in sorted(due, key=lambda name: (due[name], name)):
            until = now if self._services.clock_mode == "wall" else self._reached(stage)
            if until is not None and due[stage] <= until:
                return stage, until, now
        return None

    def _reached(self, stage: str) -> int | None:
        number, lag = self.partition.number, self._services.lag
        routes = self._services.routes.of_stage(stage)
        return self.partition.watermark.reached(
            routes, self.partition.positions, lambda topic, position: lag(topic, number, position)
        )

    def _seconds_to_wait(self) -> float | None:
        """How long to sleep when no record waits; ``None``: until one comes."""
        due = self.partition.next_due
        if not due:
            return None
        if self._services.clock_mode == "wall":
            return min(max(min(due.values()) - self._services.clock.now_ms(), 1) / 1000, _LOOK_SECONDS)
        for stage, first in due.items():
            newest = self.partition.watermark.newest(self._services.routes.of_stage(stage))
            if newest is not None and newest >= first:
                return _POLL_SECONDS
        return None

    async def _idle(self, seconds: float | None, *, halted: bool = False) -> bool:
        """Waits for work or a stop; at most so long. False when the time ran out. What is queued while halted waits."""
        self._wake.clear()
        if self._stopping or (self._queue and not halted):
            return True
        woken = asyncio.create_task(self._wake.wait())
        tasks: set[asyncio.Task[object]] = {woken}
        if seconds is not None:
            tasks.add(asyncio.create_task(self._services.clock.sleep(seconds)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        return self._wake.is_set()


def _used(taken: Sequence[tuple[_Queued, int]], until: int) -> list[tuple[_Queued, int]]:
    """What a batch uses of each chunk if it ends below the offset ``until``."""
    used = []
    for queued, end in taken:
        end = bisect_left(queued.records, until, queued.begin, end, key=_offset)
        used.append((queued, end))
        if end < len(queued.records):
            break
    return used


class _Pace:
    """How many records a batch may have, so that its evaluation keeps within its time."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._per_record = 0.0
        self.size = most

    def took(self, records: int, seconds: float) -> None:
        """Learns from a batch."""
        # A moving mean: one slow batch (a collected garbage, another process) should not halve the next ones.
        self._per_record += 0.2 * (seconds / records - self._per_record)
        if self._per_record > 0:
            self.size = max(1, min(self._most, int(self._seconds / self._per_record)))
