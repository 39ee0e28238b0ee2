"""A Kafka broker inside this process, for the demo and for wiring tests of bounded size.

It is librdkafka's mock cluster, which comes with the ``confluent-kafka`` wheel: threads of this process that speak the
real protocol over loopback. It ends with the process, whatever ends that; nothing is written to disk.

What works (and is tested): aiokafka's idempotent producer with ``acks=all`` and headers; Faust on the batch driver;
aiokafka consumers with ``assign`` and ``seek``; ``beginning_offsets`` and ``end_offsets``; an offset beyond the end is
answered with OffsetOutOfRange; consumer groups, also with static membership; committed offsets; transactions;
kafka-python with ``api_version=(2, 1)`` (it cannot find the version out by itself here).

Its limits:

* a partition keeps 5 MiB or 100,000 messages; then the oldest are dropped without a word, and the beginning moves;
* ``offsets_for_times`` finds nothing, whatever the time;
* topics are created by ``create_topic`` here, or, with 4 partitions, when a client that allows it (aiokafka does)
  first names them; CreateTopics, CreatePartitions, DescribeConfigs, AlterConfigs and DeleteRecords are refused or not
  answered: cleanup policies and retention do not exist, and ``describe_topics`` shows partitions alone;
* one member per consumer group: when a second one joins, SyncGroup may answer InvalidRequest, which ends a worker;
* no compaction, no limit on message size, no authentication, no TLS.
"""

from __future__ import annotations

import ctypes
from types import TracebackType
from typing import Final, Self

from confluent_kafka import cimpl

DEFAULT_PARTITIONS: Final = 4
"""Partitions of a topic that nobody created before it was first asked for."""

_PRODUCER: Final = 0
_GROUP_DELAY_MS: Final = 100
_ERROR_BYTES: Final = 512


class EmbeddedBrokerFailed(Exception):
    """librdkafka could not start its cluster, or refused a topic."""


class EmbeddedBroker:
    """A one-broker cluster, from ``with`` to the end of the block. ``bootstrap`` is its ``host:port`` on loopback."""

    bootstrap: str

    def __init__(self) -> None:
        self._library = _load()
        self._client: int | None = None
        self._cluster: int | None = None

    def __enter__(self) -> Self:
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        # The cluster hangs on a client handle, which itself connects to nothing. `rd_kafka_new` takes the conf over.
        conf = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(conf, b"log_level", b"0", error, _ERROR_BYTES)
        self._client = self._library.rd_kafka_new(_PRODUCER, conf, error, _ERROR_BYTES)
        if not self._client:
            self._library.rd_kafka_conf_destroy(conf)
            raise EmbeddedBrokerFailed(f"librdkafka: {error.value.decode()}")
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            self._close()
            raise EmbeddedBrokerFailed("librdkafka could not open a listening socket on loopback")
        # Its default of 3 s is that of a production broker, where many members start at the same time.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, _GROUP_DELAY_MS)
        self.bootstrap = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._close()

    def create_topic(self, name: str, partitions: int = DEFAULT_PARTITIONS) -> None:
        """Creates a topic. Raises ``EmbeddedBrokerFailed`` where it exists already."""
        code = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        if code:
            raise EmbeddedBrokerFailed(f"topic {name}: {self._library.rd_kafka_err2str(code).decode()}")

    def _close(self) -> None:
        cluster, self._cluster = self._cluster, None
        client, self._client = self._client, None
        if cluster:
            self._library.rd_kafka_mock_cluster_destroy(cluster)
        if client:
            self._library.rd_kafka_destroy(client)


def _load() -> ctypes.CDLL:
    # Through the extension module: its dependencies are searched too, wherever the wheel of this platform put them.
    library = ctypes.CDLL(cimpl.__file__)
    handle, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", handle, ()),
        ("rd_kafka_conf_set", number, (handle, text, text, text, ctypes.c_size_t)),
        ("rd_kafka_conf_destroy", None, (handle,)),
        ("rd_kafka_new", handle, (number, handle, text, ctypes.c_size_t)),
        ("rd_kafka_destroy", None, (handle,)),
        ("rd_kafka_err2str", text, (number,)),
        ("rd_kafka_mock_cluster_new", handle, (handle, number)),
        ("rd_kafka_mock_cluster_destroy", None, (handle,)),
        ("rd_kafka_mock_cluster_bootstraps", text, (handle,)),
        ("rd_kafka_mock_topic_create", number, (handle, text, number, number)),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, (handle, ctypes.c_int32)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
