"""Files in, an event file out: read, transform, number, sort by event time, write.

Nothing is held whole but the joined tables and a digest of each event id: rows are sorted in runs on disk, first by
the key they are numbered in, then by event time. The output appears only when all of it is written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar, cast

from streams.event_file import format_event, replacing
from streams.importer.binding import BoundOutput, SourceFile, assign_files, bind, read_headers
from streams.importer.mapping import Mapping as MappingFile
from streams.importer.mapping_reader import read_mapping
from streams.importer.numbering import number_rows
from streams.importer.records import Draft, RowReader, finish
from streams.importer.report import ChainReport, ImportRefused, ImportReport, ImportStopped, OutputReport, RowError
from streams.importer.sorting import RUN_LENGTH, Sorter
from streams.importer.table import read_rows
from triggers.errors import Problem

MAX_ERRORS: Final = 1000
"""Row errors kept in the report; all are counted."""

T = TypeVar("T")


def import_files(
    mapping_path: Path,
    files: Sequence[str],
    output: Path,
    *,
    tenant: str | None = None,
    strict: bool = False,
    max_errors: int = MAX_ERRORS,
    run_length: int = RUN_LENGTH,
) -> ImportReport:
    """Turns files into one event file, sorted by event time, gzipped where its name ends in ``.gz``.

    ``files`` are paths, folders or ``source=path`` (see ``binding.assign_files``). ``tenant`` overrides the
    mapping's. A row with a mistake gives no event and an error in the report; with ``strict`` the first one ends
    the import.
    The same input gives the same bytes. ``run_length`` rows are held in memory at a time.

    Raises ``ImportRefused`` for mistakes in the mapping, the files or the place of the output, ``ImportStopped`` when
    strict; the output then stays as it was.
    """
    mapping = read_mapping(mapping_path)
    if not isinstance(mapping, MappingFile):
        raise ImportRefused(mapping)
    if tenant is not None:
        mapping = replace(mapping, tenant=tenant)
    assigned = _or_refuse(assign_files(mapping, files))
    _check_output(output, [mapping_path, *(path for paths in assigned.values() for path in paths)])
    headers = _or_refuse(read_headers(mapping, assigned))
    report = ImportReport()

    def note(error: RowError) -> None:
        if strict:
            raise ImportStopped(error)
        report.error_count += 1
        if len(report.errors) < max_errors:
            report.errors.append(error)

    outputs = _or_refuse(bind(mapping, headers, note))
    report.outputs += [_begin(bound) for bound in outputs]
    with tempfile.TemporaryDirectory(prefix=".import-", dir=output.parent) as scratch:
        by_key: Sorter[Draft] = Sorter(_folder(scratch, "by-key"), run_length)
        by_time: Sorter[str] = Sorter(_folder(scratch, "by-time"), run_length)
        _read_rows(mapping, headers, outputs, by_key, report, note)
        _number(mapping.tenant, outputs, by_key, by_time, report, note)
        with replacing(output, Path(scratch)) as file:
            for _, line in by_time:
                file.write(line.encode())
    return report


def _read_rows(
    mapping: MappingFile,
    headers: Mapping[str, Sequence[SourceFile]],
    outputs: Sequence[BoundOutput],
    by_key: Sorter[Draft],
    report: ImportReport,
    note: Callable[[RowError], None],
) -> None:
    ordinal = 0
    readers = [RowReader(index, bound, mapping.tenant) for index, bound in enumerate(outputs)]
    for name, files in headers.items():
        serving = [reader for reader in readers if reader.bound.output.source == name]
        for file in files if serving else ():
            for row in read_rows(mapping.sources[name], file.path, file.columns):
                ordinal += 1
                if isinstance(row, RowError):
                    note(row)
                for reader in serving:
                    counts = report.outputs[reader.index]
                    counts.rows_read += 1
                    if isinstance(row, RowError):
                        counts.rejected += 1
                        continue
                    draft = reader.read(row, ordinal)
                    if draft is None:
                        counts.filtered += 1
                    elif isinstance(draft, Draft):
                        by_key.add((draft.output, draft.per, draft.order, draft.ordinal), draft)
                    else:
                        counts.rejected += 1
                        for error in draft:
                            note(error)


def _number(
    tenant: str,
    outputs: Sequence[BoundOutput],
    by_key: Sorter[Draft],
    by_time: Sorter[str],
    report: ImportReport,
    note: Callable[[RowError], None],
) -> None:
    for draft in number_rows((draft for _, draft in by_key), outputs, report.outputs, note):
        counts = report.outputs[draft.output]
        message = finish(draft, outputs[draft.output], tenant)
        if isinstance(message, list):
            counts.rejected += 1
            for error in message:
                note(error)
            continue
        counts.written += 1
        counts.first = min(counts.first or message.time, message.time)
        counts.last = max(counts.last or message.time, message.time)
        # Of one account the number decides at equal times; of several, the account's id: never the file's order.
        key = (message.time, draft.output, draft.per, draft.number)
        by_time.add(key, format_event(message.topic, message.key, message.value))


def _check_output(output: Path, inputs: Sequence[Path]) -> None:
    if not output.parent.is_dir():
        message = "the folder of the output does not exist"
    elif not os.access(output.parent, os.W_OK):
        message = "the folder of the output cannot be written to"
    elif output.is_dir():
        message = "the output is a folder; expected the name of a file"
    elif output.resolve() in {path.resolve() for path in inputs}:
        message = "the output would replace one of the files it is made from"
    else:
        return
    raise ImportRefused((Problem(str(output), 1, 1, "I007", message),))


def _begin(bound: BoundOutput) -> OutputReport:
    output = bound.output
    chain = output.sequence.chain if output.sequence else None
    return OutputReport(output.name, output.topic.name, chain=ChainReport(tolerance=chain.tolerance) if chain else None)


def _or_refuse(found: T | list[Problem]) -> T:
    if isinstance(found, list) and found and isinstance(found[0], Problem):
        raise ImportRefused(tuple(found))
    return cast("T", found)


def _folder(scratch: str, name: str) -> Path:
    folder = Path(scratch) / name
    folder.mkdir()
    return folder
