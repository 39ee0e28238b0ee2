"""A rule file with everything its author sees: order, comments and blank lines, each held by the entry it is about."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

import yaml

_BLANK_END: Final = re.compile(r"(?:\n[ \t]*)+\Z")


@dataclass(slots=True)
class Scalar:
    """A scalar: its value as text, its YAML style, and its source (for block scalars: header and lines)."""

    text: str
    style: str
    source: str


@dataclass(slots=True)
class Entry:
    """A pair of a mapping or an item of a list (then without a key), with what is written about it.

    ``lead`` are the comments and blank lines above it (a blank one is empty), ``note`` the comment at the end of
    its line and ``note_column`` where that stood.
    """

    key: Scalar | None
    value: Scalar | Collection
    line: int
    column: int
    lead: list[str] = field(default_factory=list)
    note: str = ""
    note_column: int = 0


@dataclass(slots=True)
class Collection:
    """A mapping or a list. ``tail`` are the comments and blank lines after its last entry, indented like it."""

    is_list: bool
    flow: bool
    column: int
    entries: list[Entry] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)

    def comments(self) -> Iterator[str]:
        """Every comment in it, in order."""
        for entry in self.entries:
            yield from filter(None, (*entry.lead, entry.note))
            if isinstance(entry.value, Collection):
                yield from entry.value.comments()
        yield from filter(None, self.tail)


@dataclass(slots=True)
class Layout:
    """A whole file: what stands above its first entry, and the value under it."""

    header: list[str]
    root: Scalar | Collection | None

    def comments(self) -> Iterator[str]:
        yield from filter(None, self.header)
        if isinstance(self.root, Collection):
            yield from self.root.comments()


def read_layout(text: str) -> Layout:
    """The layout of a file that ``read_document`` accepts."""
    builder = _Builder(text)
    root = builder.build()
    header = _attach(builder)
    return Layout(header, root)


class _Builder:
    """Goes through the parser's events once and notes where every token ends, and whose it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.starts = [0, *accumulate(len(line) + 1 for line in self.lines)]
        """Where each line begins."""
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self.spans: list[tuple[int, int]] = []
        """Where scalars stand: a # in them is no comment."""
        self.tokens: list[tuple[int, Entry]] = []
        """The end of every key, value, bracket and dash, with its entry."""
        self.entries: list[tuple[Entry, tuple[Collection, ...]]] = []
        """All entries in order, each with the collections it is in, outermost first."""
        self._last: Any = None
        """Where the collection before ended."""

    def build(self) -> Scalar | Collection | None:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                first = next(self._events)
                return self._node(first, None, ())
        return None

    def _node(self, event: Any, owner: Entry | None, inside: tuple[Collection, ...]) -> Scalar | Collection:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, owner)
        flow = bool(event.flow_style)
        is_list = isinstance(event, yaml.SequenceStartEvent)
        collection = Collection(is_list, flow, event.start_mark.column)
        if flow and owner is not None:
            self.tokens.append((event.start_mark.index + 1, owner))
        inside = (*inside, collection)
        end = yaml.SequenceEndEvent if is_list else yaml.MappingEndEvent
        at = event.start_mark
        while not isinstance(child := next(self._events), end):
            place = child.start_mark
            entry = Entry(None, Scalar("", "", ""), place.line, place.column)
            self.entries.append((entry, inside))
            collection.entries.append(entry)
            if is_list and not flow:
                entry.line = self._dash(at.line + (at.column > collection.column), collection.column, entry)
                entry.column = collection.column
            elif not is_list:
                entry.key = self._scalar(child, entry)
                child = next(self._events)
            entry.value = self._node(child, entry, inside)
            at = child.end_mark if isinstance(child, yaml.ScalarEvent) else self._last
        self._last = child.end_mark
        if flow and owner is not None:
            self.tokens.append((self._last.index, owner))
        return collection

    def _scalar(self, event: Any, owner: Entry | None) -> Scalar:
        begin, end = event.start_mark.index, event.end_mark.index
        source = self.text[begin:end]
        style = event.style or ""
        if style in ("|", ">"):
            header, _, body = source.partition("\n")
            if "+" not in header:
                source = _BLANK_END.sub("", source)  # blank lines stand between it and the next entry
            if body.strip():
                self.spans.append((begin + len(header) + 1, begin + len(source)))
            begin, end = begin, begin + 1
        elif end > begin:
            self.spans.append((begin, end))
        if owner is not None and end > begin:
            self.tokens.append((end, owner))
        return Scalar(event.value, style, source)

    def _dash(self, line: int, column: int, entry: Entry) -> int:
        """The line of an item's dash: the first one from ``line`` on that begins with one in this column."""
        while line < entry.line:
            if self.lines[line][: column + 1] == " " * column + "-":
                break
            line += 1
        self.tokens.append((self.starts[line] + column + 1, entry))
        return line


@dataclass(slots=True)
class _Remark:
    """A comment or a blank line: its line, its column, its text; whether something stands before it on the line."""

    line: int
    column: int
    index: int
    text: str
    beside: bool


def _remarks(builder: _Builder) -> list[_Remark]:
    """Comments and blank lines outside of scalars, in order."""
    text = builder.text
    found: list[_Remark] = []
    spans = sorted(builder.spans)
    position = 0
    index = 0
    for number, line in enumerate(builder.lines):
        at, end = index, index + len(line)
        blank = True
        while True:
            while position < len(spans) and spans[position][1] <= at:
                position += 1
            if position < len(spans) and spans[position][0] <= at:
                at, blank = spans[position][1], False
            if at >= end:
                break
            if text[at] == "#" and (at == index or text[at - 1] in " \t"):
                found.append(_Remark(number, at - index, at, text[at:end].rstrip(), not blank))
                blank = False
                break
            blank &= text[at] in " \t"
            at += 1
        if blank and number + 1 < len(builder.lines):
            found.append(_Remark(number, 0, index, "", beside=False))
        index = end + 1
    return found


def _attach(builder: _Builder) -> list[str]:
    """Gives every remark to its entry; returns those above the first one."""
    entries = builder.entries
    tokens = sorted(builder.tokens, key=lambda token: token[0])
    ends = [end for end, _ in tokens]
    header: list[str] = []
    blanks: list[str] = []
    position = 0
    for remark in _remarks(builder):
        while position < len(entries) and entries[position][0].line <= remark.line:
            entries[position][0].lead += blanks
            blanks = []
            position += 1
        if remark.beside:
            before = bisect_right(ends, remark.index)
            _note(tokens[before - 1][1] if before else None, remark, header)
        elif position == 0:
            header.append(remark.text)
        elif not remark.text:
            blanks.append("")
        else:
            following = entries[position] if position < len(entries) else None
            _place([*blanks, remark.text], remark.column, following, entries[position - 1][1])
            blanks = []
    if position < len(entries):
        entries[position][0].lead += blanks
    return header


def _note(owner: Entry | None, remark: _Remark, header: list[str]) -> None:
    if owner is None:
        header.append(remark.text)
    elif owner.note:
        owner.lead.append(remark.text)
    else:
        owner.note, owner.note_column = remark.text, remark.column


def _place(
    lines: list[str],
    column: int,
    following: tuple[Entry, tuple[Collection, ...]] | None,
    before: tuple[Collection, ...],
) -> None:
    """A comment on a line of its own: above the entry that follows, or at the end of what it is indented like."""
    under = [collection for collection in before if not collection.flow and collection.column <= column]
    # A list may stand in the column of its key: what follows it in that column belongs to the mapping.
    innermost = next((collection for collection in under if collection.column == under[-1].column), before[0])
    if following is not None:
        entry, inside = following
        if inside[-1].flow or column <= entry.column or innermost in inside:
            entry.lead += lines
            return
    innermost.tail += lines
