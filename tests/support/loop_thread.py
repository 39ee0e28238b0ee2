"""An event loop in a thread of its own, for the servers of the tests, and its end without anything left open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_CALL_S: Final = 10.0
_ROUNDS: Final = 10


class LoopThread:
    """Runs coroutines from any thread. Raises ``TimeoutError`` for one that takes over 10 s."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Waits for it, and returns or raises what it does."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_CALL_S)

    def stop(self, server: asyncio.Server) -> None:
        """Closes the server and ends every task, those too of connections that were only just accepted.

        A task closes the connection that it serves. Does nothing a second time.
        """
        if self._loop.is_closed():
            return
        self.run(_end(server))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_S)
        self._loop.close()


async def _end(server: asyncio.Server) -> None:
    # No longer accepting, but not closed yet: Python 3.11 loses a connection that is being made when a server closes.
    for listening in server.sockets:
        asyncio.get_running_loop().remove_reader(listening.fileno())
    while True:
        # A connection that was accepted has its task some rounds later, and a task can close only what it has begun.
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if not tasks:
            break
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    server.close()
