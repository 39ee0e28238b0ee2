"""A worker: settings in, everything wired together, run until it is told to stop or must."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from importlib.metadata import packages_distributions
from typing import Any, Final, cast
from urllib.parse import quote

import faust
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError
from faust.types import TP

from streams import collector
from streams.app import WorkerApp, WorkerParameters, build_app, run_worker
from streams.cache import StateCache
from streams.clock import SystemClock
from streams.connections import (
    NOT_ALLOWED,
    NotReachable,
    await_kafka,
    await_store_rights,
    kafka_address,
    kafka_options,
    not_allowed,
    retry,
)
from streams.driver import Consumer
from streams.fail_points import arm
from streams.journal import KafkaJournal
from streams.kafka_access import check_rights
from streams.partition import Limits, Rulesets, Services
from streams.patience import Patience
from streams.processor import Processor
from streams.publisher import KafkaPublisher
from streams.redis_client import TlsFiles
from streams.refusals import Refused
from streams.replay import KafkaLog, KafkaUnavailable
from streams.ruleset_log import ruleset_message
from streams.settings import Settings
from streams.signing import Release, Trust
from streams.stages import Routes
from streams.store import Store, StoreRefused, StoreUnavailable
from streams.store_redis import RedisStore
from streams.telemetry import Telemetry
from streams.tls import TlsFilesUnusable, chain_of, client_context
from streams.topic_admin import TopicProblem, TopicsRefused, check, connect_admin
from triggers.desk.managers import ManagerStage
from triggers.desk.stage import DeskStage
from triggers.engine.customer import CustomerStage
from triggers.engine.stage import Stage
from triggers.identity.stage import IdentityStage
from triggers.language.loader import from_document

log = logging.getLogger(__name__)

_OURS: Final = ("schemas", "triggers", "streams")
_DISTRIBUTION: Final = "bank-triggers"


class CannotStart(Exception):
    """The worker refuses to start. ``problems``: one line each, with what mends it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def open_store(settings: Settings) -> RedisStore:
    """The store that the settings name; it connects when it is first used.

    Raises ``NotReachable`` where certificate files cannot be used.
    """
    url = settings.redis_url.get_secret_value()
    tls = TlsFiles(settings.redis_tls_ca_file, settings.redis_tls_cert_file, settings.redis_tls_key_file)
    if settings.redis_url.scheme == "rediss":
        try:
            client_context(tls.ca, tls.certificate, tls.key, "redis_tls")
        except TlsFilesUnusable as error:
            raise NotReachable(f"the store at {settings.redis_url}: {error}") from error
    if settings.redis_password is not None:
        password = quote(settings.redis_password.get_secret_value(), safe="")
        scheme, _, rest = url.partition("://")
        user, at, address = rest.rpartition("@")
        url = f"{scheme}://{user.rstrip(':')}:{password}@{address if at else rest}"
    return RedisStore.connect(
        url,
        namespace=settings.namespace,
        cluster=settings.redis_cluster,
        timeout_s=settings.redis_timeout_ms / 1000,
        wait_replicas=settings.redis_wait_replicas,
        tls=tls,
    )


def make_routes(settings: Settings) -> Routes:
    """Every stage on its topics."""
    stages: list[Stage[Any]] = [
        CustomerStage(settings.tenant),
        IdentityStage(settings.tenant),
        ManagerStage(settings.tenant),
        DeskStage(settings.tenant),
    ]
    return Routes(stages, prefix=settings.topic_prefix)


async def check_start(settings: Settings) -> None:
    """Waits for Kafka and the store, then checks what must hold before anything is read.

    Raises ``NotReachable`` and ``CannotStart``.
    """
    _check_package_names()
    _check_http(settings)
    store = open_store(settings)
    try:
        await asyncio.gather(await_kafka(settings), await_store_rights(store, settings))
        await check_rights(settings)
    finally:
        await store.close()

    async def compare() -> list[TopicProblem]:
        async with connect_admin(settings) as admin:
            return await check(admin, settings)

    try:
        problems = await retry(
            compare, (KafkaError, OSError), f"Kafka at {kafka_address(settings)}", settings.startup_seconds
        )
    except TopicsRefused as error:
        raise CannotStart([str(error)]) from error
    if problems:
        raise CannotStart([str(problem) for problem in problems])


def run(settings: Settings, release: Release, trust: Trust) -> int:
    """Runs a worker in this process until it is told to stop (0) or must stop (1).

    ``trust``: whose rule sets are taken where older ones are read back; ``release`` is one of those.

    Raises ``Refused`` where a partition cannot be run as things are, and ``NotReachable`` where a right was withdrawn.
    """
    pauses = collector.tune()
    app_holder: list[WorkerApp] = []
    clock = SystemClock()
    options = kafka_options(settings)
    store = open_store(settings)
    patience = Patience("the store", clock, (StoreUnavailable,))
    kafka_patience = Patience("Kafka", clock, (KafkaUnavailable, KafkaConnectionError, KafkaTimeoutError))
    publisher = KafkaPublisher(
        options,
        topic_prefix=settings.topic_prefix,
        compression=None if settings.kafka_compression == "none" else settings.kafka_compression,
    )
    kafka_log = KafkaLog(options, settings.app_id, kafka_patience, "read_committed")
    routes = make_routes(settings)
    cache = StateCache(settings.cache_states, settings.cache_mib * 1024 * 1024)
    telemetry = Telemetry(settings, options, cache, publisher, kafka_patience, pauses)
    services = Services(
        tenant=settings.tenant,
        store=store,
        patience=patience,
        publisher=publisher,
        cache=cache,
        routes=routes,
        rulesets=Rulesets(store, patience, lambda: release.ruleset, from_document, release.signatures, trust),
        source=kafka_log,
        clock=clock,
        clock_mode=settings.clock,
        lag=lambda topic, partition, position: cast(Consumer, app_holder[0].consumer).lag(
            TP(topic, partition), position
        ),
        limits=Limits(
            max_batch=settings.max_batch,
            max_batch_seconds=settings.max_batch_ms / 1000,
            queue_records=settings.queue_records,
            timer_limit=settings.timer_batch,
            dead_letter_window=settings.dead_letter_window,
            dead_letter_percent=settings.dead_letter_percent,
            fenced_grace_seconds=settings.fenced_grace_seconds,
        ),
        observe=telemetry.observe,
    )
    if settings.fail_point is not None:
        arm(services, settings.fail_point)
    owner = _Owner(Processor(services, kafka_log, KafkaJournal(kafka_log, settings.topic_prefix)))
    telemetry.attach(
        services,
        owner.processor,
        # Faust makes the consumer when it is first asked for, and that must not be here.
        lambda: owner.processor.takeovers > 0 and cast(Consumer, app_holder[0].consumer).out_of_touch,
    )
    app = build_app(_parameters(settings, options), owner, routes.kafka_topics)
    app_holder.append(app)
    code = run_worker(app, _resources(store, publisher, owner, services.rulesets, settings.tenant, release, telemetry))
    # What a partition met while it ran, or its reader did, counts as what it met when it was taken over.
    reason = owner.refusal or owner.processor.failure or app.crash_reason
    if reason is not None:
        _tell_cause(reason, settings)
    return code


def _tell_cause(reason: BaseException, settings: Settings) -> None:
    """Raises the refusal behind the end of a worker, or ``NotReachable`` where Kafka or the store turn it away."""
    links = list(chain_of(reason))
    for link in links:
        if isinstance(link, Refused):
            raise link
    for link in links:
        if isinstance(link, NOT_ALLOWED):
            raise NotReachable(not_allowed(link, settings))
        if isinstance(link, StoreRefused):
            raise NotReachable(f"the store at {settings.redis_url} turns us away: {link}")


@asynccontextmanager
async def _resources(
    store: Store,
    publisher: KafkaPublisher,
    owner: _Owner,
    rulesets: Rulesets,
    tenant: str,
    release: Release,
    telemetry: Telemetry,
) -> AsyncIterator[None]:
    """What lives as long as the worker consumes."""
    await publisher.start()
    try:
        # Kept before the first batch names it: whoever must run that batch again finds the rule set by its hash.
        ruleset = await rulesets.current()
        # On Kafka too, for the day when the store is lost.
        await publisher.publish(0, [ruleset_message(tenant, release)])
        log.info("rule set %s with %d triggers", ruleset.hash, len(ruleset.triggers))
        async with telemetry.serve():
            yield
    finally:
        await owner.processor.stop()
        await publisher.stop()
        await store.close()


class _Owner:
    """The processor as the driver's partition owner; remembers a refusal, which Faust would only log."""

    def __init__(self, processor: Processor) -> None:
        self.processor = processor
        self.refusal: Refused | None = None

    async def take_over(self, assigned: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        try:
            positions = await self.processor.take_over(assigned)
        except Refused as refusal:
            self.refusal = refusal
            raise
        log.info("partitions taken over: %s", sorted({number for _, number in assigned}))
        return positions

    async def release(self, revoked: AbstractSet[int]) -> None:
        await self.processor.release(revoked)

    async def submit(self, chunk: Any, done: Any) -> None:
        await self.processor.submit(chunk, done)

    def failed(self) -> asyncio.Future[None]:
        return self.processor.failed()


def _parameters(settings: Settings, options: Mapping[str, Any]) -> WorkerParameters:
    return WorkerParameters(
        app_id=settings.app_id,
        bootstrap=settings.kafka_bootstrap,
        topic_prefix=settings.topic_prefix,
        session_timeout_s=settings.session_timeout_ms / 1000,
        heartbeat_interval_s=settings.heartbeat_interval_ms / 1000,
        request_timeout_s=settings.kafka_request_timeout_ms / 1000,
        fetch_wait_ms=settings.fetch_wait_ms,
        max_poll_records=settings.max_poll_records,
        instance_id=settings.instance_id,
        credentials=_credentials(settings, options),
    )


def _credentials(settings: Settings, options: Mapping[str, Any]) -> faust.auth.Credentials | None:
    context = options.get("ssl_context")
    if settings.kafka_security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context is not None else None


def _check_http(settings: Settings) -> None:
    host, port = settings.http_host, settings.http_port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As the server itself does: a port that a former worker has just left may be taken again.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        problem = (
            f"http_port: nothing can listen at {host}:{port} ({error.strerror}); "
            "expected an address of this machine and a free port, or 0 for any free port"
        )
        raise CannotStart([problem]) from error


def _check_package_names() -> None:
    """PyPI has packages called schemas and triggers; in one environment with ours they would overwrite each other."""
    owners = packages_distributions()
    problems = [
        f"the package {name} belongs to {', '.join(sorted(set(found)))}, not to {_DISTRIBUTION} alone; "
        f"expected an environment without {', '.join(sorted(set(found) - {_DISTRIBUTION}))}"
        for name in _OURS
        if (found := owners.get(name)) and set(found) != {_DISTRIBUTION}
    ]
    if problems:
        raise CannotStart(problems)
