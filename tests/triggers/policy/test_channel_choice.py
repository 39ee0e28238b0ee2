"""A step that names several channels: which one it takes, and what is on record of those it could not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, decisions, profile, transaction
from tests.support.casework import FIRES, SILENT, load_trigger, result_of, trigger_text
from tests.support.rules import DAY, HOUR, ruleset, trigger
from triggers.casework.case_runner import run_case
from triggers.casework.explanation import as_lines, explain
from triggers.language.loader import load_documents
from triggers.language.model import Cap, Cooldown, Holdout, Policy, Quiet, Route, Step

PUSH_THEN_SMS = Step("push", instead=("sms",))


def customer(*ladder: Step, status: str = "live", expires_ms: int = 2 * DAY, **policy: Any) -> Customer:
    """A customer with one trigger of this ladder."""
    rules = Policy(**{"caps": (), "consent": frozenset(), **policy})
    one = trigger("any", ladder=ladder or (PUSH_THEN_SMS,), status=status, expires_ms=expires_ms)
    return Customer(ruleset(one, policy=rules), recode=True)


def sent(person: Customer, number: int = 1, **more: Any) -> tuple[list[str], list[tuple[str, str | None, Any]]]:
    """The channels of what a transaction led to, and each decision's reason, channel and detail."""
    outputs = person.feed(transaction(f"t{number}", number, 1, number, **more))
    decided = [(out.reason, out.channel, out.detail) for out in outputs if isinstance(out, Decision)]
    return [action.channel for action in actions(outputs)], decided


def local(text: str) -> datetime:
    """A time in the bank's time zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)


def test_the_first_channel_is_taken_where_it_is_allowed() -> None:
    """Nothing else is tried."""
    assert sent(customer()) == (["push"], [("sent", "push", {})])


def test_without_consent_the_next_channel_is_taken() -> None:
    """The decision says which channel was passed over, and why."""
    person = customer(consent=frozenset({"push"}))
    assert sent(person) == (["sms"], [("sent", "sms", {"push": "no_consent: consent = not recorded"})])


def test_a_full_cap_of_a_channel_leaves_the_next_one() -> None:
    """And that of all contacts leaves none: then the reason is that one, with what was tried before."""
    person = customer(caps=(Cap(1, 7 * DAY, channel="push"), Cap(2, 7 * DAY)))
    assert sent(person) == (["push"], [("sent", "push", {})])
    told = "capped: cap = 1, per = 1w"
    assert sent(person, 2) == (["sms"], [("sent", "sms", {"push": told})])
    assert sent(person, 3) == ([], [("capped", "sms", {"push": told, "cap": "2", "per": "1w"})])


def test_a_route_may_have_another_of_the_channels() -> None:
    """What may not carry the offer is passed over."""
    person = customer(routing=(Route(frozenset({"simple"}), ("sms", "manager")),))
    told = "not_routed: complexity = simple, allowed = sms, manager"
    assert sent(person) == (["sms"], [("sent", "sms", {"push": told})])


def test_no_channel_left_is_one_decision_with_every_reason() -> None:
    """Never dropped silently; it counts as no contact, and the trigger is free to fire again."""
    person = customer(consent=frozenset({"push"}), routing=(Route(frozenset({"simple"}), ("push",)),))
    assert sent(person) == (
        [],
        [
            (
                "no_channel",
                None,
                {
                    "push": "no_consent: consent = not recorded",
                    "sms": "not_routed: complexity = simple, allowed = push",
                },
            )
        ],
    )
    assert person.state.journeys == []
    assert person.state.contacts == []
    assert person.state.memory == {}


def test_one_channel_alone_keeps_its_own_reason() -> None:
    """There was nothing to choose."""
    (decided,) = sent(customer(Step("push"), consent=frozenset({"push"})))[1]
    assert decided == ("no_consent", "push", {"channel": "push", "consent": "not recorded"})


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"cooldown": Cooldown(all_ms=DAY)}, "cooling_down"),
        ({"caps": (Cap(1, DAY),)}, "capped"),
        ({"caps": (Cap(1, DAY, category="test"),)}, "capped"),
    ],
)
def test_what_no_channel_changes_ends_the_step(policy: dict[str, Any], reason: str) -> None:
    """Too soon or too often is so on every channel."""
    person = customer(**policy)
    sent(person)
    assert [(found, channel) for found, channel, _ in sent(person, 2)[1]] == [(reason, "push")]


def test_who_is_held_out_would_have_heard_on_the_channel_allowed() -> None:
    """The contact that counts for the caps is on that one, so that the two groups stay alike."""
    person = customer(consent=frozenset({"push"}), holdout=Holdout("s", 100))
    assert [(reason, channel) for reason, channel, _ in sent(person)[1]] == [("holdout", "sms")]
    assert [contact.channel for contact in person.state.contacts] == ["sms"]


def test_a_quiet_channel_is_waited_for() -> None:
    """It is the better one; at the end of the wait every channel is looked at anew."""
    night = Quiet(frozenset({"push"}), 21 * 60, 8 * 60)
    person = customer(quiet=(night,))
    late = local("2026-03-02 22:00")
    assert [(reason, channel) for reason, channel, _ in sent(person, occurred_at=late)[1]] == [("quiet_hours", "push")]
    person.feed(profile("p1", 1, consents={"push": False}, occurred_at=late + timedelta(hours=1)))
    (action,) = actions(person.run_to(local("2026-03-03 08:00")))
    assert action.channel == "sms"


def test_a_channel_that_is_quiet_until_the_action_expires_is_passed_over() -> None:
    """On both sides of the moment: what could still be sent in time waits."""
    night = Quiet(frozenset({"push"}), 21 * 60, 8 * 60)
    late = local("2026-03-02 22:00")
    channels, decided = sent(customer(quiet=(night,), expires_ms=10 * HOUR), occurred_at=late)
    assert channels == ["sms"]
    assert decided[0][2]["push"] == "quiet_hours: hour = 22:00"
    assert sent(customer(quiet=(night,), expires_ms=10 * HOUR + 1), occurred_at=late)[0] == []


def test_a_later_step_has_its_own_choice() -> None:
    """The ladder goes on; an opt-out meanwhile is obeyed."""
    person = customer(Step("push"), Step("wechat", DAY, instead=("sms", "manager")))
    sent(person)
    person.feed(profile("p1", 1, consents={"wechat": False, "sms": False}, occurred_at=at(0.5)))
    (action, decision) = person.run_to(at(1))
    assert actions([action])[0].channel == "manager"
    assert isinstance(decision, Decision)
    assert sorted(decision.detail) == ["sms", "wechat"]


def test_in_shadow_it_tells_what_would_have_come() -> None:
    """With the same choice of channels."""
    person = customer(status="shadow", consent=frozenset({"push"}))
    assert sent(person)[1][0][2] == {"would": "sent"}
    closed = customer(status="shadow", consent=frozenset({"push", "sms"}))
    assert sent(closed)[1][0][2] == {"would": "no_channel"}


CASE = """\
  - name: by sms
    customer: {consents: {push: false, sms: true}}
    events: [{at: "2026-03-02 10:00", transaction: {amount: 500}}]
    expect: [{at: "2026-03-02 10:00", channel: sms}]
"""


def test_a_case_and_its_explanation_show_the_choice() -> None:
    """As the author writes it: a list is one step."""
    assert result_of(CASE, ladder="[[push, sms], {after: 1d, unless: opened, use: [push, manager]}]").passed is False
    assert result_of(CASE, ladder="[[push, sms]]").passed
    rules, one = load_trigger(trigger_text(CASE, FIRES, SILENT, ladder="[[push, sms]]"))
    result = run_case(rules, one, one.cases[0])
    (line,) = [
        line for line in as_lines(explain(result.trace[0], result.outputs, result.zone)) if "not by push" in line
    ]
    assert line.strip() == "2026-03-02 10:00  not by push: no_consent: consent = refused"


def test_nothing_is_left_in_a_case() -> None:
    """A case may expect it by its reason."""
    case = CASE.replace("sms: true", "sms: false").replace("channel: sms", "held_back: no_channel")
    result = result_of(case, ladder="[[push, sms]]")
    assert result.passed
    assert "push=no_consent: consent = refused" in result.rows[1].came


@pytest.mark.parametrize(
    ("ladder", "expected"),
    [
        ("[[push, fax]]", ("E111", 'unknown channel "fax"')),
        ("[[push, push]]", ("E018", '"push" stands in this step already')),
        ("[[]]", ("E014", "at least one channel")),
        ("[push, [sms, manager]]", ("E011", "{after: 2d, use: [push, sms]}")),
        ("[push, {after: 1d, use: [sms, 3]}]", ("E012", "expected text")),
        ("[push, {after: 1d, use: [sms, fax]}]", ("E111", 'unknown channel "fax"')),
    ],
)
def test_a_mistake_in_a_list_of_channels_is_located(ladder: str, expected: tuple[str, str]) -> None:
    """On the line of the ladder."""
    loaded = load_documents({"large.yaml": trigger_text(FIRES, SILENT, ladder=ladder)})
    (problem,) = loaded.problems
    assert (problem.code, problem.line) == (expected[0], 14)
    assert expected[1] in problem.message


def test_a_step_with_a_choice_is_not_called_unreachable_for_one_channels_cap() -> None:
    """It may go by the other; where a cap of all contacts is full it never comes."""

    def codes(policy: str) -> list[str]:
        text = trigger_text(FIRES, SILENT, ladder="[push, {after: 1d, use: [push, sms]}]")
        return [problem.code for problem in load_documents({"large.yaml": text, "policy.yaml": policy}).problems]

    assert codes("caps: [{at_most: 1, per: 7d, channel: push}]") == []
    assert codes("caps: [{at_most: 1, per: 7d}]") == ["W113"]


def test_every_decision_of_a_choice_is_one() -> None:
    """The channels tried are no decisions of their own."""
    person = customer(consent=frozenset({"push"}))
    assert decisions(person.feed(transaction("t1", 1, 1, 1))) == [("sent", "sent")]
