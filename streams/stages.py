"""Which stage consumes which topic, and what each topic is called on this Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.topics import CONSUMED, Topic
from triggers.engine.stage import Stage


@dataclass(frozen=True, slots=True)
class Route:
    """One inbound topic: its name on Kafka, its entry in the registry, the stage that consumes it."""

    kafka_topic: str
    topic: Topic
    stage: Stage[Any]


class Routes:
    """The inbound topics of the stages that a worker runs. A topic whose stage is not run is not consumed.

    Raises ``ValueError`` for two stages of one name, or a stage that no topic feeds.
    """

    def __init__(self, stages: Sequence[Stage[Any]], *, prefix: str = "", topics: Sequence[Topic] = CONSUMED) -> None:
        self._stages = {stage.name: stage for stage in stages}
        if len(self._stages) != len(stages):
            raise ValueError("two stages have the same name")
        routes = [
            Route(prefix + topic.name, topic, self._stages[topic.stage])
            for topic in topics
            if topic.stage is not None and topic.stage in self._stages
        ]
        for name in self._stages:
            if not any(route.stage.name == name for route in routes):
                raise ValueError(f"no inbound topic is consumed by the stage {name}")
        self._by_kafka = {route.kafka_topic: route for route in routes}
        self._by_topic = {route.topic.name: route for route in routes}

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages that are run."""
        return tuple(self._stages)

    @property
    def kafka_topics(self) -> tuple[str, ...]:
        """The topics to subscribe to, in the registry's order."""
        return tuple(self._by_kafka)

    def of_kafka(self, kafka_topic: str) -> Route:
        """The route of a topic by its name on Kafka. Raises ``KeyError`` where nobody consumes it."""
        try:
            return self._by_kafka[kafka_topic]
        except KeyError:
            raise KeyError(
                f"no stage consumes the topic {kafka_topic}; consumed are {', '.join(self._by_kafka)}"
            ) from None

    def of_topic(self, topic: str) -> Route:
        """The route of a topic by its name in the registry. Raises ``KeyError`` where nobody consumes it."""
        try:
            return self._by_topic[topic]
        except KeyError:
            raise KeyError(f"no stage consumes the topic {topic}; consumed are {', '.join(self._by_topic)}") from None

    def of_stage(self, stage: str) -> tuple[Route, ...]:
        """The routes that feed a stage."""
        return tuple(route for route in self._by_topic.values() if route.stage.name == stage)

    def stage(self, name: str) -> Stage[Any]:
        """A stage by its name. Raises ``KeyError`` where it is not run."""
        try:
            return self._stages[name]
        except KeyError:
            raise KeyError(f"this worker runs no stage {name}; it runs {', '.join(self._stages)}") from None
