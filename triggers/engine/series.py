"""Samples of one feature series of one customer or account, and the functions over a window of them.

Three parallel packed arrays: time (ms), the key of the event that left the sample, and the value. Numbers of at
most four decimals are kept as integers of 1/10,000, so a window of money is exact and encodes as plain memory; a
series that meets anything else (text, a longer fraction) keeps its values as Python objects from then on.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

_SCALE: Final = Decimal(10_000)
_UNIT: Final = Decimal(1).scaleb(-4)
_INT64: Final = 2**63 - 1


class SeriesState:
    """Samples in order of time; of equal times, in order of arrival."""

    __slots__ = ("keys", "times", "values")

    times: array[int]
    keys: array[int]
    values: array[int] | list[Any]

    def __init__(self) -> None:
        self.times = array("q")
        self.keys = array("Q")
        self.values = array("q")

    def add(self, at: int, key: int, value: Any, keep_from: int, *, level: bool) -> None:
        """Places a sample at its time and drops those before ``keep_from``.

        Of a level the newest sample before ``keep_from`` stays: its value is in force at the window's beginning.
        """
        self._place(at, key, pack(value), value)
        if self.times[0] < keep_from:
            self._forget(keep_from, level=level)

    def set_level(self, at: int, key: int, value: Any, retain_ms: int) -> None:
        """Notes the value of a level that holds from now on; nothing where it is what held before."""
        packed = pack(value)
        times, values = self.times, self.values
        if times:
            if type(values) is array:
                if values[-1] == packed:
                    return
            elif values[-1] == _storable(value):
                return
            # What holds now is the newest sample, whatever the clock of its publisher says.
            at = max(at, times[-1])
        self._place(at, key, packed, value)
        if times[0] < at - retain_ms:
            self._forget(at - retain_ms, level=True)

    def _place(self, at: int, key: int, packed: int | None, value: Any) -> None:
        values = self.values
        stored: Any = packed
        if type(values) is not array:
            stored = _storable(value)
        elif packed is None:
            values = self.values = [_unpack(number) for number in values]
            stored = _storable(value)
        times = self.times
        if not times or at >= times[-1]:
            times.append(at)
            self.keys.append(key)
            values.append(stored)
        else:
            index = bisect_right(times, at)
            times.insert(index, at)
            self.keys.insert(index, key)
            values.insert(index, stored)

    def _forget(self, keep_from: int, *, level: bool) -> None:
        stale = bisect_left(self.times, keep_from) - level
        if stale > 0:
            del self.times[:stale], self.keys[:stale], self.values[:stale]

    def remove(self, key: int) -> None:
        """Takes back every sample that the event with this key left."""
        while key in self.keys:
            index = self.keys.index(key)
            del self.times[index], self.keys[index], self.values[index]


def pack(value: Any) -> int | None:
    """The value in 1/10,000, or ``None`` where that is not exact."""
    if type(value) is Decimal:
        scaled = value * _SCALE
        if not scaled.is_finite():
            return None
        number = int(scaled)
        return number if number == scaled and -_INT64 <= number <= _INT64 else None
    if isinstance(value, int):
        number = value * 10_000
        return number if -_INT64 <= number <= _INT64 else None
    return None


def _storable(value: Any) -> Any:
    """What a mixed series keeps: numbers as decimals, anything else as text, so that it survives its encoding."""
    if isinstance(value, Decimal | int):
        return Decimal(value).normalize()
    return str(value)


def _unpack(number: int) -> Decimal:
    return number * _UNIT


# --- functions over the window (start, end] -----------------------------------------------------------------------
# Each takes the series, the first and one past the last index of the window, and the window's start and end.
# A flow's window holds the samples after ``start`` up to ``end``. A level's window begins one sample earlier where
# there is one: the value in force at ``start``.


def _window_sum(series: SeriesState, first: int, last: int) -> Any:
    return _number(series, sum(series.values[first:last]))


def _window_count(_series: SeriesState, first: int, last: int) -> Any:
    return Decimal(last - first)


def _window_max(series: SeriesState, first: int, last: int) -> Any:
    return _number(series, max(series.values[first:last])) if last > first else None


def _window_min(series: SeriesState, first: int, last: int) -> Any:
    return _number(series, min(series.values[first:last])) if last > first else None


def _window_mean(series: SeriesState, first: int, last: int) -> Any:
    if last <= first:
        return None
    total: Decimal = _number(series, sum(series.values[first:last]))
    return total / (last - first)


def _window_first(series: SeriesState, first: int, last: int) -> Any:
    return _number(series, series.values[first]) if last > first else None


def _window_last(series: SeriesState, first: int, last: int) -> Any:
    return _number(series, series.values[last - 1]) if last > first else None


def _window_distinct(series: SeriesState, first: int, last: int) -> Any:
    return Decimal(len(set(series.values[first:last])))


def _number(series: SeriesState, value: Any) -> Any:
    if type(series.values) is array:
        return value * _UNIT
    return Decimal(value) if type(value) is int else value


FUNCTIONS: Final[dict[str, Callable[[SeriesState, int, int], Any]]] = {
    "sum": _window_sum,
    "count": _window_count,
    "max": _window_max,
    "min": _window_min,
    "mean": _window_mean,
    "first": _window_first,
    "last": _window_last,
    "distinct": _window_distinct,
}

_EMPTY: Final = SeriesState()


def window_value(function: str, series: SeriesState | None, start: int, end: int, *, level: bool) -> Any:
    """The value of a function over the window ``(start, end]``; ``None`` where it is unknown.

    An empty window has sum, count and distinct 0; the other functions of it are unknown.
    """
    samples = series if series is not None else _EMPTY
    times = samples.times
    first = bisect_right(times, start)
    last = len(times) if not times or times[-1] <= end else bisect_right(times, end)
    if level and first > 0:
        first -= 1
    if function == "daily_mean":
        return _time_weighted_mean(samples, first, last, start, end)
    return FUNCTIONS[function](samples, first, last)


def _time_weighted_mean(series: SeriesState, first: int, last: int, start: int, end: int) -> Any:
    """The mean of a level weighted by how long each value stood: what banks call the daily average.

    Where the level is known for a part of the window only, it is the mean over that part.
    """
    if last <= first:
        return None
    times = series.times
    begin = max(start, times[first])
    if end <= begin:
        return _number(series, series.values[last - 1])
    weighted: Any = 0
    for index in range(first, last):
        since = max(begin, times[index])
        until = times[index + 1] if index + 1 < last else end
        weighted += series.values[index] * (until - since)
    return Decimal(_number(series, weighted)) / (end - begin)
