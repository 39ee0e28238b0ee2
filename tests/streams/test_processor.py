"""The processor: order of effects; what a crash, a fence, a silent store change; timers, bounds, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.journal import JOURNAL, RecordBatch, TimerBatch
from schemas.topics import JOURNAL_TOPIC
from streams.partition import Limits
from streams.refusals import PartitionTaken, RecordsLost, RulesetUnknown, StateLost, WentBack
from streams.store import StoreCorrupt, StoreUnavailable
from tests.support.processing import (
    START_MS,
    Interrupter,
    Piece,
    Raw,
    Worker,
    World,
    assert_equals_straight_run,
    behaviour,
    feedback,
    recorded,
    settled,
    straight_run,
    until,
)
from tests.support.toy_stage import BEHAVIOUR, EVERY, FEEDBACK, TIMER_MS, ToyStage, toy_ruleset
from triggers.engine.batch import Message

B, F = BEHAVIOUR.name, FEEDBACK.name
SMALL = Limits(max_batch=3, max_batch_seconds=1e9, release_seconds=0.05)


def filled(world: World, events: int, customers: int = 3, partition: int = 0) -> World:
    """A world whose behaviour topic has so many events."""
    world.log.add(B, partition, *(behaviour(offset, f"c{offset % customers}") for offset in range(events)))
    return world


def batches(world: World, kind: type[Any] = RecordBatch) -> list[Any]:
    return [entry for entry in world.publisher.journal(0) if isinstance(entry, kind)]


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
        world.log.add(F, 0, *(feedback(offset, f"c{offset % 3}") for offset in range(9)))
        worker = world.worker()
        await worker.take_over(0)
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


class TestSameBatchAgain:
    @pytest.mark.parametrize("step", ["after announce", "after publish", "after commit", "before commit"])
    @pytest.mark.parametrize("passes", [0, 1, 3])
    async def test_killed_worker_changes_nothing(self, step: str, passes: int) -> None:
        """The next owner runs the very batch again: same ids, same bodies, same states as a run without a crash."""
        world = filled(World(limits=SMALL), 20)
        first = world.worker(broken := Interrupter())
        broken.hang[step] = passes
        await first.take_over(0)
        await first.submit(B, world.log.records[B, 0])
        await until(lambda: bool(broken.hung))
        await first.kill()
        world.clock.time_ms += 5_000
        second = world.worker()
        positions = await second.take_over(0)
        expected = (passes + 1) * 3
        assert positions == {(B, 0): expected, (F, 0): 0}
        await second.submit(B, world.log.records[B, 0][expected:])
        await second.done(19)
        assert_equals_straight_run(world)

    async def test_same_ruleset_and_now_though_both_have_changed(self) -> None:
        """An unfinished batch runs under its own rule set and time, read from the store; the next under the new."""
        world = filled(World(), 10, customers=1)
        first = world.worker(broken := Interrupter())
        broken.hang["after publish"] = 0
        await first.take_over(0)
        await first.submit(B, world.log.records[B, 0][:5])
        await until(lambda: bool(broken.hung))
        await first.kill()
        before = dict(world.publisher.outputs(0))
        world.clock.time_ms += 60_000
        second = world.worker(ruleset=toy_ruleset("rules-2"))
        await second.take_over(0)
        assert world.publisher.outputs(0) == before
        await second.submit(B, world.log.records[B, 0][5:])
        await second.done(9)
        assert [entry.ruleset for entry in batches(world)] == ["rules-1", "rules-2"]
        assert_equals_straight_run(world)

    async def test_unknown_ruleset_is_refused(self) -> None:
        """A batch whose rule set nobody keeps is not run under another one."""
        world = filled(World(), 10)
        first = world.worker(broken := Interrupter())
        broken.hang["after announce"] = 0
        await first.take_over(0)
        await first.submit(B, world.log.records[B, 0])
        await until(lambda: bool(broken.hung))
        await first.kill()
        world.backend.rulesets.clear()
        with pytest.raises(RulesetUnknown, match="rules-1"):
            await world.worker(ruleset=toy_ruleset("rules-2")).take_over(0)

    async def test_unfinished_timers_run_again(self) -> None:
        """A batch of timers cut off after its publish runs again with the same keys and ids."""
        world = filled(World(), 6)
        first = world.worker(broken := Interrupter())
        await first.take_over(0)
        await first.submit(B, world.log.records[B, 0])
        await first.done(5)
        broken.hang["after publish"] = 0
        await until(lambda: world.clock.sleepers > 0)
        await world.clock.advance(TIMER_MS / 1000)
        await until(lambda: bool(broken.hung))
        await first.kill()
        world.clock.time_ms += 1_000
        second = world.worker()
        await second.take_over(0)
        assert len(batches(world, TimerBatch)) == 1
        assert_equals_straight_run(world)
        assert sum("timer" in body.decode() for body in world.publisher.outputs(0)) == 3
        await second.processor.stop()

    async def test_intent_that_does_not_fit_the_position_is_refused(self) -> None:
        """An intent that begins elsewhere than at the position is nothing this program wrote."""
        world = filled(World(limits=SMALL), 10)
        first = world.worker(broken := Interrupter())
        broken.hang["after announce"] = 1
        await first.take_over(0)
        await first.submit(B, world.log.records[B, 0])
        await until(lambda: bool(broken.hung))
        await first.kill()
        world.backend.partition(0).positions[B] = 2
        with pytest.raises(StoreCorrupt, match="begins at offset 3"):
            await world.worker().take_over(0)


def pieces(offsets: int, cuts: list[int]) -> Iterator[slice]:
    edges = sorted({cut % (offsets + 1) for cut in cuts} | {0, offsets})
    return (slice(begin, end) for begin, end in pairwise(edges))


@settings(max_examples=60, deadline=None)
@given(
    events=st.integers(1, 30),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    feedback_events=st.integers(0, 20),
    max_batch=st.integers(1, 9),
    crashes=st.lists(
        st.tuples(
            st.sampled_from(["before announce", "after announce", "after publish", "before commit", "after commit"]),
            st.integers(0, 6),
            st.integers(0, 15_000),
        ),
        max_size=4,
    ),
)
def test_any_crashes_and_any_chunks_equal_a_straight_run(
    events: int, cuts: list[int], feedback_events: int, max_batch: int, crashes: list[tuple[str, int, int]]
) -> None:
    """Wherever workers die and however records are cut into chunks: ids, bodies, states as of one straight run."""

    async def run() -> None:
        world = World(limits=Limits(max_batch=max_batch, max_batch_seconds=1e9, release_seconds=0.05, timer_limit=2))
        world.log.add(B, 0, *(behaviour(offset, f"c{offset % 3}") for offset in range(events)))
        world.log.add(F, 0, *(feedback(offset, f"c{offset % 2}") for offset in range(feedback_events)))
        for step, passes, later_ms in crashes:
            broken = Interrupter()
            broken.hang[step] = passes
            await life(world, world.worker(broken), broken)
            world.clock.time_ms += later_ms
        worker = world.worker(Interrupter())
        await life(world, worker, None)
        assert world.backend.partition(0).positions.get(B) == events
        assert world.backend.partition(0).positions.get(F, 0) == feedback_events
        assert_equals_straight_run(world)

    async def life(world: World, worker: Worker, broken: Interrupter | None) -> None:
        taking = asyncio.create_task(worker.take_over(0))
        await until(lambda: taking.done() or bool(broken and broken.hung))
        if not taking.done():
            taking.cancel()
            await asyncio.wait({taking})
            return
        positions = taking.result()
        wanted = 0
        for topic in (B, F):
            records = world.log.records[topic, 0][positions[topic, 0] :]
            for piece in pieces(len(records), cuts):
                await worker.submit(topic, records[piece])
                wanted += 1
        before = world.trace.kinds().count("done")
        await until(
            lambda: bool(broken and broken.hung) or world.trace.kinds().count("done") - before >= wanted,
        )
        await worker.kill()

    asyncio.run(run())


class TestFencing:
    async def test_zombie_publishes_and_commits_nothing(self) -> None:
        """A worker that was replaced while it slept announces nothing more, so it publishes nothing more either."""
        world = filled(World(limits=SMALL), 20)
        zombie = world.worker()
        await zombie.take_over(0)
        await zombie.submit(B, world.log.records[B, 0][:3])
        await zombie.done(2)
        heir = world.worker()
        positions = await heir.take_over(0)
        assert positions[B, 0] == 3
        published = len(world.publisher.messages)
        await zombie.submit(B, world.log.records[B, 0][3:6])
        await until(lambda: zombie.owner()._closed)
        assert len(world.publisher.messages) == published
        await heir.submit(B, world.log.records[B, 0][3:])
        await heir.done(19)
        assert ("done", 5) not in world.trace
        assert_equals_straight_run(world)

    async def test_zombie_commit_is_refused(self) -> None:
        """Replaced between publish and commit: the commit is refused, its heir has run the very batch."""
        world = filled(World(), 10)
        zombie = world.worker(broken := Interrupter())
        broken.hang["before commit"] = 0
        await zombie.take_over(0)
        await zombie.submit(B, world.log.records[B, 0])
        await until(lambda: bool(broken.hung))
        heir = world.worker()
        assert (await heir.take_over(0))[B, 0] == 10
        commits = world.trace.kinds().count("commit")
        broken.resume()
        await until(lambda: zombie.owner()._closed and len(zombie.cache) == 0)
        assert world.trace.kinds().count("commit") == commits
        assert ("done", 9) not in world.trace
        assert_equals_straight_run(world)

    async def test_fenced_partition_is_given_up_and_the_worker_lives(self) -> None:
        """A fenced owner drops queue and cache, ignores later chunks, and takes the partition again when assigned."""
        world = filled(World(limits=SMALL), 12)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][:3])
        await worker.done(2)
        assert len(worker.cache) == 3
        await world.worker().store.take_over(0)
        with recorded("streams.owner") as lines:
            await worker.submit(B, world.log.records[B, 0][3:6])
            await until(lambda: worker.owner()._closed and len(worker.cache) == 0)
            await worker.submit(B, world.log.records[B, 0][6:9])
            await settled(worker)
        assert "taken over by another worker" in lines[0]
        assert not worker.processor.failed().done()
        assert (await worker.take_over(0))[B, 0] == 3
        await worker.submit(B, world.log.records[B, 0][3:])
        await worker.done(11)
        assert_equals_straight_run(world)

    async def test_lost_again_while_it_is_taken_over(self) -> None:
        """Fenced during the unfinished batch: the partition is given up at once, the worker lives."""
        world = filled(World(), 10)
        first = world.worker(broken := Interrupter())
        broken.hang["after announce"] = 0
        await first.take_over(0)
        await first.submit(B, world.log.records[B, 0])
        await until(lambda: bool(broken.hung))
        await first.kill()
        slow = world.worker(slowly := Interrupter())
        slowly.hang["before commit"] = 0
        taking = asyncio.create_task(slow.take_over(0))
        await until(lambda: bool(slowly.hung))
        heir = world.worker()
        assert (await heir.take_over(0))[B, 0] == 10
        slowly.resume()
        await taking
        await until(lambda: slow.owner()._closed)
        await slow.submit(B, world.log.records[B, 0])
        await settled(slow)
        assert not slow.processor.failed().done()
        assert world.trace.kinds().count("commit") == 1
        assert_equals_straight_run(world)
        await slow.processor.stop()

    async def test_fenced_and_still_assigned_ends_the_worker(self) -> None:
        """Refused by the store and never revoked: nobody would run the partition, so the worker ends."""
        world = filled(World(), 6)
        worker = world.worker()
        await worker.take_over(0)
        await world.worker().store.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await until(lambda: worker.owner()._closed and world.clock.sleepers == 1)
        await world.clock.advance(world.limits.fenced_grace_seconds)
        await until(worker.processor.failed().done)
        with pytest.raises(PartitionTaken, match="partition 0"):
            worker.processor.failed().result()

    async def test_store_that_went_back_ends_the_worker(self) -> None:
        """A store restored from an older snapshot is seen at the next announce; nothing is published on it."""
        world = filled(World(limits=SMALL), 9)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][:6])
        await worker.done(5)
        world.backend.partition(0).sequence = 1
        published = len(world.publisher.messages)
        await worker.submit(B, world.log.records[B, 0][6:])
        await until(worker.processor.failed().done)
        with pytest.raises(WentBack):
            worker.processor.failed().result()
        assert len(world.publisher.messages) == published


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

    async def test_consumption_stops_and_an_operator_resumes_it(self, caplog: pytest.LogCaptureFixture) -> None:
        """The batch with the flood is committed, what follows waits, and is run after ``resume``, nothing lost."""
        world = self.flooded()
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await until(lambda: world.backend.partition(0).halted is not None)
        await settled(worker)
        assert world.backend.partition(0).positions == {B: 20}
        assert world.backend.partition(0).halted == "10 of the last 20 records were dead letters, more than 5% of 100"
        assert "bank-triggers state resume --partition 0" in caplog.text
        await world.clock.advance(60)
        assert world.backend.partition(0).positions == {B: 20}
        assert await worker.store.resume(0)
        await world.clock.advance(2)
        await worker.done(29)
        assert world.backend.partition(0).positions == {B: 30}
        assert_equals_straight_run(world)

    async def test_it_lasts_through_a_take_over(self) -> None:
        """The next worker consumes nothing either."""
        world = self.flooded()
        first = world.worker()
        await first.take_over(0)
        await first.submit(B, world.log.records[B, 0])
        await until(lambda: world.backend.partition(0).halted is not None)
        await first.kill()
        second = world.worker()
        await second.take_over(0)
        await second.submit(B, world.log.records[B, 0][20:])
        await world.clock.advance(60)
        assert world.backend.partition(0).positions == {B: 20}
        assert await second.store.resume(0)
        await world.clock.advance(2)
        await second.done(29)
        assert_equals_straight_run(world)

    async def test_timers_go_on(self) -> None:
        """What customers wait for comes though their bank's publisher is broken."""
        world = self.flooded()
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await until(lambda: world.backend.partition(0).halted is not None)
        assert not batches(world, TimerBatch)
        await world.clock.advance(2 * TIMER_MS / 1000)
        await until(lambda: bool(batches(world, TimerBatch)))
        assert world.backend.partition(0).positions == {B: 20}

    async def test_a_stop_does_not_wait_for_the_operator(self) -> None:
        """A halted partition is given back at once."""
        world = self.flooded()
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await until(lambda: world.backend.partition(0).halted is not None)
        await worker.processor.stop()
        assert not worker.processor.partitions


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


class TestTakeOver:
    async def test_lost_state_is_refused(self) -> None:
        """The group has read on, the store knows nothing: no marketing on an empty memory."""
        world = filled(World(), 10)
        world.log.offsets[B, 0] = 7
        with pytest.raises(StateLost, match=rf"{B} partition 0 .* offset 7.*bank-triggers state accept-loss"):
            await world.worker().take_over(0)

    async def test_lost_position_of_one_topic_is_refused(self) -> None:
        """A known partition without a position for a topic that was read before is refused too."""
        world = filled(World(), 10)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(9)
        await worker.processor.stop()
        world.log.offsets[F, 0] = 3
        with pytest.raises(StateLost, match=F):
            await world.worker().take_over(0)

    async def test_accepted_loss_goes_on(self) -> None:
        """Once an operator has set the positions, the partition is taken."""
        world = filled(World(), 10)
        world.log.offsets[B, 0] = 7
        worker = world.worker()
        await worker.store.reset_positions(0, {B: 7})
        assert (await worker.take_over(0))[B, 0] == 7
        await worker.processor.stop()

    async def test_fresh_partition_begins_at_the_start_of_the_log(self) -> None:
        """Neither position nor committed offset: the first record that Kafka keeps, offset 0 or later."""
        world = filled(World(), 10)
        world.log.starts[B, 0] = 4
        world.log.offsets[B, 0] = 0
        worker = world.worker()
        assert (await worker.take_over(0))[B, 0] == 4
        await worker.submit(B, world.log.records[B, 0][4:])
        await worker.done(9)
        assert batches(world)[0].first_offset == 4

    @pytest.mark.parametrize(("span", "text"), [((8, 20), "begins at offset 8"), ((0, 3), "ends at offset 3")])
    async def test_position_outside_the_log_is_refused(self, span: tuple[int, int], text: str) -> None:
        """Records between position and log are gone: by retention, or because the topic was made anew."""
        world = filled(World(), 6)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0])
        await worker.done(5)
        await worker.processor.stop()
        world.log.starts[B, 0], world.log.ends[B, 0] = span
        with pytest.raises(RecordsLost, match=rf"position is 6, but .*{text}"):
            await world.worker().take_over(0)

    async def test_states_stay_in_memory_through_a_rebalance(self) -> None:
        """Released and taken again with nobody in between: nothing is loaded a second time."""
        world = filled(World(), 12)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][:6])
        await worker.done(5)
        await worker.processor.release({0})
        await worker.take_over(0)
        worker.store.loaded.clear()
        await worker.submit(B, world.log.records[B, 0][6:])
        await worker.done(11)
        assert worker.store.loaded == []
        assert_equals_straight_run(world)

    async def test_states_are_dropped_when_another_owned_the_partition(self) -> None:
        """After a foreign epoch the states in memory are old: they are read again."""
        world = filled(World(), 12)
        worker = world.worker()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][:3])
        await worker.done(2)
        await worker.processor.release({0})
        other = world.worker()
        await other.take_over(0)
        await other.submit(B, world.log.records[B, 0][3:6])
        await other.done(5)
        await other.processor.stop()
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][6:])
        await worker.done(11)
        assert_equals_straight_run(world)

    async def test_states_of_a_partition_that_left_are_dropped(self) -> None:
        """A partition that does not come back with the next assignment leaves nothing in memory."""
        world = filled(filled(World(), 6), 6, partition=1)
        worker = world.worker()
        await worker.take_over(0, 1)
        for number in (0, 1):
            await worker.submit(B, world.log.records[B, number], number)
        await until(lambda: world.trace.kinds().count("done") == 2)
        await worker.processor.release({0, 1})
        assert len(worker.cache) == 6
        await worker.take_over(1)
        assert len(worker.cache) == 3
        await worker.processor.stop()
        assert len(worker.cache) == 0

    async def test_release_lets_the_batch_in_flight_finish(self) -> None:
        """A revoked partition commits and acknowledges its batch in flight, and begins no other."""
        world = filled(World(limits=Limits(max_batch=3, max_batch_seconds=1e9, release_seconds=5)), 9)
        worker = world.worker()
        publisher = worker.processor._services.publisher
        gate = asyncio.Event()
        plain = publisher.publish

        async def slow(partition: int, messages: Any, *, first: Message) -> None:
            await gate.wait()
            await plain(partition, messages, first=first)

        publisher.publish = slow  # type: ignore[method-assign]
        await worker.take_over(0)
        await worker.submit(B, world.log.records[B, 0][:3])
        await worker.submit(B, world.log.records[B, 0][3:])
        await until(lambda: ("announce", 1) in world.trace)
        releasing = asyncio.create_task(worker.processor.release({0}))
        await settled(worker)
        assert not releasing.done()
        gate.set()
        await releasing
        assert world.trace == [("announce", 1), ("publish", 1), ("commit", 1), ("done", 2)]

    async def test_unknown_topic_is_refused(self) -> None:
        """A topic that no stage consumes is no partition of ours."""
        with pytest.raises(KeyError, match=r"no stage consumes the topic bank\.unknown"):
            await World().worker().processor.take_over({("bank.unknown", 0)})

    async def test_chunk_of_a_partition_not_owned_is_ignored(self) -> None:
        """It is neither run nor acknowledged."""
        world = filled(World(), 3)
        worker = world.worker()
        await worker.take_over(0)
        await worker.processor.submit(Piece(B, 5, world.log.records[B, 0]), lambda: pytest.fail("acknowledged"))
        await settled(worker)
        assert world.trace == []
        await worker.processor.stop()


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
        first = world.worker(broken := Interrupter())
        broken.hang["after commit"] = 0
        await first.take_over(0)
        await first.submit(B, world.log.records[B, 0])
        await until(lambda: bool(broken.hung))
        await first.kill()
        assert batches(world, TimerBatch) == []
        second = world.worker()
        await second.take_over(0)
        await until(lambda: len(batches(world, TimerBatch)) == 1)
        await second.processor.stop()
        assert_equals_straight_run(world)


def test_the_oracle_can_tell_an_order_apart() -> None:
    """The toy stage's chain shows another order of the same records: the comparison above cannot pass by accident."""

    def run(order: Callable[[list[Any]], list[Any]]) -> dict[str, bytes]:
        world = World()
        records = [behaviour(offset, "c0") for offset in range(EVERY)]
        world.log.add(B, 0, *order(records))
        entry = RecordBatch(
            tenant="bank",
            partition=0,
            sequence=1,
            epoch=1,
            stage="customer",
            topic=B,
            first_offset=0,
            last_offset=EVERY,
            ruleset="rules-1",
            clock="wall",
            now_ms=START_MS,
        )
        world.publisher.messages.append((0, Message(JOURNAL_TOPIC, b"0", JOURNAL.dump_json(entry))))
        return straight_run(world)[0]

    assert run(list) == run(list)
    assert run(list) != run(lambda records: records[::-1])
