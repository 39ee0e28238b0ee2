"""YAML as rule files use it: what is text and what is not, what is refused, and where every value stands."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triggers.language.document import MAX_BYTES, MAX_NODES, read_document


def _plain(text: str | bytes) -> Any:
    document, problems = read_document("f.yaml", text)
    assert document is not None, [str(problem) for problem in problems]
    assert not problems
    return document.root.plain() if document.root else None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("1.50", Decimal("1.50")),
        ("-0.25", Decimal("-0.25")),
        ("0.1000000000000000055", "0.1000000000000000055"),
        ('"12"', "12"),
        ("'true'", "true"),
        *[(same, same) for same in ("yes", "No", "on", "off", "y", "True", "FALSE", "Null", "NULL")],
        *[(same, same) for same in ("1_000", "012", "0o14", "0x1F", "1e3", ".5", "5.", ".inf", ".nan", "1,000", "+-1")],
        *[(same, same) for same in ("12:30", "09:00", "2026-03-02", "2026-03-02 10:00", "1.2.3", "7d", "=")],
        ("9" * 19, "9" * 19),
    ],
)
def test_scalars_are_never_bent(text: str, value: Any) -> None:
    """Only true, false, null, whole numbers and decimals are read; all that YAML 1.1 would guess at stays text."""
    found = _plain(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_stay_text() -> None:
    """Also on, yes and numbers."""
    assert list(_plain("on: 1\nyes: 2\n12: 3\n~: 4\n")) == ["on", "yes", "12", "~"]


def test_every_value_and_key_knows_its_place() -> None:
    """Line and column count from 1; the path leads there."""
    document, _ = read_document("f.yaml", "a:\n  - {b: 上海, c: 2}\n  - x\n")
    assert document is not None
    assert document.root is not None
    items = document.root.value["a"].value.value  # type: ignore[index,call-overload,union-attr]
    entry = items[0].value["c"]
    assert (entry.place.line, entry.place.column, entry.place.path) == (2, 13, "a[0].c")
    assert (entry.value.place.line, entry.value.place.column) == (2, 16)
    assert (items[1].place.line, items[1].place.column, items[1].place.path) == (3, 5, "a[1]")


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        (b"a: \xff", "E001", 1, 4),
        ("a: 上\n".encode() + b"b: \xe4\xb8", "E001", 2, 4),
        ("a: 1\nb: 2\n".encode("utf-16"), "E001", 1, 1),
        ("a: x\0", "E001", 1, 5),
        ("a: \x07", "E001", 1, 4),
        ("a: \ud800", "E001", 1, 4),
        ("a: x\u2028b", "E001", 1, 5),
        ("a: 1\rb: 2", "E001", 1, 5),
        ("a: " + "x" * MAX_BYTES, "E001", 1, 1),
        ("a:\n\tb: 1", "E002", 2, 1),
        ("a: b: c", "E002", 1, 5),
        ("a: [1, 2", "E002", 1, 9),
        ('a: "x', "E002", 1, 6),
        ("a: 1\n b: 2", "E002", 2, 3),
        ("a: `x`", "E002", 1, 4),
        ("a: 1\nb: 2\na: 3", "E003", 3, 1),
        ("a: {b: 1, b: 2}", "E003", 1, 11),
        ("a: &x 1", "E004", 1, 4),
        ("a: *x", "E004", 1, 4),
        ("<<: {a: 1}", "E004", 1, 1),
        ("a: !!str 1", "E004", 1, 4),
        ("a: !!python/object:os.system {}", "E004", 1, 4),
        ("a: 1\n---\nb: 2", "E004", 2, 1),
        ("%TAG ! tag:example.com,2000:\n---\na: 1", "E004", 1, 1),
        ("[" * 50, "E005", 1, 22),
        ("a: [" + "1," * MAX_NODES + "]", "E005", 1, 2 * MAX_NODES - 1),
        ("? [a]\n: 1", "E012", 1, 3),
        ("{a: 1}: 2", "E012", 1, 1),
    ],
)
def test_what_rule_files_do_not_have_is_refused(text: str | bytes, code: str, line: int, column: int) -> None:
    """With its place, whatever the bytes."""
    _, problems = read_document("f.yaml", text)
    assert [(problem.code, problem.line, problem.column) for problem in problems] == [(code, line, column)]


def test_a_tab_is_named() -> None:
    """The most common mistake has its own words."""
    _, problems = read_document("f.yaml", "a:\n\tb: 1")
    assert problems[0].message == "a tab cannot indent; use spaces"


def test_all_duplicate_keys_are_reported() -> None:
    """They do not end the reading of the file."""
    document, problems = read_document("f.yaml", "a: 1\na: 2\nb: {c: 1, c: 2}\n")
    assert document is not None
    assert [(problem.line, problem.path) for problem in problems] == [(2, "a"), (3, "b.c")]


def test_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    """A file saved on Windows is the same file."""
    document, problems = read_document("f.yaml", b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    assert not problems
    assert document is not None
    assert document.text == "a: 1\nb: x\n"


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60)
    | st.text(max_size=60)
    | st.lists(st.sampled_from([*"ab:-?[]{}&*!|>'\"%@`#, \n\t~.1", "<<", "---", "true", "\u2028"]), max_size=30).map(
        "".join
    )
)
def test_any_bytes_are_a_document_or_located_problems(data: bytes | str) -> None:
    """Never an exception; a place is within the file."""
    document, problems = read_document("f.yaml", data)
    assert document is not None or problems
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    for problem in problems:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert problem.column >= 1


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a: b'c", [4, 5, 6]),
        ("a: 'b''''c'", [5, 6, 8, 10]),
        ('a: "b\\"\\u4e0a\\x41c"', [5, 6, 8, 14, 18]),
    ],
)
def test_every_character_of_quoted_text_is_found(text: str, columns: list[int]) -> None:
    """Doubled quotes and escapes take more room in the file than in the text."""
    document, _ = read_document("f.yaml", text)
    assert document is not None
    assert document.root is not None
    node = document.root.value["a"].value  # type: ignore[index,call-overload,union-attr]
    assert [document.locate(node, offset).column for offset in range(len(node.text))] == columns


@pytest.mark.parametrize(
    ("text", "value", "column", "says"),
    [
        ("{sum: max(event.amount, 5), over: 7d}", {"sum": "max(event.amount, 5)", "over": "7d"}, 7, "in quotes"),
        ("{sum: max(1,2 , 3)}", {"sum": "max(1,2, 3)"}, 7, "in quotes"),
        (
            "{over: 7d, share: percent(out_30d, peak_30d)}",
            {"over": "7d", "share": "percent(out_30d, peak_30d)"},
            19,
            "in q",
        ),
        ("{en: Hello, dear friend}", {"en": "Hello, dear friend"}, 6, "in quotes"),
        ("{balance: 20,000}", {"balance": 20000}, 11, "without a thousands separator"),
        ("{balance: 1,200,300, tier: mid}", {"balance": 1200300, "tier": "mid"}, 11, "without a thousands separator"),
        ("{where: event.amount >= 10,000 and 1 < 2}", {"where": "event.amount >= 10000 and 1 < 2"}, 9, "thousands"),
    ],
)
def test_a_comma_that_cuts_a_value(text: str, value: Any, column: int, says: str) -> None:
    """Inside braces it is one problem at the value, which is read whole, so that nothing follows from it."""
    document, problems = read_document("f.yaml", text)
    assert [(problem.code, problem.line, problem.column) for problem in problems] == [("E004", 1, column)]
    assert "inside { } a comma ends the value" in problems[0].message
    assert says in problems[0].message
    assert document is not None
    assert document.root is not None
    assert document.root.plain() == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{every: month, on_day}", {"every": "month", "on_day": None}),
        ("{every: month, on_day: }", {"every": "month", "on_day": None}),
        ('{en: "Hello", dear friend}', {"en": "Hello", "dear friend": None}),
        ("{a: 20, 000: }", {"a": 20, "000": None}),
        ("{a: [1], b c}", {"a": [1], "b c": None}),
        ("{a: f(1, b: 2}", {"a": "f(1", "b": 2}),
        ("a: 20,000", {"a": "20,000"}),
    ],
)
def test_a_key_without_a_value_stays_one(text: str, value: Any) -> None:
    """It is no rest of a value before it: that one is whole, or the key has a colon."""
    assert _plain(text) == value


def test_quotation_marks_and_brackets_in_braces() -> None:
    """What YAML cannot read there is told how to be written."""
    _, problems = read_document("f.yaml", '{where: event.channel in ["app", "atm"], over: 7d}')
    assert [problem.code for problem in problems] == ["E002"]
    assert "goes in quotes" in problems[0].message
