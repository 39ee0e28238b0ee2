"""Which channel suits whom, and which carries what."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from textwrap import dedent
from typing import Any

import pytest

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, profile, transaction
from tests.triggers.language.rule_texts import GOOD
from triggers.language.loader import load_documents

TRIGGER = """\
trigger: any
version: 1
title: Any transaction
owner: tests
status: live
on: transaction
action:
  offer: call
  category: care
  complexity: COMPLEXITY
  priority: 50
  expires: 48h
  ladder: [CHANNEL]
tests:
  - name: fires
    events: [{at: "2026-03-02 10:00", transaction: {amount: 1}}]
    expect: [{at: "2026-03-02 10:00"}]
  - {name: silent, events: [], expect: []}
"""
SUITABILITY = """\
caps: []
consent: []
suitability:
  - channels: [push, wechat]
    when: >-
      customer.age >= 20 and customer.age <= 50
      and customer.branch_visits_per_month <= 1
      and customer.app_user and customer.mobile_valid
      and customer.mobile_pay_user
      and customer.online_wealth_user
    unknown: UNKNOWN
"""
ROUTING = """\
caps: []
consent: []
routing:
  - {complexity: [complex], when: customer.aum < 200000, channels: []}
  - {complexity: [complex], channels: [manager, branch]}
  - {complexity: [simple, medium], when: 'customer.tier == "mid"', channels: [push, agent]}
"""
FITS: dict[str, Any] = {
    "birth_date": date(1990, 3, 3),
    "branch_visits_per_month": 1,
    "app_user": True,
    "mobile_valid": True,
    "mobile_pay_user": True,
    "online_wealth_user": True,
}


def found(policy: str, known: dict[str, Any], channel: str = "push", complexity: str = "simple") -> Any:
    """The decision on a contact with a customer of whom this is known."""
    text = TRIGGER.replace("CHANNEL", channel).replace("COMPLEXITY", complexity)
    loaded = load_documents({"any.yaml": text, "policy.yaml": policy})
    assert loaded.ruleset is not None, loaded.problems
    person = Customer(loaded.ruleset)
    balance = known.pop("balance", 1)
    person.feed(profile("p1", 1, **known))
    outputs = person.feed(transaction("t1", 1, 1, balance))
    (decision,) = [output for output in outputs if isinstance(output, Decision)]
    assert bool(actions(outputs)) is (decision.reason == "sent")
    return decision


@pytest.mark.parametrize(
    ("other", "sent", "value"),
    [
        ({}, True, ""),
        ({"birth_date": date(2006, 3, 2)}, True, ""),
        ({"birth_date": date(2006, 3, 3)}, False, "19"),
        ({"birth_date": date(1975, 3, 3)}, True, ""),
        ({"birth_date": date(1975, 3, 2)}, False, "51"),
        ({"branch_visits_per_month": 2}, False, "2"),
        ({"app_user": False}, False, "false"),
        ({"mobile_valid": False}, False, "false"),
        ({"mobile_pay_user": False}, False, "false"),
        ({"online_wealth_user": False}, False, "false"),
    ],
)
def test_online_channels_suit_whom_the_policy_says(other: dict[str, Any], sent: bool, value: str) -> None:
    """R27, on both sides of each number; the clause that failed is on record with its value."""
    decision = found(SUITABILITY.replace("UNKNOWN", "allow"), {**FITS, **other})
    assert (decision.reason == "sent") is sent
    if not sent:
        assert decision.reason == "unsuitable"
        (name,) = other
        path = "customer.age" if name == "birth_date" else f"customer.{name}"
        assert decision.detail[path] == value
        assert path in decision.detail["clause"]
        assert decision.detail["channel"] == "push"


def test_other_channels_ask_for_nothing() -> None:
    """The manager's desk is for everybody."""
    assert found(SUITABILITY.replace("UNKNOWN", "refuse"), {}, "manager").reason == "sent"


@pytest.mark.parametrize("name", sorted(FITS))
def test_what_is_unknown_counts_as_the_policy_says(name: str) -> None:
    """Allowed unless the bank wants it known; a known contradiction refuses either way."""
    known = {key: value for key, value in FITS.items() if key != name}
    assert found(SUITABILITY.replace("UNKNOWN", "allow"), dict(known)).reason == "sent"
    assert found(SUITABILITY.replace("    unknown: UNKNOWN\n", ""), dict(known)).reason == "sent"
    refused = found(SUITABILITY.replace("UNKNOWN", "refuse"), dict(known))
    assert refused.reason == "unsuitable"
    assert "unknown" in refused.detail.values()


@pytest.mark.parametrize(
    ("known", "channel", "complexity", "reason"),
    [
        ({"balance": 199_999}, "branch", "complex", "not_routed"),
        ({"balance": 200_000}, "branch", "complex", "sent"),
        ({"balance": 200_000}, "push", "complex", "not_routed"),
        ({"tier": "mid"}, "push", "medium", "sent"),
        ({"tier": "mid"}, "sms", "medium", "not_routed"),
        ({"tier": "high"}, "sms", "medium", "sent"),
        ({}, "sms", "simple", "sent"),
    ],
)
def test_the_first_route_that_fits_decides(known: dict[str, Any], channel: str, complexity: str, reason: str) -> None:
    """R30, R31. One whose condition is false or unknown is passed over; where none fits, any channel will do."""
    assert found(ROUTING, known, channel, complexity).reason == reason


def test_a_refused_route_names_what_would_be_allowed() -> None:
    """Complexity, channel, the channels allowed, and the condition of the route with the values it read."""
    assert found(ROUTING, {"balance": Decimal(1)}, "push", "complex").detail == {
        "complexity": "complex",
        "channel": "push",
        "allowed": "none",
        "when": "customer.aum < 200000",
        "customer.aum": "1",
    }


def test_a_policy_may_ask_for_the_bank_s_own_tiers_and_tags() -> None:
    """They are read before it; a tier that is none of them is a mistake."""
    tiers = "tierings: {digital: {measure: customer.aum, edges: {small: 0, large: 200000}}}"
    policy = 'caps: []\nsuitability: [{channels: [push], when: customer.digital == "%s"}]'
    text = TRIGGER.replace("CHANNEL", "push").replace("COMPLEXITY", "simple")
    files = {"any.yaml": text, "tiers.yaml": tiers}
    loaded = load_documents({**files, "policy.yaml": policy % "large"})
    assert loaded.ruleset is not None, loaded.problems
    person = Customer(loaded.ruleset, recode=True)
    (refused,) = person.feed(transaction("t1", 1, 1, 199_999))
    assert refused.detail == {"channel": "push", "clause": 'customer.digital == "large"', "customer.digital": "small"}
    assert actions(person.feed(transaction("t2", 2, 1, 200_000)))
    wrong = load_documents({**files, "policy.yaml": policy % "huge"})
    (problem,) = [problem for problem in wrong.problems if problem.file == "policy.yaml"]
    assert (problem.line, problem.column, problem.code) == (2, 60, "E033")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("suitability: [{channels: [push], when: customer.ag > 3}]", (40, "E031", 'did you mean "customer.age"')),
        ("suitability: [{channels: [push], when: event.amount > 3}]", (40, "E037", "looks at the customer alone")),
        ("suitability: [{channels: [push], when: customer.age}]", (40, "E032", "expected a condition")),
        ("suitability: [{channels: [fax], when: customer.app_user}]", (27, "E013", "expected one of push")),
        ("suitability: [{channels: [push], when: customer.app_user, unknown: no}]", (68, "E013", "allow, refuse")),
        ("suitability: {}", (14, "E012", "a list of conditions")),
        ("routing: [{complexity: [hard], channels: []}]", (25, "E013", "simple, medium, complex")),
        ("routing: [{complexity: [simple]}]", (11, "E011", 'missing key "channels"')),
        ("routing: [{complexity: [simple], channels: [push], when: offer.term > 3}]", (58, "E037", "customer alone")),
        (
            "routing: [{complexity: [simple], channels: [push]}, {complexity: [simple], channels: [sms]}]",
            (53, "E018", "never asked"),
        ),
        ("quiet: [{channels: [push], from: '21:00'}]", (9, "E011", 'missing key "to"')),
        ("quiet: [{channels: [push], from: '21:00', to: '25:00'}]", (47, "E016", "a time of day")),
        ("quiet: [{channels: [push], from: '21:00', to: '21:00'}]", (9, "E018", "the same time")),
        (
            "quiet: [{channels: [push], from: '21:00', to: '08:00'}, {channels: [push], from: '08:00', to: '21:00'}]",
            (57, "E018", "no hour of any day is left for push"),
        ),
        ("holdout: {percent: 5}", (10, "E011", 'missing key "salt"')),
        ("holdout: {salt: x, percent: 101}", (29, "E014", "from 0 to 100")),
        ("holdout: {salt: x, triggers: {good: -1}}", (37, "E014", "from 0 to 100")),
        ("holdout: {salt: x, triggers: [any]}", (30, "E012", "the triggers of a holdout")),
    ],
)
def test_a_mistake_in_the_rules_for_channels_is_located(text: str, expected: tuple[int, str, str]) -> None:
    """Line, column, code, and what would be right."""
    loaded = load_documents({"good.yaml": GOOD, "policy.yaml": dedent(text)})
    mistakes = [(p.column, p.code, p.message) for p in loaded.problems if p.file == "policy.yaml"]
    assert [(column, code) for column, code, _ in mistakes] == [expected[:2]]
    assert expected[2] in mistakes[0][2]
