"""Inline tests run through the production engine on a virtual clock; a failing one shows what came instead."""

from __future__ import annotations

from textwrap import dedent

import pytest

from triggers.casework.case_runner import CaseResult, CaseRunner
from triggers.casework.report import report
from triggers.language.loader import load_documents

HEAD = """\
trigger: large
version: 1
title: A large payment
owner: tests
status: live
on: transaction
when: event.amount >= 500
action:
  offer: call
  category: care
  complexity: simple
  priority: 50
  expires: 48h
  ladder: [push, {after: 2d, unless: opened, use: sms}]
tests:
"""
SILENT = """\
  - name: silent
    customer: {balance: 1000}
    events:
      - {at: "2026-03-02 10:00", transaction: {direction: debit, amount: 499}}
    expect: []
"""
FIRES = """\
  - name: fires
    customer: {balance: 1000}
    events:
      - {at: "2026-03-02 10:00", transaction: {direction: debit, amount: 500}}
    expect:
      - {at: "2026-03-02 10:00", offer: call, channel: push}
      - {at: "2026-03-04 10:00", offer: call, channel: sms}
"""


def run(text: str, policy: str = "") -> list[CaseResult]:
    """The results of a trigger file's cases."""
    files = {"large.yaml": text} | ({"policy.yaml": dedent(policy)} if policy else {})
    loaded = load_documents(files)
    assert loaded.ruleset is not None, loaded.problems
    (trigger,) = loaded.ruleset.triggers
    runner = CaseRunner(loaded.ruleset, trigger)
    return [runner.run(case) for case in trigger.cases]


def test_a_case_runs_until_nothing_can_come_any_more() -> None:
    """The ladder's later steps count as well."""
    assert [result.passed for result in run(HEAD + FIRES + SILENT)] == [True, True]


def test_an_action_nobody_expected_fails_the_case() -> None:
    """Leaving the last step out of the expectation is not enough."""
    short = FIRES.replace('      - {at: "2026-03-04 10:00", offer: call, channel: sms}\n', "")
    fires, _ = run(HEAD + short + SILENT)
    assert not fires.passed
    assert [(row.kind, row.expected) for row in fires.rows if row.wrong] == [("unexpected", "")]
    assert "channel=sms" in fires.rows[-1].came


def test_expect_nothing_fails_when_something_comes() -> None:
    """The report shows the action beside the empty expectation."""
    _, silent = run(HEAD + FIRES + SILENT.replace("499", "500"))
    assert not silent.passed
    shown = "\n".join(report(silent))
    assert "2026-03-02 10:00  + nothing  | offer=call channel=push step=0" in shown
    assert "transaction.other: true, sent offer=call channel=push" in shown


@pytest.mark.parametrize(
    ("expected", "other"),
    [("channel: push", "channel: email"), ("10:00", "10:01"), ("offer: call", "offer: visit")],
    ids=["channel", "time", "offer"],
)
def test_each_part_of_an_expectation_counts(expected: str, other: str) -> None:
    """A wrong channel, time or offer fails the case."""
    head, _, tail = FIRES.partition("expect:")
    fires, _ = run(HEAD + head + "expect:" + tail.replace(expected, other, 1) + SILENT)
    assert not fires.passed


def test_the_report_says_why_a_candidate_was_held_back() -> None:
    """The rule that held it is named."""
    policy = """\
        caps:
          - {at_most: 1, per: 7d}
        """
    twice = FIRES.replace(
        "500}}\n", '500}}\n      - {at: "2026-03-02 11:00", transaction: {direction: debit, amount: 500}}\n'
    )
    fires, _ = run(HEAD + twice + SILENT, policy)
    assert not fires.passed
    assert any(row.kind == "noted" and row.came.startswith("held back: capped") for row in fires.rows)
    assert "transaction.other: true, held back: capped" in "\n".join(report(fires))


def test_an_event_that_is_no_record_is_named_with_its_line() -> None:
    """What the engine sets aside fails the case at the event's own line."""
    late = FIRES.replace(
        "500}}\n",
        '500}}\n      - {at: "2026-03-20 10:00", transaction: {direction: debit, amount: 1}}\n'
        '      - {at: "2026-03-21 10:00", transaction: {direction: debit, amount: 1, currency: USD}}\n',
    )
    fires, _ = run(HEAD + late + SILENT)
    assert not fires.passed
    assert fires.problem == "transaction.currency: the account is kept in another currency"
    assert fires.line == (HEAD + late).splitlines().index(next(line for line in late.splitlines() if "USD" in line)) + 1


def test_a_case_may_hold_products_and_give_feedback() -> None:
    """Feedback without an id answers the latest action."""
    answered = FIRES.replace(
        "500}}\n", '500}}\n      - {at: "2026-03-03 10:00", feedback: {outcome: opened}}\n'
    ).replace('      - {at: "2026-03-04 10:00", offer: call, channel: sms}\n', "")
    assert [result.passed for result in run(HEAD + answered + SILENT)] == [True, True]
