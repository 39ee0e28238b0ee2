"""The table of the faults: what counts as a run, as a failure, and what is shown of figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal
from unittest.mock import MagicMock

import pytest

from tests.faults import conftest
from tests.support.fault_table import as_markdown, fault_of, rows_of, write


def _report(fault: tuple[str, str], outcome: Any = "passed", when: Any = "call", **figures: float) -> pytest.TestReport:
    properties = [("fault", fault), *figures.items()]
    where: tuple[str, int | None, str] = ("t.py", 1, "t")
    kind: Literal["passed", "failed", "skipped"] = outcome
    return pytest.TestReport("t.py::t", where, {}, kind, None, when, duration=2.0, user_properties=properties)


def test_runs_and_failures_of_a_fault_are_one_row_and_other_tests_none(tmp_path: Path) -> None:
    """A run is a test that was called; its time includes set-up; a failed set-up is a failure without a run."""
    kill, stop = fault_of("test_f01_kill", "F1: SIGKILL.\n\nMore."), fault_of("test_f02_stop", "F2: SIGTERM.")
    assert (kill, stop) == (("F1", "SIGKILL"), ("F2", "SIGTERM"))
    reports = [
        _report(stop, exit=1.5),
        _report(kill, when="setup"),
        _report(kill, "failed"),
        _report(stop, exit=1.25),
        _report(stop, "failed", when="setup"),
        _report(stop, "skipped"),
    ]
    other = _report(kill)
    other.user_properties.clear()
    rows = rows_of([*reports, other])
    said = as_markdown(rows, "0123456789ab")
    assert said.splitlines()[0] == "Commit 0123456789ab."
    assert said.splitlines()[4:] == [
        "| F1 | SIGKILL | 1 | 1 | 4 s |  |",
        "| F2 | SIGTERM | 3 (1 skipped) | 1 | 8 s | exit 1.5 |",
        "| all | | 4 | 2 | 12 s | |",
    ]
    write(rows, "0123456789ab", tmp_path / "table.md")
    assert (tmp_path / "table.md").read_text() == said + "\n"
    write(rows, "0123456789ab", tmp_path / "table.json")
    told = json.loads((tmp_path / "table.json").read_text())
    assert told["commit"] == "0123456789ab"
    assert [(row["fault"], row["runs"]) for row in told["faults"]] == [
        ("F1", 1),
        ("F2", 3),
    ]


def test_a_run_tells_the_commit_that_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is committed while it runs."""
    config, reporter, file = MagicMock(stash=pytest.Stash()), MagicMock(stats={}), tmp_path / "table.json"
    config.getoption.side_effect = {"--fault-table": file, "--fault-seeds": 1}.__getitem__
    for now in ("before", "after"):
        monkeypatch.setattr(conftest, "commit", lambda now=now: now)
        if now == "before":
            conftest.pytest_configure(config)
    conftest.pytest_terminal_summary(reporter, config)
    assert json.loads(file.read_text()) == {"commit": "before", "faults": []}
    assert reporter.write_line.call_args.args[0].startswith("Commit before.\n")


def test_a_fault_of_several_modules_is_one_row_that_says_what_each_tries() -> None:
    """Each module once, in the order of their tests."""
    refused = fault_of("test_f10_refused", "F10: writes are refused.")
    memory = fault_of("test_f10_memory", "F10: memory meanwhile.")
    (row,) = rows_of([_report(refused), _report(memory), _report(refused)])
    assert (row.fault, row.what, row.runs) == ("F10", "writes are refused; memory meanwhile", 3)


@pytest.mark.parametrize(("module", "doc"), [("test_kill", "F1: SIGKILL."), ("test_f01_kill", None)])
def test_a_module_that_names_no_fault_is_an_error(module: str, doc: str | None) -> None:
    """It would be missing in the table."""
    with pytest.raises(AssertionError, match=module):
        fault_of(module, doc)
