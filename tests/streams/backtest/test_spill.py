"""Messages shared out by customer: none lost, each customer's in order, on disk where they do not fit."""

from __future__ import annotations

import resource
from collections import defaultdict
from pathlib import Path
from random import Random

import pytest

from schemas.topics import INBOUND
from streams.backtest import spill as spill_module
from streams.backtest.spill import Share, Spill, customers
from triggers.casework.backtest import Arrival

MANY = 3_000


def some(count: int, keys: int, seed: int = 1) -> list[Arrival]:
    """Messages of different topics and lengths, of customers in any order; one customer in ten has no key."""
    random = Random(seed)
    found = []
    for line in range(1, count + 1):
        who = random.randrange(keys)
        key = None if who % 10 == 9 else f"customer-{who}".encode()
        found.append(Arrival(INBOUND[line % 5], key, random.randbytes(random.randrange(60)), 0, line))
    return found


def shared(shares: list[Share], *, merge: bool = False) -> dict[bytes | None, list[Arrival]]:
    found: dict[bytes | None, list[Arrival]] = {}
    for share in shares:
        for arrivals in customers(share, merge=merge):
            assert arrivals[0].key not in found, "a customer was met twice"
            found[arrivals[0].key] = arrivals
    return found


def by_key(arrivals: list[Arrival]) -> dict[bytes | None, list[Arrival]]:
    found: dict[bytes | None, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        found[arrival.key].append(arrival)
    return found


@pytest.mark.parametrize("buffer_bytes", [1, 5_000, 10**9])
def test_every_message_comes_back_whole_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buffer_bytes: int
) -> None:
    """From memory, from files, and from files that were written to many times."""
    monkeypatch.setattr(spill_module, "BUFFER_BYTES", buffer_bytes)
    given = some(MANY, 100)
    spill = Spill(tmp_path)
    for arrival in given:
        spill.add(arrival, 0)
    shares = spill.close()
    assert all(isinstance(share, bytes) for share in shares) is (buffer_bytes == 10**9)
    assert shared(shares) == by_key(given)
    assert list(tmp_path.iterdir()) == []


def test_a_large_share_is_shared_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As deep as it takes; a customer that is larger than a share by itself is still whole."""
    given = some(MANY, 500) + [Arrival(INBOUND[0], b"large", b"x" * 50, 0, line) for line in range(1_000)]
    depths: list[int] = []
    again = spill_module._share_again

    def counted(path: Path, level: int) -> list[Share]:
        depths.append(level)
        return again(path, level)

    monkeypatch.setattr(spill_module, "_share_again", counted)
    monkeypatch.setattr(spill_module, "BUFFER_BYTES", 250)
    monkeypatch.setattr(spill_module, "SHARE_BYTES", 250)
    spill = Spill(tmp_path)
    for arrival in given:
        spill.add(arrival, 0)
    assert shared(spill.close()) == by_key(given)
    assert 2 <= max(depths) < spill_module._DEEPEST
    assert list(tmp_path.iterdir()) == []


def test_sources_are_merged_by_their_clocks(tmp_path: Path) -> None:
    """Of equal clocks the first source comes first; within a source its own order stands."""
    spill = Spill(tmp_path)
    plan = [(0, 1, 10), (0, 2, 30), (0, 3, 30), (1, 1, 5), (1, 2, 30), (1, 3, 40)]
    for source, position, clock in plan:
        spill.add(Arrival(INBOUND[0], b"c", b"", source, position), clock)
    (arrivals,) = shared(spill.close(), merge=True).values()
    assert [(one.source, one.position) for one in arrivals] == [(1, 1), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]


def test_the_order_of_customers_does_not_depend_on_the_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory, or shared out three times over."""
    given, orders = some(MANY, 300), []
    for size in (10**9, 2_000, 300):
        monkeypatch.setattr(spill_module, "BUFFER_BYTES", size)
        monkeypatch.setattr(spill_module, "SHARE_BYTES", size)
        spill = Spill(tmp_path)
        for arrival in given:
            spill.add(arrival, 0)
        orders.append(list(shared(spill.close())))
    assert orders[0] == orders[1] == orders[2]


def test_one_file_is_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of shares: the limit on open files is no matter."""
    monkeypatch.setattr(spill_module, "BUFFER_BYTES", 20_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 5, hard))
    try:
        spill = Spill(tmp_path)
        for arrival in some(MANY, 1_000):
            spill.add(arrival, 0)
        shares = spill.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(shares) > 100
