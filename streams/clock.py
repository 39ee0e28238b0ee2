"""The time that the processor sees. Everything that waits or stamps takes a ``Clock``, so that tests own time."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The wall clock and a way to wait."""

    def now_ms(self) -> int:
        """Milliseconds from the epoch (UTC)."""

    async def sleep(self, seconds: float) -> None:
        """Waits so long."""


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
