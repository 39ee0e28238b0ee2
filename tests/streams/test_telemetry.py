"""What a worker's parts say of themselves over its HTTP: each figure comes from where it belongs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.cache import StateCache
from streams.collector import Pauses
from streams.metrics import PREFIX
from streams.settings import load_settings
from streams.store import StoreCorrupt
from streams.telemetry import Telemetry

ENDS = {("b1.bank.transactions", 0): 41, ("b1.bank.transactions", 3): 9}


class Parts:
    """A worker's parts, as far as they are asked: two partitions, of which one is halted."""

    def __init__(self) -> None:
        self.cache = StateCache(100)
        for key in ("a", "b", "c"):
            self.cache.put(0, "customer", key, bytes(10))
        for key in ("a", "b", "a", "b", "nobody"):
            self.cache.get(0, "customer", key)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        partitions = [
            SimpleNamespace(number=0, positions={"bank.transactions": 30, "bank.profiles": 4}, halted=None),
            SimpleNamespace(number=3, positions={"bank.transactions": 7}, halted="a flood"),
        ]
        self.processor = SimpleNamespace(partitions=partitions, takeovers=5, failed=lambda: self.failed)
        self.services = SimpleNamespace(
            routes=SimpleNamespace(of_topic=lambda topic: SimpleNamespace(kafka_topic=f"b1.{topic}")),
            lag=lambda topic, partition, at: ENDS[topic, partition] - at if (topic, partition) in ENDS else None,
            clock_mode="record",
            patience=SimpleNamespace(errors=3, away=False),
            rulesets=SimpleNamespace(in_force="abc"),
        )
        self.publisher = SimpleNamespace(errors=20, away=False)
        self.kafka = SimpleNamespace(errors=100, away=False)
        self.out_of_touch = False

    @asynccontextmanager
    async def served(self) -> AsyncIterator[aiohttp.ClientSession]:
        """A client of what they serve."""
        made: Any = Telemetry
        telemetry: Telemetry = made(load_settings(environ={}), {}, self.cache, self.publisher, self.kafka, Pauses())
        telemetry.attach(cast(Any, self.services), cast(Any, self.processor), lambda: self.out_of_touch)
        async with telemetry.serve() as address, aiohttp.ClientSession(address) as session:
            yield session


async def figures(session: aiohttp.ClientSession, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric by the values of their labels, in the order of the labels' names."""
    async with session.get("/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if sample.name == PREFIX + name
        }


async def test_a_worker_lives_until_a_partition_has_failed_for_good() -> None:
    """Then it says what happened, so that a supervisor ends it; and not the error's text, which may hold a secret."""
    parts = Parts()
    async with parts.served() as session:
        async with session.get("/live") as answer:
            assert (answer.status, await answer.json()) == (200, {"live": "ok"})
        parts.failed.set_exception(StoreCorrupt("the text"))
        async with session.get("/live") as answer:
            assert (answer.status, await answer.json()) == (503, {"live": "failed: StoreCorrupt"})


async def test_lag_is_told_by_topic_and_partition() -> None:
    """From the position that is committed to Kafka's end, by Kafka's name of the topic; where it is known."""
    async with Parts().served() as session:
        assert await figures(session, "lag_records") == {("0", "bank.transactions"): 11, ("3", "bank.transactions"): 2}
        assert await figures(session, "partitions_assigned") == {(): 2}
        assert await figures(session, "partitions_halted") == {(): 1}
        assert await figures(session, "rebalances_total") == {(): 5}
        assert await figures(session, "ruleset") == {("abc",): 1}


async def test_what_the_cache_held_and_missed() -> None:
    """Hits, misses, states and bytes are not taken for each other."""
    async with Parts().served() as session:
        assert await figures(session, "cache_lookups_total") == {("hit",): 4, ("miss",): 1}
        assert await figures(session, "cache_states") == {(): 3}
        assert await figures(session, "cache_bytes") == {(): 30}


@pytest.mark.parametrize("away", ["patience", "kafka", "publisher", "group"])
async def test_kafka_is_away_by_any_of_its_three_lines(away: str) -> None:
    """Reading back, publishing, and the group; the store by its own. The errors of Kafka are those of all."""
    parts = Parts()
    if away == "group":
        parts.out_of_touch = True
    else:
        (parts.services.patience if away == "patience" else getattr(parts, away)).away = True
    store = away == "patience"
    async with parts.served() as session:
        assert await figures(session, "dependency_away") == {("store",): store, ("kafka",): not store}
        assert await figures(session, "dependency_errors_total") == {("store",): 3, ("kafka",): 120}
