"""The file of events that ``import`` writes and ``publish`` reads: JSON lines, gzipped where the name ends in .gz.

One line is one message: ``{"topic": "bank.transactions", "key": "C1", "value": {...}}``. The value is kept byte for
byte, so a file may also hold records that the system will refuse: whether a value is a good record is decided
where it is decoded.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

import msgspec

from schemas.topics import INBOUND
from triggers.errors import Problem

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""The longest line that is read: a value of the largest size a broker takes, and more."""

_BLOCK: Final = 1 << 20
_TOPICS: Final = frozenset(topic.name for topic in INBOUND)


class EventLine(NamedTuple):
    """One message of an event file. ``value`` is the JSON text exactly as the file has it; ``line`` counts from 1."""

    topic: str
    key: str | None
    value: bytes
    line: int


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    topic: str
    value: msgspec.Raw
    key: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Envelope)


class Part(NamedTuple):
    """Whole lines of a file that is not packed: the offsets where they begin and end, and the number of the first."""

    begin: int
    end: int
    line: int


def parts_of(path: Path, count: int) -> list[Part]:
    """A file that is not packed in so many parts of about one size, or fewer. Raises ``OSError``."""
    parts: list[Part] = []
    with path.open("rb") as file:
        size = file.seek(0, SEEK_END)
        begin, line = 0, 1
        for number in range(1, count + 1):
            file.seek(max(begin, size * number // count))
            while (text := file.readline(_BLOCK)) and not text.endswith(b"\n"):
                pass
            end = file.tell()
            if end > begin:
                parts.append(Part(begin, end, line))
                line += 0 if end == size else _line_ends(file, begin, end)
                begin = end
    return parts


def _line_ends(file: BinaryIO, begin: int, end: int) -> int:
    file.seek(begin)
    return sum(file.read(min(_BLOCK, end - at)).count(b"\n") for at in range(begin, end, _BLOCK))


def read_events(path: Path, part: Part | None = None) -> Iterator[EventLine | Problem]:
    """Reads an event file line by line; a line that is no envelope of an inbound topic comes as its problem.

    A file that cannot be opened or read further yields one last problem. Blank lines are passed over.
    Codes: F001 file, F002 not JSON, F003 not an envelope, F004 not an inbound topic, F005 too long.
    """
    name = str(path)
    decode, topics, new = _DECODER.decode, _TOPICS, tuple.__new__
    for found in read_lines(path, part):
        if type(found) is not tuple:
            yield found  # type: ignore[misc]  # a problem: whatever else there is, is a tuple
            continue
        line, text = found
        try:
            envelope = decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield _unread(name, line, error)
            continue
        if envelope.topic in topics:
            # As ``EventLine(…)``, without its call: this is done for every line.
            yield new(EventLine, (envelope.topic, envelope.key, bytes(envelope.value), line))
        else:
            known = ", ".join(sorted(topics))
            yield Problem(name, line, 1, "F004", f"expected one of the topics {known}", path="topic")


def read_lines(path: Path, part: Part | None = None) -> Iterator[tuple[int, bytes] | Problem]:
    """The lines of a file with their numbers, from 1, whatever they hold; with F001 and F005 of ``read_events``.

    With ``part`` only its lines.
    """
    name = str(path)
    line = 0
    end = None
    try:
        with open_for_reading(path) as file:
            if part is not None:
                file.seek(part.begin)
                line, end = part.line - 1, part.end
            while (end is None or file.tell() < end) and (text := file.readline(MAX_LINE_BYTES + 1)):
                line += 1
                if len(text) > MAX_LINE_BYTES:
                    yield Problem(name, line, 1, "F005", f"the line is longer than {MAX_LINE_BYTES} bytes")
                    while text and not text.endswith(b"\n"):
                        text = file.readline(MAX_LINE_BYTES)
                elif not text.isspace():
                    yield line, text
    except FileNotFoundError:
        yield Problem(name, 1, 1, "F001", "the file does not exist")
    except (OSError, EOFError, zlib.error) as error:
        why = "the gzip data is damaged or cut off" if path.suffix == ".gz" else error.__class__.__name__
        yield Problem(name, line + 1, 1, "F001", f"the file cannot be read: {why}")


def format_event(topic: str, key: str, value: str) -> str:
    """One line of an event file, with its line end. ``value`` is JSON text without a line break."""
    return f'{{"topic":{json.dumps(topic)},"key":{json.dumps(key)},"value":{value}}}\n'


@contextmanager
def replacing(output: Path, scratch: Path) -> Iterator[BinaryIO]:
    """A new file that takes the output's place when it is whole; packed where the name ends in .gz.

    ``scratch`` is a folder on the output's file system.
    """
    whole = scratch / "output"
    with whole.open("wb") as raw:
        if output.suffix == ".gz":
            # Neither a name nor a time in the header: the same events give the same bytes.
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                yield cast("BinaryIO", packed)
        else:
            yield raw
    whole.replace(output)


def open_for_reading(path: Path) -> BinaryIO:
    """Opens a file for reading its bytes, unpacked where the name ends in .gz."""
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _unread(name: str, line: int, error: Exception) -> Problem:
    if isinstance(error, msgspec.ValidationError):
        # A schema error of msgspec names types and fields, never a value.
        return Problem(name, line, 1, "F003", f'expected {{"topic": …, "key": …, "value": …}}: {str(error)[:200]}')
    return not_json(name, line, error)


def not_json(name: str, line: int, error: Exception) -> Problem:
    """The problem of a line that msgspec could not read."""
    return Problem(name, line, _position(error), "F002", "expected one JSON object on the line")


def _position(error: Exception) -> int:
    # msgspec ends its message with "(byte 17)", counted from 0.
    _, found, tail = str(error).rpartition("(byte ")
    digits = tail.rstrip(")")
    return int(digits) + 1 if found and digits.isdigit() else 1
