"""Redis and memory are the same store: any run of steps has the same results on both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from streams.store import Commit, Fenced, IntentPending, Store, StoreCorrupt
from streams.store_memory import MemoryStore
from streams.store_redis import RedisStore

PARTITIONS = st.integers(0, 1)
STAGES = st.sampled_from(["customer", "identity"])
KEYS = st.sampled_from(["", "a", "b", "é", "z"])
STATES = st.dictionaries(KEYS, st.binary(max_size=4), max_size=4)
DUE = st.dictionaries(KEYS, st.none() | st.integers(-2, 5), max_size=4)
POSITIONS = st.none() | st.tuples(st.sampled_from(["t", "u"]), st.integers(0, 9))
STEP = st.sampled_from([1, 1, 1, 1, 1, 1, 0, -1, 2])
"""How far a sequence is ahead of the last committed one: mostly as it should be."""
OWNER = st.sampled_from([-1, -1, -1, -1, -2, 0])
"""Which of the owners so far acts: mostly the last."""
INTENTS = st.sampled_from([b"one", b"one", b"one", b"two", b""])

_NAMESPACES = count(1)


def test_redis_and_memory_agree_on_any_run_of_steps(redis_url: str, namespace: str) -> None:
    with asyncio.Runner() as runner:
        redis = RedisStore.connect(redis_url, namespace="unused")
        try:
            run_state_machine_as_test(
                cast("type[_Machine]", lambda: _Machine(runner, redis, f"{namespace}-{next(_NAMESPACES)}")),
                settings=settings(
                    max_examples=20,
                    stateful_step_count=30,
                    deadline=None,
                    database=None,
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
        finally:
            runner.run(redis.close())


class _Machine(RuleBasedStateMachine):
    def __init__(self, runner: asyncio.Runner, redis: RedisStore, namespace: str) -> None:
        super().__init__()
        self.runner = runner
        self.memory = MemoryStore()
        self.redis = RedisStore(
            redis._client, namespace=namespace, stages=redis._stages, wait_replicas=0, wait_timeout_s=1
        )
        self.owners: dict[int, list[tuple[int, int]]] = {0: [], 1: []}
        """The epochs of all owners so far, in memory and in Redis."""
        self.sequence = {0: 0, 1: 0}

    @rule(p=PARTITIONS)
    def take_over(self, p: int) -> None:
        in_memory = self.runner.run(self.memory.take_over(p))
        in_redis = self.runner.run(self.redis.take_over(p))
        self.owners[p].append((in_memory.epoch, in_redis.epoch))
        for name in ("sequence", "intent", "positions", "next_due", "known"):
            assert getattr(in_memory, name) == getattr(in_redis, name), name
        self.sequence[p] = in_memory.sequence

    @rule(p=PARTITIONS, owner=OWNER, step=STEP, intent=INTENTS, stage=STAGES, keys=st.lists(KEYS, max_size=4))
    def announce(self, p: int, owner: int, step: int, intent: bytes, stage: str, keys: list[str]) -> None:
        sequence = self.sequence[p] + step
        self.both(p, owner, lambda store, epoch: store.announce(p, epoch, sequence, intent, stage, keys))

    @rule(
        p=PARTITIONS,
        owner=OWNER,
        step=STEP,
        intent=INTENTS,
        stage=STAGES,
        until=st.integers(-3, 6),
        limit=st.integers(1, 5),
    )
    def announce_due(self, p: int, owner: int, step: int, intent: bytes, stage: str, until: int, limit: int) -> None:
        sequence = self.sequence[p] + step
        self.both(p, owner, lambda store, epoch: store.announce_due(p, epoch, sequence, intent, stage, until, limit))

    @rule(p=PARTITIONS, owner=OWNER, step=STEP, stage=STAGES, states=STATES, due=DUE, position=POSITIONS)
    def commit(
        self,
        p: int,
        owner: int,
        step: int,
        stage: str,
        states: dict[str, bytes],
        due: dict[str, int | None],
        position: tuple[str, int] | None,
    ) -> None:
        sequence = self.sequence[p] + step
        changes = Commit(stage, states, due, position)
        result = self.both(p, owner, lambda store, epoch: store.commit(p, epoch, sequence, changes))
        if not isinstance(result, Exception):
            self.sequence[p] = sequence

    @rule(p=PARTITIONS, positions=st.dictionaries(st.sampled_from(["t", "u"]), st.integers(0, 9)))
    def reset_positions(self, p: int, positions: dict[str, int]) -> None:
        self.same(self.memory.reset_positions(p, positions), self.redis.reset_positions(p, positions))

    @invariant()
    def both_hold_the_same(self) -> None:
        for p in (0, 1):
            self.same(self.memory.positions(p), self.redis.positions(p))
            for stage in ("customer", "identity"):
                self.same(_listed(self.memory, p, stage), _listed(self.redis, p, stage))

    def both(self, p: int, owner: int, step: Callable[[Store, int], Awaitable[Any]]) -> Any:
        owners = self.owners[p] or [(2**53, 2**53)]  # before the first take-over: one the store knows nothing of
        in_memory, in_redis = owners[max(owner, -len(owners))]
        return self.same(step(self.memory, in_memory), step(self.redis, in_redis))

    def same(self, in_memory: Awaitable[Any], in_redis: Awaitable[Any]) -> Any:
        expected = self.runner.run(_outcome(in_memory))
        found = self.runner.run(_outcome(in_redis))
        if isinstance(expected, Exception):
            assert type(found) is type(expected), (found, expected)
        else:
            assert found == expected
        return expected


async def _outcome(step: Awaitable[Any]) -> Any:
    try:
        return await step
    except (Fenced, StoreCorrupt, IntentPending) as refusal:
        return refusal


async def _listed(store: Store, p: int, stage: str) -> dict[str, bytes]:
    return {key: state async for key, state in store.states(p, stage)}
