"""The page of all figures says of each target whether it was met, why not, and what is void; it has every picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import report, rounds
from tests.benchmarks.pictures import alone
from tests.benchmarks.results import Result, Target, explanations
from tests.benchmarks.rounds import Rounds, turns
from tests.benchmarks.work import interpreter

_GAPS = "# Gaps\n\nHow to.\n\n## p99 ms\n\nThe broker waits.\n\n## peer\n\nNot shown.\n"


def _report(folder: Path, *needs: str) -> str:
    gaps = folder / "gaps.md"
    gaps.write_text(_GAPS)
    page = folder / "PAGE.md"
    report.run(argparse.Namespace(folder=folder / "figures", page=page, by="make bench", gaps=gaps, needs=needs))
    return page.read_text()


def test_the_page_has_every_target_every_table_and_every_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound may be a least or a most; of what is not reached it has what was written by hand."""
    monkeypatch.setattr("sys.argv", ["tests.benchmarks", "drain", "--rounds", "2"])
    reached, missed = Target("peer", 1.5, 3, 1.5), Target("p99 ms", 50, None, 51.25, at_most=True)
    figures = tmp_path / "figures"
    Result("two rounds", "a table", {"rounds": []}, [reached, missed]).tell(figures / "drain.json")
    monkeypatch.setattr("sys.argv", ["tests.benchmarks", "growth"])
    silent = Target("memory", 1, None, 2, at_most=True)
    Result("a drain each", "another table", [], [silent]).tell(figures / "growth.json")
    (figures / "growth-triggers.svg").write_text("<svg/>")
    text = _report(tmp_path, "drain", "growth")
    assert "Written by `make bench`." in text
    assert interpreter() in text
    assert "- Commit: " in text
    assert "1 of 3 targets are met." in text
    assert "| peer | >= 1.5 | >= 3 | 1.5 | met |" in text
    assert "| p99 ms | <= 50 |  | 51.25 | not met |" in text
    assert "**p99 ms**: The broker waits." in text
    assert "**memory**: not explained yet." in text
    assert "Not shown." not in text
    assert "## `python -m tests.benchmarks drain --rounds 2`\n\ntwo rounds\n\n```text\na table\n```" in text
    assert text.index("another table") > text.index("a table")
    assert text.endswith("![growth-triggers](figures/growth-triggers.svg)\n")


def test_a_mode_that_fails_is_void_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier run's figures do not stand in for it, and the command that writes the page fails."""
    file = tmp_path / "figures" / "drain.json"
    Result("an earlier run", "its table", {}, [Target("peer", 1, None, 2)]).tell(file)

    def differ(_: argparse.Namespace) -> None:
        raise AssertionError("the third action differs")

    mode = SimpleNamespace(
        ABOUT="", __doc__="", add_arguments=lambda parser: parser.add_argument("--json", type=Path), run=differ
    )
    monkeypatch.setitem(command.MODES, "drain", mode)  # type: ignore[arg-type]  # it has what a mode has
    with pytest.raises(AssertionError, match="third action"):
        command.main(["drain", "--json", str(file)])
    with pytest.raises(SystemExit, match="drain is void; growth left no figures"):
        _report(tmp_path, "drain", "growth")
    text = (tmp_path / "PAGE.md").read_text()
    assert "**Void: drain**" in text
    assert "AssertionError: the third action differs" in text
    assert "its table" not in text


def test_a_folder_without_figures_is_an_error(tmp_path: Path) -> None:
    """It says what to give to the modes."""
    with pytest.raises(SystemExit, match=r"no figures in .*--json FOLDER/MODE\.json"):
        _report(tmp_path)


def test_what_is_told_by_hand_is_told_of_figures_that_there_are() -> None:
    """Each heading of the file is followed by a text."""
    told = explanations((Path(report.__file__).parent / "gaps.md").read_text())
    assert all(told.values())


def test_a_picture_shows_its_title() -> None:
    """Above the chart, which keeps its place."""
    drawn = alone('<svg class="chart" viewBox="0 0 860 52" role="img"><title id="a">A &lt; B</title><rect/></svg>')
    assert 'xmlns="http://www.w3.org/2000/svg"' in drawn
    assert 'viewBox="0 -28 860 80"' in drawn
    assert ">A &lt; B</text><rect/></svg>" in drawn


def test_no_round_is_begun_that_would_end_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the longest so far; the first one is made in any case. The header says how many there were."""
    now = [0.0]
    monkeypatch.setattr(rounds.time, "monotonic", lambda: now[0])
    pace = Rounds(argparse.Namespace(rounds=5, minutes=1.0))
    now[0] += 10
    for number in pace:
        now[0] += (10, 15, 11)[number]
    assert str(pace) == "3 rounds (there was no time for 5)"
    pace = Rounds(argparse.Namespace(rounds=2, minutes=None))
    for _ in pace:
        now[0] += 1_000
    assert str(pace) == "2 rounds"


def test_each_contender_is_once_the_first() -> None:
    """The order stays, its beginning moves by one from round to round; each takes part once in every round."""
    assert [turns("abc", number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        [*"abc"],
    ]
    assert turns([], 3) == []
