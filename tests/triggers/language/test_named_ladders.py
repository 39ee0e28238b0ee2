"""Ladders that the policy has by name, and triggers that use them."""

from __future__ import annotations

import re

import pytest

from tests.support.rules import DAY
from tests.triggers.language.rule_texts import GOOD
from triggers.language.loader import load_documents
from triggers.language.model import Step

NAMED = re.sub(r"ladder: .*", "ladder: service", GOOD)
POLICY = "ladders:\n  service: [[push, wechat], {after: 1d, unless: answered, use: agent}]\n"
CASE = """\
  - name: its own
    policy: {ladders: {service: [sms]}}
    events: []
    expect: []
"""


def mistakes(policy: str, good: str = NAMED) -> list[tuple[str, int, int, str, str]]:
    """File, line, column, code and message of each problem."""
    problems = load_documents({"good.yaml": good, "policy.yaml": policy}).problems
    return [(problem.file, problem.line, problem.column, problem.code, problem.message) for problem in problems]


def test_a_trigger_uses_a_ladder_of_the_policy() -> None:
    """As if its steps stood in the trigger."""
    loaded = load_documents({"good.yaml": NAMED, "policy.yaml": POLICY})
    assert loaded.ruleset is not None, loaded.problems
    steps = (Step("push", instead=("wechat",)), Step("agent", DAY, "answered"))
    assert loaded.ruleset.triggers[0].action.ladder == steps
    assert loaded.ruleset.policy.ladders == {"service": steps}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (POLICY.replace("service", "servic"), ("good.yaml", "E013", 'did you mean "servic"?')),
        ("{}", ("good.yaml", "E012", "a list of steps")),
        ("ladders: {service: [fax]}", ("policy.yaml", "E013", "expected one of push")),
        ("ladders: {service: []}", ("policy.yaml", "E014", "at least one step")),
        ("ladders: {service: push}", ("policy.yaml", "E012", "a list of steps")),
        ("ladders: {service: [push, sms]}", ("policy.yaml", "E011", "{after: 2d, use: sms}")),
        (POLICY.replace("unless: answered", "unless: customer.age > 3"), ("policy.yaml", "E013", "delivered")),
        ("ladders: {service: [push], Other: [push]}", ("policy.yaml", "E014", "a ladder's name has small letters")),
    ],
)
def test_a_mistake_is_located(policy: str, expected: tuple[str, str, str]) -> None:
    """In the policy where the ladder is wrong, in the trigger where the name is."""
    ((file, _, _, code, message),) = mistakes(policy)
    assert (file, code) == expected[:2]
    assert expected[2] in message


def test_what_the_policy_makes_of_it_is_told_at_the_name() -> None:
    """A step that never comes, and a channel that no route has."""
    (held,) = mistakes(f"{POLICY}caps: [{{at_most: 1, per: 7d}}]")
    (closed,) = mistakes(f"{POLICY}routing: [{{complexity: [simple], channels: [push, wechat]}}]")
    line = next(number for number, text in enumerate(NAMED.splitlines(), 1) if "ladder:" in text)
    assert (held[:2], held[3]) == (("good.yaml", line), "W113")
    assert (closed[:2], closed[3]) == (("good.yaml", line), "W122")
    assert "agent" in closed[4]


def test_a_case_cannot_change_it() -> None:
    """The trigger has its steps before any case runs: to be silent about that would be a trap."""
    (found,) = mistakes(POLICY, NAMED + CASE)
    assert (found[0], found[3]) == ("good.yaml", "E018")
    assert "policy.yaml" in found[4]
