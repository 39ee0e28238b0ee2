"""Real Redis for tests: single servers come from ``streams.embedded_redis``, a Redis Cluster from here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import exceptions as redis_errors

from streams.embedded_redis import EmbeddedRedis

SLOTS = 16_384
_READY_S = 30.0


@contextmanager
def held(server: EmbeddedRedis) -> Iterator[None]:
    """It stands still inside: connections stay open, nothing is answered."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


class RedisClusterServers:
    """A Redis Cluster: masters that share the slots evenly and, where wanted, a replica for each of them."""

    def __init__(self, directory: Path, *, masters: int = 3, replicas: bool = False, appendonly: bool = False) -> None:
        self.masters: list[EmbeddedRedis] = []
        self.replicas: list[EmbeddedRedis] = []
        # The bus gossips once a second or so; a failure is noticed after the timeout below.
        options = {"cluster-node-timeout": "2000", "cluster-announce-ip": "127.0.0.1", "repl-diskless-sync": "no"}
        try:
            for number in range(masters * (2 if replicas else 1)):
                group = self.masters if number < masters else self.replicas
                group.append(
                    EmbeddedRedis(directory / f"{number}", appendonly=appendonly, cluster=True, options=options)
                )
            self._join()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def servers(self) -> list[EmbeddedRedis]:
        return [*self.masters, *self.replicas]

    @property
    def url(self) -> str:
        return "redis://" + ",".join(server.address for server in self.masters)

    def owner(self, key: str) -> EmbeddedRedis:
        """The master that holds a key."""
        slot = ask(self.masters[0], "CLUSTER KEYSLOT", key)
        assert isinstance(slot, int)
        return self.masters[min(slot * len(self.masters) // SLOTS, len(self.masters) - 1)]

    def stop(self) -> None:
        for server in self.servers:
            server.kill()

    def _join(self) -> None:
        count = len(self.masters)
        for number, server in enumerate(self.masters):
            # The slots s with owner(s) == number; ADDSLOTSRANGE came with Redis 7 only.
            slots = [slot for slot in range(SLOTS) if slot * count // SLOTS == number]
            ask(server, "CLUSTER ADDSLOTS", *slots)
            ask(server, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for server, other in combinations(self.servers, 2):  # all of them: gossip would take seconds
            ask(server, "CLUSTER MEET", "127.0.0.1", other.port)
        wait_until(lambda: all(_known_nodes(server) == len(self.servers) for server in self.servers), "the nodes meet")
        for master, replica in zip(self.masters, self.replicas, strict=False):
            node_id = ask(master, "CLUSTER MYID")
            assert isinstance(node_id, bytes)
            wait_until(lambda: _replicates(replica, node_id), "a replica follows its master")  # noqa: B023 - called at once
        for master, _ in zip(self.masters, self.replicas, strict=False):
            wait_until(lambda: _online_replicas(master) == 1, "a replica is in step")  # noqa: B023 - called at once
        wait_until(lambda: all(_state(server) == "ok" for server in self.servers), "the cluster is in order")


def ask(server: EmbeddedRedis, command: str, *arguments: str | int | bytes) -> object:
    """The raw answer of one server to one command."""
    with server.client() as client:
        client.response_callbacks.clear()
        answer: object = client.execute_command(*command.split(), *arguments)
        return answer


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = _READY_S) -> None:
    """Polls a condition, for what no server reports by itself."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.01)


def _info(server: EmbeddedRedis, command: str, *arguments: str) -> dict[str, str]:
    answer = ask(server, command, *arguments)
    assert isinstance(answer, bytes)
    lines = (line.partition(":") for line in answer.decode().split())
    return {name: value for name, _, value in lines}


def _known_nodes(server: EmbeddedRedis) -> int:
    answer = ask(server, "CLUSTER NODES")
    assert isinstance(answer, bytes)
    nodes = answer.decode().splitlines()
    return len(nodes) if not any("handshake" in node for node in nodes) else 0


def _state(server: EmbeddedRedis) -> str:
    return _info(server, "CLUSTER INFO")["cluster_state"]


def _online_replicas(server: EmbeddedRedis) -> int:
    return sum("state=online" in value for value in _info(server, "INFO", "replication").values())


def _replicates(replica: EmbeddedRedis, master_id: bytes) -> bool:
    try:
        ask(replica, "CLUSTER REPLICATE", master_id)
    except redis_errors.ResponseError:
        return False  # it has not heard of the master yet
    return True
