"""Stops a partition whose input has gone bad, before its topic is drained into dead letters."""

from __future__ import annotations

from collections import deque


class Breaker:
    """Counts the bad among the last ``window`` records of one partition; ``percent`` of the window is too many.

    It is the window that is measured by, not what was seen so far: one bad record among the first ten is no flood.
    With ``percent`` 0 it never opens.
    """

    def __init__(self, window: int, percent: float) -> None:
        self._window = window
        self._percent = percent
        self._most = window * percent / 100
        self._batches: deque[tuple[int, int]] = deque()
        self._records = 0
        self._bad = 0

    @property
    def room(self) -> int | None:
        """As soon as so many more are bad it opens; ``None``: it never does."""
        return max(1, int(self._most) + 1 - self._bad) if self._percent else None

    def saw(self, records: int, bad: int) -> str | None:
        """Learns from a batch; why to stop, if it is time to."""
        self._batches.append((records, bad))
        self._records += records
        self._bad += bad
        while self._records - self._batches[0][0] >= self._window:
            gone, gone_bad = self._batches.popleft()
            self._records -= gone
            self._bad -= gone_bad
        if not self._percent or self._bad <= self._most:
            return None
        allowed = f"{self._percent:g}% of {self._window}"
        return f"{self._bad} of the last {self._records} records were dead letters, more than {allowed}"

    def reset(self) -> None:
        """Begins anew."""
        self._batches.clear()
        self._records = self._bad = 0
