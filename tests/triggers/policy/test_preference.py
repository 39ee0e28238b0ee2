"""The channel on which a customer answers comes first next time, and that fades."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import to_ms
from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, feedback, transaction
from tests.support.rules import DAY, NO_LIMITS, ruleset, trigger
from triggers.engine.state import CustomerState
from triggers.language.model import Policy, Step
from triggers.policy.preference import POINTS, UNIT, learn, ordered

LIST = Step("push", instead=("sms", "wechat"))
HALF_LIFE = 90 * DAY


def person_who(outcome: str, *, policy: Policy = NO_LIMITS) -> Customer:
    """One to whom a text message led to this, and who may then be asked by any of three channels."""
    first = trigger("first", lambda scope: scope.event.amount == 1, "event.amount", ladder=(Step("sms"),))
    then = trigger("then", lambda scope: scope.event.amount == 2, "event.amount", ladder=(LIST,))
    person = Customer(ruleset(first, then, policy=policy), recode=True)
    (sent,) = actions(person.feed(transaction("t1", 1, 1, 1)))
    person.feed(feedback("f1", sent, outcome, occurred_at=at(0)))
    return person


def asked_at(person: Customer, day: float) -> tuple[str, dict[str, str]]:
    """The channel of the next contact, and what its decision says."""
    outputs = person.feed(transaction(f"later{day}", 2, 2, 3, occurred_at=at(day)))
    (decision,) = [output for output in outputs if isinstance(output, Decision)]
    (action,) = actions(outputs)
    return action.channel, decision.detail


@pytest.mark.parametrize(
    ("outcome", "lasts"),
    [("opened", 90), ("clicked", 180), ("answered", 232), ("bought", 232)],
)
def test_the_channel_of_an_answer_comes_first_until_it_fades(outcome: str, lasts: float) -> None:
    """Half a point is the least that counts."""
    channel, detail = asked_at(person_who(outcome), lasts)
    assert channel == "sms"
    assert detail["learned"].startswith("sms 0.5")
    assert asked_at(person_who(outcome), lasts + 1) == ("push", {})


@pytest.mark.parametrize("outcome", ["delivered", "failed", "refused"])
def test_what_is_no_answer_changes_no_order(outcome: str) -> None:
    """A channel that was behind stays behind."""
    assert asked_at(person_who(outcome), 1)[0] == "push"


LADDER = (Step("push"), Step("push", after_ms=2 * DAY), Step("sms", 2 * DAY, instead=("wechat",)))


def climbed(person: Customer, ladder: tuple[Step, ...] = LADDER) -> list[str]:
    """The channels of a ladder that nobody answers, a day after what is known of the customer."""
    then = trigger("then", lambda scope: scope.event.amount == 2, "event.amount", ladder=ladder, expires_ms=30 * DAY)
    person.rules = ruleset(then, policy=person.rules.policy, name="climbing")
    person.feed(transaction("later", 2, 2, 3, occurred_at=at(1)))
    person.run_to(at(40))
    return [one.channel for one in actions(person.outputs) if one.trigger == "then"]


def test_a_ladder_begins_with_the_channel_of_an_answer() -> None:
    """It is that of a later step, which takes the first one's place; else the ladder is as it is written."""
    assert climbed(person_who("answered")) == ["sms", "push", "push"]
    assert climbed(person_who("delivered")) == ["push", "push", "sms"]
    assert climbed(person_who("refused")) == ["push", "push", "wechat"]


def test_a_ladder_does_not_begin_with_a_channel_that_it_has_not() -> None:
    """Its messages are written for those it has."""
    assert climbed(person_who("answered"), (Step("push"), Step("wechat", after_ms=DAY))) == ["push", "wechat"]


@pytest.mark.parametrize("channel", ["manager", "agent", "branch"])
def test_people_are_not_called_before_their_turn(channel: str) -> None:
    """Who once talked with somebody is still written to first: a call is what a ladder climbs to."""
    person = person_who("delivered")
    learn(person.state, person.rules.policy, channel, POINTS["answered"], 0)
    assert climbed(person, (Step("push"), Step(channel, after_ms=DAY))) == ["push", channel]


def test_the_first_channel_of_a_ladder_stays_where_it_is_answered_as_well() -> None:
    """Only a channel that is answered better comes before it."""
    person = person_who("opened")
    learn(person.state, person.rules.policy, "push", POINTS["clicked"], to_ms(at(0)))
    assert climbed(person) == ["push", "push", "sms"]


def test_a_ladder_falls_back_on_its_own_first_channel() -> None:
    """Where the better one is closed; the decision says both."""
    person = person_who("answered")
    person.state.consents = {"sms": False}
    assert climbed(person) == ["push", "push", "wechat"]
    sent = [one for one in person.outputs if isinstance(one, Decision) and (one.trigger, one.step) == ("then", 0)]
    assert [one.detail["sms"] for one in sent] == ["no_consent: consent = refused"]


def test_a_failure_on_the_channel_that_came_first_brings_the_next_at_once() -> None:
    """The next step goes by the channel that the ladder would have begun with."""
    then = trigger(
        "then",
        lambda scope: scope.event.amount == 2,
        "event.amount",
        ladder=(Step("push"), Step("sms", after_ms=2 * DAY)),
    )
    person = person_who("answered")
    person.rules = ruleset(then, policy=person.rules.policy, name="climbing")
    (sent,) = actions(person.feed(transaction("later", 2, 2, 3, occurred_at=at(1))))
    assert sent.channel == "sms"
    (again,) = actions(person.feed(feedback("f2", sent, "failed", occurred_at=at(1, hours=1))))
    assert again.channel == "push"


def test_a_refusal_puts_its_channel_behind_the_others() -> None:
    """The decision tells why."""
    state = CustomerState(key="c1")
    learn(state, Policy(), "push", POINTS["refused"], 0)
    channels, told = ordered(state, Policy(), ("push", "sms"), (), 0)
    assert (channels, told) == (("sms", "push"), {"learned": "push -3.0"})


def test_what_failed_in_this_ladder_comes_last() -> None:
    """However well the channel is liked."""
    state = CustomerState(key="c1")
    learn(state, Policy(), "push", 3, 0)
    channels, told = ordered(state, Policy(), ("push", "sms"), {"push"}, 0)
    assert (channels, told) == (("sms", "push"), {"learned": "push 3.0, push failed"})


def test_nothing_is_learned_where_the_bank_does_not_want_it() -> None:
    """``channel_half_life: none``."""
    person = person_who("answered", policy=Policy(caps=(), consent=frozenset(), channel_half_life_ms=0))
    assert person.state.channel_scores == {}
    assert asked_at(person, 1) == ("push", {})


def test_a_closed_channel_is_passed_over_however_well_it_is_liked() -> None:
    """The gate has the last word."""
    person = person_who("answered")
    person.state.consents = {"sms": False}
    channel, detail = asked_at(person, 1)
    assert channel == "push"
    assert detail == {"learned": "sms 3.0", "sms": "no_consent: consent = refused"}


happenings = st.lists(
    st.tuples(st.sampled_from(["push", "sms"]), st.sampled_from(sorted(POINTS.values())), st.integers(0, 400 * DAY)),
    max_size=12,
)


@given(happenings, st.integers(400 * DAY, 900 * DAY))
def test_a_score_is_bounded_and_hardly_depends_on_the_order_of_arrival(
    found: list[tuple[str, int, int]], now: int
) -> None:
    """Late feedback counts as of its own time. Only where a bound is met the order may show."""
    policy = Policy()
    one, other = CustomerState(key="c1"), CustomerState(key="c1")
    for channel, points, moment in found:
        learn(one, policy, channel, points, moment)
    for channel, points, moment in sorted(found, key=lambda one: one[2]):
        learn(other, policy, channel, points, moment)
    assert all(abs(score) <= 10 * UNIT for score, _ in one.channel_scores.values())
    assert one.channel_scores.keys() == other.channel_scores.keys()
    if sum(abs(points) for _, points, _ in found) <= 10:
        for channel, (score, since) in one.channel_scores.items():
            again, there = other.channel_scores[channel]
            assert since == there
            assert abs(score - again) <= len(found)


@given(st.integers(-10, 10), st.integers(0, 1000 * DAY))
def test_a_score_halves_with_each_half_life(points: int, elapsed: int) -> None:
    """To a millionth of a point."""
    state = CustomerState(key="c1")
    learn(state, Policy(), "push", points, 0)
    learn(state, Policy(), "push", 1, elapsed)
    expected = points * UNIT * 0.5 ** (elapsed / HALF_LIFE) + UNIT
    assert abs(state.channel_scores["push"][0] - min(expected, 10 * UNIT)) <= 1 if points else True
