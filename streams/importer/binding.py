"""A mapping bound to files: which file is which source, every name checked against the headers, joins in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from streams.importer.mapping import Join, Output, Sequencing, Source, Value
from streams.importer.mapping import Mapping as MappingFile
from streams.importer.report import RowError
from streams.importer.steps import BadValue
from streams.importer.table import Row, read_header, read_rows
from streams.importer.transform import Read, Scope, View, columns_of
from triggers.errors import Problem

Note = Callable[[RowError], None]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source, its header read."""

    path: Path
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BoundSequencing:
    """The functions of an output's sequence. ``column`` names the column of each part: per, order[0] …"""

    per: Read
    order: tuple[Read, ...]
    balance: Read | None
    amount: Read | None
    column: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BoundOutput:
    """The functions of an output, ready for rows of one source whose files all have the same columns."""

    output: Output
    joins: tuple[BoundJoin, ...]
    where: Callable[[View], bool]
    record: Mapping[str, Read]
    column: Mapping[str, str]
    sequencing: BoundSequencing | None


@dataclass(frozen=True, slots=True)
class BoundJoin:
    """A joined table in memory: its rows by key."""

    join: Join
    left: tuple[Read, ...]
    rows: Mapping[tuple[str, ...], Sequence[str]]

    def find(self, view: View) -> Sequence[str] | None:
        """The joined row; raises ``BadValue`` where it is required and not there."""
        key = tuple(read(view) for read in self.left)
        row = self.rows.get(key)
        if row is None and self.join.required:
            columns = ", ".join(right.name for _, right in self.join.on)
            missing = any(part is None for part in key)
            where = " that the join's where lets through" if self.join.where else ""
            problem = "the key is empty" if missing else f"no row{where} has this {columns}"
            raise BadValue("R020", f"{problem} in {self.join.source}", self.join.on[0][0].name)
        return row


def assign_files(mapping: MappingFile, files: Sequence[str]) -> dict[str, list[Path]] | list[Problem]:
    """Which files are which source.

    ``name=path`` says it outright; a folder stands for those of its files that a source's glob names; else the
    file's name decides, without ``.gz``. Where no file's name fits any source and there are as many files as
    sources, the order decides. A source may have several files: they are read one after the other.
    """
    assigned: dict[str, list[Path]] = {name: [] for name in mapping.sources}
    strangers: list[Path] = []
    for text in files:
        name, sign, rest = text.partition("=")
        path = Path(text)
        if sign and name in assigned:
            assigned[name].append(Path(rest))
        elif path.is_dir():
            for child in sorted(path.iterdir()):
                for source in _matches(mapping, child) if child.is_file() else []:
                    assigned[source].append(child)
        elif matches := _matches(mapping, path):
            for source in matches:
                assigned[source].append(path)
        else:
            strangers.append(path)
    if strangers and not any(assigned.values()) and len(strangers) == len(assigned):
        return {name: [path] for name, path in zip(assigned, strangers, strict=True)}
    expected = ", ".join(f"{source.file} ({source.name})" for source in mapping.sources.values())
    problems = [
        Problem(str(path), 1, 1, "I004", f"no source of the mapping has files of this name; expected {expected}")
        for path in strangers
    ]
    problems += [
        Problem(
            mapping.file, source.place.line, source.place.column, "I005",
            f'no file is given for the source "{source.name}"; expected {source.file}', source.place.path,
        )
        for source in mapping.sources.values()
        if not assigned[source.name]
    ]  # fmt: skip
    return problems or assigned


def read_headers(
    mapping: MappingFile, assigned: Mapping[str, Sequence[Path]]
) -> dict[str, list[SourceFile]] | list[Problem]:
    """Reads every file's header. All files of one source must have the same columns in the same order."""
    headers: dict[str, list[SourceFile]] = {}
    problems: list[Problem] = []
    for name, paths in assigned.items():
        found = headers.setdefault(name, [])
        for path in paths:
            columns = read_header(mapping.sources[name], path)
            if isinstance(columns, Problem):
                problems.append(columns)
            elif found and columns != found[0].columns:
                message = f"the columns differ from those of {found[0].path}; expected {', '.join(found[0].columns)}"
                problems.append(Problem(str(path), 1, 1, "I006", message))
            else:
                found.append(SourceFile(path, columns))
    return problems or headers


def bind(
    mapping: MappingFile, headers: Mapping[str, Sequence[SourceFile]], note: Note
) -> list[BoundOutput] | list[Problem]:
    """Binds every output; all names are checked before any row is read. Rows of joined tables are read last.

    ``note`` receives the row errors of joined tables.
    """
    drafts: list[tuple[BoundOutput, list[tuple[Join, tuple[Read, ...], Scope]]]] = []
    problems: list[Problem] = []
    for output in mapping.outputs:
        draft, found = _bind_names(mapping, headers, output)
        drafts.append(draft)
        problems += found
    if problems:
        return sorted(set(problems))
    return [
        BoundOutput(
            bound.output,
            tuple(
                BoundJoin(join, left, _load(mapping.sources[join.source], headers[join.source], join, scope, note))
                for join, left, scope in joins
            ),
            bound.where,
            bound.record,
            bound.column,
            bound.sequencing,
        )
        for bound, joins in drafts
    ]


def _bind_names(
    mapping: MappingFile, headers: Mapping[str, Sequence[SourceFile]], output: Output
) -> tuple[tuple[BoundOutput, list[tuple[Join, tuple[Read, ...], Scope]]], list[Problem]]:
    source = mapping.sources[output.source]
    scope = Scope(mapping.file, headers[source.name][0].columns, source.missing, mapping.timezone)
    problems: list[Problem] = []
    joins = []
    for join in output.joins:
        other = mapping.sources[join.source]
        columns = headers[join.source][0].columns
        inner = Scope(mapping.file, columns, other.missing, mapping.timezone)
        left = tuple(scope.name(name) for name, _ in join.on)
        for _, right in join.on:
            inner.name(right)
        inner.holds(join.where)
        problems += inner.problems
        scope.add_join(join.name, columns, other.missing)
        joins.append((join, left, inner))
    for name, value in output.values.items():
        scope.add_value(name, value)
    sequencing = None
    if output.sequence is not None:
        chain = output.sequence.chain
        sequencing = BoundSequencing(
            scope.read(output.sequence.per),
            tuple(scope.read(value) for value in output.sequence.order),
            scope.read(chain.balance) if chain else None,
            scope.read(chain.amount) if chain else None,
            {name: columns_of(value, output.values) for name, value in _parts(output.sequence).items()},
        )
    bound = BoundOutput(
        output,
        (),
        scope.holds(output.where),
        {name: scope.read(value) for name, value in output.record.items()},
        {name: columns_of(value, output.values) for name, value in output.record.items()},
        sequencing,
    )
    return (bound, joins), [*problems, *scope.problems]


def _parts(sequencing: Sequencing) -> dict[str, Value]:
    parts = {"per": sequencing.per}
    parts |= {f"order[{index}]": value for index, value in enumerate(sequencing.order)}
    if sequencing.chain:
        parts |= {"balance": sequencing.chain.balance, "amount": sequencing.chain.amount}
    return parts


def _load(
    source: Source, files: Iterable[SourceFile], join: Join, scope: Scope, note: Note
) -> Mapping[tuple[str, ...], Sequence[str]]:
    rows: dict[tuple[str, ...], Sequence[str]] = {}
    first: dict[tuple[str, ...], Row] = {}
    holds = scope.holds(join.where)
    rights = [scope.name(right) for _, right in join.on]
    for file in files:
        for row in read_rows(source, file.path, file.columns):
            if isinstance(row, RowError):
                note(row)
                continue
            view = View(row.fields)
            key = tuple(read(view) for read in rights)
            if not holds(view) or any(part is None for part in key):
                continue
            if key in rows:
                earlier = first[key]
                message = f"expected one row for each key; {earlier.file}:{earlier.line} has the same one"
                note(RowError(row.file, row.line, join.on[0][1].name, join.name, "R021", message))
                continue
            rows[key] = row.fields
            first[key] = row
    return rows


def _matches(mapping: MappingFile, path: Path) -> list[str]:
    name = path.name.removesuffix(".gz")
    return [
        source.name
        for source in mapping.sources.values()
        if fnmatch(name, source.file) or fnmatch(path.name, source.file)
    ]
