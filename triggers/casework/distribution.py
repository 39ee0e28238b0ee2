"""How numbers are spread, in bounded memory: the same answer in whatever order and in however many parts they came.

Numbers are counted in buckets, 128 to 256 for each power of two, and a percentile is the smallest number that was seen
in its bucket: a number that occurred, less than 1% below the true one. Minimum, maximum and counts are exact.
"""

from __future__ import annotations

from decimal import Decimal
from math import frexp, inf
from operator import itemgetter
from typing import Final

PERCENTILES: Final = (1, 5, 25, 50, 75, 95, 99)
"""The percentiles that are reported."""

_PARTS: Final = 256
_WIDTH: Final = 4 * _PARTS


class Distribution:
    """Numbers seen so far. ``unknown`` counts the times when there was none."""

    __slots__ = ("_buckets", "_most", "total", "unknown")

    def __init__(self) -> None:
        self.total = 0
        self.unknown = 0
        self._most = -inf
        self._buckets: dict[int, list[float]] = {}
        """How many numbers there are in each, and the smallest of them."""

    def add(self, value: Decimal | int | None) -> None:
        """Counts a number, or that it is unknown."""
        if value is None:
            self.unknown += 1
            return
        number = float(value)
        fraction, exponent = frexp(number)
        bucket = exponent * _WIDTH + int(fraction * _PARTS)
        self.total += 1
        found = self._buckets.get(bucket)
        if found is None:
            self._buckets[bucket] = [1, number]
        else:
            found[0] += 1
            if number < found[1]:
                found[1] = number
        if number > self._most:
            self._most = number

    def merge(self, other: Distribution) -> None:
        """Adds what another one counted."""
        self.total += other.total
        self.unknown += other.unknown
        self._most = max(self._most, other._most)
        for bucket, (count, smallest) in other._buckets.items():
            found = self._buckets.setdefault(bucket, [0, smallest])
            found[0] += count
            found[1] = min(found[1], smallest)

    @property
    def least(self) -> float | None:
        """The smallest number seen."""
        return min((smallest for _, smallest in self._buckets.values()), default=None)

    @property
    def most(self) -> float | None:
        """The greatest number seen."""
        return self._most if self.total else None

    def percentile(self, percent: int) -> float | None:
        """The number at or below which so many percent of all lie (nearest rank); ``None`` where there is none."""
        if not self.total:
            return None
        rank = max(1, -(-self.total * percent // 100))
        for count, smallest in sorted(self._buckets.values(), key=itemgetter(1)):
            rank -= int(count)
            if rank <= 0:
                return smallest
        raise AssertionError("the buckets hold fewer numbers than were counted")
