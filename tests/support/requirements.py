"""The table of what the product must do, ``tests/data/requirements.yaml``, and the page that is made of it.

``python -m tests.support.requirements > triggers/library/README.md`` makes the page anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

ROOT: Final = Path(__file__).parents[2]
LIBRARY: Final = ROOT / "triggers" / "library"
TABLE: Final = ROOT / "tests" / "data" / "requirements.yaml"
PAGE: Final = LIBRARY / "README.md"

_HEAD: Final = """\
# What ships, and what for

Made from the tests' table of requirements: `python -m tests.support.requirements > triggers/library/README.md`. Every
row works as it stands: the cases and tests behind it run with all others, and cases on both sides hold its numbers.
1w is 10,000, amounts are CNY. Numbers that no row gives are our own defaults: each stands once, in the file named.

| row | what it does | numbers | where |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Edge:
    """A number of a row: as it stands in a file of the library, what it is moved to, and the cases that hold it."""

    file: str
    text: str
    moved: tuple[str, ...]
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement. ``cases`` are "owner: case", ``tests`` "file" or "file::function"."""

    name: str
    does: str
    numbers: str
    cases: tuple[str, ...]
    tests: tuple[str, ...]
    edges: tuple[Edge, ...]
    settings: tuple[str, ...]
    commands: tuple[str, ...]


def read_table() -> tuple[dict[str, Row], tuple[str, ...]]:
    """Every row by name, and those that nothing shows yet."""
    table = yaml.safe_load(TABLE.read_text("utf-8"))
    return {name: _row(name, entry) for name, entry in table["rows"].items()}, tuple(table["pending"])


def library() -> RuleSet:
    """The rule set that ships."""
    loaded = load_ruleset([LIBRARY])
    assert loaded.ruleset is not None, [str(problem) for problem in loaded.errors]
    return loaded.ruleset


def page(rows: Mapping[str, Row], rules: RuleSet) -> str:
    """The page: each row with the files that do it."""
    files = {trigger.id: trigger.file for trigger in rules.triggers}
    files |= {suite.name: suite.file for suite in rules.suites}
    return _HEAD + "".join(
        f"| {row.name} | {row.does} | {row.numbers or '–'} | {_where(row, files)} |\n" for row in rows.values()
    )


def _where(row: Row, files: Mapping[str, str]) -> str:
    of_cases = (files[case.partition(": ")[0]] for case in row.cases)
    of_edges = (edge.file for edge in row.edges)
    links = dict.fromkeys([*row.settings, *of_edges, *of_cases])
    found = [f"[{Path(name).stem if '/' in name else name}]({name})" for name in links]
    found += [f"`{command}`" for command in row.commands]
    return ", ".join(found) or "–"


def _row(name: str, entry: Mapping[str, Any]) -> Row:
    assert entry.keys() <= {"does", "numbers", "shown", "edges", "settings", "commands"}, name
    shown = tuple(entry.get("shown", ()))
    edges = tuple(
        Edge(each["in"], each["text"], tuple(each["moved"]), tuple(each["cases"])) for each in entry.get("edges", ())
    )
    tests = tuple(one for one in shown if one.startswith("tests/"))
    cases = dict.fromkeys([one for one in shown if one not in tests] + [case for edge in edges for case in edge.cases])
    settings, commands = tuple(entry.get("settings", ())), tuple(entry.get("commands", ()))
    return Row(name, entry["does"], entry.get("numbers", ""), tuple(cases), tests, edges, settings, commands)


if __name__ == "__main__":
    print(page(read_table()[0], library()), end="")
