"""A mapping file's mistakes: all of them, each at its place, with what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.importer import ImportRefused, import_files
from streams.importer.mapping import Mapping
from streams.importer.mapping_reader import read_mapping


def problems_of(path: Path) -> list[str]:
    found = read_mapping(path)
    assert not isinstance(found, Mapping)
    return [str(problem).replace(f"{path.parent}/", "") for problem in found]


def test_many_mistakes_are_reported_in_one_reading(bench: Any) -> None:
    """Each mistake has its line, column, code and remedy; one does not hide the next."""
    path = bench.write(
        "m.yaml",
        """\
tenant: my bank
sources:
  rows: {file: rows.csv, seperator: ";"}
  other: {file: other.csv, encoding: latin-7x}
  third: {file: third.csv, header: false}
outputs:
  transactions:
    topic: bank.transaction
    from: rows
    record: {}
  loans:
    topic: bank.maturities
    from: rows
    values:
      day: {column: date, as: date, format: "%y%m%d"}
      when: {column: date, as: dat, format: "%Y"}
      two: {column: a, const: b}
      table: {column: a, default: x}
    record:
      amout: amount
""",
    )
    found = problems_of(path)
    assert [problem.partition(" ")[0] + " " + problem.split()[1] for problem in found] == [
        "m.yaml:1:9 E014",
        "m.yaml:3:26 E010",
        "m.yaml:4:38 E013",
        "m.yaml:5:10 E011",
        "m.yaml:8:12 E013",
        "m.yaml:15:45 E011",
        "m.yaml:16:32 E013",
        "m.yaml:17:12 E018",
        "m.yaml:18:35 E018",
        "m.yaml:20:7 E010",
        "m.yaml:20:7 E011",
    ]
    text = "\n".join(found)
    for remedy in (
        'did you mean "separator"?',
        'did you mean "bank.transactions"?',
        'did you mean "date"?',
        'did you mean "amount"?',
        "two-digit years need century_from",
        "a file without a header needs columns",
        "expected an encoding such as",
        "a maturity also needs",
        "default belongs to a table",
    ):
        assert remedy in text


@pytest.mark.parametrize(
    ("value", "code", "remedy"),
    [
        ("{column: at, as: date, format: '%d'}", "E014", "a format with year, month and day"),
        ("{column: at, as: date, format: '%Y-%m-%d %H'}", "E014", "%H cannot stand in the format of a date"),
        ("{column: at, as: datetime, format: iso, century_from: 1950}", "E018", "belongs to a format with %y"),
        ("{column: at, as: number, decimal: ';'}", "E013", 'expected "." or ","'),
        ("{column: at, as: number, thousands: '.'}", "E013", "other than the decimal sign"),
        ("{column: at, as: number, format: iso}", "E018", "format belongs to as: date or datetime"),
        ("{column: at, transform: birth}", "E013", "unknown name"),
        ("{column: at, table: kinds}", "E013", "there is none"),
        ("{column: at, at: '25:00'}", "E016", "such as 08:00"),
        ("{column: at, timezone: Europe/Paris}", "E018", "timezone belongs to"),
        ("{column: at, at: '08:00', timezone: Europe/Pari}", "E013", "such as Europe/Prague"),
        ("{template: '{a'}", "E014", "a brace is not closed"),
        ("{template: '{a:>3}'}", "E014", "a plain name in braces"),
        ("{column: at, slice: [1]}", "E012", "[start, length]"),
        ("{days_between: [at]}", "E012", "two dates"),
        ("{column: at, plus: {months: 1.5, years: 1}}", "E010", 'unknown key "years"'),
        ("{cases: [{if: {a: b}, use: at}]}", "E011", 'the key "when" is missing'),
        ("{column: at, else: at}", "E018", "else belongs to cases"),
        ("[at]", "E012", "expected text"),
    ],
)
def test_a_value_that_makes_no_sense(bench: Any, value: str, code: str, remedy: str) -> None:
    """Each mistake in a value is refused before any file is opened."""
    (problem, *_) = problems_of(bench.mapping(record={"occurred_at": value}))
    assert f" {code} " in problem
    assert remedy in problem
    assert "outputs.transactions.record.occurred_at" in problem


@pytest.mark.parametrize(
    ("sequence", "remedy"),
    [
        ("", "also needs sequence; number the rows with the output's own key sequence"),
        ("    sequence: {order: [at]}", 'the key "per" is missing'),
        ("    sequence: {per: account, spread_seconds: 0}", "a whole number from 1 to 3600"),
        ("    sequence: {per: account, chain: {balance: balance}}", 'the key "amount" is missing'),
        ("    sequence: {per: account, chain: {balance: balance, amount: amount, tolerance: -1}}", "zero or more"),
    ],
)
def test_a_sequence_that_makes_no_sense(bench: Any, sequence: str, remedy: str) -> None:
    """What numbers the rows is checked like everything else."""
    assert remedy in problems_of(bench.mapping(sequence=sequence))[0]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (None, "m.yaml:1:1 E001 the file cannot be read"),
        ("", "m.yaml:1:1 E011 the file is empty"),
        ("a: [", "m.yaml:"),
        ("sources: {a: &x {file: b}, c: *x}", "m.yaml:1:14 E004"),
        ("[1]", "m.yaml:1:1 E012 expected keys and values: tenant"),
        ("sources: {a: {file: a.csv}}", 'm.yaml:1:1 E011 the key "outputs" is missing'),
    ],
)
def test_files_that_are_no_mapping(bench: Any, text: str | None, start: str) -> None:
    """A missing, empty or broken file is one located problem."""
    path = bench.folder / "m.yaml"
    if text is not None:
        path.write_text(text)
    assert problems_of(path)[0].startswith(start)


def test_columns_are_checked_against_the_header_before_any_row(bench: Any) -> None:
    """Every name that no column has is found at once, at its place in the mapping, with the nearest that exists."""
    found = bench.refusals(
        rows="id,customer,account,at,type,amount,balance\nbad row\n",
        record={
            "amount": "{column: amuont, as: number}",
            "currency": "CZK",
            "merchant": '{template: "{shop}"}',
            "channel": "{value: later}",
        },
        output="    where: {stauts: ok}\n    values: {type: {const: x}, early: {value: late}, late: {const: 1}}",
    )
    text = "\n".join(found)
    for remedy in (
        'no column is named "amuont": did you mean "amount"?',
        'no column or value above is named "CZK"',
        "for a constant write {const: …}",
        'no column or value above is named "shop"',
        'no value above is named "later"',
        'no value above is named "late"',
        'no column or value above is named "stauts"',
        'a column is named "type" too',
    ):
        assert remedy in text
    assert all(problem.startswith("mapping.yaml:") for problem in found)


def test_join_columns_are_checked(bench: Any) -> None:
    """Both sides of a join, and its where, must exist."""
    bench.write("people.csv", "acc,client\n")
    found = bench.refusals(
        sources="  people: {file: people.csv}",
        output="    join: {owner: {source: people, on: {acount: ac}, where: {kind: OWNER}}}",
    )
    assert len(found) == 3
    assert {word for problem in found for word in ("acount", '"ac"', "kind") if word in problem} == {
        "acount",
        '"ac"',
        "kind",
    }


@pytest.mark.parametrize(
    ("rows", "parts", "message"),
    [
        ("", {}, "rows.csv:1:1 I002 the file is empty"),
        ("a,b,a\n", {}, "rows.csv:1:1 I003 two columns are named 'a'"),
        (b"id,\xe9\n", {}, "rows.csv:1:1 I002 the first line is not utf-8 text: set the source's encoding"),
        ("id\n", {"files": ["none.csv"]}, "I001 the file does not exist"),
        ("id\n", {"files": []}, 'mapping.yaml:4:9 I005 no file is given for the source "rows"; expected rows.csv'),
        ("id\n", {"files": ["x.csv", "y.csv"]}, "I004 no source of the mapping has files of this name"),
        ("a\n", {"source": ", encoding: utf-16"}, "I002 the first line cannot be read as utf-16"),
    ],
)
def test_files_that_an_import_cannot_begin_with(
    bench: Any, rows: str | bytes, parts: dict[str, Any], message: str
) -> None:
    """Missing files and headers that make no sense are refused before anything is written."""
    assert any(message in problem for problem in bench.refusals(rows=rows, **parts))


def test_files_of_one_source_must_agree(bench: Any) -> None:
    """A second file with other columns is refused with what was expected."""
    more = bench.write("more.csv", "id,customer\n")
    (problem,) = bench.refusals(files=[f"rows={bench.folder}/rows.csv", f"rows={more}"])
    assert problem.startswith("more.csv:1:1 I006 the columns differ from those of rows.csv")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("none/out.jsonl", "the folder of the output does not exist"),
        (".", "the output is a folder"),
        ("rows.csv", "would replace one of the files it is made from"),
    ],
)
def test_an_output_that_cannot_stand_there(bench: Any, output: str, message: str) -> None:
    """A place that is missing, a folder or an input is told before the work begins, and nothing is touched."""
    rows = bench.write("rows.csv", "id\n")
    with pytest.raises(ImportRefused, match=f"I007 .*{message}"):
        import_files(bench.mapping(), [str(rows)], bench.folder / output)
    assert rows.read_text() == "id\n"
