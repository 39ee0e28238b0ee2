"""Who is held out hears nothing, and what would have been said is on record."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, decisions, transaction
from tests.support.rules import DAY, ruleset, trigger
from triggers.engine.customer import CustomerStage
from triggers.language.model import Cap, Holdout, Policy, Step
from triggers.policy.holdout import is_held_out


def customer(*triggers: Any, **more: Any) -> Customer:
    """A customer of a bank that holds everybody out."""
    policy = Policy(**{"caps": (), "consent": frozenset(), "holdout": Holdout("s", 100), **more})
    return Customer(ruleset(*(triggers or (trigger("any"),)), policy=policy), recode=True)


def test_the_held_out_hear_nothing_and_the_decision_says_so() -> None:
    """No action, no ladder, no journey."""
    person = customer(trigger("any", ladder=(Step("push"), Step("sms", DAY))))
    (decision,) = person.feed(transaction("t1", 1, 1, 1))
    assert (decision.outcome, decision.reason, decision.detail) == (
        "suppressed",
        "holdout",
        {"from": "all", "percent": "100"},
    )
    assert person.run_to(at(30)) == []
    assert person.state.journeys == []


def test_what_is_no_marketing_reaches_the_held_out() -> None:
    """By its category, from the holdout of the bank and from that of the trigger; the others are held out still."""
    shares = Holdout("s", 100, {"notice": 100}, frozenset({"desk"}))
    person = customer(trigger("notice", category="desk"), holdout=shares)
    (sent,) = [one for one in person.feed(transaction("t1", 1, 1, 1)) if isinstance(one, Decision)]
    assert (sent.outcome, sent.detail) == ("sent", {"holdout": "except"}), "it is no part of the measurement"
    person = customer(trigger("notice", category="service"), holdout=shares)
    assert decisions(person.feed(transaction("t1", 1, 1, 1))) == [("suppressed", "holdout")]


def test_only_who_would_have_been_contacted_counts_as_held_out() -> None:
    """The rules before it have their own reason: the two groups are alike in everything but the contact."""
    person = customer(trigger("any", once_per_ms=10 * DAY), caps=(Cap(2, 30 * DAY),))
    days = (0, 5, 10, 20, 31)
    found = [decisions(person.feed(transaction(f"t{day}", day, 1, 1, occurred_at=at(day))))[0][1] for day in days]
    assert found == ["holdout", "once_per", "holdout", "capped", "holdout"]


def test_what_is_held_out_takes_the_place_of_the_others() -> None:
    """Nothing is said instead, else the lift would be that over another contact."""
    person = customer(trigger("low", priority=1), trigger("high"), holdout=Holdout("s", 0, {"high": 100}))
    assert decisions(person.feed(transaction("t1", 1, 1, 1))) == [
        ("suppressed", "holdout"),
        ("suppressed", "outranked"),
    ]


def test_who_is_held_out_from_the_middle_of_a_ladder_hears_no_more_of_it() -> None:
    """Another rule set holds the customer out: each further step is on record in its time, and none counts as a contact

    that the customer would have had. Back in, the rest of the ladder goes on.
    """
    ladder = (Step("push"), *(Step("push", DAY, unless="opened") for _ in range(3)))
    rules = [
        ruleset(
            trigger("any", ladder=ladder),
            policy=Policy(caps=(Cap(2, 30 * DAY),), consent=frozenset(), holdout=Holdout("s", percent)),
            name=f"{percent}",
        )
        for percent in (0, 100)
    ]
    person = Customer(rules[0], recode=True)
    assert actions(person.feed(transaction("t1", 1, 1, 1)))
    person.rules = rules[1]
    held = [one for one in person.run_to(at(2.5)) if isinstance(one, Decision)]
    assert [(one.reason, one.step, one.decided_at) for one in held] == [("holdout", 1, at(1)), ("holdout", 2, at(2))]
    person.rules = rules[0]
    assert [(one.step, one.created_at) for one in actions(person.run_to(at(30)))] == [(3, at(3))]


def test_a_trigger_has_a_holdout_of_its_own() -> None:
    """Another trigger of the same customer goes on."""
    person = customer(trigger("one"), holdout=Holdout("s", 0, {"two": 100}))
    assert actions(person.feed(transaction("t1", 1, 1, 1)))
    other = customer(trigger("two"), holdout=Holdout("s", 0, {"two": 100}))
    (decision,) = other.feed(transaction("t1", 1, 1, 1))
    assert decision.detail == {"from": "two", "percent": "100"}


def test_the_shares_are_what_they_say_and_the_draws_apart() -> None:
    """Of 20,000 customers; a draw for one trigger says nothing of another's, nor another salt's of this one."""
    names = [f"C{number}" for number in range(20_000)]
    holdout = Holdout("spring", 5, {"one": 10, "two": 50})

    def drawn(of: Holdout, key: str) -> set[str]:
        return {name for name in names if is_held_out(of, name, key)}

    everybody, one, two = drawn(holdout, ""), drawn(holdout, "one"), drawn(holdout, "two")
    assert abs(len(everybody) - 1000) < 150
    assert abs(len(one) - 2000) < 200
    assert abs(len(two) - 10_000) < 350
    assert abs(len(one & two) - 1000) < 150
    assert abs(len(everybody & drawn(Holdout("autumn", 5), "")) - 50) < 35
    assert drawn(holdout, "none") == set()


def test_raising_the_share_keeps_those_held_out_before() -> None:
    """A larger group contains the smaller one, so that a measurement under way is not torn apart."""
    names = [f"C{number}" for number in range(2_000)]
    small, large = ({n for n in names if is_held_out(Holdout("s", share), n, "")} for share in (5, 20))
    assert small < large


@settings(max_examples=100, deadline=None)
@given(st.text("abc123", min_size=1, max_size=8), st.integers(0, 100), st.text("xyz", min_size=1, max_size=4))
def test_a_customer_is_held_out_always_or_never(key: str, percent: int, salt: str) -> None:
    """By salt and id alone: the same in every stage, at any time, and none of the held out hears anything."""
    policy = Policy(caps=(), consent=frozenset(), holdout=Holdout(salt, percent))
    rules = ruleset(trigger("any"), policy=policy)
    outcomes = set()
    for tenant in ("bank", "bank"):
        stage = CustomerStage(tenant)
        state = stage.fresh(key)
        for number in range(3):
            record = transaction(f"t{number}", number, 1, 1, customer_id=key, occurred_at=at(number))
            outcome = stage.process(record, state, rules, None)
            assert outcome is not None
            held = [out.reason for out in outcome.outputs if isinstance(out, Decision)] == ["holdout"]
            assert held is not bool(actions(outcome.outputs))
            outcomes.add(held)
    assert len(outcomes) == 1
    assert outcomes == {is_held_out(Holdout(salt, percent), key, "")}
