"""Whose behaviour it is: the customer linked at its own time, through merges."""

from __future__ import annotations

from triggers.identity.state import ChannelId
from triggers.identity.timeline import Timeline


def customer_at(state: ChannelId, at: int, hold_ms: int) -> str | None:
    """Who counts for what was done under an id at a time; ``None`` while nobody does."""
    customer = linked_at(state.links, at, hold_ms)
    passed = set()
    while customer is not None and customer not in passed and customer in state.merges:
        passed.add(customer)
        into = state.merges[customer].at(at)
        if into is None:
            break
        customer = into
    return customer


def linked_at(links: Timeline, at: int, hold_ms: int) -> str | None:
    """Who an id was linked to at a time.

    Where it was nobody's, the next link claims it if that began within ``hold_ms``: who browses and then logs on
    was there before. It is the same bound as for what waits, so the order of arrival makes no difference.
    """
    index = links.index(at)
    if index >= 0 and links.entries[index].customer_id is not None:
        return links.entries[index].customer_id
    for entry in links.entries[index + 1 :]:
        if entry.at - at > hold_ms:
            break
        if entry.customer_id is not None:
            return entry.customer_id
    return None
