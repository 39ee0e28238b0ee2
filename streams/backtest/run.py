"""A backtest from its events to its sums: read, share out by customer, run the shares, add up."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from streams.backtest.intake import Intake, tenant_of
from streams.backtest.parts import Reading, Take, taker
from streams.backtest.sources import UNREADABLE, Source, parts_for, read_files
from streams.backtest.spill import Share
from streams.backtest.workers import Work, Workers, actions_file
from triggers.casework.backtest import Arrival, Tally, new_tally
from triggers.casework.measures import Measure, read_measures
from triggers.language.model import RuleSet

MEASURED: Final = 50_000
"""Up to so many events every moment is measured; of more, one in so many that about this number is. To measure a moment
takes as long as three that are not; of 50,000 the first and last percentile have 500 beyond them."""


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


Fill = Callable[[Take], None]
"""Reads the input and hands everything over, in order."""


def run_files(ruleset: RuleSet, sources: Sequence[Source], options: Options, progress: Progress) -> Result:
    """Runs the events of files through the rule set; raises as ``run_backtest``."""

    def fill(take: Take) -> None:
        for item in read_files(sources):
            take(item)

    return run_backtest(ruleset, [source.name for source in sources], fill, options, progress, files=sources)


def run_backtest(
    ruleset: RuleSet,
    sources: Sequence[str],
    fill: Fill,
    options: Options,
    progress: Progress,
    *,
    files: Sequence[Source] = (),
) -> Result:
    """Runs the events that ``fill`` hands over through the rule set.

    Where it hands over those of ``files``, several processes may read them instead.

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
        shares = _read_together(workers, folder, files, options, progress, intake, tally, strays)
        if shares is None:
            fill(taker(intake, tally, strays, progress.reading))
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


def _read_together(
    workers: Workers,
    folder: Path,
    files: Sequence[Source],
    options: Options,
    progress: Progress,
    intake: Intake,
    tally: Tally,
    strays: Counter[str],
) -> list[Share] | None:
    """The shares of a file that several processes read; ``None``, and nothing taken, where one has to."""
    parts = parts_for(files, options.jobs)
    if not parts:
        return None
    intake.tenant = options.tenant or tenant_of(item for item in read_files(files) if type(item) is Arrival)
    if intake.tenant is None:
        return None
    readings = [
        Reading(
            files[0],
            part,
            folder / f"part-{number:03}",
            intake.tenant,
            options.since_ms,
            options.until_ms,
            options.show_errors,
        )
        for number, part in enumerate(parts)
    ]
    read = 0

    def told(messages: int) -> None:
        nonlocal read
        read += messages
        progress.reading(read)

    found = workers.read(readings, told)
    if any(UNREADABLE in part.tally.errors for part in found):
        # Read by one, it would have ended there.
        for reading in readings:
            shutil.rmtree(reading.folder)
        return None
    for part in found:
        tally.merge(part.tally)
        strays += part.strays
    return intake.join(part.taken for part in found)


def _gather(folder: Path, shares: int, target: Path) -> None:
    """The actions of all shares, in their order, in one file."""
    with target.open("wb") as file:
        for number in range(shares):
            part = actions_file(folder, number)
            if part.exists():
                with part.open("rb") as of_share:
                    shutil.copyfileobj(of_share, file)
