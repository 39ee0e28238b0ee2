"""Which clauses the cases of a trigger made true and false."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.casework import SILENT, load_trigger, trigger_text
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
    return cover(trigger, results)


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
        found = cover(trigger, results)
        missing += [f"{one.file}:{one.line} {one.missing}: {one.source}" for one in found if one.missing]
    assert missing == []


GUARDED = """\
  - name: twice
    customer: {{balance: 1000}}
    events:
      - {{at: "2026-03-02 10:00", transaction: {{direction: debit, amount: 500}}}}
      - {{at: "2026-03-03 10:00", transaction: {{direction: {direction}, amount: 600}}}}
    expect:
      - {{at: "2026-03-02 10:00"}}
{more}"""
SECOND = """\
      - {at: "2026-03-03 10:00"}
      - {at: "2026-03-04 10:00", channel: sms}
"""


@pytest.mark.parametrize(
    ("direction", "more", "missing"),
    [
        ("debit", '      - {at: "2026-03-03 10:00", held_back: not_rearmed}\n', ["never true", "never false"]),
        ("credit", SECOND, ["never false", ""]),
    ],
)
def test_rearm_and_the_steps_are_covered_too(direction: str, more: str, missing: list[str]) -> None:
    """In the order of the file, each where it was looked at."""
    ladder = "[push, {after: 1d, unless: customer.balance < 1000, use: sms}]"
    text = trigger_text(
        GUARDED.format(direction=direction, more=more), SILENT, ladder=ladder, more="rearm: customer.balance >= 1000\n"
    )
    ruleset, trigger = load_trigger(text)
    results = [CaseRunner(ruleset, trigger).run(trigger.cases[0])]
    assert [result.passed for result in results] == [True], results[0].rows
    found = cover(trigger, results)
    assert [one.source for one in found[1:]] == ["customer.balance >= 1000", "customer.balance < 1000"]
    assert [one.missing for one in found[1:]] == missing
