"""The processor: what a batch is made of, records that are missing or unreadable, and a flood of dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.journal import RecordBatch, TimerBatch
from schemas.topics import DEAD_LETTERS
from streams import partition
from streams.partition import Limits
from streams.refusals import RecordsLost
from tests.support.processing import (
    SMALL,
    START_MS,
    B,
    F,
    Interrupter,
    Raw,
    Worker,
    World,
    assert_equals_straight_run,
    batches,
    behaviour,
    filled,
    settled,
    until,
)
from tests.support.toy_stage import TIMER_MS, ToyStage


@dataclass(frozen=True, slots=True)
class Stamped(Raw):
    """As Kafka's client has it, with the time in ms at which Kafka got it."""

    timestamp: int


class TestBatches:
    async def test_large_chunk_is_split_and_acked_once(self) -> None:
        """A chunk beyond the bound becomes several batches; it is acknowledged after the last."""
        world = filled(World(limits=SMALL), 10)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(9)
        assert [(e.first_offset, e.last_offset) for e in batches(world)] == [(0, 2), (3, 5), (6, 8), (9, 9)]
        assert world.trace.kinds().count("done") == 1
        assert world.trace.kinds()[-2:] == ["commit", "done"]

    async def test_small_chunks_are_joined(self) -> None:
        """Chunks that wait together become one batch, each acknowledged after its commit."""
        world = filled(World(), 9)
        worker = world.worker()
        await worker.take_over(0)
        for begin in range(0, 9, 3):
            await worker.submit(B, world.log.records[B, 0][begin : begin + 3])
        await worker.done(8)
        assert [(e.first_offset, e.last_offset) for e in batches(world)] == [(0, 8)]
        assert world.trace[-4:] == [("commit", 1), ("done", 2), ("done", 5), ("done", 8)]

    @pytest.mark.parametrize("timers", [False, True])
    async def test_the_time_of_a_batch_is_told_by_phase(self, monkeypatch: pytest.MonkeyPatch, timers: bool) -> None:
        """Announcing and loading, evaluating, publishing, committing: each takes as long as that which it waits for."""
        passed = [0.0]
        takes = {"after announce": 1.0, "before publish": 100.0, "after commit": 1_000.0}

        class Slow(Interrupter):
            async def at(self, step: str) -> None:
                passed[0] += takes.get(step, 0.0)

        class Thinks(ToyStage):
            def take_due_change(self, state: Any) -> Any:
                passed[0] += 10.0
                return super().take_due_change(state)

            def next_due(self, state: Any) -> Any:
                passed[0] += 10.0
                return super().next_due(state)

        monkeypatch.setattr(partition, "time", SimpleNamespace(perf_counter=lambda: passed[0]))
        world = filled(World(stage=Thinks()), 1)
        worker = world.worker(Slow())
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(0)
        if timers:
            await until(lambda: world.clock.sleepers > 0)
            await world.clock.advance(TIMER_MS / 1000)
            await until(lambda: len(world.reports) == 2)
        report = world.reports[-1]
        assert report.phases == {"load": 1.0, "evaluate": 10.0, "publish": 100.0, "commit": 1_000.0}
        assert (report.evaluate_seconds, report.total_seconds) == (10.0, 1_111.0)

    @pytest.mark.parametrize(
        ("clock", "stamps", "waited"),
        [
            ("wall", (-700, -400, -100), {"first": 0.7, "last": 0.1}),
            ("wall", (-700, -400, 50), {"first": 0.7, "last": 0.0}),
            ("wall", (-START_MS - 1, -400, -100), {"last": 0.1}),
            ("record", (-700, -400, -100), {"first": 0.7, "last": 0.1}),
        ],
    )
    async def test_how_long_its_records_were_on_kafka_is_told(
        self, clock: str, stamps: Sequence[int], waited: Mapping[str, float]
    ) -> None:
        """The first and the last, whichever clock decisions go by; one that is ahead or no time stamp makes no wait."""
        world = World(clock_mode=clock)
        raw = [behaviour(offset, f"c{offset}") for offset in range(3)]
        records = [Stamped(r.offset, r.key, r.value, START_MS + at) for r, at in zip(raw, stamps, strict=True)]
        world.log.add(B, 0, *records)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, records)
        await worker.done(2)
        assert world.reports[0].waited_seconds == waited

    async def test_slow_evaluation_makes_smaller_batches(self) -> None:
        """When records take long, a batch has fewer of them, so that the loop is not held up."""

        class Slow(ToyStage):
            def process(self, record: Any, state: Any, ruleset: Any, now: int | None) -> Any:
                for _ in range(2_000):
                    pass
                return super().process(record, state, ruleset, now)

        world = filled(World(stage=Slow(), limits=Limits(max_batch=100, max_batch_seconds=1e-4)), 300)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(299)
        sizes = [entry.last_offset - entry.first_offset + 1 for entry in batches(world)]
        assert sizes[0] == 100
        assert max(sizes[1:]) < 100
        assert_equals_straight_run(world)

    async def test_other_tasks_run_between_batches(self) -> None:
        """Even when nothing ever waits, the loop turns between two batches."""
        world = filled(World(limits=SMALL), 30)
        worker = world.worker()
        await worker.take_over(0)
        turns: list[int] = []

        async def turn() -> None:
            while ("done", 29) not in world.trace:
                turns.append(world.trace.kinds().count("commit"))
                await asyncio.sleep(0)

        watching = asyncio.create_task(turn())
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(29)
        await watching
        assert set(range(1, 10)) <= set(turns)

    async def test_records_below_the_position_are_passed_over(self) -> None:
        """What was committed and arrives again changes nothing and is acknowledged."""
        world = filled(World(), 10)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][:6])
        await worker.done(5)
        await worker.submit(B, world.log.records[B, 0][2:5])
        await worker.done(4)
        await worker.submit(B, world.log.records[B, 0][3:])
        await worker.done(9)
        assert [(e.first_offset, e.last_offset) for e in batches(world)] == [(0, 5), (6, 9)]
        assert world.stage.processed == 10
        assert_equals_straight_run(world)

    async def test_hole_without_records_is_part_of_the_range(self) -> None:
        """Offsets without a record are covered by the entry, so that the journal's ranges touch."""
        world = World()
        world.log.add(B, 0, *(behaviour(offset, "c0") for offset in (0, 1, 2, 7, 8, 11)))
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][:3])
        await worker.done(2)
        await worker.submit(B, world.log.records[B, 0][3:5])
        await worker.submit(B, world.log.records[B, 0][5:])
        await worker.done(11)
        assert [(e.first_offset, e.last_offset) for e in batches(world)] == [(0, 2), (3, 8), (9, 11)]
        assert world.log.reads == [(B, 0, 3, 6), (B, 0, 9, 10)]
        assert_equals_straight_run(world)

    async def test_hole_with_a_record_ends_the_worker(self) -> None:
        """A readable record that was not delivered is a bug: it would be lost."""
        world = filled(World(), 10)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][4:])
        await until(worker.processor.failed().done)
        with pytest.raises(RuntimeError, match="from offset 0 on were not delivered before offset 4"):
            worker.processor.failed().result()
        assert world.trace == []

    async def test_records_that_retention_ate_while_we_lagged_end_the_worker(self) -> None:
        """A hole below the start of the log held records nobody can read any more: refused, as at a take-over."""
        world = filled(World(), 10)
        worker = world.worker()
        await worker.take_over(0)
        world.log.starts[B, 0] = 4
        await worker.submit(B, world.log.records[B, 0][4:])
        await until(worker.processor.failed().done)
        with pytest.raises(RecordsLost, match="position is 0, but the log begins at offset 4"):
            worker.processor.failed().result()
        assert world.trace == []

    async def test_offsets_out_of_order_are_refused(self) -> None:
        """A chunk whose offsets do not ascend is a bug of the reader."""
        world = filled(World(), 4)
        worker = world.worker()
        await worker.take_over(0)
        with pytest.raises(ValueError, match="do not ascend"):
            await worker.submit(B, world.log.records[B, 0][::-1])
        with pytest.raises(ValueError, match="do not ascend"):
            await worker.submit(B, [*world.log.records[B, 0], world.log.records[B, 0][-1]])
        await worker.processor.stop()

    async def test_unreadable_record_becomes_a_dead_letter_and_the_partition_moves_on(self) -> None:
        """A poison record ends on the dead letter topic, in its batch, with its original bytes."""
        world = World()
        world.log.add(B, 0, behaviour(0, "c0"), Raw(1, b"c0", b"{nonsense"), behaviour(2, "c0"))
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(2)
        assert world.publisher.outputs(0) == {b"{nonsense": "bank.dead-letters"}
        assert world.backend.partition(0).positions[B] == 3

    async def test_full_queue_holds_the_reader_back(self) -> None:
        """While a partition's queue is full, submit waits; another partition's does not."""
        world = filled(filled(World(limits=Limits(queue_records=4, release_seconds=0.05)), 12), 4, partition=1)
        worker = world.worker()
        world.interrupter.hang["after announce"] = 0
        await worker.take_over(0, 1)
        await worker.submit(B, world.log.records[B, 0][:4])
        waiting = asyncio.create_task(worker.submit(B, world.log.records[B, 0][4:8]))
        await until(lambda: bool(world.interrupter.hung))
        await settled(worker)
        assert not waiting.done()
        await worker.submit(B, world.log.records[B, 1], 1)
        await worker.processor.release({0, 1})
        await waiting
        assert "done" not in world.trace.kinds()

    async def test_room_in_the_queue_lets_the_reader_go_on(self) -> None:
        """A reader that waits for room goes on as soon as a batch is committed."""
        world = filled(World(limits=Limits(queue_records=4)), 12)
        worker = world.worker()
        await worker.take_over(0)
        for begin in range(0, 12, 4):
            await worker.submit(B, world.log.records[B, 0][begin : begin + 4])
        await worker.done(11)
        assert_equals_straight_run(world)

    async def test_only_states_not_in_memory_are_loaded(self) -> None:
        """A state is read from the store once, then kept in memory."""
        world = filled(World(limits=SMALL), 9)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(8)
        assert worker.store.loaded == ["c0", "c1", "c2"]

    async def test_prefix_is_kafkas_affair_alone(self) -> None:
        """A topic prefix shows in what is read from Kafka, not in positions or journal."""
        world = World(prefix="blue.")
        world.log.add("blue." + B, 0, *(behaviour(offset, "c0") for offset in range(5)))
        worker = world.worker()
        assert await worker.take_over(0) == {("blue." + B, 0): 0, ("blue." + F, 0): 0}
        await worker.submit(B, world.log.records["blue." + B, 0])
        await worker.done(4)
        assert world.backend.partition(0).positions == {B: 5}
        assert batches(world)[0].topic == B
        assert_equals_straight_run(world)


class TestFlood:
    """More dead letters than the limit: the partition is halted until an operator says so."""

    LIMITS = Limits(
        max_batch=10, max_batch_seconds=1e9, release_seconds=0.05, dead_letter_window=100, dead_letter_percent=5
    )

    def flooded(self) -> World:
        """Ten good records, ten bad ones, ten good ones."""
        world = World(limits=self.LIMITS)
        good = [behaviour(offset, "c1", at=START_MS + offset) for offset in range(30)]
        bad = [Raw(offset, b"c1", b"{") for offset in range(10, 20)]
        world.log.add(B, 0, *good[:10], *bad, *good[20:])
        return world

    async def halted(self) -> tuple[World, Worker]:
        """The flood has come."""
        world = self.flooded()
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await until(lambda: world.backend.partition(0).halted is not None)
        return world, worker

    async def test_consumption_stops_and_an_operator_resumes_it(self, caplog: pytest.LogCaptureFixture) -> None:
        """The batch ends with the sixth bad one, what follows waits, and is run after ``resume``, nothing lost."""
        world, worker = await self.halted()
        await settled(worker)
        assert world.backend.partition(0).positions == {B: 16}
        assert world.backend.partition(0).halted == "6 of the last 16 records were dead letters, more than 5% of 100"
        assert "bank-triggers state resume --partition 0" in caplog.text
        await world.clock.advance(60)
        assert world.backend.partition(0).positions == {B: 16}
        assert await worker.store.resume(0)
        await world.clock.advance(2)
        await worker.done(29)
        assert world.backend.partition(0).positions == {B: 30}
        assert_equals_straight_run(world)

    async def test_it_lasts_through_a_take_over(self) -> None:
        """The next worker consumes nothing either."""
        world, first = await self.halted()
        await first.kill()
        second = world.worker()
        await second.take_over(0)
        await second.submit(B, world.log.records[B, 0][16:])
        await world.clock.advance(60)
        assert world.backend.partition(0).positions == {B: 16}
        assert await second.store.resume(0)
        await world.clock.advance(2)
        await second.done(29)
        assert_equals_straight_run(world)

    async def test_timers_go_on(self) -> None:
        """What customers wait for comes though their bank's publisher is broken."""
        world, _ = await self.halted()
        assert not batches(world, TimerBatch)
        await world.clock.advance(2 * TIMER_MS / 1000)
        await until(lambda: bool(batches(world, TimerBatch)))
        assert world.backend.partition(0).positions == {B: 16}

    async def test_at_the_defaults_no_more_is_set_aside_than_the_limit_and_one(self) -> None:
        """Though a batch may hold 5,000: 101 at first, as many after ``resume``; what was cut is run again as cut."""
        world = World(limits=Limits(max_batch=5_000, max_batch_seconds=1e9, release_seconds=0.05))
        bad = [Raw(offset, b"c1", b"{%d" % offset) for offset in range(5_000)]
        world.log.add(B, 0, *bad)
        first = world.worker()
        await first.take_over(0)
        await first.submit(B, bad)
        for limit in (101, 202):
            await until(lambda: world.backend.partition(0).halted is not None)
            assert (world.backend.partition(0).positions, _set_aside(world)) == ({B: limit}, limit)
            assert await first.store.resume(0)
            if limit == 202:
                world.interrupter.hang["after announce"] = 0
            await world.clock.advance(2)
        await until(lambda: bool(world.interrupter.hung))
        await first.kill()

        second = world.worker(Interrupter())
        assert (await second.take_over(0))[B, 0] == 303
        assert _set_aside(world) == 303
        # What the last owner had counted is not known: it begins anew.
        await second.submit(B, bad[303:])
        await until(lambda: world.backend.partition(0).halted is not None)
        assert (world.backend.partition(0).positions, _set_aside(world)) == ({B: 404}, 404)
        assert [entry.last_offset for entry in batches(world, RecordBatch)] == [100, 201, 302, 403]
        assert_equals_straight_run(world)

    async def test_a_batch_that_ends_early_acknowledges_only_what_it_used(self) -> None:
        """Of three chunks in one batch the first alone is done; all are after ``resume``, in order."""
        world = self.flooded()
        world.limits = replace(self.LIMITS, max_batch=100)
        worker = world.worker()
        await worker.take_over(0)
        for begin in (0, 10, 20):
            await worker.submit(B, world.log.records[B, 0][begin : begin + 10])
        await until(lambda: world.backend.partition(0).halted is not None)
        await settled(worker)
        assert world.backend.partition(0).positions == {B: 16}
        assert [last for kind, last in world.trace if kind == "done"] == [9]
        assert await worker.store.resume(0)
        await world.clock.advance(2)
        await worker.done(29)
        assert [last for kind, last in world.trace if kind == "done"] == [9, 19, 29]
        assert _set_aside(world) == 10
        assert_equals_straight_run(world)

    async def test_a_stop_does_not_wait_for_the_operator(self) -> None:
        """A halted partition is given back at once."""
        _, worker = await self.halted()
        await worker.processor.stop()
        assert not worker.processor.partitions


def _set_aside(world: World) -> int:
    """How many dead letters there are, repeats included."""
    return sum(message.topic == DEAD_LETTERS for _, message in world.publisher.messages)
