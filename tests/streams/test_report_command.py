"""``bank-triggers report`` over files: what it shows, that order changes nothing, and how it ends."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.backtest import spill
from streams.cli import app
from streams.commands.console import Exit
from tests.support.outcome_history import write_history


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    write_history(folder, customers=40)
    return folder


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_the_tables(history: Path) -> None:
    """The funnel, its parts, why not, the lift and payroll; each share is of what it says."""
    result = call("--records", history, "--until", "2026-06-20")
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    heads = [
        line[0]
        for line in lines
        if line[1:] and not line[1][:1].isdigit() and line[1] in ("number", "candidates", "contacted", "customers")
    ]
    assert heads == ["step", "trigger", "channel", "tier", "waited", "month", "reason", "of", "month"]
    assert lines[0] == ["bank: 40 customers, until 2026-06-20T15:59:59.999000Z (days of Asia/Shanghai)"]
    rows = {line[0]: line for line in lines}
    assert rows["capped"][3] == "the customer has had as many contacts as a cap allows"
    assert rows["the bank"][6].endswith("No difference can be told from chance.")
    assert "too small to rely on" in rows["the bank"][6]
    assert rows["2026-06"][2] == "not over yet"


def test_order_and_memory_change_nothing(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines in any order, in one file, spilled in many small parts: the same bytes."""
    whole = call("--records", history, "--json").stdout
    assert json.loads(whole)["funnel"]["candidates"] > 100
    lines = [line for name in ("in.jsonl", "out.jsonl") for line in (history / name).read_text("utf-8").splitlines()]
    random.Random(3).shuffle(lines)
    (tmp_path / "mixed.jsonl").write_text("\n".join(lines), "utf-8")
    monkeypatch.setattr(spill, "BUFFER_BYTES", 10_000)
    monkeypatch.setattr(spill, "SHARE_BYTES", 5_000)
    assert call("--records", tmp_path, "--json").stdout == whole


def test_the_period(history: Path) -> None:
    """``--since`` and ``--until`` bound what began; what came of it later counts."""
    found = json.loads(call("--records", history, "--since", "2026-03-20", "--until", "2026-03-25", "--json").stdout)
    days = list(found["funnel"]["by_day"])
    assert min(days) >= "2026-03-20"
    assert max(days) <= "2026-03-25"
    assert found["lift"]["bank"]["contacted"] == 0
    assert found["lift"]["bank"]["under_way"] > 0
    within = json.loads(
        call("--records", history, "--since", "2026-03-20", "--until", "2026-03-25", "--within", 2, "--json").stdout
    )
    assert within["lift"]["bank"]["contacted"] > 0


def test_what_is_no_record_is_told(history: Path, tmp_path: Path) -> None:
    """Counted by reason, and lines by their place; the rest is summed up."""
    (tmp_path / "bad.jsonl").write_text(
        '{"topic":"bank.feedback","key":"c1","value":{"tenant":"bank"}}\nnothing\n'
        + (history / "out.jsonl").read_text("utf-8"),
        "utf-8",
    )
    result = call("--records", tmp_path, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["no_records"] == {"MISSING_FIELD": 1}
    assert "bad.jsonl:2:5 F002" in result.stderr
    assert "messages that are no records, and take no part: MISSING_FIELD 1" in result.stderr


def test_no_decisions_are_said(tmp_path: Path) -> None:
    """An empty file is a report of nothing, and says so."""
    (tmp_path / "none.jsonl").write_text("", "utf-8")
    result = call("--records", tmp_path / "none.jsonl")
    assert result.exit_code == 0
    assert "no decision of that time is among the records" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--records", "nowhere"], Exit.FAILED, "there is no such file"),
        (["--records", ".", "--config", "x.yaml"], Exit.USAGE, "expected either --records or --config"),
        (["--records", ".", "--since", "2026-04-01", "--until", "2026-03-01"], Exit.USAGE, "--since is later"),
        (["--records", ".", "--within", "0"], Exit.USAGE, "--within"),
    ],
)
def test_wrong_use_is_said(arguments: list[str], code: int, said: str) -> None:
    """Each with its exit code."""
    result = call(*arguments)
    assert result.exit_code == code
    assert said in result.stderr


def test_help_ends_with_an_example() -> None:
    """One that can be copied."""
    assert "Example: bank-triggers report --since 2026-03-01" in call("--help").stdout
