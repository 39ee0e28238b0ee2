"""One way to write a rule file: order of keys, indentation, quotes, line length. Comments stay where they belong.

What a file means is never changed: the result is read again and compared before it is handed out.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import yaml

from triggers.errors import Problem
from triggers.language.document import Node, read_document, read_scalar
from triggers.language.forms import Items, Shape, inner_of, order_of, suits
from triggers.language.layout import Collection, Entry, Layout, Scalar, read_layout

WIDTH: Final = 120
"""No line is longer where it can be broken."""
_INDENT: Final = 2
_TIME_LIKE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}:[0-9]{2}.*", re.ASCII)
_BARE: Final = re.compile(r"""[^\s\-?:,\[\]{}#&*!|>'"%@`](?:[^\x00-\x1f:#]|:(?=[^\s])|(?<=[^\s])\#)*""")
_BROKEN_IN_FLOW: Final = re.compile(r"[,\[\]{}]|:$")
_RESOLVER: Final[Any] = yaml.resolver.Resolver()
_TEXT: Final = "tag:yaml.org,2002:str"


class CannotFormat(Exception):
    """A file would not mean the same afterwards. It should never happen, and the file is left alone."""


def format_text(file: str, text: str | bytes, shape: Shape) -> tuple[str | None, list[Problem]]:
    """A file in its canonical form; ``None`` and the problems where it cannot be read.

    ``shape`` is what such a file holds. Raises ``CannotFormat``.
    """
    document, problems = read_document(file, text)
    if document is None or problems:
        return None, problems
    layout = read_layout(document.text)
    formatted = "\n".join(_file(layout, shape)) + "\n"
    again, problems = read_document(file, formatted)
    if again is None or problems:
        raise CannotFormat(str(problems[0]))
    if _meaning(again.root) != _meaning(document.root):
        raise CannotFormat(f"{file}: its values would change")
    if sorted(read_layout(formatted).comments()) != sorted(layout.comments()):
        raise CannotFormat(f"{file}: a comment would be lost")
    return formatted, []


def _meaning(node: Node | None) -> Any:
    """A value all the way down, with the text of numbers as it is written."""
    if node is None:
        return None
    if isinstance(node.value, dict):
        return {key: _meaning(entry.value) for key, entry in node.value.items()}
    if isinstance(node.value, list):
        return [_meaning(item) for item in node.value]
    return type(node.value), node.text


def _file(layout: Layout, shape: Shape) -> Iterator[str]:
    header = _collapse(layout.header, keep_last=layout.root is not None)
    yield from header
    if isinstance(layout.root, Collection):
        if not layout.root.entries:
            yield _inline(layout.root, shape)
        yield from _block(layout.root, shape, 0, first=not header)
    elif layout.root is not None and layout.root.source:
        yield layout.root.source


def _collapse(lines: list[str], *, keep_last: bool = True) -> list[str]:
    """No blank line at the beginning, never two in a row."""
    found: list[str] = []
    for line in lines:
        if line or (found and found[-1]):
            found.append(line)
    while found and not found[-1] and not keep_last:
        found.pop()
    return found


def _block(collection: Collection, shape: Shape | None, indent: int, *, first: bool = True) -> Iterator[str]:
    """The lines of a collection, one entry below the other."""
    shape = suits(shape, mapping=not collection.is_list, keys=frozenset(_keys(collection)))
    for position, entry in enumerate(_ordered(collection, shape)):
        above, lines = _item(entry, shape, indent) if collection.is_list else ([], list(_pair(entry, shape, indent)))
        lead = [*_lead(entry, collection), *above]
        if position == 0 and first:
            lead = _collapse(lead)
        yield from _indented(_squeezed(lead), indent)
        yield from lines
    yield from _indented(_squeezed(collection.tail), indent)


def _lead(entry: Entry, collection: Collection) -> list[str]:
    return [line for line in entry.lead if line] if collection.flow else list(entry.lead)


def _squeezed(lines: list[str]) -> list[str]:
    return [line for position, line in enumerate(lines) if line or not position or lines[position - 1]]


def _indented(lines: list[str], indent: int) -> list[str]:
    return [" " * indent + line if line else "" for line in lines]


def _keys(collection: Collection) -> list[str]:
    return [entry.key.text for entry in collection.entries if entry.key is not None]


def _ordered(collection: Collection, shape: Shape | None) -> list[Entry]:
    rank = {name: position for position, name in enumerate(order_of(shape))}
    return sorted(collection.entries, key=lambda entry: rank.get(entry.key.text, len(rank)) if entry.key else 0)


def _pair(entry: Entry, shape: Shape | None, indent: int) -> Iterator[str]:
    assert entry.key is not None
    return _value(entry, f"{_plain(entry.key, flow=False)}:", inner_of(shape, entry.key.text), indent, indent + _INDENT)


def _item(entry: Entry, shape: Shape | None, indent: int) -> tuple[list[str], list[str]]:
    """An item's lines, and the comments that go above it because none can stand between a dash and a first key."""
    inner = shape.of if isinstance(shape, Items) else None
    value = entry.value
    if not isinstance(value, Collection) or _fits(entry, value, inner, indent + 2):
        return [], list(_value(entry, "-", inner, indent, indent + _INDENT))
    above = [entry.note] if entry.note else []
    lines = list(_block(value, inner, indent + _INDENT))
    while not lines[0] or lines[0].lstrip().startswith("#"):
        above.append(lines.pop(0).strip())
    return [line for line in above if line], [" " * indent + "- " + lines[0].lstrip(" "), *lines[1:]]


def _value(entry: Entry, opening: str, shape: Shape | None, indent: int, inner: int) -> Iterator[str]:
    """``opening`` with what follows it: on its line where it fits, else below it."""
    margin, value = " " * indent, entry.value
    if isinstance(value, Collection):
        if _fits(entry, value, shape, indent + len(opening) + 1):
            yield _noted(f"{margin}{opening} {_inline(value, shape)}", entry)
        else:
            yield _noted(f"{margin}{opening}", entry)
            yield from _block(value, shape, inner)
        return
    if value.style in ("|", ">"):
        header, lines = _literal(value, inner)
        yield _noted(f"{margin}{opening} {header}", entry)
        yield from lines
        return
    text = _plain(value, flow=False)
    line = f"{margin}{opening} {text}".rstrip()
    if len(line) > WIDTH and not entry.note and _foldable(value):
        yield _noted(f"{margin}{opening} >-", entry)
        yield from (" " * inner + part for part in _folded(value.text, WIDTH - inner))
    else:
        yield _noted(line, entry)


def _noted(line: str, entry: Entry) -> str:
    """A line with its comment: where that stood, or two spaces after what is there."""
    return line.ljust(max(entry.note_column, len(line) + 2)) + entry.note if entry.note else line


def _fits(entry: Entry, value: Collection, shape: Shape | None, column: int) -> bool:
    """Whether a collection stays on its line: it was written in brackets, holds no comment, and is short.

    A line that a comment speaks about is never broken, however long it is.
    """
    if not value.flow or any(value.comments()):
        return not value.entries and not any(value.comments())
    return bool(entry.note) or column + len(_inline(value, shape)) <= WIDTH


def _inline(collection: Collection, shape: Shape | None) -> str:
    shape = suits(shape, mapping=not collection.is_list, keys=frozenset(_keys(collection)))
    parts: list[str] = []
    for entry in _ordered(collection, shape):
        if entry.key is not None:
            inner = inner_of(shape, entry.key.text)
            parts.append(f"{_plain(entry.key, flow=True)}: {_inline_value(entry.value, inner)}".rstrip())
        else:
            parts.append(_inline_value(entry.value, shape.of if isinstance(shape, Items) else None))
    return f"[{', '.join(parts)}]" if collection.is_list else f"{{{', '.join(parts)}}}"


def _inline_value(value: Scalar | Collection, shape: Shape | None) -> str:
    return _inline(value, shape) if isinstance(value, Collection) else _plain(value, flow=True)


def _plain(scalar: Scalar, *, flow: bool) -> str:
    """A scalar on one line: without quotes where it needs none, else in the plainest quotes that hold it."""
    text = scalar.text
    if not scalar.style and not (":" in text and _TIME_LIKE.fullmatch(text)):
        return text  # a date alone may stand without quotes, or with them
    if _may_be_bare(text, flow=flow):
        return text
    if '"' not in text and "\\" not in text and text.isprintable():
        return f'"{text}"'
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return _escaped(text)


def _may_be_bare(text: str, *, flow: bool) -> bool:
    """Whether text means the same without quotes, here and to readers of YAML 1.1."""
    if not text.isprintable() or text != text.strip() or not _BARE.fullmatch(text) or _TIME_LIKE.fullmatch(text):
        return False
    if (flow and _BROKEN_IN_FLOW.search(text)) or text.endswith(":"):
        return False
    return read_scalar(text) == text and _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) == _TEXT


def _escaped(text: str) -> str:
    dumped: str = yaml.dump(text, default_style='"', allow_unicode=True, width=1 << 20)
    return dumped.rstrip("\n")


def _foldable(scalar: Scalar) -> bool:
    """Whether text may be broken at its spaces: one at a time, none at an end."""
    text = scalar.text
    return bool(text) and text.isprintable() and " " in text and text == " ".join(text.split()) and text[0] != "#"


def _folded(text: str, width: int) -> list[str]:
    """Text broken before ``and`` and ``or`` where there are any, else where the line is full."""
    lines: list[str] = []
    for part in re.split(r" (?=(?:and|or) )", text):
        lines += textwrap.wrap(part, width, break_long_words=False, break_on_hyphens=False)
    return lines


def _literal(scalar: Scalar, indent: int) -> tuple[str, list[str]]:
    """A block scalar with its own line breaks, indented anew."""
    header, _, body = scalar.source.partition("\n")
    marks = header.split("#")[0].strip()
    lines = body.split("\n")
    depth = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
    if any(character.isdigit() or character == "+" for character in marks):
        return _escaped(scalar.text), []
    return marks, [" " * indent + line[depth:] if line[depth:] else "" for line in lines] if body else []
