"""The processor: whatever crashes, and however records are cut into chunks, the outcome is that of a straight run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.journal import JOURNAL, RecordBatch, TimerBatch
from schemas.topics import JOURNAL_TOPIC
from streams.partition import Limits
from streams.refusals import RulesetNotTaken, RulesetUnknown
from streams.signing import Trust
from streams.store import StoreCorrupt
from tests.support.processing import (
    SMALL,
    START_MS,
    B,
    F,
    Interrupter,
    Worker,
    World,
    assert_equals_straight_run,
    batches,
    behaviour,
    cut_off,
    feedback,
    filled,
    straight_run,
    until,
)
from tests.support.release_keys import ReleaseKey
from tests.support.toy_stage import EVERY, TIMER_MS, toy_ruleset
from triggers.engine.batch import Message


class TestSameBatchAgain:
    @pytest.mark.parametrize("step", ["after announce", "after publish", "after commit", "before commit"])
    @pytest.mark.parametrize("passes", [0, 1, 3])
    async def test_killed_worker_changes_nothing(self, step: str, passes: int) -> None:
        """The next owner runs the very batch again: same ids, same bodies, same states as a run without a crash."""
        world = filled(World(limits=SMALL), 20)
        await cut_off(world, step, passes=passes)
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
        await cut_off(world, "after publish", records=world.log.records[B, 0][:5])
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
        await cut_off(world, "after announce")
        world.backend.rulesets.clear()
        with pytest.raises(RulesetUnknown, match="rules-1"):
            await world.worker(ruleset=toy_ruleset("rules-2")).take_over(0)

    async def test_another_document_under_its_hash_is_refused(self) -> None:
        """Whoever may write to the store could otherwise have the batch run under rules of his own."""
        await cut_off(world := filled(World(), 10), "after announce")
        world.backend.rulesets["rules-1"] = toy_ruleset("rules-9").document
        with pytest.raises(
            RulesetNotTaken, match=r"rules-1, .* its content is that of rule set rules-9.*abandon-batch"
        ):
            await world.worker(ruleset=toy_ruleset("rules-2")).take_over(0)
        assert not batches(world)
        # Whoever has that very rule set asks the store for nothing.
        await world.worker(ruleset=toy_ruleset("rules-1")).take_over(0)
        assert_equals_straight_run(world)

    async def test_a_rule_set_of_nobody_trusted_is_refused(self, tmp_path: Path) -> None:
        """The batch is run again only under a rule set of which the store keeps the signature of a trusted key."""
        key, stranger = (ReleaseKey.make(tmp_path, name) for name in ("key", "stranger"))
        good, strange = (one.signature(toy_ruleset("rules-1").document) for one in (key, stranger))
        for signatures, told in [
            ({}, "it is not signed"),
            ({stranger.id: strange}, f"by the key {stranger.id}"),
            ({key.id: strange}, "does not fit"),
        ]:
            await cut_off(world := filled(World(signatures=signatures), 10), "after announce")
            world.trust = Trust({key.id: key.secret.public_key()}, "the keys")
            with pytest.raises(RulesetNotTaken, match=told):
                await world.worker(ruleset=toy_ruleset("rules-2")).take_over(0)
            assert not batches(world)
            world.backend.signatures["rules-1"][key.id] = good
            await world.worker(ruleset=toy_ruleset("rules-2")).take_over(0)
            assert [entry.ruleset for entry in batches(world)] == ["rules-1"]
            assert_equals_straight_run(world)

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
        await cut_off(world, "after announce", passes=1)
        world.backend.partition(0).positions[B] = 2
        with pytest.raises(StoreCorrupt, match="begins at offset 3"):
            await world.worker().take_over(0)

    @pytest.mark.parametrize("wrong", [{"sequence": 7}, {"partition": 1}])
    async def test_intent_of_another_batch_is_refused(self, wrong: dict[str, int]) -> None:
        """The batch after the last one, of this partition: anything else is nothing this program wrote."""
        world = filled(World(limits=SMALL), 10)
        await cut_off(world, "after announce", passes=1)
        held = world.backend.partition(0)
        held.intent = JOURNAL.dump_json(JOURNAL.validate_json(held.intent or b"").model_copy(update=wrong))
        with pytest.raises(StoreCorrupt, match="the last committed batch is 1"):
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
