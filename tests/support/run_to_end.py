"""Runs a coroutine in a loop of its own, and ends the loop only when no connection of it is open any more.

A connection with TLS that is closed first tells the other side and waits for its answer, which on a busy machine comes
after ``asyncio.run`` has ended the loop. The socket under it would then be closed by the collector alone, in the middle
of some other test, which would fail for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_CLOSED_S: Final = 20.0
_POLL_S: Final = 0.005


def run_to_end(what: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns or raises. ``AssertionError`` where it leaves a connection open for 20 s."""
    return asyncio.run(_and_closed(what))


async def _and_closed(what: Coroutine[Any, Any, T]) -> T:
    try:
        return await what
    finally:
        loop: Any = asyncio.get_running_loop()
        last = loop.time() + _CLOSED_S
        # Nothing public tells a loop's transports.
        while still := [one for one in loop._transports.values() if one._sock is not None]:
            assert loop.time() < last, f"left open: {still}"
            await asyncio.sleep(_POLL_S)
