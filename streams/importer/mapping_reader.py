"""From the YAML of a mapping file to a ``Mapping``, or to every mistake in it with its place."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.base import Identifier, Record
from schemas.topics import INBOUND
from streams.importer.fields import Broken, Fields
from streams.importer.mapping import Chain, Join, Mapping, Name, Output, Sequencing, Source, Table, Value
from streams.importer.value_reader import ValueReader, read_conditions, read_tables
from triggers.errors import Problem
from triggers.language import codes
from triggers.language.document import Node, Place, read_document

_SOURCE_KEYS = ("separator", "encoding", "quote", "missing")
_OUTPUT_KEYS = ("topic", "from", "join", "where", "values", "record", "sequence")
_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


def read_mapping(path: Path) -> Mapping | tuple[Problem, ...]:
    """Reads a mapping file. The outcome is a mapping or all problems found, never an exception."""
    try:
        data = path.read_bytes()
    except OSError as error:
        why = "it does not exist" if isinstance(error, FileNotFoundError) else error.strerror or "no reason given"
        return (Problem(str(path), 1, 1, codes.UNREADABLE.id, f"the file cannot be read: {why}"),)
    document, problems = read_document(str(path), data)
    if document is None or problems:
        return tuple(problems)
    fields = Fields(str(path), problems)
    if document.root is None:
        fields.report(codes.MISSING_KEY, "the file is empty; expected sources and outputs", Place(1, 1, ""))
        return tuple(problems)
    try:
        mapping = _Reader(fields).mapping(document.root)
    except Broken:
        mapping = None
    if problems or mapping is None:
        return tuple(sorted(set(problems)))
    return mapping


class _Reader:
    """Reads the parts, top to bottom; a part that is broken is reported and left out, and reading goes on."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def mapping(self, root: Node) -> Mapping:
        fields = self._fields
        entries = fields.mapping(root, ("tenant", "timezone", "defaults", "sources", "tables", "outputs"))
        tenant = (fields.attempt(self._identifier, entries["tenant"]) if "tenant" in entries else None) or "bank"
        zone = fields.attempt(fields.timezone, entries["timezone"]) if "timezone" in entries else None
        defaults = fields.attempt(fields.mapping, entries["defaults"], _SOURCE_KEYS) if "defaults" in entries else None
        tables = fields.attempt(read_tables, fields, entries.get("tables")) or {}
        nodes = fields.attempt(fields.named, entries["sources"]) if "sources" in entries else None
        sources = {
            name: source
            for name, node in (nodes or {}).items()
            if (source := fields.attempt(self._source, name, node, defaults or {})) is not None
        }
        # A source that is broken has its own problem: it still counts as known to the outputs.
        known = tuple(nodes or ())
        outputs = [
            output
            for name, node in fields.named(fields.need(root, entries, "outputs")).items()
            if (output := fields.attempt(self._output, name, node, known, tables)) is not None
        ]
        fields.need(root, entries, "sources")
        return Mapping(fields.file, tenant, zone or ZoneInfo("UTC"), sources, tuple(outputs), tables)

    def _source(self, name: str, node: Node, defaults: dict[str, Node]) -> Source:
        fields = self._fields
        own = fields.mapping(node, ("file", "header", "columns", *_SOURCE_KEYS))
        entries = {**defaults, **own}
        file = fields.text(fields.need(node, entries, "file"))
        if "/" in file or "\\" in file:
            fields.refuse(
                codes.OUT_OF_RANGE, "expected a file's name or a glob for it, without a folder", entries["file"]
            )
        separator = fields.text(entries["separator"]) if "separator" in entries else ","
        separator = "\t" if separator == "tab" else separator
        if len(separator) != 1 or separator in "\r\n":
            fields.refuse(codes.OUT_OF_RANGE, "expected one character, or tab", entries["separator"])
        quote = fields.text(entries["quote"]) if "quote" in entries else '"'
        if quote == "none":
            quote = ""
        elif len(quote) != 1 or quote == separator:
            fields.refuse(
                codes.OUT_OF_RANGE, "expected one character other than the separator, or none", entries["quote"]
            )
        header = fields.flag(entries["header"]) if "header" in entries else True
        columns = fields.texts(entries["columns"]) if "columns" in entries else ()
        if header and columns:
            fields.refuse(
                codes.CONTRADICTION,
                "the file's header names the columns; for a file without one write header: false",
                entries["columns"],
            )
        if not header and not columns:
            fields.refuse(codes.MISSING_KEY, "a file without a header needs columns: the list of their names", node)
        if len(set(columns)) != len(columns):
            fields.refuse(codes.CONTRADICTION, "expected each column once", entries["columns"])
        missing = fields.texts(entries["missing"]) if "missing" in entries else ("",)
        encoding = fields.encoding(entries["encoding"]) if "encoding" in entries else "utf-8"
        return Source(name, file, separator, encoding, quote, columns, frozenset(missing), node.place)

    def _output(self, name: str, node: Node, sources: tuple[str, ...], tables: dict[str, Table]) -> Output:
        fields = self._fields
        entries = fields.mapping(node, _OUTPUT_KEYS)
        topics = {topic.name: topic for topic in INBOUND}
        topic = topics[fields.choice(fields.need(node, entries, "topic"), topics)]
        source = fields.choice(fields.need(node, entries, "from"), sources)
        joins = tuple(
            self._join(alias, child, sources)
            for alias, child in (fields.named(entries["join"]) if "join" in entries else {}).items()
        )
        where = read_conditions(fields, entries["where"]) if "where" in entries else ()
        reader = ValueReader(fields, tables)
        values: dict[str, Value] = {}
        for key, child in (fields.named(entries["values"]) if "values" in entries else {}).items():
            if (value := fields.attempt(reader.value, child)) is not None:
                values[key] = value
        record = self._record(fields.need(node, entries, "record"), topic.models[0], reader)
        sequence = self._sequence(entries["sequence"], reader) if "sequence" in entries else None
        self._check_fields(fields.need(node, entries, "record"), topic.models[0], record, sequence)
        return Output(name, topic, source, joins, where, values, record, sequence, node.place)

    def _join(self, name: str, node: Node, sources: tuple[str, ...]) -> Join:
        fields = self._fields
        entries = fields.mapping(node, ("source", "on", "where", "required"))
        source = fields.choice(fields.need(node, entries, "source"), sources)
        on = fields.named(fields.need(node, entries, "on"))
        pairs = tuple(
            (Name(left, "column", right.place), Name(fields.text(right), "column", right.place))
            for left, right in on.items()
        )
        if not pairs:
            fields.refuse(codes.MISSING_KEY, "expected column: column of the other table", entries["on"])
        where = read_conditions(fields, entries["where"]) if "where" in entries else ()
        required = fields.flag(entries["required"]) if "required" in entries else True
        return Join(name, source, pairs, where, required, node.place)

    def _record(self, node: Node, model: type[BaseModel], reader: ValueReader) -> dict[str, Value]:
        fields = self._fields
        own = [name for name in model.model_fields if name not in ("tenant", "schema_version")]
        record: dict[str, Value] = {}
        for key, child in fields.mapping(node, own).items():
            if (value := fields.attempt(reader.value, child)) is not None:
                record[key] = value
        return record

    def _check_fields(
        self, node: Node, model: type[Record], record: dict[str, Value], sequence: Sequencing | None
    ) -> None:
        given = set(record) | {"tenant", "schema_version"}
        if sequence is not None:
            if "sequence" not in model.model_fields:
                self._fields.refuse(codes.CONTRADICTION, f"a {model.record_type} has no sequence", node)
            if "sequence" in record:
                self._fields.refuse(
                    codes.CONTRADICTION, "the record maps sequence and the output numbers it too: leave one out", node
                )
            given.add("sequence")
        written = node.value if isinstance(node.value, dict) else {}
        lacking = [
            name
            for name, field in model.model_fields.items()
            if field.is_required() and name not in given and name not in written
        ]
        if lacking:
            hint = "; number the rows with the output's own key sequence" if "sequence" in lacking else ""
            self._fields.refuse(codes.MISSING_KEY, f"a {model.record_type} also needs {', '.join(lacking)}{hint}", node)

    def _sequence(self, node: Node, reader: ValueReader) -> Sequencing:
        fields = self._fields
        entries = fields.mapping(node, ("per", "order", "chain", "spread_seconds"))
        per = reader.value(fields.need(node, entries, "per"))
        order = tuple(reader.value(item) for item in fields.items(entries["order"])) if "order" in entries else ()
        chain = self._chain(entries["chain"], reader) if "chain" in entries else None
        spread = fields.integer(entries["spread_seconds"], 1, 3600) if "spread_seconds" in entries else 0
        return Sequencing(per, order, chain, spread, node.place)

    def _chain(self, node: Node, reader: ValueReader) -> Chain:
        fields = self._fields
        entries = fields.mapping(node, ("balance", "amount", "opening", "tolerance"))
        opening = fields.number(entries["opening"]) if "opening" in entries else None
        tolerance = fields.number(entries["tolerance"]) if "tolerance" in entries else fields.zero
        if tolerance < 0:
            fields.refuse(codes.OUT_OF_RANGE, "expected zero or more", entries["tolerance"])
        return Chain(
            reader.value(fields.need(node, entries, "balance")),
            reader.value(fields.need(node, entries, "amount")),
            opening,
            tolerance,
        )

    def _identifier(self, node: Node) -> str:
        try:
            return _IDENTIFIER.validate_python(self._fields.text(node))
        except ValidationError:
            self._fields.refuse(codes.OUT_OF_RANGE, "expected 1 to 64 printable characters without spaces", node)
