"""How Kafka and the store are reached, and how a start waits for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from streams.clock import Clock, SystemClock
from streams.settings import Settings
from streams.store import Store, StoreCorrupt, StoreRefused, StoreUnavailable
from streams.tls import TlsFilesUnusable, client_context, refused_by_tls

T = TypeVar("T")

log = logging.getLogger(__name__)

_FIRST_SECONDS = 0.25
_MOST_SECONDS = 5.0
_LEAVE_SECONDS = 0.5

NOT_ALLOWED: Final = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
"""Kafka's answers where a right is missing."""
_NO_USER: Final = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

_NO_FALLBACK: Final = "does it speak TLS? there is no fallback to plain text"


class NotReachable(Exception):
    """Kafka or the store did not answer, or turned us away. The text names the address, no password."""


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
            options["ssl_context"] = client_context(
                settings.kafka_tls_ca_file, settings.kafka_tls_cert_file, settings.kafka_tls_key_file, "kafka_tls"
            )
        except TlsFilesUnusable as error:
            raise NotReachable(f"Kafka: {error}") from error
    if settings.kafka_security_protocol.startswith("SASL"):
        assert settings.kafka_sasl_password is not None  # the settings were checked
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return options


async def await_kafka(settings: Settings, clock: Clock | None = None) -> None:
    """Returns when a broker answers and each that answers takes us.

    Raises ``NotReachable`` after ``startup_seconds``, or at once if one turns us away: aiokafka's own clients would
    only say that they cannot connect, and go on trying.
    """
    options = kafka_options(settings)

    async def ask() -> None:
        connection, address = await first_answer(settings, options)
        try:
            metadata = await connection.send(MetadataRequest([]))
        finally:
            await leave(connection)
        named = {f"{host}:{port}" for _, host, port, *_ in metadata.brokers}
        for other in sorted(named - {address}):
            # What the broker calls itself and the others is what clients connect to from now on.
            try:
                await leave(await connect_kafka(other, settings, options))
            except (KafkaError, OSError, TimeoutError):
                continue  # one of several that is down is no reason to wait

    tls = settings.kafka_security_protocol.endswith("SSL")
    await retry(
        ask,
        (KafkaError, OSError),
        f"Kafka at {kafka_address(settings)}",
        settings.startup_seconds,
        clock,
        hint=_NO_FALLBACK if tls else "brokers that want TLS or users: kafka_security_protocol",
    )


async def first_answer(settings: Settings, options: dict[str, Any]) -> tuple[AIOKafkaConnection, str]:
    """A connection to the first broker that answers, and its address. The caller leaves it; as ``connect_kafka``."""
    failure: Exception = KafkaConnectionError("no address")
    for address in settings.kafka_bootstrap:
        try:
            return await connect_kafka(address, settings, options), address
        except (KafkaError, OSError, TimeoutError) as error:
            failure = error
    raise failure


async def connect_kafka(address: str, settings: Settings, options: dict[str, Any]) -> AIOKafkaConnection:
    """One connection to one broker, logged on. The caller leaves it.

    Raises ``NotReachable`` where the broker turns us away or cannot be trusted, aiokafka's errors and ``OSError`` where
    it does not answer.
    """
    host, _, port = address.rpartition(":")
    try:
        return await create_conn(
            host,
            int(port),
            client_id=settings.app_id,
            **{name: value for name, value in options.items() if name != "bootstrap_servers"},
        )
    except _NO_USER as error:
        raise NotReachable(
            f"Kafka at {address} does not accept the user {settings.kafka_sasl_username}: {_reason(error)}; expected "
            "the right kafka_sasl_username, kafka_sasl_password and kafka_sasl_mechanism"
        ) from error
    except (KafkaError, OSError) as error:
        refused = refused_by_tls(error, "kafka_tls")
        if refused is None:
            raise
        raise NotReachable(f"Kafka at {address} cannot be spoken to: {refused}") from error


async def leave(connection: AIOKafkaConnection) -> None:
    """Closes a connection; the other side's leave-taking, which TLS has, is not waited for at any length."""
    closed = connection.close()
    if closed is not None:
        await asyncio.wait([closed], timeout=_LEAVE_SECONDS)


def not_allowed(error: KafkaError, settings: Settings) -> str:
    """What to tell of an answer of ``NOT_ALLOWED``."""
    what = " ".join(str(part) for part in error.args) or type(error).__name__
    return (
        f"Kafka at {kafka_address(settings)} does not allow the user {kafka_user(settings)} what it asks for: "
        f"{type(error).__name__} ({what}); the rights that are needed: bank-triggers topics acls"
    )


class RightsTold(Protocol):
    """A store that can say what is missing: ``RedisStore``."""

    async def missing_rights(self, partitions: int) -> list[str]: ...


async def await_store(store: Store, settings: Settings, clock: Clock | None = None) -> None:
    """Returns when the store answers. Raises ``NotReachable`` after ``startup_seconds``, or at once if turned away."""
    await _insist(store.ping, settings, clock)


async def await_store_rights(store: RightsTold, settings: Settings, clock: Clock | None = None) -> None:
    """As ``await_store``, and the store lets us do all that a worker must."""

    async def ask() -> None:
        missing = await store.missing_rights(settings.partitions)
        if missing:
            raise NotReachable(
                f"the store at {settings.redis_url} does not allow its user {', '.join(missing)}; the rights that are "
                "needed: bank-triggers state acl"
            )

    await _insist(ask, settings, clock)


async def _insist(ask: Callable[[], Awaitable[None]], settings: Settings, clock: Clock | None) -> None:
    what = f"the store at {settings.redis_url}"
    tls = settings.redis_url.scheme == "rediss"
    hint = _NO_FALLBACK if tls else "a store that wants TLS is reached by rediss://"

    async def turned_away_or() -> None:
        try:
            await ask()
        except StoreRefused as error:
            raise NotReachable(f"{what} turns us away: {error}") from error
        except StoreCorrupt as error:
            raise NotReachable(f"{what} does not answer as Redis does ({hint}): {error}") from error

    await retry(turned_away_or, (StoreUnavailable,), what, settings.startup_seconds, clock, hint=hint)


async def retry(
    ask: Callable[[], Awaitable[T]],
    lost: tuple[type[Exception], ...],
    what: str,
    seconds: float,
    clock: Clock | None = None,
    *,
    hint: str = "",
) -> T:
    """Asks until it is answered, for ``seconds``, and says that it waits.

    Raises ``NotReachable`` with the last of the errors ``lost``.
    """
    clock = clock or SystemClock()
    began, delay = clock.now_ms(), _FIRST_SECONDS
    while True:
        try:
            # One attempt may hang on an address that swallows packets: it has no longer than all together.
            async with asyncio.timeout(seconds):
                return await ask()
        except lost + (TimeoutError,) as error:  # noqa: RUF005 - mypy does not see through the unpacking
            left = seconds - (clock.now_ms() - began) / 1000
            if left <= 0:
                told = f" ({hint})" if hint else ""
                raise NotReachable(f"{what} did not answer within {seconds:.0f} s: {_reason(error)}{told}") from error
            if delay == _FIRST_SECONDS:
                log.warning("%s does not answer yet, waiting for it for up to %.0f s: %s", what, left, _reason(error))
            await clock.sleep(min(delay, left))
            delay = min(delay * 2, _MOST_SECONDS)


def no_answer(error: BaseException) -> bool:
    """Whether an error of aiokafka's says that Kafka did not answer: the question may be asked again."""
    if isinstance(error, KafkaConnectionError | KafkaTimeoutError | OSError):
        return True
    return isinstance(error, KafkaError) and bool(error.retriable)


def kafka_address(settings: Settings) -> str:
    """The brokers' addresses, for messages."""
    return ",".join(settings.kafka_bootstrap)


def kafka_user(settings: Settings) -> str:
    """Who we are to Kafka, for messages."""
    if settings.kafka_sasl_username is not None:
        return settings.kafka_sasl_username
    return "of our certificate" if settings.kafka_tls_cert_file is not None else "without a name"


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
