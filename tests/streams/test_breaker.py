"""When a partition's input counts as gone bad."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from streams.breaker import Breaker


def test_one_more_than_the_limit_opens_it() -> None:
    """1% of 10,000 are allowed: the hundred and first bad record stops."""
    breaker = Breaker(10_000, 1.0)
    assert breaker.saw(5_000, 100) is None
    assert breaker.saw(10, 1) == "101 of the last 5010 records were dead letters, more than 1% of 10000"


def test_few_records_are_no_flood() -> None:
    """Though all of the first hundred are bad."""
    breaker = Breaker(10_000, 1.0)
    assert breaker.saw(100, 100) is None


def test_what_is_out_of_the_window_is_forgotten() -> None:
    """A hundred bad ones each ten thousand records go on for ever."""
    breaker = Breaker(10_000, 1.0)
    for _ in range(20):
        assert breaker.saw(100, 100) is None
        assert breaker.saw(9_900, 0) is None


def test_it_begins_anew() -> None:
    """After an operator has looked."""
    breaker = Breaker(1_000, 1.0)
    assert breaker.saw(11, 11) is not None
    breaker.reset()
    assert breaker.saw(10, 10) is None
    assert breaker.saw(1, 1) is not None


def test_zero_never_opens_it() -> None:
    """The rule can be switched off."""
    assert Breaker(100, 0.0).saw(1_000, 1_000) is None
    assert Breaker(100, 0.0).room is None


@given(st.integers(100, 20_000), st.floats(0.01, 100), st.integers(0, 150))
def test_room_is_what_opens_it(window: int, percent: float, before: int) -> None:
    """So many more bad ones open it, one less does not."""
    breaker, same = Breaker(window, percent), Breaker(window, percent)
    if breaker.saw(before + 1, before) is None:
        same.saw(before + 1, before)
        room = breaker.room
        assert room is not None
        assert breaker.saw(room - 1, room - 1) is None or before + room >= window
        assert same.saw(room, room) is not None or before + room >= window


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([1.0, 10.0, 50.0]))
def test_as_counted_record_by_record(seed: int, largest: int, percent: float) -> None:
    """It opens no later than a count over exactly the last records says, and never for a window with fewer bad ones."""
    dice, breaker, window = random.Random(seed), Breaker(100, percent), 100
    flags: list[bool] = []
    for _ in range(200):
        size = dice.randint(1, largest)
        batch = [dice.random() < percent / 100 for _ in range(size)]
        flags += batch
        opened = breaker.saw(size, sum(batch)) is not None
        exact = sum(flags[-window:]) > window * percent / 100
        # Whole batches: up to one batch more than the window may be looked at.
        loose = sum(flags[-(window + largest) :]) > window * percent / 100
        assert opened or not exact
        assert loose or not opened
        if opened:
            breaker.reset()
            flags.clear()
