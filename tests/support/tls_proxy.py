"""TLS in front of a server that has none: the ``redis-server`` of the tests is built without it.

What a client sees is a TLS server with a certificate of the test's, and behind it the real Redis.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tests.support.loop_thread import LoopThread

T = TypeVar("T")


class TlsProxy:
    """Listens on 127.0.0.1 with TLS and hands the bytes on to ``target`` (``host:port``). It runs in a thread."""

    def __init__(self, target: str, certificate: Path, key: Path, client_authority: Path | None = None) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        if client_authority is not None:
            self._context.load_verify_locations(client_authority)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._loop: LoopThread
        self._server: asyncio.Server
        self.port = 0

    def __enter__(self) -> Self:
        self._loop = LoopThread("tls-proxy")
        self._server = self._loop.run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._loop.stop(self._server)

    def present(self, certificate: Path, key: Path) -> None:
        """Shows another certificate, from the next connection on."""
        self._context.load_cert_chain(certificate, key)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target.rpartition(":")
        line = _Line(self._context, reader, writer)
        try:
            await line.agree()
            back_reader, back_writer = await asyncio.open_connection(host, int(port))
            try:
                await asyncio.gather(_pump(line, back_writer), _pump_back(back_reader, line))
            finally:
                back_writer.close()
        except OSError:
            pass  # one of the two has gone: the other sees its connection end
        finally:
            writer.close()


class _Line:
    """TLS with one client. Not that of asyncio, whose server does not tell a client why it breaks a handshake off."""

    def __init__(self, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._reader, self._writer = reader, writer

    async def agree(self) -> None:
        """The handshake. Raises ``ssl.SSLError`` (an ``OSError``) once the client has been told why there is none."""
        await self._step(self._tls.do_handshake)

    async def read(self) -> bytes:
        """What the client says next; nothing where it has said all."""
        try:
            return await self._step(lambda: self._tls.read(65_536))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    async def write(self, data: bytes) -> None:
        self._tls.write(data)
        await self._flush()

    async def _step(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._flush()
                if data := await self._reader.read(65_536):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            finally:
                await self._flush()

    async def _flush(self) -> None:
        self._writer.write(self._outgoing.read())
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


async def _pump(line: _Line, back: asyncio.StreamWriter) -> None:
    while data := await line.read():
        back.write(data)
        await back.drain()
    # Its peer said all: so do we, which ends the other direction, too.
    back.close()


async def _pump_back(back: asyncio.StreamReader, line: _Line) -> None:
    while data := await back.read(65_536):
        await line.write(data)
    line.close()
