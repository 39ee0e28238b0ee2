"""A backtest from its events to its sums: read, share out by customer, run the shares, add up."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from streams.backtest.intake import Intake
from streams.backtest.sources import UNREADABLE, Stray
from streams.backtest.workers import Work, Workers, actions_file
from triggers.casework.backtest import Arrival, Located, Tally, new_tally
from triggers.casework.measures import Measure, read_measures
from triggers.language.model import RuleSet

MEASURED: Final = 100_000
"""Up to so many events every moment is measured; of more, one in so many that about this number is."""

_READ_AT_ONCE: Final = 10_000


class Progress(Protocol):
    """Is told how far the backtest has come."""

    def reading(self, messages: int) -> None:
        """So many messages have been read."""

    def running(self, done: int, total: int) -> None:
        """So many of all messages have been run."""


@dataclass(frozen=True, slots=True)
class Options:
    """``tenant`` is that of the first event where it is ``None``; times in ms. ``actions`` is a file to write."""

    jobs: int = 1
    tenant: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    show_errors: int = 20
    actions: Path | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The sums, with what is needed to read them. ``sources`` are the names of ``Located.source``."""

    ruleset: RuleSet
    measures: tuple[Measure, ...]
    tally: Tally
    sources: tuple[str, ...]
    tenant: str
    since_ms: int | None
    until_ms: int | None
    """Where the clock stopped; ``None`` where there was no event."""
    every: int
    left_out: int
    strays: Counter[str] = field(default_factory=Counter)

    @property
    def complete(self) -> bool:
        """Whether every source was read to its end."""
        return UNREADABLE not in self.tally.errors


Take = Callable[[Arrival | Located | Stray], None]
Fill = Callable[[Take], None]
"""Reads the input and hands everything over, in order."""


def run_backtest(ruleset: RuleSet, sources: Sequence[str], fill: Fill, options: Options, progress: Progress) -> Result:
    """Runs the events that ``fill`` hands over through the rule set.

    Raises ``WorkerLost``, ``OSError`` where the temporary folder or ``options.actions`` cannot be written, and
    whatever ``fill`` raises. The temporary folder is gone in any case.
    """
    measures = read_measures(ruleset)
    merge = len(sources) > 1
    tally = new_tally(measures, options.show_errors)
    strays: Counter[str] = Counter()
    # The processes first: they are forked while this one has a single thread.
    with (
        Workers(ruleset, measures, options.jobs) as workers,
        tempfile.TemporaryDirectory(prefix="bank-triggers-backtest-") as scratch,
    ):
        folder = Path(scratch)
        intake = Intake(
            folder, merge=merge, tenant=options.tenant, since_ms=options.since_ms, until_ms=options.until_ms
        )
        add, note_error = intake.add, tally.note_error

        def take(item: Arrival | Located | Stray) -> None:
            if type(item) is Arrival:
                add(item)
                if intake.taken % _READ_AT_ONCE == 0:
                    progress.reading(intake.taken)
            elif type(item) is Located:
                note_error(item)
            elif type(item) is Stray:
                strays[item.topic] += 1

        fill(take)
        shares = intake.close()
        until_ms = options.until_ms if options.until_ms is not None else intake.end_ms
        every = max(1, intake.taken // MEASURED)
        work = Work(
            tenant=intake.tenant or "",
            until_ms=until_ms or 0,
            end_ms=intake.end_ms or 0,
            every=every,
            merge=merge,
            show_errors=options.show_errors,
            actions=None if options.actions is None else folder,
        )
        run = 0

        def done(messages: int) -> None:
            nonlocal run
            run += messages
            progress.running(run, intake.taken)

        progress.running(0, intake.taken)
        tally.merge(workers.run(work, shares, done))
        if options.actions is not None:
            _gather(folder, len(shares), options.actions)
    return Result(
        ruleset=ruleset,
        measures=measures,
        tally=tally,
        sources=tuple(sources),
        tenant=work.tenant,
        since_ms=options.since_ms,
        until_ms=until_ms if tally.customers else None,
        every=every,
        left_out=intake.left_out,
        strays=strays,
    )


def _gather(folder: Path, shares: int, target: Path) -> None:
    """The actions of all shares, in their order, in one file."""
    with target.open("wb") as file:
        for number in range(shares):
            part = actions_file(folder, number)
            if part.exists():
                with part.open("rb") as of_share:
                    shutil.copyfileobj(of_share, file)
