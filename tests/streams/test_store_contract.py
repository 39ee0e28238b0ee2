"""The contract of ``streams.store``, the same for memory, a single Redis and a Redis Cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from streams.store import (
    Commit,
    Fenced,
    IntentPending,
    Ownership,
    Store,
    StoreCorrupt,
    StoreRolledBack,
)
from streams.store_memory import MemoryBackend, MemoryStore
from streams.store_redis import RedisStore

Connect = Callable[[], Store]

P = 5
ALL_BYTES = bytes(range(256))
PRINTABLE = "".join(map(chr, range(32, 127)))


@pytest.fixture(params=["memory", "redis", "cluster"])
def connect(request: pytest.FixtureRequest, namespace: str) -> Iterator[Connect]:
    """Makes one more client of the same store; each stands for a worker."""
    if request.param == "memory":
        backend = MemoryBackend()
        yield lambda: MemoryStore(backend)
        return
    cluster = request.param == "cluster"
    url = request.getfixturevalue("redis_cluster_url" if cluster else "redis_url")
    yield lambda: RedisStore.connect(url, namespace=namespace, cluster=cluster)


@pytest.fixture
async def clients(connect: Connect) -> AsyncIterator[Connect]:
    made: list[Store] = []

    def one_more() -> Store:
        made.append(connect())
        return made[-1]

    yield one_more
    for store in made:
        await store.close()


@pytest.fixture
def store(clients: Connect) -> Store:
    return clients()


@asynccontextmanager
async def unchanged(store: Store, *partitions: int) -> AsyncIterator[None]:
    """What happens inside must change neither states nor positions."""

    async def seen() -> list[object]:
        return [
            ({key: state async for key, state in store.states(p, "customer")}, await store.positions(p))
            for p in partitions or (P,)
        ]

    before = await seen()
    yield
    assert await seen() == before


async def batch(store: Store, own: Ownership, sequence: int, changes: Commit) -> int | None:
    """Announces and commits a batch."""
    await store.announce(P, own.epoch, sequence, f"batch {sequence}".encode(), changes.stage, [])
    return await store.commit(P, own.epoch, sequence, changes)


async def contents(store: Store, stage: str = "customer", partition: int = P) -> dict[str, bytes]:
    return {key: state async for key, state in store.states(partition, stage)}


async def test_a_fresh_partition_is_not_known_and_stays_so_until_a_batch_is_announced(store: Store) -> None:
    """A worker that refuses a partition whose state is lost must meet the same refusal when it is restarted."""
    own = await store.take_over(P)
    assert own == Ownership(own.epoch, 0, None, {}, {}, known=False)
    own = await store.take_over(P)
    assert not own.known
    await store.announce(P, own.epoch, 1, b"intent", "customer", [])
    own = await store.take_over(P)
    assert own.known
    await store.commit(P, own.epoch, 1, Commit("customer", {}))
    assert (await store.take_over(P)).known


async def test_take_over_raises_the_epoch(clients: Connect) -> None:
    epochs = [(await clients().take_over(P)).epoch for _ in range(5)]
    assert epochs == sorted(set(epochs))


async def test_a_new_owner_learns_what_was_committed(clients: Connect) -> None:
    store = clients()
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {"a": b"1"}, {"a": 70}, ("bank.transactions", 11)))
    await batch(store, own, 2, Commit("identity", {"x": b"2"}, {"x": 50}, ("bank.behaviour", 7)))
    await batch(store, own, 3, Commit("customer", {}, {"b": 60}))
    own = await clients().take_over(P)
    assert own == Ownership(
        own.epoch,
        3,
        None,
        {"bank.transactions": 11, "bank.behaviour": 7},
        {"customer": 60, "identity": 50},
        known=True,
    )


async def test_a_zombie_can_neither_announce_nor_commit(clients: Connect) -> None:
    """It announced, was replaced, and comes back: whatever it tries is refused and changes nothing."""
    zombie, successor = clients(), clients()
    old = await zombie.take_over(P)
    await zombie.announce(P, old.epoch, 1, b"intent", "customer", ["a"])
    new = await successor.take_over(P)
    assert new.epoch > old.epoch

    async def zombie_tries(sequence: int) -> None:
        async with unchanged(successor):
            with pytest.raises(Fenced) as refusal:
                await zombie.announce(P, old.epoch, sequence, b"intent", "customer", ["a"])
            assert type(refusal.value) is Fenced
            with pytest.raises(Fenced):
                await zombie.announce_due(P, old.epoch, sequence, b"intent", "customer", 10**12, 10)
            with pytest.raises(Fenced) as refusal:
                await zombie.commit(P, old.epoch, sequence, Commit("customer", {"a": b"zombie"}, {}, ("t", 99)))
            assert type(refusal.value) is Fenced

    await zombie_tries(1)
    assert new.intent == b"intent"
    await successor.announce(P, new.epoch, 1, b"intent", "customer", ["a"])
    await zombie_tries(1)
    await successor.commit(P, new.epoch, 1, Commit("customer", {"a": b"good"}, {}, ("t", 1)))
    await zombie_tries(1)
    await zombie_tries(2)
    assert await contents(successor) == {"a": b"good"}
    assert (await successor.take_over(P)).intent is None


async def test_after_a_crash_the_new_owner_finds_the_intent_and_runs_it(clients: Connect) -> None:
    crashed, successor = clients(), clients()
    own = await crashed.take_over(P)
    await batch(crashed, own, 1, Commit("customer", {"a": b"1"}, {}, ("t", 5)))
    await crashed.announce(P, own.epoch, 2, ALL_BYTES, "customer", ["a"])

    own = await successor.take_over(P)
    assert (own.sequence, own.intent, own.positions) == (1, ALL_BYTES, {"t": 5})
    assert await successor.announce(P, own.epoch, 2, ALL_BYTES, "customer", ["a"]) == [b"1"]
    await successor.commit(P, own.epoch, 2, Commit("customer", {"a": b"2"}, {}, ("t", 6)))
    own = await successor.take_over(P)
    assert (own.sequence, own.intent, own.positions) == (2, None, {"t": 6})


async def test_a_predecessors_intent_may_be_committed_without_announcing_it_again(store: Store) -> None:
    own = await store.take_over(P)
    await store.announce(P, own.epoch, 1, b"intent", "customer", [])
    own = await store.take_over(P)
    await store.commit(P, own.epoch, 1, Commit("customer", {"a": b"1"}))
    assert await contents(store) == {"a": b"1"}


async def test_announcing_the_same_bytes_again_changes_nothing(store: Store) -> None:
    own = await store.take_over(P)
    for _ in range(3):
        assert await store.announce(P, own.epoch, 1, b"intent", "customer", ["a"]) == [None]
        assert await store.announce_due(P, own.epoch, 1, b"intent", "customer", 10, 10) == []
    assert (await store.take_over(P)).sequence == 0


async def test_other_bytes_for_an_announced_batch_are_refused(clients: Connect) -> None:
    store = clients()
    own = await store.take_over(P)
    await store.announce(P, own.epoch, 1, b"intent", "customer", [])
    for client, epoch in ((store, own.epoch), (successor := clients(), (await successor.take_over(P)).epoch)):
        with pytest.raises((StoreCorrupt, Fenced)):
            await client.announce(P, epoch, 1, b"another", "customer", [])
    own = await store.take_over(P)
    with pytest.raises(StoreCorrupt, match="another intent"):
        await store.announce(P, own.epoch, 1, b"another", "customer", [])
    with pytest.raises(StoreCorrupt, match="another intent"):
        await store.announce_due(P, own.epoch, 1, b"intent ", "customer", 10, 10)
    assert (await store.take_over(P)).intent == b"intent"


async def test_states_timers_position_and_intent_change_together(store: Store) -> None:
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {"a": b"a1", "b": b"b1"}, {"a": 10, "b": 20}, ("t", 1)))
    await store.announce(P, own.epoch, 2, b"intent", "customer", ["a", "b", "c"])
    assert await store.positions(P) == {"t": 1}
    next_due = await store.commit(
        P, own.epoch, 2, Commit("customer", {"a": b"a2", "c": b"c2"}, {"a": None, "c": 15}, ("t", 2))
    )
    assert next_due == 15
    own = await store.take_over(P)
    assert own == Ownership(own.epoch, 2, None, {"t": 2}, {"customer": 15}, known=True)
    assert await contents(store) == {"a": b"a2", "b": b"b1", "c": b"c2"}
    due = await store.announce_due(P, own.epoch, 3, b"timers", "customer", 10**15, 100)
    assert due == [("c", b"c2"), ("b", b"b1")]


async def test_a_commit_repeated_after_a_lost_reply_succeeds_and_changes_nothing(store: Store) -> None:
    own = await store.take_over(P)
    changes = Commit("customer", {"a": b"1"}, {"a": 10}, ("t", 1))
    assert await batch(store, own, 1, changes) == 10
    async with unchanged(store):
        assert await store.commit(P, own.epoch, 1, changes) == 10
        # Only the number counts: whatever the repeat brings along has no effect.
        assert await store.commit(P, own.epoch, 1, Commit("customer", {"a": b"?"}, {"a": 5}, ("t", 9))) == 10
    # A repeat that arrives after the next batch was announced leaves that one alone.
    await store.announce(P, own.epoch, 2, b"next", "customer", [])
    assert await store.commit(P, own.epoch, 1, changes) == 10
    assert (await store.take_over(P)).intent == b"next"


async def test_a_commit_that_is_not_announced_is_refused(store: Store) -> None:
    own = await store.take_over(P)
    changes = Commit("customer", {"a": b"?"}, {"a": 5}, ("t", 9))
    async with unchanged(store):
        with pytest.raises(StoreRolledBack):
            await store.commit(P, own.epoch, 1, changes)
        await store.announce(P, own.epoch, 1, b"intent", "customer", [])
        with pytest.raises(StoreRolledBack):
            await store.commit(P, own.epoch, 2, changes)
    await store.commit(P, own.epoch, 1, Commit("customer", {"a": b"1"}))
    async with unchanged(store):
        with pytest.raises(StoreRolledBack):
            await store.commit(P, own.epoch, 2, changes)
    assert (await store.take_over(P)).next_due == {}


async def test_a_commit_of_a_predecessors_batch_is_not_mistaken_for_a_repeat(store: Store) -> None:
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {"a": b"1"}))
    own = await store.take_over(P)
    async with unchanged(store):
        with pytest.raises(StoreCorrupt, match="committed already"):
            await store.commit(P, own.epoch, 1, Commit("customer", {"a": b"?"}))


async def test_sequences_follow_each_other_without_gap_or_return(store: Store) -> None:
    own = await store.take_over(P)
    with pytest.raises(StoreRolledBack):
        await store.announce(P, own.epoch, 2, b"intent", "customer", [])
    await batch(store, own, 1, Commit("customer", {}))
    await batch(store, own, 2, Commit("customer", {}))
    for sequence in (1, 2):
        with pytest.raises(StoreCorrupt, match="committed already"):
            await store.announce(P, own.epoch, sequence, f"batch {sequence}".encode(), "customer", [])
    with pytest.raises(StoreRolledBack):
        await store.announce(P, own.epoch, 4, b"intent", "customer", [])
    assert (await store.take_over(P)).intent is None


async def test_an_owner_whose_take_over_the_store_has_forgotten_is_told_so(store: Store) -> None:
    own = await store.take_over(P)
    for partition in (P, P + 1):  # one whose epoch went back, one that is gone
        with pytest.raises(StoreRolledBack):
            await store.announce(partition, own.epoch + 1, 1, b"intent", "customer", [])
        with pytest.raises(StoreRolledBack):
            await store.announce_due(partition, own.epoch + 1, 1, b"intent", "customer", 10, 10)
        with pytest.raises(StoreRolledBack):
            await store.commit(partition, own.epoch + 1, 1, Commit("customer", {"a": b"?"}))
        assert await contents(store, partition=partition) == {}
        assert not (await store.take_over(partition)).known


async def test_announce_returns_states_in_the_order_asked_for(store: Store) -> None:
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {"a": b"1", "b": b"", "c": ALL_BYTES}))
    states = await store.announce(P, own.epoch, 2, b"intent", "customer", ["c", "?", "b", "a", "c"])
    assert states == [ALL_BYTES, None, b"", b"1", ALL_BYTES]


async def test_timers_are_ordered_by_time_then_key_and_limited(store: Store) -> None:
    own = await store.take_over(P)
    due: dict[str, int | None] = {"b": 20, "a": 20, "é": 20, "~": 20, "z": 10, "later": 21, "epoch": 0, "past": -5}
    assert await batch(store, own, 1, Commit("customer", {"a": b"1"}, due)) == -5
    order = ["past", "epoch", "z", "a", "b", "~", "é"]

    async def announce(until_ms: int, limit: int) -> list[str]:
        found = await store.announce_due(P, own.epoch, 2, b"intent", "customer", until_ms, limit)
        assert all(state == (b"1" if key == "a" else None) for key, state in found)
        return [key for key, _ in found]

    assert await announce(20, 100) == order
    assert await announce(20, 4) == order[:4]
    assert await announce(19, 100) == order[:3]
    assert await announce(-6, 100) == []
    # They stay until a commit moves or removes them.
    next_due = await store.commit(
        P, own.epoch, 2, Commit("customer", {}, {"past": None, "epoch": 30, "z": None, "never": None})
    )
    assert next_due == 20
    assert (await store.take_over(P)).next_due == {"customer": 20}


async def test_a_timer_keeps_its_time_to_the_millisecond(store: Store) -> None:
    own = await store.take_over(P)
    due = 4_102_444_799_999
    assert await batch(store, own, 1, Commit("customer", {}, {"a": due})) == due
    assert await store.announce_due(P, own.epoch, 2, b"intent", "customer", due - 1, 10) == []
    assert await store.announce_due(P, own.epoch, 2, b"intent", "customer", due, 10) == [("a", None)]
    assert (await store.take_over(P)).next_due == {"customer": due}


async def test_removing_the_last_timer_leaves_none(store: Store) -> None:
    own = await store.take_over(P)
    await batch(store, own, 1, Commit("customer", {}, {"a": 10}))
    assert await batch(store, own, 2, Commit("customer", {}, {"a": None})) is None
    assert (await store.take_over(P)).next_due == {}


async def test_a_limit_below_one_is_refused(store: Store) -> None:
    own = await store.take_over(P)
    with pytest.raises(ValueError, match="limit"):
        await store.announce_due(P, own.epoch, 1, b"intent", "customer", 10, 0)


async def test_keys_and_states_may_hold_anything(store: Store) -> None:
    own = await store.take_over(P)
    keys = [PRINTABLE, *PRINTABLE, "", "{a}", "客户", "line\nbreak\r\n\0"]
    states = {key: bytes([number]) + ALL_BYTES for number, key in enumerate(keys)}
    changes = Commit("customer", states, dict.fromkeys(keys, 10), (PRINTABLE, 3))
    await batch(store, own, 1, changes)
    assert await contents(store) == states
    assert await store.announce(P, own.epoch, 2, ALL_BYTES, "customer", keys) == list(states.values())
    due = await store.announce_due(P, own.epoch, 2, ALL_BYTES, "customer", 10, 1000)
    assert due == sorted(states.items())
    own = await store.take_over(P)
    assert own.positions == {PRINTABLE: 3}
    assert own.intent == ALL_BYTES


async def test_a_batch_of_ten_thousand_keys(store: Store) -> None:
    own = await store.take_over(P)
    states = {f"customer-{number:05d}": str(number).encode() * 60 for number in range(10_001)}
    keys = list(states)
    assert await store.announce(P, own.epoch, 1, b"intent", "customer", keys) == [None] * len(keys)
    due: dict[str, int | None] = {key: 1_000 + number for number, key in enumerate(keys)}
    assert await store.commit(P, own.epoch, 1, Commit("customer", states, due, ("t", 1))) == 1_000
    assert await store.announce(P, own.epoch, 2, b"intent", "customer", keys[::-1]) == list(states.values())[::-1]
    assert await store.announce_due(P, own.epoch, 2, b"intent", "customer", 10**6, 20_000) == list(states.items())
    assert await contents(store) == states
    assert await store.commit(P, own.epoch, 2, Commit("customer", {}, dict.fromkeys(keys[:-1]))) == 1_000 + 10_000
    own = await store.take_over(P)
    assert own.next_due == {"customer": 11_000}


async def test_partitions_and_stages_are_independent(store: Store) -> None:
    epochs = {p: (await store.take_over(p)).epoch for p in range(8)}
    for p, epoch in epochs.items():
        for sequence, stage in enumerate(("customer", "identity", "desk"), 1):
            await store.announce(p, epoch, sequence, b"intent", stage, ["a"])
            state = f"{p} {stage}".encode()
            await store.commit(p, epoch, sequence, Commit(stage, {"a": state}, {"a": p}, (f"topic.{stage}", p)))
    await store.take_over(0)
    for p, epoch in list(epochs.items())[1:]:
        for stage in ("customer", "identity", "desk"):
            assert await contents(store, stage, p) == {"a": f"{p} {stage}".encode()}
        assert await store.positions(p) == {"topic.customer": p, "topic.identity": p, "topic.desk": p}
        assert await store.announce_due(p, epoch, 4, b"intent", "desk", p, 9) == [("a", f"{p} desk".encode())]


async def test_states_lists_every_state_once(store: Store) -> None:
    own = await store.take_over(P)
    states = {f"customer-{number}": b"%d" % number for number in range(5_000)}
    await batch(store, own, 1, Commit("customer", states))
    listed = [item async for item in store.states(P, "customer")]
    assert sorted(listed) == sorted(states.items())
    assert [item async for item in store.states(P, "identity")] == []


async def test_an_operator_resets_positions(clients: Connect) -> None:
    """The positions given are set, others stay, states stay, and a worker that still runs is fenced off."""
    worker, operator = clients(), clients()
    own = await worker.take_over(P)
    await batch(worker, own, 1, Commit("customer", {"a": b"1"}, {}, ("t", 50)))
    await batch(worker, own, 2, Commit("customer", {}, {}, ("u", 60)))
    await operator.reset_positions(P, {"t": 20})
    assert await operator.positions(P) == {"t": 20, "u": 60}
    with pytest.raises(Fenced) as refusal:
        await worker.announce(P, own.epoch, 3, b"intent", "customer", [])
    assert type(refusal.value) is Fenced
    own = await worker.take_over(P)
    assert (own.sequence, own.positions) == (2, {"t": 20, "u": 60})
    assert await contents(worker) == {"a": b"1"}


async def test_resetting_makes_a_partition_known(store: Store) -> None:
    """The way to start afresh where the state is lost; also without a position, to read from the beginning."""
    await store.reset_positions(P, {"t": 20})
    own = await store.take_over(P)
    assert (own.known, own.sequence, own.positions) == (True, 0, {"t": 20})
    await store.reset_positions(P + 1, {})
    assert (await store.take_over(P + 1)).known


async def test_numbers_go_on_behind_what_an_operator_says(store: Store) -> None:
    """So that no two batches of a partition ever have one number; they never go back."""
    assert await store.last_batch(P) is None
    await store.reset_positions(P, {"t": 20}, sequence=7)
    assert (await store.take_over(P)).sequence == await store.last_batch(P) == 7
    await store.reset_positions(P, {"t": 20}, sequence=3)
    own = await store.take_over(P)
    assert own.sequence == 7
    await batch(store, own, 8, Commit("customer", {}, {}, ("t", 21)))


async def test_a_copy_takes_the_partitions_place(clients: Connect) -> None:
    """States, timers, positions and an announced batch of the copy; nothing of what was there but its halt."""
    worker, operator = clients(), clients()
    own = await worker.take_over(P)
    await batch(worker, own, 1, Commit("customer", {"old": b"1"}, {"old": 5}, ("t", 50)))
    await worker.halt(P, own.epoch, "a flood")
    copies = operator.apart()
    mine = await copies.take_over(P)
    await batch(copies, mine, 1, Commit("customer", {"a": b"1", "b": b"2"}, {"b": 9}, ("t", 60)))
    await batch(copies, mine, 2, Commit("desk", {"d": b"3"}, {}, ("u", 7)))
    await copies.announce(P, mine.epoch, 3, b"intent", "customer", [])
    assert await contents(worker) == {"old": b"1"}

    await operator.promote(P, last_batch=1)
    with pytest.raises(Fenced) as refusal:
        await worker.announce(P, own.epoch, 2, b"intent", "customer", [])
    assert type(refusal.value) is Fenced
    own = await worker.take_over(P)
    assert (own.sequence, own.intent, own.known) == (2, b"intent", True)
    assert (own.positions, own.next_due, own.halted) == ({"t": 60, "u": 7}, {"customer": 9}, "a flood")
    assert await contents(worker) == {"a": b"1", "b": b"2"}
    assert await contents(worker, "desk") == {"d": b"3"}
    assert await contents(copies) == {}
    assert await copies.last_batch(P) is None


async def test_a_copy_of_a_lost_partition_takes_its_place(store: Store) -> None:
    """Though a worker that was refused has taken the partition over meanwhile."""
    copies = store.apart()
    await batch(copies, await copies.take_over(P), 1, Commit("customer", {"a": b"1"}, {}, ("t", 1)))
    refused = await store.take_over(P)
    assert not refused.known
    await store.promote(P, last_batch=None)
    own = await store.take_over(P)
    assert (own.sequence, own.positions) == (1, {"t": 1})
    assert own.epoch > refused.epoch


async def test_a_copy_is_not_put_over_batches_that_were_run_meanwhile(store: Store) -> None:
    """Nor is a copy that is not there, or was cleared."""
    copies = store.apart()
    await batch(copies, await copies.take_over(P), 1, Commit("customer", {"a": b"1"}, {}, ("t", 1)))
    await batch(store, await store.take_over(P), 1, Commit("customer", {"new": b"1"}, {}, ("t", 9)))
    with pytest.raises(Fenced) as refusal:
        await store.promote(P, last_batch=None)
    assert type(refusal.value) is Fenced
    await copies.clear(P)
    assert await contents(copies) == {}
    with pytest.raises(StoreRolledBack):
        await store.promote(P, last_batch=1)
    assert (await store.take_over(P)).positions == {"t": 9}
    assert await contents(store) == {"new": b"1"}
    with pytest.raises(ValueError, match="copies"):
        await store.clear(P)


async def test_positions_are_not_reset_under_an_announced_batch(store: Store) -> None:
    """Its commit would set its own position over the operator's."""
    own = await store.take_over(P)
    await store.announce(P, own.epoch, 1, b"intent", "customer", [])
    with pytest.raises(IntentPending, match="batch 1 of partition 5"):
        await store.reset_positions(P, {"t": 20})
    await store.commit(P, own.epoch, 1, Commit("customer", {}, {}, ("t", 1)))
    await store.reset_positions(P, {"t": 20})
    assert await store.positions(P) == {"t": 20}


async def test_an_operator_gives_up_an_announced_batch(clients: Connect) -> None:
    """The batch is gone, its number is used up, nothing else changes, and whoever announced it is fenced off."""
    worker, operator = clients(), clients()
    own = await worker.take_over(P)
    await batch(worker, own, 1, Commit("customer", {"a": b"1"}, {"a": 7}, ("t", 50)))
    assert await operator.abandon_intent(P) is None
    await worker.announce(P, own.epoch, 2, b"intent", "customer", ["a"])
    assert await operator.abandon_intent(P) == 2
    with pytest.raises(Fenced):
        await worker.commit(P, own.epoch, 2, Commit("customer", {"a": b"2"}, {}, ("t", 60)))
    own = await worker.take_over(P)
    assert (own.sequence, own.intent, own.positions, own.next_due) == (2, None, {"t": 50}, {"customer": 7})
    assert await contents(worker) == {"a": b"1"}
    await batch(worker, own, 3, Commit("customer", {"a": b"3"}, {}, ("t", 60)))
    assert await contents(worker) == {"a": b"3"}


async def test_a_halt_lasts_until_an_operator_ends_it(clients: Connect) -> None:
    """It outlives its worker; who was fenced off cannot set it; ending it twice is no error."""
    worker, operator = clients(), clients()
    own = await worker.take_over(P)
    assert (own.halted, await operator.halted(P)) == (None, None)
    await worker.halt(P, own.epoch, "120 of the last 9000 records")
    assert await operator.halted(P) == "120 of the last 9000 records"
    assert await operator.halted(P + 1) is None
    later = await clients().take_over(P)
    assert later.halted == "120 of the last 9000 records"
    assert [await operator.resume(P), await operator.resume(P)] == [True, False]
    assert await operator.halted(P) is None
    with pytest.raises(Fenced):
        await worker.halt(P, own.epoch, "a zombie's")
    assert (await worker.take_over(P)).halted is None


async def test_rule_sets_are_kept_by_hash(clients: Connect) -> None:
    store = clients()
    assert await store.get_ruleset("ab12") is None
    document = '{"name": "到期提醒"}\n'
    await store.put_ruleset("ab12", document)
    await store.put_ruleset("ab12", document)
    await store.put_ruleset("cd34", "")
    assert await clients().get_ruleset("ab12") == document
    assert await clients().get_ruleset("cd34") == ""
    with pytest.raises(StoreCorrupt, match="ab12"):
        await store.put_ruleset("ab12", "another")
    assert await store.get_ruleset("ab12") == document


async def test_signatures_are_kept_beside_their_rule_set(clients: Connect) -> None:
    """Each worker adds its own, so that workers that trust the old key and such that trust the new one find theirs."""
    store = clients()
    assert await store.ruleset_signatures("ab12") == {}
    await store.put_ruleset("ab12", "document")
    assert await store.ruleset_signatures("ab12") == {}
    await store.put_ruleset("ab12", "document", {"old": "s1"})
    await store.put_ruleset("ab12", "document", {"new": "s2"})
    await store.put_ruleset("ab12", "document")
    assert await clients().ruleset_signatures("ab12") == {"old": "s1", "new": "s2"}
    assert await store.ruleset_signatures("cd34") == {}
    assert await store.get_ruleset("ab12") == "document"


async def test_ping(store: Store) -> None:
    await store.ping()
    assert not (await store.take_over(0)).known, "a ping writes nothing"


async def test_of_racing_workers_exactly_one_owns_the_partition(clients: Connect) -> None:
    """All take over and announce a batch of their own at once: one intent stands, and its author alone may commit."""
    workers = [clients() for _ in range(6)]
    for _ in range(5):
        sequence = (await workers[0].take_over(P)).sequence + 1

        async def run(number: int, worker: Store, sequence: int = sequence) -> str:
            try:
                own = await worker.take_over(P)
                await asyncio.sleep(0)
                if own.intent is None:
                    await worker.announce(P, own.epoch, sequence, f"by {number}".encode(), "customer", [])
                await asyncio.sleep(0)
                state = own.intent or f"by {number}".encode()
                await worker.commit(P, own.epoch, sequence, Commit("customer", {"owner": state}))
            except (Fenced, StoreCorrupt) as refusal:
                return type(refusal).__name__
            return "owner"

        results = await asyncio.gather(*(run(*item) for item in enumerate(workers)))
        own = await workers[0].take_over(P)
        # The last to take over is fenced by nobody; either it commits, or another did so before it took over.
        assert results.count("owner") == 1
        assert set(results) <= {"owner", "Fenced", "StoreCorrupt"}
        assert (own.sequence, own.intent) == (sequence, None)


async def test_of_two_racing_take_overs_the_earlier_is_fenced(clients: Connect) -> None:
    one, other = clients(), clients()
    for sequence in range(1, 11):
        first, second = await asyncio.gather(one.take_over(P), other.take_over(P))
        assert first.epoch != second.epoch
        results = await asyncio.gather(
            one.announce(P, first.epoch, sequence, b"intent", "customer", []),
            other.announce(P, second.epoch, sequence, b"intent", "customer", []),
            return_exceptions=True,
        )
        later, earlier = (results[0], results[1]) if first.epoch > second.epoch else (results[1], results[0])
        assert later == []
        assert type(earlier) is Fenced
        winner = one if first.epoch > second.epoch else other
        await winner.commit(P, max(first.epoch, second.epoch), sequence, Commit("customer", {}))
