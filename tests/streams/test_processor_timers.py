"""The processor: timers by the clock of the wall, and by the time of the records."""

from __future__ import annotations

from schemas.journal import TimerBatch
from streams.partition import Limits
from tests.support.processing import (
    START_MS,
    B,
    F,
    World,
    assert_equals_straight_run,
    batches,
    behaviour,
    cut_off,
    feedback,
    filled,
    settled,
    until,
)
from tests.support.toy_stage import TIMER_MS


class TestTimersByTheWall:
    async def test_fire_when_due_and_not_before(self) -> None:
        """An idle partition wakes for its timers by the clock, up to the millisecond."""
        world = filled(World(), 3)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(2)
        await until(lambda: world.clock.sleepers == 1)
        await world.clock.advance((TIMER_MS - 1) / 1000)
        await settled(worker)
        assert batches(world, TimerBatch) == []
        await world.clock.advance(0.001)
        await until(lambda: len(batches(world, TimerBatch)) == 1 and world.trace[-1][0] == "commit")
        entry = batches(world, TimerBatch)[0]
        assert (entry.until_ms, entry.now_ms) == (START_MS + TIMER_MS, START_MS + TIMER_MS)
        assert_equals_straight_run(world)
        await worker.processor.stop()

    async def test_more_than_one_batch_can_hold_are_swept_in_several(self) -> None:
        """Timers beyond the bound follow at once, none twice."""
        world = filled(World(limits=Limits(timer_limit=4, max_batch_seconds=1e9)), 10, customers=10)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(9)
        await until(lambda: world.clock.sleepers == 1)
        await world.clock.advance(TIMER_MS / 1000)
        await until(lambda: not world.backend.partition(0).stage("customer").order)
        assert len(batches(world, TimerBatch)) == 3
        await worker.processor.stop()
        assert_equals_straight_run(world)
        assert len(world.publisher.outputs(0)) == 10

    async def test_overdue_timers_run_after_a_take_over(self) -> None:
        """Timers that fell due while nobody owned the partition are swept without waiting for a record."""
        world = filled(World(), 3)
        first = world.worker()
        await first.take_over(0)
        await first.submit(B, world.log.records[B, 0])
        await first.done(2)
        await first.processor.stop()
        world.clock.time_ms += 3_600_000
        second = world.worker()
        await second.take_over(0)
        await until(lambda: len(world.publisher.outputs(0)) == 3)
        await second.processor.stop()
        assert_equals_straight_run(world)

    async def test_records_and_timers_take_turns(self) -> None:
        """A backlog of records does not starve timers, nor the other way round."""
        world = filled(World(limits=Limits(max_batch=3, max_batch_seconds=1e9, timer_limit=1)), 6, customers=6)
        first = world.worker()
        await first.take_over(0)
        await first.submit(B, world.log.records[B, 0])
        await first.done(5)
        await first.processor.stop()
        world.clock.time_ms += TIMER_MS
        world.log.add(B, 0, *(behaviour(offset, "other") for offset in range(6, 15)))
        second = world.worker()
        await second.take_over(0)
        await second.submit(B, world.log.records[B, 0][6:])
        await second.done(14)
        await second.processor.stop()
        kinds = [entry.kind for entry in world.publisher.journal(0)[2:]]
        assert kinds[:6] in (["timers", "records"] * 3, ["records", "timers"] * 3)
        assert_equals_straight_run(world)


class TestTimersByTheRecords:
    def world(self) -> World:
        return World(clock_mode="record")

    async def test_a_later_record_makes_timers_due(self) -> None:
        """The records' time, not the wall clock's, decides; the sweep goes to the newest record."""
        world = self.world()
        late = START_MS + TIMER_MS + 77
        world.log.add(B, 0, behaviour(0, "c0"), behaviour(1, "c1"))
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(1)
        await world.clock.advance(365 * 86_400)
        await settled(worker)
        assert batches(world, TimerBatch) == []
        world.log.add(B, 0, behaviour(2, "c2", at=late))
        await worker.submit(B, world.log.records[B, 0][2:])
        await until(lambda: len(batches(world, TimerBatch)) == 1)
        assert batches(world, TimerBatch)[0].until_ms == late
        await worker.processor.stop()
        assert_equals_straight_run(world)

    async def test_a_topic_with_records_to_read_holds_the_others_back(self) -> None:
        """A topic that lags may still bring an older record; the sweep waits until it is read, then happens."""
        world = self.world()
        late = START_MS + 5 * TIMER_MS
        world.log.add(B, 0, behaviour(0, "c2"), behaviour(1, "c1", at=late))
        world.log.add(F, 0, feedback(0, "c0", at=START_MS + 1), feedback(1, "c0", at=late + 5))
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.submit(F, world.log.records[F, 0][:1])
        await until(lambda: ("done", 0) in world.trace)
        await settled(worker)
        assert batches(world, TimerBatch) == []
        await worker.submit(F, world.log.records[F, 0][1:])
        await until(lambda: len(batches(world, TimerBatch)) == 1)
        await worker.processor.stop()
        assert batches(world, TimerBatch)[0].until_ms == late + 5
        assert_equals_straight_run(world)

    async def test_a_topic_never_seen_and_not_read_to_its_end_holds_back(self) -> None:
        """Of a topic with unread records of unknown time nothing can be said; asked again, it may have been read."""
        world = self.world()
        world.log.add(B, 0, behaviour(0, "c0"), behaviour(1, "c1", at=START_MS + 2 * TIMER_MS))
        world.log.ends[F, 0] = 1
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(1)
        await until(lambda: world.clock.sleepers == 1)
        assert batches(world, TimerBatch) == []
        world.log.ends[F, 0] = 0
        await world.clock.advance(0.25)
        await until(lambda: len(batches(world, TimerBatch)) == 1)
        await worker.processor.stop()
        assert_equals_straight_run(world)

    async def test_a_new_owner_knows_the_time_of_the_last_records(self) -> None:
        """The timers that the last owner's records made due do not wait for new records."""
        world = self.world()
        world.log.add(B, 0, behaviour(0, "c0"), behaviour(1, "c1", at=START_MS + 2 * TIMER_MS))
        await cut_off(world, "after commit")
        assert batches(world, TimerBatch) == []
        second = world.worker()
        await second.take_over(0)
        await until(lambda: len(batches(world, TimerBatch)) == 1)
        await second.processor.stop()
        assert_equals_straight_run(world)
