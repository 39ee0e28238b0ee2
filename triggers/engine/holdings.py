"""What a maturity record does: a holding bought, corrected, redeemed, rolled over or matured, and its reminders.

Of a holding the record with the highest sequence counts. A corrected due day moves the reminders and withdraws those
given for the former day; a redemption or a rollover ends them.
"""

from __future__ import annotations

from schemas.events import Maturity
from triggers.engine.evaluation import Evaluation
from triggers.engine.firing import Cause
from triggers.engine.seen import event_key
from triggers.engine.state import CustomerState, Holding
from triggers.engine.timers import note_activity, schedule_holding
from triggers.engine.waits import note_waits
from triggers.engine.withdrawal import end_by_event, end_by_purchase, take_back

_MAX_CLOSED = 32


def apply_maturity(run: Evaluation, record: Maturity, at: int) -> None:
    """Applies one maturity record at its event time (ms)."""
    state, plan = run.state, run.plan
    known = state.holding_map.get(record.holding_id)
    if known is not None and record.sequence <= known.sequence:
        return
    holding = holding_of(record, known)
    key = event_key(record.event_id)
    run.begin(at, record)
    run.scope.product = holding
    cause = Cause(f"maturity_record:{record.event_id}", key, record.holding_id, at)
    run.settle_before(cause.occasion)
    state.holding_map[holding.holding_id] = holding
    state.settle(plan.policy.currency)
    run.sample_levels(key)
    schedule_holding(state, plan, holding, run.clock)
    moved = known is not None and known.matures_on != holding.matures_on
    if holding.status in ("redeemed", "rolled_over") or (holding.status == "corrected" and moved):
        # Reminders of the former day are void; what the purchase itself caused still stands.
        reminder = f"maturity:{holding.holding_id}:"
        take_back(
            run,
            lambda journey: journey.holding_id == holding.holding_id and journey.occasion.startswith(reminder),
            holding.status,
            record.event_id,
        )
    _drop_closed(state)
    run.sample_flows("maturity", key)
    note_activity(state, plan, "maturity", record.status, at, key)
    note_waits(run, "maturity", record.status, key, record.event_id)
    if known is None and record.status == "purchased" and (state.journeys or state.proposals):
        end_by_purchase(run, record.product_kind, record.event_id)
    if plan.until:
        end_by_event(run, "maturity", record.status, record.event_id)
    run.follow(plan.woken("maturity", record.status), "maturity", cause)


def holding_of(record: Maturity, known: Holding | None) -> Holding:
    """The holding as its record states it, with the reminders given for the same due day."""
    return Holding(
        holding_id=record.holding_id,
        sequence=record.sequence,
        status=record.status,
        id=record.product_id,
        kind=record.product_kind,
        amount=record.amount,
        currency=record.currency,
        term_days=record.term_days,
        expected_yield=record.expected_yield,
        purchased_on=record.purchased_on,
        matures_on=record.matures_on,
        # A day that moved is reminded of anew, also when it moves back: the former reminders are withdrawn.
        reminded=known.reminded if known is not None and known.matures_on == record.matures_on else {},
    )


def _drop_closed(state: CustomerState) -> None:
    """Keeps the latest closed holdings only: long enough to tell a stale record of them from a new one."""
    closed = [name for name, holding in state.holding_map.items() if not holding.open]
    for name in closed[:-_MAX_CLOSED]:
        if not any(timer.startswith("m:") and timer.endswith(f":{name}") for timer in state.timers):
            del state.holding_map[name]
