"""What a broker says of our rights: two requests that aiokafka has not, or cannot read the answer of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    NoError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.admin import DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

_NOT_TOLD: Final = -(2**31)
_TOO_OLD: Final = (IncompatibleBrokerVersion, NotImplementedError)
"""aiokafka's ways to say that a broker knows no version of a request that we know."""
_CONSUMERS: Final = 0


async def topic_operations(connection: AIOKafkaConnection, names: Sequence[str]) -> dict[str, int | None]:
    """Topic → the operations that we may do with it, as bits; ``None`` where the broker does not tell.

    Topics that do not exist are left out.
    """
    try:
        answer = await connection.send(_TopicRights(names))
    except _TOO_OLD:
        return {}
    found: dict[str, int | None] = {}
    for code, name, _, _, operations in answer.topics:
        if code == TopicAuthorizationFailedError.errno:
            found[name] = 0
        elif code == NoError.errno:
            found[name] = None if operations == _NOT_TOLD else operations
    return found


async def coordinator_of(connection: AIOKafkaConnection, group: str) -> str | None:
    """``host:port`` of the broker that keeps a group; ``None`` where we may not know. Raises aiokafka's errors."""
    answer = await connection.send(FindCoordinatorRequest(group, _CONSUMERS))
    error = for_code(answer.error_code)
    if error is GroupAuthorizationFailedError:
        return None
    if error is not NoError:
        raise error(f"the coordinator of the group {group}")
    return f"{answer.host}:{answer.port}"


async def group_operations(connection: AIOKafkaConnection, group: str) -> int | None:
    """As ``topic_operations``; ``connection`` is one to the group's coordinator. Raises aiokafka's errors."""
    try:
        answer = await connection.send(_GroupRights(group))
    except _TOO_OLD:
        return None
    ((code, *_, operations),) = answer.groups
    error = for_code(code)
    if error is GroupAuthorizationFailedError:
        return 0
    if error is not NoError:
        raise error(f"the group {group}")
    return None if operations == _NOT_TOLD else int(operations)


class _TopicRightsAnswerV8(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("authorized_operations", Int32),
    )


class _TopicRightsV8(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _TopicRightsAnswerV8
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _TopicRights(Request[_TopicRightsV8]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY: ClassVar[int] = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_TopicRightsV8]) -> _TopicRightsV8:
        return request_struct_class(self._topics, False, False, True)


class _GroupRightsV3(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 15
    API_VERSION = 3
    # aiokafka's own request reads the answer as one of the version before.
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


class _GroupRights(Request[_GroupRightsV3]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY: ClassVar[int] = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_GroupRightsV3]) -> Any:
        return request_struct_class([self._group], True)
