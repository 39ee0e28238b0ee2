"""What happens to a customer: an id of a channel joins, the customer is merged into another."""

from __future__ import annotations

from typing import Final

from schemas.base import to_ms
from schemas.events import CustomerMerge
from schemas.identity import IdentityMember
from triggers.identity.run import Run
from triggers.identity.state import CUSTOMER, Person
from triggers.identity.timeline import Entry

MOST_MEMBERS: Final = 500
"""Ids that the merges of a customer reach; beyond them the one linked longest ago is forgotten."""


def join(run: Run, state: Person, record: IdentityMember) -> None:
    """Notes an id that was linked to the customer, and tells it of the merges there have been."""
    member = f"{record.source}:{record.source_user_id}"
    customer_id = state.key.removeprefix(CUSTOMER)
    if member in state.members:
        state.members.remove(member)
    elif len(state.members) >= MOST_MEMBERS:
        cause = Entry(to_ms(record.occurred_at), 0, None, record.event_id)
        run.decide(state.members.pop(0), "forgotten", cause, customer_id)
    state.members.append(member)
    for merge in state.merges.entries:
        run.redirect(state, member, merge)


def merge(run: Run, state: Person, record: CustomerMerge) -> None:
    """Merges the customer into another from the merge's own time on, or takes that back; its ids hear of it."""
    at = to_ms(record.occurred_at)
    if not run.first_time(state.seen, record, at):
        return
    entry = Entry(at, record.sequence, record.merged_into, record.event_id)
    if not state.merges.put(entry):
        run.decide(state.key, "superseded", entry, record.merged_into)
        return
    detail = {"ids": str(len(state.members))}
    if record.merged_into is None:
        run.decide(state.key, "unmerged", entry, record.customer_id, None, detail)
    else:
        run.decide(state.key, "merged", entry, record.merged_into, record.customer_id, detail)
    for member in state.members:
        run.redirect(state, member, entry)
