"""What brings a trigger to consider a customer, and what it remembers of having fired."""

from __future__ import annotations

import msgspec

from schemas.base import iso_of_ms
from triggers.engine.state import CustomerState, Journey, Memory
from triggers.language.model import Trigger


class Cause(msgspec.Struct, frozen=True, gc=False):
    """What brought a trigger to consider a customer: an occasion at a time (ms), by an event or a holding.

    One is made for each event: a struct takes a quarter of a named tuple's time.
    """

    occasion: str
    event_key: int
    holding_id: str
    at: int


def memory_name(trigger: Trigger) -> str:
    """Where a trigger's memory is kept. What it did in shadow is no reason to be quiet once it is live."""
    return f"~{trigger.id}" if trigger.status == "shadow" else trigger.id


def held_by_memory(state: CustomerState, trigger: Trigger, cause: Cause) -> tuple[str, dict[str, str]] | None:
    """Why a trigger that has fired stays quiet: the reason with its values; ``None`` where it may fire."""
    memory = state.memory.get(memory_name(trigger))
    if memory is None:
        return None
    if not memory.armed:
        return "not_rearmed", {"fired_at": iso_of_ms(memory.fired_ms)}
    if trigger.once_per_ms is not None and memory.fired_ms and cause.at - memory.fired_ms < trigger.once_per_ms:
        return "once_per", {"fired_at": iso_of_ms(memory.fired_ms)}
    return None


def remember(state: CustomerState, trigger: Trigger, journey: Journey) -> None:
    """Notes that a trigger fired on the occasion of a journey."""
    name = memory_name(trigger)
    memory = state.memory.get(name)
    if memory is None:
        memory = state.memory[name] = Memory()
    memory.before_ms, memory.fired_ms = memory.fired_ms, journey.at
    memory.fired_key, memory.armed = journey.event_key, trigger.rearm is None


def unremember(state: CustomerState, trigger: Trigger, journey: Journey) -> None:
    """Takes back that a trigger fired on an occasion, unless it has fired since."""
    memory = state.memory.get(memory_name(trigger))
    if memory is not None and (memory.fired_ms, memory.fired_key) == (journey.at, journey.event_key):
        memory.take_back()
