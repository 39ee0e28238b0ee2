"""``bank-triggers test``: which cases run, what a failed one shows, coverage, JUnit, and running again on a change."""

from __future__ import annotations

import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.case_view import show_failure
from streams.commands.console import Exit
from tests.support.casework import FIRES, SILENT, results_of, trigger_text

ROOT = Path(__file__).parents[3]
SECONDS = 60
"""How long a test waits for what a process says next."""


def call(*arguments: str) -> Any:
    """Runs ``test`` in this process."""
    return CliRunner().invoke(app, ["test", *arguments])


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder with two triggers of two cases each."""
    folder = tmp_path / "rules"
    folder.mkdir()
    write(folder, "large", FIRES, SILENT)
    write(folder, "small", FIRES, SILENT.replace("silent", "stays silent"))
    return folder


def write(folder: Path, name: str, *cases: str, **more: str) -> Path:
    """A trigger file of this name."""
    file = folder / f"{name}.yaml"
    file.write_text(trigger_text(*cases, **more).replace("trigger: large", f"trigger: {name}"), "utf-8")
    return file


def ran(result: Any) -> list[str]:
    """The cases that a run names, in order."""
    return [line.split(maxsplit=1)[1] for line in result.output.splitlines() if line.startswith(("ok ", "FAIL "))]


@pytest.mark.parametrize(
    ("options", "cases"),
    [
        ([], ["large: fires", "large: silent", "small: fires", "small: stays silent"]),
        (["--trigger", "small"], ["small: fires", "small: stays silent"]),
        (["--case", "silent"], ["large: silent", "small: stays silent"]),
        (["--trigger", "large", "--case", "silent"], ["large: silent"]),
        (["-k", "STAYS or (large and not fires)"], ["large: silent", "small: stays silent"]),
        (["-k", "small.yaml and '* fires'"], []),
        (["-k", "stays", "--trigger", "large"], []),
    ],
)
def test_which_cases_run(rules: Path, options: list[str], cases: list[str]) -> None:
    """By trigger, by a part of the name, by words; every option narrows. Nothing to run is an error."""
    result = call(str(rules), *options)
    assert ran(result) == cases
    assert result.exit_code == (Exit.OK if cases else Exit.FAILED)
    assert ("no case matches" in result.stderr) is not bool(cases)


def test_an_unknown_trigger_is_suggested_the_nearest(rules: Path) -> None:
    """Exit code 1."""
    result = call(str(rules), "--trigger", "smal")
    assert result.exit_code == Exit.FAILED
    assert result.stderr.splitlines()[2:] == ['no trigger "smal": did you mean "small"?']
    assert "there are large, small" in call(str(rules), "--trigger", "x").stderr


def test_words_that_do_not_fit_together_are_wrong_usage(rules: Path) -> None:
    """Before anything runs."""
    result = call(str(rules), "-k", "large and")
    assert (result.exit_code, ran(result)) == (Exit.USAGE, [])
    assert "-k: expected a part of a name instead of the end" in result.stderr


def test_a_folder_without_triggers_is_an_error(tmp_path: Path) -> None:
    """It says what was looked for."""
    result = call(str(tmp_path))
    assert result.exit_code == Exit.FAILED
    assert "no trigger file (*.yaml) found" in result.stderr


def test_errors_come_first_and_the_other_files_are_tested(rules: Path) -> None:
    """The run fails for them."""
    write(rules, "wrong", FIRES, SILENT, when="event.amunt > 1")
    result = call(str(rules))
    assert result.exit_code == Exit.FAILED
    assert 'wrong.yaml:7:7 E031 unknown name "event.amunt"' in result.stderr
    assert ran(result) == ["large: fires", "large: silent", "small: fires", "small: stays silent"]
    assert "4 passed, 0 failed" in result.stdout
    assert 'no trigger "wrong"' in call(str(rules), "--trigger", "wrong").stderr


def test_a_policy_with_a_mistake_stops_every_case(rules: Path) -> None:
    """All triggers build on it."""
    (rules / "policy.yaml").write_text("caps: 7\n", "utf-8")
    result = call(str(rules))
    assert (result.exit_code, ran(result)) == (Exit.FAILED, [])
    assert "policy.yaml:1:7 E012" in result.stderr


def test_a_failed_case_names_its_file_as_it_was_found(rules: Path) -> None:
    """The path that an editor opens, with the line of the case; then the timeline."""
    file = write(rules, "large", FIRES, SILENT.replace("499", "501"))
    result = call(str(rules), "--trigger", "large")
    assert result.exit_code == Exit.FAILED
    line = file.read_text("utf-8").splitlines().index("  - name: silent") + 1
    assert f"FAIL large: silent ({file}:{line})\n" in result.stdout
    assert "     2026-03-02 10:00  + nothing  | offer=call channel=push step=0\n" in result.stdout
    assert "       true     event.amount >= 500  event.amount = 501\n" in result.stdout
    assert "1 passed, 1 failed" in result.stdout


def test_the_cases_of_tags_run_too(rules: Path) -> None:
    """Under the tag's name, alone where it is asked for; what differs is shown as for a trigger."""
    (rules / "tags.yaml").write_text(
        """\
tags:
  rich:
    when: customer.balance >= 1000
    tests:
      - name: comes
        customer: {balance: 900}
        events: [{at: "2026-03-02 10:00", transaction: {direction: credit, amount: 100}}]
        expect: [{at: "2026-03-02 10:00", tag: added}]
      - name: one too early
        customer: {balance: 900}
        events: [{at: "2026-03-02 10:00", transaction: {direction: credit, amount: 99}}]
        expect: [{at: "2026-03-02 10:00", tag: added}]
""",
        "utf-8",
    )
    result = call(str(rules), "--trigger", "rich")
    assert ran(result)[0] == "rich: comes"
    assert f"FAIL rich: one too early ({rules / 'tags.yaml'}:9)\n" in result.stdout
    assert "- tag.added rich" in result.stdout
    assert "1 passed, 1 failed" in result.stdout
    assert "large: fires" in ran(call(str(rules)))
    assert "rich: comes" in ran(call(str(rules)))


def test_a_case_that_asserts_nothing_fails(rules: Path) -> None:
    """With its place and the reason."""
    write(rules, "large", FIRES, SILENT, "  - name: empty\n    events: []\n    expect: []\n")
    result = call(str(rules))
    assert result.exit_code == Exit.FAILED
    assert "FAIL large: empty" in result.stdout
    assert "the case asserts nothing: no event of it wakes the trigger (transaction)" in result.stdout


def test_coverage_is_printed_with_what_is_missing(rules: Path) -> None:
    """A place for each clause that no case made true, or false; the percentage is of both outcomes of all."""
    file = write(rules, "large", FIRES, SILENT, when="event.amount >= 500 and not event.own_account")
    result = call(str(rules))
    assert result.exit_code == Exit.OK
    column = "when: event.amount >= 500 and not ".__len__() + 1
    assert "coverage of conditions: 83% (2 of 3 clauses were true and false)\n" in result.stdout
    assert f"  {file}:7:{column} never true: event.own_account\n" in result.stdout


def of_own_account(rules: Path) -> Path:
    """A trigger alone whose silent case is silent for two reasons: the flag was true and false, and decided nothing."""
    (rules / "small.yaml").unlink()
    silent = SILENT.replace("amount: 499", "amount: 499, own_account: true")
    return write(rules, "large", FIRES, silent, when="event.amount >= 500 and not event.own_account")


def test_clauses_on_which_no_case_depends_are_named(rules: Path) -> None:
    """Both clauses were true and false, but either would do. The exit code is that of the percentage."""
    file = of_own_account(rules)
    result = call(str(rules), "--min-coverage", "100")
    assert result.exit_code == Exit.OK
    assert result.stdout.endswith(
        "coverage of conditions: 100% (2 of 2 clauses were true and false)\n"
        f"  {file}:7:7 no case depends on: event.amount >= 500 (always true, all pass)\n"
        f"  {file}:7:35 no case depends on: event.own_account (always false, all pass)\n"
    )
    found = json.loads(call(str(rules), "--json").stdout.splitlines()[-1])
    assert found["missing"] == []
    assert found["no_case_depends_on"] == [
        {
            "trigger": "large",
            "file": str(file),
            "line": 7,
            "column": 7,
            "clause": "event.amount >= 500",
            "always": [True],
        },
        {
            "trigger": "large",
            "file": str(file),
            "line": 7,
            "column": 35,
            "clause": "event.own_account",
            "always": [False],
        },
    ]


def test_what_no_case_depends_on_is_not_asked_of_failing_cases(rules: Path) -> None:
    """A case that fails may be the one that would have told, and a part of the cases says nothing of all."""
    of_own_account(rules)
    assert "depends on" not in call(str(rules), "--case", "silent").output
    fires = FIRES.replace("amount: 500", "amount: 1, own_account: true")
    wrong = SILENT.replace("silent", "wrongly silent").replace("499", "500")
    write(rules, "large", fires, SILENT, wrong, when="event.amount >= 500 or event.own_account")
    result = call(str(rules))
    assert result.exit_code == Exit.FAILED
    assert "coverage of conditions: 100%" in result.output
    assert "depends on" not in result.output


def test_a_clause_that_is_missing_is_named_once(rules: Path) -> None:
    """What no case made true decides nothing either: one line says so."""
    (rules / "small.yaml").unlink()
    write(rules, "large", FIRES, SILENT, when="event.amount >= 500 and not event.own_account")
    output = call(str(rules)).stdout
    assert "never true: event.own_account" in output
    assert "depends on" not in output


@pytest.mark.parametrize(
    ("least", "code"), [("83", Exit.OK), ("84", Exit.FAILED), ("0", Exit.OK), ("100", Exit.FAILED)]
)
def test_too_little_coverage_fails(rules: Path, least: str, code: Exit) -> None:
    """Below the least that was asked for, also where every case passes."""
    write(rules, "large", FIRES, SILENT, when="event.amount >= 500 and not event.own_account")
    result = call(str(rules), "--min-coverage", least)
    assert result.exit_code == code
    assert ("coverage is 83%, below the" in result.stderr) is (code == Exit.FAILED)


@pytest.mark.parametrize("options", [["--case", "fires"], ["-k", "fires"]])
def test_coverage_is_of_whole_triggers(rules: Path, options: list[str]) -> None:
    """Some cases of a trigger say nothing of what all cover: none is printed, and asking for it is wrong usage."""
    assert "coverage" not in call(str(rules), *options).output
    assert "coverage" in call(str(rules), "--trigger", "large").output
    result = call(str(rules), *options, "--min-coverage", "50")
    assert (result.exit_code, ran(result)) == (Exit.USAGE, [])


def test_the_shipped_triggers_pass_with_full_coverage() -> None:
    """As a bank would check its own."""
    result = call("--min-coverage", "100")
    assert result.exit_code == Exit.OK, result.output


def test_json_is_an_object_a_line(rules: Path) -> None:
    """Cases with their timeline where they failed, problems, the sums, the coverage."""
    write(rules, "large", FIRES, SILENT.replace("499", "501"), when="event.amount >= 500 and not event.own_account")
    result = call(str(rules), "--json", "--min-coverage", "90")
    assert result.exit_code == Exit.FAILED
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["type"] for one in objects] == ["case"] * 4 + ["summary", "coverage"]
    failed = objects[1]
    assert (failed["passed"], failed["trigger"], failed["case"]) == (False, "large", "silent")
    assert [row["kind"] for row in failed["timeline"]] == ["event", "unexpected"]
    assert objects[4] == {"type": "summary", "passed": 3, "failed": 1}
    coverage = objects[5]
    assert (coverage["percent"], coverage["enough"]) == (66, False)
    assert [(one["clause"], one["missing"]) for one in coverage["missing"]] == [
        ("event.amount >= 500", "never false"),
        ("event.own_account", "never true"),
    ]


# --- JUnit --------------------------------------------------------------------------------------------------------


def test_junit_has_a_suite_for_each_file(rules: Path, tmp_path: Path) -> None:
    """Counts, places and times; a failure holds the report, an error of a file is one of its suite."""
    file = write(rules, "large", FIRES, SILENT.replace("499", "501"))
    write(rules, "wrong", FIRES, SILENT, when="event.amunt > 1")
    junit = tmp_path / "junit.xml"
    result = call(str(rules), "--junit", str(junit))
    assert result.exit_code == Exit.FAILED
    root = ET.parse(junit).getroot()
    suites = {Path(suite.get("name", "")).name: suite for suite in root}
    assert {
        name: (suite.get("tests"), suite.get("failures"), suite.get("errors")) for name, suite in suites.items()
    } == {
        "wrong.yaml": ("1", "0", "1"),
        "large.yaml": ("2", "1", "0"),
        "small.yaml": ("2", "0", "0"),
    }
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "1", "1")
    fires, silent = suites["large.yaml"]
    assert (fires.get("classname"), fires.get("name"), fires.get("file")) == ("large", "fires", str(file))
    assert len(fires) == 0
    assert float(fires.get("time", "x")) >= 0
    assert "2026-03-02 10:00  + nothing  | offer=call" in (silent[0].text or "")
    assert suites["wrong.yaml"][0][0].get("type") == "E031"


def test_junit_is_well_formed_whatever_the_names(rules: Path, tmp_path: Path) -> None:
    """Markup, quotes, characters beyond ASCII, and one that XML cannot hold."""
    name = """a <b> & "c" ]]> 余额 '\U0001f600' """
    written = json.dumps(name, ensure_ascii=False).replace(' "', '\\v"')
    write(rules, "large", FIRES.replace("fires", written), SILENT.replace("499", "501"))
    junit = tmp_path / "junit.xml"
    call(str(rules), "--junit", str(junit))
    names = [case.get("name") for case in ET.parse(junit).getroot().iter("testcase")]
    assert f"{name[:-1]}\ufffd" in names


def test_a_report_that_cannot_be_written_fails(rules: Path, tmp_path: Path) -> None:
    """After the results were shown."""
    result = call(str(rules), "--junit", str(tmp_path / "none" / "junit.xml"))
    assert result.exit_code == Exit.FAILED
    assert "cannot be written" in result.stderr
    assert "4 passed" in result.stdout


# --- on a terminal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [45, 60, 100, 200])
def test_a_timeline_fits_the_terminal(width: int) -> None:
    """No line is wider, no text is cut off, brackets are text."""
    text = trigger_text(
        FIRES, SILENT.replace("499", "501"), when="event.amount in [1, 500, 501] and not event.own_account"
    )
    result = results_of(text)["silent"]
    screen = io.StringIO()
    show_failure(result, Console(file=screen, width=width, force_terminal=True, color_system=None))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    shown = "".join(line[5:].strip("│ ") for line in lines).replace(" ", "")
    assert "…" not in shown
    # In a narrower one words are folded over lines.
    parts = ("offer=call", "channel=push", "[1,", "501]", "event.own_account=false") if width >= 60 else ()
    assert [part for part in parts if part not in shown] == []


def test_a_pipe_gets_no_control_characters(rules: Path) -> None:
    """Nor lines cut at a width."""
    write(rules, "large", FIRES, SILENT.replace("499", "501"))
    output = call(str(rules)).output
    assert "\x1b" not in output
    assert "+ nothing  | offer=call channel=push step=0\n" in output


# --- again and again ----------------------------------------------------------------------------------------------


class Watching:
    """A process of ``test --watch``, whose lines are waited for."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        command = [sys.executable, "-m", "streams", "test", *arguments, "--watch"]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, text=True, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def until(self, begin: str) -> list[str]:
        """The lines up to the one that begins so. Raises ``queue.Empty`` where it does not come."""
        found: list[str] = []
        while not (found and found[-1].startswith(begin)):
            found.append(self._lines.get(timeout=SECONDS))
        return found

    def interrupt(self) -> int:
        """Presses Ctrl-C and returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS)


@pytest.fixture
def watching(rules: Path, ctrl_c: None) -> Iterator[Watching]:
    """``test --watch`` on the folder, after its first run."""
    started = Watching("rules", "--junit", "rules/junit.xml", cwd=rules.parent)
    yield started
    started.process.kill()
    started.process.wait(SECONDS)
    assert started.process.stdout is not None
    started.process.stdout.close()


WAITING = "waiting for changes"


def test_watch_runs_again_on_a_change_until_ctrl_c(watching: Watching, rules: Path) -> None:
    """It says what changed; an editor may save by renaming; a new file and a file with errors are changes too.

    What is no rule file does not count, such as the report that it writes itself.
    """
    assert "4 passed, 0 failed" in watching.until(WAITING)

    (rules / "notes.txt").write_text("not a rule", "utf-8")
    write(rules, "large", FIRES, SILENT.replace("499", "501"))
    lines = watching.until(WAITING)
    assert "changed: rules/large.yaml" in lines
    assert "3 passed, 1 failed" in lines

    for passed in ("4 passed, 0 failed", "3 passed, 1 failed"):
        draft = rules / "large.tmp"
        amount = "499" if passed.startswith("4") else "501"
        draft.write_text(
            (rules / "large.yaml")
            .read_text("utf-8")
            .replace("amount: 501", f"amount: {amount}")
            .replace("amount: 499", f"amount: {amount}"),
            "utf-8",
        )
        draft.replace(rules / "large.yaml")
        assert passed in watching.until(WAITING)

    write(rules, "third", FIRES, SILENT, when="event.amunt > 1")
    lines = watching.until(WAITING)
    assert "changed: rules/third.yaml" in lines
    assert any("E031" in line for line in lines)

    (rules / "third.yaml").unlink()
    lines = watching.until(WAITING)
    assert "changed: rules/third.yaml" in lines
    assert not any("E031" in line for line in lines)

    assert watching.interrupt() == Exit.INTERRUPTED


@pytest.mark.usefixtures("ctrl_c")
def test_watch_sees_the_policy_above_a_file(rules: Path) -> None:
    """A file alone is watched with what it builds on."""
    (rules.parent / "policy.yaml").write_text("caps: [{at_most: 3, per: 7d}]\n", "utf-8")
    started = Watching("rules/large.yaml", cwd=rules.parent)
    try:
        assert "2 passed, 0 failed" in started.until(WAITING)
        (rules.parent / "policy.yaml").write_text("caps: [{at_most: 0, per: 1d}]\n", "utf-8")
        lines = started.until(WAITING)
        assert "changed: policy.yaml" in lines
        assert "1 passed, 1 failed" in lines
        assert started.interrupt() == Exit.INTERRUPTED
    finally:
        started.process.kill()
        started.process.wait(SECONDS)
        assert started.process.stdout is not None
        started.process.stdout.close()
