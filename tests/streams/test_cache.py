"""The cache of states: bounded, least recently used first, dropped with its partition."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.cache import StateCache


def test_a_state_put_is_found_by_partition_stage_and_key() -> None:
    cache = StateCache(10)
    states = {(p, stage, key): [p, stage, key] for p in (1, 2) for stage in ("customer", "desk") for key in ("a", "b")}
    for name, state in states.items():
        cache.put(*name, state)
    for name, state in states.items():
        assert cache.get(*name) is state
    assert cache.get(3, "customer", "a") is None
    assert cache.get(1, "identity", "a") is None
    assert cache.get(1, "customer", "c") is None
    assert (cache.hits, cache.misses, len(cache)) == (8, 3, 8)


def test_the_least_recently_used_state_makes_room() -> None:
    cache = StateCache(3)
    for key in "abc":
        cache.put(1, "customer", key, key)
    cache.get(1, "customer", "a")
    cache.put(2, "desk", "d", "d")
    assert cache.get(1, "customer", "b") is None
    assert [cache.get(1, "customer", key) for key in "ac"] == ["a", "c"]
    assert cache.get(2, "desk", "d") == "d"
    assert len(cache) == 3


def test_the_bound_holds_over_all_partitions() -> None:
    cache = StateCache(100)
    for number in range(1_000):
        cache.put(number % 7, "customer", str(number), number)
        assert len(cache) == min(number + 1, 100)
    assert [cache.get(number % 7, "customer", str(number)) for number in range(900, 1_000)] == [*range(900, 1_000)]


def test_bytes_are_bounded_where_asked() -> None:
    cache = StateCache(100, max_bytes=1_000)
    for number in range(10):
        cache.put(1, "customer", str(number), number, 300)
    assert (len(cache), cache.bytes) == (3, 900)
    cache.put(1, "customer", "9", 9, 100)  # smaller now
    assert (len(cache), cache.bytes) == (3, 700)
    cache.put(1, "customer", "large", 0, 2_000)  # one too large for the cache is not kept
    assert (len(cache), cache.bytes) == (0, 0)


def test_a_state_taken_is_gone_until_it_is_put_back() -> None:
    """Whatever a batch does to it, others cannot see it, and a batch that fails leaves nothing behind."""
    cache = StateCache(2)
    cache.put(1, "customer", "a", ["before"], 10)
    state = cache.take(1, "customer", "a")
    assert state is not None
    state.append("changed")
    assert cache.get(1, "customer", "a") is None
    assert cache.take(1, "customer", "a") is None
    assert (len(cache), cache.bytes, cache.hits, cache.misses) == (0, 0, 1, 2)
    for key in "bcd":  # a flood of others cannot evict what is not here
        cache.put(1, "customer", key, key)
    cache.put(1, "customer", "a", state, 20)
    assert cache.get(1, "customer", "a") == ["before", "changed"]


def test_dropping_a_partition_forgets_it_alone() -> None:
    cache = StateCache(10)
    for p in (1, 2):
        for stage in ("customer", "desk"):
            cache.put(p, stage, "a", (p, stage), 5)
    cache.drop(1)
    cache.drop(7)
    assert cache.get(1, "customer", "a") is None
    assert cache.get(1, "desk", "a") is None
    assert cache.get(2, "desk", "a") == (2, "desk")
    assert (len(cache), cache.bytes) == (2, 10)
    cache.put(1, "customer", "a", "again", 1)
    assert cache.get(1, "customer", "a") == "again"


def test_dropping_everything() -> None:
    cache = StateCache(10)
    for p in range(5):
        cache.put(p, "customer", "a", p, 5)
    cache.drop_all()
    assert (len(cache), cache.bytes) == (0, 0)
    assert all(cache.get(p, "customer", "a") is None for p in range(5))
    cache.put(1, "customer", "a", 1)
    assert cache.get(1, "customer", "a") == 1


def test_a_partition_is_dropped_at_its_own_cost() -> None:
    """A small partition goes while a large one stays: nothing walks through that one."""
    cache = StateCache(1_000_000)
    for number in range(5_000):
        cache.put(0, "customer", str(number), number)
    cache.put(1, "customer", "a", 1)
    steps = 0

    def count(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        cache.drop(1)
    finally:
        sys.settrace(before)
    assert 0 < steps < 1_000
    assert len(cache) == 5_000


def test_a_cache_for_nothing_keeps_nothing() -> None:
    cache = StateCache(0)
    cache.put(1, "customer", "a", 1, 5)
    assert (cache.get(1, "customer", "a"), len(cache), cache.bytes) == (None, 0, 0)


@pytest.mark.parametrize("bounds", [(-1, None), (1, -1)])
def test_bounds_below_nothing_are_refused(bounds: tuple[int, int | None]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        StateCache(*bounds)


NAMES = st.tuples(st.integers(0, 3), st.sampled_from(["customer", "desk"]), st.sampled_from("abcd"))
CALLS = st.one_of(
    st.tuples(st.just("get"), NAMES, st.just(0)),
    st.tuples(st.just("take"), NAMES, st.just(0)),
    st.tuples(st.just("put"), NAMES, st.integers(0, 9)),
    st.tuples(st.just("drop"), NAMES, st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(max_states=st.integers(0, 8), max_bytes=st.none() | st.integers(0, 30), calls=st.lists(CALLS, max_size=60))
def test_it_behaves_as_one_list_in_the_order_of_use(
    max_states: int, max_bytes: int | None, calls: list[tuple[str, tuple[int, str, str], int]]
) -> None:
    """The simplest cache there is, with one order over everything, always agrees."""
    cache = StateCache(max_states, max_bytes)
    model: OrderedDict[tuple[int, str, str], tuple[int, int]] = OrderedDict()
    for number, (call, name, size) in enumerate(calls, 1):
        if call == "put":
            model.pop(name, None)
            model[name] = (number, size)
            cache.put(*name, number, size)
            room = 10_000 if max_bytes is None else max_bytes
            while len(model) > max_states or sum(size for _, size in model.values()) > room:
                model.popitem(last=False)
        elif call == "drop":
            cache.drop(name[0])
            for other in [other for other in model if other[0] == name[0]]:
                del model[other]
        else:
            found = cache.get(*name) if call == "get" else cache.take(*name)
            assert found == (model[name][0] if name in model else None)
            if call == "get" and name in model:
                model.move_to_end(name)
            elif call == "take":
                model.pop(name, None)
        assert len(cache) == len(model)
        assert cache.bytes == sum(size for _, size in model.values())
