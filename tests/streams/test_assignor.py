"""Nothing is assigned before every topic is known."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from streams.assignor import CompleteAssignor, TopicsNotKnown
from streams.driver import ConsumerThread


@dataclass
class Cluster:
    """Metadata that know these topics."""

    topics: dict[str, set[int]]

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self.topics.get(topic)


@pytest.mark.parametrize("known", [{"a": {0}}, {"a": {0}, "b": set[int]()}])
def test_a_topic_that_is_not_known_keeps_all_from_being_assigned(known: dict[str, set[int]]) -> None:
    """Faust would assign the others and say nothing."""
    assignor = CompleteAssignor.__new__(CompleteAssignor)  # the app is needed only for what comes after
    members = {"one": SimpleNamespace(subscription=["a"]), "two": SimpleNamespace(subscription=["a", "b"])}
    with pytest.raises(TopicsNotKnown, match="does not name b"):
        assignor.assign(Cluster(known), members)


@dataclass
class Coordinator:
    """A group's coordinator with an error to be read."""

    error: KafkaError | None
    coordinator_id: int | None = 1

    def check_errors(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class Client:
    asked: list[str] = field(default_factory=list)

    def force_metadata_update(self) -> None:
        self.asked.append("metadata")


def _check(coordinator: Coordinator, client: Client) -> bool:
    thread: Any = ConsumerThread.__new__(ConsumerThread)
    thread._ensure_consumer = lambda: SimpleNamespace(_coordinator=coordinator, _client=client)
    found: bool = asyncio.run(ConsumerThread._check_coordinator(thread))
    return found


def test_the_group_is_joined_again_when_a_topic_was_not_known() -> None:
    """Once the error is read the client goes on, with fresh metadata; any other error ends the worker."""
    client = Client()
    error = KafkaError("TopicsNotKnown")
    error.__cause__ = TopicsNotKnown("the broker does not name b")
    assert _check(Coordinator(error), client) is False
    assert client.asked == ["metadata"]
    assert _check(Coordinator(None), client) is True
    assert _check(Coordinator(None, None), client) is False
    with pytest.raises(KafkaError, match="another"):
        _check(Coordinator(KafkaError("another")), client)
    assert client.asked == ["metadata"]
