"""The benchmark of the command backtest: all its runs must print the same report."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from tests.benchmarks import backtest
from tests.benchmarks.work import RULES


def _run(monkeypatch: pytest.MonkeyPatch, totals: list[int], file: Path) -> None:
    """Two rounds of two runs, of which each reports another total where it is told so."""
    left = iter(totals)

    def one(*_: object) -> tuple[float, str]:
        report = {"input": {"events": {"x": 9}, "customers": 2}, "triggers": [], "actions": {"total": next(left)}}
        return 1.5, json.dumps(report)

    monkeypatch.setattr(backtest, "_backtest", one)
    sizes = {"events": 9, "customers": 2, "rounds": 2, "minutes": None, "until": None, "jobs": [2, 1]}
    backtest.run(argparse.Namespace(**sizes, rules=RULES, json=file))


def test_runs_with_the_same_report_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each number of processes."""
    file = tmp_path / "backtest.json"
    _run(monkeypatch, [5, 5, 5, 5], file)
    assert json.loads(file.read_text())["figures"]["rounds"] == [{"2": 1.5, "1": 1.5}] * 2


@pytest.mark.parametrize("totals", [[5, 4, 5, 5], [5, 5, 4, 4]], ids=["of two numbers of processes", "of two rounds"])
def test_runs_with_another_report_are_void(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, totals: list[int]) -> None:
    """Nothing is written."""
    file = tmp_path / "backtest.json"
    with pytest.raises(SystemExit, match="void: the runs differ in their reports"):
        _run(monkeypatch, totals, file)
    assert not file.exists()
