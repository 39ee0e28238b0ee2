"""The cases of tiers and tags, and the tags that a trigger's case gives: run as production would."""

from __future__ import annotations

from triggers.casework.case_runner import CaseResult, CaseRunner
from triggers.casework.suite_runner import SuiteRunner
from triggers.language.loader import load_documents
from triggers.language.model import RuleSet

FILES = {
    "tiers.yaml": """\
tierings:
  tier:
    measure: customer.aum
    edges: {small: 0, large: 50000}
    tests:
      - name: up and down
        customer: {balance: 49000}
        events:
          - {at: "2026-03-02 10:00", transaction: {direction: credit, amount: 1000}}
          - {at: "2026-03-03 10:00", transaction: {direction: debit, amount: 1}}
        expect:
          - {at: "2026-03-02 10:00", up: large}
          - {at: "2026-03-03 10:00", down: small}
      - name: known for the first time
        events: [{at: "2026-03-02 10:00", profile: {tier: high}}]
        expect: []
""",
    "tags.yaml": """\
features:
  peak: {max: customer.balance, over: 30d}
tags:
  large: {when: 'customer.tier == "large"'}
  fallen:
    when: customer.balance <= peak * 0.5
    holds: 10d
    tests:
      - name: falls and is over
        customer: {balance: 10000}
        events: [{at: "2026-03-02 10:00", transaction: {direction: debit, amount: 5000}}]
        expect:
          - {at: "2026-03-02 10:00", tag: added}
          - {at: "2026-04-01 10:00", tag: removed}
      - name: expects too much
        customer: {balance: 10000}
        events: [{at: "2026-03-02 10:00", transaction: {direction: debit, amount: 4000}}]
        expect: [{at: "2026-03-02 10:00", tag: added}]
      - name: expects too little
        customer: {balance: 10000}
        events: [{at: "2026-03-02 10:00", transaction: {direction: debit, amount: 5000}}]
        until: "2026-03-05 10:00"
        expect: []
      - name: expects nothing of nothing
        events: []
        expect: []
      - name: has no such event
        events: [{at: "2026-03-02 10:00", maturity: {matures_on: "2026-01-01"}}]
        expect: [{at: "2026-03-02 10:00", tag: added}]
""",
    "comfort.yaml": """\
trigger: comfort
version: 1
title: Comfort
owner: tests
status: live
on: [transaction, tag.removed.fallen]
when: >-
  ("fallen" in customer.tags and "large" in customer.tags) or "fallen" in before.tags
action:
  offer: call
  category: retention
  complexity: simple
  priority: 1
  expires: 1d
  ladder: [push]
tests:
  - name: both given
    customer: {balance: 100, tags: [fallen, large]}
    events: [{at: "2026-03-02 10:00", transaction: {direction: debit, amount: 1}}]
    expect:
      - {at: "2026-03-02 10:00", channel: push}
      - {at: "2026-03-12 10:00", channel: push}
  - name: one given
    customer: {balance: 100, tags: [large]}
    events: [{at: "2026-03-02 10:00", transaction: {direction: debit, amount: 1}}]
    expect: []
""",
}


def rules() -> RuleSet:
    """The files above."""
    loaded = load_documents(FILES)
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


def results() -> dict[str, CaseResult]:
    """What became of each case of tiers and tags, by name."""
    ruleset = rules()
    return {case.name: SuiteRunner(ruleset, suite).run(case) for suite in ruleset.suites for case in suite.cases}


def test_what_is_as_expected_passes() -> None:
    """A tier's ways and a tag's life, to the moment."""
    found = results()
    passed = ["up and down", "known for the first time", "falls and is over"]
    assert [name for name, result in found.items() if result.passed] == passed
    assert found["up and down"].trigger == "tier"
    assert found["falls and is over"].trigger == "fallen"


def test_what_differs_is_shown_in_its_place() -> None:
    """What should have come and what came, at their times and lines."""
    found = results()
    missing = [row for row in found["expects too much"].rows if row.wrong]
    assert [(row.kind, row.expected, row.line) for row in missing] == [("missing", "tag.added fallen", 18)]
    extra = [row for row in found["expects too little"].rows if row.wrong]
    assert [(row.kind, row.came) for row in extra] == [("unexpected", "tag.added fallen")]


def test_a_case_that_proves_nothing_is_wrong() -> None:
    """As is one whose event cannot be."""
    found = results()
    assert "asserts nothing" in found["expects nothing of nothing"].problem
    assert "matures_on" in found["has no such event"].problem
    assert found["has no such event"].line == 28


def test_a_trigger_case_may_give_tags() -> None:
    """One that holds on stays for its time; another throughout, whatever its condition says."""
    ruleset = rules()
    (trigger,) = ruleset.triggers
    found = [CaseRunner(ruleset, trigger).run(case) for case in trigger.cases]
    assert [result.passed for result in found] == [True, True], found


def test_one_case_leaves_nothing_to_the_next() -> None:
    """In whatever order they run."""
    ruleset = rules()
    for suite in ruleset.suites:
        runner = SuiteRunner(ruleset, suite)
        twice = [runner.run(case) for case in (*suite.cases, *suite.cases)]
        assert twice[: len(suite.cases)] == twice[len(suite.cases) :]
