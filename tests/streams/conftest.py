"""A real Redis Cluster for the tests of this folder, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.support.redis_server import RedisClusterServers

_NAMESPACES = count(1)


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisClusterServers]:
    """A Redis Cluster of three masters, each with a replica."""
    with RedisClusterServers(tmp_path_factory.mktemp("redis-cluster"), replicas=True) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_cluster_url(redis_cluster: RedisClusterServers) -> str:
    """The URL of a Redis Cluster: three processes with a third of the slots each, and their replicas."""
    return redis_cluster.url


@pytest.fixture
def namespace() -> str:
    """A namespace no other test of this session uses."""
    return f"test-{next(_NAMESPACES)}"
