"""Samples of one feature series of one customer or account, and the functions over a window of them.

One packed row for each sample: time (ms), the key of the event that left it, and the value. Numbers of at most four
decimals are kept as integers of 1/10,000, so a window of money is exact; a series that meets anything else (text, a
longer fraction) keeps its values beside the rows from then on. The rows are one block of memory, which the codec
writes as it is: three arrays, or an object for each sample, cost a cache miss each at every event. What is more than
``most`` samples is folded into time buckets (``folding`` tells the error).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from operator import itemgetter, mul, sub
from struct import Struct
from typing import Any, Final

import msgspec

from triggers.engine.folding import BUCKETS, Folded, Other, of_other, rounded

_SCALE: Final = Decimal(10_000)
_UNIT: Final = Decimal(1).scaleb(-4)
_INT64: Final = 2**63 - 1

GAP: Final = -(2**63)
"""In place of a value: the level is unknown from here on. No packed value is as low."""

_ROW: Final = Struct("<qQq")
ROW_BYTES: Final = _ROW.size
"""What a sample takes."""
_SIZE: Final = ROW_BYTES
_FIELDS: Final = 3
time_at: Final = Struct("<q").unpack_from
pack_row: Final = _ROW.pack
unpack_row: Final = _ROW.unpack_from


class SeriesState(msgspec.Struct, array_like=True, gc=False):
    """Samples in order of time; of equal times, in order of arrival.

    Of the methods that add one, ``most`` is the bytes that the rows may have. ``others`` are the values of a mixed
    series, one for each row; ``None`` where the rows hold them all.
    """

    rows: bytearray = msgspec.field(default_factory=bytearray)
    others: list[Other] | None = None
    folded: Folded | None = None
    """The samples older than those of the rows, where there were too many."""
    gaps: bool = False
    """Whether the level was ever unknown after it was known."""

    def __len__(self) -> int:
        return len(self.rows) // _SIZE

    @property
    def times(self) -> list[int]:
        """The samples' times."""
        return self._column(0)

    @property
    def values(self) -> list[Any]:
        """The samples' values: integers of 1/10,000, or, of a mixed series, decimals and texts."""
        return self._column(2) if self.others is None else [of_other(value) for value in self.others]

    def _column(self, field: int) -> list[int]:
        return memoryview(self.rows).cast("q")[field::_FIELDS].tolist()

    def add_flow(self, at: int, key: int, packed: int | None, value: Any, retain_ms: int, most: int) -> None:
        """Places a sample at its time and drops those older than ``retain_ms`` against the newest."""
        rows = self.rows
        if rows:
            newest = time_at(rows, len(rows) - _SIZE)[0]
            if at < newest:
                if at >= newest - retain_ms:
                    self._place(at, key, packed, value, retain_ms)
                return
        if packed is not None and self.others is None:
            rows += pack_row(at, key, packed)
        else:
            self._place(at, key, packed, value, retain_ms)
        if time_at(rows)[0] < at - retain_ms:
            self.forget(at - retain_ms, level=False)
        if len(rows) > most:
            self._fold(most, retain_ms, level=False)

    def set_level(self, at: int, key: int, packed: int | None, value: Any, retain_ms: int, most: int) -> None:
        """Notes the value of a level that holds from now on; nothing where it is what held before."""
        rows = self.rows
        if rows:
            newest, _, held = unpack_row(rows, len(rows) - _SIZE)
            if (held == packed) if self.others is None else (self.others[-1] == _to_other(value)):
                return
            # What holds now is the newest sample, whatever the clock of its publisher says.
            if at < newest:
                at = newest
        if packed is not None and self.others is None:
            rows += pack_row(at, key, packed)
        else:
            self._place(at, key, packed, value, retain_ms)
        keep_from = at - retain_ms
        # The oldest is mostly the one that was in force when the window began, which stays: then nothing is to be done.
        if time_at(rows)[0] < keep_from and (self.folded is not None or _second(rows) < keep_from):
            self.forget(keep_from, level=True)
        if len(rows) > most:
            self._fold(most, retain_ms, level=True)

    def end_level(self, at: int, key: int, retain_ms: int, most: int) -> None:
        """Notes that a level is unknown from now on, or that it no longer meets its condition."""
        if self.rows:
            self.gaps = True
            self.set_level(at, key, GAP, None, retain_ms, most)

    def add_late_level(self, at: int, key: int, value: Any, retain_ms: int, most: int) -> None:
        """Places, among what is known, the value that a level had at a time in the past."""
        rows = self.rows
        newest = max(at, time_at(rows, len(rows) - _SIZE)[0]) if rows else at
        self._place(at, key, pack(value), value, retain_ms)
        self.forget(newest - retain_ms, level=True)
        if len(rows) > most:
            self._fold(most, retain_ms, level=True)

    def _place(self, at: int, key: int, packed: int | None, value: Any, retain_ms: int) -> None:
        rows = self.rows
        if packed is None and self.others is None:
            self._mix()
        if self.folded is not None and at < self.folded.until:
            self._fold_one(at, packed if self.others is None else value, retain_ms)
            return
        index = len(self)
        if rows and at < time_at(rows, len(rows) - _SIZE)[0]:
            index = bisect_right(self.times, at)
        rows[index * _SIZE : index * _SIZE] = pack_row(at, key, packed if self.others is None else 0)
        if self.others is not None:
            self.others.insert(index, _to_other(value))

    def forget(self, keep_from: int, *, level: bool) -> None:
        """Drops the samples before ``keep_from``.

        Of a level the newest of them stays: its value is in force at the window's beginning.
        """
        if self.folded is not None:
            self.folded.forget(keep_from, time_at(self.rows)[0], level=level)
            if not self.folded.rows:
                self.folded = None
        # One by one from the oldest: there are few, and each is met once.
        rows, end = self.rows, 0
        size = len(rows)
        while end < size and time_at(rows, end)[0] < keep_from:
            end += _SIZE
        if level:
            end -= _SIZE
        if end > 0:
            del rows[:end]
            if self.others is not None:
                del self.others[: end // _SIZE]

    def _mix(self) -> None:
        """Keeps the values beside the rows from now on."""
        self.others = [_to_other(None if number == GAP else _unpack(number)) for number in self._column(2)]
        if self.folded is not None:
            self.folded.mix()

    def _fold(self, most: int, retain_ms: int, *, level: bool) -> None:
        """Folds the oldest fifth, so that this is done seldom, and drops the buckets that nothing looks back to."""
        count = (len(self.rows) - most + most // 5) // _SIZE
        if self.folded is None:
            self.folded = Folded(others=None if self.others is None else [])
        for at, value in zip(self.times[:count], self.values[:count], strict=True):
            self._fold_one(at, value, retain_ms)
        del self.rows[: count * _SIZE]
        if self.others is not None:
            del self.others[:count]
        newest = time_at(self.rows, len(self.rows) - _SIZE)[0]
        self.folded.forget(newest - retain_ms, time_at(self.rows)[0], level=level)

    def _fold_one(self, at: int, value: Any, retain_ms: int) -> None:
        assert self.folded is not None
        if value is None or (self.others is None and value == GAP):
            return
        width = max(1, retain_ms // BUCKETS)
        if self.others is None:
            self.folded.add(at, value, None, width)
        else:
            number = Decimal(value) if isinstance(value, int) else value
            self.folded.add(at, rounded(number), _to_other(value), width)

    def remove(self, key: int) -> None:
        """Takes back every sample that the event with this key left."""
        for index in reversed([index for index, known in enumerate(self._column(1)) if known == _signed(key)]):
            del self.rows[index * _SIZE : (index + 1) * _SIZE]
            if self.others is not None:
                del self.others[index]
        if not self.rows:
            self.folded = None


def pack(value: Any) -> int | None:
    """The value in 1/10,000, or ``None`` where that is not exact."""
    if type(value) is Decimal:
        scaled = value * _SCALE
        try:
            number = int(scaled)
        except (ValueError, OverflowError):  # not a finite number
            return None
        return number if number == scaled and -_INT64 <= number <= _INT64 else None
    if isinstance(value, int):
        number = value * 10_000
        return number if -_INT64 <= number <= _INT64 else None
    return None


def _second(rows: bytearray) -> int:
    """The time of the second sample; beyond any where there is one only."""
    return time_at(rows, _SIZE)[0] if len(rows) > _SIZE else _INT64


def _to_other(value: Any) -> Other:
    if value is None:
        return None
    return (str(Decimal(value).normalize()),) if isinstance(value, Decimal | int) else str(value)


def _unpack(number: int) -> Decimal:
    return number * _UNIT


def _signed(key: int) -> int:
    return key - 2**64 if key > _INT64 else key


# --- functions over the window (start, end] -----------------------------------------------------------------------
# Each takes the values of the window, in order, of which there is at least one.
# A flow's window holds the samples after ``start`` up to ``end``. A level's window begins one sample earlier where
# there is one: the value in force at ``start``.

FUNCTIONS: Final[dict[str, Callable[[Sequence[Any]], Any]]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "mean": sum,
    "first": itemgetter(0),
    "last": itemgetter(-1),
}
_EMPTY: Final = {"sum": Decimal(0), "count": Decimal(0), "distinct": Decimal(0)}


def window_value(function: str, series: SeriesState | None, start: int, end: int, *, level: bool) -> Any:
    """The value of a function over the window ``(start, end]``; ``None`` where it is unknown.

    An empty window has sum, count and distinct 0; the other functions of it are unknown.
    """
    if series is None or not series.rows:  # there are no buckets where there are no rows
        return _EMPTY.get(function)
    # Rows are three numbers: ``first`` and ``last`` count numbers, not rows.
    numbers = memoryview(series.rows).cast("q")
    first, last = 0, len(numbers)
    if numbers[-_FIELDS] > end:
        last = _FIELDS * bisect_right(numbers[::_FIELDS], end)
    # Mostly the window reaches back as far as samples are kept: then the first one is in it, or in force.
    if numbers[0] <= start and not (level and (last <= _FIELDS or numbers[_FIELDS] > start)):
        first = _FIELDS * bisect_right(numbers[::_FIELDS], start)
        if level:
            first -= _FIELDS
    if series.folded is not None and numbers[0] > start:
        return _with_folded(function, series, last // _FIELDS, start, end, level=level)
    if series.gaps:
        return _with_gaps(function, series, first // _FIELDS, last // _FIELDS, start, end)
    if function == "count":
        return Decimal((last - first) // _FIELDS)
    if first >= last:
        return _EMPTY.get(function)
    if series.others is not None:
        return _of_others(function, series.others, numbers[first:last:_FIELDS].tolist(), first // _FIELDS, start, end)
    values = numbers[first + 2 : last : _FIELDS]
    if function == "daily_mean":
        return _time_weighted_mean(values.tolist(), numbers[first:last:_FIELDS].tolist(), start, end) * _UNIT
    if function == "distinct":
        return Decimal(len(set(values)))
    value = FUNCTIONS[function](values) * _UNIT
    return value / len(values) if function == "mean" else value


def _with_gaps(function: str, series: SeriesState, first: int, last: int, start: int, end: int) -> Any:
    """Of a level that was unknown at times only what was known counts."""
    gap = GAP if series.others is None else None
    times, values = series.times[first:last], series.values[first:last]
    known = [value for value in values if value != gap]
    if not known:
        return _EMPTY.get(function)
    if function == "distinct":
        return Decimal(len(set(known)))
    if function == "daily_mean":
        times[0] = max(start, times[0])
        spans = [until - since for since, until in pairwise([*times, end])]
        whole = sum(span for span, value in zip(spans, values, strict=True) if value != gap)
        weighted = sum(span * value for span, value in zip(spans, values, strict=True) if value != gap)
        value = Decimal(weighted) / whole if whole else known[-1]
    else:
        value = FUNCTIONS[function](known)
    return value * _UNIT if series.others is None else value


def _with_folded(function: str, series: SeriesState, last: int, start: int, end: int, *, level: bool) -> Any:
    assert series.folded is not None
    times, values = series.times[:last], series.values[:last]
    unknown = 0
    if series.gaps:
        gap = GAP if series.others is None else None
        if function == "daily_mean":
            spans = zip(pairwise([*times, max(end, times[-1])] if times else []), values, strict=True)
            unknown = sum(until - since for (since, until), value in spans if value == gap)
            values = [0 if value == gap else value for value in values]
        else:
            values = [value for value in values if value != gap]
    value = series.folded.value(function, times, values, start, end, level=level, unknown=unknown)
    if value is None:
        return _EMPTY.get(function)
    if function in ("count", "distinct"):
        return Decimal(value)
    return value * _UNIT if series.others is None else value


def _of_others(function: str, others: list[Other], times: list[int], first: int, start: int, end: int) -> Any:
    values = [of_other(value) for value in others[first : first + len(times)]]
    if function == "distinct":
        return Decimal(len(set(values)))
    if function == "daily_mean":
        return _time_weighted_mean(values, times, start, end)
    value = FUNCTIONS[function](values)
    return value / len(values) if function == "mean" else value


def _time_weighted_mean(values: list[Any], times: list[int], start: int, end: int) -> Any:
    """The mean of a level weighted by how long each value stood: what banks call the daily average.

    Where the level is known from some moment of the window on, it is the mean from then.
    """
    begin = max(start, times[0])
    if end <= begin:
        return values[-1]
    times[0] = begin
    times.append(end)
    return Decimal(sum(map(mul, values, map(sub, times[1:], times)))) / (end - begin)
