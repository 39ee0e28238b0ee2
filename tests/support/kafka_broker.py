"""A real Apache Kafka broker for tests, without a container, and small synchronous helpers to fill and read it.

The jars come from Maven Central by ``deploy/kafka/pom.xml``, once per machine, into a cache folder outside the tree.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from aiokafka.record import MemoryRecords
from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    ConsumerGroupTopicPartitions,
    ElectionType,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic

from tests.support.tcp_proxy import TcpProxy

VERSION = "4.1.0"
POM = Path(__file__).resolve().parents[2] / "deploy" / "kafka" / "pom.xml"
START_S = 60.0
_QUICK_START = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
"""Its start takes half the processor time like this. What it changes in benchmarks stands among their levers."""


class BrokerUnavailable(Exception):
    """The broker could not be installed or started; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A broker's place in its cluster; each is controller too."""

    cluster: str
    """Any 16 bytes in URL-safe base64; one that begins with "-" would be read as an option."""
    node: int
    controllers: Mapping[int, int]
    """The controllers' ports by node."""

    @staticmethod
    def of(nodes: int) -> list[Membership]:
        """Those of a new cluster of so many."""
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()[1:]
        controllers = {node: _free_port() for node in range(1, nodes + 1)}
        return [Membership(cluster, node, controllers) for node in controllers]


class KafkaBroker:
    """One broker in KRaft mode on loopback. It keeps port and data over ``stop``/``kill`` and ``start``.

    ``settings`` are added to ``server.properties`` (for example ``message.max.bytes``). The broker's output is in
    ``directory/broker.log``. It dies with this process, however this process ends. With ``proxied`` it has a second
    listener, which it tells its clients to reach through ``proxy``: whoever begins at ``proxied_bootstrap`` stays
    behind it, whoever begins at ``bootstrap`` beside it. ``membership`` makes it one of a ``KafkaCluster``.
    ``listeners`` are more of them, each name with its host, as clients are to call it; what they are like stands in
    ``settings``.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        *,
        proxied: bool = False,
        membership: Membership | None = None,
        listeners: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self._settings = dict(settings or {})
        self._membership = membership or Membership.of(1)[0]
        self.listeners = {name: f"{host}:{_free_port()}" for name, host in (listeners or {}).items()}
        """``host:port`` of the further listeners."""
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._port = _free_port()
        self._proxied_port = _free_port() if proxied else 0
        self._proxy = TcpProxy(self._proxied_port) if proxied else None

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return f"127.0.0.1:{self._port}"

    @property
    def proxy(self) -> TcpProxy:
        """What lies between this broker and the clients that began at ``proxied_bootstrap``."""
        assert self._proxy is not None, "this broker was made without a proxy"
        return self._proxy

    @property
    def proxied_bootstrap(self) -> str:
        """``host:port`` for clients that are to reach it through its proxy."""
        return self.proxy.address

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    def start(self) -> None:
        """Starts the broker and waits until it answers. Raises ``BrokerUnavailable``."""
        self.launch()
        self.wait_until_it_answers()

    def launch(self) -> None:
        """Starts the process, and waits for nothing: one of several answers only when most of them run."""
        java, jars = find_java(), install()
        properties = self._directory / "server.properties"
        if not properties.exists():
            self._format(java, jars, properties)
        memory = ["-Xmx512m", "-Xms256m"]
        command = [java, *memory, *_QUICK_START, "-Dorg.apache.logging.log4j.level=WARN", "-cp", f"{jars}/*"]
        with (self._directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "kafka.Kafka", str(properties)], stdout=log, stderr=log)
        self._watcher = die_with_parent(self._process.pid)

    def stop(self) -> None:
        """Stops it in order, as an operator would."""
        self._end(terminate=True)

    def kill(self) -> None:
        """SIGKILL: what was not written to disk by the broker is left to the operating system's cache."""
        self._end(terminate=False)

    def restart(self) -> None:
        """Stops and starts it, with the same data on the same port."""
        self.stop()
        self.start()

    @contextmanager
    def held(self) -> Iterator[None]:
        """It stands still inside (SIGSTOP): connections stay open and what is sent waits in their buffers."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()
        if self._proxy is not None:
            self._proxy.stop()

    def _format(self, java: str, jars: Path, properties: Path) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        of = self._membership
        listeners = [f"PLAINTEXT://127.0.0.1:{self._port}", f"CONTROLLER://127.0.0.1:{of.controllers[of.node]}"]
        advertised = [f"PLAINTEXT://{self.bootstrap}"]
        if self._proxy is not None:
            listeners.append(f"PROXIED://127.0.0.1:{self._proxied_port}")
            advertised.append(f"PROXIED://{self._proxy.address}")
        for name, address in self.listeners.items():
            listeners.append(f"{name}://127.0.0.1:{address.rpartition(':')[2]}")
            advertised.append(f"{name}://{address}")
        lines = {
            "process.roles": "broker,controller",
            "node.id": str(of.node),
            "controller.quorum.voters": ",".join(f"{node}@127.0.0.1:{port}" for node, port in of.controllers.items()),
            "listeners": ",".join(listeners),
            "advertised.listeners": ",".join(advertised),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self._directory / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # A broker killed and started again is refused until its former session has ended.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            # Tests of take-over need not wait for the shortest session production allows.
            "group.min.session.timeout.ms": "1000",
            **self._settings,
        }
        text = "".join(f"{key}={value}\n" for key, value in lines.items())
        draft = properties.with_suffix(".draft")
        draft.write_text(text)
        done = subprocess.run(
            [
                java,
                *_QUICK_START,
                "-cp",
                f"{jars}/*",
                "kafka.tools.StorageTool",
                "format",
                "-t",
                of.cluster,
                "-c",
                str(draft),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BrokerUnavailable(f"formatting the broker's storage failed: {done.stdout}{done.stderr}")
        draft.rename(properties)

    def batches(self, topic: str, partition: int) -> Iterator[Any]:
        """What it has written of a partition to its disk, as aiokafka reads batches."""
        for segment in sorted((self._directory / "data" / f"{topic}-{partition}").glob("*.log")):
            records = MemoryRecords(segment.read_bytes())
            while records.has_next():
                yield records.next_batch()

    def wait_until_it_answers(self) -> None:
        """As ``start`` does."""
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise BrokerUnavailable(f"the broker ended with {self._process.returncode}: {self._tail()}")
            if _listens(self._port):
                try:
                    admin(self.bootstrap).list_topics(timeout=2)
                except KafkaException:
                    pass
                else:
                    return
            time.sleep(0.1)
        self.kill()
        raise BrokerUnavailable(f"the broker did not answer within {START_S:.0f} s: {self._tail()}")

    def _tail(self) -> str:
        return (self._directory / "broker.log").read_text(errors="replace")[-2000:]

    def _end(self, *, terminate: bool) -> None:
        process, self._process = self._process, None
        watcher, self._watcher = self._watcher, None
        if process is not None:
            if terminate:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
            else:
                process.kill()
            process.wait()
        if watcher is not None:
            watcher.kill()
            watcher.wait()
            assert watcher.stdin is not None
            watcher.stdin.close()


class KafkaCluster:
    """Brokers that replicate each other: topics with as many replicas, a write is acknowledged by two of them."""

    def __init__(
        self, directory: Path, settings: Mapping[str, str] | None = None, *, brokers: int = 3, proxied: bool = False
    ) -> None:
        replicated = {
            "default.replication.factor": str(brokers),
            "min.insync.replicas": "2",
            "offsets.topic.replication.factor": str(brokers),
            "transaction.state.log.replication.factor": str(brokers),
            "transaction.state.log.min.isr": "2",
            # A follower that is gone keeps every write waiting until the leader gives it up.
            "replica.lag.time.max.ms": "3000",
            **(settings or {}),
        }
        self.brokers = {
            of.node: KafkaBroker(directory / f"broker-{of.node}", replicated, proxied=proxied, membership=of)
            for of in Membership.of(brokers)
        }

    @property
    def bootstrap(self) -> str:
        """All addresses, for clients."""
        return ",".join(broker.bootstrap for broker in self.brokers.values())

    @property
    def proxied_bootstrap(self) -> str:
        """All addresses, through the proxies."""
        return ",".join(broker.proxied_bootstrap for broker in self.brokers.values())

    def start(self) -> None:
        """Starts those that do not run, and waits until all answer and know each other."""
        stopped = [broker for broker in self.brokers.values() if not broker.running]
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            for _ in pool.map(KafkaBroker.launch, stopped):
                pass
            for _ in pool.map(KafkaBroker.wait_until_it_answers, stopped):
                pass
        self.wait_until_whole()

    def wait_until_whole(self, seconds: float = START_S) -> None:
        """Waits until every partition there is has all of its replicas in step."""
        client, deadline = admin(self.bootstrap), time.monotonic() + seconds
        while True:
            found = client.list_topics(timeout=10)
            partitions = [part for topic in found.topics.values() for part in topic.partitions.values()]
            if len(found.brokers) == len(self.brokers) and all(
                part.leader != -1 and len(part.isrs) == len(part.replicas) for part in partitions
            ):
                return
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"the brokers were not in step within {seconds:.0f} s")
            time.sleep(0.1)

    def leaders(self, topic: str) -> dict[int, int]:
        """By partition the node that leads it."""
        partitions = admin(self.bootstrap).list_topics(topic, timeout=10).topics[topic].partitions
        return {number: partition.leader for number, partition in partitions.items()}

    def elect_preferred(self) -> None:
        """Gives each partition back to the broker that is meant to lead it."""
        client = admin(self.bootstrap)
        for error in client.elect_leaders(ElectionType.PREFERRED, None).result(30).values():
            assert error is None or error.code() == KafkaError.ELECTION_NOT_NEEDED, error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for broker in self.brokers.values():
            broker.__exit__(kind, error, tb)


def install() -> Path:
    """The folder with Kafka's jars; fetches them when they are not there yet. Raises ``BrokerUnavailable``."""
    return install_jars(f"kafka-{VERSION}", POM)


def install_jars(name: str, pom: Path) -> Path:
    """The folder ``name`` of the cache with the jars that a ``pom.xml`` asks for; fetches them when it is another one.

    Raises ``BrokerUnavailable``.
    """
    jars = cache_folder() / name
    wanted = hashlib.sha256(pom.read_bytes()).hexdigest()
    with locked(jars.with_name(f"{name}.lock")):
        mark = jars / "pom.sha256"
        if not mark.exists() or mark.read_text() != wanted:
            fresh = jars.with_name(f"{name}.fetching")
            shutil.rmtree(fresh, ignore_errors=True)
            _fetch(fresh, pom)
            (fresh / "pom.sha256").write_text(wanted)
            shutil.rmtree(jars, ignore_errors=True)
            fresh.rename(jars)
    return jars


def cache_folder() -> Path:
    """Where what was fetched is kept, outside the tree."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bank-triggers"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _fetch(directory: Path, pom: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailable("mvn (Apache Maven) is not on the PATH: it fetches the Kafka broker of these tests")
    done = subprocess.run(
        [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={directory}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BrokerUnavailable(f"fetching the jars of {pom.name} with mvn failed: {done.stdout}{done.stderr}")


def find_java() -> str:
    """The ``java`` to use. Raises ``BrokerUnavailable``."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if java is None:
        raise BrokerUnavailable(
            "java is not on the PATH (nor in JAVA_HOME): the Kafka broker needs version 17 or later"
        )
    return java


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock file: one process at a time is inside."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def die_with_parent(pid: int) -> subprocess.Popen[bytes]:
    """Starts a watcher that kills ``pid`` when this process ends, also by SIGKILL: it waits for the end of a pipe.

    End the watcher before ``pid`` may be given to another process.
    """
    return subprocess.Popen(["/bin/sh", "-c", f"cat; kill -9 {pid}"], stdin=subprocess.PIPE, start_new_session=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True, slots=True)
class Consumed:
    """A record as read back."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    sent_ms: int = 0
    """The record's own time stamp: when its producer sent it."""


def admin(bootstrap: str) -> AdminClient:
    """An admin client."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def create_topics(
    bootstrap: str, topics: Iterable[str], partitions: int = 4, config: Mapping[str, str] | None = None
) -> None:
    """Creates topics, and waits until the broker knows them."""
    client = admin(bootstrap)
    wanted = [
        NewTopic(topic, num_partitions=partitions, replication_factor=1, config=dict(config or {})) for topic in topics
    ]
    for future in client.create_topics(wanted).values():
        future.result(30)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        known = client.list_topics(timeout=10).topics
        if all(topic.topic in known and len(known[topic.topic].partitions) == partitions for topic in wanted):
            return
        time.sleep(0.05)
    raise BrokerUnavailable(f"topics were not ready in time: {[topic.topic for topic in wanted]}")


def set_topic_config(bootstrap: str, topic: str, config: Mapping[str, str]) -> None:
    """Sets some of a topic's configuration and leaves the rest alone, as an operator would."""
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()]
    client = admin(bootstrap)  # held: one that is collected takes its answers with it
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for altered in client.incremental_alter_configs([resource]).values():
        altered.result(30)


def delete_records(bootstrap: str, before: Iterable[TopicPartition]) -> None:
    """Deletes what lies below these offsets, as retention does."""
    client = admin(bootstrap)
    for deleted in client.delete_records(list(before)).values():
        deleted.result(30)


def add_partitions(bootstrap: str, topic: str, count: int) -> None:
    """Gives a topic this many partitions in all."""
    client = admin(bootstrap)
    for grown in client.create_partitions([NewPartitions(topic, count)]).values():
        grown.result(30)


def produce(
    bootstrap: str, topic: str, records: Iterable[tuple[int, bytes | None, bytes | None]], compression: str = "none"
) -> None:
    """Writes (partition, key, value) records in order, and waits for every acknowledgement."""
    failures: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": compression,
            "log_level": 0,
        },
    )
    for partition, key, value in records:
        while True:
            try:
                producer.produce(topic, value, key, partition=partition, on_delivery=on_delivery)
                break
            except BufferError:
                producer.poll(0.1)
    left = producer.flush(60)
    if failures or left:
        raise BrokerUnavailable(f"{left} records of {topic} were not acknowledged, {len(failures)} refused")


def consume_all(bootstrap: str, topic: str, *, committed_only: bool = False) -> list[Consumed]:
    """Every record of a topic from its beginning to its present end, by partition and offset."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed" if committed_only else "read_uncommitted",
            # The answer at the end of a partition would take half a second otherwise.
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        open_partitions = set()
        assignment = []
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            if low < high:
                assignment.append(TopicPartition(topic, partition, low))
                open_partitions.add(partition)
        consumer.assign(assignment)
        found: list[Consumed] = []
        last_seen = time.monotonic()
        while open_partitions:
            messages = consumer.consume(10_000, timeout=0.1)
            if messages:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > 10:
                raise BrokerUnavailable(f"{topic}: no record for 10 s before the end was reached")
            for message in messages:
                error = message.error()
                if error is None:
                    found.append(_consumed(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise KafkaException(error)
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        consumer.close()


def _consumed(message: Message) -> Consumed:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    headers = cast("list[tuple[str, bytes]]", message.headers() or [])
    return Consumed(partition, offset, message.key(), message.value(), tuple(headers), message.timestamp()[1])


def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """The next offset to be written, by partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions}
    finally:
        consumer.close()


def group_offsets(bootstrap: str, group: str, topics: Sequence[str], partitions: int = 4) -> dict[tuple[str, int], int]:
    """The committed offsets of a consumer group; partitions without one are left out."""
    asked = [TopicPartition(topic, partition) for topic in topics for partition in range(partitions)]
    request = [ConsumerGroupTopicPartitions(group, asked)]
    # Held: a client that is collected takes its answers with it.
    client = admin(bootstrap)
    found = client.list_consumer_group_offsets(request)[group].result(30).topic_partitions
    return {(tp.topic, tp.partition): tp.offset for tp in found if tp.offset != OFFSET_INVALID and tp.offset >= 0}


def group_members(bootstrap: str, group: str) -> int:
    """How many members the broker counts in a consumer group."""
    client = admin(bootstrap)
    return len(client.describe_consumer_groups([group])[group].result(30).members)
