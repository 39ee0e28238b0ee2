"""The Faust app of a worker: what of Faust is used, and how a worker process runs it."""

from __future__ import annotations

import asyncio
import logging
import signal
import tempfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.tables import TableManager
from faust.tables.recovery import Recovery
from faust.worker import Worker as FaustWorker

from streams import driver
from streams.agents import attach_agents
from streams.assignor import CompleteAssignor
from streams.driver import PartitionOwner, faust_logger
from streams.event_loop import LoopPolicy


@dataclass(frozen=True, slots=True)
class WorkerParameters:
    """What a worker needs to know of its group. Times are in seconds.

    ``bootstrap`` are ``host:port`` pairs. ``instance_id`` makes membership static: a restarted worker gets its
    partitions back without a rebalance, but one that stops for good is noticed only after ``session_timeout_s``.
    ``fetch_wait_ms`` is how long a broker may hold a fetch that finds nothing.
    ``max_poll_records`` bounds the records of one fetch over all partitions, ``max_fetch_bytes`` the bytes of one
    partition, on the wire and unpacked. Two MiB are about 8,000 events, and a batch: a customer's state is read and
    written once in a batch, so that an event took 2, 3 and 9 us less (of 22, 31 and 46) than in batches of 4,000 with
    1,000, 3,000 and 5,000 customers to a partition. Twice as many take 1 to 4 us less again, and twice the memory.
    ``credentials`` is one of ``faust.auth`` and carries the TLS context with it.
    """

    app_id: str
    bootstrap: Sequence[str]
    topic_prefix: str = ""
    session_timeout_s: float = 6.0
    heartbeat_interval_s: float = 1.0
    commit_interval_s: float = 1.0
    request_timeout_s: float = 30.0
    fetch_wait_ms: int = 100
    max_poll_records: int = 4096
    max_fetch_bytes: int = 2 * 1024 * 1024
    instance_id: str | None = None
    credentials: faust.auth.Credentials | None = None


class _Boot(BootStrategy):
    # Batches are published by a producer of our own that awaits every acknowledgement.
    enable_kafka_producer = False
    enable_web = False


class NoTables(TableManager):
    """Faust's manager of tables, where there are none."""

    logger = faust_logger

    async def on_start(self) -> None:
        """The stock method first waits a second for tables to be declared, and the group is not joined meanwhile."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> Recovery:
        """What asks, after each rebalance, for the partitions to be taken over, and then opens the flow."""
        if self._recovery is None:
            self._recovery = _PatientRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class _PatientRecovery(Recovery):
    logger = faust_logger

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002, ASYNC109  the signature is Faust's
        # The stock method takes a take-over that lasts longer than one request may for the end of the service: the
        # worker would keep its partitions and never work again. A store that is brought up from the journal, or a
        # dependency that is away, takes as long as it takes.
        await super()._wait(coro)


class WorkerApp(faust.App):
    """A Faust app that knows who owns its partitions."""

    logger = faust_logger
    BootStrategy = _Boot
    partition_owner: PartitionOwner
    fetch_wait_ms: int
    resources: AbstractAsyncContextManager[Any] | None = None

    async def on_start(self) -> None:
        """Opens the resources; Faust closes them when consumer and agents have stopped."""
        await super().on_start()
        if self.resources is not None:
            await self.add_async_context(self.resources)

    def _create_directories(self) -> None:
        # There are no tables: no state of record is kept in Faust, so no folder for it either.
        pass


def build_app(parameters: WorkerParameters, owner: PartitionOwner, topics: Sequence[str]) -> WorkerApp:
    """The app that feeds ``owner`` with chunks of ``topics`` (Kafka names). One app per process, as Faust wants it."""
    app = WorkerApp(
        parameters.app_id,
        broker=[f"{driver.SCHEME}://{address}" for address in parameters.bootstrap],
        broker_credentials=parameters.credentials,
        broker_session_timeout=parameters.session_timeout_s,
        broker_heartbeat_interval=parameters.heartbeat_interval_s,
        broker_request_timeout=parameters.request_timeout_s,
        broker_commit_interval=parameters.commit_interval_s,
        broker_max_poll_records=parameters.max_poll_records,
        # A partition held back for long (the store does not answer) is no reason to leave the group: liveness is the
        # heartbeat's, and an owner that cannot go on says so itself.
        broker_max_poll_interval=24 * 3600.0,
        consumer_max_fetch_size=parameters.max_fetch_bytes,
        # Never guess a position: the driver seeks each partition, and a position out of range is an error to be seen.
        consumer_auto_offset_reset="none",
        consumer_group_instance_id=parameters.instance_id,
        PartitionAssignor=CompleteAssignor,
        TableManager=NoTables,
        # With 0 Faust takes an assignor that gives a worker different partition numbers of different topics.
        table_standby_replicas=1,
        topic_allow_declare=False,
        topic_disable_leader=True,
        # The owner finishes or abandons what is in flight; Faust's own wait has no bound.
        stream_wait_empty=False,
        web_enabled=False,
        autodiscover=False,
        datadir=Path(tempfile.gettempdir()) / parameters.app_id,
    )
    app.partition_owner = owner
    app.fetch_wait_ms = parameters.fetch_wait_ms
    attach_agents(app, topics, parameters.topic_prefix)
    return app


def run_worker(app: WorkerApp, resources: AbstractAsyncContextManager[Any] | None = None) -> int:
    """Runs the app in this process until SIGTERM or SIGINT (0), or until an error that must stop it (1).

    ``resources`` (connections of the owner) are entered in the worker's loop before anything is consumed, and left
    after the last partition was released.
    """
    app.resources = resources
    asyncio.set_event_loop_policy(LoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    for name in ("faust", "mode", "aiokafka"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It reports each ordinary rebalance as a failed heartbeat.
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.ERROR)
    try:
        _Process(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False).execute_from_commandline()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1


class _Process(FaustWorker):
    logger = faust_logger
    # It writes escape sequences, also where nothing is a terminal.
    spinner = property(lambda _: None, lambda _, __: None)

    def install_signal_handlers(self) -> None:
        # Not SIGUSR1 and SIGUSR2: Faust prints tracebacks on the one and opens a debugger on the other.
        self.loop.add_signal_handler(signal.SIGINT, self._on_sigint)
        self.loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)

    async def _sentinel_task(self) -> None:
        # A second in Faust, at the very end: long enough for cancelled tasks to see it is far less.
        await asyncio.sleep(0.1)
