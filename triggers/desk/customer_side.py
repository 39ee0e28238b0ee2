"""The customer's side of the desks: whom the customer belongs to, what their pool is told, what its steps change.

The bank's profile has the last word on the manager. Whom the desk gave counts as long as the profile says what it said
then, or nothing: the bank's own system hears of the step later than we do.
"""

from __future__ import annotations

from typing import Final

from schemas.base import Record, from_ms
from schemas.desk import HEAD_OFFICE, DeskStep, Standing
from triggers.engine.ids import make_id
from triggers.engine.state import CustomerState, DeskSide
from triggers.language.desk_model import Desks

_BY_PEOPLE: Final = ("manager", "agent", "branch")
_STEPS_UNDER_WAY: Final = 1_000
_SPOKEN: Final = ("answered", "bought")


def owner_of(state: CustomerState, desks: Desks) -> str | None:
    """The desk that the customer belongs to (R5), for wealth elsewhere too (R34); ``None`` where there is none."""
    desk = desks.by_tier.get(state.tier or "")
    elsewhere = desks.elsewhere
    if desk is None and elsewhere is not None and state.wealth_elsewhere is not None:
        return elsewhere.desk if state.wealth_elsewhere >= elsewhere.least else None
    return desk


def note_conversation(state: CustomerState, channel: str, outcome: str, at: int) -> None:
    """Notes an effective contact (R8): a person of the bank reached the customer; apart, whether it was the manager."""
    if channel not in _BY_PEOPLE or outcome not in _SPOKEN:
        return
    state.contacted = max(state.contacted, at)
    if channel == "manager" and state.desk_side is not None:
        state.desk_side.spoken = max(state.desk_side.spoken, at)


def tell_desk(tenant: str, state: CustomerState, desks: Desks, outputs: list[Record]) -> None:
    """Tells the pool of the customer's branch how they stand, where that is new."""
    side, desk = state.desk_side, owner_of(state, desks)
    if side is None:
        if desk is None and state.manager_id is None:
            return
        side = state.desk_side = DeskSide(state.branch_id or HEAD_OFFICE)
    elif (
        side.told == (desk, state.manager_id, state.contacted, side.answered)
        and side.told_spoken == side.spoken
        and (state.branch_id or HEAD_OFFICE) == side.pool
    ):
        return
    pool = state.branch_id or HEAD_OFFICE
    if pool != side.pool:
        if side.number >= 0:
            side.number += 1
            outputs.append(_standing(tenant, state, side, None, left=True))
        # Should the customer come back, whatever that pool still has under way is numbered below.
        side.pool, side.answered = pool, side.answered + _STEPS_UNDER_WAY
    side.number += 1
    side.told, side.told_spoken = (desk, state.manager_id, state.contacted, side.answered), side.spoken
    outputs.append(_standing(tenant, state, side, desk, left=False))


def hear_step(state: CustomerState, step: DeskStep) -> bool:
    """Whether a step is news: not a repeat, not from a pool that the customer has left, not overtaken by the bank.

    Whatever comes of it, the pool is answered.
    """
    side = state.desk_side
    if side is None:
        side = state.desk_side = DeskSide(step.pool)
    if step.pool != side.pool or step.number <= side.answered:
        return False
    side.answered = step.number
    if step.step == "call":
        return state.manager_id == step.manager_id
    return state.manager_id in (step.former_manager_id, step.manager_id)


def take_manager(state: CustomerState, step: DeskStep) -> None:
    """The customer has another manager now."""
    side = state.desk_side
    assert side is not None
    if step.step == "call":
        return
    if side.given is None:
        side.over = state.manager_id
    side.given, side.given_desk = step.manager_id, step.desk
    state.manager_id = step.manager_id


def keep_given_manager(state: CustomerState) -> None:
    """After a new profile: the manager whom the desk gave stays, unless the profile knows of them or names another.

    With another branch the customer is another pool's, and its desk gives whom it has.
    """
    side = state.desk_side
    if side is None or side.given is None:
        return
    says, stays = state.manager_id, (state.branch_id or HEAD_OFFICE) == side.pool
    if stays and says in (None, side.over):
        state.manager_id = side.given
    elif says == side.given:
        side.given = side.over = None
    else:
        side.given = side.over = side.given_desk = None


def _standing(tenant: str, state: CustomerState, side: DeskSide, desk: str | None, *, left: bool) -> Standing:
    return Standing.model_validate(
        {
            "tenant": tenant,
            "event_id": make_id(tenant, "standing", state.key, str(side.number)),
            "occurred_at": from_ms(state.clock),
            "pool": side.pool,
            "customer_id": state.key,
            "number": side.number,
            "answered": side.answered,
            "desk": desk,
            "manager_id": None if left else state.manager_id,
            "contacted_ms": state.contacted or None,
            "spoken_ms": side.spoken or None,
            "left": left,
        }
    )
