"""The tests of ``desks.yaml``: they run through the production stage, and a wrong one fails."""

from __future__ import annotations

from pathlib import Path

import triggers
from tests.support.desk_world import TRIGGER
from triggers.casework.case_runner import CaseResult
from triggers.casework.desk_runner import DeskSuiteRunner
from triggers.language.loader import load_documents, load_ruleset

GOOD = """
desks: {counter: {tiers: [mid]}, vip: {tiers: [high, private]}}
tests:
  - name: a case
    events:
      - {at: "2026-03-02 09:00", manager: M1, capacity: 1}
      - {at: "2026-03-02 10:00", customer: C1, tier: mid}
    expect:
      - {at: "2026-03-02 10:00", customer: C1, outcome: assigned, manager: M1}
"""


def run(text: str) -> CaseResult:
    ruleset = load_documents({"any_login.yaml": TRIGGER, "desks.yaml": text}).ruleset
    assert ruleset is not None
    (suite,) = ruleset.suites
    return DeskSuiteRunner(ruleset, suite).run(suite.cases[0])


def rows(result: CaseResult) -> list[tuple[str, str, str]]:
    return [(row.kind, row.expected, row.came) for row in result.rows if row.kind != "event"]


def test_what_comes_as_expected_passes() -> None:
    """With what came beside it."""
    result = run(GOOD)
    assert result.passed
    told = "outcome=assigned customer=C1 manager=M1"
    assert rows(result) == [("matched", told, told)]


def test_what_does_not_come_fails_and_so_does_what_nobody_expected() -> None:
    """Another manager, another time, another outcome."""
    at = '"2026-03-02 10:00", customer: C1, o'
    for old, new in (("manager: M1}\n", "manager: M2}\n"), (at, at.replace("10:00", "10:01")), ("assigned", "no_room")):
        assert old in GOOD
        result = run(GOOD.replace(old, new))
        assert not result.passed
        assert sorted(kind for kind, _, _ in rows(result)) == ["missing", "unexpected"]
    assert not run(GOOD.replace("    expect:\n", "    expect: []\n").rpartition("      -")[0]).passed


def test_an_answer_that_nobody_asked_for_is_a_mistake_of_the_case() -> None:
    """At its line."""
    answer = '      - {at: "2026-03-02 11:00", customer: C1, answer: approved}\n    expect:'
    result = run(GOOD.replace("    expect:", answer))
    assert result.problem == "nobody has asked for a handover of C1 by then"
    assert result.line == 8


def test_the_desks_that_ship_are_tested() -> None:
    """On both sides of each number: 5 and 50w, the capacity, two days, five days, 90 days."""
    ruleset = load_ruleset([Path(next(iter(triggers.__path__))) / "library"]).ruleset
    assert ruleset is not None
    (suite,) = [suite for suite in ruleset.suites if suite.name == "desks"]
    assert len(suite.cases) >= 7
    runner = DeskSuiteRunner(ruleset, suite)
    assert [case.name for case in suite.cases if not runner.run(case).passed] == []


def test_a_manager_has_as_many_customers_as_the_case_says() -> None:
    """They take room as any other; an event of a customer has none."""
    full = GOOD.replace("capacity: 1}", "capacity: 3, customers: 3}").replace(
        "outcome: assigned, manager: M1", "outcome: no_capacity"
    )
    assert run(full).passed
    assert run(GOOD.replace("capacity: 1}", "capacity: 4, customers: 3}")).passed
    wrong = load_documents({"any_login.yaml": TRIGGER, "desks.yaml": GOOD.replace("tier: mid", "customers: 3")})
    assert [(problem.code, problem.line) for problem in wrong.errors] == [("E018", 7)]
