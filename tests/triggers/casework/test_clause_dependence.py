"""Which clauses the cases of a trigger depend on: those that cannot be always true or always false unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.casework import load_trigger, trigger_text
from triggers.casework.case_runner import CaseRunner
from triggers.casework.dependence import Idle, idle_clauses
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet, Trigger

LIBRARY = Path(__file__).parents[3] / "triggers" / "library"
FIRED = '[{at: "2026-03-02 10:00"}]'


def paying(name: str, fields: str, expect: str = "[]", customer: str = "{}") -> str:
    """A case of one payment."""
    event = f'{{at: "2026-03-02 10:00", transaction: {{{fields}}}}}'
    return f"  - name: {name}\n    customer: {customer}\n    events: [{event}]\n    expect: {expect}\n"


FIRES = paying("fires", "amount: 500", FIRED)
SMALL = paying("small", "amount: 499")


def idle(when: str, *cases: str, more: str = "") -> dict[str, tuple[bool, ...]]:
    """The values that a clause might always have, by its source."""
    ruleset, trigger = load_trigger(trigger_text(*cases, when=when, more=more))
    return {one.source: one.always for one in found_idle(ruleset, trigger)}


def found_idle(ruleset: RuleSet, trigger: Trigger) -> list[Idle]:
    """The idle clauses by all cases of a trigger, which pass."""
    runner = CaseRunner(ruleset, trigger)
    results = [runner.run(case) for case in trigger.cases]
    assert all(result.passed for result in results)
    return list(idle_clauses(ruleset, trigger, trigger.cases, results))


def test_a_case_that_is_silent_for_two_reasons_shows_neither() -> None:
    """Each clause needs a case in which all the others are true."""
    when = "event.amount >= 500 and not event.own_account"
    both = paying("both", "amount: 499, own_account: true")
    assert idle(when, FIRES, both) == {"event.amount >= 500": (True,), "event.own_account": (False,)}
    own = paying("own", "amount: 500, own_account: true")
    assert idle(when, FIRES, both, own) == {"event.amount >= 500": (True,)}
    assert idle(when, FIRES, SMALL, own) == {}


def test_a_part_of_an_or_needs_a_case_that_it_alone_makes_true() -> None:
    """While another part is true, it may be anything."""
    when = "event.amount >= 500 or event.own_account"
    both = paying("both", "amount: 500, own_account: true", FIRED)
    assert idle(when, both, SMALL) == {"event.amount >= 500": (False,), "event.own_account": (False,)}
    own = paying("own", "amount: 1, own_account: true", FIRED)
    assert idle(when, FIRES, own, SMALL) == {}


def test_a_clause_may_decide_nothing_at_all() -> None:
    """It is idle whatever it is."""
    when = "event.amount >= 500 and (event.amount >= 400 or event.own_account)"
    assert idle(when, FIRES, SMALL) == {"event.amount >= 400": (True,), "event.own_account": (False, True)}


def test_what_is_hidden_after_a_contact_does_not_count() -> None:
    """A candidate that ``once_per`` holds back fails no case: the condition alone would not tell."""
    when = "event.amount >= 500 and not event.own_account"
    again = """\
  - name: again
    events:
      - {at: "2026-03-02 10:00", transaction: {amount: 500}}
      - {at: "2026-03-02 11:00", transaction: {amount: 500, own_account: true}}
    expect: [{at: "2026-03-02 10:00"}]
"""
    assert idle(when, again, SMALL, more="once_per: 2d\n") == {"event.own_account": (False,)}
    own = paying("own", "amount: 500, own_account: true")
    assert idle(when, again, SMALL, own, more="once_per: 2d\n") == {}


def test_what_the_engine_decides_in_advance_is_asked_too() -> None:
    """A clause on the kind alone is decided once for all events of a kind: also that is taken out."""
    when = 'event.kind != "purchase" and event.amount >= 500'
    assert idle(when, FIRES, SMALL, paying("purchase", "amount: 500, kind: purchase")) == {}


def test_a_clause_that_stands_twice_is_tried_twice() -> None:
    """Each alone, with its place."""
    when = "event.amount >= 500 and (event.own_account or event.amount >= 500)"
    ruleset, trigger = load_trigger(trigger_text(FIRES, SMALL, when=when))
    found = [(one.column, one.always) for one in found_idle(ruleset, trigger)]
    start = len("when: ") + 1
    assert found == [(start, (True,)), (start + 25, (False, True)), (start + 46, (True,))]


def test_without_a_condition_or_cases_there_is_nothing_to_say() -> None:
    """No clause, no case, no answer."""
    ruleset, trigger = load_trigger(trigger_text(FIRES, SMALL))
    assert list(idle_clauses(ruleset, trigger, (), ())) == []


def test_an_unknown_part_is_neither_true_nor_false() -> None:
    """Where a clause is unknown, the condition may be unknown too: it fires no more than a false one."""
    when = 'event.amount >= 500 and not customer.tier == "mid"'
    high = paying("high", "amount: 500", FIRED, "{tier: high}")
    low = paying("low", "amount: 499", "[]", "{tier: high}")
    assert idle(when, high, low) == {'customer.tier == "mid"': (False,)}
    assert idle(when, high, low, paying("nobody knows", "amount: 500")) == {}
    small = paying("nobody knows, and small", "amount: 499")
    assert idle(when, high, small) == {"event.amount >= 500": (True,), 'customer.tier == "mid"': (False,)}


@pytest.mark.parametrize("name", ["large_inflow", "large_outflow"])
def test_every_clause_of_large_movements_decides_a_case(name: str) -> None:
    """Their conditions overlap with what their features leave out, so that it is easily missed."""
    ruleset = load_ruleset([LIBRARY]).ruleset
    assert ruleset is not None
    (trigger,) = (one for one in ruleset.triggers if one.id == name)
    assert found_idle(ruleset, trigger) == []
