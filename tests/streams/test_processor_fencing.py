"""The processor: who owns a partition, what a take-over refuses, what a zombie cannot do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.partition import Limits
from streams.refusals import PartitionTaken, RecordsLost, StateLost, WentBack
from tests.support.processing import (
    SMALL,
    B,
    F,
    Interrupter,
    Piece,
    World,
    assert_equals_straight_run,
    batches,
    cut_off,
    filled,
    hung,
    recorded,
    settled,
    until,
)
from triggers.engine.batch import Message


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
        zombie, broken = await hung(world, "before commit")
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
        await cut_off(world, "after announce")
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
