"""Backtests in a folder of their own, over files written by the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schemas.base import Record
from schemas.encode import encode
from streams.backtest.run import Options, Result, run_files
from streams.backtest.sources import find_files
from streams.event_file import format_event
from triggers.language.model import RuleSet

TOPICS = {
    "transaction": "bank.transactions",
    "maturity": "bank.maturities",
    "profile": "bank.profiles",
    "behaviour": "bank.behaviour",
    "feedback": "bank.feedback",
}


class Silent:
    """Notes how far a backtest has come."""

    def __init__(self) -> None:
        self.told: list[tuple[int, ...]] = []

    def reading(self, messages: int) -> None:
        self.told.append((messages,))

    def running(self, done: int, total: int) -> None:
        self.told.append((done, total))


@dataclass
class Bench:
    """Writes event files and runs them."""

    folder: Path

    def write(self, name: str, records: Iterable[Any]) -> Path:
        """A file of records; a text among them is a line as it is."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(map(line_of, records)), "utf-8")
        return path

    def run(self, rules: RuleSet, *paths: Path, progress: Any = None, **options: Any) -> Result:
        """A backtest over files and folders."""
        return run_files(rules, find_files(paths), Options(**options), progress or Silent())


def line_of(record: Record | str) -> str:
    """One line of an event file."""
    if isinstance(record, str):
        return f"{record}\n"
    body: Any = record
    return format_event(TOPICS[record.record_type], body.customer_id, encode(record).decode())


def actions_of(path: Path) -> list[dict[str, Any]]:
    """The actions and withdrawals that a backtest wrote."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench in a new folder."""
    return Bench(tmp_path)


@pytest.fixture
def read_actions() -> Callable[[Path], list[dict[str, Any]]]:
    """Reads what ``Options.actions`` wrote."""
    return actions_of
