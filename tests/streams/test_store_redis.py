"""The state store in Redis: what only a real server shows. Faults, refusals, persistence, the Cluster's slots."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from streams.embedded_redis import EmbeddedRedis, free_port
from streams.redis_client import Script
from streams.store import Commit, Ownership, StoreCorrupt, StoreRefused, StoreRolledBack, StoreUnavailable
from streams.store_redis import RedisStore, acl_rule
from tests.support.redis_server import RedisClusterServers, ask, held, wait_until

P = 3
PASSWORD = "s3cret/p@ss:#word"  # every part of it has a meaning of its own in a URL

Open = Callable[..., RedisStore]


@pytest.fixture
async def open_store(namespace: str) -> AsyncIterator[Open]:
    stores: list[RedisStore] = []

    def open_one(url: str, **options: Any) -> RedisStore:
        stores.append(RedisStore.connect(url, **{"namespace": namespace, **options}))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A server of this test's own, that loses nothing it has confirmed."""
    with EmbeddedRedis(tmp_path / "redis", appendonly=True, options={"appendfsync": "always"}) as server:
        yield server


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisClusterServers]:
    """A cluster of this test's own, to be broken."""
    with RedisClusterServers(tmp_path, replicas=True) as cluster:
        yield cluster


async def batch(store: RedisStore, own: Ownership, sequence: int, changes: Commit, partition: int = P) -> int | None:
    await store.announce(partition, own.epoch, sequence, b"%d" % sequence, changes.stage, [])
    return await store.commit(partition, own.epoch, sequence, changes)


async def contents(store: RedisStore, partition: int = P, stage: str = "customer") -> dict[str, bytes]:
    return {key: state async for key, state in store.states(partition, stage)}


def partitions_of(cluster: RedisClusterServers, namespace: str) -> dict[str, int]:
    """One partition for each master, by the master's address."""
    return {cluster.owner(f"{{{namespace}:{p}}}").address: p for p in range(200)}


async def eventually(attempt: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """Repeats a step as the processor does: while the store is not available."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return await attempt()
        except StoreUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


# --- the server is killed, emptied, set back


async def test_sigkill_and_restart_lose_nothing_that_was_confirmed(server: EmbeddedRedis, open_store: Open) -> None:
    store = open_store(server.url)
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {"a": b"1", "b": b""}, {"a": 10}, ("t", 5)))
    await store.put_ruleset("ab12", "document")
    await store.announce(P, own.epoch, 2, b"intent", "customer", ["a"])

    server.kill()
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{server.port}"):
        await store.commit(P, own.epoch, 2, Commit("customer", {}))
    server.restart()

    # The same client and the same owner go on, with scripts the new process has never seen.
    assert await store.announce(P, own.epoch, 2, b"intent", "customer", ["a", "b"]) == [b"1", b""]
    await store.commit(P, own.epoch, 2, Commit("customer", {"a": b"2"}, {}, ("t", 6)))
    server.kill()
    server.restart()
    own = await eventually(lambda: store.take_over(P))  # the first step may find the old connection closed
    assert own == Ownership(own.epoch, 2, None, {"t": 6}, {"customer": 10}, known=True)
    assert await contents(store) == {"a": b"2", "b": b""}
    assert await store.get_ruleset("ab12") == "document"


async def test_scripts_are_sent_again_where_the_server_has_forgotten_them(
    redis_server: EmbeddedRedis, open_store: Open
) -> None:
    store = open_store(redis_server.url)

    async def forgetting(step: Any) -> Any:
        ask(redis_server, "SCRIPT FLUSH")
        return await step

    own = await forgetting(store.take_over(P))
    assert await forgetting(store.announce(P, own.epoch, 1, b"1", "customer", ["a"])) == [None]
    assert await forgetting(store.commit(P, own.epoch, 1, Commit("customer", {"a": b"1"}, {"a": 5}))) == 5
    assert await forgetting(store.announce_due(P, own.epoch, 2, b"2", "customer", 5, 1)) == [("a", b"1")]
    await store.commit(P, own.epoch, 2, Commit("customer", {}))
    await forgetting(store.reset_positions(P, {"t": 1}))
    assert await store.positions(P) == {"t": 1}


async def test_a_step_is_one_round_trip(
    server: EmbeddedRedis, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Announcing and loading, and committing, are one call of a script each, and nothing else is asked."""
    store = open_store(server.url)
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {"a": b"1"}))

    sent: list[bytes] = []
    plain = AbstractConnection.send_packed_command

    async def noting(self: AbstractConnection, command: Any, *args: Any, **options: Any) -> None:
        sent.append(command if isinstance(command, bytes) else b"".join(command))
        await plain(self, command, *args, **options)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", noting)
    await store.announce(P, own.epoch, 2, b"intent", "customer", ["a", "b"])
    await store.commit(P, own.epoch, 2, Commit("customer", {"a": b"2"}, {"a": 1}, ("t", 1)))
    assert len(sent) == 2
    # One command in each, not several in a row.
    assert [len(re.findall(rb"(?m)^\*\d+\r$", one)) for one in sent] == [1, 1]
    assert all(b"EVALSHA" in one for one in sent)


async def test_an_emptied_server_is_noticed_by_the_owner_and_known_to_hold_nothing(
    server: EmbeddedRedis, open_store: Open
) -> None:
    store = open_store(server.url)
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {"a": b"1"}))
    await store.announce(P, own.epoch, 2, b"2", "customer", [])
    ask(server, "FLUSHALL")
    with pytest.raises(StoreRolledBack):
        await store.commit(P, own.epoch, 2, Commit("customer", {"a": b"?"}))
    with pytest.raises(StoreRolledBack):
        await store.announce(P, own.epoch, 3, b"3", "customer", [])
    assert await contents(store) == {}
    assert not (await store.take_over(P)).known


async def test_an_older_snapshot_is_noticed_and_gives_no_epoch_out_twice(
    server: EmbeddedRedis, open_store: Open, namespace: str
) -> None:
    store = open_store(server.url)
    old = await store.take_over(P)
    await batch(store, old, 1, Commit("customer", {"a": b"1"}, {}, ("t", 1)))
    with server.client() as client:
        snapshot = {key: client.dump(key) for key in client.keys("*")}
    await batch(store, old, 2, Commit("customer", {"a": b"2"}, {}, ("t", 2)))
    new = await store.take_over(P)
    await batch(store, new, 3, Commit("customer", {"a": b"3"}, {}, ("t", 3)))
    with server.client() as client:
        client.flushall()
        for key, value in snapshot.items():
            assert isinstance(value, bytes)
            client.restore(key, 0, value)

    with pytest.raises(StoreRolledBack):
        await store.announce(P, new.epoch, 4, b"4", "customer", [])
    with pytest.raises(StoreRolledBack):  # the earlier owner's epoch is the stored one again, its batch is not
        await store.announce(P, old.epoch, 3, b"3", "customer", [])
    own = await store.take_over(P)
    assert own.epoch > new.epoch
    assert (own.sequence, own.positions) == (1, {"t": 1})


async def test_lost_states_or_timers_are_noticed(redis_server: EmbeddedRedis, open_store: Open, namespace: str) -> None:
    """A key that was evicted or deleted must not pass for customers never seen."""
    store = open_store(redis_server.url)
    for partition, lost in enumerate(("state", "due")):
        own = await store.take_over(partition)
        await batch(store, own, 1, Commit("customer", {"a": b"1"}, {"a": 10}, ("t", 1)), partition)
        await store.announce(partition, own.epoch, 2, b"2", "customer", ["a"])
        ask(redis_server, "DEL", f"{{{namespace}:{partition}}}:{lost}:customer")
        for step in (
            store.take_over(partition),
            store.announce(partition, own.epoch, 2, b"2", "customer", ["a"]),
            store.announce_due(partition, own.epoch, 2, b"2", "customer", 10, 1),
            store.commit(partition, own.epoch, 2, Commit("customer", {"a": b"2"})),
        ):
            with pytest.raises(StoreCorrupt, match=f"partition {partition} .*stage customer holds"):
                await step
        assert await store.positions(partition) == {"t": 1}


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("SET", ("{}:state:customer", "x")),
        ("SET", ("{}:due:customer", "x")),
        ("HSET", ("{}:meta", "seq", "many")),
        ("HSET", ("{}:meta", "pos:t", "far")),
        ("HSET", ("{}:meta", "states:unheard-of", "1")),
        ("HSET", ("{}:meta", "epoch", "none")),
        ("SET", ("{}:meta", "x")),
    ],
)
async def test_what_this_program_cannot_have_written_is_corrupt(
    redis_server: EmbeddedRedis, open_store: Open, namespace: str, command: str, arguments: tuple[str, ...]
) -> None:
    store = open_store(redis_server.url)
    await store.take_over(P)
    key, *rest = arguments
    if command == "SET":
        ask(redis_server, "DEL", key.format(f"{{{namespace}:{P}}}"))
    ask(redis_server, command, key.format(f"{{{namespace}:{P}}}"), *rest)
    with pytest.raises(StoreCorrupt, match=redis_server.address):
        await store.take_over(P)


async def test_an_intent_without_its_number_is_corrupt(
    redis_server: EmbeddedRedis, open_store: Open, namespace: str
) -> None:
    store = open_store(redis_server.url)
    own = await store.take_over(P)
    await store.announce(P, own.epoch, 1, b"1", "customer", [])
    ask(redis_server, "HSET", f"{{{namespace}:{P}}}:meta", "intent_seq", "7")
    with pytest.raises(StoreCorrupt, match="batch 7 does not follow batch 0"):
        await store.commit(P, own.epoch, 1, Commit("customer", {}))


async def test_a_document_that_is_not_text_is_corrupt(
    redis_server: EmbeddedRedis, open_store: Open, namespace: str
) -> None:
    ask(redis_server, "SET", f"{namespace}:ruleset:ab12", b"\xff")
    with pytest.raises(StoreCorrupt, match="ab12"):
        await open_store(redis_server.url).get_ruleset("ab12")


async def test_a_state_that_a_scan_returns_twice_is_listed_once(
    redis_url: str, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis reserves the right to do so while a hash changes its size."""
    store = open_store(redis_url)
    pages = {0: (7, {b"a": b"1", b"b": b"2"}), 7: (9, {}), 9: (0, {b"b": b"2", b"c": b"3"})}

    async def scan(key: str, cursor: int) -> tuple[int, dict[bytes, bytes]]:
        return pages[cursor]

    monkeypatch.setattr(store, "_scan", scan)
    assert [item async for item in store.states(P, "customer")] == [("a", b"1"), ("b", b"2"), ("c", b"3")]


# --- the server does not answer


async def test_a_server_that_is_not_there_is_unavailable(open_store: Open) -> None:
    port = free_port()
    for cluster in (False, True):
        store = open_store(f"redis://:{'pass' * 3}word@127.0.0.1:{port}", cluster=cluster, timeout_s=2.0)
        for step in (store.ping, lambda store=store: store.take_over(P)):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port}") as failure:
                await step()
            assert time.monotonic() - began < 10.0
            assert "pass" not in str(failure.value)


@pytest.mark.parametrize("cluster", [False, True])
async def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time(open_store: Open, cluster: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        store = open_store(f"redis://{address}", timeout_s=0.3, cluster=cluster)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match=f"{address} gave no answer within 0.3 s"):
            await store.take_over(P)
        assert time.monotonic() - began < 5.0


async def test_a_commit_whose_reply_is_lost_takes_effect_once(server: EmbeddedRedis, open_store: Open) -> None:
    """The server stands still while it is asked, and carries the commit out after its client has given up."""
    store = open_store(server.url, timeout_s=1.0)
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {"a": b"1"}, {}, ("t", 1)))
    await store.announce(P, own.epoch, 2, b"2", "customer", ["a"])
    with held(server), pytest.raises(StoreUnavailable, match="no answer within"):
        await store.commit(P, own.epoch, 2, Commit("customer", {"a": b"2"}, {"a": 7}, ("t", 2)))
    await asyncio.to_thread(wait_until, lambda: _position(server, store) == b"2", "the commit is carried out")
    assert await store.commit(P, own.epoch, 2, Commit("customer", {"a": b"2"}, {"a": 7}, ("t", 2))) == 7
    # The connection on which the reply got lost must not serve it to a later step.
    assert await store.announce(P, own.epoch, 3, b"3", "customer", ["a"]) == [b"2"]


def _position(server: EmbeddedRedis, store: RedisStore) -> object:
    return ask(server, "HGET", store._meta(P), "pos:t")


async def test_a_full_server_is_unavailable_and_nothing_is_half_written(
    server: EmbeddedRedis, open_store: Open
) -> None:
    store = open_store(server.url)
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {"a": b"1"}, {}, ("t", 1)))
    await store.announce(P, own.epoch, 2, b"2", "customer", [])
    ask(server, "CONFIG SET", "maxmemory", 1)
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.commit(P, own.epoch, 2, Commit("customer", {"a": b"2", "b": b"2"}, {"a": 1}, ("t", 2)))
    assert (await contents(store), await store.positions(P)) == ({"a": b"1"}, {"t": 1})
    ask(server, "CONFIG SET", "maxmemory", 0)
    await store.commit(P, own.epoch, 2, Commit("customer", {"a": b"2"}))


async def test_a_read_only_replica_is_unavailable(server: EmbeddedRedis, tmp_path: Path, open_store: Open) -> None:
    options = {"replicaof": f"127.0.0.1 {server.port}"}
    with EmbeddedRedis(tmp_path / "replica", appendonly=False, options=options) as replica:
        store = open_store(replica.url)
        with pytest.raises(StoreUnavailable, match=replica.address):
            await store.take_over(P)


# --- the server turns the program away


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A server with a password, and a user who may do nothing but connect."""
    with EmbeddedRedis(tmp_path_factory.mktemp("locked"), appendonly=False, password=PASSWORD) as server:
        ask(server, "ACL SETUSER", "reader", "on", f">{PASSWORD}", "~*", "+ping", "+hgetall", "+client", "+hello")
        yield server


async def test_the_right_password_opens(locked: EmbeddedRedis, open_store: Open) -> None:
    await open_store(locked.url).take_over(P)


@pytest.mark.parametrize(
    ("credentials", "cause"),
    [
        (":wr0ng-secret@", "username-password"),
        ("nobody:wr0ng-secret@", "username-password"),
        ("", "Authentication required"),
        ("reader:s3cret%2Fp%40ss%3A%23word@", "permission"),
    ],
)
async def test_wrong_credentials_are_refused_with_their_cause(
    locked: EmbeddedRedis, open_store: Open, credentials: str, cause: str
) -> None:
    store = open_store(f"redis://{credentials}{locked.address}")
    with pytest.raises(StoreRefused, match=f"{locked.address}.*{cause}") as refusal:
        await store.take_over(P)
    assert "secret" not in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


async def test_wrong_credentials_are_refused_by_a_cluster_client(locked: EmbeddedRedis, open_store: Open) -> None:
    with pytest.raises(StoreRefused, match=locked.address) as refusal:
        await open_store(f"redis://:wr0ng-secret@{locked.address}", cluster=True).ping()
    assert "secret" not in str(refusal.value)


async def test_a_password_where_none_is_wanted_is_refused(redis_server: EmbeddedRedis, open_store: Open) -> None:
    with pytest.raises(StoreRefused, match="without any password") as refusal:
        await open_store(f"redis://:wr0ng-secret@{redis_server.address}").ping()
    assert "secret" not in str(refusal.value)


async def test_an_earlier_refusal_does_not_colour_a_later_failure(
    locked: EmbeddedRedis, server: EmbeddedRedis, open_store: Open
) -> None:
    """A step tried while a refusal is being handled fails for its own reason."""
    refused, other = open_store(f"redis://:wrong@{locked.address}"), open_store(server.url)
    await other.ping()
    try:
        await refused.ping()
    except StoreRefused:
        server.kill()
        with pytest.raises(StoreUnavailable):
            await other.ping()
    else:
        pytest.fail("a wrong password was accepted")


async def test_a_cluster_and_a_single_server_are_not_mistaken_for_each_other(
    redis_url: str, redis_cluster: RedisClusterServers, open_store: Open, namespace: str
) -> None:
    with pytest.raises(StoreRefused, match="not a Redis Cluster"):
        await open_store(redis_url, cluster=True).ping()
    first, second, _ = redis_cluster.masters
    store = open_store(first.url)
    with pytest.raises(StoreRefused, match="node of a Redis Cluster"):
        await store.take_over(partitions_of(redis_cluster, namespace)[second.address])


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@127.0.0.1:6379",
        "redis://:hunter2@127.0.0.1:port",
        "redis://:hunter2/x@127.0.0.1:6379",
        "redis://:hunter2@",
        "redis://:hunter2@a:1,b:2",
        "redis://:hunter2@127.0.0.1:6379?max_connections=hunter2",
        "127.0.0.1:6379",
        "",
    ],
)
def test_an_unusable_url_is_named_so_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"redis://\[user:password@\]host:port") as failure:
        RedisStore.connect(url, namespace="test")
    assert "hunter2" not in str(failure.value)
    assert failure.value.__cause__ is None


@pytest.mark.parametrize("namespace", ["", "a{b", "a}b", "a:b", "a b", "a*"])
def test_a_namespace_that_would_disturb_the_slots_is_refused(namespace: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of a key"):
        RedisStore.connect("redis://127.0.0.1", namespace=namespace)


def test_the_client_shows_its_address_alone() -> None:
    store = RedisStore.connect("redis://me:hunter2@redis.example:7000", namespace="test")
    assert store.address == "redis.example:7000"
    assert "hunter2" not in repr(store)


async def test_a_stage_the_store_was_not_told_of_is_refused(redis_url: str, open_store: Open) -> None:
    store = open_store(redis_url)
    own = await store.take_over(P)
    with pytest.raises(ValueError, match="'teller' is not a stage"):
        await store.announce(P, own.epoch, 1, b"1", "teller", [])


async def test_a_time_beyond_what_a_sorted_set_holds_exactly_is_refused(redis_url: str, open_store: Open) -> None:
    store = open_store(redis_url)
    own = await store.take_over(P)
    await store.announce(P, own.epoch, 1, b"1", "customer", [])
    with pytest.raises(ValueError, match="not a time"):
        await store.commit(P, own.epoch, 1, Commit("customer", {}, {"a": 2**53 + 1}))


# --- replicas


async def test_a_commit_waits_for_its_replica(server: EmbeddedRedis, tmp_path: Path, open_store: Open) -> None:
    """Without the replica the commit is not confirmed; repeated when there is one it is, and took effect once."""
    store = open_store(server.url, wait_replicas=1, wait_timeout_s=0.2)
    patient = open_store(server.url, wait_replicas=1, wait_timeout_s=10.0)
    own = await store.take_over(P)
    await store.announce(P, own.epoch, 1, b"1", "customer", [])
    changes = Commit("customer", {"a": b"1"}, {"a": 5}, ("t", 1))
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"{server.address}: 0 of 1 replicas"):
            await store.commit(P, own.epoch, 1, changes)

    options = {"replicaof": f"127.0.0.1 {server.port}"}
    with EmbeddedRedis(tmp_path / "replica", appendonly=False, options=options) as replica:
        assert await eventually(lambda: patient.commit(P, own.epoch, 1, changes)) == 5
        assert ask(replica, "HGET", store._meta(P), "seq") == b"1"
        ask(server, "SCRIPT FLUSH")
        await store.announce(P, own.epoch, 2, b"2", "customer", [])
        assert await patient.commit(P, own.epoch, 2, Commit("customer", {"a": b"2"}, {}, ("t", 2))) == 5
        assert ask(replica, "HGET", store._meta(P), "pos:t") == b"2"

        # A repeat writes nothing new. It must wait all the same.
        with held(replica):
            await store.announce(P, own.epoch, 3, b"3", "customer", [])
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
                    await store.commit(P, own.epoch, 3, Commit("customer", {}))
        await patient.commit(P, own.epoch, 3, Commit("customer", {}))


async def test_a_commit_waits_for_the_replica_of_its_own_node_of_a_cluster(
    redis_cluster: RedisClusterServers, open_store: Open, namespace: str
) -> None:
    for partition in partitions_of(redis_cluster, namespace).values():
        store = open_store(redis_cluster.url, cluster=True, wait_replicas=1, wait_timeout_s=10.0)
        own = await store.take_over(partition)
        assert await batch(store, own, 1, Commit("customer", {"a": b"1"}, {"a": 5}), partition) == 5
        strict = open_store(redis_cluster.url, cluster=True, wait_replicas=2, wait_timeout_s=0.1)
        with pytest.raises(StoreUnavailable, match="1 of 2 replicas"):
            await batch(strict, own, 2, Commit("customer", {"a": b"2"}), partition)
        assert await contents(strict, partition) == {"a": b"2"}
        assert await strict.missing_rights(1) == []


async def test_whoever_may_not_wait_for_replicas_is_told_at_the_start(
    server: EmbeddedRedis, open_store: Open, namespace: str
) -> None:
    """The list for administrators has the right where commits wait, and only there; without it, it is named."""
    expected: dict[bool, list[str]] = {True: [], False: ["the command wait"]}
    for replicas, missing in expected.items():
        rule = acl_rule("waiter", namespace, cluster=False, database=0, replicas=replicas).replace("PASSWORD", "secret")
        ask(server, *rule.split())
        assert await open_store(f"redis://waiter:secret@{server.address}", wait_replicas=1).missing_rights(1) == missing
        assert await open_store(f"redis://waiter:secret@{server.address}").missing_rights(1) == []


# --- the cluster


async def test_all_keys_of_a_partition_share_a_slot_and_partitions_spread(
    redis_cluster: RedisClusterServers, open_store: Open, namespace: str
) -> None:
    store = open_store(redis_cluster.url, cluster=True)
    for p in range(16):
        own = await store.take_over(p)
        for sequence, stage in enumerate(("customer", "identity", "desk"), 1):
            await batch(store, own, sequence, Commit(stage, {"a": b"1"}, {"a": 5}, ("t", 1)), p)
    await store.put_ruleset("ab12", "document")

    found: dict[bytes, set[object]] = {}
    nodes = set()
    for server in redis_cluster.masters:
        with server.client() as client:
            for key in client.scan_iter(f"*{namespace}*", count=1000):
                if key.startswith(b"{"):
                    found.setdefault(key.partition(b"}")[0], set()).add(ask(server, "CLUSTER KEYSLOT", key))
                    nodes.add(server.port)
    assert len(found) == 16
    assert all(len(slots) == 1 for slots in found.values())
    assert len({slot for slots in found.values() for slot in slots}) == 16
    assert len(nodes) == 3


async def test_a_partition_is_followed_when_its_slot_moves(
    redis_cluster: RedisClusterServers, open_store: Open, namespace: str
) -> None:
    """An operator moves a slot to another node, and back, between the steps of a batch."""
    home = redis_cluster.owner(f"{{{namespace}:{P}}}")
    away = next(server for server in redis_cluster.masters if server is not home)
    store = open_store(redis_cluster.url, cluster=True)
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {"a": b"1"}, {"a": 5}, ("t", 1)))
    await store.announce(P, own.epoch, 2, b"2", "customer", ["a"])

    _move_slot(f"{{{namespace}:{P}}}", home, away)
    await store.commit(P, own.epoch, 2, Commit("customer", {"a": b"2"}, {}, ("t", 2)))
    assert await store.announce(P, own.epoch, 3, b"3", "customer", ["a"]) == [b"2"]

    _move_slot(f"{{{namespace}:{P}}}", away, home)
    await store.commit(P, own.epoch, 3, Commit("customer", {"a": b"3"}, {}, ("t", 3)))
    assert (await contents(store), await store.positions(P)) == ({"a": b"3"}, {"t": 3})


def _move_slot(tag: str, source: EmbeddedRedis, target: EmbeddedRedis) -> None:
    slot = ask(source, "CLUSTER KEYSLOT", tag)
    source_id, target_id = (ask(server, "CLUSTER MYID") for server in (source, target))
    assert isinstance(slot, int)
    assert isinstance(source_id, bytes)
    assert isinstance(target_id, bytes)
    ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", source_id)
    ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", target_id)
    keys = ask(source, "CLUSTER GETKEYSINSLOT", slot, 100)
    assert isinstance(keys, list)
    assert len(keys) == 3
    ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    for server in (target, source):
        ask(server, "CLUSTER SETSLOT", slot, "NODE", target_id)


async def test_a_node_that_dies_is_replaced_by_its_replica(
    cluster: RedisClusterServers, open_store: Open, namespace: str
) -> None:
    """Its partitions are unavailable until then, and go on from what its replica confirmed."""
    store = open_store(cluster.url, cluster=True, wait_replicas=1, wait_timeout_s=10.0)
    partitions = partitions_of(cluster, namespace)
    owners = {p: await store.take_over(p) for p in partitions.values()}
    for p, own in owners.items():
        await batch(store, own, 1, Commit("customer", {"a": b"1"}, {}, ("t", 1)), p)
    victim = cluster.masters[1]
    orphan = partitions[victim.address]
    victim.kill()

    with pytest.raises(StoreUnavailable, match=re.escape("127.0.0.1")):
        await store.announce(orphan, owners[orphan].epoch, 2, b"2", "customer", ["a"])

    async def announce() -> list[bytes | None]:
        return await store.announce(orphan, owners[orphan].epoch, 2, b"2", "customer", ["a"])

    # Each node learns at its own time that the cluster is whole again, and refuses everything until then.
    assert await eventually(announce) == [b"1"]
    own = await eventually(lambda: store.take_over(orphan))
    assert (own.sequence, own.intent, own.positions) == (1, b"2", {"t": 1})
    for p in partitions.values():

        async def positions(p: int = p) -> Mapping[str, int]:
            return await store.positions(p)

        assert await eventually(positions) == {"t": 1}


def test_scripts_are_found_in_the_installed_package() -> None:
    script = Script.load("commit")
    assert script.text.startswith("--")
    assert len(script.sha) == 40
