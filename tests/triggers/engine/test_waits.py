"""Waiting for an event that should follow another: by the events' own times, whatever order they come in."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bank import START, Customer, actions, at, behaviour, cancellations, decisions, maturity, transaction
from tests.support.rules import DAY, HOUR, ruleset, trigger
from triggers.language.model import OnEvent, OnWait, RuleSet, Trigger

LOOKED, BOUGHT = OnEvent("behaviour", "browse"), OnEvent("maturity", "purchased")
LOOKED_NOT_BOUGHT = OnWait(LOOKED, BOUGHT, DAY)


def hesitating(**more: Any) -> Trigger:
    """Looked, and did not buy within a day."""
    return trigger("hesitating", on=(LOOKED_NOT_BOUGHT,), expires_ms=30 * DAY, **more)


def customer_of(**more: Any) -> Customer:
    return Customer(ruleset(hesitating(**more)), recode=True)


def look(number: int, days: float) -> Any:
    return behaviour(f"look{number}", "browse", occurred_at=at(days))


def buy(number: int, days: float, holding: str = "h1") -> Any:
    return maturity(f"buy{number}", number, "purchased", date(2027, 1, 1), holding_id=holding, occurred_at=at(days))


def test_a_wait_that_nothing_answers_wakes_the_trigger_when_it_ends() -> None:
    """A day after the customer looked, once."""
    customer = customer_of()
    assert customer.feed(look(1, 0)) == []
    assert customer.run_to(at(1) - timedelta(milliseconds=1)) == []
    (action,) = actions(customer.run_to(at(1)))
    assert action.created_at == at(1)
    assert action.occasion == "wait:behaviour.browse>maturity.purchased>86400000:20260302T020000.000000"
    assert customer.run_to(at(400)) == []


@pytest.mark.parametrize(("days", "fires"), [(0, False), (0.5, False), (0.999, False), (1, True)])
def test_an_answer_in_time_ends_the_wait(days: float, fires: bool) -> None:
    """From its beginning on and before its end; at the end the trigger wakes first."""
    customer = customer_of()
    customer.feed(look(1, 0))
    assert bool(actions(customer.feed(buy(1, days)))) is fires
    assert customer.run_to(at(400)) == []


def test_another_look_during_the_wait_changes_nothing() -> None:
    """The wait runs from the first; one after it begins the next."""
    customer = customer_of()
    for number, days in enumerate([0, 0.4, 0.9]):
        customer.feed(look(number, days))
    (first,) = actions(customer.run_to(at(1)))
    assert first.created_at == at(1)
    assert customer.run_to(at(5)) == []
    customer.feed(look(8, 6))
    (second,) = actions(customer.run_to(at(400)))
    assert second.created_at == at(7)


def test_a_look_after_the_purchase_waits_anew() -> None:
    """What answered the first wait does not answer the second."""
    customer = customer_of()
    customer.feed(look(1, 0))
    customer.feed(buy(1, 0.5))
    customer.feed(look(2, 0.6))
    (action,) = actions(customer.run_to(at(400)))
    assert action.created_at == at(1.6)


def test_an_answer_that_comes_late_withdraws_what_was_sent() -> None:
    """It belongs inside the wait, so there was nothing to say; the trigger may fire again at once."""
    customer = customer_of(once_per_ms=30 * DAY)
    customer.feed(look(1, 0))
    (sent,) = actions(customer.run_to(at(2)))
    (withdrawn,) = cancellations(customer.feed(buy(1, 0.9)))
    assert (withdrawn.action_id, withdrawn.reason, withdrawn.caused_by) == (sent.action_id, "answered_late", "buy1")
    assert ("cancelled", "answered_late") in decisions(customer.outputs)
    assert customer.feed(buy(2, 0.8, "h2")) == []
    customer.feed(look(2, 3))
    (again,) = actions(customer.run_to(at(400)))
    assert again.created_at == at(4)


def test_an_answer_that_comes_late_for_an_earlier_wait_withdraws_that_one() -> None:
    """Only the action whose wait it belongs to."""
    customer = customer_of()
    sent = []
    for number in (0, 2, 4):
        customer.feed(look(number, number))
        sent += actions(customer.run_to(at(number + 1)))
    (withdrawn,) = cancellations(customer.feed(buy(1, 2.5)))
    assert [action.action_id for action in sent].index(withdrawn.action_id) == 1


def test_a_look_after_an_answer_that_came_late_is_waited_for() -> None:
    """It was no beginning while the wait before it seemed to go on; now it is one."""
    customer = customer_of()
    customer.feed(look(1, 0))
    customer.feed(look(2, 0.8))
    assert actions(customer.run_to(at(3)))
    assert len(cancellations(customer.feed(buy(1, 0.5)))) == 1
    (action,) = actions(customer.run_to(at(400)))
    assert action.created_at == at(1.8)


def test_a_late_look_moves_the_beginning_back() -> None:
    """The wait ends a day after the look that was first."""
    customer = customer_of()
    customer.feed(look(2, 0.5))
    customer.feed(look(1, 0.2))
    (action,) = actions(customer.run_to(at(400)))
    assert action.created_at == at(1.2)


def test_a_late_look_whose_answer_is_known_begins_nothing() -> None:
    """The purchase came first, though it happened later."""
    customer = customer_of()
    customer.feed(buy(1, 0.5))
    customer.feed(look(1, 0.1))
    assert customer.run_to(at(400)) == []
    assert not customer.state.timers


def test_a_purchase_at_the_very_end_of_a_late_look_is_no_answer() -> None:
    """As if both had come in time: the trigger would have woken before it."""
    customer = customer_of()
    customer.feed(buy(1, 1))
    assert len(actions(customer.feed(look(1, 0)))) == 1


def test_a_late_look_whose_time_is_over_wakes_the_trigger_at_once() -> None:
    """Late notice is better than none; it is made when it is known, not before."""
    customer = customer_of()
    customer.feed(behaviour("other", "login", occurred_at=at(3)))
    (action,) = actions(customer.feed(look(1, 0)))
    assert action.created_at == at(3)


def test_a_look_repeated_by_the_publisher_changes_nothing() -> None:
    """The same event is no second look."""
    customer = customer_of()
    customer.feed(look(1, 0))
    assert len(actions(customer.run_to(at(2)))) == 1
    assert customer.feed(look(1, 0)) == []
    assert customer.run_to(at(400)) == []


PAID_NOT_SPENT = OnWait(OnEvent("transaction", "salary"), OnEvent("transaction", "payment"), DAY)


def paid_rules(within: int = DAY, **more: Any) -> RuleSet:
    return ruleset(trigger("idle", on=(OnWait(PAID_NOT_SPENT.after, PAID_NOT_SPENT.unless, within),), **more))


def pay(number: int, kind: str, days: float, **more: Any) -> Any:
    return transaction(f"t{number}", number, 1, 1, kind=kind, occurred_at=at(days), **more)


def test_a_reversal_of_the_beginning_ends_the_wait() -> None:
    """A salary that was taken back is waited for no more; before its end and after it."""
    customer = Customer(paid_rules(expires_ms=9 * DAY), recode=True)
    customer.feed(pay(1, "salary", 0))
    customer.feed(pay(2, "salary", 0.5, reversal_of="t1"))
    assert customer.run_to(at(3)) == []
    customer.feed(pay(3, "salary", 4))
    (sent,) = actions(customer.run_to(at(6)))
    (withdrawn,) = cancellations(customer.feed(pay(4, "salary", 6, reversal_of="t3")))
    assert (withdrawn.action_id, withdrawn.reason) == (sent.action_id, "reversed")


def test_after_a_reversal_the_next_event_of_the_wait_is_its_beginning() -> None:
    """It was there already; now it is the first."""
    customer = Customer(paid_rules(), recode=True)
    customer.feed(pay(1, "salary", 0))
    customer.feed(pay(2, "salary", 0.6))
    customer.feed(pay(3, "salary", 0.7, reversal_of="t1"))
    (action,) = actions(customer.run_to(at(400)))
    assert action.created_at == at(1.6)


def test_after_a_reversal_of_what_was_told_the_next_event_is_waited_for() -> None:
    """It was part of a wait that never was."""
    customer = Customer(paid_rules(expires_ms=9 * DAY), recode=True)
    customer.feed(pay(1, "salary", 0))
    customer.feed(pay(2, "salary", 0.5))
    assert len(actions(customer.run_to(at(1)))) == 1
    customer.feed(pay(3, "salary", 1.2, reversal_of="t1"))
    (action,) = actions(customer.run_to(at(400)))
    assert action.created_at == at(1.5)


def test_a_reversal_of_the_answer_lets_the_wait_go_on() -> None:
    """What was taken back never answered anything."""
    customer = Customer(paid_rules(), recode=True)
    customer.feed(pay(1, "salary", 0))
    customer.feed(pay(2, "payment", 0.2))
    assert not customer.state.timers
    customer.feed(pay(3, "payment", 0.3, reversal_of="t2"))
    (action,) = actions(customer.run_to(at(400)))
    assert action.created_at == at(1)


def test_the_trigger_sees_the_customer_when_it_wakes() -> None:
    """Not as it was when the wait began."""
    rich = trigger("rich", lambda scope: scope.customer.balance > 500, on=(PAID_NOT_SPENT,))
    for balance, fires in ((400, False), (600, True)):
        customer = Customer(ruleset(rich))
        customer.feed(transaction("t1", 1, 450, 450, kind="salary"))
        customer.feed(transaction("t2", 2, 1, balance, kind="other", occurred_at=at(0.5)))
        assert bool(actions(customer.run_to(at(400)))) is fires


def test_a_wait_goes_on_under_another_rule_set_where_it_is_the_same() -> None:
    """Also when it stands elsewhere in the list; another length is another wait, which knows of no beginning."""
    for wake, fires in ((LOOKED_NOT_BOUGHT, True), (OnWait(LOOKED, BOUGHT, 2 * DAY), False)):
        customer = customer_of()
        customer.feed(look(1, 0))
        moved = trigger("hesitating", on=(OnEvent("profile"), wake))
        customer.rules = ruleset(moved, name="next")
        customer.feed(behaviour("other", "login", occurred_at=at(0.5)))
        assert [action.created_at for action in actions(customer.run_to(at(400)))] == ([at(1)] if fires else [])


def test_two_waits_of_one_trigger_do_not_mix() -> None:
    """Each has its own events."""
    other = OnWait(OnEvent("behaviour", "apply"), BOUGHT, 2 * DAY)
    customer = Customer(ruleset(trigger("both", on=(LOOKED_NOT_BOUGHT, other))), recode=True)
    customer.feed(look(1, 0))
    customer.feed(behaviour("apply", "apply", occurred_at=at(0.5)))
    assert [action.created_at for action in actions(customer.run_to(at(400)))] == [at(1), at(2.5)]


# --- any events in any order ----------------------------------------------------------------------------------------

moments = st.lists(
    st.tuples(st.sampled_from(["salary", "payment"]), st.integers(0, 119)),
    min_size=1,
    max_size=12,
    unique_by=lambda event: event[1],
)


def waits_of(events: list[tuple[str, int]], within: int) -> list[int]:
    """When the waits begin that nothing answers (hours), by a walk over the events in the order of their times."""
    found, busy_until, begun = [], -1, None
    for kind, hour in sorted(events, key=lambda event: event[1]):
        if begun is not None and hour >= begun + within:
            found.append(begun)
            busy_until, begun = begun + within, None
        if kind == "payment":
            begun = None
        elif begun is None and hour >= busy_until:
            begun = hour
    return found + ([begun] if begun is not None else [])


def effective(customer: Customer) -> list[int]:
    """When the waits began whose actions stand, in hours."""
    taken_back = {cancelled.action_id for cancelled in cancellations(customer.outputs)}
    sent = [action for action in actions(customer.outputs) if action.action_id not in taken_back]
    hours = {f"{at(hour / 24):%Y%m%dT%H%M%S.%f}": hour for hour in range(120)}
    return sorted(hours[action.occasion.rpartition(":")[2]] for action in sent)


def feed(customer: Customer, number: int, event: tuple[str, int]) -> None:
    customer.feed(transaction(f"t{number}", number, 1, 1, kind=event[0], occurred_at=START + timedelta(hours=event[1])))


@settings(max_examples=150, deadline=None)
@given(moments, st.sampled_from([1, 5, 24, 60]))
def test_events_in_order_give_the_waits_of_the_naive_walk(events: list[tuple[str, int]], within: int) -> None:
    """Each wait that nothing answers is told once."""
    customer = Customer(paid_rules(within * HOUR, expires_ms=300 * DAY), recode=True)
    for number, event in enumerate(sorted(events, key=lambda event: event[1]), start=1):
        feed(customer, number, event)
    customer.run_to(at(400))
    assert effective(customer) == waits_of(events, within)
    assert not cancellations(customer.outputs)


@settings(max_examples=150, deadline=None)
@given(moments, st.data())
def test_the_order_of_arrival_does_not_matter_while_the_wait_runs(
    events: list[tuple[str, int]], data: st.DataObject
) -> None:
    """Late events and reversals of either kind, in whatever order: as if they had come in their own."""
    taken_back = data.draw(st.sets(st.sampled_from(events)))
    arrivals: list[tuple[int, bool]] = data.draw(st.permutations([(number, False) for number in range(len(events))]))
    arrivals = list(arrivals) + [(number, True) for number, event in enumerate(events) if event in taken_back]
    customer = Customer(paid_rules(200 * HOUR, expires_ms=300 * DAY), recode=True)
    for place, (number, reversal) in enumerate(arrivals):
        kind, hour = events[number]
        when = START + timedelta(hours=hour)
        if reversal:
            customer.feed(transaction(f"r{number}", 100 + place, 1, 1, occurred_at=when, reversal_of=f"t{number}"))
        else:
            customer.feed(transaction(f"t{number}", place, 1, 1, kind=kind, occurred_at=when))
    customer.run_to(at(400))
    assert effective(customer) == waits_of([event for event in events if event not in taken_back], 200)


@settings(max_examples=150, deadline=None)
@given(moments, st.sampled_from([1, 5, 24]), st.data())
def test_late_events_never_leave_an_answered_wait_standing(
    events: list[tuple[str, int]], within: int, data: st.DataObject
) -> None:
    """Whatever comes after the trigger fired: what stands begins with a real event, nothing answers it, and no two
    of them overlap."""
    customer = Customer(paid_rules(within * HOUR, expires_ms=300 * DAY), recode=True)
    for number, event in enumerate(data.draw(st.permutations(events)), start=1):
        feed(customer, number, event)
    customer.run_to(at(400))
    found = effective(customer)
    assert set(found) <= {hour for kind, hour in events if kind == "salary"}
    answers = [hour for kind, hour in events if kind == "payment"]
    assert not any(begun <= answer < begun + within for begun in found for answer in answers)
    assert all(later >= earlier + within for earlier, later in pairwise(found))


def test_what_a_wait_remembers_is_bounded() -> None:
    """A customer who looks all day, or buys all day, costs no more than one who does so a few times."""
    customer = Customer(paid_rules(30 * DAY))
    for number in range(1, 400):
        customer.feed(pay(number, "salary", number / 100))
    (waiting,) = customer.state.waits.values()
    assert 0 < len(waiting.begun) <= 16
    for number in range(400, 800):
        customer.feed(pay(number, "payment", number / 100))
    (waiting,) = customer.state.waits.values()
    assert len(waiting.begun) <= 16
    assert len(waiting.answered) <= 16
