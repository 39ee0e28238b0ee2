"""The worker's HTTP: what it answers, and how long a check may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from streams import health


async def _well() -> str | None:
    return None


async def _ill() -> str | None:
    return "none assigned"


async def _hangs() -> str | None:
    await asyncio.Event().wait()
    return None


@asynccontextmanager
async def _client(*, live: health.Check = _well, **ready: health.Check) -> AsyncIterator[Any]:
    registry = CollectorRegistry()
    Counter("asked", "How often.", registry=registry).inc(3)
    async with (
        health.serve("127.0.0.1", 0, live, ready, registry) as address,
        aiohttp.ClientSession(address) as session,
    ):
        yield session


async def test_all_is_well() -> None:
    """Both answer 200 and name each check."""
    async with _client(store=_well, kafka=_well) as client:
        async with client.get("/live") as answer:
            assert (answer.status, await answer.json()) == (200, {"live": "ok"})
        async with client.get("/ready") as answer:
            assert (answer.status, await answer.json()) == (200, {"store": "ok", "kafka": "ok"})


async def test_one_check_that_fails_is_named() -> None:
    """503, with what is wrong beside what is well."""
    async with _client(partitions=_ill, kafka=_well) as client, client.get("/ready") as answer:
        assert (answer.status, await answer.json()) == (503, {"partitions": "none assigned", "kafka": "ok"})


async def test_a_worker_that_has_failed_does_not_live() -> None:
    """A supervisor sees it."""
    async with _client(live=_ill) as client, client.get("/live") as answer:
        assert answer.status == 503


async def test_a_check_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dependency that swallows what is sent to it makes the worker unready, it does not hang the probe."""
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    async with _client(store=_hangs, kafka=_well) as client, client.get("/ready") as answer:
        assert answer.status == 503
        assert (await answer.json())["store"].startswith("no answer within")


async def test_metrics_in_both_formats() -> None:
    """Prometheus' text, and OpenMetrics for who asks for it."""
    async with _client() as client:
        async with client.get("/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert "asked_total 3.0" in await answer.text()
        asking = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with client.get("/metrics", headers=asking) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            assert (await answer.text()).endswith("# EOF\n")


async def test_an_address_that_is_taken_is_an_error() -> None:
    """Two workers on one port: the second says so."""
    async with health.serve("127.0.0.1", 0, _well, {}, CollectorRegistry()) as address:
        port = int(address.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with health.serve("127.0.0.1", port, _well, {}, CollectorRegistry()):
                pass
