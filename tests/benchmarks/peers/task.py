"""What a peer is told, and what it answers: one JSON object as its only argument, another on its standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

KNOWN: Final = ("bank.profiles", "bank.maturities")
"""What is read before the clock starts."""
FLOW: Final = "bank.transactions"


class Task(NamedTuple):
    """One run of a peer.

    ``prefix`` stands before the names of the input topics, ``out`` before those of the peer's own: ``actions`` and
    ``decisions``. ``known`` and ``events`` are how many records there are; the first ``warm`` of those events are not
    measured. ``outputs`` of ``output_bytes`` are what a loop without rules publishes. ``guarantee`` is the library's
    own word, empty for its default.
    """

    bootstrap: str
    prefix: str
    out: str
    known: int
    events: int
    folder: str
    partitions: int
    outputs: int = 0
    output_bytes: int = 0
    warm: int = 0
    guarantee: str = ""

    @property
    def workspace(self) -> Path:
        """A folder of this run's own."""
        return Path(self.folder)

    def name_of(self, topic: str) -> str:
        """The name of an input topic without its prefix."""
        return topic.removeprefix(self.prefix)


def given() -> Task:
    """The task of this process."""
    return Task(**json.loads(sys.argv[1]))


class Watch:
    """Takes the time from the first record of the flow that comes after its ``warm`` first ones to the answer."""

    def __init__(self, warm: int) -> None:
        self.seen = 0
        self._warm, self._before = warm, 0
        self._began = self._used = 0.0

    def take(self, records: int = 1) -> None:
        """Counts records of the flow; called before they are worked on."""
        if not self._began and self.seen >= self._warm:
            self._before, self._began, self._used = self.seen, time.perf_counter(), time.process_time()
        self.seen += records

    def answer(self) -> None:
        """Writes the answer, past whatever took over the standard output; called at the last commit."""
        if not self._began:
            raise SystemExit("nothing came behind the warm-up")
        seconds, cpu = time.perf_counter() - self._began, time.process_time() - self._used
        told = {"events": self.seen - self._before, "seconds": seconds, "cpu": cpu, "memory_mib": _peak_mib()}
        os.write(1, b"\n" + json.dumps(told).encode() + b"\n")


def _peak_mib() -> float:
    """The most that this process's memory has been (Linux)."""
    status = Path("/proc/self/status").read_text("utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
