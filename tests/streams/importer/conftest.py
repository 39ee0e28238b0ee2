"""Small imports in a folder of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streams.importer import ImportRefused, ImportReport, import_files

MAPPING = """\
tenant: test
timezone: Europe/Prague
sources:
  rows: {{file: rows.csv{source}}}
{sources}
{tables}
outputs:
  transactions:
    topic: bank.transactions
    from: rows
{output}
    record:
{record}
{sequence}
"""
RECORD: Mapping[str, str] = {
    "event_id": "id",
    "customer_id": "customer",
    "account_id": "account",
    "occurred_at": "{column: at, as: datetime, format: iso}",
    "direction": "{column: type, table: {C: credit, D: debit}}",
    "amount": "{column: amount, as: number}",
    "currency": "{const: CZK}",
    "balance_after": "{column: balance, as: number}",
}
SEQUENCE = "    sequence: {per: account, order: [{column: at, as: datetime, format: iso}]}"
HEADER = "id,customer,account,at,type,amount,balance"
ROW = "e1,c1,a1,2020-03-02 10:00:00,C,10.50,10.50"


@dataclass
class Bench:
    """Writes a mapping and its files, imports them, and keeps what came of it."""

    folder: Path

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def mapping(self, **parts: Any) -> Path:
        """The base mapping, with fields of the record replaced (``None`` leaves one out) and parts filled in."""
        fields = {**RECORD, **parts.get("record", {})}
        record = "\n".join(f"      {name}: {value}" for name, value in fields.items() if value is not None)
        text = MAPPING.format(
            source=parts.get("source", ""),
            sources=parts.get("sources", ""),
            tables=parts.get("tables", ""),
            output=parts.get("output", ""),
            record=record,
            sequence=parts.get("sequence", SEQUENCE),
        )
        return self.write("mapping.yaml", text)

    def run(self, rows: str | bytes, *, strict: bool = False, run_length: int = 50_000, **parts: Any) -> ImportReport:
        """Imports ``rows`` (header and all) with the base mapping."""
        self.write("rows.csv", rows)
        mapping = self.mapping(**parts)
        files = parts.get("files", [str(self.folder)])
        return import_files(mapping, files, self.folder / "out.jsonl", strict=strict, run_length=run_length)

    def values(self) -> list[dict[str, Any]]:
        """The values written, in order."""
        return [json.loads(line)["value"] for line in (self.folder / "out.jsonl").read_text().splitlines()]

    def refusals(self, **parts: Any) -> list[str]:
        """The problems that refuse an import of one good row, without the file's folder."""
        with pytest.raises(ImportRefused) as refused:
            self.run(parts.pop("rows", f"{HEADER}\n{ROW}\n"), **parts)
        assert not (self.folder / "out.jsonl").exists()
        return [str(problem).replace(f"{self.folder}/", "") for problem in refused.value.problems]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench in a new folder."""
    return Bench(tmp_path)


@pytest.fixture
def errors_of(tmp_path: Path) -> Callable[[ImportReport], list[str]]:
    """A report's row errors as text, without the file's folder."""
    return lambda report: [str(error).replace(f"{tmp_path}/", "") for error in report.errors]
