"""Which channels are left for a customer who answers on none, and what brings all of them back."""

from __future__ import annotations

from typing import Any

from tests.support.bank import Customer, actions, at, behaviour, feedback, profile, transaction
from tests.support.rules import DAY, expression, ruleset, trigger
from triggers.language.model import OnDerived, Policy, Step, Suitability, Trigger

LOST = trigger("lost", lambda scope: scope.customer.channels_left == 0, "customer.channels_left", on=())


def asking(channel: str, amount: int, **more: Any) -> Trigger:
    """A ladder of one step, on a transaction of this amount."""
    return trigger(
        f"by_{channel}",
        lambda scope: scope.event.amount == amount,
        "event.amount",
        ladder=(Step(channel),),
        expires_ms=DAY,
        **more,
    )


def person_under(policy: Policy, *more: Trigger) -> Customer:
    """A customer who may be asked by push (1), SMS (2), WeChat (3) and the manager (4)."""
    channels = ("push", "sms", "wechat", "manager")
    asked = [asking(channel, amount) for amount, channel in enumerate(channels, start=1)]
    return Customer(ruleset(LOST, *asked, *more, policy=policy), recode=True)


def ask(person: Customer, amount: int, day: float) -> None:
    """Lets a ladder go out, which runs out a day later."""
    person.feed(transaction(f"t{day}", int(day * 10) + 1, amount, 1, occurred_at=at(day)))


OPEN = Policy(caps=(), consent=frozenset())


def test_each_ladder_that_runs_out_takes_its_channel() -> None:
    """Unknown before the first, none left after the third; a channel that does not count changes nothing."""
    person = person_under(OPEN)
    seen = []
    for day, amount in enumerate((4, 1, 2, 3)):
        ask(person, amount, day)
        seen.append(person.state.channels_left)
    person.run_to(at(9))
    assert [*seen, person.state.channels_left] == [None, 3, 2, 1, 0]


def test_a_channel_that_may_not_be_used_is_not_left() -> None:
    """Without consent, or where it does not suit."""
    app = expression(lambda scope: scope.customer.app_user, "customer.app_user")
    policy = Policy(caps=(), consent=frozenset({"sms"}), suitability=(Suitability(frozenset({"wechat"}), (app,)),))
    person = person_under(policy)
    person.feed(profile("p1", 1, app_user=False))
    ask(person, 1, 1)
    person.run_to(at(5))
    assert person.state.channels_left == 0
    person.feed(profile("p2", 2, app_user=False, consents={"sms": True}, occurred_at=at(6)))
    assert person.state.channels_left == 1
    person.feed(profile("p3", 3, app_user=True, consents={"sms": True}, occurred_at=at(7)))
    assert person.state.channels_left == 2


def test_the_channels_that_count_are_the_banks() -> None:
    """``reach: [push, manager]``."""
    person = person_under(Policy(caps=(), consent=frozenset(), reach=frozenset({"push", "manager"})))
    ask(person, 2, 0)
    ask(person, 1, 2)
    person.run_to(at(5))
    assert person.state.channels_left == 1


def test_a_sign_of_life_brings_all_channels_back() -> None:
    """What the customer does on a channel of the bank, or an answer however late; not a delivery."""
    for happens, left in (
        (lambda _sent: behaviour("b1", "login", occurred_at=at(6)), None),
        (lambda sent: feedback("f1", sent, "opened", occurred_at=at(6)), None),
        (lambda sent: feedback("f1", sent, "refused", occurred_at=at(6)), None),
        (lambda sent: feedback("f1", sent, "delivered", occurred_at=at(6)), 2),
    ):
        person = person_under(OPEN)
        ask(person, 1, 0)
        person.run_to(at(5))
        person.feed(happens(actions(person.outputs)[0]))
        assert person.state.channels_left == left


def test_a_visit_from_before_a_ladder_ran_out_says_nothing_of_it() -> None:
    """It came late."""
    person = person_under(OPEN)
    ask(person, 1, 0)
    ask(person, 2, 2)
    person.run_to(at(5))
    person.feed(behaviour("b1", "login", occurred_at=at(2.5)))
    assert person.state.unanswered.keys() == {"sms"}
    assert person.state.channels_left == 2


def test_a_ladder_that_a_lost_one_led_to_counts_as_well() -> None:
    """Though it wakes nobody when it runs out."""
    second = trigger("second", on=(OnDerived("action.exhausted"),), ladder=(Step("sms"), Step("wechat", DAY)))
    person = person_under(OPEN, second)
    ask(person, 1, 0)
    person.run_to(at(30))
    assert [action.channel for action in actions(person.outputs)] == ["push", "sms", "wechat"]
    assert person.state.channels_left == 0


def test_a_channel_that_was_closed_meanwhile_did_not_run_out() -> None:
    """Its action was withdrawn: nobody could answer it."""
    asked = trigger("asked", ladder=(Step("push"), Step("sms", DAY)), expires_ms=3 * DAY)
    person = Customer(ruleset(LOST, asked), recode=True)
    ask(person, 1, 0)
    person.feed(profile("p1", 1, consents={"push": False}, occurred_at=at(0.5)))
    person.run_to(at(9))
    assert person.state.unanswered.keys() == {"sms"}


def test_an_answered_ladder_takes_no_channel() -> None:
    """It did not run out."""
    person = person_under(OPEN)
    ask(person, 1, 0)
    person.feed(feedback("f1", actions(person.outputs)[0], "opened", occurred_at=at(0.5)))
    person.run_to(at(5))
    assert person.state.channels_left is None


def test_nothing_is_kept_where_no_expression_asks() -> None:
    """Nor any timer."""
    person = Customer(ruleset(asking("push", 1)))
    ask(person, 1, 0)
    assert person.state.timers == {}
