"""Tiers and tags over random histories: what is kept, what is skipped and what is looked at come to the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.bank import Customer, actions, at, behaviour, feedback, maturity, profile, transaction
from tests.triggers.engine.test_derived import rules, trigger
from triggers.language.model import RuleSet

TIERS = """\
features:
  aum_3d: {daily_mean: customer.aum, over: 3d}
tierings:
  tier: {measure: aum_3d, edges: {low: 0, mid: 5000, high: 10000}, margin: 0.2}
  now_tier: {measure: customer.aum, edges: {below: 0, above: 7000}}
"""
TAGS = """\
features:
  peak: {max: customer.balance, over: 3d}
  seen: {count: true, of: behaviour, over: 2d}
tags:
  fallen: {when: customer.balance <= peak * 0.5, holds: 2d}
  busy: {when: seen >= 2}
  staff: {when: customer.employee}
  rich_staff: {when: '"staff" in customer.tags and customer.now_tier == "above"'}
  holder: {when: customer.holdings >= 1}
  poor_holder: {when: '"holder" in customer.tags and customer.balance < 3000'}
  elder: {when: customer.age >= 36}
"""
TRIGGERS = (
    trigger("moved", "[tier.up, tier.down, now_tier.up]", "before.tier != customer.tier or before.now_tier == 'below'"),
    trigger("tagged", "tag.added", "not ('busy' in before.tags)", priority=40),
    trigger("untagged", "[tag.removed, profile]", priority=60, ladder="[push, {after: 1d, unless: opened, use: sms}]"),
    trigger("lost", "action.exhausted", priority=30),
)
RULES = rules(*TRIGGERS, tiers=TIERS, tags=TAGS)
OTHERS = rules(*TRIGGERS[2:], tiers=TIERS.replace("mid: 5000", "mid: 4000"), tags=TAGS.replace("  busy", "  active"))
KINDS = ("pay", "pay", "pay", "reverse", "hold", "profile", "look", "timers", "rules", "say")


def everything(ruleset: RuleSet) -> RuleSet:
    """The same rule set where every tier and tag is looked at, whatever the record."""
    return replace(
        ruleset,
        tierings=tuple(replace(tiering, touched_by=None) for tiering in ruleset.tierings),
        tags=tuple(replace(tag, touched_by=None) for tag in ruleset.tags),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Records of one customer, late, repeated and reversed ones among them, with timers run and rule sets changed."""
    steps: list[tuple[str, Any]] = []
    balance, sequence, clock = 4000, 0, 0.0
    for number in range(draw(st.integers(1, 20))):
        clock += draw(st.sampled_from([0, 0.2, 1, 3]))
        when = at(clock - draw(st.sampled_from([0, 0, 0, 1.5])))
        kind = draw(st.sampled_from(KINDS))
        if kind in ("pay", "reverse"):
            sequence += 1
            amount = draw(st.sampled_from([-3000, -500, 500, 3000, 8000]))
            balance += amount
            back = {"reversal_of": f"t{draw(st.integers(0, number - 1))}"} if kind == "reverse" and number else {}
            more = {"account_id": draw(st.sampled_from(["a1", "a1", "a2"])), "occurred_at": when, **back}
            steps.append(("feed", transaction(f"t{number}", sequence, amount, balance, **more)))
        elif kind == "hold":
            status = draw(st.sampled_from(["purchased", "redeemed", "corrected"]))
            due = date(2026, 3, 5 + draw(st.integers(0, 20)))
            steps.append(("feed", maturity(f"m{number}", number, status, due, amount=Decimal(4000), occurred_at=when)))
        elif kind == "profile":
            known = {"tier": draw(st.sampled_from([None, "mid", "high"])), "employee": draw(st.booleans())}
            born = draw(st.sampled_from([None, date(1990, 3, 4)]))
            steps.append(("feed", profile(f"p{number}", number, occurred_at=when, birth_date=born, **known)))
        elif kind == "look":
            steps.append(("feed", behaviour(f"b{number}", "login", occurred_at=when)))
        elif kind == "say":
            steps.append(("say", (f"f{number}", draw(st.sampled_from(["opened", "bought", "refused"])), when)))
        else:
            steps.append((kind, when))
    return steps


def play(customer: Customer, history: list[tuple[str, Any]], other: RuleSet) -> list[list[Any]]:
    """Runs a history; what came of each step, the timers of half a year after it included."""
    first = customer.rules
    came = []
    for kind, what in history:
        if kind == "feed":
            came.append(customer.feed(what))
        elif kind == "timers":
            came.append(customer.run_to(what))
        elif kind == "rules":
            customer.rules = other if customer.rules is first else first
        elif sent := actions(customer.outputs):
            came.append(customer.feed(feedback(what[0], sent[-1], what[1], occurred_at=what[2])))
    came.append(customer.run_to(at(180)))
    return came


@settings(max_examples=150, deadline=None)
@given(histories())
def test_a_state_survives_its_bytes_at_any_point(history: list[tuple[str, Any]]) -> None:
    """A worker that keeps states and one that reads them anew for each record do the same."""
    kept, recoded = Customer(RULES), Customer(RULES, recode=True)
    assert play(kept, history, OTHERS) == play(recoded, history, OTHERS)
    assert kept.stage.encode(kept.state) == recoded.stage.encode(recoded.state)
    event(f"tags: {len(kept.state.tags)}, actions: {min(len(actions(kept.outputs)), 3)}")


@settings(max_examples=150, deadline=None)
@given(histories())
def test_looking_only_at_what_a_record_touches_misses_nothing(history: list[tuple[str, Any]]) -> None:
    """The same tiers, tags and actions as with a look at everything at every touch."""
    some, every = Customer(RULES), Customer(everything(RULES))
    assert play(some, history, OTHERS) == play(every, history, everything(OTHERS))
    assert some.stage.encode(some.state) == every.stage.encode(every.state)


@settings(max_examples=120, deadline=None)
@given(histories())
def test_tags_and_tiers_are_what_their_conditions_say(history: list[tuple[str, Any]]) -> None:
    """After any history, a look finds just the tags and tiers that hold then, and only what holds on has a timer."""
    customer = Customer(RULES)
    play(customer, history, RULES)
    customer.feed(behaviour("look", "login", occurred_at=at(185)))
    state = customer.state
    aum, staff, holder = state.aum, bool(state.employee), state.holdings >= 1
    expected = {
        "fallen": state.balance is not None and state.balance <= state.balance * Decimal("0.5"),
        "busy": False,
        "staff": staff,
        "rich_staff": staff and aum is not None and aum >= 7000,
        "holder": holder,
        "poor_holder": holder and state.balance is not None and state.balance < 3000,
        "elder": state.birth_date is not None,
    }
    assert set(state.tags) == {name for name, holds in expected.items() if holds}
    assert state.tag_holds.keys() <= state.tags.keys()
    waiting = {name for name in state.timers if name.startswith("g:")}
    assert waiting == {"g:fallen:"} & {f"g:{tag}:" for tag in state.tags}
    if aum is None:
        assert state.tiers == {}
        assert state.tier in (None, "mid", "high")
    else:
        assert state.tiers["now_tier"] == ("above" if aum >= 7000 else "below")
        lowest, highest = {"low": (None, 5000), "mid": (4000, 10_000), "high": (8000, None)}[state.tiers["tier"]]
        assert lowest is None or aum >= lowest
        assert highest is None or aum < highest
        assert state.tier == state.tiers["tier"]
