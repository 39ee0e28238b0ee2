"""F3: workers 1→3→1; SIGSTOP past the session, then SIGCONT: the zombie can neither announce nor commit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.journal import JOURNAL
from schemas.topics import JOURNAL_TOPIC
from streams.cache import StateCache
from streams.clock import SystemClock
from streams.partition import Limits, Rulesets, Services
from streams.patience import Patience
from streams.processor import Processor
from streams.stages import Routes
from streams.store import Commit, StoreUnavailable
from streams.store_redis import RedisStore
from tests.support.faults import await_shared, fault_system, history, load, settle
from tests.support.processing import FakeLog, FakePublisher, Interrupter, Piece, Trace, behaviour, recorded
from tests.support.toy_stage import BEHAVIOUR, ToyStage, load_toy_ruleset, toy_ruleset
from tests.support.worker_process import wait_until
from triggers.engine.batch import Message, RawRecord


def test_workers_join_and_leave_under_load_and_nothing_is_lost_or_done_twice(
    kafka: str, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """One worker, then three, then one: one of the two that go is told to end, the other is killed."""
    rng = random.Random(seed)
    with fault_system(kafka, redis_url, tmp_path, name="f03", partitions=3, max_batch=4) as system:
        first = system.start_worker()
        first.wait_for_partitions(system.partitions)
        load(system, first, history(seed, 60, part=0))
        wait_until(lambda: system.journal_size() >= 10, "the first worker goes on")
        others = [system.start_worker(), system.start_worker()]
        await_shared(system, first, *others)
        leaver, victim = rng.sample(others, 2)

        size = system.journal_size()
        system.publish(history(seed, 60, part=1))
        wait_until(lambda: system.journal_size() >= size + 30, "the three go on")
        assert system.lag(range(system.partitions)) > 0, "everything was done before a worker left"
        leaver.terminate()
        assert leaver.process.returncode == 0, f"{leaver}"
        victim.kill()
        system.publish(history(seed, 60, part=2))
        first.wait_for_partitions(system.partitions)
        verdict = settle(system)
        # The killed one had a batch of each partition in flight at most; what else is repeated others broke off.
        in_flight = system.partitions + system.broken_off()
        assert verdict.repeated_batches <= in_flight, "more was repeated than what was killed in flight"
        assert verdict.actions >= 800, verdict


def test_a_worker_stopped_past_its_session_and_continued_changes_nothing(
    kafka: str, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """SIGSTOP in the middle of batches, a new worker runs them, SIGCONT: the old one's commit is refused, it gives its

    partitions up and joins again; the outcome is the oracle's, and that of one straight pass.
    """
    with fault_system(kafka, redis_url, tmp_path, name="f03-zombie", max_batch=10) as system:
        old = system.start_worker()
        old.wait_for_partitions(system.partitions)
        load(system, old, history(seed))
        wait_until(lambda: system.journal_size() >= 5, "the worker goes on")
        pending = system.catch_in_flight(old)
        assert system.lag(range(system.partitions)) > 0

        new = system.start_worker()
        new.wait_for_partitions(system.partitions)
        system.wait_until_drained()
        for partition, batch in pending.items():
            assert system.rerun_logged(partition, batch.sequence), f"nobody ran {batch} again"
        before = {partition: system.meta(partition) for partition in range(system.partitions)}
        states = system.states()

        old.resume()
        for partition, batch in pending.items():
            old.wait_for(
                f"partition {partition} was taken over by another worker (our epoch was {batch.epoch}): given up"
            )
        for partition, known in before.items():
            now = system.meta(partition)
            assert (now.sequence, now.intent, now.positions) == (known.sequence, None, known.positions)
            assert now.epoch >= known.epoch
        for partition, batch in pending.items():
            assert before[partition].epoch > batch.epoch
        assert system.states() == states, "the old worker's commit took effect"

        system.publish(history(seed, part=1))
        verdict = settle(system)
        assert old.running, "the old worker did not join again"
        # What the old epoch announced it announced before it was stopped.
        for entry in system.journal():
            pending_here = pending.get(entry.partition)
            if pending_here is not None and entry.epoch == pending_here.epoch:
                assert entry.sequence <= pending_here.sequence, f"{entry} was announced by a worker that was replaced"
        assert verdict.actions >= 500, verdict


class _BrokenStore(RedisStore):
    """The store in Redis with break points, by ``interrupter``."""

    interrupter: Interrupter

    async def announce(self, *args: Any) -> list[bytes | None]:
        answer = await super().announce(*args)
        await self.interrupter.at("after announce")
        return answer

    async def commit(self, partition: int, epoch: int, sequence: int, changes: Commit) -> int | None:
        await self.interrupter.at("before commit")
        return await super().commit(partition, epoch, sequence, changes)


class _Publisher(FakePublisher):
    """What it publishes stands in the journal of all."""

    def __init__(self, journal: FakePublisher, interrupter: Interrupter) -> None:
        super().__init__(Trace(), interrupter)
        self._of_all = journal

    async def publish(self, partition: int, messages: Sequence[Message], *, first: Message | None = None) -> None:
        await self._of_all.publish(partition, messages, first=first)
        await super().publish(partition, messages, first=first)


class _Bench:
    """Processors on one real Redis; each with its own publisher, all on one log."""

    def __init__(self, redis_url: str, namespace: str) -> None:
        self.redis_url = redis_url
        self.namespace = namespace
        self.log = FakeLog()
        self.journal = FakePublisher(Trace(), Interrupter())
        self.stores: list[RedisStore] = []

    async def processor(self, interrupter: Interrupter | None = None) -> tuple[Processor, FakePublisher]:
        interrupter = interrupter or Interrupter()
        store = _BrokenStore.connect(self.redis_url, namespace=self.namespace)
        assert isinstance(store, _BrokenStore)
        store.interrupter = interrupter
        self.stores.append(store)
        patience = Patience("the store", SystemClock(), (StoreUnavailable,))
        publisher = _Publisher(self.journal, interrupter)
        services = Services(
            tenant="bank",
            store=store,
            patience=patience,
            publisher=publisher,
            cache=StateCache(100),
            routes=Routes([ToyStage()], topics=(BEHAVIOUR,)),
            rulesets=Rulesets(store, patience, toy_ruleset, load_toy_ruleset),
            source=self.log,
            clock=SystemClock(),
            clock_mode="record",
            lag=self.log.lag,
            limits=Limits(release_seconds=1),
        )
        processor = Processor(services, self.log, self.journal)
        await processor.take_over({(BEHAVIOUR.name, 0)})
        return processor, publisher

    async def kept(self) -> tuple[Any, dict[str, bytes]]:
        """Positions and states in the store."""
        store = self.stores[0]
        return await store.positions(0), {key: state async for key, state in store.states(0, "customer")}

    async def close(self, *processors: Processor) -> None:
        for processor in processors:
            await processor.stop()
        for store in self.stores:
            await store.close()


async def test_the_announce_of_an_old_epoch_is_refused(redis_url: str) -> None:
    """A worker that was replaced while it was idle publishes nothing of what it reads after."""
    bench = _Bench(redis_url, "old-announce")
    records: list[RawRecord] = [behaviour(offset, f"c{offset}") for offset in range(3)]
    bench.log.add(BEHAVIOUR.name, 0, *records)
    old, old_published = await bench.processor()
    new, new_published = await bench.processor()
    done: list[str] = []
    with recorded("streams.owner") as lines:
        await old.submit(Piece(BEHAVIOUR.name, 0, records), lambda: done.append("old"))
        await _soon(lambda: old_published.messages or any("taken over by another worker" in line for line in lines))
    assert old_published.messages == [], "a worker that was replaced announced a batch and published it"
    assert await bench.kept() == ({}, {})

    await new.submit(Piece(BEHAVIOUR.name, 0, records), lambda: done.append("new"))
    await _soon(lambda: done == ["new"])
    assert [_sequence(message) for message in new_published.messages if message[1].topic == JOURNAL_TOPIC] == [1]
    positions, states = await bench.kept()
    assert (positions, sorted(states)) == ({BEHAVIOUR.name: 3}, ["c0", "c1", "c2"])
    await bench.close(old, new)


async def test_the_commit_of_an_old_epoch_is_refused(redis_url: str) -> None:
    """What was announced before the take-over is run by the new owner; the old one's commit after that does nothing."""
    bench = _Bench(redis_url, "old-commit")
    records: list[RawRecord] = [behaviour(offset, "c1") for offset in range(5)]
    bench.log.add(BEHAVIOUR.name, 0, *records)
    interrupter = Interrupter()
    interrupter.hang["before commit"] = 0
    old, old_published = await bench.processor(interrupter)
    done: list[str] = []
    await old.submit(Piece(BEHAVIOUR.name, 0, records), lambda: done.append("old"))
    await _soon(lambda: interrupter.hung == ["before commit"])

    new, new_published = await bench.processor()
    assert new_published.messages == old_published.messages, "the batch was run again as another batch"
    more: list[RawRecord] = [behaviour(offset, "c1") for offset in range(5, 7)]
    bench.log.add(BEHAVIOUR.name, 0, *more)
    await new.submit(Piece(BEHAVIOUR.name, 0, more), lambda: done.append("new"))
    await _soon(lambda: done == ["new"])
    kept = await bench.kept()
    assert kept[0] == {BEHAVIOUR.name: 7}

    with recorded("streams.owner") as lines:
        interrupter.resume()
        await _soon(lambda: any("taken over by another worker" in line for line in lines))
    assert await bench.kept() == kept, "the old owner's commit took effect"
    assert done == ["new"], "the old owner acknowledged what it could not commit"
    await bench.close(old, new)


def _sequence(message: Any) -> int:
    return int(JOURNAL.validate_json(message[1].value).sequence)


async def _soon(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for offers no event
            await asyncio.sleep(0.005)
