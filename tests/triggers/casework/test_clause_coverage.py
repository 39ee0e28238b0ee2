"""Which clauses the cases of a trigger made true and false."""

from __future__ import annotations

from pathlib import Path

from tests.support.casework import load_trigger, trigger_text
from triggers.casework.case_runner import CaseRunner
from triggers.casework.coverage import ClauseCoverage, cover, percent
from triggers.language.loader import load_ruleset

LIBRARY = Path(__file__).parents[3] / "triggers" / "library"


def paying(name: str, fields: str, expect: str = "[]", customer: str = "{}") -> str:
    """A case of one payment."""
    event = f'{{at: "2026-03-02 10:00", transaction: {{{fields}}}}}'
    return f"  - name: {name}\n    customer: {customer}\n    events: [{event}]\n    expect: {expect}\n"


FIRED = '[{at: "2026-03-02 10:00"}]'


def covered(when: str, *cases: str) -> dict[str, str]:
    """What is missing, by clause."""
    return {one.source: one.missing for one in coverage(when, *cases)}


def coverage(when: str, *cases: str) -> tuple[ClauseCoverage, ...]:
    """The coverage of a condition by cases."""
    ruleset, trigger = load_trigger(trigger_text(*cases, when=when))
    runner = CaseRunner(ruleset, trigger)
    results = [runner.run(case) for case in trigger.cases]
    assert all(result.passed for result in results)
    return cover(trigger, [evaluated for result in results for evaluated in result.trace])


def test_each_leaf_counts_by_itself() -> None:
    """An ``or`` that was true and false does not cover its parts."""
    when = "event.amount >= 500 and (event.own_account or customer.app_user)"
    cases = [
        paying("fires", "amount: 500, own_account: true", FIRED),
        paying("small", "amount: 1, own_account: true"),
        paying("neither", "amount: 500"),
    ]
    assert covered(when, *cases) == {
        "event.amount >= 500": "",
        "event.own_account": "",
        "customer.app_user": "never true, never false",
    }
    app_user = paying("app_user", "amount: 500", FIRED, "{app_user: true}")
    assert covered(when, *cases, app_user)["customer.app_user"] == "never false"
    nobody = paying("nobody", "amount: 500", customer="{app_user: false}")
    assert covered(when, *cases, nobody)["customer.app_user"] == "never true"
    assert set(covered(when, *cases, app_user, nobody).values()) == {""}


def test_unknown_is_neither_true_nor_false() -> None:
    """A customer of whom nothing is known covers nothing."""
    cases = [paying("fires", "amount: 500", FIRED, "{app_user: true}"), paying("unknown", "amount: 500")]
    assert covered("customer.app_user", *cases) == {"customer.app_user": "never false"}


def test_the_percentage_is_of_outcomes() -> None:
    """Two for each leaf; a condition without leaves is covered."""
    cases = [paying("fires", "amount: 500", FIRED), paying("small", "amount: 1")]
    found = coverage("event.amount >= 500 and not event.own_account", *cases)
    assert percent(found) == 75.0
    assert percent([]) == 100.0


def test_a_clause_that_stands_twice_is_covered_twice() -> None:
    """Places tell them apart."""
    when = "event.amount >= 500 and (event.own_account or event.amount >= 500)"
    cases = [paying("fires", "amount: 500", FIRED), paying("small", "amount: 1")]
    assert [(one.source, one.missing) for one in coverage(when, *cases)] == [
        ("event.amount >= 500", ""),
        ("event.own_account", "never true"),
        ("event.amount >= 500", ""),
    ]
    assert len({one.column for one in coverage(when, *cases)}) == 3


def test_the_shipped_triggers_are_covered_whole() -> None:
    """Every clause of every condition was true and false, and every case passes."""
    ruleset = load_ruleset([LIBRARY]).ruleset
    assert ruleset is not None
    missing = []
    for trigger in ruleset.triggers:
        runner = CaseRunner(ruleset, trigger)
        results = [runner.run(case) for case in trigger.cases]
        assert [result.case for result in results if not result.passed] == []
        found = cover(trigger, [evaluated for result in results for evaluated in result.trace])
        missing += [f"{one.file}:{one.line} {one.missing}: {one.source}" for one in found if one.missing]
    assert missing == []
