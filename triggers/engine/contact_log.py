"""Which contacts a customer has had: what caps, cooldowns and attempts without a sale count."""

from __future__ import annotations

from bisect import insort
from typing import Final

from triggers.engine.plan import Plan
from triggers.engine.state import Contact, CustomerState

_MOST: Final = 1_000
"""Contacts remembered of one customer, which is also the highest cap: one over all contacts always holds."""


def note_contact(state: CustomerState, plan: Plan, contact: Contact) -> None:
    """Notes a contact; those that no rule of the policy looks back to are forgotten."""
    log = state.contacts
    # A sweep may run ahead of a record that comes late, where the records' own time counts.
    insort(log, contact)
    floor = log[-1].at - plan.contact_ms
    if log[0].at < floor or len(log) > _MOST:
        state.contacts = [kept for kept in log[-_MOST:] if kept.at >= floor]
    attempts = plan.policy.attempts
    if attempts is not None and contact.category not in attempts.exempt:
        made, last = state.attempts.get(contact.category, (0, 0))
        if made >= attempts.at_most and contact.at >= last + attempts.pause_ms:
            made = 0  # the pause is over
        state.attempts[contact.category] = (made + 1, contact.at)


def note_sale(state: CustomerState, category: str) -> None:
    """Notes that the customer bought: the attempts in that category begin anew."""
    state.attempts.pop(category, None)
