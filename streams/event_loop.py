"""The event loop of a worker: uvloop's, where two of its ways would hold a worker up or end it."""

from __future__ import annotations

from errno import ECONNRESET
from typing import Any, Final

import uvloop

TLS_LEAVE_S: Final = 0.2


class Transport:
    """A transport that says with an ``OSError`` that its connection is closed, as every client expects.

    uvloop's own raises ``RuntimeError`` where a client writes after the connection broke and before it has heard of it:
    Kafka's and Redis's take that for an error of the program, and the worker would end.
    """

    __slots__ = ("_inner",)

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def write(self, data: Any) -> None:
        try:
            self._inner.write(data)
        except RuntimeError as error:
            raise self._translated(error) from error

    def writelines(self, data: Any) -> None:
        try:
            self._inner.writelines(data)
        except RuntimeError as error:
            raise self._translated(error) from error

    def _translated(self, error: RuntimeError) -> Exception:
        return ConnectionResetError(ECONNRESET, "the connection is closed") if self._inner.is_closing() else error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Loop(uvloop.Loop):
    """A loop whose connections break with an ``OSError``, and that does not wait for leave to be taken of one.

    Where a broker's last answer is still under way the other side of a TLS connection does not take leave: each reader
    that is closed would take 30 seconds.
    """

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        if options.get("ssl"):
            options.setdefault("ssl_shutdown_timeout", TLS_LEAVE_S)
        transport, protocol = await super().create_connection(*args, **options)
        return Transport(transport), protocol


class LoopPolicy(uvloop.EventLoopPolicy):  # type: ignore[misc]  # uvloop makes it where it is imported
    """Every loop of the process is such a one, also those of Faust's threads."""

    def _loop_factory(self) -> Loop:
        return Loop()
