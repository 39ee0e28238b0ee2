"""Every requirement is shown by what ships: its cases pass, its tests exist, its numbers are held on both sides."""

from __future__ import annotations

import ast
from difflib import get_close_matches
from functools import cache
from typing import Final

import pytest

from tests.support.requirements import LIBRARY, PAGE, ROOT, Edge, Row, library, page, read_table
from triggers.casework.case_runner import CaseRunner
from triggers.casework.desk_runner import DeskSuiteRunner
from triggers.casework.suite_runner import SuiteRunner
from triggers.language.desk_cases import SUITE
from triggers.language.loader import ROLES, load_documents
from triggers.language.model import RuleSet

ROWS, PENDING = read_table()
RULES = library()
SHOWN = [row for row in ROWS.values() if row.name not in PENDING]
EDGES = [(row, edge) for row in SHOWN for edge in row.edges]
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
WANTED = {*(f"R{number}" for number in range(1, 39)), "N1", "N2", "N6", "N7", "N10"}


def test_the_table_has_every_row() -> None:
    """None is left out, and none is there that nobody asked for."""
    assert ROWS.keys() == WANTED


def test_no_row_is_pending() -> None:
    """Says which rows nothing shows yet; one that something shows is not pending."""
    assert [name for name in PENDING if ROWS[name].cases or ROWS[name].tests] == []
    if PENDING:
        pytest.skip(f"nothing shows yet: {', '.join(PENDING)}")


@pytest.mark.parametrize("row", SHOWN, ids=lambda row: row.name)
def test_a_row_is_shown(row: Row) -> None:
    """By at least one case or test that is there; each case passes; what sets it stands in the library."""
    assert row.cases or row.tests, f"{row.name}: no case and no test shows it: {row.does}"
    assert [name for name in row.tests if not _is_test(name)] == []
    assert [name for name in row.settings if not (LIBRARY / name).is_file()] == []
    assert [case for case in row.cases if not _shipped().pass_of(case)] == []


@pytest.mark.parametrize(("row", "edge"), EDGES, ids=[f"{row.name}-{edge.text}" for row, edge in EDGES])
def test_a_number_is_held_on_both_sides(row: Row, edge: Edge) -> None:
    """Whichever way it is moved, one of its cases fails."""
    text = (LIBRARY / edge.file).read_text("utf-8")
    assert edge.text in text, f"{row.name}: {edge.file} has no {edge.text!r}"
    owners = {case.partition(": ")[0] for case in edge.cases}
    for moved in edge.moved:
        cases = _with(edge.file, text.replace(edge.text, moved), owners)
        still = [case for case in edge.cases if cases.pass_of(case)]
        assert len(still) < len(edge.cases), f"{row.name}: with {moved!r} in {edge.file} these pass all the same"


def test_the_page_in_the_tree_is_the_one_the_table_makes() -> None:
    """Made anew by python -m tests.support.requirements > triggers/library/README.md."""
    assert PAGE.read_text("utf-8") == page(ROWS, RULES)


def test_every_trigger_serves_a_row() -> None:
    """Nothing ships that no requirement asks for, but for what the owner named."""
    named = {
        "lost_customer",
        "balance_drop",
        "maturity_due",
        "threshold_up",
        "threshold_down",
        "large_inflow",
        "large_outflow",
        "dormancy",
    }
    used = {case.partition(": ")[0] for row in ROWS.values() for case in row.cases}
    assert {trigger.id for trigger in RULES.triggers} - used - named == set()


class _Cases:
    """The cases of a rule set by "owner: case"."""

    def __init__(self, rules: RuleSet) -> None:
        self._runners: dict[str, CaseRunner | DeskSuiteRunner | SuiteRunner] = {
            each.id: CaseRunner(rules, each) for each in rules.triggers
        }
        for suite in rules.suites:
            of_desks = suite.name == SUITE
            self._runners[suite.name] = (DeskSuiteRunner if of_desks else SuiteRunner)(rules, suite)
        owners = {each.id: each.cases for each in rules.triggers} | {suite.name: suite.cases for suite in rules.suites}
        self._cases = {f"{owner}: {case.name}": case for owner, cases in owners.items() for case in cases}

    def pass_of(self, name: str) -> bool:
        """Whether a case passes; one that does not exist is an error that names the nearest."""
        if name not in self._cases:
            near = get_close_matches(name, self._cases, 1)
            raise AssertionError(f"there is no case {name!r}; the nearest is {near}")
        return self._runners[name.partition(": ")[0]].run(self._cases[name]).passed


@cache
def _shipped() -> _Cases:
    return _Cases(RULES)


def _with(file: str, text: str, owners: set[str]) -> _Cases:
    """The cases of these owners where a file of the library says something else."""
    files = {name: (LIBRARY / name).read_text("utf-8") for name in ROLES if (LIBRARY / name).is_file()}
    files |= {each.file: (LIBRARY / each.file).read_text("utf-8") for each in RULES.triggers if each.id in owners}
    loaded = load_documents(files | {file: text})
    assert loaded.ruleset is not None, [str(problem) for problem in loaded.errors]
    return _Cases(loaded.ruleset)


def _is_test(name: str) -> bool:
    """Whether there is such a test: a file of tests, or a function in one."""
    file, _, function = name.partition("::")
    if not (ROOT / file).is_file():
        return False
    found = {node.name for node in ast.parse((ROOT / file).read_text("utf-8")).body if isinstance(node, _FUNCTIONS)}
    return function in found if function else any(each.startswith("test_") for each in found)
