"""The table and the picture of a soak."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.support.soak_report import Check, Sample, check_row, lag_row, memory_row, picture, row, unexpected_end

SAMPLES = [
    Sample(float(second), (100 + second, 90), None if second == 7 else second * 3, second * 10, ("kafka: slow",))
    for second in range(500)
]
CHECKS = [
    Check(200.0, 12.0, 3.4, 50, 1_200, 1_500, 7, None),
    Check(400.0, 119.0, 3.4, 90, 2_400, 3_000, 9, "a message is missing"),
]

STEADY = "memory: at most 97 MiB in one worker (bound 256)"


def test_rows_say_what_was_seen() -> None:
    """Memory of each worker, lag where it is known, and what was compared."""
    assert row(SAMPLES[65]) == "01:05 |      165+90 |     195 |       650 | kafka: slow"
    assert row(SAMPLES[7]) == "00:07 |      107+90 |       ? |        70 | kafka: slow"
    assert "messages, states and positions are the oracle's, caps are kept: 50 batches, 1,200 actions" in check_row(
        CHECKS[0]
    )
    assert "DIFFERS" in check_row(CHECKS[1])


def test_the_picture_is_whole_and_shows_the_most() -> None:
    """Well-formed SVG with three charts; thinning keeps the highest memory."""
    drawn = picture(7, SAMPLES, CHECKS)
    root = ElementTree.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.findall("{http://www.w3.org/2000/svg}svg")) == 3
    assert "seed 7: 1 of 2 comparisons" in drawn
    assert "worker 1 599, worker 2 90" in drawn


def test_memory_that_grows_or_is_too_much_fails_the_soak() -> None:
    """The median of the larger worker in the last third against the first; a start or one peak is no growth."""

    def soak(*mib: int) -> tuple[bool, str]:
        return memory_row([Sample(float(at), (most, 60), 0, 0, ()) for at, most in enumerate(mib)])

    steady = [95, 60, 97] * 30
    assert soak(*steady) == (True, f"{STEADY}; median 95 MiB in the first third, 95 in the last (bound 32 more)")
    assert soak(*steady[:30], 250, *steady[31:])[0]
    assert not soak(*steady[:30], 257, *steady[31:])[0], "beyond the bound once"
    assert soak(*[95] * 60, *[127] * 30)[0]
    assert not soak(*[95] * 60, *[128] * 30)[0], "33 MiB more"
    assert not soak(*range(95, 185))[0], "a MiB at each look"
    assert soak(*[95] * 29, 97, *[95] * 29) == (True, f"{STEADY}; too few looks to tell growth")
    assert memory_row([Sample(0.0, (), 0, 0, ())])[0], "no worker ran"


@pytest.mark.parametrize(
    ("code", "blind", "asked", "problem"),
    [
        (0, False, {0}, None),
        (-15, False, {0, -15}, None),
        (-15, True, {0}, "ended with -15"),
        (-9, False, {-9}, None),
        (-9, False, {0, -9}, None),
        (0, False, {-9}, "ended with 0 though nobody told it to"),
        (0, True, set(), "ended with 0 though nobody told it to"),
        (-9, False, {0}, "ended with -9 though nobody killed it"),
        (5, False, set(), None),
        (1, True, set(), None),
        (4, True, set(), None),
        (1, False, {0}, "ended with 1 though neither Kafka nor the store was away at its start"),
        (4, False, set(), "ended with 4 though"),
        (-11, True, {0, -9}, "ended with -11"),
        (3, True, set(), "ended with 3"),
    ],
)
def test_how_a_worker_may_end(code: int, blind: bool, asked: set[int], problem: str | None) -> None:
    """By itself never, by an error only where what it needs was away at its start, by a crash never."""
    said = unexpected_end(code, blind, asked)
    assert said is None if problem is None else problem in str(said)


def _lags(*lags: int | None) -> list[Sample]:
    """A look a second, 10 records between two; at 4.5 seconds is a rest."""
    return [Sample(float(second), (), lag, second * 10, ("worker: killed",)) for second, lag in enumerate(lags)]


@pytest.mark.parametrize(
    ("lags", "rest_s", "held"),
    [
        ((0, 10, 20, 30, 0, 10, 20), 5.0, True),
        ((0, 10, None, 30, 0, 10, None), 5.0, True),
        ((0, 10, 21, 30, 0, 10, 20), 5.0, False),  # more than ever came
        ((0, 10, 20, 30, 0, 10, 21), 5.0, False),  # what had taken effect at the rest waits again
        ((0, 10, 20, 30, 0, 10, 20), 121.0, False),
    ],
)
def test_what_may_wait_is_what_came_since_the_last_rest(
    lags: tuple[int | None, ...], rest_s: float, held: bool
) -> None:
    """While workers are dead all that comes waits, and no more; and it must be gone in time."""
    found, said = lag_row(_lags(*lags), [Check(4.5, rest_s, 1.0, 1, 1, 1, 0, None)])
    assert found is held
    assert said.startswith(f"lag: at most {max(filter(None, lags))} records")
    assert f"nothing waited {rest_s:.0f} s after" in said
