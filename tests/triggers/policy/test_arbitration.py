"""Which of several candidates is heard: by score, season and objective, and what the others are told."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, profile, transaction
from tests.support.rules import ruleset, trigger
from tests.triggers.language.rule_texts import GOOD
from triggers.language.loader import load_documents
from triggers.language.model import Policy, Season, Step

TRIGGER = """\
trigger: NAME
version: 1
title: Any transaction
owner: tests
status: live
on: transaction
action:
  offer: call
  category: CATEGORY
  complexity: simple
  priority: PRIORITY
  value: VALUE
  expires: 48h
  ladder: [push]
tests:
  - name: fires
    events: [{at: "2026-03-02 10:00", transaction: {amount: 1}}]
    expect: [{at: "2026-03-02 10:00"}]
  - {name: silent, events: [], expect: []}
"""


def customer(policy: str, **triggers: tuple[str, int, str]) -> Customer:
    """A customer under a policy, with triggers by name: category, priority, value."""
    files = {"policy.yaml": f"caps: []\nconsent: []\n{policy}"}
    for name, (category, priority, value) in triggers.items():
        text = TRIGGER.replace("NAME", name).replace("CATEGORY", category)
        files[f"{name}.yaml"] = text.replace("PRIORITY", str(priority)).replace("VALUE", value)
    loaded = load_documents(files)
    assert loaded.ruleset is not None, loaded.problems
    return Customer(loaded.ruleset, recode=True)


def heard(person: Customer, when: str = "2026-03-02T10:00:00+08:00") -> tuple[str, list[Any]]:
    """Which trigger is heard at a transaction, and the details of those that are not."""
    outputs = person.feed(transaction("t1", 1, 1, 1000, occurred_at=datetime.fromisoformat(when)))
    (action,) = actions(outputs)
    decided = [out for out in outputs if isinstance(out, Decision)]
    lost = [(out.trigger, out.reason, out.detail) for out in decided if out.reason == "outranked"]
    (won,) = [out.detail.get("score") for out in decided if out.reason == "sent"]
    assert {detail["winner_score"] for _, _, detail in lost} == {won}, "the winner's own decision has its score"
    return action.trigger, lost


def test_without_weights_the_priority_decides() -> None:
    """The others name the winner and both scores."""
    person = customer("", low=("care", 10, "1"), high=("growth", 90, "1"))
    assert heard(person) == (
        "high",
        [("low", "outranked", {"winner": "high", "score": "10", "winner_score": "90"})],
    )


def test_a_tie_goes_to_the_priority_and_then_to_the_first_name() -> None:
    """The same score by other weights is a tie as well."""
    weights = "seasons: [{months: [3], categories: [care], times: 2}]"
    assert heard(customer(weights, a=("care", 10, "1"), b=("growth", 20, "1")))[0] == "b"
    assert heard(customer("", b=("care", 10, "1"), a=("care", 10, "1")))[0] == "a"


@pytest.mark.parametrize(
    ("when", "winner"),
    [
        ("2026-03-31T23:59:59+08:00", "keep"),
        ("2026-04-01T00:00:00+08:00", "grow"),
        ("2026-06-30T23:59:59+08:00", "grow"),
        ("2026-07-01T00:00:00+08:00", "keep"),
    ],
)
def test_a_season_weighs_by_the_month_of_the_bank(when: str, winner: str) -> None:
    """R19: in the second quarter growth counts one and a half times; months change at the bank's midnight."""
    weights = "seasons: [{months: [4, 5, 6], categories: [growth], times: 1.5}]"
    assert heard(customer(weights, keep=("retention", 50, "1"), grow=("growth", 40, "1")), when)[0] == winner


@pytest.mark.parametrize(("tier", "winner"), [("mid", "keep"), ("high", "grow"), (None, "grow")])
def test_an_objective_weighs_by_the_tier(tier: str | None, winner: str) -> None:
    """R17: of the middle tier the churn is prevented; where the tier is unknown no objective counts."""
    weights = "objectives: [{when: 'customer.tier == \"mid\"', categories: [retention], times: 2}]"
    person = customer(weights, keep=("retention", 30, "1"), grow=("growth", 50, "1"))
    person.feed(profile("p1", 1, tier=tier))
    assert heard(person)[0] == winner


def test_all_that_weighs_on_a_category_is_multiplied() -> None:
    """Seasons with each other, and with the objectives; one without categories weighs on all."""
    weights = (
        "seasons: [{months: [3], times: 2}, {months: [3], categories: [care], times: 1.5}]\n"
        "objectives: [{when: customer.balance > 0, categories: [care], times: 0.1}]"
    )
    person = customer(weights, care=("care", 100, "1"), other=("growth", 14, "1"))
    assert heard(person) == (
        "care",
        [("other", "outranked", {"winner": "care", "score": "28", "winner_score": "30"})],
    )


def test_the_score_is_an_expression_of_the_bank() -> None:
    """It reads priority, value, season, objective and the customer."""
    score = "score: action.priority * season * objective + action.value / 100 + customer.balance / 1000"
    person = customer(score, small=("care", 50, "100"), large=("care", 40, "event.amount * 2000"))
    assert heard(person) == (
        "large",
        [("small", "outranked", {"winner": "large", "score": "52", "winner_score": "61"})],
    )


def test_an_unknown_value_counts_as_nothing_and_an_unknown_score_is_last() -> None:
    """Division by zero is unknown: whoever has a score at all comes first."""
    person = customer("score: action.value", none=("care", 90, "customer.wealth_elsewhere"), some=("care", 1, "5"))
    assert heard(person) == (
        "some",
        [("none", "outranked", {"winner": "some", "score": "0", "winner_score": "5"})],
    )
    person = customer("score: 100 / (action.priority - 90)", zero=("care", 90, "1"), less=("care", 1, "1"))
    assert heard(person)[1][0][2]["score"] == "unknown"


def test_the_best_that_is_allowed_is_heard() -> None:
    """One that the gate refuses leaves the way to the next, with its own reason."""
    policy = "routing: [{complexity: [simple], when: customer.balance > 5000, channels: []}]"
    person = customer(policy, low=("care", 10, "1"), high=("growth", 90, "1"))
    assert heard(person)[0] == "high"
    capped = Policy(caps=(), consent=frozenset({"sms"}), seasons=(Season(frozenset({3}), Decimal(9)),))
    rules = ruleset(trigger("push", priority=1), trigger("sms", ladder=(Step("sms"),), priority=99), policy=capped)
    outputs = Customer(rules).feed(transaction("t1", 1, 1, 1))
    assert [(out.trigger, out.reason) for out in outputs if isinstance(out, Decision)] == [
        ("sms", "no_consent"),
        ("push", "sent"),
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["care", "growth"]), st.integers(0, 100)), min_size=1, max_size=6),
    st.lists(
        st.builds(
            Season,
            months=st.frozensets(st.integers(1, 12), min_size=1),
            times=st.decimals(0, 10, places=2),
            categories=st.sampled_from([None, frozenset({"care"}), frozenset({"growth"})]),
        ),
        max_size=4,
    ),
)
def test_one_is_heard_and_none_has_a_higher_score(found: list[tuple[str, int]], seasons: list[Season]) -> None:
    """Each candidate has one decision, and the scores on record are those of the weights."""
    triggers = [
        trigger(f"t{number}", category=category, priority=priority) for number, (category, priority) in enumerate(found)
    ]
    policy = Policy(caps=(), consent=frozenset(), seasons=tuple(seasons))
    outputs = Customer(ruleset(*triggers, policy=policy)).feed(transaction("t1", 1, 1, 1))
    made = [output for output in outputs if isinstance(output, Decision)]
    assert sorted(decision.trigger for decision in made) == sorted(one.id for one in triggers)
    (winner,) = actions(outputs)
    expected = {}
    for one in triggers:
        weight = Decimal(one.action.priority)
        for season in seasons:
            if 3 in season.months and season.categories in (None, frozenset({one.action.category})):
                weight *= season.times
        expected[one.id] = weight
    assert expected[winner.trigger] == max(expected.values())
    for decision in made:
        if decision.reason == "outranked":
            assert decision.detail["winner"] == winner.trigger
            assert Decimal(decision.detail["score"]) == expected[decision.trigger]
            assert Decimal(decision.detail["winner_score"]) == expected[winner.trigger]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seasons: [{months: [13], times: 2}]", (21, "E014", "from 1 to 12")),
        ("seasons: [{months: [1], times: -1}]", (32, "E014", "from 0 to 1000")),
        ("seasons: [{months: [1]}]", (11, "E011", 'missing key "times"')),
        ("objectives: [{when: customer.teir == 'mid', times: 2}]", (21, "E031", 'did you mean "customer.tier"')),
        ("objectives: [{times: 2}]", (14, "E011", 'missing key "when"')),
        ("score: action.prio * 2", (8, "E031", 'did you mean "action.priority"')),
        ("score: action.channel", (8, "E037", "the score reads action.priority, action.value, season, objective")),
        ("score: customer.tier", (8, "E032", "expected a number")),
        ("score: event.amount", (8, "E037", "looks at the customer alone")),
    ],
)
def test_a_mistake_in_the_weights_is_located(text: str, expected: tuple[int, str, str]) -> None:
    """Line, column, code, and what would be right."""
    loaded = load_documents({"good.yaml": GOOD, "policy.yaml": text})
    mistakes = [(p.column, p.code, p.message) for p in loaded.problems if p.file == "policy.yaml"]
    assert [(column, code) for column, code, _ in mistakes] == [expected[:2]]
    assert expected[2] in mistakes[0][2]
