"""How calls of scripts are written: as redis-py would, on every kind of connection."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import Connection
from redis.exceptions import DataError

from streams import redis_packing
from streams.redis_client import RedisClient
from streams.redis_packing import pack

ARGUMENTS = st.lists(st.binary() | st.text() | st.integers() | st.binary(min_size=7000, max_size=7000))
URLS = [
    ("redis://localhost:1", False),
    ("rediss://localhost:1", False),
    ("unix:///nowhere", False),
    ("redis://localhost:1,localhost:2", True),
    ("rediss://localhost:1", True),
]


@given(ARGUMENTS)
def test_the_bytes_are_those_of_redis_py(arguments: list[Any]) -> None:
    """Whatever texts, bytes and numbers there are."""
    command = ["EVALSHA", *arguments]
    assert pack(command) == b"".join(Connection().pack_command(*command))


@pytest.mark.parametrize(("url", "cluster"), URLS)
def test_each_connection_of_the_store_packs_so(url: str, cluster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a single server and to each node of a cluster, plain, through TLS or on a socket file."""
    client = RedisClient(url, cluster=cluster, timeout_s=1.0)
    if client.cluster is not None:
        manager = client.cluster.nodes_manager
        kinds = [node.connection_class for node in manager.startup_nodes.values()]
        kinds.append(manager.connection_kwargs["connection_class"])
    else:
        assert client.single is not None
        kinds = [client.single.connection_pool.connection_class]
    monkeypatch.setattr(redis_packing, "pack", lambda _: b"ours")
    for kind in kinds:
        connection = object.__new__(kind)
        assert connection.pack_command("EVALSHA", "sha", 0) == [b"ours"]
        assert connection.pack_command("EVAL", "text", 0) == [b"ours"]


@pytest.mark.parametrize("argument", [None, True, object()])
def test_what_redis_py_refuses_is_refused(argument: Any) -> None:
    """An argument of a wrong type is a bug of the caller, not something to write as text."""
    assert pack(["EVALSHA", argument]) is None
    client = RedisClient("redis://localhost:1", cluster=False, timeout_s=1.0)
    assert client.single is not None
    connection = client.single.connection_pool.make_connection()
    with pytest.raises(DataError):
        connection.pack_command("EVALSHA", argument)


def test_other_commands_are_redis_pys() -> None:
    """Their names may be two words, and their arguments few."""
    client = RedisClient("redis://localhost:1", cluster=False, timeout_s=1.0)
    assert client.single is not None
    connection = client.single.connection_pool.make_connection()
    assert connection.pack_command("CLIENT SETINFO", "LIB-NAME", 1.5) == Connection().pack_command(
        "CLIENT SETINFO", "LIB-NAME", 1.5
    )
