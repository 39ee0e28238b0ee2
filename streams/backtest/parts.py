"""Reading the input: by one process, or a large file by several, each a part of it.

Each process shares out what it reads to files of its own. The shares of a customer, part after part, are then what one
reader would have had: a part begins where the one before ends, and is told the number of its first line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.backtest.intake import Intake, Taken
from streams.backtest.sources import Source, Stray, read_part
from streams.event_file import Part
from triggers.casework.backtest import Arrival, Located, Tally

_READ_AT_ONCE: Final = 10_000

Take = Callable[[Arrival | Located | Stray], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """A part of the one file of events, to be read by a process. Its shares go to ``folder``, which it makes."""

    source: Source
    part: Part
    folder: Path
    tenant: str
    since_ms: int | None
    until_ms: int | None
    show_errors: int


@dataclass(frozen=True, slots=True)
class Read:
    """What became of a part: what was taken, what could not be read (``tally``), and events of other stages."""

    taken: Taken
    tally: Tally
    strays: Counter[str]


def read(reading: Reading, tally: Tally, told: Callable[[int], None]) -> Read:
    """Reads a part; ``told`` hears now and then how many messages more were taken."""
    reading.folder.mkdir()
    intake = Intake(
        reading.folder, merge=False, tenant=reading.tenant, since_ms=reading.since_ms, until_ms=reading.until_ms
    )
    strays: Counter[str] = Counter()
    take = taker(intake, tally, strays, lambda _: told(_READ_AT_ONCE))
    for item in read_part(reading.source, 0, reading.part):
        take(item)
    return Read(intake.leave(), tally, strays)


def taker(intake: Intake, tally: Tally, strays: Counter[str], told: Callable[[int], None]) -> Take:
    """Takes what is read, each thing where it belongs; ``told`` hears now and then how many messages were taken."""
    add, note_error = intake.add, tally.note_error
    tell_at = _READ_AT_ONCE

    def take(item: Arrival | Located | Stray) -> None:
        nonlocal tell_at
        if type(item) is Arrival:
            add(item)
            if intake.taken == tell_at:
                tell_at += _READ_AT_ONCE
                told(intake.taken)
        elif type(item) is Located:
            note_error(item)
        elif type(item) is Stray:
            strays[item.topic] += 1

    return take
