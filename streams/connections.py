"""How Kafka and the store are reached, and how a start waits for them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import AuthenticationFailedError, KafkaError
from aiokafka.helpers import create_ssl_context

from streams.clock import Clock, SystemClock
from streams.settings import Settings
from streams.store import Store, StoreRefused, StoreUnavailable

_FIRST_SECONDS = 0.25
_MOST_SECONDS = 5.0


class NotReachable(Exception):
    """Kafka or the store did not answer at the start, or turned us away. The text names the address, no password."""


def kafka_options(settings: Settings) -> dict[str, Any]:
    """What every aiokafka client is given to connect with. There is no fallback to plain text.

    Raises ``NotReachable`` where certificate files cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.kafka_bootstrap),
        "security_protocol": settings.kafka_security_protocol,
        "request_timeout_ms": settings.kafka_request_timeout_ms,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        try:
            options["ssl_context"] = create_ssl_context(
                cafile=None if settings.kafka_tls_ca_file is None else str(settings.kafka_tls_ca_file),
                certfile=None if settings.kafka_tls_cert_file is None else str(settings.kafka_tls_cert_file),
                keyfile=None if settings.kafka_tls_key_file is None else str(settings.kafka_tls_key_file),
            )
        except (OSError, ssl.SSLError) as error:
            raise NotReachable(
                f"the TLS files of Kafka cannot be used ({error.strerror or type(error).__name__}); expected PEM files "
                "in kafka_tls_ca_file, kafka_tls_cert_file and kafka_tls_key_file"
            ) from error
    if settings.kafka_security_protocol.startswith("SASL"):
        assert settings.kafka_sasl_password is not None  # the settings were checked
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return options


async def await_kafka(settings: Settings, clock: Clock | None = None) -> None:
    """Returns when a broker answers. Raises ``NotReachable`` after ``startup_seconds``, or at once if turned away."""

    async def ask() -> None:
        admin = AIOKafkaAdminClient(**kafka_options(settings))
        try:
            await admin.start()
        except AuthenticationFailedError as error:
            raise NotReachable(
                f"Kafka at {_kafka_address(settings)} does not accept the user: {_reason(error)}"
            ) from error
        finally:
            await admin.close()

    await _retry(ask, (KafkaError, OSError), f"Kafka at {_kafka_address(settings)}", settings.startup_seconds, clock)


async def await_store(store: Store, settings: Settings, clock: Clock | None = None) -> None:
    """Returns when the store answers. Raises ``NotReachable`` after ``startup_seconds``, or at once if turned away."""
    what = f"the store at {settings.redis_url}"

    async def ask() -> None:
        try:
            await store.ping()
        except StoreRefused as error:
            raise NotReachable(f"{what} turns us away: {error}") from error

    await _retry(ask, (StoreUnavailable,), what, settings.startup_seconds, clock)


async def _retry(
    ask: Callable[[], Awaitable[None]],
    lost: tuple[type[Exception], ...],
    what: str,
    seconds: float,
    clock: Clock | None,
) -> None:
    clock = clock or SystemClock()
    began, delay = clock.now_ms(), _FIRST_SECONDS
    while True:
        try:
            # One attempt may hang on an address that swallows packets: it has no longer than all together.
            async with asyncio.timeout(seconds):
                await ask()
        except lost + (TimeoutError,) as error:  # noqa: RUF005 - mypy does not see through the unpacking
            left = seconds - (clock.now_ms() - began) / 1000
            if left <= 0:
                raise NotReachable(f"{what} did not answer within {seconds:.0f} s: {_reason(error)}") from error
            await clock.sleep(min(delay, left))
            delay = min(delay * 2, _MOST_SECONDS)
        else:
            return


def _kafka_address(settings: Settings) -> str:
    return ",".join(settings.kafka_bootstrap)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
