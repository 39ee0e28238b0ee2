"""The processes that run the shares, each one share and one customer at a time; with one job, this process itself."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from schemas.base import Record
from schemas.encode import encode
from streams.backtest.parts import Read, Reading, read
from streams.backtest.spill import Share, customers
from streams.collector import THRESHOLDS
from triggers.casework.backtest import Backtest, Tally, new_tally
from triggers.casework.measures import Measure
from triggers.language.model import RuleSet

Done = Callable[[int], None]
"""Told after each share how many messages it had."""


class WorkerLost(Exception):
    """A process ended before its work did: killed, or out of memory. The text holds its traceback where it has one."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is known once the input is read."""

    tenant: str
    until_ms: int
    end_ms: int
    """The newest time of an event that takes part: a later one is from the future."""
    every: int
    merge: bool
    show_errors: int
    actions: Path | None
    """A folder for the actions of each share."""


class Workers:
    """``jobs`` processes that wait for work; they end with the ``with`` block, whatever they do."""

    def __init__(self, ruleset: RuleSet, measures: tuple[Measure, ...], jobs: int) -> None:
        self._ruleset = ruleset
        self._measures = measures
        self._jobs = jobs
        self._connections: list[Connection[Any, Any]] = []
        self._processes: list[Any] = []

    def __enter__(self) -> Self:
        if self._jobs == 1:
            return self
        # Forked while this process has one thread: the rule set's compiled functions cannot be sent.
        context = multiprocessing.get_context("fork")
        pairs = [context.Pipe() for _ in range(self._jobs)]
        # Ctrl-C reaches every process of the terminal: it is for this one to say what then. A process keeps the mask.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for index in range(self._jobs):
                process = context.Process(target=self._serve, args=(index, pairs), daemon=True)
                process.start()
                self._processes.append(process)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for ours, theirs in pairs:
            theirs.close()
            self._connections.append(ours)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.terminate()
            process.join()

    def read(self, readings: Sequence[Reading], done: Done) -> list[Read]:
        """Has each part read by a process of its own, of which there are as many. Raises ``WorkerLost``."""
        found: dict[Connection[Any, Any], Read] = {}
        busy = self._connections[: len(readings)]
        for connection, reading in zip(busy, readings, strict=True):
            self._send(connection, reading)
        waiting = set(busy)
        while waiting:
            for connection in waiting.intersection(wait(waiting)):
                answer = self._receive(connection)
                if isinstance(answer, Read):
                    found[connection] = answer
                    waiting.remove(connection)
                else:
                    done(answer)
        return [found[connection] for connection in busy]

    def run(self, work: Work, shares: Sequence[Share], done: Done) -> Tally:
        """Runs every share; the sums. Raises ``WorkerLost``."""
        tally = new_tally(self._measures, work.show_errors)
        if not self._connections:
            runner = _Runner(self._ruleset, self._measures, work)
            for number, share in enumerate(shares):
                done(runner.run(number, share))
            tally.merge(runner.tally)
            return tally
        waiting = list(reversed(list(enumerate(shares))))
        busy = set(self._connections)
        for connection in self._connections:
            self._send(connection, work)
            self._send(connection, waiting.pop() if waiting else None)
        while busy:
            for connection in busy.intersection(wait(busy)):
                answer = self._receive(connection)
                if isinstance(answer, Tally):
                    tally.merge(answer)
                    busy.remove(connection)
                else:
                    done(answer)
                    self._send(connection, waiting.pop() if waiting else None)
        return tally

    def _send(self, connection: Connection[Any, Any], what: Any) -> None:
        try:
            connection.send(what)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise WorkerLost("a process of the backtest ended early; was it killed, or was memory short?") from error

    def _receive(self, connection: Connection[Any, Any]) -> Any:
        try:
            answer = connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise WorkerLost("a process of the backtest ended early; was it killed, or was memory short?") from error
        if isinstance(answer, str):
            raise WorkerLost(answer)
        return answer

    def _serve(self, index: int, pairs: Sequence[tuple[Connection[Any, Any], Connection[Any, Any]]]) -> None:
        for other, (ours, theirs) in enumerate(pairs):
            # Else the end of the parent would go unseen.
            ours.close()
            if other != index:
                theirs.close()
        connection = pairs[index][1]
        try:
            while isinstance(job := connection.recv(), Reading):
                connection.send(read(job, new_tally(self._measures, job.show_errors), connection.send))
            runner = _Runner(self._ruleset, self._measures, job)
            while (share := connection.recv()) is not None:
                connection.send(runner.run(*share))
            connection.send(runner.tally)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return  # The parent is gone, or has given up.
        except Exception:  # noqa: BLE001  # whatever broke it, the parent reports it
            connection.send(traceback.format_exc())


class _Runner:
    """Runs shares one after another and adds up."""

    def __init__(self, ruleset: RuleSet, measures: tuple[Measure, ...], work: Work) -> None:
        self._work = work
        self._kept: list[Record] = []
        self._backtest = Backtest(
            ruleset,
            work.tenant,
            measures,
            until_ms=work.until_ms,
            end_ms=work.end_ms,
            every=work.every,
            show_errors=work.show_errors,
            keep=None if work.actions is None else self._kept.append,
        )

    @property
    def tally(self) -> Tally:
        return self._backtest.tally

    def run(self, number: int, share: Share) -> int:
        """Runs one share; returns how many messages it had."""
        count = 0
        run_customer, actions = self._backtest.run_customer, self._work.actions
        with _Collector():
            for arrivals in customers(share, merge=self._work.merge):
                run_customer(arrivals)
                count += len(arrivals)
                if actions is not None and self._kept:
                    with actions_file(actions, number).open("ab") as file:
                        file.writelines(encode(record) + b"\n" for record in self._kept)
                    self._kept.clear()
        return count


def actions_file(folder: Path, number: int) -> Path:
    """Where the actions of a share are kept."""
    return folder / f"actions-{number:06}"


class _Collector:
    """Python's collector set for a share: what stands now is left alone, and young objects may grow old in peace."""

    def __enter__(self) -> None:
        self._before = gc.get_threshold()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)

    def __exit__(self, *_: object) -> None:
        gc.set_threshold(*self._before)
        gc.unfreeze()
