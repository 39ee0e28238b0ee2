"""Sorts more records than fit into memory: sorted runs on disk, merged."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

RUN_LENGTH: Final = 50_000
"""Records held in memory before a run is written; a record of ours takes one or two kB."""
_BLOCK: Final = 500


class Sorter(Generic[T]):
    """Takes records in any order and gives them back by key. Keys must differ.

    ``directory`` must exist and be this sorter's own; its files are removed with it by whoever made it.
    """

    def __init__(self, directory: Path, run_length: int = RUN_LENGTH) -> None:
        self._directory = directory
        self._run_length = run_length
        self._held: list[tuple[Any, T]] = []
        self._runs: list[Path] = []

    def add(self, key: Any, record: T) -> None:
        """Adds one record; both parts must be picklable."""
        self._held.append((key, record))
        if len(self._held) >= self._run_length:
            self._write_run()

    def __iter__(self) -> Iterator[tuple[Any, T]]:
        """All records with their keys, in the order of the keys."""
        self._held.sort(key=itemgetter(0))
        return merge(*(_read_run(run) for run in self._runs), self._held, key=itemgetter(0))

    def _write_run(self) -> None:
        self._held.sort(key=itemgetter(0))
        run = self._directory / f"run-{len(self._runs)}"
        with run.open("wb") as file:
            for start in range(0, len(self._held), _BLOCK):
                pickle.dump(self._held[start : start + _BLOCK], file, pickle.HIGHEST_PROTOCOL)
        self._runs.append(run)
        self._held = []


def _read_run(run: Path) -> Iterator[tuple[Any, Any]]:
    with run.open("rb") as file:
        while True:
            try:
                block = pickle.load(file)  # noqa: S301 - written by this very process into its own directory
            except EOFError:
                return
            yield from block
