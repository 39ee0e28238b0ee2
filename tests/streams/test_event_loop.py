"""The worker's event loop: a connection that broke is an error of the line, whoever writes to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest
from redis.asyncio import Connection
from redis.exceptions import ConnectionError as RedisAway

from streams.embedded_broker import EmbeddedBroker
from streams.embedded_redis import EmbeddedRedis
from streams.event_loop import Loop, LoopPolicy

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs on a loop as a worker has it."""
    with asyncio.Runner(loop_factory=LoopPolicy().new_event_loop) as runner:
        assert isinstance(runner.get_loop(), Loop)
        yield runner.run


@asynccontextmanager
async def _line() -> AsyncIterator[asyncio.StreamWriter]:
    """A line to a server that reads and says nothing."""

    left = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield writer
    finally:
        writer.close()
        await writer.wait_closed()
        await left.wait()
        server.close()
        await server.wait_closed()


def test_what_is_written_to_a_closed_connection_is_an_error_of_the_line(run: Run) -> None:
    """An ``OSError``, for single pieces and for many."""

    async def scene() -> None:
        async with _line() as writer:
            writer.write(b"heard")
            writer.transport.abort()
            await writer.wait_closed()
            with pytest.raises(ConnectionResetError, match="the connection is closed"):
                writer.write(b"unheard")
            with pytest.raises(ConnectionResetError, match="the connection is closed"):
                writer.writelines([b"un", b"heard"])

    run(scene())


def test_an_error_of_the_program_stays_one(run: Run) -> None:
    """To write behind the end is no matter of the line."""

    async def scene() -> None:
        async with _line() as writer:
            writer.write_eof()
            with pytest.raises(RuntimeError, match="after write_eof"):
                writer.write(b"late")

    run(scene())


def test_kafkas_client_takes_it_for_a_broken_connection(run: Run) -> None:
    """It writes after the connection broke and before it has heard of it."""

    async def scene(port: int) -> None:
        connection = await create_conn("127.0.0.1", port)
        stream = connection._writer
        stream.transport.abort()
        connection._read_task.cancel()  # nobody tells it
        await stream.wait_closed()
        with pytest.raises(KafkaConnectionError, match="the connection is closed"):
            await connection.send(MetadataRequest([]))

    with EmbeddedBroker() as broker:
        run(scene(int(broker.bootstrap.rpartition(":")[2])))


def test_redis_client_takes_it_for_a_broken_connection(run: Run, redis_server: EmbeddedRedis) -> None:
    """As Kafka's: it connects anew then."""

    async def scene() -> None:
        connection = Connection(port=redis_server.port)
        await connection.connect()
        writer = connection._writer
        assert writer is not None
        writer.transport.abort()
        await writer.wait_closed()
        with pytest.raises(RedisAway, match="the connection is closed"):
            await connection.send_command("PING", check_health=False)
        await connection.send_command("PING", check_health=False)
        assert await connection.read_response() == b"PONG"
        await connection.disconnect()

    run(scene())
