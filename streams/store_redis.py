"""The state store in Redis, a single server or a Cluster. Each step is one Lua script: atomic, one round trip.

Keys (``ns`` the namespace, ``p`` the partition; what stands in braces decides the slot, so that a partition lives on
one node):

- ``{ns:p}:meta``: a hash: epoch, sequence, intent, positions and what each stage holds (``lua/fence.lua``)
- ``{ns:p}:state:<stage>``: a hash, key to state (``state_compression``)
- ``{ns:p}:due:<stage>``: a sorted set, key by due time in ms
- ``{ns:p}:copy:meta`` and so on: the same of a copy that is being made, until it takes the partition's place
- ``ns:ruleset:<hash>``: a rule set's document, in a slot of its own; ``ns:ruleset:<hash>:signatures``: a hash

Why one hash for all states of a stage and not a key for each: with 100,000 states of 300 bytes (Redis 6.2) the hash
takes 37 MB, keys take 43 MB on a single server and 46 MB on a Cluster, which also indexes every key by slot. Announcing
and committing batches of 1,000 takes about 3 and 5 µs a record with the hash, 4 and 5 with keys (7 and 9 on a Cluster).
The number of fields, known at once, shows whether states were lost behind the store's back. The price: moving a slot to
another node moves the whole hash in one go, and blocks both nodes for that long. A script blocks its node, too: a
commit of 10,000 states for about 10 ms.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar, get_args

from redis import exceptions as redis_errors

from schemas.topics import StageName
from streams.redis_client import RedisClient, Script, TlsFiles
from streams.state_compression import DamagedState, compressed_state, plain_state
from streams.store import (
    NO_SIGNATURES,
    Commit,
    Fenced,
    IntentPending,
    Ownership,
    StoreCorrupt,
    StoreRefused,
    StoreRolledBack,
)

T = TypeVar("T")

STAGES: Final[tuple[StageName, ...]] = get_args(StageName)

COMMANDS: Final = (
    "ping", "eval", "evalsha", "time", "get", "set",
    "hset", "hsetnx", "hget", "hmget", "hgetall", "hlen", "hdel", "hscan",
    "zadd", "zrem", "zrange", "zrangebyscore", "zcard",
)  # fmt: skip
"""All that a worker sends to Redis, by the scripts too."""
_OPERATOR_COMMANDS: Final = ("del", "exists", "rename", "unlink")
"""What ``state rebuild`` sends beyond these, to put a partition that was rebuilt in its place."""
_CLUSTER_COMMANDS: Final = ("cluster|slots", "command")


def acl_rule(
    user: str, namespace: str, *, cluster: bool, database: int, operator: bool = False, replicas: bool = False
) -> str:
    """What an administrator of Redis types so that a user may do what a worker (an operator) does, and nothing else.

    ``replicas``: whether commits wait for some.
    """
    commands = [
        *COMMANDS,
        *(_OPERATOR_COMMANDS if operator else ()),
        *(_CLUSTER_COMMANDS if cluster else ()),
        *(("select",) if database else ()),
        *(("wait",) if replicas else ()),
    ]
    keys = f"~{{{namespace}:*}}:* ~{namespace}:ruleset:*"
    return f"ACL SETUSER {user} reset on >PASSWORD {keys} {' '.join(f'+{name}' for name in commands)}"


class RedisStore:
    """``streams.store.Store`` in Redis. Made by ``connect``; one store serves any number of partitions at once."""

    def __init__(
        self,
        client: RedisClient,
        *,
        namespace: str,
        stages: Sequence[str],
        wait_replicas: int,
        wait_timeout_s: float,
        copies: bool = False,
    ) -> None:
        for name in (namespace, *stages):
            if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
                raise ValueError(f"{name!r} cannot be part of a key: letters, digits and . _ - are wanted")
        self._client = client
        self._namespace = namespace
        self._stages = tuple(stages)
        self._wait_replicas = wait_replicas
        self._wait_timeout_s = wait_timeout_s
        self._copies = copies

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        namespace: str,
        cluster: bool = False,
        stages: Sequence[str] = STAGES,
        timeout_s: float = 5.0,
        wait_replicas: int = 0,
        wait_timeout_s: float = 1.0,
        tls: TlsFiles | None = None,
    ) -> RedisStore:
        """A store at ``url``; connections are made as they are needed (``ping`` tells whether that works).

        For a cluster the URL may name several nodes, ``redis://user:password@host:port,host:port``; those it does not
        name are discovered. ``rediss://`` is TLS, with ``tls``. ``timeout_s`` bounds each step as a whole. With
        ``wait_replicas`` a commit only succeeds once that many replicas have it, each time within ``wait_timeout_s``.

        Raises ``ValueError``; the message never holds the password.
        """
        if timeout_s <= 0 or wait_timeout_s <= 0:
            raise ValueError("timeouts are wanted above 0 s")
        if wait_replicas < 0:
            raise ValueError(f"wait_replicas is {wait_replicas}, at least 0 is wanted")
        return cls(
            RedisClient(url, cluster=cluster, timeout_s=timeout_s, tls=tls),
            namespace=namespace,
            stages=stages,
            wait_replicas=wait_replicas,
            wait_timeout_s=wait_timeout_s,
        )

    @property
    def address(self) -> str:
        """Host and port, without credentials."""
        return self._client.address

    async def take_over(self, partition: int) -> Ownership:
        reply = await self._run(_TAKE_OVER, partition, self._all_keys(partition, copy=self._copies), self._stages)
        return self._read(partition, lambda: self._ownership(*reply))

    async def announce(
        self, partition: int, epoch: int, sequence: int, intent: bytes, stage: str, keys: Sequence[str]
    ) -> list[bytes | None]:
        all_keys = [self._meta(partition), *self._stage_keys(partition, stage)]
        chunks = await self._run(_ANNOUNCE, partition, all_keys, (epoch, sequence, stage, intent, *keys))
        return self._read(partition, lambda: _states(chunks, len(keys)))

    async def announce_due(
        self, partition: int, epoch: int, sequence: int, intent: bytes, stage: str, until_ms: int, limit: int
    ) -> list[tuple[str, bytes | None]]:
        if limit < 1:
            raise ValueError(f"the limit is {limit}, at least 1 is wanted")
        all_keys = [self._meta(partition), *self._stage_keys(partition, stage)]
        arguments = (epoch, sequence, stage, intent, _exact(until_ms), limit)
        reply = await self._run(_ANNOUNCE_DUE, partition, all_keys, arguments)

        def pairs() -> list[tuple[str, bytes | None]]:
            keys, *chunks = reply
            return list(zip((key.decode() for key in keys), _states(chunks, len(keys)), strict=True))

        return self._read(partition, pairs)

    async def commit(self, partition: int, epoch: int, sequence: int, changes: Commit) -> int | None:
        topic, offset = changes.position if changes.position is not None else ("", 0)
        states = [part for key, state in changes.states.items() for part in (key, compressed_state(state))]
        timers: list[Any] = []
        removed: list[str] = []
        for key, due in changes.due.items():
            if due is None:
                removed.append(key)
            else:
                timers += (_exact(due), key)
        all_keys = [self._meta(partition), *self._stage_keys(partition, changes.stage)]
        head = (epoch, sequence, changes.stage, 1 if self._wait_replicas else 0, topic, offset)
        lists = (len(states), *states, len(timers), *timers, len(removed), *removed)
        reply = await self._run(_COMMIT, partition, all_keys, (*head, *lists), wait=self._wait_replicas > 0)
        return self._read(partition, lambda: _due(*reply))

    async def states(self, partition: int, stage: str) -> AsyncIterator[tuple[str, bytes]]:
        key, _ = self._stage_keys(partition, stage)
        seen: set[bytes] = set()
        cursor = -1
        while cursor != 0:
            cursor, found = await self._scan(key, max(cursor, 0))
            for name, kept in found.items():
                if name not in seen:  # a scan may return what it has returned before
                    seen.add(name)
                    yield name.decode(), self._read(partition, partial(plain_state, kept))

    async def positions(self, partition: int) -> Mapping[str, int]:
        meta = await self._client.step(lambda: self._client.any.hgetall(self._meta(partition)))
        return self._read(partition, lambda: _positions(meta))

    async def last_batch(self, partition: int) -> int | None:
        number = await self._client.step(lambda: self._client.any.hget(self._meta(partition), "seq"))
        return self._read(partition, lambda: None if number is None else int(number))

    async def reset_positions(self, partition: int, positions: Mapping[str, int], sequence: int = 0) -> None:
        arguments = [sequence, *(part for item in positions.items() for part in item)]
        await self._run(_RESET_POSITIONS, partition, [self._meta(partition)], arguments)

    async def abandon_intent(self, partition: int) -> int | None:
        reply = await self._run(_ABANDON_INTENT, partition, [self._meta(partition)], [])
        return self._read(partition, lambda: None if reply[0] is None else int(reply[0]))

    async def halt(self, partition: int, epoch: int, why: str) -> None:
        await self._run(_HALT, partition, [self._meta(partition)], (epoch, why))

    async def halted(self, partition: int) -> str | None:
        why = await self._client.step(lambda: self._client.any.hget(self._meta(partition), "halt"))
        return self._read(partition, lambda: _text(why))

    async def resume(self, partition: int) -> bool:
        return bool(await self._client.step(lambda: self._client.any.hdel(self._meta(partition), "halt")))

    def apart(self) -> RedisStore:
        return RedisStore(
            self._client,
            namespace=self._namespace,
            stages=self._stages,
            wait_replicas=self._wait_replicas,
            wait_timeout_s=self._wait_timeout_s,
            copies=True,
        )

    async def clear(self, partition: int) -> None:
        if not self._copies:
            raise ValueError("only a store of copies is cleared")
        await self._client.step(lambda: self._client.any.unlink(*self._all_keys(partition, copy=self._copies)))

    async def promote(self, partition: int, last_batch: int | None) -> None:
        keys = [*self._all_keys(partition, copy=False), *self._all_keys(partition, copy=True)]
        await self._run(_PROMOTE, partition, keys, ["" if last_batch is None else last_batch])

    async def put_ruleset(
        self, ruleset_hash: str, document: str, signatures: Mapping[str, str] = NO_SIGNATURES
    ) -> None:
        key, data = self._ruleset(ruleset_hash), document.encode()
        if signatures:
            # First: where the document is, its signatures are.
            await self._client.step(lambda: self._client.any.hset(f"{key}:signatures", mapping=dict(signatures)))
        if await self._client.step(lambda: self._client.any.set(key, data, nx=True)):
            return
        if await self._client.step(lambda: self._client.any.get(key)) != data:
            raise StoreCorrupt(
                f"Redis at {self.address} keeps another document as rule set {ruleset_hash} than the one that has this "
                f"hash: somebody wrote to the key {key}; delete it"
            )

    async def get_ruleset(self, ruleset_hash: str) -> str | None:
        data = await self._client.step(lambda: self._client.any.get(self._ruleset(ruleset_hash)))
        try:
            return None if data is None else data.decode()
        except UnicodeDecodeError:
            raise StoreCorrupt(
                f"Redis at {self.address}: the document of rule set {ruleset_hash} is not text"
            ) from None

    async def ruleset_signatures(self, ruleset_hash: str) -> Mapping[str, str]:
        key = f"{self._ruleset(ruleset_hash)}:signatures"
        found = await self._client.step(lambda: self._client.any.hgetall(key))
        # What is no text is no signature either, and none is found where it says so.
        return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in found.items()}

    async def ping(self) -> None:
        await self._client.ping()
        # Unlike PING, this also finds a user who may not read the keys.
        await self.positions(0)

    async def missing_rights(self, partitions: int) -> list[str]:
        """What the user is not allowed of that which a worker does: commands, or keys. Changes nothing.

        A cluster is asked for each partition, for each of its nodes has users of its own.
        """
        missing: list[str] = []
        for partition in range(partitions if self._client.cluster is not None else 1):
            tag = f"{{{self._namespace}:{partition}}}"
            found = await self._refused_steps(partition, f"{tag}:access:hash", f"{tag}:access:due")
            missing += [what for what in found if what not in missing]
        return missing

    async def _refused_steps(self, partition: int, *scratch: str) -> list[str]:
        client, ruleset = self._client.any, self._ruleset("access")
        steps: dict[str, Callable[[], Awaitable[Any]]] = {
            "PING": lambda: client.execute_command("PING"),
            # EVALSHA second: by then the server knows the script.
            "EVAL": lambda: client.execute_command("EVAL", _ACCESS.text, len(scratch), *scratch),
            "EVALSHA": lambda: client.execute_command("EVALSHA", _ACCESS.sha, len(scratch), *scratch),
            "HSCAN": lambda: client.hscan(self._meta(partition), 0, count=1),
            "GET": lambda: client.get(ruleset),
            "SET": lambda: client.set(ruleset, b"", xx=True),
        }
        if self._wait_replicas > 0:
            # For none, which is answered at once: whether the replicas are there is seen at each commit.
            steps["WAIT"] = lambda: self._client.wait_for_replicas(self._meta(partition), 0)
        missing = []
        for command, step in steps.items():
            try:
                reply = await self._client.step(step)
            except StoreRefused as refusal:
                # Redis says which of the two it is, and not which key.
                if not isinstance(refusal.__cause__, redis_errors.NoPermissionError):
                    raise
                keys = f"{self._namespace}:ruleset:*" if command in ("GET", "SET") else f"{{{self._namespace}:*}}:*"
                about_keys = "access" in str(refusal.__cause__)
                missing.append(f"the keys {keys}" if about_keys else f"the command {command.lower()}")
                continue
            if command == "EVAL":
                missing += [f"the command {name.decode().lower()}" for name in reply[1::2]]
        return list(dict.fromkeys(missing))

    async def close(self) -> None:
        await self._client.close()

    def _meta(self, partition: int) -> str:
        return f"{self._tag(partition, copy=self._copies)}meta"

    def _stage_keys(self, partition: int, stage: str) -> tuple[str, str]:
        if stage not in self._stages:
            raise ValueError(f"{stage!r} is not a stage of this store: {', '.join(self._stages)} are")
        tag = self._tag(partition, copy=self._copies)
        return f"{tag}state:{stage}", f"{tag}due:{stage}"

    def _all_keys(self, partition: int, *, copy: bool) -> list[str]:
        """In the order in which the scripts expect them."""
        tag = self._tag(partition, copy=copy)
        pairs = ((f"{tag}state:{stage}", f"{tag}due:{stage}") for stage in self._stages)
        return [f"{tag}meta", *(key for pair in pairs for key in pair)]

    def _tag(self, partition: int, *, copy: bool) -> str:
        return f"{{{self._namespace}:{partition}}}:{'copy:' if copy else ''}"

    def _ruleset(self, ruleset_hash: str) -> str:
        return f"{self._namespace}:ruleset:{ruleset_hash}"

    async def _scan(self, key: str, cursor: int) -> tuple[int, dict[bytes, bytes]]:
        cursor, found = await self._client.step(lambda: self._client.any.hscan(key, cursor, count=1000))
        return cursor, found

    async def _run(
        self, script: Script, partition: int, keys: Sequence[str], arguments: Sequence[Any], *, wait: bool = False
    ) -> list[Any]:
        """The reply of a script without its first word, which must be ok."""
        if wait:
            reply = await self._client.run_and_wait(script, keys, arguments, self._wait_replicas, self._wait_timeout_s)
        else:
            reply = await self._client.run(script, keys, arguments)
        match reply:
            case [b"ok", *rest]:
                return rest
            case [b"pending", bytes(sequence)]:
                raise IntentPending(
                    f"batch {sequence.decode()} of partition {partition} is announced and not committed: "
                    "let a worker finish it first"
                )
            case [(b"fenced" | b"behind" | b"corrupt") as word, bytes(reason)]:
                raise _REFUSALS[word](f"partition {partition} in Redis at {self.address}: {reason.decode()}")
        raise self._unexpected(partition)

    def _read(self, partition: int, read: Callable[[], T]) -> T:
        try:
            return read()
        except DamagedState as damage:
            raise StoreCorrupt(f"partition {partition} in Redis at {self.address}: {damage}") from None
        except (ValueError, TypeError, AttributeError, KeyError, IndexError):
            raise self._unexpected(partition) from None

    def _unexpected(self, partition: int) -> StoreCorrupt:
        return StoreCorrupt(f"partition {partition} in Redis at {self.address}: the reply has not the shape it should")

    def _ownership(self, epoch: bytes, flat: list[bytes], due: list[bytes | None]) -> Ownership:
        meta = dict(zip(flat[::2], flat[1::2], strict=True))
        for name in meta:
            kind, _, stage = name.decode().partition(":")
            if kind in ("states", "timers") and stage not in self._stages:
                raise StoreCorrupt(f"Redis at {self.address} holds a stage this program does not know: {stage!r}")
        return Ownership(
            epoch=int(epoch),
            sequence=int(meta.get(b"seq", b"0")),
            intent=meta.get(b"intent"),
            positions=_positions(meta),
            next_due={stage: int(at) for stage, at in zip(self._stages, due, strict=True) if at is not None},
            known=b"seq" in meta,
            halted=_text(meta.get(b"halt")),
        )


_TAKE_OVER = Script.load("take_over")
_ANNOUNCE = Script.load("announce")
_ANNOUNCE_DUE = Script.load("announce_due")
_COMMIT = Script.load("commit")
_RESET_POSITIONS = Script.load("reset_positions")
_ABANDON_INTENT = Script.load("abandon_intent")
_HALT = Script.load("halt")
_PROMOTE = Script.load("promote")
_ACCESS = Script.load("access")

_REFUSALS = {b"fenced": Fenced, b"behind": StoreRolledBack, b"corrupt": StoreCorrupt}


def _states(chunks: Sequence[Sequence[bytes | None]], count: int) -> list[bytes | None]:
    states = [None if kept is None else plain_state(kept) for chunk in chunks for kept in chunk]
    if len(states) != count:
        raise ValueError
    return states


def _due(at: bytes | None) -> int | None:
    return None if at is None else int(at)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _positions(meta: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name[4:].decode(): int(offset) for name, offset in meta.items() if name.startswith(b"pos:")}


def _exact(time_ms: int) -> int:
    """A sorted set keeps times as doubles: exact up to 2^53 ms, far beyond any calendar."""
    if abs(time_ms) > 2**53:
        raise ValueError(f"{time_ms} ms is not a time")
    return time_ms
