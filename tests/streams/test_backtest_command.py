"""``bank-triggers backtest``: what it says, where it writes, how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.encode import encode
from streams.cli import app
from streams.commands.console import Exit
from streams.event_file import format_event
from tests.support.bank import at, profile, transaction
from triggers.casework.reasons import MEANINGS

RULE = """\
trigger: any_payment
version: 1
title: A payment
owner: tests
status: live
on: transaction
when: event.amount >= 10
once_per: 2d
action:
  offer: something
  category: test
  complexity: simple
  priority: 50
  expires: 1d
  ladder: [push]
tests:
  - {name: fires, events: [{at: "2026-03-02 10:00", transaction: {amount: 10}}], expect: [{at: "2026-03-02 10:00"}]}
  - {name: silent, events: [{at: "2026-03-02 10:00", transaction: {amount: 9}}], expect: []}
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    import os

    for name in list(os.environ):
        if name.startswith("BANK_TRIGGERS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "any_payment.yaml").write_text(RULE, "utf-8")
    draft = RULE.replace("any_payment", "a_draft").replace("status: live", "status: draft").replace(">= 10", ">= 5")
    (folder / "a_draft.yaml").write_text(draft.replace("amount: 9", "amount: 4"), "utf-8")
    return folder


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    records: list[Any] = [profile("p1", 1, tier="mid")]
    records += [transaction(f"t{n}", n, amount, 100, occurred_at=at(n)) for n, amount in enumerate((10, 6, 20, 30), 1)]
    lines = [
        format_event(
            "bank.profiles" if record.record_type == "profile" else "bank.transactions", "c1", encode(record).decode()
        )
        for record in records
    ]
    path.write_text("".join([*lines, "not json\n"]), "utf-8")
    return path


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["backtest", *map(str, arguments), "--jobs", "1"])


def test_the_tables(rules: Path, events: Path) -> None:
    """Counts by trigger, tier, channel and day, why not, who most, and the measures; the errors beside."""
    result = call(rules, "--events", events)
    assert result.exit_code == Exit.OK, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "5 events of 1 customers, 2026-03-02T02:00:00Z to 2026-03-06T02:00:00Z; 2 actions, 1 held back, 0 withdrawn"
    )
    assert "any_payment\tlive\t2\t100%\t0\t0\t1" in lines
    assert "a_draft\tdraft\t0\t0%\t0\t0\t0" in lines
    assert "mid\t2\t100%" in lines
    assert "push\t2\t100%" in lines
    assert [line for line in lines if line.startswith("2026")] == [
        "2026-03-03\t1\t50%",
        "2026-03-04\t0\t0%",
        "2026-03-05\t1\t50%",
    ]
    assert "once_per\t1\t100%" in lines
    assert "c1\t2\tany_payment 2" in lines
    assert "any_payment\tevent.amount\t4\t6\t10\t30\t>= 10 75%" in lines
    assert result.stderr.splitlines()[2:] == [
        "1 draft does not run; --shadow shows what it would have done",
        "events.jsonl:6:5 F002 expected one JSON object on the line",
        "input errors: F002 1",
    ]


def test_a_draft_in_shadow_stands_beside_what_is_live(rules: Path, events: Path) -> None:
    """In a table of its own; the live counts are as without it."""
    lines = call(rules, "--events", events, "--shadow").stdout.splitlines()
    assert "any_payment\tlive\t2\t100%\t0\t0\t1" in lines
    assert "a_draft\tshadow\t0\t0%\t0\t0\t0" in lines
    assert lines[1].startswith("trigger\twould send")
    assert lines[2] == "a_draft\t2\t2\t0\tonce_per 2"


def test_where_nothing_is_live_only_the_shadow_is_shown(rules: Path, events: Path, tmp_path: Path) -> None:
    """First of all, with one line for what is left out; a condition that was never true is named."""
    (rules / "any_payment.yaml").unlink()
    never = (rules / "a_draft.yaml").read_text("utf-8").replace("a_draft", "b_never").replace(">= 5", ">= 5000")
    (rules / "b_never.yaml").write_text(never.replace("amount: 10", "amount: 5000"), "utf-8")
    page = tmp_path / "page.html"
    result = call(rules, "--events", events, "--shadow", "--html", page)
    assert result.exit_code == Exit.OK, result.output
    lines = result.stdout.splitlines()
    assert lines[0].endswith("; 0 actions, 0 held back, 0 withdrawn; in shadow 2 would have been sent")
    assert lines[1].startswith("trigger\twould send")
    assert lines[2:5] == [
        "a_draft\t2\t0\t0\tonce_per 2",
        "b_never\t0\t0\t0\tits condition was never true in these events",
        "No trigger is live (2 shadow), so nothing is told of actions, contacts and what was held back.",
    ]
    assert lines[5].startswith("trigger\tmeasure")
    assert lines[6].endswith("\t>= 5 100%")
    assert lines[7].endswith("\t>= 5000 0% (never true in these events)")
    assert len(lines) == 8
    text = page.read_text("utf-8")
    assert text.index("<h2>In shadow</h2>") < text.index("No trigger is live") < text.index("<h2>Measures")
    assert re.findall(r"<h2>(.*?)</h2>", text) == ["In shadow", "Measures beside their thresholds", "The input"]
    assert "<code>b_never</code>" in text
    assert "its condition was never true in these events" in text
    assert "<strong>never true in these events</strong>" in text
    assert MEANINGS["once_per"] in text


def test_a_table_without_rows_is_left_out(rules: Path, events: Path) -> None:
    """Its headings alone tell nothing."""
    lines = call(rules, "--events", events, "--until", "2026-03-01").stdout.splitlines()
    assert lines[1] == "besides, outside the time range: 5"
    assert not [line for line in lines if line.startswith(("tier\t", "channel\t", "reason\t", "customer\t", "day\t"))]
    assert "any_payment\tlive\t0\t–\t0\t0\t0" in lines


def test_events_that_no_trigger_sees_are_named(rules: Path, events: Path) -> None:
    """On the output and on the page: of managers and of linked identities."""
    with events.open("a", encoding="utf-8") as file:
        file.write(format_event("bank.managers", "M1", "{}") * 3)
    lines = call(rules, "--events", events).stdout.splitlines()
    assert lines[0].startswith("5 events of 1 customers")
    assert lines[1] == "besides, events that are not by customer, left out: bank.managers 3"


def test_the_page_tells_the_banks_time(rules: Path, events: Path, tmp_path: Path) -> None:
    """As its days do: 02:00 in UTC is 10:00 in Shanghai."""
    page = tmp_path / "page.html"
    assert call(rules, "-e", events, "--html", page).exit_code == Exit.OK
    text = page.read_text("utf-8")
    assert "from 2026-03-02 10:00:00 to 2026-03-06 10:00:00. Times and days are those of Asia/Shanghai." in text
    assert "Timers ran to 2026-03-06 10:00:00 and no further" in text
    assert "UTC" not in text


def test_json_html_and_actions(rules: Path, events: Path, tmp_path: Path) -> None:
    """One JSON object on the output, the page and the actions in files; a second run writes the same bytes."""
    page, actions = tmp_path / "page.html", tmp_path / "actions.jsonl"
    runs = []
    for _ in range(2):
        result = call(rules, "-e", events, "--json", "--html", page, "--actions", actions)
        assert result.exit_code == Exit.OK
        runs.append((result.stdout, page.read_bytes(), actions.read_bytes()))
    assert runs[0] == runs[1]
    report = json.loads(runs[0][0])
    assert report["actions"]["total"] == 2
    assert report["errors"]["first"] == [
        {
            "source": "events.jsonl",
            "line": 6,
            "column": 5,
            "code": "F002",
            "field": "",
            "problem": "expected one JSON object on the line",
        }
    ]
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert [json.loads(line)["created_at"] for line in actions.read_text().splitlines()] == [
        "2026-03-03T02:00:00Z",
        "2026-03-05T02:00:00Z",
    ]


def test_strict_makes_an_input_error_a_failure(rules: Path, events: Path) -> None:
    """The report comes all the same."""
    result = call(rules, "-e", events, "--strict")
    assert result.exit_code == Exit.FAILED
    assert "any_payment\tlive\t2\t100%\t0\t0\t1" in result.stdout


def test_a_file_that_breaks_off_is_a_failure_without_strict(rules: Path, tmp_path: Path) -> None:
    """The report is of less than was asked for."""
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(b"\x1f\x8b")
    result = call(rules, "-e", path)
    assert result.exit_code == Exit.FAILED
    assert "cut.jsonl.gz:1:1 F001 the file cannot be read: the gzip data is damaged or cut off" in result.stderr


def test_how_many_errors_are_shown(rules: Path, tmp_path: Path) -> None:
    """The rest is counted."""
    path = tmp_path / "bad.jsonl"
    path.write_text("bad\n" * 5, "utf-8")
    result = call(rules, "-e", path, "--show-errors", 2)
    assert result.exit_code == Exit.OK
    assert result.stderr.splitlines()[3:] == [
        "bad.jsonl:1:1 F002 expected one JSON object on the line",
        "bad.jsonl:2:1 F002 expected one JSON object on the line",
        "… and 3 more input errors",
        "input errors: F002 5",
        "no event took part",
    ]


def test_rules_with_mistakes_are_not_run(rules: Path, events: Path) -> None:
    """Each mistake at its place."""
    (rules / "any_payment.yaml").write_text(RULE.replace("event.amount", "event.amuont"), "utf-8")
    result = call(rules, "-e", events)
    assert result.exit_code == Exit.FAILED
    assert f"{rules}/any_payment.yaml:7:7 E031" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], Exit.USAGE, "nothing to run; give --events"),
        (["-e", "{gone}"], Exit.FAILED, "there is no such file; expected an event file, a folder of them or a topic"),
        (["-e", "{events}", "--from-topics"], Exit.USAGE, "from files or from Kafka, not from both"),
        (["-e", "{events}", "--since", "yesterday"], Exit.USAGE, "--since: expected a day or a time such as"),
        (["-e", "{events}", "--until", "2026-13-01"], Exit.USAGE, "--until: expected a day or a time such as"),
        (["-e", "{events}", "--since", "2026-03-05", "--until", "2026-03-03"], Exit.USAGE, "--since is later"),
        (["-e", "{events}", "--html", "{gone}/page.html"], Exit.FAILED, "cannot be written"),
        (["-e", "{events}", "--actions", "{gone}/a.jsonl"], Exit.FAILED, "cannot be written"),
    ],
)
def test_wrong_use_is_said(
    rules: Path, events: Path, tmp_path: Path, options: list[str], code: Exit, said: str
) -> None:
    """One line that says what would be right."""
    given = [option.format(gone=tmp_path / "gone", events=events) for option in options]
    result = call(rules, *given)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_the_range_is_in_the_banks_days(rules: Path, events: Path) -> None:
    """A day is that of Shanghai, both ends included."""
    result = call(rules, "-e", events, "--since", "2026-03-04", "--until", "2026-03-05", "--json")
    report = json.loads(result.stdout)
    assert report["input"]["since"] == "2026-03-03T16:00:00Z"
    assert report["input"]["clock_stopped"] == "2026-03-05T15:59:59.999000Z"
    assert report["input"]["events"] == {"bank.transactions": 2}
    assert report["input"]["outside_the_range"] == 3


def test_a_terminal_shows_progress_on_the_error_output() -> None:
    """And a pipe shows none."""
    import io

    from rich.console import Console

    from streams.commands import backtest as command

    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    with command.progress_on(console) as progress:
        progress.reading(20_000)
        progress.running(5, 10)
    assert "20,000 events read" in shown.getvalue()
    assert "50%" in shown.getvalue()
    silent = io.StringIO()
    with command.progress_on(Console(file=silent)) as progress:
        progress.reading(20_000)
        progress.running(5, 10)
    assert silent.getvalue() == ""


def test_all_cores_are_used_where_nothing_is_said(rules: Path, events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that this process may use; ``--jobs`` says otherwise."""
    taken: list[int] = []

    def noting(ruleset: Any, given: Any, from_topics: bool, options: Any, config: Any) -> Any:
        taken.append(options.jobs)
        raise KeyboardInterrupt

    monkeypatch.setattr("streams.commands.backtest._run", noting)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2, 5})
    for more in ([], ["--jobs", "2"]):
        result = CliRunner().invoke(app, ["backtest", str(rules), "-e", str(events), *more])
        assert result.exit_code == Exit.INTERRUPTED
    assert taken == [3, 2]
