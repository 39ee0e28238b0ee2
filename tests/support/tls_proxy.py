"""TLS in front of a server that has none: the ``redis-server`` of the tests is built without it.

What a client sees is a TLS server with a certificate of the test's, and behind it the real Redis.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.loop_thread import LoopThread


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

    async def _listen(self) -> asyncio.Server:
        # A client that does not trust the certificate breaks the handshake off: no concern of the server's.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target.rpartition(":")
        try:
            back_reader, back_writer = await asyncio.open_connection(host, int(port))
            try:
                await asyncio.gather(_pump(reader, back_writer), _pump(back_reader, writer))
            finally:
                back_writer.close()
        except OSError:
            pass  # one of the two has gone: the other sees its connection end
        finally:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    # Its peer said all: so do we, which ends the other direction, too.
    writer.close()
