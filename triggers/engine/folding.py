"""The older samples of a very busy customer, folded into time buckets, so that no series grows without bound.

A series keeps its newest ``policy.samples`` samples (5,000) one by one; what is older goes into buckets of 1/500 of the
time that the series looks back: of 30 days, 86 minutes. A bucket keeps what the functions need: how many, their sum,
least and greatest, the first and the last with their times, and the sum weighted by time.

**The error.** A bucket counts as a whole: where the edge of a window cuts one, the window reaches to the bucket's own
edge. So ``sum``, ``count``, ``mean``, ``min``, ``max``, ``first``, ``last`` and ``daily_mean`` are exact, of a window
that begins (or ends) less than one bucket's length further out. Beside that:

* ``distinct`` is a lower bound: of a bucket it knows the least, greatest, first and last value;
* in a series of other than money-like values the numbers in buckets are rounded to 1/10,000, and what lies beyond
  9 * 10^14 counts as that; of texts only ``count``, ``first``, ``last`` and ``distinct`` have a meaning anyway;
* a reversal no longer finds a sample that was folded: it stays counted. That concerns a reversal with more than 4,000
  newer samples in its series;
* that a level was unknown for a while is forgotten when it is folded: the value before counts until the next;
* a level that comes late, into the middle of a bucket, does not change the bucket's time-weighted sum.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from operator import mul, sub
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec

BUCKETS: Final = 500
"""Buckets for the time that a series looks back."""

_ROW: Final = Struct("<11q")
_SIZE: Final = _ROW.size
_COLUMNS: Final = 11
_HALF: Final = 32
_LOW: Final = 2**_HALF - 1
_INT64: Final = 2**63 - 1
_UNIT: Final = Decimal(1).scaleb(-4)

Other = str | tuple[str] | None
"""A value that is no integer of 1/10,000: text as it is, a number as a tuple of its text; ``None`` where unknown."""


class Bucket(NamedTuple):
    """A bucket: the times (ms) of its first and last sample, and its values in 1/10,000.

    ``weighted`` is each value times the ms until the next sample of the bucket, summed. Sums are kept in two halves,
    since those of a bank's largest customers go beyond 64 bits.
    """

    begin: int
    until: int
    samples: int
    total: int
    least: int
    most: int
    first: int
    last: int
    weighted: int

    def pack(self) -> bytes:
        """Its row."""
        total, weighted = self.total, self.weighted
        return _ROW.pack(
            *(self.begin, self.until, self.samples, total >> _HALF, total & _LOW),
            *(self.least, self.most, self.first, self.last, weighted >> _HALF, weighted & _LOW),
        )


class Folded(msgspec.Struct, array_like=True, gc=False):
    """Buckets in order of time, in packed rows. ``others`` are the first and last values of a mixed series' buckets."""

    rows: bytearray = msgspec.field(default_factory=bytearray)
    others: list[tuple[Other, Other]] | None = None

    def __len__(self) -> int:
        return len(self.rows) // _SIZE

    @property
    def until(self) -> int:
        """The time of the newest sample."""
        return self._column(1)[-1]

    def _column(self, index: int) -> memoryview:
        return memoryview(self.rows).cast("q")[index::_COLUMNS]

    def _bucket(self, index: int) -> Bucket:
        begin, until, count, high, low, least, most, first, last, heavy, light = _ROW.unpack_from(
            self.rows, index * _SIZE
        )
        weighted = (heavy << _HALF) + light
        return Bucket(begin, until, count, (high << _HALF) + low, least, most, first, last, weighted)

    def add(self, at: int, number: int, other: Other | None, width: int) -> None:
        """Folds a sample in: into the bucket of its time, or into a new one where there is none."""
        begins = self._column(0).tolist()
        index = bisect_right(begins, at) - 1
        if index < 0 or (at > self._column(1)[index] and at // width != begins[index] // width):
            index += 1
            if index == len(begins) or at // width != begins[index] // width:
                new = Bucket(at, at, 1, number, number, number, number, number, 0)
                self.rows[index * _SIZE : index * _SIZE] = new.pack()
                if self.others is not None and other is not None:
                    self.others.insert(index, (other, other))
                return
        bucket = self._bucket(index)
        first, last, begin, until, weighted = bucket.first, bucket.last, bucket.begin, bucket.until, bucket.weighted
        texts = self.others[index] if self.others is not None else None
        if at < begin:
            weighted += number * (begin - at)
            first, begin = number, at
            texts = (other, texts[1]) if texts is not None and other is not None else texts
        elif at >= until:
            weighted += last * (at - until)
            last, until = number, at
            texts = (texts[0], other) if texts is not None and other is not None else texts
        least, most = min(bucket.least, number), max(bucket.most, number)
        changed = Bucket(begin, until, bucket.samples + 1, bucket.total + number, least, most, first, last, weighted)
        self.rows[index * _SIZE : (index + 1) * _SIZE] = changed.pack()
        if self.others is not None and texts is not None:
            self.others[index] = texts

    def forget(self, keep_from: int, next_begin: int, *, level: bool) -> None:
        """Drops the buckets before ``keep_from``; of a level the one whose last value is in force there stays."""
        if level:
            stale = bisect_left([*self._column(0)[1:], next_begin], keep_from)
        else:
            stale = bisect_left(self._column(1), keep_from)
        if stale:
            del self.rows[: stale * _SIZE]
            if self.others is not None:
                del self.others[:stale]

    def mix(self) -> None:
        """Keeps first and last values as those of a mixed series from now on."""
        firsts, lasts = (
            [(str((number * _UNIT).normalize()),) for number in column] for column in self._known(0, len(self))
        )
        self.others = list(zip(firsts, lasts, strict=True))

    def value(
        self,
        function: str,
        times: Sequence[int],
        values: Sequence[Any],
        start: int,
        end: int,
        *,
        level: bool,
        unknown: int = 0,
    ) -> Any:
        """The value of a function over ``(start, end]``; ``None`` where nothing is known there.

        ``times`` and ``values`` are of the window's samples that are not folded, all after ``start``. Numbers are in
        1/10,000, or, of a mixed series, decimals; so is the result. ``unknown`` is the time, in ms, in
        which nothing was known: a mean leaves it out.
        """
        begins, untils = self._column(0), self._column(1)
        first = bisect_right(untils, start)
        last = max(first, bisect_right(begins, end))
        firsts, lasts = self._known(first, last)
        if first < len(begins) and begins[first] <= start:
            start = begins[first] - 1
        # Of a level the value in force at the beginning.
        head = self._known(first - 1, first)[1] if level and first else []
        count = len(head) + sum(self._column(2)[first:last]) + len(values)
        if function == "count" or not count:
            return count or None
        if function == "daily_mean":
            return self._weighted_mean(first, last, head, times, values, start, end, unknown)
        if function == "first":
            return [*head, *firsts, *values][0]
        if function == "last":
            return [*head, *lasts, *values][-1]
        if function == "distinct":
            inner = [] if self.others is not None else [*self._column(5)[first:last], *self._column(6)[first:last]]
            return len({*head, *firsts, *inner, *lasts, *values})
        if function in ("min", "max"):
            column = self._lift(self._column(5 if function == "min" else 6)[first:last])
            return FOLD[function]([*head, *column, *values])
        high, low = sum(self._column(3)[first:last]), sum(self._column(4)[first:last])
        total = sum(head) + self._lift([(high << _HALF) + low])[0] + sum(values)
        return total if function == "sum" else Decimal(total) / count

    def _known(self, first: int, last: int) -> tuple[list[Any], list[Any]]:
        """The first and the last value of each of these buckets."""
        if self.others is None:
            return self._column(7)[first:last].tolist(), self._column(8)[first:last].tolist()
        pairs = self.others[first:last]
        return [of_other(begin) for begin, _ in pairs], [of_other(end) for _, end in pairs]

    def _lift(self, numbers: Sequence[int]) -> Sequence[Any]:
        return numbers if self.others is None else [number * _UNIT for number in numbers]

    def _weighted_mean(
        self,
        first: int,
        last: int,
        head: list[Any],
        times: Sequence[int],
        values: Sequence[Any],
        start: int,
        end: int,
        unknown: int,
    ) -> Any:
        # Piece by piece, the value before the window first: when it opens, its own weighted sum, when it closes, and
        # the value that holds from there on. Whole columns at once: a busy customer's window has thousands of pieces,
        # and a step of Python for each took 2.6 times as long.
        heads = [start] * len(head)
        opens = [*heads, *self._column(0)[first:last], *times]
        closes = [*heads, *self._column(1)[first:last], *times]
        held = [*head, *self._known(first, last)[1], *values]
        own = (sum(self._column(9)[first:last]) << _HALF) + sum(self._column(10)[first:last])
        end = max(end, closes[-1])
        total = sum(map(mul, held, map(sub, [*opens[1:], end], closes)), self._lift([own])[0] if first < last else 0)
        span = end - opens[0] - unknown
        return Decimal(total) / span if span > 0 else held[-1]


FOLD: Final = {"min": min, "max": max}


def of_other(value: Other) -> Any:
    """The value that a mixed series keeps so."""
    return Decimal(value[0]) if type(value) is tuple else value


def rounded(value: Any) -> int:
    """A number as buckets keep it, in 1/10,000; 0 for a text, of which no number is asked."""
    if isinstance(value, str):
        return 0
    number = int((value * 10_000).to_integral_value(ROUND_HALF_EVEN)) if value.is_finite() else 0
    return max(-_INT64, min(_INT64, number))
