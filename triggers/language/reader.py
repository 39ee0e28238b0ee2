"""Walks the mappings of a document, collects every problem, and hands out values that are right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from datetime import time as clock_time
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar
from zoneinfo import ZoneInfo

from schemas.base import MONEY_SCALE, to_ms
from triggers.errors import Problem
from triggers.language import codes
from triggers.language.codes import Code
from triggers.language.document import Document, Entry, Node, Place, shorten
from triggers.language.forms import AnyOf, Form, Items, Key, Length, Number, OneOf, Record, Text, Whole, inner_of

if TYPE_CHECKING:
    from triggers.language.expressions import Checked
    from triggers.language.shared import Named

S = TypeVar("S", Text, Whole, Number, OneOf, Length, Items)

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
_UNITS: Final = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
LONGEST_MS: Final = 3660 * DAY_MS

DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?) ?(Z|[+-][0-9]{2}:[0-9]{2})?", re.ASCII
)
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
CLOCK: Final = re.compile(r"[0-9]{2}:[0-9]{2}", re.ASCII)
IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
"""What triggers, features, offers and categories are called."""

TITLE: Final = Form("a title by language", (Key("en", Text(), "In English."), Key("zh", Text(), "In Chinese.")))
"""A title that is told in several languages."""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known word most like this one; an empty text where none is near. With a cutoff of 1 only itself is."""
    return next(iter(difflib.get_close_matches(word[:100], list(known), n=1, cutoff=cutoff)), "")


def suggest(word: str, known: Iterable[str]) -> str:
    """``: did you mean "x"?`` where a known word is near, else an empty text."""
    near = nearest(word, known)
    return f': did you mean "{near}"?' if near else ""


def one_of(values: Iterable[str]) -> str:
    return ", ".join(values)


MOST_PROBLEMS: Final = 200
"""How many mistakes of one file are reported: a file with more is no rule file, and near names cost time."""


class TooManyProblems(Exception):
    """A file has so many mistakes that the rest is not looked for; all so far are reported."""


@dataclass(slots=True)
class Reader:
    """One document and what was found wrong in it."""

    document: Document
    problems: list[Problem] = field(default_factory=list)
    conditions: list[Checked] = field(default_factory=list)
    """Every condition of the document that is without mistakes: ``when``, ``rearm``, ``where`` …"""
    named: list[Named] = field(default_factory=list)
    """The triggers and categories that policies of its cases name."""

    def report(self, code: Code, place: Place, message: str) -> None:
        """Notes a mistake. Raises ``TooManyProblems`` where the file has too many of them."""
        if len(self.problems) >= MOST_PROBLEMS:
            message = f"more than {MOST_PROBLEMS} mistakes in one file; the rest is not looked for"
            code, enough = codes.TOO_BIG, True
        else:
            enough = False
        self.problems.append(
            Problem(self.document.file, place.line, place.column, code.id, message, place.path, code.severity)
        )
        if enough:
            raise TooManyProblems

    def mapping(self, node: Node, form: Form | Record) -> Fields | None:
        """The fields of a mapping with exactly the keys of a form; ``None`` where the node is no mapping."""
        what, required, optional = form.what, form.required, form.optional
        if not isinstance(node.value, dict):
            self.wrong_type(node, f"the keys of {what}: {one_of((*required, *optional))}")
            return None
        known = dict.fromkeys((*required, *optional))
        open_ended = isinstance(form, Form) and form.others is not None
        meant: set[str] = set()
        for key, entry in node.value.items():
            if key not in known and not open_ended:
                near = nearest(key, [name for name in known if name not in node.value])
                meant.add(near)
                hint = f': did you mean "{near}"?' if near else f"; expected {one_of(known)}"
                self.report(codes.UNKNOWN_KEY, entry.place, f'unknown key "{shorten(key)}"{hint}')
        for key in required:
            if key not in node.value and key not in meant:
                self.report(codes.MISSING_KEY, node.place.under(key), f'missing key "{key}" in {what}')
        entries = {key: entry for key, entry in node.value.items() if key in known or open_ended}
        return Fields(self, node, entries, frozenset(meant), form)

    def wrong_type(self, node: Node, expected: str) -> None:
        self.report(codes.WRONG_TYPE, node.place, f"expected {expected}, found {describe(node)}{_hint(node, expected)}")

    # One value at a time: each returns None after reporting.

    def text(self, node: Node, limit: int = 200) -> str | None:
        if not isinstance(node.value, str):
            self.wrong_type(node, "text")
            return None
        if not node.value.strip() or len(node.value) > limit:
            self.report(codes.OUT_OF_RANGE, node.place, f"expected text of 1 to {limit} characters")
            return None
        return node.value

    def identifier(self, node: Node) -> str | None:
        value = self.text(node, limit=64)
        if value is not None and not IDENTIFIER.fullmatch(value):
            self.report(
                codes.OUT_OF_RANGE,
                node.place,
                f'expected a name of small letters, digits and _, beginning with a letter, found "{shorten(value)}"',
            )
            return None
        return value

    def key(self, what: str, name: str, place: Place) -> None:
        """Checks a key that gives something its name: ``what`` is "a feature"."""
        if not IDENTIFIER.fullmatch(name):
            message = f"{what}'s name has small letters, digits and _, and begins with a letter"
            self.report(codes.OUT_OF_RANGE, place, message)

    def title(self, node: Node) -> dict[str, str] | None:
        """A title in every language: what is told in one only stands for the others too."""
        if not isinstance(node.value, dict):
            text = self.text(node)
            return dict.fromkeys(TITLE.names, text) if text is not None else None
        titles = self.mapping(node, TITLE)
        texts = {name: text for name in TITLE.names if titles and (text := titles.text(name))}
        if not texts:
            if not node.value:
                self.report(codes.MISSING_KEY, node.place, 'missing key "en" or "zh" in a title by language')
            return None
        return dict.fromkeys(TITLE.names, next(iter(texts.values()))) | texts

    def integer(self, node: Node, low: int, high: int) -> int | None:
        if type(node.value) is not int:
            self.wrong_type(node, f"a whole number from {low} to {high}")
            return None
        if not low <= node.value <= high:
            self.report(codes.OUT_OF_RANGE, node.place, f"expected a whole number from {low} to {high}")
            return None
        return node.value

    def decimal(self, node: Node, low: Decimal, high: Decimal) -> Decimal | None:
        """A number with at most four decimals, which is what amounts and rates are kept with."""
        expected = f"a number from {low} to {high}"
        if type(node.value) not in (int, Decimal):
            self.wrong_type(node, expected)
            return None
        value = Decimal(node.text)
        if not low <= value <= high:
            self.report(codes.OUT_OF_RANGE, node.place, f"expected {expected}, found {node.text}")
            return None
        if value != round(value, MONEY_SCALE):
            message = f"at most {MONEY_SCALE} decimals are kept, found {node.text}"
            self.report(codes.OUT_OF_RANGE, node.place, message)
            return None
        return value

    def flag(self, node: Node) -> bool | None:
        if not isinstance(node.value, bool):
            self.wrong_type(node, "true or false")
            return None
        return node.value

    def choice(self, node: Node, values: Sequence[str]) -> str | None:
        if not isinstance(node.value, str):
            self.wrong_type(node, f"one of {one_of(values)}")
            return None
        if node.value not in values:
            hint = suggest(node.value, values) or f"; expected one of {one_of(values)}"
            self.report(codes.BAD_CHOICE, node.place, f'"{shorten(node.value)}" is not allowed{hint}')
            return None
        return node.value

    def items(self, node: Node, what: str, limit: int = 1000) -> Sequence[Node] | None:
        if not isinstance(node.value, list):
            self.wrong_type(node, f"a list of {what}")
            return None
        if len(node.value) > limit:
            self.report(codes.OUT_OF_RANGE, node.place, f"expected at most {limit} {what}")
            return None
        return node.value

    def duration(self, node: Node, low: int = MINUTE_MS, high: int = LONGEST_MS) -> int | None:
        """Milliseconds of a length of time such as ``7d``."""
        example = "expected a length of time such as 30m, 48h, 7d or 2w"
        match = DURATION.fullmatch(node.value) if isinstance(node.value, str) else None
        if match is None:
            self.report(codes.BAD_DURATION, node.place, f"{example}, found {describe(node)}")
            return None
        length = int(match[1]) * _UNITS[match[2]]
        if not low <= length <= high:
            self.report(
                codes.BAD_DURATION,
                node.place,
                f'"{node.value}" is outside the allowed {show_duration(low)} to {show_duration(high)}',
            )
            return None
        return length

    def moment(self, node: Node, zone: ZoneInfo) -> int | None:
        """Milliseconds from the epoch of a time such as ``2026-03-02 10:00``, in ``zone`` where it has no offset."""
        match = MOMENT.fullmatch(node.value) if isinstance(node.value, str) else None
        if match is None:
            message = 'expected a time such as "2026-03-02 10:00" or "2026-03-02T10:00:00+08:00"'
            self.report(codes.BAD_TIME, node.place, f"{message}, found {describe(node)}")
            return None
        if match[3] is not None and match[3] != "Z" and not (match[3][1:3] < "24" and match[3][-2:] < "60"):
            message = f'an offset is less than a day, such as +08:00; found "{match[3]}"'
            self.report(codes.BAD_TIME, node.place, message)
            return None
        try:
            moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}")
        except ValueError as error:
            self.report(codes.BAD_TIME, node.place, f'the time "{node.value}" does not exist: {error}')
            return None
        if not 1900 < moment.year < 2200:
            self.report(codes.BAD_TIME, node.place, "expected a time between the years 1901 and 2199")
            return None
        if moment.tzinfo is None:
            early, late = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
            if early.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
                message = f'the time "{node.value}" does not exist in {zone.key}: the clocks are put forward then'
                self.report(codes.BAD_TIME, node.place, message)
                return None
            if early.utcoffset() != late.utcoffset():
                message = f'"{node.value}" happens twice in {zone.key}: add the offset, such as {early:%z}'
                self.report(codes.BAD_TIME, node.place, message)
                return None
            moment = early
        return to_ms(moment)

    def day(self, node: Node) -> date | None:
        """A day such as ``2026-03-02``."""
        if not isinstance(node.value, str) or not DAY.fullmatch(node.value):
            self.report(codes.BAD_TIME, node.place, f"expected a day such as 2026-03-02, found {describe(node)}")
            return None
        try:
            day = date.fromisoformat(node.value)
        except ValueError as error:
            self.report(codes.BAD_TIME, node.place, f'the day "{node.value}" does not exist: {error}')
            return None
        if not 1900 < day.year < 2200:
            self.report(codes.BAD_TIME, node.place, "expected a day between the years 1901 and 2199")
            return None
        return day

    def clock(self, node: Node) -> clock_time | None:
        """A time of day such as ``09:00``."""
        if isinstance(node.value, str) and CLOCK.fullmatch(node.value):
            try:
                return clock_time.fromisoformat(node.value)
            except ValueError:
                pass
        self.report(codes.BAD_TIME, node.place, f'expected a time of day such as "09:00", found {describe(node)}')
        return None


@dataclass(frozen=True, slots=True)
class Fields:
    """The known keys of one mapping. Each getter returns ``None`` where the key is absent or its value was wrong.

    ``meant`` are the keys that unknown ones probably were meant to be: their absence is reported already.
    What a value may be is what the form says of its key.
    """

    reader: Reader
    node: Node
    entries: dict[str, Entry]
    meant: frozenset[str] = frozenset()
    form: Form | Record | None = None

    def lacks(self, key: str) -> bool:
        """Whether a key is absent, not just misspelt."""
        return key not in self.entries and key not in self.meant

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def get(self, key: str) -> Node | None:
        entry = self.entries.get(key)
        return entry.value if entry else None

    def key_place(self, key: str) -> Place:
        """Where the key stands; the mapping itself where it does not."""
        entry = self.entries.get(key)
        return entry.place if entry else self.node.place

    def text(self, key: str) -> str | None:
        node = self.get(key)
        return self.reader.text(node, self._shape(key, Text).limit) if node else None

    def identifier(self, key: str) -> str | None:
        node = self.get(key)
        return self.reader.identifier(node) if node else None

    def integer(self, key: str) -> int | None:
        node = self.get(key)
        if node is None:
            return None
        shape = self._shape(key, Whole)
        return self.reader.integer(node, shape.low, shape.high)

    def decimal(self, key: str) -> Decimal | None:
        node = self.get(key)
        if node is None:
            return None
        shape = self._shape(key, Number)
        return self.reader.decimal(node, shape.low, shape.high)

    def title(self, key: str) -> dict[str, str] | None:
        node = self.get(key)
        return self.reader.title(node) if node else None

    def day(self, key: str) -> date | None:
        node = self.get(key)
        return self.reader.day(node) if node else None

    def flag(self, key: str) -> bool | None:
        node = self.get(key)
        return self.reader.flag(node) if node else None

    def choice(self, key: str) -> str | None:
        node = self.get(key)
        return self.reader.choice(node, self._shape(key, OneOf).values) if node else None

    def duration(self, key: str) -> int | None:
        node = self.get(key)
        if node is None:
            return None
        shape = self._shape(key, Length)
        return self.reader.duration(node, shape.low, shape.high)

    def moment(self, key: str, zone: ZoneInfo) -> int | None:
        node = self.get(key)
        return self.reader.moment(node, zone) if node else None

    def clock(self, key: str) -> clock_time | None:
        node = self.get(key)
        return self.reader.clock(node) if node else None

    def items(self, key: str, what: str) -> Sequence[Node]:
        node = self.get(key)
        return (self.reader.items(node, what, self._shape(key, Items).most) if node else None) or ()

    def _shape(self, key: str, kind: type[S]) -> S:
        """What the form says of a key, as far as it is of this kind."""
        known = inner_of(self.form, key)
        shapes = known.shapes if isinstance(known, AnyOf) else (known,)
        return next(shape for shape in shapes if isinstance(shape, kind))


def describe(node: Node) -> str:
    """What stands there, for a message."""
    value = node.value
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the flag {node.text}"
    if isinstance(value, str):
        return f'"{shorten(value)}"'
    return f"the number {node.text}"


def show_duration(length: int) -> str:
    """A length of time as a rule file writes it, in the largest unit that holds it whole."""
    for unit in "wdhms":
        if length and length % _UNITS[unit] == 0:
            return f"{length // _UNITS[unit]}{unit}"
    return f"{length}ms"


def _hint(node: Node, expected: str) -> str:
    """What YAML 1.1 would have read here, and how to write it."""
    text = node.text
    if isinstance(node.value, bool | int | Decimal):
        return f'; put it in quotes: "{text}"' if expected == "text" else ""
    if not isinstance(node.value, str) or (node.style and "number" not in expected):
        return ""
    if text.lower() in ("yes", "no", "on", "off", "true", "false", "y", "n"):
        return "; only true and false are flags"
    if re.fullmatch(r"[-+]?[0-9][0-9_,]*(\.[0-9_]*)?", text):
        bare = text.replace("_", "").replace(",", "").rstrip(".")
        whole, dot, rest = bare.lstrip("+-").partition(".")
        return f"; write {'-' if text[0] == '-' else ''}{whole.lstrip('0') or '0'}{dot}{rest}"
    percent = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?%", text)
    if percent and "number" in expected:
        return f"; write {format((Decimal(percent[1]) / 100).normalize(), 'f')}"
    if re.fullmatch(r"[-+]?(0[xo][0-9a-fA-F]+|[0-9.]+[eE][-+]?[0-9]+|\.[0-9]+|\.(inf|nan))", text, re.IGNORECASE):
        return "; write the number out in digits"
    return ""
