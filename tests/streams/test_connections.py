"""The start: Kafka and the store are waited for within bounds, and an error names the address without its password."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from streams.connections import NotReachable, await_kafka, await_store, kafka_options
from streams.settings import Settings, load_settings
from streams.store import StoreRefused, StoreUnavailable
from streams.store_memory import MemoryStore
from tests.support.processing import START_MS


class HastyClock:
    """Sleeping takes no time but the clock's."""

    def __init__(self) -> None:
        self.time_ms = START_MS
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self.time_ms

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time_ms += round(seconds * 1000)
        await asyncio.sleep(0)


class SilentStore(MemoryStore):
    def __init__(self, failures: list[Exception]) -> None:
        super().__init__()
        self.failures = failures

    async def ping(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


def settings_of(**overrides: Any) -> Settings:
    return load_settings(environ={}, redis_url="redis://u:hunter2@127.0.0.1:1/0", startup_seconds=20, **overrides)


async def test_store_that_answers_late_is_waited_for() -> None:
    """The waits double up to a bound."""
    clock = HastyClock()
    await await_store(SilentStore([StoreUnavailable("refused")] * 4), settings_of(), clock)
    assert clock.slept == [0.25, 0.5, 1.0, 2.0]


async def test_store_that_does_not_answer_is_named() -> None:
    """After the bound: the address, no password, and the last cause."""
    clock = HastyClock()
    store = SilentStore([StoreUnavailable("connection refused")] * 99)
    with pytest.raises(NotReachable, match=r"redis://u:\*\*\*@127.0.0.1:1/0 did not answer within 20 s: .*refused"):
        await await_store(store, settings_of(), clock)
    assert sum(clock.slept) == 20


async def test_store_that_turns_us_away_is_not_asked_again() -> None:
    """A wrong password is not mended by waiting."""
    clock = HastyClock()
    with pytest.raises(NotReachable, match="turns us away: wrong password"):
        await await_store(SilentStore([StoreRefused("wrong password")]), settings_of(), clock)
    assert clock.slept == []


async def test_kafka_that_does_not_answer_is_named() -> None:
    """Nobody listens: the address is named after the bound."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(NotReachable, match=f"Kafka at {address} did not answer within 20 s"):
            await await_kafka(settings_of(kafka_bootstrap=address), HastyClock())


async def test_kafka_that_answers(kafka: str) -> None:
    """A broker that is there is found at once."""
    clock = HastyClock()
    await await_kafka(settings_of(kafka_bootstrap=kafka), clock)
    assert clock.slept == []


def test_certificates_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    """A file that is no certificate stops the start; there is no fallback to plain text."""
    ca = tmp_path / "ca.pem"
    ca.write_text("no certificate", encoding="utf-8")
    with pytest.raises(NotReachable, match="kafka_tls_ca_file"):
        kafka_options(settings_of(kafka_security_protocol="SSL", kafka_tls_ca_file=ca))


def test_user_and_protocol_reach_the_client() -> None:
    """SASL over TLS: user, password and a TLS context that checks names."""
    options = kafka_options(
        settings_of(kafka_security_protocol="SASL_SSL", kafka_sasl_username="u", kafka_sasl_password="p")
    )
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("u", "p")
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["ssl_context"].check_hostname
