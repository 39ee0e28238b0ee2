"""What the parts of a running worker say of themselves, gathered for its metrics and its health."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams import health
from streams.cache import StateCache
from streams.collector import Pauses
from streams.metrics import WorkerMetrics
from streams.partition import BatchReport, Services
from streams.patience import Patience
from streams.processor import Processor
from streams.publisher import KafkaPublisher
from streams.settings import Settings
from streams.store import StoreCorrupt, StoreRefused, StoreUnavailable


class Telemetry:
    """Reads the parts of one worker. ``attach`` gives it those that are made last, before anything is asked."""

    def __init__(
        self,
        settings: Settings,
        options: Mapping[str, Any],
        cache: StateCache,
        publisher: KafkaPublisher,
        kafka: Patience,
        pauses: Pauses,
    ) -> None:
        self._settings = settings
        self._options = dict(options)
        self._cache = cache
        self._publisher = publisher
        self._kafka = kafka
        self._pauses = pauses
        self._metrics = WorkerMetrics(self)
        self._services: Services
        self._processor: Processor
        self._out_of_touch: Callable[[], bool]

    def attach(self, services: Services, processor: Processor, out_of_touch: Callable[[], bool]) -> None:
        """The parts that are made with ``observe`` in hand. ``out_of_touch``: whether Kafka's group cannot be found."""
        self._services = services
        self._processor = processor
        self._out_of_touch = out_of_touch

    def observe(self, report: BatchReport) -> None:
        """Counts a committed batch."""
        self._metrics.observe(report)

    def serve(self) -> AbstractAsyncContextManager[str]:
        """The worker's HTTP, as ``health.serve``."""
        ready = {
            "partitions": self._has_partitions,
            "input": self._consumes,
            "store": self._store_answers,
            "kafka": self._kafka_answers,
        }
        settings = self._settings
        return health.serve(settings.http_host, settings.http_port, self._lives, ready, self._metrics.registry)

    # What ``metrics.Gauges`` asks.

    def lags(self) -> Iterable[tuple[str, int, int]]:
        services = self._services
        for partition in self._processor.partitions:
            for topic, position in partition.positions.items():
                lag = services.lag(services.routes.of_topic(topic).kafka_topic, partition.number, position)
                if lag is not None:
                    yield topic, partition.number, lag

    def partitions(self) -> int:
        return len(self._processor.partitions)

    def halted(self) -> int:
        return sum(partition.halted is not None for partition in self._processor.partitions)

    def rebalances(self) -> int:
        return self._processor.takeovers

    def overdue_seconds(self) -> Mapping[str, float]:
        services = self._services
        if services.clock_mode != "wall":
            return {}
        now, first = services.clock.now_ms(), dict.fromkeys(services.routes.stages, 0.0)
        for partition in self._processor.partitions:
            for stage, due in partition.next_due.items():
                first[stage] = max(first[stage], (now - due) / 1000)
        return first

    def cache(self) -> tuple[int, int, int, int]:
        return self._cache.hits, self._cache.misses, len(self._cache), self._cache.bytes

    def dependencies(self) -> Mapping[str, tuple[int, bool]]:
        store, kafka, publisher = self._services.patience, self._kafka, self._publisher
        return {
            "store": (store.errors, store.away),
            "kafka": (kafka.errors + publisher.errors, kafka.away or publisher.away or self._out_of_touch()),
        }

    def pauses(self) -> Pauses:
        return self._pauses

    def ruleset(self) -> str:
        return self._services.rulesets.in_force

    # What ``/live`` and ``/ready`` ask.

    async def _lives(self) -> str | None:
        failed = self._processor.failed()
        return f"failed: {type(failed.exception()).__name__}" if failed.done() else None

    async def _has_partitions(self) -> str | None:
        return None if self._processor.partitions else "none assigned"

    async def _consumes(self) -> str | None:
        halted = [partition for partition in self._processor.partitions if partition.halted is not None]
        return "; ".join(f"partition {p.number} is halted: {p.halted}" for p in halted) or None

    async def _store_answers(self) -> str | None:
        try:
            await self._services.store.ping()
        except (StoreUnavailable, StoreRefused, StoreCorrupt) as error:
            return f"no good answer: {type(error).__name__}"
        return None

    async def _kafka_answers(self) -> str | None:
        admin = AIOKafkaAdminClient(**self._options)
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            return f"no good answer: {type(error).__name__}"
        finally:
            await admin.close()
        return "does not take messages" if self._publisher.away else None
