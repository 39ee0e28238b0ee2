"""How numbers are spread, in bounded memory: the same answer in whatever order and in however many parts they came.

Numbers are counted in buckets, 128 to 256 for each power of two, and a percentile is the smallest number that was seen
in its bucket: a number that occurred, less than 1% below the true one. Minimum, maximum and counts are exact.
"""

from __future__ import annotations

from decimal import Decimal
from math import frexp
from typing import Final

PERCENTILES: Final = (1, 5, 25, 50, 75, 95, 99)
"""The percentiles that are reported."""

_PARTS: Final = 256
_WIDTH: Final = 4 * _PARTS


class Distribution:
    """Numbers seen so far. ``unknown`` counts the times when there was none."""

    __slots__ = ("_counts", "_smallest", "most", "total", "unknown")

    def __init__(self) -> None:
        self.total = 0
        self.unknown = 0
        self.most: float | None = None
        self._counts: dict[int, int] = {}
        self._smallest: dict[int, float] = {}

    def add(self, value: Decimal | int | None) -> None:
        """Counts a number, or that it is unknown."""
        if value is None:
            self.unknown += 1
            return
        number = float(value)
        fraction, exponent = frexp(number)
        bucket = exponent * _WIDTH + int(fraction * _PARTS)
        self.total += 1
        counts = self._counts
        if bucket in counts:
            counts[bucket] += 1
            if number < self._smallest[bucket]:
                self._smallest[bucket] = number
        else:
            counts[bucket] = 1
            self._smallest[bucket] = number
        if self.most is None or number > self.most:
            self.most = number

    def merge(self, other: Distribution) -> None:
        """Adds what another one counted."""
        self.total += other.total
        self.unknown += other.unknown
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count
            smallest = other._smallest[bucket]
            self._smallest[bucket] = min(smallest, self._smallest.get(bucket, smallest))
        if other.most is not None:
            self.most = other.most if self.most is None else max(self.most, other.most)

    @property
    def least(self) -> float | None:
        """The smallest number seen."""
        return min(self._smallest.values(), default=None)

    def percentile(self, percent: int) -> float | None:
        """The number at or below which so many percent of all lie (nearest rank); ``None`` where there is none."""
        if not self.total:
            return None
        rank = max(1, -(-self.total * percent // 100))
        for bucket in sorted(self._counts, key=self._smallest.__getitem__):
            rank -= self._counts[bucket]
            if rank <= 0:
                return self._smallest[bucket]
        raise AssertionError("the buckets hold fewer numbers than were counted")
