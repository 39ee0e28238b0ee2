"""The processor: the order of effects, and what it does while the store is away or a step fails."""

from __future__ import annotations

from typing import Any

import pytest

from streams.store import StoreUnavailable
from tests.support.processing import (
    SMALL,
    B,
    F,
    Interrupter,
    World,
    assert_equals_straight_run,
    batches,
    feedback,
    filled,
    recorded,
    settled,
    until,
)
from tests.support.toy_stage import TIMER_MS, ToyStage


class TestOrderOfEffects:
    async def test_intent_then_publish_then_commit_then_ack(self) -> None:
        """A batch is announced before it is published, committed after that, and acknowledged last."""
        world = filled(World(), 4)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(3)
        assert world.trace == [("announce", 1), ("publish", 1), ("commit", 1), ("done", 3)]

    @pytest.mark.parametrize(
        ("hang", "before"),
        [
            ("before announce", []),
            ("after announce", ["announce"]),
            ("before publish", ["announce"]),
            ("after publish", ["announce", "publish"]),
            ("before commit", ["announce", "publish"]),
            ("after commit", ["announce", "publish", "commit"]),
        ],
    )
    async def test_no_effect_overtakes_the_one_before(self, hang: str, before: list[str]) -> None:
        """While a step does not return, none that follows it begins."""
        world = filled(World(), 4)
        worker = world.worker()
        world.interrupter.hang[hang] = 0
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await until(lambda: bool(world.interrupter.hung))
        await settled(worker)
        assert world.trace.kinds() == before
        await worker.kill()

    async def test_the_intent_is_the_journal_entry(self) -> None:
        """What the store holds as intent are the very bytes that the journal gets."""
        world = filled(World(), 4)
        worker = world.worker()
        world.interrupter.hang["before commit"] = 0
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await until(lambda: bool(world.interrupter.hung))
        assert world.backend.partition(0).intent == world.publisher.messages[-1][1].value
        await worker.kill()

    async def test_one_batch_at_a_time_across_topics(self) -> None:
        """Two topics of a partition never overlap: each batch is committed before the next is announced."""
        world = filled(World(), 9)
        worker = world.worker()
        await worker.take_over(0)
        # After the take-over: what lay unread of it then would come first.
        world.log.add(F, 0, *(feedback(offset, f"c{offset % 3}") for offset in range(9)))
        for begin in range(0, 9, 3):
            await worker.submit(B, world.log.records[B, 0][begin : begin + 3])
            await worker.submit(F, world.log.records[F, 0][begin : begin + 3])
        await until(lambda: world.trace.kinds().count("done") == 6)
        assert world.trace.kinds() == ["announce", "publish", "commit", "done"] * 6
        assert [entry.topic for entry in batches(world)] == [B, F] * 3
        assert_equals_straight_run(world)

    async def test_partitions_overlap(self) -> None:
        """While one partition waits for an acknowledgement another runs."""
        world = filled(filled(World(), 4), 4, partition=1)
        worker = world.worker()
        world.interrupter.hang["after publish"] = 0
        await worker.take_over(0, 1)
        await worker.submit(B, world.log.records[B, 0], 0)
        await worker.submit(B, world.log.records[B, 1], 1)
        await until(lambda: len(world.interrupter.hung) == 2)
        await worker.kill()

    async def test_wall_clock_is_read_into_the_entry_once(self) -> None:
        """Every action of a batch carries the entry's time, however the clock runs meanwhile."""
        world = filled(World(), 20, customers=2)
        world.clock.tick_ms = 7
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(19)
        assert_equals_straight_run(world)
        assert len(world.publisher.outputs(0)) == 4


class TestStoreAway:
    @pytest.mark.parametrize("step", ["before announce", "after announce", "before commit", "after commit"])
    async def test_waits_and_repeats_the_same_step(self, step: str) -> None:
        """However often the store does not answer, the batch is published once and its entry stays the same."""
        world = filled(World(), 10)
        world.interrupter.fail[step] = [StoreUnavailable("no answer")] * 4
        worker = world.worker()
        await worker.take_over(0)
        with recorded("streams.patience") as lines:
            await worker.submit(B, world.log.records[B, 0])
            for seconds in (0.05, 0.1, 0.2, 0.4):
                await until(lambda: world.clock.sleepers == 1)
                assert ("done", 9) not in world.trace
                await world.clock.advance(seconds)
            await worker.done(9)
        assert world.clock.slept[:4] == [0.05, 0.1, 0.2, 0.4]
        assert [line.split(",")[0] for line in lines] == [
            "the store does not answer",
            "the store answers again after 0.8 s",
        ]
        assert world.trace.kinds().count("publish") == 1
        assert world.stage.processed == 10
        assert_equals_straight_run(world)

    async def test_revoked_while_it_waits(self) -> None:
        """A wait for the store ends with the partition; the batch is the next owner's, the cache is dropped."""
        world = filled(World(limits=SMALL), 6)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][:3])
        await worker.done(2)
        world.interrupter.fail["before commit"] = [StoreUnavailable("no answer")]
        await worker.submit(B, world.log.records[B, 0][3:])
        await until(lambda: world.clock.sleepers == 1)
        await worker.processor.release({0})
        assert len(worker.cache) == 0
        assert ("done", 5) not in world.trace
        assert (await worker.take_over(0))[B, 0] == 6
        assert_equals_straight_run(world)


class TestFailure:
    async def test_bug_ends_the_worker_with_nothing_acked(self) -> None:
        """An error in the evaluation is a bug: nothing is published, committed or acknowledged, the cache is gone."""
        world = filled(World(limits=SMALL, stage=ToyStage(poison="b-4")), 9, customers=9)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][:3])
        await worker.done(2)
        await worker.submit(B, world.log.records[B, 0][3:6])
        await until(worker.processor.failed().done)
        with pytest.raises(ZeroDivisionError):
            worker.processor.failed().result()
        assert world.trace.kinds() == ["announce", "publish", "commit", "done", "announce"]
        assert len(worker.cache) == 0
        with pytest.raises(ZeroDivisionError):
            await worker.submit(B, world.log.records[B, 0][6:])

    async def test_half_run_states_are_not_used_again(self) -> None:
        """After a batch that was evaluated and not committed, states come from the store, not from the cache."""
        world = filled(World(limits=SMALL), 9, customers=1)
        worker = world.worker(broken := Interrupter())
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][:3])
        await worker.done(2)
        broken.hang["before publish"] = 0
        await worker.submit(B, world.log.records[B, 0][3:6])
        await until(lambda: bool(broken.hung))
        await worker.processor.release({0})
        broken.hang.clear()
        worker.store.loaded.clear()
        assert (await worker.take_over(0))[B, 0] == 6
        assert worker.store.loaded == ["c0"]
        await worker.submit(B, world.log.records[B, 0][6:])
        await worker.done(8)
        assert_equals_straight_run(world)

    async def test_refused_publish_ends_the_worker(self) -> None:
        """What Kafka will never take ends the worker before the commit."""
        world = filled(World(), 5)
        world.interrupter.fail["before publish"] = [RuntimeError("too large")]
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await until(worker.processor.failed().done)
        assert world.trace.kinds() == ["announce"]

    async def test_timers_that_stay_due_end_the_worker(self) -> None:
        """A stage whose swept timers are still due would sweep for ever: it is a bug and says so."""

        class Stuck(ToyStage):
            def run_timers(self, *_: Any) -> None:
                return None

        world = filled(World(stage=Stuck()), 3)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(2)
        await until(lambda: world.clock.sleepers == 1)
        await world.clock.advance(TIMER_MS / 1000)
        await until(worker.processor.failed().done)
        with pytest.raises(RuntimeError, match="no progress"):
            worker.processor.failed().result()
