"""What was said of contacts and lies unread comes first: what is overdue must not overtake an opt-out.

By the wall clock all that is overdue goes out now. A worker that comes back, from its own end or from an outage, finds
timers overdue and records of hours unread, profiles and feedback among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from schemas.events import Feedback, Profile
from schemas.topics import CONSUMED
from streams.partition import RecordSource
from streams.stages import Route

OF_CONTACTS: Final = frozenset(topic.name for topic in CONSUMED if {Profile, Feedback} & set(topic.models))
"""The topics (the registry's names) that say who may be contacted, and what became of contacts."""

FRESH_MS: Final = 5_000
"""A timer that is later was held up; what was read to its end no longer ago holds it up no more."""

_TAIL: Final = 16


class Spans(Protocol):
    """What Kafka knows of the partitions: ``streams.replay.KafkaLog``."""

    async def spans(self, partitions: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], tuple[int, int]]:
        """The offset of the first record kept, and the one after the last, of each; topics are Kafka's names."""


class Unread:
    """What of one partition's topics on contacts has to be read before anything else is done there.

    It is compared with the ends as they were when they were looked at, once: what is written later holds nothing up,
    so a steady flow of profiles never holds timers for ever. Without ``routes`` nothing is ever held up.
    """

    def __init__(self, number: int, routes: Sequence[Route], offsets: Spans, source: RecordSource) -> None:
        self._number = number
        self._routes = {route.topic.name: route for route in routes if route.topic.name in OF_CONTACTS}
        self._offsets = offsets
        self._source = source
        self._ends: dict[str, int] = {}
        self._read_ms: int | None = None

    def concerns(self, topic: str) -> bool:
        """Whether a topic (the registry's name) is one of those that come first."""
        return topic in self._routes

    def saw(self, spans: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Takes the ends of the topics as what has to be read."""
        self._ends = {name: spans[route.kafka_topic, self._number][1] for name, route in self._routes.items()}

    @property
    def awaited(self) -> bool:
        """Whether ends were looked at that have not been found reached yet."""
        return bool(self._ends)

    def reached(self, positions: Mapping[str, int], now_ms: int) -> bool:
        """Whether all of it is read; then nothing is awaited any more."""
        if any(positions[name] < end for name, end in self._ends.items()):
            return False
        self._ends.clear()
        self._read_ms = now_ms
        return True

    def held_up(self, due_ms: int, now_ms: int) -> bool:
        """Whether a timer is so late that more may have been said meanwhile than is read."""
        if not self._routes or now_ms - due_ms <= FRESH_MS:
            return False
        return self._read_ms is None or not 0 <= now_ms - self._read_ms <= FRESH_MS

    async def look(self) -> None:
        """Asks Kafka for the ends as they are now; waits while it is away."""
        self.saw(await self._offsets.spans({(route.kafka_topic, self._number) for route in self._routes.values()}))

    async def leave_out_empty(self, positions: Mapping[str, int]) -> None:
        """Ends behind which there is no record become those of the last record.

        Transaction markers, and what was taken back, have offsets too, and are never delivered.
        """
        for name, end in self._ends.items():
            first, back = end, _TAIL
            while first > positions[name]:
                first, last = max(positions[name], end - back), first - 1
                records = await self._source.read(self._routes[name].kafka_topic, self._number, first, last)
                if records:
                    self._ends[name] = records[-1].offset + 1
                    break
                back *= 2
            else:
                self._ends[name] = min(end, positions[name])
