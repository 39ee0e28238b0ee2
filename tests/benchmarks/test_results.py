"""The page of all figures says of each target whether it was met, why not, and what is void; it has every picture."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
from collections import defaultdict
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import report, results, rounds
from tests.benchmarks.contest import PEERS
from tests.benchmarks.pictures import alone
from tests.benchmarks.results import Result, Target, explanations
from tests.benchmarks.rounds import Rounds, turns
from tests.benchmarks.work import interpreter
from tests.support.commit import ROOT

_GAPS = "# Gaps\n\nHow to.\n\n## p99 ms\n\nThe broker waits.\n\n## peer\n\nNot shown.\n"
_COMMITTED: Final = "0123456789ab"
_FIGURES: Final = Path(report.__file__).parent / "figures"


@pytest.fixture(autouse=True)
def _committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this tree is like, and the machine."""
    monkeypatch.setattr(results, "commit", lambda _: _COMMITTED)
    monkeypatch.setattr(results, "before", lambda: {"busy": 0.25, "load": 1.5})


def _report(folder: Path, *needs: str, gaps: str = _GAPS, within: float = 40.0, part: bool = False) -> tuple[str, str]:
    """The page, and what the command ends with."""
    told, page = folder / "gaps.md", folder / "PAGE.md"
    told.write_text(gaps)
    figures = folder / "figures"
    given = argparse.Namespace(
        folder=figures, page=page, by="make bench", gaps=told, needs=needs, within=within, part=part
    )
    try:
        report.run(given)
    except SystemExit as ended:
        return page.read_text() if page.exists() else "", str(ended)
    return page.read_text(), ""


def _change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_the_page_has_every_target_every_table_and_every_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound may be a least or a most; of what is not reached it has what was written by hand."""
    monkeypatch.setattr("sys.argv", ["tests.benchmarks", "drain", "--rounds", "2"])
    reached, missed = Target("peer", 1.5, 3, 1.5), Target("p99 ms", 50, None, 51.25, at_most=True)
    figures = tmp_path / "figures"
    Result("two rounds", "a table", {"rounds": []}, [reached, missed]).tell(figures / "drain.json")
    monkeypatch.setattr("sys.argv", ["tests.benchmarks", "growth"])
    silent = Target("memory", 1, None, 2, at_most=True, lowest=1.5, highest=2_500, of="7 customers")
    Result("a drain each", "another table", [], [silent]).tell(figures / "growth.json")
    (figures / "growth-triggers.svg").write_text("<svg/>")
    _change(figures / "growth.json", before=None)
    text, wrong = _report(tmp_path, "drain", "growth")
    assert "the mode before is part of: drain 25%, 1.5; growth not noted\n" in text
    assert "Written by `make bench`, whose modes took " in text
    assert interpreter() in text
    assert f"- Commit: {_COMMITTED}\n" in text
    assert "0 of 8 targets are met, 1 of 3 figures beside them." in text
    assert "| peer | >= 1.5 | >= 3 | 1.5 | met |" in text
    assert "| p99 ms | <= 50 |  | 51.25 | not met |" in text
    assert "| memory | <= 1 |  | 2 (1.5 to 2,500), of 7 customers | not met |" in text
    assert "**p99 ms**: The broker waits." in text
    assert "**memory**: not explained yet." in text
    assert "Not shown." not in text
    assert f"## `python -m tests.benchmarks drain --rounds 2`\n\nCommit {_COMMITTED}, ended " in text
    assert "two rounds\n\n```text\na table\n```" in text
    assert text.index("another table") > text.index("a table")
    assert text.endswith("![growth-triggers](figures/growth-triggers.svg)\n")
    assert "memory: missed, and not explained" in wrong
    assert "peer: explained, though it is met" in wrong
    assert "p99 ms" not in wrong


def test_each_target_that_was_promised_has_one_row(tmp_path: Path) -> None:
    """That of its figure which is farthest from what is wanted; the others stand below, those nobody measured too."""
    kills = [("started again", 5.0), ("another takes over", 9.0), ("with an id", 1.0)]
    told = [Target(f"SIGKILL, {name}: first action, longest s", 10, 4, found, at_most=True) for name, found in kills]
    told += [Target("engine: ten triggers, events/s", 60_000, 150_000, 61_000)]
    Result("", "", {}, told).tell(tmp_path / "figures" / "recovery.json")
    text, wrong = _report(tmp_path, gaps="")
    head, _, below = text.partition("Beside them:")
    assert "2 of 8 targets are met, 2 of 2 figures beside them." in text
    row = "| <= 10 | <= 4 | 9; SIGKILL, another takes over: first action, longest s | met |"
    assert f"| SIGKILL to the first correct action {row}" in head
    assert head.count("SIGKILL") == 2
    assert below.count("| SIGKILL") == 2
    assert "| drain against stock Faust | | | not measured | not met |" in head
    assert "drain against stock Faust: not measured" in wrong
    text, wrong = _report(tmp_path, gaps="", part=True)
    assert "2 of 2 targets are met" in text
    assert wrong == ""


@pytest.mark.parametrize("why", ["void", "not measured"])
def test_a_figure_without_a_value_is_not_met(tmp_path: Path, why: str) -> None:
    """It is counted, and the command fails, though somebody explained it."""
    lost = Target("drain: one worker / stock Faust", 8, 20, None, why=why)
    Result("", "", {}, [lost]).tell(tmp_path / "figures" / "drain.json")
    text, wrong = _report(tmp_path, gaps=f"## {lost.figure}\n\nBecause.\n", part=True)
    assert f"| drain against stock Faust | >= 8 | >= 20 | {why}; {lost.figure} | not met |" in text
    assert "0 of 1 targets are met" in text
    assert wrong == f"{lost.figure}: {why}"


def test_what_is_told_by_hand_fits_the_figures() -> None:
    """What is missed is explained, and nothing else."""
    targets = [Target("a", 1, None, 2), Target("b", 1, None, 0.5), Target("c", 1, None, 0.5)]
    assert report.unfit(targets, {"b": "so", "c": "so"}) == []
    assert report.unfit(targets, {"b": "so", "a": "so", "d": "so"}) == [
        "c: missed, and not explained",
        "a: explained, though it is met",
        "d: explained, but no such figure",
    ]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"commit": "ba9876543210"}, "2 commits"),
        ({"machine": "64 cores"}, "2 machines"),
        ({"commit": f"{_COMMITTED}, with changes that are not committed"}, "changes that are not committed"),
    ],
)
def test_figures_of_several_runs_say_so(tmp_path: Path, changed: dict[str, str], why: str) -> None:
    """In bold, and the command fails."""
    for name in ("drain", "engine"):
        Result("", "", {}).tell(tmp_path / "figures" / f"{name}.json")
    assert _report(tmp_path, part=True)[1] == ""
    _change(tmp_path / "figures" / "engine.json", **changed)
    text, wrong = _report(tmp_path, part=True)
    assert re.search(rf"^\*\*Not one run\*\*: .*{why}", text, re.MULTILINE)
    assert f"not one run: {why}" in wrong


def test_figures_that_took_too_long_fail(tmp_path: Path) -> None:
    """By the sum of the modes' times."""
    for name in ("drain", "engine"):
        Result("", "", {}).tell(tmp_path / "figures" / f"{name}.json")
        _change(tmp_path / "figures" / f"{name}.json", seconds=1_260.0)
    text, wrong = _report(tmp_path, part=True)
    assert "took 42 minutes" in text
    assert wrong == "took 42.0 minutes, more than 40"
    assert _report(tmp_path, part=True, within=45)[1] == ""


def test_what_was_tried_ends_the_page(tmp_path: Path) -> None:
    """Its headings below the page's own; a page of a part does without."""
    (tmp_path / "levers.md").write_text("# Levers\n\nHow.\n\n## Taken\n\nMuch.\n")
    Result("a round", "a table", [], []).tell(tmp_path / "figures" / "drain.json")
    assert _report(tmp_path)[0].endswith("```\n\n## Levers\n\nHow.\n\n### Taken\n\nMuch.\n")
    assert "Levers" not in _report(tmp_path, part=True)[0]
    told = (Path(report.__file__).parent / "levers.md").read_text()
    assert re.findall("^#+ .*", told, re.MULTILINE) == ["# Levers", "## Taken", "## Tried, and not taken", "## Left"]


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
    text, wrong = _report(tmp_path, "drain", "growth", part=True)
    assert wrong == "drain is void; growth left no figures"
    assert "**Void: drain**" in text
    assert "AssertionError: the third action differs" in text
    assert "its table" not in text


def test_how_busy_the_machine_is_is_looked_at_before_a_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, before it does anything: what it tells afterwards is not its own doing."""
    looks = iter([(100, 200), (130, 240)])
    monkeypatch.undo()
    monkeypatch.setattr(results, "_idle", lambda: next(looks))
    monkeypatch.setattr(results, "_LOOK_S", 0.0)
    monkeypatch.setattr(results.os, "getloadavg", lambda: (0.5, 7.0, 7.0))
    results.before.cache_clear()
    told: list[object] = []

    def run(given: argparse.Namespace) -> None:
        told.append(next(looks, "looked"))
        Result("", "", {}).tell(given.json)

    mode = SimpleNamespace(
        ABOUT="", __doc__="", add_arguments=lambda parser: parser.add_argument("--json", type=Path), run=run
    )
    monkeypatch.setitem(command.MODES, "drain", mode)  # type: ignore[arg-type]  # it has what a mode has
    command.main(["drain", "--json", str(tmp_path / "drain.json")])
    assert told == ["looked"]
    assert json.loads((tmp_path / "drain.json").read_text())["before"] == {"busy": 0.25, "load": 0.5}
    results.before.cache_clear()


def test_a_folder_without_figures_is_an_error(tmp_path: Path) -> None:
    """It says what to give to the modes."""
    text, wrong = _report(tmp_path)
    assert not text
    assert re.match(r"no figures in .*--json FOLDER/MODE\.json", wrong)


def test_what_is_told_by_hand_is_told_of_figures_that_there_are() -> None:
    """Each heading of the file is followed by a text, and is the name of a figure on the committed page."""
    told = explanations((Path(report.__file__).parent / "gaps.md").read_text())
    assert all(told.values())
    assert told.keys() <= {target["figure"] for target in _committed_targets()}


@pytest.mark.parametrize(
    ("begin", "wanted", "aimed"),
    [
        ("engine: ten triggers", 60_000, 150_000),
        ("engine: 200 triggers", 3, 1.5),
        ("200 triggers", 3, 1.5),
        ("drain: one worker / aiokafka loop", 0.35, 0.6),
        ("drain: one worker / stock Faust", 8, 20),
        ("drain: one worker / Quix Streams", 1.5, 3),
        ("latency at half the drain's rate: p99 ms", 50, 15),
        ("latency at half the drain's rate: p99.9 ms", 250, 50),
        ("Redis MB for a million customers", 1_000, 400),
        ("SIGKILL", 10, 4),
    ],
)
def test_the_page_holds_figures_against_what_was_promised(begin: str, wanted: float, aimed: float) -> None:
    """No bound is weaker than it was when the work began."""
    bounds = [(one["wanted"], one["aimed"]) for one in _committed_targets() if one["figure"].startswith(begin)]
    assert bounds
    assert set(bounds) == {(wanted, aimed)}


def test_the_page_has_all_sizes_and_all_contenders() -> None:
    """Those that were asked for: of growth's four axes, of latency's rates, and who drains beside the worker."""
    growth, latency, drain = (_committed_figures(mode) for mode in ("growth", "latency", "drain"))
    sizes: dict[str, set[int]] = defaultdict(set)
    for one in growth:
        sizes[one["axis"]].add(one["value"])
    assert sizes == {
        "customers": {10_000, 100_000, 1_000_000},
        "triggers": {1, 10, 50, 200},
        "workers": {1, 2, 4},
        "window": {30, 3_000},
    }
    assert {hold["share"] for one in latency["rounds"] for hold in one} == {0.5, 0.8}
    first = {one["contender"]: one["void"] for one in drain["rounds"][0]}
    assert first == dict.fromkeys(["one worker", *(peer.name for peer in PEERS)], "")


def test_the_readme_has_the_drain_of_the_page() -> None:
    """Each contender's median and range."""
    readme = (ROOT / "README.md").read_text()
    rates: dict[str, list[float]] = defaultdict(list)
    for one in chain.from_iterable(_committed_figures("drain")["rounds"]):
        rates[one["contender"]].append(one["rate"])
    assert len(rates) == 1 + len(PEERS)
    for contender, found in rates.items():
        row = f"| {statistics.median(found):,.0f} | {min(found):,.0f}–{max(found):,.0f} |"
        assert row in readme, f"{contender}: {row}"


def _committed_targets() -> list[dict[str, Any]]:
    return [one for path in _FIGURES.glob("*.json") for one in json.loads(path.read_text())["targets"]]


def _committed_figures(mode: str) -> Any:
    return json.loads((_FIGURES / f"{mode}.json").read_text())["figures"]


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
    pace = Rounds(argparse.Namespace(rounds=5, minutes=1.0, until=None))
    now[0] += 10
    for number in pace:
        now[0] += (10, 15, 11)[number]
    assert str(pace) == "3 rounds (there was no time for 5)"
    pace = Rounds(argparse.Namespace(rounds=2, minutes=None, until=None))
    for _ in pace:
        now[0] += 1_000
    assert str(pace) == "2 rounds"


def test_what_a_mode_has_left_over_is_the_next_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until so many minutes of all modes, by the figures of those that ran; the first round is made in any case."""
    now = [0.0]
    monkeypatch.setattr(rounds.time, "monotonic", lambda: now[0])

    def made(*others: float) -> int:
        for number, seconds in enumerate(others):
            (tmp_path / f"{number}.json").write_text(json.dumps({"seconds": seconds}))
        pace = Rounds(argparse.Namespace(rounds=5, minutes=None, until=2.0, json=tmp_path / "latency.json"))
        for _ in pace:
            now[0] += 20
        return pace.made

    assert made() == 5
    assert made(30.0) == 4
    assert made(30.0, 25.0) == 3
    assert made(3_000.0) == 1


def test_each_contender_is_once_the_first() -> None:
    """The order stays, its beginning moves by one from round to round; each takes part once in every round."""
    assert [turns("abc", number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        [*"abc"],
    ]
    assert turns([], 3) == []


def test_the_committed_page_is_what_the_committed_figures_say(tmp_path: Path) -> None:
    """One run of one commit; what is told by hand is of what is missed, and of nothing else."""
    here = Path(report.__file__).parent
    shutil.copytree(here / "figures", tmp_path / "figures")
    for name in ("gaps.md", "levers.md"):
        shutil.copy(here / name, tmp_path)
    kept = (here / "FIGURES.md").read_text("utf-8")
    (made_by,) = re.findall(r"^Written by `(.+)`, whose modes", kept, re.MULTILINE)
    needs = ("drain", "engine", "latency", "growth", "recovery", "backtest", "authoring", "profile")
    page = tmp_path / "FIGURES.md"
    report.run(
        argparse.Namespace(
            folder=tmp_path / "figures",
            page=page,
            by=made_by,
            gaps=tmp_path / "gaps.md",
            needs=needs,
            within=40.0,
            part=False,
        )
    )
    assert page.read_text("utf-8") == kept
