"""Python's garbage collector: set up for many long-lived objects, and its pauses in a worker counted.

Own sums, not Prometheus's: a pause may begin while a metric holds its lock.
"""

from __future__ import annotations

import gc
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The upper bounds of the histogram, in seconds."""
_GENERATIONS: Final = 3
THRESHOLDS: Final = (50_000, 50, 100)
"""How many objects are made between two walks of the young ones, and how many walks between those of older ones."""


class Pauses:
    """How long the collector stopped everything, by generation. It is a callback of ``gc.callbacks``."""

    def __init__(self) -> None:
        self.counts = [[0] * (len(BUCKETS) + 1) for _ in range(_GENERATIONS)]
        """Of each generation the pauses of each bucket; the last is for those longer than any bound."""
        self.seconds = [0.0] * _GENERATIONS
        self._began = 0.0

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
            return
        took = time.perf_counter() - self._began
        generation = info["generation"]
        self.counts[generation][bisect_left(BUCKETS, took)] += 1
        self.seconds[generation] += took

    def cumulative(self, generation: int) -> Sequence[tuple[str, float]]:
        """The histogram as Prometheus writes it: each bound with the number of pauses up to it."""
        total, found = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts[generation], strict=True):
            total += count
            found.append((bound, float(total)))
        return found


def tune() -> Pauses:
    """Keeps the collector from walking what lives as long as the worker (modules, plans, queues) again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    pauses = Pauses()
    gc.callbacks.append(pauses)
    return pauses
