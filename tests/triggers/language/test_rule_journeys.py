"""What rule files say of journeys: what ends a ladder, what is learned of channels, what a desk is told."""

from __future__ import annotations

import pytest

from tests.support.casework import FIRES, SILENT, load_trigger, result_of, trigger_text
from tests.support.rules import DAY
from triggers.language.loader import load_documents
from triggers.language.model import OnEvent, Policy

LADDER = "[push, {after: 1d, use: [sms, manager]}]"


def mistakes(*cases: str, ladder: str = "[push]", **beside: str) -> list[tuple[str, str]]:
    """Code and message of each mistake of a small trigger."""
    files = {"large.yaml": trigger_text(*(cases or (FIRES, SILENT)), ladder=ladder)}
    loaded = load_documents(files | {f"{name}.yaml": text for name, text in beside.items()})
    return [(problem.code, problem.message) for problem in loaded.problems if problem.code.startswith("E")]


@pytest.mark.parametrize(
    ("until", "events"),
    [
        ("behaviour.login", (OnEvent("behaviour", "login"),)),
        ("product.opened", (OnEvent("maturity", "purchased"),)),
        ("[transaction.salary, feedback]", (OnEvent("transaction", "salary"), OnEvent("feedback"))),
    ],
)
def test_an_action_names_what_ends_its_ladder(until: str, events: tuple[OnEvent, ...]) -> None:
    """One event of the topics, or a list of them."""
    _, trigger = load_trigger(trigger_text(FIRES, SILENT, ladder=f"[push]\n  until: {until}"))
    assert trigger.action.until == events


@pytest.mark.parametrize(
    ("until", "code", "message"),
    [
        ("behaviour.logn", "E013", 'there is no behaviour "logn": did you mean "login"?'),
        ("tag.added", "E013", "this takes events of the topics only, not tag.added;"),
        ("[behaviour.login, behaviour.login]", "E018", "this stands in the list already"),
        ("{silence: transaction, for: 1d}", "E012", "expected an event such as transaction or behaviour.browse"),
    ],
)
def test_what_ends_no_ladder(until: str, code: str, message: str) -> None:
    """Each mistake with what would be right."""
    ((found, told),) = mistakes(ladder=f"[push]\n  until: {until}")
    assert found == code
    assert message in told


@pytest.mark.parametrize(
    ("goal", "events", "when"),
    [
        ("transaction.purchase", (OnEvent("transaction", "purchase"),), None),
        ("[product.opened, feedback]", (OnEvent("maturity", "purchased"), OnEvent("feedback")), None),
        (
            "{on: transaction.salary, when: event.amount >= 10 and customer.aum >= 50000}",
            (OnEvent("transaction", "salary"),),
            "event.amount >= 10 and customer.aum >= 50000",
        ),
        (
            "{on: [behaviour.login, maturity], when: customer.product_kinds > 1}",
            (OnEvent("behaviour", "login"), OnEvent("maturity")),
            "customer.product_kinds > 1",
        ),
    ],
)
def test_an_action_says_what_its_ladder_is_for(goal: str, events: tuple[OnEvent, ...], when: str | None) -> None:
    """An event, a list of them, or events with a condition that may read them."""
    _, trigger = load_trigger(trigger_text(FIRES, SILENT, ladder=f"[push]\n  goal: {goal}"))
    found = trigger.action.goal
    assert found is not None
    assert found.events == events
    assert (found.when.source if found.when else None) == when


@pytest.mark.parametrize(
    ("goal", "code", "message"),
    [
        ("transaction.purchse", "E013", 'did you mean "purchase"?'),
        ("tier.up", "E013", "this takes events of the topics only, not tier.up"),
        ("{when: customer.aum > 1}", "E011", 'missing key "on"'),
        ("{on: transaction, where: customer.aum > 1}", "E010", "where"),
        ("{on: transaction, when: customer.aum}", "E032", "expected a condition, found money"),
        ("{on: behaviour, when: event.amount > 1}", "E037", "the events here are behaviour"),
        ("{on: profile, when: account.balance > 1}", "E037", "only a transaction concerns one account"),
        ("7", "E012", "event"),
    ],
)
def test_what_is_no_goal(goal: str, code: str, message: str) -> None:
    """Each mistake with what would be right."""
    ((found, told),) = mistakes(ladder=f"[push]\n  goal: {goal}")
    assert (found, message in told) == (code, True), (found, told)


def test_how_fast_a_channel_is_forgotten_is_the_banks() -> None:
    """A length of time, or never learned at all; 90 days where nothing is said."""
    assert Policy().channel_half_life_ms == 90 * DAY
    for text, expected in (("30d", 30 * DAY), ("none", 0)):
        ruleset, _ = load_trigger(trigger_text(FIRES, SILENT), policy=f"channel_half_life: {text}\n")
        assert ruleset.policy.channel_half_life_ms == expected
    ((code, _),) = mistakes(policy="channel_half_life: never\n")
    assert code == "E015"


def test_the_channels_that_count_for_a_lost_customer_are_the_banks() -> None:
    """``reach``; push, SMS and WeChat where nothing is said."""
    assert Policy().reach == {"push", "sms", "wechat"}
    ruleset, _ = load_trigger(trigger_text(FIRES, SILENT), policy="reach: [email, agent]\n")
    assert ruleset.policy.reach == {"email", "agent"}
    assert [code for code, _ in mistakes(policy="reach: [pigeon]\n")] == ["E013"]


CASE = """\
  - name: a desk
    customer: {consents: {sms: false}}
    events:
      - {at: "2026-03-02 10:00", transaction: {amount: 500}}
      - {at: "2026-03-02 12:00", feedback: {outcome: delivered}}
    expect:
      - {at: "2026-03-02 10:00", channel: push, handoff: []}
      - {at: "2026-03-03 10:00", channel: manager, handoff: [push WHAT]}
"""


@pytest.mark.parametrize(("what", "passes"), [("delivered", True), ("opened", False), ("none", False)])
def test_a_case_expects_what_a_desk_is_told(what: str, *, passes: bool) -> None:
    """In two words for each contact; where it differs, both are shown."""
    result = result_of(CASE.replace("WHAT", what), ladder=LADDER)
    assert result.passed == passes, result.problem
    if not passes:
        assert any("handoff=push delivered" in row.came for row in result.rows)


def test_a_handoff_that_could_never_be_is_a_mistake() -> None:
    """A channel that does not exist, or no outcome."""
    for text in ("pigeon opened", "push"):
        case = CASE.replace("push WHAT", text)
        ((code, message),) = mistakes(case, SILENT, ladder=LADDER)
        assert code == "E013"
        assert "expected a channel and an outcome, such as push opened" in message


LEARNS = """\
  - name: learns
    contacts:
      - {at: "2026-02-01 10:00", channel: sms, category: care, outcome: answered}
    events: [{at: "2026-03-02 10:00", transaction: {amount: 500}}]
    expect: [{at: "2026-03-02 10:00", channel: sms}]
"""


def test_a_case_shows_what_was_learned_of_a_channel() -> None:
    """An earlier contact that was answered puts its channel first in the list of a step."""
    assert result_of(LEARNS, ladder="[[push, sms]]").passed
    assert not result_of(LEARNS, ladder="[push]").passed
