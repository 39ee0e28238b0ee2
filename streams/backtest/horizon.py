"""How far the time of an input goes, whatever a stray event claims.

Where nothing of an input lies in the year before an event, the event stands alone beyond a *gap*. What stands beyond
a gap is from the future where the input itself says so: later lines of the same source lie before the gap again, or it
is no more than one event in a hundred. Else the input goes on after a pause, and the gap is part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from triggers.casework.backtest import Arrival

GAP_MS: Final = 366 * 86_400_000
"""A pause longer than any between the events of a bank."""

_LONE: Final = 100

Timed = tuple[int, Arrival]

_time_of: Final = itemgetter(0)


@dataclass(slots=True)
class Stretch:
    """Events without a gap between them. ``newest`` is the newest time of one that can be read, where one can."""

    first: int
    last: int
    newest: int | None
    count: int
    latest: dict[int, int] = field(default_factory=dict)
    """The last place of each source in it."""

    def near(self, first: int, last: int) -> bool:
        """Whether no gap lies between it and these times."""
        return self.first - last <= GAP_MS and first - self.last <= GAP_MS

    def take(self, other: Stretch) -> None:
        """Adds another one that is near."""
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        if self.newest is None or (other.newest is not None and other.newest > self.newest):
            self.newest = other.newest
        self.count += other.count
        for source, position in other.latest.items():
            self.latest[source] = max(position, self.latest.get(source, position))


class Horizon:
    """Is told the times of events, in any portions; ``readable`` says of one whether it is an event at all.

    ``stretches`` are what it knows of them: another one may be told those, too.
    """

    def __init__(self, readable: Callable[[Arrival], bool]) -> None:
        self._readable = readable
        self.stretches: list[Stretch] = []

    def add(self, events: Iterable[Timed]) -> None:
        """Takes a portion. Few events of it are read: those that may be the newest."""
        ordered = sorted(events, key=_time_of)
        if ordered and ordered[-1][0] - ordered[0][0] <= GAP_MS:
            self._add_stretch(ordered)
            return
        begin = 0
        for index in range(1, len(ordered) + 1):
            if index == len(ordered) or ordered[index][0] - ordered[index - 1][0] > GAP_MS:
                self._add_stretch(ordered[begin:index])
                begin = index

    def end_ms(self) -> int | None:
        """The newest time of an event that is not from the future; ``None`` where no event can be read."""
        # What cannot be read has no time.
        known = (stretch for stretch in self.stretches if stretch.newest is not None)
        stretches = sorted(known, key=lambda stretch: stretch.last)
        total = sum(stretch.count for stretch in stretches)
        while len(stretches) > 1 and _from_the_future(stretches[-1], stretches[:-1], total):
            stretches.pop()
        return stretches[-1].newest if stretches else None

    def _add_stretch(self, ordered: list[Timed]) -> None:
        first, last = ordered[0][0], ordered[-1][0]
        newest = known = max(
            (near.newest for near in self.stretches if near.newest is not None and near.near(first, last)), default=None
        )
        for at, arrival in reversed(ordered):
            if known is not None and at <= known:
                break
            if self._readable(arrival):
                newest = at
                break
        latest: dict[int, int] = {}
        for _, (_, _, _, source, position) in ordered:
            known_place = latest.get(source)
            if known_place is None or position > known_place:
                latest[source] = position
        self.take(Stretch(first, last, newest, len(ordered), latest))

    def take(self, stretch: Stretch) -> None:
        """Takes a stretch that another one was told of."""
        apart = []
        for known in self.stretches:
            if known.near(stretch.first, stretch.last):
                stretch.take(known)
            else:
                apart.append(known)
        self.stretches = [*apart, stretch]


def _from_the_future(stretch: Stretch, before: list[Stretch], total: int) -> bool:
    if stretch.count * _LONE <= total:
        return True
    return all(
        any(other.latest.get(source, position) > position for other in before)
        for source, position in stretch.latest.items()
    )
