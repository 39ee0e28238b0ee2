"""Batches run again by the journal: a store put back to an older state, and one that has lost everything."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from schemas.journal import JOURNAL, RecordBatch
from schemas.topics import JOURNAL_TOPIC
from streams.catch_up import SILENT, ReadAhead
from streams.partition import Limits, Services
from streams.rebuild import NothingKept, Plan, make_plan, rebuild, tell
from streams.refusals import JournalBroken, JournalUnreadable, StateForgotten
from streams.store import Fenced
from streams.store_memory import MemoryBackend
from tests.support.processing import (
    Interrupter,
    Worker,
    World,
    assert_equals_straight_run,
    behaviour,
    cut_off,
    feedback,
    hung,
    recorded,
    until,
)
from tests.support.toy_stage import BEHAVIOUR, FEEDBACK, TIMER_MS, ToyState
from triggers.engine.batch import Message

B, F = BEHAVIOUR.name, FEEDBACK.name
SMALL = Limits(max_batch=3, max_batch_seconds=1e9, release_seconds=0.05)


def new_world(behaviours: int = 30) -> World:
    """Its feedback comes when ``work`` comes to it: what lies unread of it at a take-over would be read first."""
    world = World(limits=SMALL)
    world.log.add(B, 0, *(behaviour(offset, f"c{offset % 4}") for offset in range(behaviours)))
    return world


async def work(world: World, upto: Mapping[str, int], worker: Worker | None = None) -> Worker:
    """A worker that reads each topic up to an offset, and runs the timers that fall due meanwhile."""
    if worker is None:
        worker = world.worker()
        await worker.take_over(0)
    for topic, end in upto.items():
        if topic == F:
            known = len(world.log.records[F, 0])
            world.log.add(F, 0, *(feedback(offset, f"c{offset % 3}") for offset in range(known, end)))
        position = worker.owner().partition.positions[topic]
        if records := world.log.records[topic, 0][position:end]:
            await worker.submit(topic, records)
    await until(lambda: all(worker.owner().partition.positions[topic] >= end for topic, end in upto.items()))
    await world.clock.advance(TIMER_MS / 1000)
    await until(lambda: not world.backend.partition(0).stage("customer").order)
    return worker


def forget(world: World, backend: MemoryBackend | None = None) -> None:
    """The store comes back empty, or as it was."""
    world.backend.partitions = {} if backend is None else backend.partitions
    world.backend.rulesets = {} if backend is None else backend.rulesets


class TestPutBack:
    async def test_the_journal_brings_an_older_store_up_and_nothing_is_sent_again(self) -> None:
        """The same states at another time of day; only the last batch, of which nobody knows, is sent once more."""
        world = new_world()
        worker = await work(world, {B: 9, F: 6})
        older = copy.deepcopy(world.backend)
        await work(world, {B: 24, F: 9}, worker)
        states, positions = world.states(), dict(world.backend.partition(0).positions)
        sent = len(world.publisher.messages)
        last = max(entry.sequence for entry in world.publisher.journal(0))
        await worker.processor.stop()

        forget(world, older)
        world.clock.time_ms += 3_600_000
        with recorded("streams.processor") as lines:
            second = world.worker()
            await second.take_over(0)
        assert any("the store was put back to batch" in line for line in lines)
        assert (world.states(), world.backend.partition(0).positions) == (states, positions)
        again = [message for _, message in world.publisher.messages[sent:] if message.topic == JOURNAL_TOPIC]
        assert [JOURNAL.validate_json(message.value or b"").sequence for message in again] == [last]
        await work(world, {B: 30, F: 12}, second)
        assert_equals_straight_run(world)

    async def test_an_intent_of_the_older_store_is_run_as_the_journal_has_it(self) -> None:
        """The snapshot was taken between announcing and committing: that batch is in the journal, and run once."""
        world = new_world()
        worker, broken = await hung(world, "after publish", passes=2)
        older = copy.deepcopy(world.backend)
        assert older.partition(0).intent is not None
        broken.resume()
        await worker.done(29)
        states = world.states()
        await worker.processor.stop()
        forget(world, older)
        await world.worker().take_over(0)
        assert world.states() == states
        assert_equals_straight_run(world)

    async def test_a_crash_while_catching_up_changes_nothing(self) -> None:
        """The next owner goes on with the journal where the one before was."""
        world = new_world()
        worker = await work(world, {B: 3})
        older = copy.deepcopy(world.backend)
        await work(world, {B: 30, F: 12}, worker)
        states = world.states()
        await worker.processor.stop()
        forget(world, older)
        second = world.worker(broken := Interrupter())
        broken.fail["before commit"] = [ZeroDivisionError("the process dies")]
        with pytest.raises(ZeroDivisionError):
            await second.take_over(0)
        third = world.worker(broken := Interrupter())
        broken.fail["after commit"] = []
        await third.take_over(0)
        assert world.states() == states
        assert_equals_straight_run(world)

    async def test_a_journal_with_a_hole_is_refused(self) -> None:
        """What was done in between is not known: no guess, and nothing is sent."""
        world = new_world()
        worker = await work(world, {B: 3})
        older = copy.deepcopy(world.backend)
        await work(world, {B: 30}, worker)
        await worker.processor.stop()
        forget(world, older)
        _drop(world, older.partition(0).sequence + 2)
        sent = len(world.publisher.messages)
        with pytest.raises(JournalBroken, match=r"put back to batch .* state rebuild --partition 0"):
            await world.worker().take_over(0)
        assert len(world.publisher.messages) == sent

    async def test_a_journal_whose_offsets_do_not_touch_is_not_followed(self) -> None:
        """What lies between was done under no batch that is known: the states would be others."""
        world = new_world()
        worker = await work(world, {B: 9, F: 6})
        older = copy.deepcopy(world.backend)
        await work(world, {B: 24, F: 9}, worker)
        await worker.processor.stop()
        _shift(world, B, above=9)
        forget(world, older)
        with pytest.raises(JournalBroken, match=rf"goes on at offset 10 of {B}, where the store is at 9"):
            await world.worker().take_over(0)

    async def test_an_empty_store_is_refused_though_the_group_has_forgotten_its_offsets(self) -> None:
        """Kafka drops the offsets of a group that is away for a week; the journal still tells."""
        world = new_world()
        worker = await work(world, {B: 9})
        await worker.processor.stop()
        forget(world)
        with pytest.raises(StateForgotten, match=r"the journal has \d+ batches of it.*state rebuild"):
            await world.worker().take_over(0)


class TestRebuild:
    async def test_the_lost_states_come_back_byte_for_byte(self) -> None:
        """States, timers, positions and numbering; nothing is published; a worker goes on with what came since."""
        world = new_world()
        worker = await work(world, {B: 21, F: 9})
        # A customer with a timer that waits.
        await worker.submit(B, world.log.records[B, 0][21:24])
        await until(lambda: worker.owner().partition.positions[B] == 24)
        await worker.processor.stop()
        before, sent = copy.deepcopy(world.backend.partition(0)), len(world.publisher.messages)
        world.log.offsets |= {(B, 0): 24, (F, 0): 9}
        forget(world)

        plan = await planned(world)
        assert (plan.first, plan.last, plan.records, plan.lost) == (1, before.sequence, 33, ())
        assert plan.sweeps > 0
        await rebuilt(world, plan)
        after = world.backend.partition(0)
        assert after.stages == before.stages
        assert (after.positions, after.sequence, after.intent) == (before.positions, before.sequence, None)
        assert after.stage("customer").order, "no timer waits: the test shows less than it says"
        assert len(world.publisher.messages) == sent
        await (await work(world, {B: 30, F: 12})).processor.stop()
        assert_equals_straight_run(world)

    async def test_a_last_batch_that_was_perhaps_not_sent_is_left_to_the_worker(self) -> None:
        """The group was not told of it: the worker runs it again, and sends the very same messages."""
        world = new_world()
        await cut_off(world, "before commit", passes=4)
        unfinished = world.backend.partition(0).intent
        world.log.offsets[B, 0] = 12
        forget(world)
        await rebuilt(world, await planned(world))
        assert world.backend.partition(0).intent == unfinished
        await (await work(world, {B: 30, F: 12})).processor.stop()
        assert_equals_straight_run(world)

    async def test_a_rebuild_that_is_broken_off_leaves_the_partition_lost(self) -> None:
        """A worker refuses as before, and the rebuild may be begun again."""
        world = new_world()
        await (await work(world, {B: 24, F: 9})).processor.stop()
        states = world.states()
        world.log.offsets |= {(B, 0): 24, (F, 0): 9}
        forget(world)
        plan = await planned(world)
        broken = Interrupter()
        broken.fail["before rule set"] = [ZeroDivisionError("the process dies")]
        with pytest.raises(ZeroDivisionError):
            await rebuilt(world, plan, broken)
        assert world.states() == {}
        assert not world.backend.partition(0).known
        with pytest.raises(Exception, match="is lost"):
            await world.worker().take_over(0)
        await rebuilt(world, plan)
        assert world.states().keys() == states.keys()

    async def test_batches_of_a_worker_meanwhile_are_not_overwritten(self) -> None:
        """As if the journal and the offsets had been read by a worker of another topic prefix."""
        world = new_world()
        await (await work(world, {B: 24})).processor.stop()
        forget(world)
        plan = await planned(world)
        await world.worker().store.reset_positions(0, {B: 24, F: 0}, 99)
        with pytest.raises(Fenced):
            await rebuilt(world, plan)
        assert world.backend.partition(0).sequence == 99


class TestIncomplete:
    async def test_a_number_that_is_missing_begins_anew_behind_it(self) -> None:
        """Something was given up there by an operator: what is behind it is run again, from its positions."""
        world = new_world()
        worker = await work(world, {B: 9, F: 6})
        at = worker.owner().partition.sequence
        await worker.processor.stop()
        # As accept-loss does it.
        forget(world)
        await world.worker().store.reset_positions(0, {B: 9, F: 6}, at + 1)
        second = world.worker()
        await second.take_over(0)
        await work(world, {B: 24}, second)
        await second.processor.stop()
        states = world.states()
        forget(world)

        plan = await planned(world)
        assert plan.first == at + 2
        assert plan.positions == {B: 9, F: 6}
        assert plan.lost == (f"batch {at + 1} is not in the journal: something was given up there",)
        await rebuilt(world, plan)
        third = world.worker()
        await third.take_over(0)
        assert world.states() == states
        assert third.positions == {(B, 0): 24, (F, 0): 6}
        await third.processor.stop()

    async def test_records_that_are_no_longer_kept_are_passed_by_whole_batches(self) -> None:
        """The first batch that can be run again is the one behind the last that read a lost record."""
        world = new_world()
        await (await work(world, {B: 24, F: 9})).processor.stop()
        forget(world)
        world.log.starts[B, 0] = 10
        plan = await planned(world)
        batch = next(e for e in world.publisher.journal(0) if isinstance(e, RecordBatch) and e.first_offset == 9)
        assert plan.first == batch.sequence + 1
        assert plan.lost == (f"{B} is kept from offset 10 on, batch {batch.sequence} read before it",)
        assert plan.positions[B] == 12
        assert tell(plan)[1] == f"partition 0: incomplete: {plan.lost[0]}"

    async def test_offsets_that_do_not_touch_begin_anew_behind_the_gap(self) -> None:
        """As where a batch is missing: what was between is not known."""
        world = new_world()
        await (await work(world, {B: 24})).processor.stop()
        forget(world)
        sequence = _shift(world, B, above=9)
        plan = await planned(world)
        assert (plan.first, plan.lost) == (sequence, (f"batch {sequence} begins at offset 10 of {B}, not at 9",))
        assert plan.since_ms == next(e.now_ms for e in world.publisher.journal(0) if e.sequence == sequence)

    async def test_a_journal_that_no_longer_begins_with_the_first_batch(self) -> None:
        world = new_world()
        await (await work(world, {B: 24})).processor.stop()
        forget(world)
        for sequence in (1, 2, 3):
            _drop(world, sequence)
        plan = await planned(world)
        assert (plan.first, plan.lost) == (4, ("the journal is kept from batch 4 on",))

    async def test_the_states_begin_with_the_contacts_that_are_known(self) -> None:
        """They are in the store before the first batch, which goes on from them."""
        world = new_world()
        await (await work(world, {B: 24})).processor.stop()
        forget(world)
        _drop(world, 1)
        contacted = {"c1": ToyState("c1", count=70, chain="known"), "never-again": ToyState("never-again", count=7)}
        await rebuilt(world, await planned(world), contacts=contacted)
        worker = world.worker()
        await worker.take_over(0)
        await worker.processor.stop()
        stage, states = world.stage, world.states()
        assert states["never-again"] == stage.encode(contacted["never-again"])
        assert stage.decode("c1", states["c1"]).count > 70

    async def test_a_topic_that_was_read_and_of_which_the_journal_says_nothing(self) -> None:
        world = new_world()
        await (await work(world, {B: 24})).processor.stop()
        world.log.offsets[F, 0] = 5
        forget(world)
        plan = await planned(world)
        assert plan.lost == (f"{F} was read up to offset 5, and the journal says nothing of it",)
        assert plan.positions[F] == 5

    async def test_an_empty_journal_and_one_that_is_no_journal_are_refused(self) -> None:
        world = new_world()
        with pytest.raises(NothingKept, match="accept-loss --partition 0"):
            await planned(world)
        await (await work(world, {B: 24})).processor.stop()
        entry = world.publisher.journal(0)[2].model_copy(update={"now_ms": 1})
        world.publisher.messages.append((0, Message(JOURNAL_TOPIC, b"0", JOURNAL.dump_json(entry))))
        with pytest.raises(JournalUnreadable, match="two different batches 3"):
            await _make_plan(world, world.worker())


class TestReadAhead:
    async def test_batches_are_cut_from_what_was_read_at_once(self) -> None:
        """Every range as it is asked for, also one that begins within what was read and ends behind it."""
        world = new_world(behaviours=100)
        source = ReadAhead(world.log, {(B, 0): 100}, ahead=20)
        for first, last in ((0, 2), (3, 19), (18, 30), (31, 31), (60, 99)):
            found = await source.read(B, 0, first, last)
            assert [record.offset for record in found] == list(range(first, last + 1))
        assert [(first, last) for _, _, first, last in world.log.reads] == [(0, 19), (18, 37), (60, 99)]


def _shift(world: World, topic: str, above: int) -> int:
    """Has the journal's first batch of a topic at or above an offset begin one later; its number."""
    for index, (partition, message) in enumerate(world.publisher.messages):
        if message.topic == JOURNAL_TOPIC:
            entry = JOURNAL.validate_json(message.value or b"")
            if isinstance(entry, RecordBatch) and entry.topic == topic and entry.first_offset >= above:
                later = entry.model_copy(update={"first_offset": entry.first_offset + 1})
                moved = Message(message.topic, message.key, JOURNAL.dump_json(later), message.headers)
                world.publisher.messages[index] = (partition, moved)
                return entry.sequence
    raise AssertionError(f"no batch of {topic} at {above}")


def _drop(world: World, sequence: int) -> None:
    """Takes a batch out of the journal."""
    world.publisher.messages[:] = [
        (number, message)
        for number, message in world.publisher.messages
        if message.topic != JOURNAL_TOPIC or JOURNAL.validate_json(message.value or b"").sequence != sequence
    ]


async def planned(world: World) -> Plan:
    return await _make_plan(world, world.worker())


async def _make_plan(world: World, worker: Worker) -> Plan:
    starts = {topic: world.log._span((topic, 0))[0] for topic in (B, F)}
    committed = {topic: world.log.offsets.get((topic, 0)) for topic in (B, F)}
    return await make_plan(0, worker.processor._journal, starts, committed)


async def rebuilt(
    world: World, plan: Plan, interrupter: Interrupter | None = None, contacts: Mapping[str, Any] | None = None
) -> None:
    worker = world.worker()
    services: Services = worker.processor._services
    services = replace(services, publisher=SILENT)
    if interrupter is not None:
        named = services.rulesets.named

        async def dying(ruleset_hash: str, partition: int) -> Any:
            if (await worker.store.apart().last_batch(partition) or 0) > 3:
                await interrupter.at("before rule set")
            return await named(ruleset_hash, partition)

        services.rulesets.named = dying  # type: ignore[method-assign]
    committed = {topic: world.log.offsets.get((topic, 0)) for topic in (B, F)}
    ends = {(topic, 0): world.log._span((topic, 0))[1] for topic in (B, F)}
    await rebuild(services, plan, worker.processor._journal, ends, committed, contacts or {}, None)
