"""What lies unread of contacts comes before what is overdue, and is bounded by what was there at one look."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from schemas.journal import RecordBatch, TimerBatch
from streams.partition import Limits
from streams.unread import FRESH_MS, OF_CONTACTS
from tests.support.processing import (
    B,
    F,
    FakeLog,
    Worker,
    World,
    assert_equals_straight_run,
    batches,
    behaviour,
    feedback,
    filled,
    settled,
    until,
)
from tests.support.toy_stage import TIMER_MS

HOUR_MS = 3_600_000


class CountingLog(FakeLog):
    """Counts how often it was asked for ends."""

    looks = 0

    async def spans(self, partitions: Any) -> Mapping[tuple[str, int], tuple[int, int]]:
        self.looks += 1
        return await super().spans(partitions)


async def overdue(world: World, *unread: str, end: int = 0, halted: str | None = None) -> Worker:
    """Who takes a partition over whose three timers are an hour late; feedback of these customers lies unread.

    Behind it are offsets without a record, up to ``end``.
    """
    first = filled(world, 3).worker()
    await first.take_over(0)
    await first.submit(B, world.log.records[B, 0])
    await first.done(2)
    await first.processor.stop()
    world.clock.time_ms += HOUR_MS
    world.backend.partition(0).halted = halted
    world.log.add(F, 0, *(feedback(offset, customer) for offset, customer in enumerate(unread)))
    if end:
        world.log.ends[F, 0] = end
    second = world.worker()
    await second.take_over(0)
    return second


def kinds(world: World) -> list[str]:
    """The topics of the batches in their order, ``timers`` for a sweep; without the first batch."""
    return [one.topic if isinstance(one, RecordBatch) else one.kind for one in world.publisher.journal(0)[1:]]


def test_profiles_and_feedback_are_of_contacts() -> None:
    """Those that the engine, too, lets count before what is overdue."""
    assert {"bank.profiles", "bank.feedback"} == OF_CONTACTS


async def test_what_lay_unread_at_a_take_over_comes_before_timers_and_records() -> None:
    """Neither sweeps nor another topic's records, which run their customers' timers too, overtake it."""
    world = World()
    worker = await overdue(world, "c0", "c1")
    world.log.add(B, 0, behaviour(3, "c0"))
    await worker.submit(B, world.log.records[B, 0][3:])
    await worker.submit(F, world.log.records[F, 0][:1])
    await settled(worker)
    assert kinds(world) == [F]
    await worker.submit(F, world.log.records[F, 0][1:])
    await until(lambda: len(kinds(world)) == 4)
    assert kinds(world) == [F, F, "timers", B]
    await worker.done(3)
    await worker.processor.stop()
    assert_equals_straight_run(world)


async def test_what_comes_later_holds_nothing_up() -> None:
    """Only what was there at the take-over is awaited: a steady flow does not keep timers from running."""
    world = World()
    worker = await overdue(world, "c0")
    world.log.add(F, 0, *(feedback(offset, "c1") for offset in range(1, 50)))
    await worker.submit(F, world.log.records[F, 0][:1])
    await until(lambda: len(kinds(world)) == 2)
    assert kinds(world) == [F, "timers"]
    await worker.processor.stop()
    assert_equals_straight_run(world)


async def test_a_full_queue_does_not_lock_out_what_it_waits_for() -> None:
    """Records that wait for it may fill the queue; what they wait for is taken nevertheless."""
    world = World(limits=Limits(max_batch_seconds=1e9, queue_records=1))
    worker = await overdue(world, "c0")
    world.log.add(B, 0, behaviour(3, "c0"))
    await worker.submit(B, world.log.records[B, 0][3:])
    taken = asyncio.ensure_future(worker.submit(F, world.log.records[F, 0]))
    await until(taken.done)
    await worker.done(3)
    assert kinds(world) == [F, "timers", B]
    await worker.processor.stop()
    assert_equals_straight_run(world)


async def test_offsets_without_a_record_are_not_awaited_for_ever() -> None:
    """Transaction markers at the end of a topic, more than one look of the log holds, are never delivered."""
    world = World()
    worker = await overdue(world, "c0", end=41)
    await worker.submit(F, world.log.records[F, 0])
    await until(lambda: world.clock.sleepers > 0)
    assert kinds(world) == [F]
    await world.clock.advance(1)
    await until(lambda: len(kinds(world)) == 2)
    assert kinds(world) == [F, "timers"]
    await worker.processor.stop()


async def test_a_record_before_offsets_without_one_is_awaited() -> None:
    """The log is asked what is there: the record before the markers still comes first."""
    world = World()
    worker = await overdue(world, "c0", end=41)
    await until(lambda: world.clock.sleepers > 0)
    await world.clock.advance(1)
    await settled(worker)
    assert kinds(world) == []
    await worker.submit(F, world.log.records[F, 0])
    await until(lambda: len(kinds(world)) == 2)
    assert kinds(world) == [F, "timers"]
    await worker.processor.stop()


async def test_a_timer_that_an_outage_held_up_waits_for_what_was_said_meanwhile() -> None:
    """No take-over: an owner that finds a timer late asks how far the topics reach now, and reads so far first.

    What follows within moments is swept without asking again.
    """
    log = CountingLog()
    world = World(log=log, limits=Limits(max_batch_seconds=1e9, timer_limit=1))
    worker = filled(world, 3).worker()
    await worker.take_over(0)
    await worker.submit(B, log.records[B, 0])
    await worker.done(2)
    await until(lambda: world.clock.sleepers == 1)
    log.add(F, 0, feedback(0, "c0"))
    looks = log.looks
    await world.clock.advance((TIMER_MS + FRESH_MS + 1) / 1000)
    await settled(worker)
    assert batches(world, TimerBatch) == []
    await worker.submit(F, log.records[F, 0])
    await until(lambda: len(kinds(world)) == 3)
    assert kinds(world) == [F, "timers", "timers"], "of three timers the record's own customer needs none"
    assert log.looks == looks + 1
    await worker.processor.stop()
    assert_equals_straight_run(world)


async def test_a_timer_in_its_time_asks_nothing() -> None:
    """The usual sweep costs no question to Kafka."""
    log = CountingLog()
    world = World(log=log)
    worker = filled(world, 3).worker()
    await worker.take_over(0)
    await worker.submit(B, log.records[B, 0])
    await worker.done(2)
    await until(lambda: world.clock.sleepers == 1)
    looks = log.looks
    await world.clock.advance(TIMER_MS / 1000)
    await until(lambda: len(batches(world, TimerBatch)) == 1)
    assert log.looks == looks
    await worker.processor.stop()


async def test_a_halted_partition_does_not_wait_for_what_it_does_not_read() -> None:
    """Its timers go on, as its operator is told."""
    world = World()
    worker = await overdue(world, "c0", halted="a flood")
    await until(lambda: kinds(world) == ["timers"])
    await worker.processor.stop()
