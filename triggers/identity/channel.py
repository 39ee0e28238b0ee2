"""What happens to an id of a channel: behaviour, links, merges of its customers, the end of waiting."""

from __future__ import annotations

from schemas.base import to_ms
from schemas.dead_letter import Reason
from schemas.decode import Rejected
from schemas.events import ChannelBehaviour, IdentityLink
from schemas.identity import IdentityRedirect
from triggers.engine.seen import event_key, seen_of, too_late
from triggers.identity.resolution import customer_at
from triggers.identity.run import Run
from triggers.identity.state import ChannelId, Held
from triggers.identity.timeline import Entry, Timeline


def behave(run: Run, state: ChannelId, record: ChannelBehaviour) -> Rejected | None:
    """Sends a behaviour on to the customer of its time, or keeps it until there is one."""
    policy, at = run.policy, to_ms(record.occurred_at)
    key, seen = event_key(record.event_id), seen_of(state.seen, record.record_type)
    if key in seen:
        return None
    if at < seen.newest - policy.lateness_ms:
        return too_late()
    if state.links.forgotten(at):
        return Rejected(Reason.TOO_LATE, "occurred_at", "older than the links that are remembered of this id")
    customer_id = customer_at(state, at, policy.held_ms)
    if customer_id is None and len(state.held) >= policy.hold_at_most:
        # It is not remembered as seen: redriven when the link is there, it counts.
        problem = f"{len(state.held)} records wait for the link of this id, and no more may (identity.at_most)"
        return Rejected(Reason.TOO_MANY_HELD, "source_user_id", problem)
    seen.add(key, at, policy.lateness_ms)
    held = Held(
        at=at,
        due=at + policy.held_ms,
        event_id=record.event_id,
        occurred_at=record.occurred_at.isoformat(),
        action=record.action,
        product_id=record.product_id,
        page=record.page,
        seconds=record.seconds,
    )
    if customer_id is None:
        state.held.append(held)
    else:
        run.republish(state, held, customer_id)
    return None


def link(run: Run, state: ChannelId, record: IdentityLink) -> None:
    """Links the id to a customer from the link's own time on, or dissolves its link; what waited for it goes on.

    What was sent on before is not taken back.
    """
    at = to_ms(record.occurred_at)
    if not run.first_time(state.seen, record, at):
        return
    entry = Entry(at, record.sequence, record.customer_id, record.event_id)
    previous = state.links.at(at)
    if not state.links.put(entry):
        run.decide(state.key, "superseded", entry, record.customer_id)
        return
    waiting = sorted(state.held, key=lambda held: (held.at, held.event_id))
    found = [(held, customer_at(state, held.at, run.policy.held_ms)) for held in waiting]
    state.held = [held for held, customer_id in found if customer_id is None]
    released = [(held, customer_id) for held, customer_id in found if customer_id is not None]
    if record.customer_id is None:
        outcome = "unlinked"
    else:
        outcome = "linked" if previous in (None, record.customer_id) else "moved"
    detail = {"released": str(len(released))} if released else {}
    run.decide(state.key, outcome, entry, record.customer_id, previous, detail)
    if record.customer_id is not None:
        run.join(state, record.customer_id, entry)
    for held, customer_id in released:
        run.republish(state, held, customer_id)


def redirect(run: Run, state: ChannelId, record: IdentityRedirect) -> None:
    """Notes that a customer of this id was merged."""
    entry = Entry(to_ms(record.occurred_at), record.sequence, record.merged_into, record.event_id)
    if not state.merges.setdefault(record.customer_id, Timeline()).put(entry):
        return
    if record.merged_into is None:
        run.decide(state.key, "unmerged", entry, record.customer_id)
        return
    run.decide(state.key, "merged", entry, record.merged_into, record.customer_id)
    # That customer may have been merged as well: then its merge comes in answer.
    run.join(state, record.merged_into, entry)


def expire(run: Run, state: ChannelId, until: int) -> None:
    """Puts on record what has waited in vain."""
    over = sorted((held for held in state.held if held.due <= until), key=lambda held: (held.due, held.event_id))
    state.held = [held for held in state.held if held.due > until]
    for held in over:
        run.clock = max(run.clock, held.due)
        run.decide(state.key, "expired", Entry(held.at, 0, None, held.event_id))
