"""A mistake in a file, with its place: what every check reports and every command prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. ``line`` and ``column`` count from 1; ``path`` is the key path inside the file."""

    file: str
    line: int
    column: int
    code: str
    message: str
    path: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = f" ({self.path})" if self.path else ""
        return f"{self.file}:{self.line}:{self.column} {self.code} {self.message}{where}"
