"""Trigger files to run cases of: a small trigger, and what its cases come to."""

from __future__ import annotations

from collections.abc import Mapping

from triggers.casework.case_runner import CaseResult, CaseRunner
from triggers.language.loader import load_documents
from triggers.language.model import RuleSet, Trigger

HEAD = """\
trigger: large
version: 1
title: A large payment
owner: tests
status: {status}
on: {on}
when: {when}
action:
  offer: call
  category: care
  complexity: simple
  priority: 50
  expires: 48h
  ladder: {ladder}
"""
FIRES = """\
  - name: fires
    events: [{at: "2026-03-02 10:00", transaction: {amount: 500}}]
    expect: [{at: "2026-03-02 10:00"}]
"""
SILENT = """\
  - name: silent
    events: [{at: "2026-03-02 10:00", transaction: {amount: 499}}]
    expect: []
"""


def trigger_text(
    *cases: str,
    on: str = "transaction",
    when: str = "event.amount >= 500",
    ladder: str = "[push]",
    status: str = "live",
    more: str = "",
) -> str:
    """A trigger file with these cases, each the lines of a list item."""
    head = HEAD.format(on=on, when=when, ladder=ladder, status=status)
    return f"{head}{more}tests:\n{''.join(cases)}"


def load_trigger(text: str, **beside: str) -> tuple[RuleSet, Trigger]:
    """The rule set of one trigger file, with ``policy`` and the like beside it; problems that are errors fail."""
    files: Mapping[str, str] = {"large.yaml": text} | {f"{name}.yaml": body for name, body in beside.items()}
    loaded = load_documents(files)
    assert loaded.ruleset is not None, [str(problem) for problem in loaded.problems]
    (trigger,) = loaded.ruleset.triggers
    return loaded.ruleset, trigger


def results_of(text: str, **beside: str) -> dict[str, CaseResult]:
    """What each case of a trigger file came to, by its name."""
    ruleset, trigger = load_trigger(text, **beside)
    runner = CaseRunner(ruleset, trigger)
    return {case.name: runner.run(case) for case in trigger.cases}


def result_of(case: str, **more: str) -> CaseResult:
    """What one case of the small trigger comes to, whose other cases make the file whole."""
    results = results_of(trigger_text(case, FIRES.replace("fires", "usual"), SILENT.replace("silent", "still"), **more))
    return next(iter(results.values()))
