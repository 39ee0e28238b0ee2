"""Reads the values of a mapping: where each comes from and what is done to it."""

from __future__ import annotations

import re
from datetime import time
from string import Formatter
from typing import Final

from streams.importer.fields import Fields
from streams.importer.mapping import (
    Cases,
    Condition,
    Const,
    DateFormat,
    DaysBetween,
    FirstOf,
    ListOf,
    Name,
    NumberFormat,
    ObjectOf,
    Origin,
    Plus,
    Table,
    Template,
    Value,
)
from streams.importer.transforms import TRANSFORMS
from triggers.language import codes
from triggers.language.document import Node, Scalar

ORIGINS: Final = ("column", "value", "const", "template", "first_of", "cases", "days_between", "list", "object")
_STEPS: Final = (
    "missing", "slice", "transform", "table", "default", "as", "format", "century_from", "decimal", "thousands",
    "times", "plus", "at", "timezone",
)  # fmt: skip
_DIRECTIVE: Final = re.compile(r"%(.)", re.DOTALL)
_DATE_DIRECTIVES: Final = frozenset("dmyYbBj%")
_TIME_DIRECTIVES: Final = _DATE_DIRECTIVES | frozenset("HIMSfpz")


class ValueReader:
    """Reads values; ``tables`` are those the file names."""

    def __init__(self, fields: Fields, tables: dict[str, Table]) -> None:
        self._fields = fields
        self._tables = tables

    def value(self, node: Node) -> Value:
        """A value: a bare name is a column or an entry of ``values``, else keys say what it is."""
        fields = self._fields
        if not isinstance(node.value, dict):
            return Value(Name(fields.text(node), "either", node.place), node.place)
        entries = fields.mapping(node, (*ORIGINS, *_STEPS, "else"))
        given = [key for key in ORIGINS if key in entries]
        if len(given) != 1:
            found = f"; found {', '.join(given)}" if given else ""
            code = codes.CONTRADICTION if given else codes.MISSING_KEY
            fields.refuse(code, f"expected exactly one of {', '.join(ORIGINS)}{found}", node)
        if "else" in entries and "cases" not in entries:
            fields.refuse(codes.CONTRADICTION, "else belongs to cases", entries["else"])
        slice_ = entries.get("slice")
        at = self._time(entries["at"]) if "at" in entries else None
        read_as = self._read_as(node, entries)
        zoned = at is not None or (isinstance(read_as, DateFormat) and read_as.with_time)
        if "timezone" in entries and not zoned:
            fields.refuse(codes.CONTRADICTION, "timezone belongs to as: datetime or to at", entries["timezone"])
        return Value(
            origin=self._origin(given[0], entries),
            place=node.place,
            missing=frozenset(fields.texts(entries["missing"])) if "missing" in entries else frozenset(),
            slice=self._slice(slice_) if slice_ is not None else None,
            transform=fields.choice(entries["transform"], TRANSFORMS) if "transform" in entries else None,
            table=self._table(entries),
            read_as=read_as,
            times=self._number_or_value(entries["times"]) if "times" in entries else None,
            plus=self._plus(entries["plus"]) if "plus" in entries else None,
            at=at,
            timezone=fields.timezone(entries["timezone"]) if "timezone" in entries else None,
        )

    def _origin(self, key: str, entries: dict[str, Node]) -> Origin:
        fields, node = self._fields, entries[key]
        match key:
            case "column":
                return Name(fields.text(node), "column", node.place)
            case "value":
                return Name(fields.text(node), "value", node.place)
            case "const":
                return Const(read_constant(fields, node))
            case "template":
                return self._template(node)
            case "first_of":
                return FirstOf(tuple(self.value(item) for item in fields.items(node)))
            case "list":
                return ListOf(tuple(self.value(item) for item in fields.items(node)))
            case "object":
                return ObjectOf({name: self.value(item) for name, item in fields.named(node).items()})
            case "days_between":
                items = fields.items(node)
                if len(items) != 2:
                    fields.refuse(codes.WRONG_TYPE, "expected two dates: [from, to]", node)
                return DaysBetween(self.value(items[0]), self.value(items[1]))
            case _:
                return self._cases(entries)

    def _cases(self, entries: dict[str, Node]) -> Cases:
        fields = self._fields
        cases = []
        for item in fields.items(entries["cases"]):
            case = fields.mapping(item, ("when", "use"))
            conditions = read_conditions(fields, fields.need(item, case, "when"))
            cases.append((conditions, self.value(fields.need(item, case, "use"))))
        return Cases(tuple(cases), self.value(entries["else"]) if "else" in entries else None)

    def _template(self, node: Node) -> Template:
        fields = self._fields
        text = fields.text(node)
        parts: list[str | Name] = []
        try:
            for literal, name, spec, conversion in Formatter().parse(text):
                if literal:
                    parts.append(literal)
                if name is not None:
                    if not name or spec or conversion:
                        fields.refuse(codes.OUT_OF_RANGE, "expected a plain name in braces, such as {account_id}", node)
                    parts.append(Name(name, "either", node.place))
        except ValueError:
            fields.refuse(codes.OUT_OF_RANGE, "a brace is not closed; a brace itself is written twice: {{", node)
        return Template(tuple(parts))

    def _slice(self, node: Node) -> tuple[int, int]:
        fields, items = self._fields, self._fields.items(node)
        if len(items) != 2:
            fields.refuse(codes.WRONG_TYPE, "expected [start, length], the start counted from 0", node)
        return fields.integer(items[0], 0, 10_000), fields.integer(items[1], 1, 10_000)

    def _table(self, entries: dict[str, Node]) -> Table | None:
        fields = self._fields
        if "table" not in entries:
            if "default" in entries:
                fields.refuse(codes.CONTRADICTION, "default belongs to a table", entries["default"])
            return None
        node = entries["table"]
        if isinstance(node.value, dict):
            table = read_table(fields, "of this value", node)
        else:
            table = self._tables[fields.choice(node, self._tables)]
        if "default" not in entries:
            return table
        return Table(table.name, table.values, read_constant(fields, entries["default"]), has_default=True)

    def _read_as(self, node: Node, entries: dict[str, Node]) -> NumberFormat | DateFormat | None:
        fields = self._fields
        kinds = ("text", "number", "integer", "date", "datetime")
        kind = fields.choice(entries["as"], kinds) if "as" in entries else "text"
        for key, needs in {
            "decimal": ("number",),
            "thousands": ("number", "integer"),
            "format": ("date", "datetime"),
            "century_from": ("date", "datetime"),
        }.items():
            if key in entries and kind not in needs:
                fields.refuse(codes.CONTRADICTION, f"{key} belongs to as: {' or '.join(needs)}", entries[key])
        if kind == "text":
            return None
        if kind in ("number", "integer"):
            decimal = fields.text(entries["decimal"]) if "decimal" in entries else "."
            thousands = fields.text(entries["thousands"]) if "thousands" in entries else ""
            if decimal not in (".", ","):
                fields.refuse(codes.BAD_CHOICE, 'expected "." or ","', entries["decimal"])
            if thousands not in ("", ".", ",", " ", "'", "\u00a0", "\u202f") or thousands == decimal:
                expected = "expected a separator of thousands other than the decimal sign: . , ' or a space"
                fields.refuse(codes.BAD_CHOICE, expected, entries["thousands"])
            return NumberFormat(kind == "integer", decimal, thousands)
        return self._date_format(fields.need(node, entries, "format"), entries.get("century_from"), kind == "datetime")

    def _date_format(self, node: Node, century: Node | None, with_time: bool) -> DateFormat:
        fields = self._fields
        text = fields.text(node)
        directives = set(_DIRECTIVE.findall(text))
        if text != "iso":
            unknown = sorted(directives - (_TIME_DIRECTIVES if with_time else _DATE_DIRECTIVES))
            if unknown or text.count("%") != 2 * text.count("%%") + len(_DIRECTIVE.findall(text.replace("%%", ""))):
                listed = ", ".join("%" + directive for directive in unknown) or "a single %"
                fields.refuse(codes.OUT_OF_RANGE, f"{listed} cannot stand in the format of a {_kind(with_time)}", node)
            year = "y" in directives or "Y" in directives
            day = "j" in directives or ("d" in directives and directives & {"m", "b", "B"})
            if not (year and day):
                fields.refuse(codes.OUT_OF_RANGE, "expected iso, or a format with year, month and day: %Y-%m-%d", node)
        if ("y" in directives) != (century is not None):
            if century is None:
                message = "two-digit years need century_from: the first of the hundred years they may mean, e.g. 1950"
                fields.refuse(codes.MISSING_KEY, message, node)
            fields.refuse(codes.CONTRADICTION, "century_from belongs to a format with %y", century)
        return DateFormat(text, with_time, fields.integer(century, 1800, 2100) if century is not None else None)

    def _plus(self, node: Node) -> Plus:
        entries = self._fields.mapping(node, ("months", "days"))
        if not entries:
            self._fields.refuse(codes.MISSING_KEY, "expected months or days", node)
        months = self._number_or_value(entries["months"]) if "months" in entries else None
        return Plus(months, self._number_or_value(entries["days"]) if "days" in entries else None)

    def _number_or_value(self, node: Node) -> Value:
        if isinstance(node.value, str | dict):
            return self.value(node)
        return Value(Const(self._fields.number(node)), node.place)

    def _time(self, node: Node) -> time:
        text = self._fields.text(node)
        try:
            if re.fullmatch(r"\d\d:\d\d(:\d\d)?", text, re.ASCII):
                return time.fromisoformat(text)
        except ValueError:
            pass  # such as 25:00: told below
        return self._fields.refuse(codes.BAD_TIME, "expected a time of day such as 08:00", node)


def read_conditions(fields: Fields, node: Node) -> tuple[Condition, ...]:
    """Conditions that must all hold: ``name: text``, ``name: [texts]``, ``name: {not: …}``; null means missing."""
    conditions = []
    for name, child in fields.named(node).items():
        negated = isinstance(child.value, dict)
        values = fields.need(child, fields.mapping(child, ("not",)), "not") if negated else child
        accepted = frozenset(None if item.value is None else _plain_text(fields, item) for item in fields.items(values))
        conditions.append(Condition(Name(name, "either", child.place), accepted, negated))
    return tuple(conditions)


def read_tables(fields: Fields, node: Node | None) -> dict[str, Table]:
    """The value tables that a file names."""
    if node is None:
        return {}
    return {name: read_table(fields, f'"{name}"', child) for name, child in fields.named(node).items()}


def read_table(fields: Fields, name: str, node: Node) -> Table:
    """One value table."""
    return Table(name, {key: read_constant(fields, child) for key, child in fields.named(node).items()})


def read_constant(fields: Fields, node: Node) -> Scalar:
    """A text, number, true, false or null."""
    if isinstance(node.value, dict | list):
        fields.refuse(codes.WRONG_TYPE, "expected one value", node)
    return node.value


def _plain_text(fields: Fields, node: Node) -> str:
    return node.text if isinstance(node.value, bool) else fields.text(node)


def _kind(with_time: bool) -> str:
    return "datetime" if with_time else "date"
