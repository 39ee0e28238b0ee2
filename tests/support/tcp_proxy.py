"""A TCP proxy of the tests' own: what lies between a client and one server can be slow, cut, frozen or half open.

It runs in a thread of its own. What it does can be changed at any time, from any thread; when a call returns it holds.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self, cast

from tests.support.loop_thread import LoopThread

Direction = Literal["to_server", "to_client"]
BOTH: Final[frozenset[Direction]] = frozenset(("to_server", "to_client"))

_CHUNK: Final = 16 * 1024
_IN_FLIGHT: Final = 1024 * 1024
"""Bytes of one direction on their way through; more are left in the sender's socket, as on a real line."""


@dataclass(frozen=True, slots=True)
class _Line:
    """How bytes pass. ``lost``: the directions of connections made under it in which nothing ever arrives."""

    latency_s: float = 0.0
    bytes_per_second: float | None = None
    refused: bool = False
    lost: frozenset[Direction] = frozenset()


_GOOD: Final = _Line()


class TcpProxy:
    """Listens on 127.0.0.1 and passes what comes to ``server_port`` of 127.0.0.1, until told otherwise.

    The server need not be there yet: who connects meanwhile is reset.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._line = _GOOD
        self._turned = asyncio.Event()
        self._passing = asyncio.Event()
        self._connections: set[_Connection] = set()
        self._loop = LoopThread(f"proxy-of-{server_port}")
        self._server = self._loop.run(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    def __repr__(self) -> str:
        return f"TcpProxy({self.address} -> 127.0.0.1:{self._server_port}, {self._line})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open, dead ones too."""
        return len(self._connections)

    # What can be done to it

    def heal(self) -> None:
        """Everything passes at once. What is half open stays dead: only new connections work."""
        self._loop.run(self._become(_GOOD))

    def slow(self, latency_s: float = 0.0, bytes_per_second: float | None = None) -> None:
        """Each byte is ``latency_s`` late in either direction, and no more than so many pass in a second."""
        self._loop.run(self._become(_Line(latency_s, bytes_per_second)))

    def cut(self) -> None:
        """Every connection is reset, and so is each new one, until ``heal``."""
        self._loop.run(self._become(_Line(refused=True), reset=True))

    def reset(self) -> None:
        """Every connection is reset; who connects again is served as before."""
        self._loop.run(self._become(self._line, reset=True))

    def freeze(self) -> None:
        """Nothing passes, nobody is told; after ``heal`` all that waited arrives, as when a network is whole again."""
        self._loop.run(self._become(self._line, passing=False))

    def half_open(self, lost: frozenset[Direction] = BOTH) -> None:
        """One side is silently gone: what is sent in the ``lost`` directions is taken and never arrives.

        That is so of the connections there are, for ever, and of those made until ``heal``. No side learns that the
        other has closed a connection.
        """
        self._loop.run(self._become(_Line(lost=lost), dead=lost))

    def stop(self) -> None:
        """Resets what is open and listens no more."""
        self._loop.stop(self._server)

    # In its own thread

    async def _listen(self) -> asyncio.Server:
        self._passing.set()
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _become(
        self, line: _Line, *, reset: bool = False, passing: bool = True, dead: frozenset[Direction] = frozenset()
    ) -> None:
        self._line = line
        self._turned.set()
        self._turned = asyncio.Event()
        for connection in list(self._connections):
            connection.lost |= dead
            if reset:
                connection.abort()
        if passing:
            self._passing.set()
        else:
            self._passing.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = _Connection(task, self._line.lost)
        connection.add(writer)
        self._connections.add(connection)
        try:
            if not self._line.refused:
                await self._serve(connection, reader, writer)
        except asyncio.CancelledError:
            pass  # reset, or the proxy ends: asyncio would log it
        finally:
            connection.abort()
            self._connections.discard(connection)

    async def _serve(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            connection.add(server_writer)
            async with asyncio.TaskGroup() as group:
                for direction, source, sink in (
                    ("to_server", reader, server_writer),
                    ("to_client", server_reader, writer),
                ):
                    way: _Way = _Way()
                    group.create_task(self._take(source, way))
                    group.create_task(self._carry(connection, cast(Direction, direction), way, sink))
            await connection.close()
        except* OSError:
            pass  # one of both sides is gone: so is the connection

    async def _take(self, source: asyncio.StreamReader, way: _Way) -> None:
        chunk = b"-"
        while chunk:
            chunk = await source.read(_CHUNK)
            await way.put(chunk)

    async def _carry(
        self, connection: _Connection, direction: Direction, way: _Way, sink: asyncio.StreamWriter
    ) -> None:
        """Carries one direction to its end, and then tells the other side that nothing more comes."""
        free_at = 0.0
        while True:
            sent_at, chunk = await way.first()
            while (wait := max(sent_at + self._line.latency_s, free_at) - time.monotonic()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._turned.wait()  # the line becomes another one
            await self._passing.wait()
            way.drop_first()
            if direction in connection.lost:
                if not chunk:
                    await asyncio.Event().wait()  # the other side never learns of the end
            elif chunk:
                sink.write(chunk)
                await sink.drain()
                pace = self._line.bytes_per_second
                free_at = time.monotonic() + len(chunk) / pace if pace else 0.0
            else:
                sink.write_eof()
                return


class _Connection:
    """Both ends of one connection. ``lost``: the directions in which nothing arrives any more."""

    def __init__(self, task: asyncio.Task[None], lost: frozenset[Direction]) -> None:
        self._task = task
        self._ends: list[asyncio.StreamWriter] = []
        self.lost = lost

    def add(self, end: asyncio.StreamWriter) -> None:
        self._ends.append(end)

    async def close(self) -> None:
        """After both directions have come to their end."""
        for end in self._ends:
            end.close()
            await end.wait_closed()

    def abort(self) -> None:
        for end in self._ends:
            if not end.transport.is_closing():
                # A reset: no side may take it for an orderly end.
                sock: socket.socket = end.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.transport.abort()
        if self._task is not asyncio.current_task():
            self._task.cancel()


class _Way:
    """What is on its way in one direction, with when it was sent; bounded."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        await self._until(lambda: self._bytes < _IN_FLIGHT)
        self._chunks.append((time.monotonic(), chunk))
        self._bytes += len(chunk)
        self._changed.set()

    async def first(self) -> tuple[float, bytes]:
        await self._until(lambda: bool(self._chunks))
        return self._chunks[0]

    def drop_first(self) -> None:
        _, chunk = self._chunks.popleft()
        self._bytes -= len(chunk)
        self._changed.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        # Giver and taker share the event: they never both wait, for the line is not full and empty at once.
        while not holds():
            self._changed.clear()
            await self._changed.wait()
