"""The page of all figures says of each target whether it was met, and shows what each mode found."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.benchmarks import report
from tests.benchmarks.results import Result, Target


def test_the_page_has_every_target_every_table_and_every_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound may be a least or a most; what is not reached is said so."""
    monkeypatch.setattr("sys.argv", ["tests.benchmarks", "drain", "--rounds", "2"])
    reached, missed = Target("peer", 1.5, 3, 1.5), Target("p99 ms", 50, None, 51.25, at_most=True)
    Result("two rounds", "a table", {"rounds": []}, [reached, missed]).tell(tmp_path / "drain.json")
    monkeypatch.setattr("sys.argv", ["tests.benchmarks", "growth"])
    Result("a drain each", "another table", []).tell(tmp_path / "growth.json")
    (tmp_path / "growth-triggers.svg").write_text("<svg/>")
    report.run(argparse.Namespace(folder=tmp_path))
    text = (tmp_path / "README.md").read_text()
    assert "| peer | >= 1.5 | >= 3 | 1.5 | met |" in text
    assert "| p99 ms | <= 50 |  | 51.25 | not met |" in text
    assert "## `python -m tests.benchmarks drain --rounds 2`\n\ntwo rounds\n\n```text\na table\n```" in text
    assert text.index("another table") > text.index("a table")
    assert text.endswith("![growth-triggers](growth-triggers.svg)\n")


def test_a_folder_without_figures_is_an_error(tmp_path: Path) -> None:
    """It says what to give to the modes."""
    with pytest.raises(SystemExit, match=r"no figures in .*--json FOLDER/MODE\.json"):
        report.run(argparse.Namespace(folder=tmp_path))
