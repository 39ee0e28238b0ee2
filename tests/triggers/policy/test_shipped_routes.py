"""What the shipped policy lets go out on which channel: R30 and R31, both sides of each number; R32 level by level."""

from __future__ import annotations

from pathlib import Path

import pytest

import triggers
from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, behaviour, feedback, transaction
from tests.support.rules import ruleset, trigger
from triggers.language.grammar import CHANNELS
from triggers.language.loader import load_ruleset
from triggers.language.model import Complexity, OnEvent, Policy, RuleSet, Step

ONLINE = {"push", "wechat", "sms", "email"}
PEOPLE = {"agent", "manager"}


@pytest.fixture(scope="module")
def shipped() -> RuleSet:
    """The rule set that ships."""
    found = load_ruleset([Path(triggers.__file__).parent / "library"]).ruleset
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("complexity", "aum", "expected"),
    [
        ("simple", 199_999, ONLINE | PEOPLE),
        ("simple", 200_000, ONLINE | PEOPLE),
        ("medium", 199_999, ONLINE | PEOPLE),
        ("medium", 200_000, ONLINE | PEOPLE | {"branch"}),
        ("complex", 199_999, set()),
        ("complex", 200_000, {"manager", "branch"}),
    ],
)
def test_each_complexity_has_its_channels_by_what_the_customer_has(
    shipped: RuleSet, complexity: Complexity, aum: int, expected: set[str]
) -> None:
    """Simple offers by the app; medium ones with a person beside it, and the specialist in the branch from 200,000 on;
    complex ones by people alone, and from 200,000 on.
    """
    policy = Policy(caps=(), consent=frozenset(), routing=shipped.policy.routing)
    found = set()
    for channel in CHANNELS:
        one = trigger("any", ladder=(Step(channel),))
        object.__setattr__(one.action, "complexity", complexity)
        outputs = Customer(ruleset(one, policy=policy)).feed(transaction("t1", 1, 1, aum))
        found |= {action.channel for action in actions(outputs)}
        assert all(out.reason in ("sent", "not_routed") for out in outputs if isinstance(out, Decision))
    assert found == expected


def service(shipped: RuleSet, aum: int) -> Customer:
    """A customer who may be told by the shipped ladder of service."""
    policy = Policy(caps=(), consent=frozenset(), routing=shipped.policy.routing)
    one = trigger("any", on=(OnEvent("behaviour", "apply"),), ladder=shipped.policy.ladders["service"])
    object.__setattr__(one.action, "complexity", "medium")
    person = Customer(ruleset(one, policy=policy), recode=True)
    person.feed(transaction("t1", 1, 1, aum))
    return person


@pytest.mark.parametrize(("aum", "last"), [(199_999, "manager"), (200_000, "branch")])
def test_the_levels_of_service_come_one_after_the_other(shipped: RuleSet, aum: int, last: str) -> None:
    """R32: the bot, after a day the remote agent, after two more the branch or the manager; not a minute before."""
    person = service(shipped, aum)
    person.feed(behaviour("b1", "apply"))
    person.run_to(at(0, hours=23, minutes=59))
    assert [action.channel for action in actions(person.outputs)] == ["push"]
    person.run_to(at(1))
    person.run_to(at(2, hours=23, minutes=59))
    assert [action.channel for action in actions(person.outputs)] == ["push", "agent"]
    person.run_to(at(30))
    assert [action.channel for action in actions(person.outputs)] == ["push", "agent", last]


@pytest.mark.parametrize(("outcome", "levels"), [("clicked", 3), ("answered", 1), ("bought", 1), ("refused", 1)])
def test_an_answer_ends_the_escalation(shipped: RuleSet, outcome: str, levels: int) -> None:
    """What is less than an answer does not."""
    person = service(shipped, 200_000)
    (first,) = actions(person.feed(behaviour("b1", "apply")))
    person.feed(feedback("f1", first, outcome, occurred_at=at(0.5)))
    person.run_to(at(30))
    assert len(actions(person.outputs)) == levels
