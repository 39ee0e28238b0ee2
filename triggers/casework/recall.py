"""Which contacts customers have had, by the decisions that were published: for states whose memory is lost.

Caps, cooldowns and the pause after attempts without a sale count them as if the states had never been lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.base import to_ms
from schemas.decisions import Decision
from triggers.engine.contact_log import note_contact
from triggers.engine.plan import Plan
from triggers.engine.state import Contact, CustomerState
from triggers.language.model import RuleSet
from triggers.policy import holdout


def is_contact(decision: Decision) -> bool:
    """Whether a decision made a contact that the policy counts: of those held out, what the others hear."""
    return decision.channel is not None and (
        decision.outcome == "sent" or (decision.reason == holdout.REASON and decision.step == 0)
    )


def recall_contacts(
    decisions: Iterable[Decision], plan: Plan, rulesets: Mapping[str, RuleSet]
) -> dict[str, CustomerState]:
    """Fresh states of the customers contacted, each with the contacts that ``plan`` looks back to from its latest.

    The category of a contact is that of its trigger in the rule set of the decision, where ``rulesets`` has it (by
    hash), else in any; of a trigger that none of them has, only the rules for all contacts can count it.
    """
    of_any = {one.id: one.action.category for ruleset in rulesets.values() for one in ruleset.triggers}
    of_own = {(ruleset.hash, one.id): one.action.category for ruleset in rulesets.values() for one in ruleset.triggers}
    contacts: dict[str, dict[str, Contact]] = {}
    for decision in decisions:
        if decision.channel is None or not is_contact(decision):
            continue
        trigger = decision.trigger
        category = of_own.get((decision.ruleset, trigger), of_any.get(trigger, ""))
        contact = Contact(to_ms(decision.decided_at), trigger, category, decision.channel)
        contacts.setdefault(decision.customer_id, {})[decision.decision_id] = contact
    states = {}
    for customer, found in contacts.items():
        state = states[customer] = CustomerState(key=customer)
        for contact in sorted(found.values()):
            note_contact(state, plan, contact)
    return states
