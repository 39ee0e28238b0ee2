"""States as Redis keeps them: half the room, the same bytes back, older ones as they are, damage told."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.embedded_redis import EmbeddedRedis
from streams.state_compression import MARK, MOST, WORTH_IT, DamagedState, compressed_state, plain_state
from streams.store import Commit, StoreCorrupt
from streams.store_redis import RedisStore
from tests.benchmarks.engine import Load, Work
from tests.benchmarks.rule_sets import rule_set
from tests.benchmarks.work import RULES
from tests.support.redis_server import ask

P = 3
LONG = bytes(random.Random(1).choices(b"abcd", k=4 * WORTH_IT))
SOME = {"long": LONG, "short": b"\x06state", "marked": MARK + b"state", "marked-long": MARK * 1_000, "none": b""}


@given(st.binary() | st.binary(min_size=1, max_size=8).map(lambda part: part * 400))
@example(MARK)
@example(MARK + bytes(2 * WORTH_IT))
@example(bytes(MOST))
@example(bytes(MOST + 1))
@example(MARK + bytes(1 << 22))
def test_what_was_compressed_is_read_as_it_was(state: bytes) -> None:
    """Whatever a state begins with and however much of it repeats."""
    kept = compressed_state(state)
    assert plain_state(kept) == state
    assert (kept[:1] == MARK) == (WORTH_IT <= len(state) <= MOST or state[:1] == MARK)


def test_short_and_huge_states_and_those_from_before_are_left_alone() -> None:
    """They begin with a version, and are the bytes that they always were."""
    for state in (bytes((6,)) * (WORTH_IT - 1), bytes((6,)) * (MOST + 1)):
        assert compressed_state(state) is state
    assert plain_state(LONG) is LONG


def test_a_typical_customer_takes_half() -> None:
    """With thirty events, as the engine leaves the state under the benchmarks' ten triggers and full policy."""
    work = Work(rule_set(RULES, None, "full"), Load(3_000, 100))
    stage, states = work.begin()
    for record in work.load.records:
        stage.process(record, states[record.customer_id], work.ruleset, None)
    plain = [stage.encode(state) for state in states.values()]
    assert sum(map(len, plain)) > 3_000 * len(plain)
    assert sum(len(compressed_state(state)) for state in plain) < 0.55 * sum(map(len, plain))
    assert all(state[:1] != MARK for state in plain)


@pytest.mark.parametrize(
    "damaged",
    [
        MARK,
        compressed_state(LONG)[:-1],
        compressed_state(LONG) + b"-",
        # Four GiB, by its own words: they are not made room for.
        MARK + b"\xff\xff\xff\xff\x0f" + compressed_state(LONG)[3:],
    ],
    ids=["nothing", "cut", "longer", "claims too much"],
)
def test_damage_is_told(damaged: bytes) -> None:
    with pytest.raises(DamagedState, match="compressed bytes"):
        plain_state(damaged)


@pytest.fixture
async def store(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[RedisStore]:
    store = RedisStore.connect(redis_server.url, namespace=namespace)
    yield store
    await store.close()


async def test_a_store_keeps_compressed_states(redis_server: EmbeddedRedis, store: RedisStore, namespace: str) -> None:
    """And gives the plain ones, by each of the three ways of reading."""
    own = await store.take_over(P)
    await store.announce(P, own.epoch, 1, b"1", "customer", [])
    await store.commit(P, own.epoch, 1, Commit("customer", SOME, {"long": 10, "short": 11}, ("t", 1)))
    kept = ask(redis_server, "HGET", f"{{{namespace}:{P}}}:state:customer", "long")
    assert kept == compressed_state(LONG)
    assert len(kept) < 0.7 * len(LONG)

    assert await store.announce(P, own.epoch, 2, b"2", "customer", [*SOME, "nobody"]) == [*SOME.values(), None]
    due = await store.announce_due(P, own.epoch, 2, b"2", "customer", 11, 5)
    assert due == [("long", LONG), ("short", SOME["short"])]
    assert {key: state async for key, state in store.states(P, "customer")} == SOME


async def test_a_store_reads_states_from_before(redis_server: EmbeddedRedis, store: RedisStore, namespace: str) -> None:
    """Long ones that were written as they were, and writes them compressed when they change."""
    own = await store.take_over(P)
    await store.announce(P, own.epoch, 1, b"1", "customer", [])
    await store.commit(P, own.epoch, 1, Commit("customer", {"c": b"-"}))
    key = f"{{{namespace}:{P}}}:state:customer"
    ask(redis_server, "HSET", key, "c", LONG)
    assert await store.announce(P, own.epoch, 2, b"2", "customer", ["c"]) == [LONG]
    await store.commit(P, own.epoch, 2, Commit("customer", {"c": LONG + b"!"}))
    assert ask(redis_server, "HGET", key, "c") == compressed_state(LONG + b"!")


async def test_damage_in_redis_is_told_with_its_place(
    redis_server: EmbeddedRedis, store: RedisStore, namespace: str
) -> None:
    """The server and the partition, and nobody's id."""
    own = await store.take_over(P)
    await store.announce(P, own.epoch, 1, b"1", "customer", [])
    await store.commit(P, own.epoch, 1, Commit("customer", {"person-7": LONG}, {"person-7": 5}))
    ask(redis_server, "HSET", f"{{{namespace}:{P}}}:state:customer", "person-7", compressed_state(LONG)[:-1])

    async def listed() -> None:
        async for _ in store.states(P, "customer"):
            pass

    for step in (
        store.announce(P, own.epoch, 2, b"2", "customer", ["person-7"]),
        store.announce_due(P, own.epoch, 2, b"2", "customer", 5, 1),
        listed(),
    ):
        with pytest.raises(StoreCorrupt, match=f"partition {P} in Redis at .*compressed bytes of a state") as told:
            await step
        assert "person-7" not in str(told.value)
