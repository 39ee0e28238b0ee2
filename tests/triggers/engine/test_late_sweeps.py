"""By the wall's clock a sweep may come late, and so may a record: what a customer said of contacts counts first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.base import to_ms
from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, behaviour, feedback, profile, transaction
from tests.support.rules import DAY, NO_LIMITS, ruleset, trigger
from triggers.language.model import OnEvent, Quiet, Step

RULES = ruleset(
    trigger("any", ladder=(Step("push"), Step("sms", after_ms=DAY, unless="opened"))),
    trigger("night", on=(OnEvent("behaviour", "apply"),), ladder=(Step("email"),)),
    policy=replace(NO_LIMITS, quiet=(Quiet(frozenset({"email"}), 9 * 60, 14 * 60),)),
)


def heard(record: Any, *, days: float, told: list[Any]) -> list[tuple[str, int, str]]:
    """Trigger, step and reason of what comes of a record that is read so late, after those that were read in time."""
    person = Customer(RULES, recode=True)
    for one in told:
        _read(person, one, to_ms(one.occurred_at))
    return [
        (one.trigger, one.step, one.reason)
        for one in _read(person, record, to_ms(at(days)))
        if isinstance(one, Decision)
    ]


def _read(person: Customer, record: Any, now: int) -> list[Any]:
    outcome = person.stage.process(record, person.state, RULES, now)
    return outcome.outputs if outcome is not None else []


@pytest.mark.parametrize("minutes", [-1, 1])
def test_an_opt_out_that_is_known_comes_before_what_is_overdue(minutes: int) -> None:
    """Due at 14:00, and neither that nor the opt-out of about then was looked at before the evening."""
    out = profile("p1", 1, consents={"email": False}, occurred_at=at(hours=4, minutes=minutes))
    assert heard(out, days=0.4, told=[behaviour("b1", "apply")]) == [("night", 0, "no_consent")]


@pytest.mark.parametrize("hours", [23, 25])
def test_an_answer_that_is_known_comes_before_the_step_that_is_overdue(hours: int) -> None:
    """It need not go out and be withdrawn again."""
    paid = transaction("t1", 1, -5, 100)
    (sent,) = actions(_read(Customer(RULES), paid, to_ms(at())))
    opened = feedback("f1", sent, "opened", occurred_at=at(hours=hours))
    assert heard(opened, days=1.5, told=[paid]) == [("any", 1, "answered")]


def test_a_step_that_waited_and_was_refused_leaves_the_next_one_its_own_time() -> None:
    """The e-mail waits for 14:00, its channel is closed meanwhile; three days later the push does not count as
    expired with it.
    """
    ladder = (Step("push"), Step("email", after_ms=DAY), Step("push", after_ms=3 * DAY))
    person = Customer(ruleset(trigger("any", ladder=ladder), policy=RULES.policy), recode=True)
    person.feed(transaction("t1", 1, -5, 100))
    person.run_to(at(1))
    person.feed(profile("p1", 1, consents={"email": False}, occurred_at=at(1, hours=1)))
    person.run_to(at(10))
    assert [(one.step, one.created_at) for one in actions(person.outputs)] == [(0, at()), (2, at(4, hours=4))]
