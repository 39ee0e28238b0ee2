"""Who may do what on Kafka: the rights of each role by the registry, and what a broker says of ours.

Kafka lets everybody do nothing where it has an authorizer. Its team gives rights by name; this is the list.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aiokafka.errors import KafkaError

from schemas.topics import DEAD_LETTERS, JOURNAL_TOPIC, TOPICS, Topic
from streams.connections import (
    NotReachable,
    connect_kafka,
    first_answer,
    kafka_address,
    kafka_options,
    kafka_user,
    leave,
    retry,
)
from streams.kafka_requests import coordinator_of, group_operations, topic_operations
from streams.settings import Settings

WORKER: Final = "worker"
OPERATOR: Final = "operator"
_US: Final = "trigger-system"

Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs", "AlterConfigs"]

_BITS: Final[Mapping[Operation, int]] = {
    "Read": 1 << 3,
    "Write": 1 << 4,
    "Create": 1 << 5,
    "Describe": 1 << 8,
    "DescribeConfigs": 1 << 10,
    "AlterConfigs": 1 << 11,
}
"""A bit for each operation (``org.apache.kafka.common.acl.AclOperation``)."""


@dataclass(frozen=True, slots=True)
class Right:
    """What is needed on one topic or group (Kafka's name). Reading and writing include describing."""

    kind: Literal["topic", "group"]
    name: str
    operations: tuple[Operation, ...]


def roles() -> tuple[str, ...]:
    """The worker, the operator, and who publishes to topics or reads them, by the registry."""
    others = {name for topic in TOPICS for name in (*topic.producers, *topic.consumers)} - {_US, OPERATOR}
    return (WORKER, OPERATOR, *sorted(others))


def rights_of(role: str, settings: Settings, *, group: str | None = None) -> list[Right]:
    """The least that a role needs, in the registry's order. Raises ``KeyError`` for a role that there is not.

    ``group`` is the consumer group of a reader that is not ours; without it the role's own name.
    """
    if role not in roles():
        raise KeyError(role)
    rights = []
    for topic in TOPICS:
        operations = _operations(role, topic)
        if operations:
            rights.append(Right("topic", settings.topic_prefix + topic.name, operations))
    if role == WORKER:
        rights.append(Right("group", settings.app_id, ("Read",)))
    elif role == OPERATOR:
        # `state accept-loss` asks how far the group has read.
        rights.append(Right("group", settings.app_id, ("Describe",)))
    elif any("Read" in right.operations for right in rights):
        rights.append(Right("group", group or role, ("Read",)))
    return rights


def _operations(role: str, topic: Topic) -> tuple[Operation, ...]:
    if role == WORKER:
        # The journal, too: a store that comes back older is brought up to it.
        reads, writes = topic.stage is not None or topic.name == JOURNAL_TOPIC, _US in topic.producers
        # A worker that starts compares the topics with the registry.
        return (*(("Read",) if reads else ()), *(("Write",) if writes else ()), "DescribeConfigs")
    if role == OPERATOR:
        # Redriving writes to the topics that dead letters come from, and marks them in their own.
        writes = topic.stage is not None or topic.name == DEAD_LETTERS
        return ("Read", *(("Write",) if writes else ()), "Create", "DescribeConfigs", "AlterConfigs")
    return (*(("Read",) if role in topic.consumers else ()), *(("Write",) if role in topic.producers else ()))


def acl_commands(rights: Sequence[Right], principal: str, bootstrap: str) -> list[str]:
    """The rights as commands of Kafka's own tool, one for those that need the same."""
    alike: dict[tuple[str, tuple[Operation, ...]], list[str]] = defaultdict(list)
    for right in rights:
        alike[right.kind, right.operations].append(right.name)
    head = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--command-config", "admin.properties"]
    commands = []
    for (kind, operations), names in alike.items():
        parts = [*head, "--add", "--allow-principal", principal]
        for operation in operations:
            parts += ["--operation", operation]
        for name in names:
            parts += [f"--{kind}", name]
        commands.append(shlex.join(parts))
    return commands


async def check_rights(settings: Settings, role: str = WORKER) -> None:
    """Returns when a broker has said that we may do what a role must.

    A broker that does not tell (before Kafka 2.3, and the embedded one) is taken to allow all. Raises ``NotReachable``
    with a line for each topic or group of which something is missing.
    """
    options = kafka_options(settings)
    rights = rights_of(role, settings)

    async def ask() -> None:
        connection, _ = await first_answer(settings, options)
        try:
            told = await topic_operations(connection, [right.name for right in rights if right.kind == "topic"])
            coordinators = {
                right.name: await coordinator_of(connection, right.name) for right in rights if right.kind == "group"
            }
        finally:
            await leave(connection)
        for group, address in coordinators.items():
            told[group] = 0 if address is None else await _ask_coordinator(address, group)
        problems = [problem for right in rights if (problem := _problem(right, told.get(right.name), settings))]
        if problems:
            raise NotReachable("\n".join(problems))

    async def _ask_coordinator(address: str, group: str) -> int | None:
        connection = await connect_kafka(address, settings, options)
        try:
            return await group_operations(connection, group)
        finally:
            await leave(connection)

    await retry(ask, (KafkaError, OSError), f"Kafka at {kafka_address(settings)}", settings.startup_seconds)


def _problem(right: Right, allowed: int | None, settings: Settings) -> str | None:
    missing = [operation for operation in right.operations if allowed is not None and not allowed & _BITS[operation]]
    if not missing:
        return None
    wanted = " and ".join(missing)
    # Kafka hides what we may not describe, and does not say then which of the rights we have.
    what = f"to see the {right.kind} {right.name}, of which it needs {wanted}"
    if allowed:
        what = f"{wanted} on the {right.kind} {right.name}"
    return (
        f"Kafka at {kafka_address(settings)} does not allow the user {kafka_user(settings)} {what}; "
        "the rights that are needed: bank-triggers topics acls"
    )
