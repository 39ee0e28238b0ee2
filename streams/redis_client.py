"""One step against Redis: one deadline, no retry, and each failure told by what the caller must do about it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from streams.redis_packing import pack_quickly
from streams.store import StoreCorrupt, StoreRefused, StoreUnavailable
from streams.tls import chain_of, refused_by_tls

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of TLS; without ``ca`` the authorities of the operating system count."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def options(self) -> dict[str, Any]:
        """As redis-py wants them. Authority and name are checked, always."""
        given = {"ssl_ca_certs": self.ca, "ssl_certfile": self.certificate, "ssl_keyfile": self.key}
        files = {name: str(path) for name, path in given.items() if path is not None}
        return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **files}


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the name under which Redis keeps it."""

    name: str
    text: str
    sha: str

    @classmethod
    def load(cls, name: str) -> Script:
        """A script of ``streams/lua``, behind the head that all of them share."""
        folder = resources.files("streams") / "lua"
        text = "\n".join((folder / file).read_text("utf-8") for file in ("fence.lua", f"{name}.lua"))
        # The protocol names scripts by SHA-1; nothing is protected by it.
        return cls(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class RedisClient:
    """A single Redis or a Redis Cluster. A step is tried once, within ``timeout_s`` from connecting to the reply."""

    def __init__(self, url: str, *, cluster: bool, timeout_s: float, tls: TlsFiles | None = None) -> None:
        """Connects to nothing yet. Raises ``ValueError`` where the URL cannot be used."""
        target = _parse(url, cluster)
        self.address = target.address
        self.timeout_s = timeout_s
        self._password = target.password
        options: dict[str, Any] = {
            # One deadline covers the whole step (see `step`), so none is set per read: that would cost a task each.
            "socket_timeout": None,
            "socket_connect_timeout": timeout_s,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        if url.startswith("rediss:"):
            options |= (tls or TlsFiles()).options()
        self.cluster: RedisCluster | None = None
        self.single: Redis | None = None
        # redis-py refuses what it cannot read of a URL with ValueError, and may quote it, password and all.
        try:
            if cluster:
                nodes = [ClusterNode(host, port) for host, port in target.nodes]
                self.cluster = RedisCluster.from_url(target.url, startup_nodes=nodes, **options)
            else:
                self.single = Redis.from_url(target.url, **options)
        except (ValueError, redis_errors.RedisError, redis_errors.RedisClusterException):
            raise ValueError(_BAD_URL) from None
        pack_quickly(self.any)

    @property
    def any(self) -> Any:
        """The client, for commands that both kinds have."""
        return self.cluster if self.cluster is not None else self.single

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Runs a script, and sends its text along where the server does not know it (yet, or any more)."""

        async def call() -> Any:
            try:
                return await self.any.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
            except redis_errors.NoScriptError:
                return await self.any.execute_command("EVAL", script.text, len(keys), *keys, *arguments)

        return await self.step(call)

    async def run_and_wait(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Any], replicas: int, wait_s: float
    ) -> Any:
        """As ``run``, then waits until ``replicas`` replicas have the write, or raises ``StoreUnavailable``."""

        async def call() -> Any:
            reply, reached = await self._pipeline(("EVALSHA", script.sha), keys, arguments, replicas, wait_s)
            if isinstance(reply, redis_errors.NoScriptError):
                reply, reached = await self._pipeline(("EVAL", script.text), keys, arguments, replicas, wait_s)
            for result in (reply, reached):
                if isinstance(result, Exception):
                    raise result
            if not isinstance(reached, int) or reached < replicas:
                raise StoreUnavailable(
                    f"Redis at {self.address}: {reached} of {replicas} replicas have the write after {wait_s:g} s"
                )
            return reply

        return await self.step(call, extra_s=wait_s)

    async def wait_for_replicas(self, key: str, replicas: int) -> Any:
        """How many replicas have what this connection wrote to a key's node, once ``replicas`` have; 1 ms at most."""
        node = {} if self.cluster is None else {"target_nodes": self.cluster.get_node_from_key(key)}
        return await self.any.execute_command("WAIT", replicas, 1, **node)

    async def step(self, call: Callable[[], Awaitable[T]], extra_s: float = 0.0) -> T:
        """Awaits one step, and raises its failures as the contract of the store has them."""
        timeout_s = self.timeout_s + extra_s
        before = sys.exc_info()[1]
        try:
            async with asyncio.timeout(timeout_s):
                return await call()
        except TimeoutError:
            raise StoreUnavailable(f"Redis at {self.address} gave no answer within {timeout_s:g} s") from None
        except redis_errors.DataError:
            raise  # an argument of a wrong type: a bug of the caller
        except (redis_errors.RedisError, redis_errors.RedisClusterException, OSError) as error:
            raise self._translated(error, before) from error

    async def ping(self) -> None:
        """Reaches every node that holds data."""

        async def call() -> None:
            if self.cluster is not None:
                await self.cluster.execute_command("PING", target_nodes=RedisCluster.PRIMARIES)
            else:
                await self.any.execute_command("PING")

        await self.step(call)

    async def close(self) -> None:
        await self.any.aclose()

    async def _pipeline(
        self, head: tuple[str, str], keys: Sequence[str], arguments: Sequence[Any], replicas: int, wait_s: float
    ) -> tuple[Any, Any]:
        """The script and WAIT on one connection: WAIT concerns what its own connection has written."""
        wait = ("WAIT", replicas, max(1, round(wait_s * 1000)))
        if self.single is not None:
            pipeline: Any = self.single.pipeline(transaction=False)
            pipeline.execute_command(*head, len(keys), *keys, *arguments)
            pipeline.execute_command(*wait)
            reply, reached = await pipeline.execute(raise_on_error=False)
            return reply, reached
        assert self.cluster is not None
        await self.cluster.initialize()
        node = self.cluster.get_node_from_key(keys[0])
        pipeline = self.cluster.pipeline()
        pipeline.execute_command(*head, len(keys), *keys, *arguments)
        pipeline.execute_command(*wait, target_nodes=node)
        reply, reached = await pipeline.execute(raise_on_error=False)
        await self.cluster.initialize()
        if self.cluster.get_node_from_key(keys[0]) != node:
            raise StoreUnavailable(f"Redis at {self.address}: the partition moved to another node during the write")
        return reply, reached

    def _translated(self, error: Exception, before: BaseException | None) -> Exception:
        # Underneath what redis-py raises may lie what really happened, so the whole chain is looked at; but not what
        # the caller was handling before: that may be the failure of an earlier attempt.
        chain = list(chain_of(error, before))
        node = getattr(error, "connection", None)
        address = f"{node.host}:{node.port}" if isinstance(node, ClusterNode) else self.address
        reason = " ".join(str(error).split()) or type(error).__name__
        if self._password:
            reason = reason.replace(self._password, "***")
        where = f"Redis at {address}"
        if (refused := refused_by_tls(error, "redis_tls", before)) is not None:
            return StoreRefused(f"{where} cannot be spoken to: {refused}")
        if any(_is_refusal(link) for link in chain):
            return StoreRefused(f"{where} refuses this program (user, password, permissions): {reason}")
        if any("Cluster mode is not enabled" in str(link) for link in chain):
            return StoreRefused(f"{where} is not a Redis Cluster: switch the setting for a cluster off")
        if isinstance(error, redis_errors.MovedError) and self.cluster is None:
            return StoreRefused(f"{where} is a node of a Redis Cluster: switch the setting for a cluster on")
        if _is_answer(error):
            return StoreCorrupt(f"{where} cannot carry out a step: {reason}")
        return StoreUnavailable(f"{where} is not available: {reason}")


_BAD_URL = (
    "the Redis URL cannot be used: redis://[user:password@]host:port[/database] is wanted (rediss:// for TLS, "
    "host:port,host:port... and no database for a cluster), with special characters of the password percent-encoded"
)


@dataclass(frozen=True, slots=True)
class _Target:
    url: str
    """With one address, for redis-py."""
    nodes: Sequence[tuple[str, int]]
    address: str
    password: str


def _parse(url: str, cluster: bool) -> _Target:
    try:
        parts = urlsplit(url)
        user, _, hosts = parts.netloc.rpartition("@")
        nodes = [_host_and_port(host) for host in hosts.split(",")] if parts.scheme in ("redis", "rediss") else []
    except ValueError:
        raise ValueError(_BAD_URL) from None
    password = unquote(user.partition(":")[2])
    if parts.scheme == "unix" and not cluster:
        return _Target(url, (), parts.path, password)
    if not nodes or (len(nodes) > 1 and not cluster):
        raise ValueError(_BAD_URL)
    first = hosts.split(",")[0]
    return _Target(
        url=parts._replace(netloc=f"{user}@{first}" if user else first).geturl(),
        nodes=nodes[1:],
        address=", ".join(f"{host}:{port}" for host, port in nodes),
        password=password,
    )


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError
    return parts.hostname, parts.port or 6379


# What an answer's code says, wherever it stands in the text: inside a script up to Redis 6 other words precede it, and
# a right that is missing there has words of its own.
_REFUSAL = re.compile(
    r"\b(NOAUTH|WRONGPASS|NOPERM|DENIED)\b|unknown command"
    r"|user executing the script can't (?:run|access)|ACL failure in script"
)
_BUSY = re.compile(
    r"\b(LOADING|READONLY|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|BUSY|UNKILLABLE|OOM|MISCONF|NOREPLICAS|UNBLOCKED)\b"
)
_BUSY_ERRORS = (
    redis_errors.ClusterError,
    redis_errors.AskError,
    redis_errors.TryAgainError,
    redis_errors.ReadOnlyError,
    redis_errors.OutOfMemoryError,
)


def _is_refusal(error: BaseException) -> bool:
    refusals = (
        redis_errors.AuthenticationError,
        redis_errors.AuthorizationError,
        redis_errors.NoPermissionError,
        redis_errors.AuthenticationWrongNumberOfArgsError,
    )
    if isinstance(error, refusals):
        return True
    return isinstance(error, redis_errors.ResponseError) and _REFUSAL.search(str(error)) is not None


def _is_answer(error: Exception) -> bool:
    """Whether the server answered, and not just that it is busy: the step fails on what the store holds."""
    if isinstance(error, redis_errors.InvalidResponse):
        return True
    if not isinstance(error, redis_errors.ResponseError) or isinstance(error, _BUSY_ERRORS):
        return False
    return _BUSY.search(str(error)) is None
