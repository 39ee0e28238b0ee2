"""Problems for a person, for a program, for a code scanner (SARIF 2.1.0) and for a GitHub workflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from triggers.errors import Problem
from triggers.language.checks import ALL_CODES
from triggers.language.checks.pages import page_of
from triggers.language.codes import Code
from triggers.language.loader import Loaded


class Format(StrEnum):
    """How ``check`` writes what it found."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def formatted(loaded: Loaded, form: Format) -> Iterator[str]:
    """The problems of a rule set, as lines."""
    return _FORMATS[form](loaded)


def _as_text(loaded: Loaded) -> Iterator[str]:
    for problem in loaded.problems:
        yield str(problem) if problem.severity == "error" else f"{problem} [warning]"


def _as_json(loaded: Loaded) -> Iterator[str]:
    for problem in loaded.problems:
        yield json.dumps(asdict(problem), ensure_ascii=False)


def _as_annotations(loaded: Loaded) -> Iterator[str]:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""
    for problem in loaded.problems:
        place = f"file={_property(problem.file)},line={problem.line},col={problem.column}"
        path = f" ({problem.path})" if problem.path else ""
        yield f"::{problem.severity} {place},title={problem.code}::{_data(problem.message + path)}"


def _as_sarif(loaded: Loaded) -> Iterator[str]:
    found = [(problem, None) for problem in loaded.problems]
    silenced = [(one.problem, one.reason) for one in loaded.silenced]
    used = {problem.code for problem, _ in [*found, *silenced]}
    rules = [code for code in ALL_CODES if code.id in used]
    index = {code.id: number for number, code in enumerate(rules)}
    run = {
        "tool": {"driver": {"name": "bank-triggers", "rules": [_rule(code) for code in rules]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, index, reason) for problem, reason in [*found, *silenced]],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    yield json.dumps(log, ensure_ascii=False, indent=2)


_FORMATS: Final[Mapping[Format, Callable[[Loaded], Iterator[str]]]] = {
    Format.TEXT: _as_text,
    Format.JSON: _as_json,
    Format.SARIF: _as_sarif,
    Format.GITHUB: _as_annotations,
}


def _rule(code: Code) -> dict[str, Any]:
    return {
        "id": code.id,
        "shortDescription": {"text": code.about},
        "help": {"text": page_of(code.id), "markdown": page_of(code.id)},
        "defaultConfiguration": {"level": code.severity},
    }


def _result(problem: Problem, index: Mapping[str, int], reason: str | None) -> dict[str, Any]:
    region = {"startLine": problem.line, "startColumn": problem.column}
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": _uri(problem.file)}, "region": region},
    }
    if problem.path:
        location["logicalLocations"] = [{"fullyQualifiedName": problem.path}]
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": index[problem.code],
        "level": problem.severity,
        "message": {"text": problem.message},
        "locations": [location],
    }
    if reason is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": reason}]
    return result


def _uri(file: str) -> str:
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
