"""``check`` for a person, a program, a code scanner and a GitHub workflow, and what it says of its codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.console import Exit
from streams.commands.library import SHIPPED
from streams.commands.problem_formats import Format, formatted
from triggers.errors import Problem
from triggers.language.checks import ALL_CODES
from triggers.language.checks.pages import page_of
from triggers.language.loader import Loaded, load_ruleset
from triggers.language.silencing import Silenced

GOOD = (SHIPPED / "retention" / "balance_drop.yaml").read_text("utf-8")

_LOCATION = {
    "type": "object",
    "required": ["physicalLocation"],
    "additionalProperties": False,
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation", "region"],
            "additionalProperties": False,
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "required": ["uri"],
                    "properties": {"uri": {"type": "string", "pattern": "^[!-~]+$"}},
                },
                "region": {
                    "type": "object",
                    "required": ["startLine", "startColumn"],
                    "additionalProperties": False,
                    "properties": {
                        "startLine": {"type": "integer", "minimum": 1},
                        "startColumn": {"type": "integer", "minimum": 1},
                    },
                },
            },
        },
        "logicalLocations": {
            "type": "array",
            "items": {"type": "object", "required": ["fullyQualifiedName"], "maxProperties": 1},
        },
    },
}
_TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "shortDescription": _TEXT,
                                                "help": _TEXT,
                                                "defaultConfiguration": {
                                                    "properties": {
                                                        "level": {"enum": ["none", "note", "warning", "error"]}
                                                    },
                                                },
                                            },
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": _TEXT,
                                "locations": {"type": "array", "items": _LOCATION},
                                "suppressions": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["kind"],
                                        "additionalProperties": False,
                                        "properties": {
                                            "kind": {"enum": ["inSource", "external"]},
                                            "justification": {"type": "string"},
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
"""Of the schema of SARIF 2.1.0 what these logs use; nothing else may stand in them."""


def call(*arguments: str) -> Any:
    """Runs a command in this process."""
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder with an error, a warning and something silenced."""
    text = GOOD.replace("customer.tier", "customer.tear").replace("once_per: 14d", "once_per: 14d\nrearm: 1 > 2")
    (tmp_path / "balance_drop.yaml").write_text(text.replace("rearm: 1 > 2", "rearm: 1 > 2  # noqa: E110 it is over"))
    (tmp_path / "ünused %.yaml").write_text(
        GOOD.replace("features:\n", "features:\n  low: {min: customer.aum, over: 7d}\n")
    )
    return tmp_path


def test_text_has_a_line_a_problem_with_its_key_path(broken: Path) -> None:
    """On the error output; a warning says so."""
    result = call("check", str(broken))
    assert result.exit_code == Exit.FAILED
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"{broken}/balance_drop.yaml:")
    assert " E031 " in lines[0]
    assert lines[0].endswith("(when)")
    assert any(" W107 " in line and line.endswith("(features.low) [warning]") for line in lines)


def test_json_is_an_object_a_line_in_either_spelling(broken: Path) -> None:
    """``--json`` is ``--format json``; it goes with no other format."""
    one, other = call("check", str(broken), "--json"), call("check", str(broken), "--format", "json")
    assert one.stdout == other.stdout
    problems = [json.loads(line) for line in one.stdout.splitlines()]
    assert {"file", "line", "column", "code", "message", "path", "severity"} == problems[0].keys()
    assert {problem["severity"] for problem in problems} == {"error", "warning"}
    assert call("check", str(broken), "--json", "--format", "sarif").exit_code == Exit.USAGE
    assert call("check", str(broken), "--format", "xml").exit_code == Exit.USAGE


def test_sarif_is_a_log_that_code_scanners_take(broken: Path) -> None:
    """Rules with their pages, results with their places, what is silenced with its reason."""
    result = call("check", str(broken), "--format", "sarif")
    assert result.exit_code == Exit.FAILED
    log = json.loads(result.stdout)
    jsonschema.validate(log, SARIF)
    (run,) = log["runs"]
    rules, results = run["tool"]["driver"]["rules"], run["results"]
    for found in results:
        assert rules[found["ruleIndex"]]["id"] == found["ruleId"]
    by_code = {found["ruleId"]: found for found in results}
    assert by_code["W107"]["level"] == "warning"
    (place,) = by_code["E102"]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == (broken / "ünused %.yaml").as_uri()
    assert place["logicalLocations"] == [{"fullyQualifiedName": "trigger"}]
    assert by_code["E110"]["suppressions"] == [{"kind": "inSource", "justification": "it is over"}]
    assert "suppressions" not in by_code["E031"]
    assert next(rule for rule in rules if rule["id"] == "E031")["help"]["markdown"] == page_of("E031")


def test_a_log_without_results_is_one_too(tmp_path: Path) -> None:
    """A scanner then closes what it had."""
    (tmp_path / "balance_drop.yaml").write_text(GOOD)
    result = call("check", str(tmp_path), "--format", "sarif")
    assert result.exit_code == Exit.OK
    log = json.loads(result.stdout)
    jsonschema.validate(log, SARIF)
    assert log["runs"][0]["results"] == []


def test_relative_files_stay_relative() -> None:
    """A scanner looks for them in its checkout."""
    loaded = Loaded(None, [Problem("my rules/ä.yaml", 1, 2, "E010", "x")])
    (place,) = json.loads("".join(formatted(loaded, Format.SARIF)))["runs"][0]["results"][0]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "my%20rules/%C3%A4.yaml"


def test_annotations_are_escaped_as_github_reads_them() -> None:
    """In properties also the colon and the comma, which would end them."""
    problems = [
        Problem("a,b:c%.yaml", 3, 7, "E031", "100% wrong: a, b\nand more", "when"),
        Problem("d.yaml", 1, 1, "W107", "unused", "features.x", "warning"),
    ]
    assert list(formatted(Loaded(None, problems), Format.GITHUB)) == [
        "::error file=a%2Cb%3Ac%25.yaml,line=3,col=7,title=E031::100%25 wrong: a, b%0Aand more (when)",
        "::warning file=d.yaml,line=1,col=1,title=W107::unused (features.x)",
    ]


@pytest.mark.parametrize("form", list(Format))
def test_a_silenced_problem_is_none_in_any_format(form: Format) -> None:
    """Only SARIF has a word for it."""
    loaded = Loaded(None, [], silenced=(Silenced(Problem("a.yaml", 1, 1, "E104", "x"), "a reason"),))
    lines = "\n".join(formatted(loaded, form))
    assert ("a reason" in lines) == (form is Format.SARIF)


def test_what_is_silenced_is_counted(tmp_path: Path) -> None:
    """So that nobody believes there is nothing."""
    (tmp_path / "balance_drop.yaml").write_text(
        GOOD.replace("once_per: 14d", "once_per: 14d\nrearm: 1 > 2  # noqa: E110 once and for all")
    )
    result = call("check", str(tmp_path))
    assert result.exit_code == Exit.OK, result.output
    assert "1 trigger, rule set" in result.stdout
    assert result.stdout.endswith("no errors, 1 silenced\n")
    assert load_ruleset([tmp_path]).silenced[0].problem.file == str(tmp_path / "balance_drop.yaml")


def test_list_shows_every_code() -> None:
    """With its severity, whether a comment may silence it, and what it is about."""
    rows = [line.split("\t") for line in call("check", "--list").stdout.splitlines()]
    assert rows[0] == ["code", "severity", "silenced by", "about"]
    assert rows[1:] == [[code.id, code.severity, "noqa" if code.silenceable else "", code.about] for code in ALL_CODES]
    machine = [json.loads(line) for line in call("check", "--list", "--json").stdout.splitlines()]
    assert [one["code"] for one in machine] == [code.id for code in ALL_CODES]


@pytest.mark.parametrize("code", ["E031", "w107"])
def test_explain_prints_the_page_on_a_code(code: str) -> None:
    """Small letters do too."""
    result = call("check", "--explain", code)
    assert result.exit_code == Exit.OK
    assert result.stdout.strip() == page_of(code.upper()).strip()


def test_explain_knows_no_other_codes() -> None:
    """Nor does a path become a file's name."""
    for code in ("E999", "../E031", ""):
        result = call("check", "--explain", code)
        assert result.exit_code == Exit.USAGE
        assert "no code" in result.stderr


def test_a_file_that_does_not_exist() -> None:
    """Is called so."""
    result = call("check", "nowhere")
    assert result.exit_code == Exit.FAILED
    assert result.stderr == "nowhere:1:1 E001 does not exist\n"


def test_an_empty_file_has_one_problem(tmp_path: Path) -> None:
    """Not every key that it lacks."""
    (tmp_path / "empty.yaml").write_text("# to be written\n")
    result = call("check", str(tmp_path), "--format", "json")
    assert [json.loads(line)["message"] for line in result.stdout.splitlines()] == [
        "the file is empty; bank-triggers new writes a first one"
    ]


def test_the_defaults_are_told(tmp_path: Path) -> None:
    """Where no policy and no calendar is found; a person is told, a machine is not."""
    (tmp_path / "balance_drop.yaml").write_text(GOOD)
    lines = call("check", str(tmp_path)).stderr.splitlines()
    assert lines == [
        (
            "no policy.yaml: the defaults apply "
            "(at most 3 contacts in 7 days; consent for sms, wechat, email; no quiet hours)"
        ),
        "no calendar.yaml: the defaults apply (Asia/Shanghai; closed on saturday, sunday; no holidays)",
    ]
    tested = call("test", str(tmp_path))
    assert tested.exit_code == Exit.OK, tested.output
    assert tested.stderr.splitlines()[:2] == lines
    assert call("check", str(tmp_path), "--json").stderr == ""
    assert call("test", str(tmp_path), "--json").stderr == ""
    (tmp_path / "policy.yaml").write_text("caps: []\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "balance_drop.yaml").rename(tmp_path / "deep" / "balance_drop.yaml")
    assert call("check", str(tmp_path / "deep")).stderr.splitlines() == lines[1:]


def test_whose_triggers_are_checked() -> None:
    """Without a path those that ship, and the command says so."""
    result = call("check", "--today", "2026-06-01")
    assert result.exit_code == Exit.OK, result.output
    assert result.stderr.splitlines() == ["the triggers that ship:"]
    assert call("check", "--json").stderr == ""
    assert "the triggers that ship" not in call("check", str(SHIPPED)).stderr
    explained = call("explain", "balance_drop", "--case", "no such case")
    assert explained.stderr.splitlines()[0] == "the triggers that ship:"


def test_a_worker_and_a_backtest_tell_the_defaults(tmp_path: Path) -> None:
    """Also where the triggers have errors; a backtest for a machine says nothing of it."""
    (tmp_path / "balance_drop.yaml").write_text(GOOD.replace("version: 2", "version: one"))
    started = call("worker", "--rules", str(tmp_path))
    assert started.exit_code == Exit.REFUSED, started.output
    assert started.stderr.startswith("no policy.yaml: the defaults apply (at most 3 contacts in 7 days;")
    told = call("backtest", str(tmp_path), "--events", "none.jsonl")
    assert "no calendar.yaml: the defaults apply (Asia/Shanghai;" in told.stderr
    assert "the defaults apply" not in call("backtest", str(tmp_path), "--events", "none.jsonl", "--json").stderr
