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
    states = {
        (p, stage, key): f"{p} {stage} {key}".encode()
        for p in (1, 2)
        for stage in ("customer", "desk")
        for key in ("a", "b")
    }
    for name, state in states.items():
        cache.put(*name, state)
    for name, state in states.items():
        assert cache.get(*name) == state
    assert cache.get(3, "customer", "a") is None
    assert cache.get(1, "identity", "a") is None
    assert cache.get(1, "customer", "c") is None
    assert (cache.hits, cache.misses, len(cache)) == (8, 3, 8)


def test_the_least_recently_used_state_makes_room() -> None:
    cache = StateCache(3)
    for key in "abc":
        cache.put(1, "customer", key, key.encode())
    cache.get(1, "customer", "a")
    cache.put(2, "desk", "d", b"d")
    assert cache.get(1, "customer", "b") is None
    assert [cache.get(1, "customer", key) for key in "ac"] == [b"a", b"c"]
    assert cache.get(2, "desk", "d") == b"d"
    assert len(cache) == 3


def test_the_bound_holds_over_all_partitions() -> None:
    cache = StateCache(100)
    for number in range(1_000):
        cache.put(number % 7, "customer", str(number), b"%d" % number)
        assert len(cache) == min(number + 1, 100)
    assert [cache.get(number % 7, "customer", str(number)) for number in range(900, 1_000)] == [
        b"%d" % number for number in range(900, 1_000)
    ]


def test_bytes_are_bounded_where_asked() -> None:
    cache = StateCache(100, max_bytes=1_000)
    for number in range(10):
        cache.put(1, "customer", str(number), bytes(300))
    assert (len(cache), cache.bytes) == (3, 900)
    cache.put(1, "customer", "9", bytes(100))  # smaller now
    assert (len(cache), cache.bytes) == (3, 700)
    cache.put(1, "customer", "large", bytes(2_000))  # one too large for the cache is not kept
    assert (len(cache), cache.bytes) == (0, 0)


def test_dropping_a_partition_forgets_it_alone() -> None:
    cache = StateCache(10)
    for p in (1, 2):
        for stage in ("customer", "desk"):
            cache.put(p, stage, "a", b"%d    " % p)
    cache.drop(1)
    cache.drop(7)
    assert cache.get(1, "customer", "a") is None
    assert cache.get(1, "desk", "a") is None
    assert cache.get(2, "desk", "a") == b"2    "
    assert (len(cache), cache.bytes) == (2, 10)
    cache.put(1, "customer", "a", b"again")
    assert cache.get(1, "customer", "a") == b"again"


def test_dropping_everything() -> None:
    cache = StateCache(10)
    for p in range(5):
        cache.put(p, "customer", "a", b"%d" % p)
    cache.drop_all()
    assert (len(cache), cache.bytes) == (0, 0)
    assert all(cache.get(p, "customer", "a") is None for p in range(5))
    cache.put(1, "customer", "a", b"1")
    assert cache.get(1, "customer", "a") == b"1"


def test_a_partition_is_dropped_at_its_own_cost() -> None:
    """A small partition goes while a large one stays: nothing walks through that one."""
    cache = StateCache(1_000_000)
    for number in range(5_000):
        cache.put(0, "customer", str(number), b"1")
    cache.put(1, "customer", "a", b"1")
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
    cache.put(1, "customer", "a", b"1")
    assert (cache.get(1, "customer", "a"), len(cache), cache.bytes) == (None, 0, 0)


@pytest.mark.parametrize("bounds", [(-1, None), (1, -1)])
def test_bounds_below_nothing_are_refused(bounds: tuple[int, int | None]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        StateCache(*bounds)


NAMES = st.tuples(st.integers(0, 3), st.sampled_from(["customer", "desk"]), st.sampled_from("abcd"))
CALLS = st.one_of(
    st.tuples(st.just("get"), NAMES, st.just(0)),
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
    model: OrderedDict[tuple[int, str, str], bytes] = OrderedDict()
    for number, (call, name, size) in enumerate(calls, 1):
        if call == "put":
            model.pop(name, None)
            model[name] = b"%*d" % (size, number)
            cache.put(*name, model[name])
            room = 10_000 if max_bytes is None else max_bytes
            while len(model) > max_states or sum(map(len, model.values())) > room:
                model.popitem(last=False)
        elif call == "drop":
            cache.drop(name[0])
            for other in [other for other in model if other[0] == name[0]]:
                del model[other]
        else:
            assert cache.get(*name) == model.get(name)
            if name in model:
                model.move_to_end(name)
        assert len(cache) == len(model)
        assert cache.bytes == sum(map(len, model.values()))
