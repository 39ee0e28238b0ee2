"""What decisions alone tell of customers: contacts that count, channels that are closed, lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.decisions import Decision
from tests.support.bank import START, at
from triggers.casework.recall import Recall
from triggers.engine.plan import Plan
from triggers.engine.state import Contact
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

SHIPPED = Path(__file__).parents[3] / "triggers" / "library"


def decision(number: int, days: float, **fields: Any) -> Decision:
    return Decision.model_validate(
        {
            "tenant": "bank",
            "decision_id": f"d{number}",
            "customer_id": "c1",
            "trigger": "balance_drop",
            "trigger_version": 1,
            "ruleset": "unknown",
            "occasion": f"transaction:{number}",
            "step": 0,
            "outcome": "sent",
            "reason": "sent",
            "channel": "push",
            "decided_at": at(days),
            **fields,
        }
    )


def test_each_contact_once_with_its_triggers_category() -> None:
    """Repeats of a decision count once; a decision that made no contact, or lies too far back, not at all."""
    ruleset = _shipped()
    trigger = ruleset.triggers[0]
    plan = Plan(ruleset)
    decisions = [
        decision(1, -2 - plan.contact_ms / 86_400_000, trigger=trigger.id),
        decision(2, -1, trigger=trigger.id),
        decision(2, -1, trigger=trigger.id),
        decision(3, 0, trigger="of_another_time", channel="sms"),
        decision(4, 0, trigger=trigger.id, outcome="suppressed", reason="capped"),
        decision(5, 0, trigger=trigger.id, customer_id="c2", outcome="suppressed", reason="capped"),
        decision(6, 0, trigger=trigger.id, customer_id="c3", outcome="suppressed", reason="holdout"),
    ]
    recall = _of(decisions)
    assert recall.rulesets == {"unknown"}
    assert recall.newest_ms == int(START.timestamp() * 1000)
    states = recall.states(plan, {ruleset.hash: ruleset})
    start = int(START.timestamp() * 1000)
    assert {customer: state.contacts for customer, state in states.items()} == {
        "c1": [
            Contact(start - 86_400_000, trigger.id, trigger.action.category, "push"),
            Contact(start, "of_another_time", "", "sms"),
        ],
        "c3": [Contact(start, trigger.id, trigger.action.category, "push")],
    }


def test_what_the_held_out_do_not_hear_counts_at_its_first_step_alone() -> None:
    held_out: dict[str, Any] = {"outcome": "suppressed", "reason": "holdout"}
    assert _of([decision(1, 0, **held_out)]).newest_ms
    assert not _of([decision(1, 0, **held_out, step=1)]).newest_ms
    assert not _of([decision(1, 0, **held_out, channel=None)]).newest_ms
    assert not _of([decision(1, 0, outcome="deferred", reason="quiet_hours")]).newest_ms
    floor = int(START.timestamp() * 1000)
    assert not _of([decision(1, -1)], floor).newest_ms
    assert _of([decision(1, 0)], floor).newest_ms


def test_refusals_and_exclusions_last_until_something_was_sent_again() -> None:
    """A channel that was declined, alone or among several, or closed after an action; a list, whichever."""
    ruleset = _shipped()
    refused: dict[str, Any] = {"outcome": "suppressed", "reason": "no_consent"}
    declined = {"channel": "push", "consent": "refused"}
    among = {"sms": "no_consent: consent = refused", "push": "capped: cap = 1", "wechat": "no_consent: not recorded"}
    excluded: dict[str, Any] = {"outcome": "suppressed", "reason": "excluded"}
    decisions = [
        decision(1, 0, customer_id="declined", **refused, detail=declined),
        decision(2, 0, customer_id="not-recorded", **refused, detail={**declined, "consent": "not recorded"}),
        decision(3, 0, customer_id="among", outcome="suppressed", reason="no_channel", channel=None, detail=among),
        decision(4, 0, customer_id="opted-out", outcome="cancelled", reason="opted_out"),
        decision(5, 0, customer_id="opted-in", outcome="cancelled", reason="opted_out"),
        decision(6, 1, customer_id="opted-in"),
        decision(7, 0, customer_id="employee", **excluded, detail={"list": "employees"}),
        decision(8, 0, customer_id="listed", **excluded, detail={"list": "blacklist"}),
        decision(9, 0, customer_id="no-longer", **excluded, detail={"list": "blacklist"}),
        decision(10, 1, customer_id="no-longer"),
    ]
    states = _of(decisions).states(Plan(ruleset), {})
    assert {name: (state.consents, state.employee, state.blacklisted) for name, state in states.items()} == {
        "declined": ({"push": False}, None, None),
        "among": ({"sms": False}, None, None),
        "opted-out": ({"push": False}, None, None),
        "opted-in": ({}, None, None),
        "employee": ({}, True, None),
        "listed": ({}, None, True),
        "no-longer": ({}, None, None),
    }


def _of(decisions: list[Decision], floor_ms: int | None = None) -> Recall:
    recall = Recall(floor_ms)
    for one in decisions:
        recall.note(one)
    return recall


def _shipped() -> RuleSet:
    loaded = load_ruleset([SHIPPED])
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset
