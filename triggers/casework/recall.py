"""What the decisions that were published tell of customers whose states are lost: contacts, refusals, exclusions.

Caps, cooldowns and the pause after attempts without a sale then count as if the states had never been lost; and whom
the bank knew not to contact it does not contact until a profile says otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from schemas.base import to_ms
from schemas.decisions import Decision
from triggers.engine.contact_log import note_contact
from triggers.engine.plan import Plan
from triggers.engine.state import Contact, CustomerState
from triggers.language.model import RuleSet
from triggers.policy import channels, consent, exclusion, holdout

_OPTED_OUT: Final = "opted_out"
_REFUSED: Final = "consent = refused"


class Recall:
    """Takes decisions in the order in which they were published; one that comes twice counts once.

    ``floor_ms``: contacts before it concern no rule; ``None`` where that is not known yet.
    """

    def __init__(self, floor_ms: int | None = None) -> None:
        self._floor = floor_ms
        self._contacts: dict[str, Decision] = {}
        self._closed: defaultdict[str, set[str]] = defaultdict(set)
        self._lists: defaultdict[str, set[str]] = defaultdict(set)

    @property
    def newest_ms(self) -> int:
        """The time of the latest contact; 0 where there is none."""
        return max((to_ms(one.decided_at) for one in self._contacts.values()), default=0)

    @property
    def rulesets(self) -> set[str]:
        """The rule sets under which the contacts were decided."""
        return {one.ruleset for one in self._contacts.values()}

    def note(self, decision: Decision) -> None:
        """Learns from the next decision."""
        customer, channel = decision.customer_id, decision.channel
        if _is_contact(decision) and (self._floor is None or to_ms(decision.decided_at) >= self._floor):
            self._contacts[decision.decision_id] = decision
        if decision.outcome == "sent":
            # It may be contacted, and on this channel: whatever was said before has been taken back.
            self._lists.pop(customer, None)
            if channel is not None and customer in self._closed:
                self._closed[customer].discard(channel)
            return
        if decision.reason == exclusion.REASON:
            self._lists[customer].add(decision.detail.get("list", ""))
        elif (decision.reason == _OPTED_OUT and channel is not None) or (
            decision.reason == consent.REASON and decision.detail.get("consent") == "refused" and channel is not None
        ):
            self._closed[customer].add(channel)
        elif decision.reason == channels.REASON:
            self._closed[customer].update(name for name, why in decision.detail.items() if _REFUSED in why)

    def states(self, plan: Plan, rulesets: Mapping[str, RuleSet]) -> dict[str, CustomerState]:
        """Fresh states of the customers concerned, each with the contacts that ``plan`` looks back to from its latest.

        The category of a contact is that of its trigger in the rule set of the decision, where ``rulesets`` has it (by
        hash), else in any; of a trigger that none of them has, only the rules for all contacts can count it.
        """
        of_any = {one.id: one.action.category for ruleset in rulesets.values() for one in ruleset.triggers}
        of_own = {(found.hash, one.id): one.action.category for found in rulesets.values() for one in found.triggers}
        contacts: defaultdict[str, list[Contact]] = defaultdict(list)
        for decision in self._contacts.values():
            assert decision.channel is not None  # it is a contact
            category = of_own.get((decision.ruleset, decision.trigger), of_any.get(decision.trigger, ""))
            contact = Contact(to_ms(decision.decided_at), decision.trigger, category, decision.channel)
            contacts[decision.customer_id].append(contact)
        states = {}
        for customer in sorted(
            contacts.keys() | {name for name in self._closed if self._closed[name]} | self._lists.keys()
        ):
            state = states[customer] = CustomerState(key=customer)
            for contact in sorted(contacts.get(customer, ())):
                note_contact(state, plan, contact)
            state.consents = dict.fromkeys(sorted(self._closed.get(customer, ())), False)
            lists = self._lists.get(customer, set())
            state.employee = True if "employees" in lists else None
            # Whatever list it was, until a profile tells which.
            state.blacklisted = True if lists - {"employees"} else None
        return states


def _is_contact(decision: Decision) -> bool:
    """Whether a decision made a contact that the policy counts: of those held out, what the others hear."""
    return decision.channel is not None and (
        decision.outcome == "sent" or (decision.reason == holdout.REASON and decision.step == 0)
    )
