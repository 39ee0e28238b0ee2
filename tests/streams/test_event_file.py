"""The event file: what import writes is what publish reads, and every other line is located."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from streams.event_file import MAX_LINE_BYTES, EventLine, format_event, read_events
from triggers.errors import Problem


def read(path: Path, data: bytes) -> list[EventLine | Problem]:
    path.write_bytes(data)
    return list(read_events(path))


def test_a_line_comes_back_byte_for_byte(tmp_path: Path) -> None:
    """The value keeps every digit and space it was written with; a missing key is none."""
    line = format_event("bank.transactions", 'c"1é', '{"amount": 1.10,"a":"é"}')
    assert line.count("\n") == 1
    got = read(tmp_path / "e.jsonl", line.encode() + b'\n{"topic":"bank.profiles","value":[1]}')
    assert got == [
        EventLine("bank.transactions", 'c"1é', '{"amount": 1.10,"a":"é"}'.encode(), 1),
        EventLine("bank.profiles", None, b"[1]", 3),
    ]


def test_gzip_is_unpacked_by_suffix(tmp_path: Path) -> None:
    """A name that ends in .gz is a packed file."""
    line = format_event("bank.transactions", "c1", "{}").encode()
    assert read(tmp_path / "e.jsonl.gz", gzip.compress(line)) == [EventLine("bank.transactions", "c1", b"{}", 1)]


@pytest.mark.parametrize(
    ("line", "column", "code"),
    [
        (b"bad", 1, "F002"),
        (b'{"topic":"bank.transactions","value":{"a":NaN}}', 43, "F002"),
        (b'{"topic":"bank.transactions","value":{}} {}', 43, "F002"),
        (b'{"topic":"bank.transactions","value":{}', 1, "F002"),
        (b'{"topic":"bank.transac\xff","value":{}}', 1, "F002"),
        (b'{"topic":"bank.transactions"}', 1, "F003"),
        (b'{"topic":"bank.transactions","value":{},"headers":{}}', 1, "F003"),
        (b'{"topic":"bank.transactions","key":7,"value":{}}', 1, "F003"),
        (b"[]", 1, "F003"),
        (b'{"topic":"outreach.push","value":{}}', 1, "F004"),
        (b'{"topic":"bank.transaction","value":{}}', 1, "F004"),
    ],
)
def test_a_bad_line_is_located_and_the_next_one_read(tmp_path: Path, line: bytes, column: int, code: str) -> None:
    """The problem has line, column and code; reading goes on."""
    good = format_event("bank.transactions", "c1", "{}").encode()
    first, problem, last = read(tmp_path / "e.jsonl", good + line + b"\n" + good)
    assert isinstance(first, EventLine)
    assert isinstance(problem, Problem)
    assert (problem.line, problem.code) == (2, code)
    assert problem.column == column
    assert last == EventLine("bank.transactions", "c1", b"{}", 3)


def test_a_line_without_end_is_passed_over(tmp_path: Path) -> None:
    """A line longer than the bound is not held in memory whole, and the line after it is read."""
    good = format_event("bank.transactions", "c1", "{}").encode()
    long = b'"' + b"x" * (2 * MAX_LINE_BYTES) + b'"\n'
    problem, last = read(tmp_path / "e.jsonl", long + good)
    assert isinstance(problem, Problem)
    assert problem.code == "F005"
    assert last == EventLine("bank.transactions", "c1", b"{}", 2)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing, unpacked or cut file ends with one problem after what could be read."""
    (missing,) = read_events(tmp_path / "none.jsonl")
    assert str(missing).endswith("none.jsonl:1:1 F001 the file does not exist")
    (plain,) = read(tmp_path / "plain.gz", b'{"topic"')
    assert isinstance(plain, Problem)
    assert "damaged" in plain.message
    lines = "".join(format_event("bank.transactions", f"c{n}", f"[{n * n * 7919}]") for n in range(5000)).encode()
    *read_lines, last = read(tmp_path / "cut.gz", gzip.compress(lines)[:9000])
    assert isinstance(last, Problem)
    assert last.line == len(read_lines) + 1 > 1
    assert all(isinstance(line, EventLine) for line in read_lines[:-1])
