"""How far the records' own time has come in one partition: with ``clock: record`` it decides which timers are due."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from schemas.base import to_ms
from streams.stages import Route
from triggers.engine.batch import Decoded


class Watermark:
    """The newest record time of each topic that feeds a stage in this partition, and what follows from it.

    A topic that still has records to read holds the others back at its own newest time: those records may be older
    than what the others have reached. A topic that is read to its end does not.
    """

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}

    def saw(self, topic: str, decoded: Decoded) -> None:
        """Notes the times of a topic's records that were processed; what could not be read has no time."""
        # By attribute: a record of the fast path is no instance of its model.
        times = [record.occurred_at for _, record in decoded.records if hasattr(record, "occurred_at")]
        if times:
            newest = to_ms(max(times))
            self._newest[topic] = max(newest, self._newest.get(topic, newest))

    def newest(self, routes: Sequence[Route]) -> int | None:
        """The newest time of any of these topics."""
        return max((self._newest[r.topic.name] for r in routes if r.topic.name in self._newest), default=None)

    def reached(
        self, routes: Sequence[Route], positions: Mapping[str, int], lag: Callable[[str, int], int | None]
    ) -> int | None:
        """The time up to which every record of these topics was processed; ``None`` where that is not known.

        ``lag`` takes a topic's name on Kafka and a position; a topic without a position is not read here.
        """
        newest = self.newest(routes)
        if newest is None:
            return None
        reached = newest
        for route in routes:
            position = positions.get(route.topic.name)
            if position is None or lag(route.kafka_topic, position) == 0:
                continue
            mine = self._newest.get(route.topic.name)
            if mine is None:
                return None
            reached = min(reached, mine)
        return reached
