"""Reads delimited text: the header checked first, then row by row, each with its line or with what is wrong.

Nothing of a row is repaired: a row with too many or too few fields, a stray quote or a byte that is not of the
encoding is refused by itself, and reading goes on.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from streams.event_file import open_for_reading
from streams.importer.mapping import Source
from streams.importer.report import RowError
from triggers.errors import Problem

_NOT_OF_ENCODING: Final = ("\udc80", "\udcff")
"""The range that ``surrogateescape`` puts a byte into that the encoding does not know."""


class Lines(Protocol):
    """What ``csv.reader`` gives: rows, and how many lines were read so far."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the file, the line it begins on, and its fields in the header's order."""

    file: str
    line: int
    fields: list[str]


def read_header(source: Source, path: Path) -> tuple[str, ...] | Problem:
    """The names of the columns: of the file's first line, or the mapping's where the file has none."""
    name = str(path)
    if not path.is_file():
        return Problem(name, 1, 1, "I001", "the file does not exist")
    try:
        with _open(source, path) as file:
            first = next(_reader(source, file), None)
    except (UnicodeError, csv.Error, OSError, EOFError, zlib.error) as error:
        return Problem(name, 1, 1, "I002", f"the first line cannot be read as {source.encoding}: {_why(error)}")
    if source.columns:
        return source.columns
    if not first:
        return Problem(name, 1, 1, "I002", "the file is empty; expected a first line with the names of the columns")
    if any(_foreign(column) for column in first):
        return Problem(name, 1, 1, "I002", f"the first line is not {source.encoding} text: set the source's encoding")
    columns = tuple(column.strip() for column in first)
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        return Problem(name, 1, 1, "I003", f"two columns are named {', '.join(map(repr, repeated))}; expected one each")
    return columns


def read_rows(source: Source, path: Path, columns: tuple[str, ...]) -> Iterator[Row | RowError]:
    """Every row after the header. Blank lines are passed over; an error of the file itself ends it."""
    name = str(path)
    expected = len(columns)
    with _open(source, path) as file:
        reader = _reader(source, file)
        header = not source.columns
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield RowError(name, line, "", "", "R001", f"the row cannot be read: {error}")
                continue
            except (UnicodeError, OSError, EOFError, zlib.error) as error:
                yield RowError(name, line, "", "", "R001", f"the file cannot be read from here on: {_why(error)}")
                return
            if header:
                header = False
            elif not fields:
                continue
            elif len(fields) != expected:
                hint = ": is a separator inside a field not quoted?" if len(fields) > expected else ""
                yield RowError(name, line, "", "", "R002", f"expected {expected} fields, found {len(fields)}{hint}")
            elif foreign := [column for column, text in zip(columns, fields, strict=True) if _foreign(text)]:
                yield RowError(name, line, foreign[0], "", "R003", f"a byte is not {source.encoding} text")
            else:
                yield Row(name, line, fields)


def _open(source: Source, path: Path) -> IO[str]:
    # utf-8-sig is utf-8 that passes over the mark that spreadsheet programs put first.
    encoding = "utf-8-sig" if source.encoding == "utf-8" else source.encoding
    return io.TextIOWrapper(open_for_reading(path), encoding=encoding, errors="surrogateescape", newline="")


def _reader(source: Source, file: IO[str]) -> Lines:
    if not source.quote:
        return csv.reader(file, delimiter=source.separator, quoting=csv.QUOTE_NONE, strict=True)
    return csv.reader(file, delimiter=source.separator, quotechar=source.quote, strict=True)


def _foreign(text: str) -> bool:
    return not text.isascii() and any(_NOT_OF_ENCODING[0] <= char <= _NOT_OF_ENCODING[1] for char in text)


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "its bytes are not of that encoding"
    if isinstance(error, csv.Error):
        return str(error)
    return (
        error.strerror or "it cannot be read" if isinstance(error, OSError) else "the gzip data is damaged or cut off"
    )
