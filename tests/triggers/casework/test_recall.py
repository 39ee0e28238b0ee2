"""Contacts known from the decisions alone: what counts, in which category, how far back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.decisions import Decision
from tests.support.bank import START, at
from triggers.casework.recall import is_contact, recall_contacts
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
    states = recall_contacts(decisions, plan, {ruleset.hash: ruleset})
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
    assert is_contact(decision(1, 0, **held_out))
    assert not is_contact(decision(1, 0, **held_out, step=1))
    assert not is_contact(decision(1, 0, **held_out, channel=None))
    assert not is_contact(decision(1, 0, outcome="deferred", reason="quiet_hours"))


def _shipped() -> RuleSet:
    loaded = load_ruleset([SHIPPED])
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset
