"""A YAML file as located values: every key and value knows its line and column, nothing is guessed.

YAML 1.2, and less of it: plain ``true``/``false``, ``null``/``~``/nothing, whole numbers and decimals are read as
such; everything else is text, also what YAML 1.1 would bend (``yes``, ``on``, ``1_000``, ``012``, ``12:30``,
``2026-03-02``). Anchors, aliases, merge keys, tags and further documents are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

import yaml

from triggers.errors import Problem
from triggers.language import codes
from triggers.language.codes import Code

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 20
MAX_NODES: Final = 50_000
_MOST_PROBLEMS: Final = 200

_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_DECIMAL: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}", re.ASCII)
_NULLS: Final = frozenset({"", "~", "null"})
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ENDS_IN_NUMBER: Final = re.compile(r"(?:.*[^0-9A-Za-z_.])?[0-9]{1,3}", re.ASCII | re.DOTALL)
_THOUSANDS: Final = re.compile(r"[0-9]{3}(?![0-9])", re.ASCII)
# What YAML allows, without the line breaks that only YAML 1.1 knew: editors count lines without them.
_FORBIDDEN: Final = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

Scalar = str | int | Decimal | bool | None


class Place(NamedTuple):
    """A position in a file, counted from 1, and the key path that leads to it."""

    line: int
    column: int
    path: str

    def under(self, key: str) -> Place:
        """The same position, for a key that should stand there."""
        return Place(self.line, self.column, f"{self.path}.{key}" if self.path else key)


class Node(NamedTuple):
    """A value with its place. ``text`` is a scalar's text as YAML read it, ``start`` the index where it begins.

    ``style`` is that of YAML: empty for plain, a quotation mark, ``|`` or ``>``.
    """

    value: Scalar | dict[str, Entry] | list[Node]
    place: Place
    text: str = ""
    start: int = 0
    style: str = ""

    def plain(self) -> Any:
        """The bare value, all the way down."""
        if isinstance(self.value, dict):
            return {key: entry.value.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


class Entry(NamedTuple):
    """A key of a mapping, with the key's own place, and its value."""

    place: Place
    value: Node


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read. ``root`` is ``None`` for an empty one."""

    file: str
    text: str
    root: Node | None

    def locate(self, node: Node, offset: int) -> Place:
        """Where in the file the character ``offset`` of a scalar's text stands, folded and quoted text included."""
        index = _source_index(self.text, node, offset)
        if index is None:
            return node.place
        line_start = self.text.rfind("\n", 0, index) + 1
        return Place(self.text.count("\n", 0, index) + 1, index - line_start + 1, node.place.path)


class _Refused(Exception):
    def __init__(self, code: Code, message: str, place: Place) -> None:
        super().__init__(message)
        self.code, self.message, self.place = code, message, place


def read_document(file: str, data: bytes | str) -> tuple[Document | None, list[Problem]]:
    """Reads one file. Whatever the bytes are, the outcome is a document or located problems, never an exception.

    Duplicate keys are all reported; what breaks the structure ends the reading of the file.
    """
    problems: list[Problem] = []

    def report(code: Code, message: str, place: Place) -> None:
        problems.append(Problem(file, place.line, place.column, code.id, message, place.path))
        if len(problems) == _MOST_PROBLEMS:
            raise _Refused(codes.TOO_BIG, f"{_MOST_PROBLEMS} keys stand twice; the rest is not looked for", place)

    try:
        text = decode(data)
        root = _Composer(text, report).compose()
    except _Refused as refused:
        code, message, place = refused.code, refused.message, refused.place
    except yaml.MarkedYAMLError as error:
        place = _mark_place(error, text)
        code, message = codes.NOT_YAML, _explain(error, text, place)
    except yaml.reader.ReaderError as error:
        code, message, place = codes.UNREADABLE, str(error.reason), Place(1, 1, "")
    else:
        return Document(file, text, root), problems
    problems.append(Problem(file, place.line, place.column, code.id, message, place.path))
    return None, problems


def decode(data: bytes | str) -> str:
    """The text of a file: UTF-8, a byte order mark dropped, line ends as ``\\n``."""
    size = len(data) if isinstance(data, bytes) else len(data.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise _Refused(codes.UNREADABLE, f"the file has {size} bytes; at most {MAX_BYTES} are read", Place(1, 1, ""))
    if isinstance(data, bytes):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8")
            message = "the file is not UTF-8 here; save it as UTF-8"
            raise _Refused(codes.UNREADABLE, message, _place_at(before, len(before))) from None
    else:
        text = data
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    bad = _FORBIDDEN.search(text)
    if bad:
        message = f"the character U+{ord(bad[0]):04X} may not stand in a file"
        raise _Refused(codes.UNREADABLE, message, _place_at(text, bad.start()))
    return text


def read_scalar(text: str) -> Scalar:
    """What a plain scalar means: see the module."""
    if text in _NULLS:
        return None
    if text == "true":
        return True
    if text == "false":
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    return text


class _Composer:
    """Builds nodes from the parser's events; events are bounded as they come, before anything is built."""

    def __init__(self, text: str, report: Any) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._text = text
        self._report = report
        self._count = 0
        self._end = 0
        """Where the last scalar ended."""
        self._cut = -1
        """Where the last value began that a comma cut in two."""

    def compose(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "", "a second document; one file holds one")
                if event.tags:
                    self._refuse(event, "", "a %TAG directive")
                root = self._node(next(self._events), "", 0)
        if root is not None and root.value is None and not root.text:
            return None
        return root

    def _node(self, event: Any, path: str, depth: int) -> Node:
        self._bound(event, path, depth)
        place = _event_place(event, path)
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, path, "an alias (*); write the value out")
        if event.anchor is not None:
            self._refuse(event, path, "an anchor (&); write the value out where it is needed")
        if event.tag is not None:
            self._refuse(event, path, "a tag (!); text goes in quotes, nothing else needs one")
        if isinstance(event, yaml.ScalarEvent):
            style = event.style or ""
            self._end = _end_index(event)
            value = event.value if style else read_scalar(event.value)
            return Node(value, place, event.value, _event_index(event), style)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(child := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(child, f"{path}[{len(items)}]", depth + 1))
            return Node(items, place)
        entries: dict[str, Entry] = {}
        while not isinstance(child := next(self._events), yaml.MappingEndEvent):
            self._entry(child, path, depth + 1, entries, in_braces=event.flow_style)
        return Node(entries, place)

    def _entry(self, event: Any, path: str, depth: int, entries: dict[str, Entry], *, in_braces: bool) -> None:
        if not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
            raise _Refused(codes.WRONG_TYPE, "a key must be text", _event_place(event, path))
        before = self._end
        key = self._node(event, path, depth)
        between, after = self._text[before : key.start], self._end
        name = key.text
        inner = f"{path}.{shorten(name)}" if path else shorten(name)
        place = Place(key.place.line, key.place.column, inner)
        if name == "<<" and not key.style:
            raise _Refused(codes.YAML_FORM, "a merge key (<<); write the keys out", place)
        value = self._node(next(self._events), inner, depth)
        bare = value.value is None and not value.text and ":" not in self._text[after : self._end]
        if in_braces and bare and entries and between.strip() == "," and self._joined(key, between, entries):
            return
        if name in entries:
            first = entries[name].place.line
            self._report(codes.DUPLICATE_KEY, f'the key "{shorten(name)}" stands here already on line {first}', place)
        else:
            entries[name] = Entry(place, value)

    def _joined(self, rest: Node, between: str, entries: dict[str, Entry]) -> bool:
        """Whether a key without a value is the rest of the value before it, which a comma cut: it is put together."""
        name, last = next(reversed(entries.items()))
        value, text = last.value, last.value.text
        if not text or value.style or rest.style:
            return False
        nested = text.count("(") + text.count("[") > text.count(")") + text.count("]")
        number = text[-1].isdigit() if value.start == self._cut else _ENDS_IN_NUMBER.fullmatch(text)
        thousands = not nested and between == "," and number and _THOUSANDS.match(rest.text)
        if not nested and not thousands and value.start != self._cut and _WORD.fullmatch(rest.text):
            return False  # a key that lacks its value
        if value.start != self._cut:
            better = "write numbers without a thousands separator" if thousands else "put the whole value in quotes"
            self._report(codes.YAML_FORM, f"inside {{ }} a comma ends the value: {better}", value.place)
            self._cut = value.start
        whole = text + ("" if thousands else ", " if len(between) > 1 else ",") + rest.text
        entries[name] = Entry(last.place, Node(read_scalar(whole), value.place, whole, value.start))
        return True

    def _bound(self, event: Any, path: str, depth: int) -> None:
        self._count += 1
        if depth > MAX_DEPTH:
            raise _Refused(codes.TOO_BIG, f"nested more than {MAX_DEPTH} deep", _event_place(event, path))
        if self._count > MAX_NODES:
            raise _Refused(codes.TOO_BIG, f"more than {MAX_NODES} values in one file", _event_place(event, path))

    def _refuse(self, event: Any, path: str, what: str) -> None:
        raise _Refused(codes.YAML_FORM, what, _event_place(event, path))


def shorten(text: str, limit: int = 60) -> str:
    """Text for a message: one line, bounded."""
    line = text.replace("\n", " ")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _event_place(event: Any, path: str) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1, path)


def _event_index(event: Any) -> int:
    return int(event.start_mark.index)


def _end_index(event: Any) -> int:
    return int(event.end_mark.index)


def _place_at(text: str, index: int) -> Place:
    return Place(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index), "")


def _mark_place(error: yaml.MarkedYAMLError, text: str) -> Place:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Place(1, 1, "")
    lines = text.split("\n")
    if mark.line >= len(lines):  # the parser puts the end of the file on a line of its own
        return Place(len(lines), len(lines[-1]) + 1, "")
    return Place(mark.line + 1, mark.column + 1, "")


def _explain(error: yaml.MarkedYAMLError, text: str, place: Place) -> str:
    problem = error.problem or error.context or "no reason given"
    line = text.split("\n")[place.line - 1 : place.line]
    if line and line[0][place.column - 1 : place.column] == "\t":
        return "a tab cannot indent; use spaces"
    if "mapping values are not allowed" in problem:
        return "a colon that begins a value cannot stand here; check the indentation, or put the text in quotes"
    if "expected ',' or '}'" in problem:
        return 'inside { } a value with brackets, or with quotation marks in it, goes in quotes: "…"'
    return f"not YAML: {problem}"


_ESCAPE_LENGTH: Final = {"x": 4, "u": 6, "U": 10}


def _source_index(source: str, node: Node, offset: int) -> int | None:
    """The index in the file of a scalar's character: walks text and source side by side, spaces apart."""
    at = node.start
    if node.style in ("|", ">"):
        at = source.find("\n", at) + 1
    elif node.style:
        at += 1
    end = len(source)
    for position, character in enumerate(node.text):
        if node.style == '"' and source.startswith("\\", at) and not source.startswith("\\\n", at):
            found, length = at, _ESCAPE_LENGTH.get(source[at + 1 : at + 2], 2)
        elif character.isspace():
            found, length = at, 0
        else:
            while at < end and source[at] != character:
                at += 1
            found, length = at, 2 if node.style == "'" == character else 1
        if found >= end:
            return None
        if position == offset:
            return found
        at = found + length
    return at if offset >= len(node.text) and at <= end else None
