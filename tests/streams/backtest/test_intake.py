"""Before events are shared out: whose they are, which take part, how far the time has come."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from schemas.base import to_ms
from schemas.encode import encode
from schemas.topics import TOPIC
from streams.backtest import intake as intake_module
from streams.backtest.intake import Intake
from streams.backtest.spill import customers
from tests.support.bank import at, transaction
from triggers.casework.backtest import Arrival

TOPIC_OF = TOPIC["bank.transactions"]


def arrival(number: int, day: float, *, source: int = 0, value: bytes | None = None, **more: Any) -> Arrival:
    record = transaction(f"t{number}", number, 1, number, occurred_at=at(day), **more)
    return Arrival(TOPIC_OF, b"c1", encode(record) if value is None else value, source, number)


def unreadable(number: int, day: float, source: int = 0) -> Arrival:
    """An event with a time, which is none all the same: its amount is missing."""
    text = f'{{"tenant":"bank","event_id":"t{number}","occurred_at":"{at(day).isoformat()}"}}'
    return arrival(number, day, source=source, value=text.encode())


def taken(folder: Path, given: list[Arrival], *, merge: bool = False, **more: Any) -> tuple[Intake, list[int]]:
    """An intake that took these, and the numbers of the events in the order in which they will be run."""
    intake = Intake(folder, merge=merge, **more)
    for one in given:
        intake.add(one)
    order = [one.position for share in intake.close() for found in customers(share, merge=merge) for one in found]
    return intake, order


@pytest.mark.parametrize("at_once", [1, 3, 4_096])
def test_the_end_is_the_newest_time_of_a_readable_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """In any order of events; what cannot be read has no time."""
    monkeypatch.setattr(intake_module, "_AT_ONCE", at_once)
    given = [arrival(n, n) for n in range(1, 10)] + [unreadable(n, 50 - n) for n in range(10, 20)]
    for seed in range(5):
        Random(seed).shuffle(given)
        intake, _ = taken(tmp_path, given)
        assert intake.end_ms == to_ms(at(9))


def test_without_a_readable_event_there_is_no_end(tmp_path: Path) -> None:
    """Nor of nothing at all."""
    assert taken(tmp_path, [unreadable(1, 1)])[0].end_ms is None
    assert taken(tmp_path, [])[0].end_ms is None


def test_the_tenant_is_the_first_events_own(tmp_path: Path) -> None:
    """An event of another tenant is none of ours then: it moves no clock."""
    other = transaction("t2", 2, 1, 2, tenant="other", occurred_at=at(5))
    intake, _ = taken(tmp_path, [arrival(1, 1), Arrival(TOPIC_OF, b"c1", encode(other), 0, 2)])
    assert (intake.tenant, intake.end_ms) == ("bank", to_ms(at(1)))
    intake, _ = taken(tmp_path, [arrival(1, 1), Arrival(TOPIC_OF, b"c1", encode(other), 0, 2)], tenant="other")
    assert (intake.tenant, intake.end_ms) == ("other", to_ms(at(5)))


def test_the_range_is_of_the_events_own_time(tmp_path: Path) -> None:
    """Both ends included; what has no time is kept, to be reported as an error."""
    given = [arrival(1, 1), arrival(2, 2), arrival(3, 3), arrival(4, 4), arrival(5, 0, value=b"{}")]
    intake, order = taken(tmp_path, given, since_ms=to_ms(at(2)), until_ms=to_ms(at(3)))
    assert order == [2, 3, 5]
    assert (intake.left_out, intake.taken, intake.end_ms) == (2, 3, to_ms(at(3)))


def test_one_source_keeps_its_order_whatever_the_times_say(tmp_path: Path) -> None:
    """A late event comes when it came."""
    given = [arrival(1, 5), arrival(2, 1), arrival(3, 6), unreadable(4, 99), arrival(5, 2)]
    assert taken(tmp_path, given)[1] == [1, 2, 3, 4, 5]
    assert taken(tmp_path, given, merge=True)[1] == [1, 2, 3, 4, 5]


def test_sources_come_in_side_by_side(tmp_path: Path) -> None:
    """By how far each has come, so that a late event of one stays where it came among the others."""
    first = [arrival(1, 1), arrival(3, 3), arrival(4, 0.5), arrival(6, 6)]
    second = [arrival(2, 2, source=1), arrival(5, 5, source=1), arrival(7, 7, source=1)]
    assert taken(tmp_path, first + second, merge=True)[1] == [1, 2, 3, 4, 5, 6, 7]
    assert taken(tmp_path, second + first, merge=True)[1] == [1, 2, 3, 4, 5, 6, 7]


def test_an_unreadable_event_far_ahead_does_not_hold_its_source_back(tmp_path: Path) -> None:
    """Its time counts as little for the order of the sources as for the end."""
    first = [unreadable(1, 5_000), arrival(2, 2), unreadable(3, 6_000), arrival(5, 4)]
    second = [arrival(4, 3, source=1), arrival(6, 5, source=1)]
    assert [number for number in taken(tmp_path, first + second, merge=True)[1] if number in (2, 4, 5, 6)] == [
        2,
        4,
        5,
        6,
    ]


FAR = 27_000
"""Days ahead: an event of the year 2099."""


def the_end(folder: Path, days: list[float], *, sources: int = 1) -> float:
    """The day on which an input of events of these days ends; its sources take turns."""
    given = [arrival(n, day, source=n % sources) for n, day in enumerate(days)]
    end = taken(folder, given, merge=sources > 1)[0].end_ms
    assert end is not None
    return (end - to_ms(at(0))) / 86_400_000


@pytest.mark.parametrize("at_once", [1, 3, 4_096])
@pytest.mark.parametrize("place", [0, 1, 5, 8])
def test_an_event_of_the_far_future_does_not_set_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, place: int
) -> None:
    """Wherever it stands: the lines after it lie before it again. Nor do two of them."""
    monkeypatch.setattr(intake_module, "_AT_ONCE", at_once)
    days: list[float] = list(range(1, 10))
    assert the_end(tmp_path, [*days[:place], FAR, *days[place:]]) == 9
    assert the_end(tmp_path, [*days[:place], FAR, FAR + 1_000, *days[place:]]) == 9
    if place < 8:  # else it is the last line of its source
        assert the_end(tmp_path, [*days[:place], FAR, *days[place:]], sources=2) == 9


def test_the_last_line_of_a_longer_input_may_be_of_the_far_future(tmp_path: Path) -> None:
    """One event in a hundred is none that the input has come to."""
    assert the_end(tmp_path, [*(n / 10 for n in range(99)), FAR]) == 9.8
    assert the_end(tmp_path, [*(n / 10 for n in range(98)), FAR]) == FAR


def test_a_pause_is_part_of_the_input(tmp_path: Path) -> None:
    """Of any length where time goes on after it; of a year in any order; and of many events always."""
    assert the_end(tmp_path, [1, 2, 3, 1_000]) == 1_000
    assert the_end(tmp_path, [1, 366, 2, 3]) == 366
    assert the_end(tmp_path, [1, 500, 1_000, 501, 2_000]) == 2_000
    assert the_end(tmp_path, [FAR]) == FAR


def test_an_event_of_the_far_future_leaves_the_sources_side_by_side(tmp_path: Path) -> None:
    """The rest of its source is not held back; a pause that a second event confirms counts."""
    for first in ([(1, 1), (0, FAR), (3, 3), (5, 5)], [(0, FAR), (1, 1), (3, 3), (5, 5)]):
        given = [arrival(n, day) for n, day in first] + [arrival(n, n, source=1) for n in (2, 4, 6)]
        assert taken(tmp_path, given, merge=True)[1] == [1, 2, 3, 4, 5, 6, 0]
    later = [arrival(1, 1), arrival(3, 1_001), arrival(5, 1_003)]
    other = [arrival(2, 2, source=1), arrival(4, 1_002, source=1), arrival(6, 1_004, source=1)]
    assert taken(tmp_path, later + other, merge=True)[1] == [1, 2, 3, 4, 5, 6]
