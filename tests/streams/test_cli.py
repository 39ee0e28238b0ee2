"""The command line: help, output and exit codes of the commands that need no broker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from schemas.decode import Rejected, decode
from schemas.topics import TOPIC, TOPICS
from streams.cli import app
from streams.commands.console import Exit
from streams.commands.library import SHIPPED
from streams.event_file import EventLine, read_events

ROOT = typer.main.get_command(app)

GOOD = (SHIPPED / "retention" / "balance_drop.yaml").read_text("utf-8")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    import os

    for name in list(os.environ):
        if name.startswith("BANK_TRIGGERS_"):
            monkeypatch.delenv(name)


def call(*arguments: str, **more: Any) -> Any:
    """Runs a command in this process."""
    return CliRunner().invoke(app, list(arguments), **more)


def every_command(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all commands that do something."""
    if hasattr(command, "commands"):
        return [found for name, sub in command.commands.items() for found in every_command(sub, (*path, name))]
    return [path]


def test_the_commands_are_those_promised() -> None:
    """Every command that the documentation names exists."""
    assert {" ".join(path) for path in every_command(ROOT)} >= {
        "worker",
        "demo",
        "check",
        "test",
        "topics create",
        "topics check",
        "publish",
        "import",
        "backtest",
        "simulate",
        "actions",
        "decisions",
        "dead-letters list",
        "schemas export",
        "state accept-loss",
    }


@pytest.mark.parametrize("path", every_command(ROOT), ids=" ".join)
def test_every_command_shows_an_example_of_itself(path: tuple[str, ...]) -> None:
    """``--help`` ends with a line that can be typed."""
    result = call(*path, "--help")
    assert result.exit_code == Exit.OK
    shown = re.sub(r"\s+", " ", result.output)
    assert f"Example: bank-triggers {' '.join(path)}" in shown or f"bank-triggers {' '.join(path)} --" in shown


def test_a_command_imports_only_what_it_needs() -> None:
    """An author who checks a file does not wait until Kafka's client, Faust and Redis have loaded."""
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom streams.cli import app\n"
        "for command in ('check', 'test', 'explain'):\n    CliRunner().invoke(app, [command, '--help'])\n"
        "print(sorted({'aiokafka', 'faust', 'redis', 'jinja2'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SHIPPED.parents[1]
    )
    assert done.stdout == "[]\n"


def test_the_exit_codes_are_documented() -> None:
    """The help names each of them."""
    shown = re.sub(r"\s+", " ", call("--help").output)
    for code in Exit:
        assert re.search(rf"\b{int(code)} [a-z]", shown, re.IGNORECASE), code


def test_check_accepts_what_ships() -> None:
    """The shipped triggers have no errors."""
    result = call("check", "--today", "2026-06-01")
    assert result.exit_code == Exit.OK, result.output
    assert "no errors" in result.output


def test_check_reports_each_mistake_with_its_place(tmp_path: Path) -> None:
    """A line a mistake on the error output, exit code 1."""
    (tmp_path / "balance_drop.yaml").write_text(GOOD.replace("customer.tier", "customer.tear"), "utf-8")
    result = call("check", str(tmp_path))
    assert result.exit_code == Exit.FAILED
    lines = [line for line in result.stderr.splitlines() if "customer.tear" in line]
    assert lines
    assert all(re.match(r"\S+balance_drop\.yaml:\d+:\d+ [A-Z]\d+ ", line) for line in lines)


def test_check_for_a_machine(tmp_path: Path) -> None:
    """``--json`` gives an object a line with file, line, column and code."""
    (tmp_path / "balance_drop.yaml").write_text(GOOD.replace("owner:", "ower:"), "utf-8")
    result = call("check", str(tmp_path), "--json")
    assert result.exit_code == Exit.FAILED
    problems = [json.loads(line) for line in result.stdout.splitlines()]
    assert problems
    assert all({"file", "line", "column", "code", "message"} <= problem.keys() for problem in problems)


def test_test_runs_the_shipped_cases() -> None:
    """All pass."""
    result = call("test")
    assert result.exit_code == Exit.OK, result.output
    assert re.search(r"^[1-9]\d* passed, 0 failed$", result.output, re.MULTILINE)


def test_a_failing_case_shows_what_was_expected_and_what_came(tmp_path: Path) -> None:
    """The wrong expectation and the real action stand under each other; exit code 1."""
    wrong = GOOD.replace("offer: retention_call, channel: sms", "offer: retention_call, channel: email")
    assert wrong != GOOD
    (tmp_path / "balance_drop.yaml").write_text(wrong, "utf-8")
    result = call("test", str(tmp_path))
    assert result.exit_code == Exit.FAILED
    assert "FAIL balance_drop: fires at exactly 30 percent" in result.output
    assert "channel=email" in result.output
    assert "channel=sms" in result.output


def test_a_choice_that_matches_no_case_is_an_error() -> None:
    """Nothing tested is not a success."""
    result = call("test", "--case", "no such case")
    assert result.exit_code == Exit.FAILED
    assert "no case matches" in result.stderr


def test_test_for_a_machine() -> None:
    """``--json`` gives an object a line, each with its type: an object a case, then the sums."""
    result = call("test", "--trigger", "dormancy", "--json")
    assert result.exit_code == Exit.OK
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["type"] for one in objects[-2:]] == ["summary", "coverage"]
    cases = [one for one in objects if one["type"] == "case"]
    assert cases
    assert all(case["passed"] is True and case["trigger"] == "dormancy" for case in cases)


def test_schemas_export_writes_one_for_each_topic(tmp_path: Path) -> None:
    """A JSON Schema a topic."""
    result = call("schemas", "export", str(tmp_path / "contracts"))
    assert result.exit_code == Exit.OK
    written = list((tmp_path / "contracts").glob("*.json"))
    assert len(written) == len(TOPICS)
    assert all(json.loads(path.read_text("utf-8"))["$id"] for path in written)


@pytest.mark.parametrize("command", [["worker"], ["topics", "check"], ["publish", "x"], ["decisions"]])
def test_a_wrong_setting_is_named_and_nothing_is_tried(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3, every mistake at once, no secret in it."""
    monkeypatch.setenv("BANK_TRIGGERS_CLOCK", "sundial")
    monkeypatch.setenv("BANK_TRIGGERS_REDIS_URL", "http://user:hunter2@host")
    result = call(*command)
    assert result.exit_code == Exit.SETTINGS
    assert "clock: " in result.stderr
    assert "redis_url: " in result.stderr
    assert "hunter2" not in result.output + result.stderr


def test_kafka_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4 and the address, after the time that was set."""
    monkeypatch.setenv("BANK_TRIGGERS_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("BANK_TRIGGERS_STARTUP_SECONDS", "1")
    result = call("topics", "check")
    assert result.exit_code == Exit.UNREACHABLE
    assert "127.0.0.1:1" in result.stderr


def test_a_worker_with_broken_triggers_does_not_start(tmp_path: Path) -> None:
    """Exit code 5 and the mistakes."""
    (tmp_path / "balance_drop.yaml").write_text(GOOD.replace("owner:", "ower:"), "utf-8")
    result = call("worker", "--rules", str(tmp_path))
    assert result.exit_code == Exit.REFUSED
    assert "balance_drop.yaml:" in result.stderr


def test_an_unknown_channel_is_wrong_usage() -> None:
    """Exit code 2 and the channels there are."""
    result = call("actions", "--channel", "pigeon")
    assert result.exit_code == Exit.USAGE
    assert "pigeon" in result.stderr


def test_import_lists_the_mistakes_of_its_mapping(tmp_path: Path) -> None:
    """Exit code 1, each with its place."""
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("tenant: bank\nsources: 7\n", "utf-8")
    result = call("import", str(mapping), str(tmp_path), "--output", str(tmp_path / "out.jsonl"))
    assert result.exit_code == Exit.FAILED
    assert "mapping.yaml:2:" in result.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_simulate_writes_a_year_of_events_that_can_all_be_read(tmp_path: Path) -> None:
    """A year of a bank, the same bytes for the same options, and no record that a reader would refuse."""
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    shown = call("simulate", "--output", str(first), "--events", "2000")
    assert shown.exit_code == Exit.OK, shown.output
    assert call("simulate", "-o", str(second), "--events", "2000").exit_code == Exit.OK
    assert first.read_bytes() == second.read_bytes()
    lines = [line for line in read_events(first) if isinstance(line, EventLine)]
    assert shown.output.startswith(f"{len(lines)} events from 2026-01-05 to 2027-01-")
    unseen = Counter(line.topic for line in lines if TOPIC[line.topic].stage != "customer")
    assert shown.output.splitlines()[1] == (
        f"{unseen.total()} of them are not by customer, only a worker reads them: "
        + ", ".join(f"{topic} {count}" for topic, count in sorted(unseen.items()))
    )
    assert unseen.keys() == {"bank.channel-behaviour", "bank.identity-links", "bank.managers"}
    refused = []
    for line in lines:
        key = None if line.key is None else line.key.encode()
        found = decode(TOPIC[line.topic], "bank", key, line.value)
        if isinstance(found, Rejected):
            refused.append((line.line, found))
    assert refused == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl.gz", "b.jsonl.gz"]


def test_simulate_says_where_it_cannot_write(tmp_path: Path) -> None:
    """A folder that does not exist is named, with what is expected."""
    shown = call("simulate", "--output", str(tmp_path / "none" / "x.jsonl"), "--events", "1000")
    assert shown.exit_code == Exit.FAILED
    assert "expected a file in a folder that exists" in shown.stderr
