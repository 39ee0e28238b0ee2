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
    ``decisions``. ``known`` and ``events`` are how many records there are. ``outputs`` of ``output_bytes`` are what a
    loop without rules publishes. ``guarantee`` is the library's own word, empty for its default.
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
    """Takes the time from the first record of the flow to the end."""

    def __init__(self) -> None:
        self.seen = 0
        self._began = self._used = 0.0

    def start(self) -> None:
        """Starts at the first call; the others change nothing."""
        if not self._began:
            self._began, self._used = time.perf_counter(), time.process_time()

    def answer(self, events: int) -> None:
        """Writes the answer, past whatever took over the standard output."""
        seconds, cpu = time.perf_counter() - self._began, time.process_time() - self._used
        os.write(1, b"\n" + json.dumps({"events": events, "seconds": seconds, "cpu": cpu}).encode() + b"\n")
