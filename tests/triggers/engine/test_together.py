"""What timers bring up at one moment competes: steps that waited, further steps, and new candidates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import to_ms
from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, behaviour, transaction
from tests.support.rules import DAY, HOUR, NO_LIMITS, expression, ruleset, trigger
from triggers.engine.state import Contact
from triggers.language.model import Cap, OnEvent, OnSilence, Quiet, Step, Trigger

BROWSE, LOGIN = OnEvent("behaviour", "browse"), OnEvent("behaviour", "login")
NIGHT = (Quiet(frozenset({"push"}), 10 * 60, 14 * 60),)
"""Quiet for four hours from the start on."""
LOW = trigger("a_low", on=(BROWSE,), priority=20)
HIGH = trigger("z_high", on=(LOGIN,), priority=80)


def customer(*triggers: Trigger, recode: bool = True, **policy: Any) -> Customer:
    """A customer of a bank that is quiet at first."""
    return Customer(ruleset(*triggers, policy=replace(NO_LIMITS, quiet=NIGHT, **policy)), recode=recode)


def told(outputs: list[Any]) -> list[tuple[str, int, str]]:
    """Trigger, step and reason of each decision."""
    return [(one.trigger, one.step, one.reason) for one in outputs if isinstance(one, Decision)]


def put_off(person: Customer) -> None:
    """Both triggers fire in the night, the worse first."""
    assert told(person.feed(behaviour("b1", "browse"))) == [("a_low", 0, "quiet_hours")]
    outputs = person.feed(behaviour("b2", "login", occurred_at=at(hours=1)))
    assert told(outputs) == [("z_high", 0, "quiet_hours")]


@pytest.mark.parametrize("caps", [(), (Cap(1, DAY),)])
@pytest.mark.parametrize("swept", [True, False])
def test_of_what_waited_for_the_same_morning_the_best_is_sent(caps: tuple[Cap, ...], swept: bool) -> None:
    """Not the first by name; the other says who won, and both scores. A sweep and the next record do the same."""
    person = customer(LOW, HIGH, caps=caps)
    put_off(person)
    outputs = person.run_to(at(1)) if swept else person.feed(behaviour("b3", "like", occurred_at=at(1)))
    (action,) = actions(outputs)
    assert (action.trigger, action.created_at) == ("z_high", at(hours=4))
    assert told(outputs) == [("z_high", 0, "sent"), ("a_low", 0, "outranked")]
    sent, lost = [one for one in outputs if isinstance(one, Decision)]
    assert sent.detail["score"] == "80"
    assert lost.detail == {
        "winner": "z_high",
        "score": "20",
        "winner_score": "80",
        "winner_occasion": "behaviour:b2",
    }
    assert [journey.trigger for journey in person.state.journeys] == ["z_high"]
    assert "a_low" not in person.state.memory or not person.state.memory["a_low"].fired_ms


def test_the_best_that_is_allowed_is_sent() -> None:
    """One that the gate refuses by then leaves the place to the next, and has its own reason."""
    refused = trigger("z_high", on=(LOGIN,), priority=80, category="pushy")
    person = customer(LOW, refused)
    put_off(person)
    cap = (Cap(1, 30 * DAY, category="pushy"),)
    person.rules = ruleset(LOW, refused, policy=replace(person.rules.policy, caps=cap), name="capped")
    person.state.contacts.append(Contact(to_ms(at(-1)), "z_high", "pushy", "push"))
    assert told(person.run_to(at(1))) == [("z_high", 0, "capped"), ("a_low", 0, "sent")]


def test_one_alone_has_no_score() -> None:
    """Nothing competes with it."""
    person = customer(LOW)
    person.feed(behaviour("b1", "browse"))
    (decision,) = [one for one in person.run_to(at(1)) if isinstance(one, Decision)]
    assert (decision.reason, decision.detail) == ("sent", {})


@pytest.mark.parametrize(("now", "moments"), [(None, [4, 5]), (at(hours=6), [6, 6])])
def test_what_is_due_at_several_moments_does_not_compete(now: Any, moments: list[int]) -> None:
    """A late sweep runs both, each as of its own time on history; by the wall's clock both are late."""
    sms = Quiet(frozenset({"sms"}), 10 * 60, 15 * 60)
    later = trigger("z_high", on=(LOGIN,), priority=80, ladder=(Step("sms"),))
    person = Customer(ruleset(LOW, later, policy=replace(NO_LIMITS, quiet=(*NIGHT, sms))), recode=True)
    for number, kind in enumerate(["browse", "login"]):
        person.feed(behaviour(f"b{number}", kind), to_ms(at()) if now else None)
    found = actions(person.run_to(at(hours=6), to_ms(now) if now else None))
    assert [(one.trigger, one.created_at) for one in found] == [
        ("a_low", at(hours=moments[0])),
        ("z_high", at(hours=moments[1])),
    ]


def test_a_sweep_by_the_walls_clock_lets_them_compete_as_well() -> None:
    """What was due at the same moment, however late it is run."""
    person = customer(LOW, HIGH)
    person.feed(behaviour("b1", "browse"), to_ms(at()))
    person.feed(behaviour("b2", "login"), to_ms(at(hours=1)))
    outputs = person.run_to(at(hours=5), to_ms(at(hours=5)))
    assert told(outputs) == [("z_high", 0, "sent"), ("a_low", 0, "outranked")]
    assert actions(outputs)[0].created_at == at(hours=5)


def test_a_further_step_competes_and_is_passed_over() -> None:
    """Its ladder goes on with the next step in its time; the score stands in both decisions."""
    ladder = (Step("sms"), Step("push", after_ms=HOUR), Step("sms", after_ms=DAY))
    climbing = trigger("a_low", on=(BROWSE,), priority=20, ladder=ladder)
    person = customer(climbing, HIGH)
    assert told(person.feed(behaviour("b1", "browse"))) == [("a_low", 0, "sent")]
    assert told(person.feed(behaviour("b2", "login", occurred_at=at(hours=1)))) == [
        ("a_low", 1, "quiet_hours"),
        ("z_high", 0, "quiet_hours"),
    ]
    outputs = person.run_to(at(hours=4))
    assert told(outputs) == [("z_high", 0, "sent"), ("a_low", 1, "outranked")]
    lost = outputs[-1]
    assert isinstance(lost, Decision)
    assert (lost.detail["score"], lost.detail["winner_score"]) == ("20", "80")
    later = person.run_to(at(3))
    assert [(one.trigger, one.step, one.created_at) for one in actions(later)] == [("a_low", 2, at(1, hours=4))]


def test_a_new_candidate_of_a_timer_competes_as_well() -> None:
    """Silence that ends in the very moment in which the quiet hours do."""
    silent = trigger("quiet_customer", on=(OnSilence("transaction", None, 4 * HOUR),), priority=50)
    person = customer(LOW, HIGH, silent)
    person.feed(transaction("t1", 1, -1, 1))
    put_off(person)
    outputs = person.run_to(at(hours=4))
    assert told(outputs) == [
        ("z_high", 0, "sent"),
        ("quiet_customer", 0, "outranked"),
        ("a_low", 0, "outranked"),
    ]
    assert person.run_to(at(hours=5)) == []


def test_two_timers_of_one_moment_say_one_thing() -> None:
    """Also where nothing waited."""
    first, second = (
        trigger(name, on=(OnSilence("transaction", None, DAY),), priority=priority)
        for name, priority in (("a", 10), ("b", 60))
    )
    person = customer(first, second)
    person.feed(transaction("t1", 1, -1, 1, occurred_at=at(hours=5)))
    outputs = person.run_to(at(3))
    assert told(outputs) == [("b", 0, "sent"), ("a", 0, "outranked")]


def test_a_window_that_ends_with_the_night_competes_as_well() -> None:
    """What waited for the window and what waited for the morning."""
    person = customer(LOW, HIGH, window_ms=HOUR)
    person.feed(behaviour("b1", "browse"))
    person.run_to(at(hours=2))
    person.feed(behaviour("b2", "login", occurred_at=at(hours=3)))
    outputs = person.run_to(at(hours=4))
    assert told(outputs) == [("z_high", 0, "sent"), ("a_low", 0, "outranked")]


def test_a_shadow_takes_nobodys_place() -> None:
    """A draft that is watched says what it would have done."""
    shadow = trigger("watched", on=(OnSilence("transaction", None, 4 * HOUR),), priority=90, status="shadow")
    person = customer(LOW, shadow)
    person.feed(transaction("t1", 1, -1, 1))
    person.feed(behaviour("b1", "browse"))
    assert told(person.run_to(at(hours=4))) == [("a_low", 0, "sent"), ("watched", 0, "shadow")]


def poor() -> Trigger:
    """Fires on a debit of an account that leaves less than 1,000."""
    debit = expression(lambda scope: scope.event.direction == "debit", "event.direction")
    low = expression(lambda scope: scope.account.balance < 1000 if scope.account else None, "account.balance")
    one = trigger("poor", lambda scope: scope.event.direction == "debit" and scope.account.balance < 1000)
    return replace(one, clauses=(debit, low), once_per_ms=30 * DAY)


@pytest.mark.parametrize(("back", "reason"), [(499, "sent"), (500, "no_longer_true")])
def test_what_waited_looks_at_its_condition_again(back: int, reason: str) -> None:
    """As at the end of a window: of the account of its event, and what was true of the event stays so."""
    person = customer(poor())
    assert told(person.feed(transaction("t1", 1, -500, 500))) == [("poor", 0, "quiet_hours")]
    person.feed(transaction("t2", 1, 9000, 9000, account_id="a2", occurred_at=at(minutes=1)))
    person.feed(transaction("t3", 2, back, 500 + back, occurred_at=at(hours=1)))
    assert told(person.run_to(at(1))) == [("poor", 0, reason)]
    # What was not sent may be said again.
    again = told(person.feed(transaction("t4", 3, -400, 100 + back, occurred_at=at(1, hours=6))))
    assert again == [("poor", 0, "once_per" if reason == "sent" else "sent")]


@pytest.mark.parametrize("names", [("in_day",), ("customer.balance", "in_day")])
def test_what_a_window_said_stays_so_over_the_night(names: tuple[str, ...]) -> None:
    """A sum over today is 0 in the morning: that is no reason to keep quiet of yesterday's."""
    asked = iter([True, False])
    one = trigger("moved", lambda _: next(asked), *names)
    person = customer(one)
    person.feed(transaction("t1", 1, -500, 500))
    assert told(person.run_to(at(1))) == [("moved", 0, "sent")]


def test_a_further_step_does_not_ask_the_condition() -> None:
    """A ladder that has begun goes by its ``unless``."""
    one = poor()
    person = customer(replace(one, action=replace(one.action, ladder=(Step("sms"), Step("push", after_ms=HOUR)))))
    person.feed(transaction("t1", 1, -500, 500))
    person.feed(transaction("t2", 2, 9000, 9500, occurred_at=at(minutes=5)))
    assert told(person.run_to(at(1))) == [("poor", 1, "quiet_hours"), ("poor", 1, "sent")]


def test_a_step_that_the_ladder_has_no_more_is_on_record() -> None:
    """A release that cuts a ladder leaves no step without a word."""
    long = trigger("any", ladder=(Step("sms"), Step("push", after_ms=HOUR)))
    person = customer(long)
    person.feed(transaction("t1", 1, -5, 10))
    person.rules = ruleset(trigger("any", ladder=(Step("sms"),)), policy=person.rules.policy, name="short")
    (decision,) = person.run_to(at(1))
    assert isinstance(decision, Decision)
    assert (decision.trigger, decision.step, decision.outcome, decision.reason) == ("any", 1, "suppressed", "retired")
    assert decision.trigger_version == 1
    assert person.state.timers == {}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["browse", "login", "like"]), st.integers(0, 400)), min_size=1, max_size=12),
    st.sampled_from([0, 10, 60]),
)
def test_whatever_waits_timers_say_one_thing_at_a_moment(steps: list[tuple[str, int]], window: int) -> None:
    """Whatever comes by day and by night, with a window and without; swept in time or only at the next event."""
    ladder = (Step("push"), Step("push", after_ms=2 * HOUR))
    rules = [
        trigger(kind, on=(OnEvent("behaviour", kind),), priority=priority, ladder=ladder)
        for kind, priority in (("browse", 10), ("login", 70), ("like", 40))
    ]
    person = customer(*rules, window_ms=window * 60_000)
    late = customer(*rules, window_ms=window * 60_000, recode=False)
    now, at_once = 0, []
    for number, (kind, minutes) in enumerate(steps):
        now += minutes
        record = behaviour(f"b{number}", kind, occurred_at=at(minutes=now))
        person.run_to(at(minutes=now))
        at_once += [one for one in actions(person.feed(record)) if one.occasion == f"behaviour:b{number}"]
        late.feed(record)
    person.run_to(at(9))
    late.run_to(at(9))
    assert late.outputs == person.outputs
    by_timers = [one.created_at for one in actions(person.outputs) if one not in at_once]
    assert len(by_timers) == len(set(by_timers))
