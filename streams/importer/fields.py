"""Reads a located YAML value key by key: each mistake is reported once, at its place, with what is right."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import Final, NoReturn, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from triggers.errors import Problem
from triggers.language import codes
from triggers.language.codes import Code
from triggers.language.document import Node, Place, shorten

T = TypeVar("T")
P = ParamSpec("P")


class Broken(Exception):
    """A part cannot be read further; its problem has been reported."""


class Fields:
    """Reads parts of one file and collects their problems. Every method reports and raises ``Broken``, or answers."""

    zero: Final = Decimal(0)

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self._problems = problems

    def report(self, code: Code, message: str, place: Place) -> None:
        """Notes a mistake."""
        self._problems.append(Problem(self.file, place.line, place.column, code.id, message, place.path))

    def refuse(self, code: Code, message: str, node: Node) -> NoReturn:
        """Notes a mistake and gives its part up."""
        self.report(code, message, node.place)
        raise Broken

    def attempt(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What ``read`` reads, ``None`` where it is broken: the parts after it are still read."""
        try:
            return read(*args, **kwargs)
        except Broken:
            return None

    def mapping(self, node: Node, keys: Iterable[str]) -> dict[str, Node]:
        """The values of a mapping by key; every unknown key is reported with the nearest known one."""
        known = tuple(keys)
        if not isinstance(node.value, dict):
            self.refuse(codes.WRONG_TYPE, f"expected keys and values: {', '.join(known)}", node)
        for key, entry in node.value.items():
            if key not in known:
                self.report(codes.UNKNOWN_KEY, f'unknown key "{shorten(key)}": {suggest(key, known)}', entry.place)
        return {key: entry.value for key, entry in node.value.items() if key in known}

    def named(self, node: Node) -> dict[str, Node]:
        """The values of a mapping whose keys are names of the author's choice."""
        if not isinstance(node.value, dict) or not node.value:
            self.refuse(codes.WRONG_TYPE, "expected names and what each stands for", node)
        return {key: entry.value for key, entry in node.value.items()}

    def need(self, node: Node, entries: dict[str, Node], key: str) -> Node:
        """The value of a key that must be there."""
        if key not in entries:
            self.refuse(codes.MISSING_KEY, f'the key "{key}" is missing', node)
        return entries[key]

    def items(self, node: Node) -> list[Node]:
        """The items of a list; a single value is a list of one."""
        if isinstance(node.value, list):
            return node.value
        return [node]

    def text(self, node: Node) -> str:
        """A text; what looks like a number counts as its text."""
        if isinstance(node.value, dict | list) or node.value is None or isinstance(node.value, bool):
            self.refuse(codes.WRONG_TYPE, "expected text", node)
        return node.text

    def texts(self, node: Node) -> tuple[str, ...]:
        """A list of texts, or one text."""
        return tuple(self.text(item) for item in self.items(node))

    def choice(self, node: Node, allowed: Iterable[str]) -> str:
        """One of the names allowed."""
        names = tuple(allowed)
        text = self.text(node)
        if text not in names:
            self.refuse(codes.BAD_CHOICE, f'unknown name "{shorten(text)}": {suggest(text, names)}', node)
        return text

    def flag(self, node: Node) -> bool:
        """``true`` or ``false``."""
        if not isinstance(node.value, bool):
            self.refuse(codes.WRONG_TYPE, "expected true or false", node)
        return node.value

    def integer(self, node: Node, lowest: int, highest: int) -> int:
        """A whole number within bounds."""
        value = node.value
        if type(value) is not int or not lowest <= value <= highest:
            self.refuse(codes.OUT_OF_RANGE, f"expected a whole number from {lowest} to {highest}", node)
        return value

    def number(self, node: Node) -> Decimal:
        """An exact decimal."""
        if type(node.value) is not int and not isinstance(node.value, Decimal):
            self.refuse(codes.WRONG_TYPE, "expected a number such as 0.10", node)
        return Decimal(node.value)

    def timezone(self, node: Node) -> ZoneInfo:
        """A time zone of the IANA database."""
        name = self.text(node)
        try:
            return ZoneInfo(name)
        except (OSError, ValueError, KeyError):  # all of them: no such zone, or no name of one
            self.refuse(codes.BAD_CHOICE, "expected a time zone such as Europe/Prague or UTC", node)

    def encoding(self, node: Node) -> str:
        """The canonical name of a text encoding."""
        name = self.text(node)
        try:
            "".encode(name)  # refuses base64, zip and other codecs that are not of text
            return codecs.lookup(name).name
        except (LookupError, ValueError):
            self.refuse(codes.BAD_CHOICE, "expected an encoding such as utf-8, latin-1, cp1250 or gb18030", node)


def suggest(name: str, known: Iterable[str]) -> str:
    """What the author may have meant, or what there is."""
    names = tuple(known)
    near = get_close_matches(name, names, 1, 0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"expected one of {shorten(', '.join(names), 200)}" if names else "there is none"
