"""A case that expects nothing counts only where something could have come."""

from __future__ import annotations

import pytest

from tests.support.casework import FIRES, load_trigger, result_of, trigger_text
from triggers.casework.case_runner import CaseRunner

REVERSED_BEFORE = """[
      {at: "2026-03-02 10:00", transaction: {reversal_of: t9}},
      {at: "2026-03-02 11:00", transaction: {event_id: t9, amount: 800}}]"""
REDEEMED = """[
      {at: "2026-01-02 10:00", maturity: {matures_on: 2026-04-15}},
      {at: "2026-03-02 10:00", maturity: {status: redeemed}}]"""
NOTHING = "  - name: tried\n    events: %s\n    expect: []\n"


def silent(events: str, more: str = "") -> str:
    """A case that expects nothing."""
    return NOTHING % events + more


@pytest.mark.parametrize(
    ("on", "events"),
    [
        ("transaction", "[]"),
        ("transaction", '[{at: "2026-03-02 10:00", profile: {tier: mid}}]'),
        ("behaviour.browse", '[{at: "2026-03-02 10:00", behaviour: {action: login}}]'),
        ("transaction", '[{at: "2026-03-02 10:00", transaction: {reversal_of: t9}}]'),
        ("{silence: transaction, for: 90d}", "[]"),
        ("{silence: transaction, for: 90d}", '[{at: "2026-03-02 10:00", behaviour: {action: login}}]'),
        ("{maturity: 7d before}", '[{at: "2026-03-02 10:00", transaction: {amount: 1}}]'),
        ("{maturity: 7d before}", '[{at: "2026-03-02 10:00", maturity: {status: redeemed, matures_on: 2026-04-15}}]'),
    ],
)
def test_a_case_in_which_nothing_could_fire_asserts_nothing(on: str, events: str) -> None:
    """Nothing of it wakes the trigger, and no time was set: it would pass whatever the condition says."""
    result = result_of(silent(events), on=on, when="customer.accounts >= 5")
    assert not result.passed
    assert result.problem.startswith("the case asserts nothing: ")
    assert result.line == 16


def test_the_message_says_what_would_wake_it() -> None:
    """The kinds of event, or that its time was never set."""
    assert "(profile, transaction)" in result_of(silent("[]"), on="[transaction, profile]").problem
    assert (
        "sets the trigger's time"
        in result_of(silent("[]"), on="{maturity: on the day}", when="product.amount > 9").problem
    )


@pytest.mark.parametrize(
    ("on", "events"),
    [
        ("transaction", '[{at: "2026-03-02 10:00", transaction: {amount: 1}}]'),
        ("behaviour.browse", '[{at: "2026-03-02 10:00", behaviour: {action: browse}}]'),
        ("[transaction, profile]", '[{at: "2026-03-02 10:00", profile: {tier: mid}}]'),
        (
            "transaction",
            REVERSED_BEFORE,
        ),
        ("{silence: transaction, for: 90d}", '[{at: "2026-03-02 10:00", transaction: {amount: 1}}]'),
        (
            "{maturity: 7d before}",
            REDEEMED,
        ),
        ("{maturity: 7d before}", '[{at: "2026-01-02 10:00", maturity: {matures_on: 2026-04-15}}]'),
    ],
    ids=["evaluated", "detail", "list", "reversed before it came", "silence", "redeemed", "due"],
)
def test_a_case_in_which_it_could_fire_counts(on: str, events: str) -> None:
    """The trigger was evaluated, its time was set, or an event that wakes it was left out by the engine."""
    assert result_of(silent(events), on=on, when="customer.accounts >= 5").passed


def test_a_time_that_lies_beyond_the_end_was_set_all_the_same() -> None:
    """``until`` before the silence is over."""
    case = silent('[{at: "2026-03-02 10:00", transaction: {amount: 1}}]', '    until: "2026-05-31 09:59"\n')
    assert result_of(case, on="{silence: transaction, for: 90d}", when="customer.accounts >= 1").passed
    late = case.replace("09:59", "10:00")
    assert not result_of(late, on="{silence: transaction, for: 90d}", when="customer.accounts >= 1").passed


def test_what_the_customer_holds_sets_the_time_too() -> None:
    """Without any event."""
    case = silent("[]", "    customer: {holdings: [{amount: 5, purchased_on: 2026-01-02, matures_on: 2026-04-15}]}\n")
    assert result_of(case, on="{maturity: 7d before}", when="product.amount >= 6").passed


def test_the_time_of_a_tag_is_not_that_of_a_trigger_of_its_name() -> None:
    """Nothing of the case wakes the trigger, whatever the tag waits for."""
    tags = "tags: {large: {when: customer.balance > 1, holds: 9d}}\n"
    case = silent('[{at: "2026-03-02 10:00", profile: {tier: mid}}]', "    customer: {balance: 5}\n")
    ruleset, trigger = load_trigger(trigger_text(case, FIRES, when="event.amount >= 500"), tags=tags)
    assert CaseRunner(ruleset, trigger).run(trigger.cases[0]).problem.startswith("the case asserts nothing")


def test_a_case_that_expects_something_is_not_empty() -> None:
    """It fails by what is missing."""
    case = '  - name: tried\n    events: []\n    expect: [{at: "2026-03-02 10:00"}]\n'
    result = result_of(case)
    assert result.problem == ""
    assert [row.kind for row in result.rows] == ["missing"]
