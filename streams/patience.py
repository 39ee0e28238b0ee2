"""Waiting for a dependency that does not answer: the same step again, with back-off, for as long as it takes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from streams.clock import Clock

T = TypeVar("T")

log = logging.getLogger(__name__)


class Patience:
    """Repeats steps until one dependency answers. Shared by all who use it, so that its loss is logged once.

    The waits double from ``first_seconds`` to ``most_seconds``. Without jitter: partitions that wait together are
    few, and a test can tell the times.
    """

    def __init__(
        self,
        what: str,
        clock: Clock,
        lost: tuple[type[Exception], ...],
        *,
        first_seconds: float = 0.05,
        most_seconds: float = 5.0,
    ) -> None:
        self._what = what
        self._clock = clock
        self._lost = lost
        self._first = first_seconds
        self._most = most_seconds
        self._away_since: int | None = None
        self.errors = 0
        """Steps that were not answered."""

    @property
    def away(self) -> bool:
        """Whether the dependency's last answer was none."""
        return self._away_since is not None

    async def insist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Takes the step again and again until it is answered; any error but the dependency's loss passes through."""
        delay = self._first
        while True:
            try:
                answer = await step()
            except self._lost as error:
                self.errors += 1
                if self._away_since is None:
                    self._away_since = self._clock.now_ms()
                    log.warning("%s does not answer, waiting for it: %s", self._what, error)
                await self._clock.sleep(delay)
                delay = min(delay * 2, self._most)
            else:
                if self._away_since is not None:
                    seconds = (self._clock.now_ms() - self._away_since) / 1000
                    self._away_since = None
                    log.info("%s answers again after %.1f s", self._what, seconds)
                return answer
