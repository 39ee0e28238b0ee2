"""What an import found: counts, the mistakes in its rows, and how far the balances add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from triggers.errors import Problem


class ImportRefused(Exception):
    """The mapping or the files are not what an import can begin with. ``problems`` holds every mistake found."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class RowError:
    """One mistake in one row. ``line`` is where the row begins, counted from 1.

    ``column`` is the column's name (of a joined table: ``join.column``), empty for the row as a whole; ``field`` the
    record's field that needs it. It repeats none of the row's values, which may be personal.
    """

    file: str
    line: int
    column: str
    field: str
    code: str
    message: str

    def __str__(self) -> str:
        column = f' column "{self.column}"' if self.column else ""
        needed = f" (for {self.field})" if self.field and self.field != self.column else ""
        return f"{self.file}:{self.line}{column}: {self.code} {self.message}{needed}"


class ImportStopped(Exception):
    """A strict import met a row with a mistake; nothing was written."""

    def __init__(self, error: RowError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class ChainReport:
    """How many steps from one balance to the next add up: as the file lists a day's rows, and as they were ordered.

    ``exact`` steps add up to the last decimal, ``within`` steps up to the mapping's tolerance (exact ones included).
    ``largest_gap`` is the worst miss after ordering, and ``reordered`` counts rows that changed their place.
    """

    steps: int = 0
    exact_in_file: int = 0
    exact_ordered: int = 0
    within_in_file: int = 0
    within_ordered: int = 0
    reordered: int = 0
    tolerance: Decimal = Decimal(0)
    largest_gap: Decimal = Decimal(0)


@dataclass(slots=True)
class OutputReport:
    """One output of the mapping. ``rows_read`` = ``filtered`` + ``rejected`` + ``written``."""

    name: str
    topic: str
    rows_read: int = 0
    filtered: int = 0
    rejected: int = 0
    written: int = 0
    first: datetime | None = None
    last: datetime | None = None
    chain: ChainReport | None = None


@dataclass(slots=True)
class ImportReport:
    """What an import did. ``errors`` holds the first ones in order of finding; ``error_count`` counts all."""

    outputs: list[OutputReport] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    error_count: int = 0

    @property
    def rows_read(self) -> int:
        """Rows read for the outputs; a row that serves two outputs counts twice, one of a joined table not at all."""
        return sum(output.rows_read for output in self.outputs)

    @property
    def filtered(self) -> int:
        """Rows that a ``where`` left out."""
        return sum(output.filtered for output in self.outputs)

    @property
    def rejected(self) -> int:
        """Rows that gave no event because of a mistake."""
        return sum(output.rejected for output in self.outputs)

    @property
    def written(self) -> int:
        """Events written."""
        return sum(output.written for output in self.outputs)

    @property
    def first(self) -> datetime | None:
        """The earliest event time."""
        return min((output.first for output in self.outputs if output.first), default=None)

    @property
    def last(self) -> datetime | None:
        """The latest event time."""
        return max((output.last for output in self.outputs if output.last), default=None)

    def to_json(self) -> Mapping[str, Any]:
        """The whole report as plain JSON values: times as RFC 3339 text, decimals as text."""
        return {
            "rows_read": self.rows_read,
            "written": self.written,
            "filtered": self.filtered,
            "rejected": self.rejected,
            "first": _plain(self.first),
            "last": _plain(self.last),
            "outputs": [_plain(output) for output in self.outputs],
            "error_count": self.error_count,
            "errors": [_plain(error) for error in self.errors],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
