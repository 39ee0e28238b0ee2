"""``bank-triggers import``: what it writes, what it says of rows with mistakes, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.console import Exit

HEADER = "id,customer,account,at,type,amount,balance"
FIRST = "e1,c1,a1,2020-03-02 10:00:00,C,10.50,10.50"
BAD_AMOUNT = "e2,c1,a1,2020-03-03 10:00:00,D,hunter2,0.50"
BAD_TYPE = "e3,c1,a1,2020-03-04 10:00:00,X,1.00,0.50"
LAST = "e4,c1,a1,2020-03-01 10:00:00,C,7.00,7.00"
MIXED = (FIRST, BAD_AMOUNT, BAD_TYPE, LAST)


def run_import(bench: Any, *rows: str, more: tuple[str, ...] = ()) -> Any:
    """Runs the command on these rows in this process."""
    bench.write("rows.csv", "\n".join([HEADER, *rows]) + "\n")
    out = str(bench.folder / "out.jsonl")
    return CliRunner().invoke(app, ["import", str(bench.mapping()), str(bench.folder / "rows.csv"), "-o", out, *more])


def complaints(bench: Any, result: Any) -> list[str]:
    """The lines of the error output, without the files' folder."""
    return [line.replace(f"{bench.folder}/", "") for line in result.stderr.splitlines()]


def test_good_rows_are_written_and_it_is_said_how_many(bench: Any) -> None:
    """Exit code 0, nothing on the error output, the events by time."""
    result = run_import(bench, FIRST, LAST)
    assert result.exit_code == Exit.OK, result.output
    assert result.stderr == ""
    assert [value["event_id"] for value in bench.values()] == ["e4", "e1"]
    assert result.stdout.splitlines() == [
        "transactions: 2 rows read, 0 filtered, 0 with mistakes, 2 events for bank.transactions",
        "2 events from 2020-03-01T09:00:00+00:00 to 2020-03-02T09:00:00+00:00",
    ]


def test_rows_with_mistakes_are_listed_with_their_place_and_left_out(bench: Any) -> None:
    """Exit code 1, a line a mistake on the error output, without the row's values; the good rows are written."""
    result = run_import(bench, *MIXED)
    assert result.exit_code == Exit.FAILED
    amount, kind = complaints(bench, result)
    assert amount.startswith('rows.csv:3 column "amount": ')
    assert kind.startswith('rows.csv:4 column "type": ')
    assert "hunter2" not in result.output + result.stderr
    assert [value["event_id"] for value in bench.values()] == ["e4", "e1"]
    assert "4 rows read, 0 filtered, 2 with mistakes, 2 events" in result.stdout


def test_strict_stops_at_the_first_mistake_and_writes_nothing(bench: Any) -> None:
    """Exit code 1, that mistake alone, no file."""
    result = run_import(bench, *MIXED, more=("--strict",))
    assert result.exit_code == Exit.FAILED
    (only,) = complaints(bench, result)
    assert only.startswith('rows.csv:3 column "amount": ')
    assert result.stdout == ""
    assert not (bench.folder / "out.jsonl").exists()


def test_strict_with_good_rows_is_as_without(bench: Any) -> None:
    """Exit code 0 and the events."""
    assert run_import(bench, FIRST, LAST, more=("--strict",)).exit_code == Exit.OK
    assert len(bench.values()) == 2


def test_the_report_for_a_machine(bench: Any) -> None:
    """``--json``: one object with the counts, the mistakes with their places, and the same exit code."""
    result = run_import(bench, *MIXED, more=("--json",))
    assert result.exit_code == Exit.FAILED
    (line,) = result.stdout.splitlines()
    report = json.loads(line)
    assert {name: report[name] for name in ("rows_read", "written", "filtered", "rejected", "error_count")} == {
        "rows_read": 4,
        "written": 2,
        "filtered": 0,
        "rejected": 2,
        "error_count": 2,
    }
    assert (report["first"], report["last"]) == ("2020-03-01T09:00:00+00:00", "2020-03-02T09:00:00+00:00")
    assert [(error["line"], error["column"], error["field"]) for error in report["errors"]] == [
        (3, "amount", "amount"),
        (4, "type", "direction"),
    ]
    assert [output["topic"] for output in report["outputs"]] == ["bank.transactions"]
    assert "hunter2" not in result.stdout + result.stderr


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_the_tenant_of_the_command_line_stands_in_every_event(bench: Any, more: tuple[str, ...]) -> None:
    """``--tenant`` wins over the mapping's."""
    assert run_import(bench, FIRST, LAST, more=("--tenant", "another", *more)).exit_code == Exit.OK
    assert {value["tenant"] for value in bench.values()} == {"another"}
