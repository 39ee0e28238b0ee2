"""What a profile, a behaviour or a feedback record does to a customer's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.dead_letter import Reason
from schemas.decode import Rejected
from schemas.desk import DeskStep
from schemas.events import DESK_CHANNELS, Behaviour, Feedback, Profile
from triggers.desk.customer_side import hear_step, keep_given_manager, note_conversation, take_manager
from triggers.desk.records import REQUEST, is_request_id
from triggers.engine.derived import settle_tier
from triggers.engine.evaluation import Evaluation
from triggers.engine.feedback import RANK, ActionView, find_action, follow_outcome, note_outcome
from triggers.engine.firing import Cause
from triggers.engine.reach import note_answer, note_presence, settle_reach
from triggers.engine.seen import admit, event_key
from triggers.engine.state import PROFILE_FIELDS, CustomerState
from triggers.engine.timers import note_activity
from triggers.engine.waits import note_waits
from triggers.engine.withdrawal import end_by_event, obey_profile


def apply_profile(run: Evaluation, record: Profile, at: int) -> None:
    """Replaces the profile, unless a newer one is known."""
    state = run.state
    if record.sequence <= state.profile_sequence:
        return
    run.begin(at, record)
    run.settle_before(_occasion(record))
    set_profile(state, record.sequence, {name: getattr(record, name) for name in PROFILE_FIELDS})
    run.move_to(at)  # the age may be known from now on
    keep_given_manager(state)
    settle_tier(state, run.plan)
    if state.journeys or state.proposals:
        obey_profile(run, record.event_id)
    if state.unanswered:
        settle_reach(run)
    key = event_key(record.event_id)
    run.sample_levels(key)
    _follow(run, "profile", None, record, key, at)


def apply_desk(run: Evaluation, record: DeskStep, at: int) -> None:
    """What a desk did with the customer: whose manager is another one, unless the bank has decided otherwise."""
    if not hear_step(run.state, record):
        return
    run.begin(at, record)
    run.settle_before(_occasion(record))
    take_manager(run.state, record)
    key = event_key(record.event_id)
    run.sample_levels(key)
    _follow(run, "desk", record.step, record, key, at)


def set_profile(state: CustomerState, sequence: int, values: Mapping[str, Any]) -> None:
    """Gives a customer these values of ``PROFILE_FIELDS``."""
    state.profile_sequence = sequence
    for name in PROFILE_FIELDS:
        setattr(state, name, values[name])
    state.profile_tier = state.tier
    version = state.exclusion_list
    if version is not None and state.exclusion_confirmed and version >= state.confirmed_list:
        state.confirmed_list, state.confirmed_on = version, state.excluded_by


def apply_behaviour(run: Evaluation, record: Behaviour, at: int) -> Rejected | None:
    """Notes what the customer did on a channel."""
    key = event_key(record.event_id)
    admitted = admit(run.state.seen, "behaviour", key, at, run.plan.policy.lateness_ms)
    if admitted is not True:
        return admitted or None
    run.begin(at, record)
    run.settle_before(_occasion(record))
    note_presence(run)
    _follow(run, "behaviour", record.action, record, key, at)
    return None


def apply_feedback(run: Evaluation, record: Feedback, at: int) -> Rejected | None:
    """Notes what became of an action. One that the customer never had, or on another channel, is set aside.

    People may speak with a customer without one, and say so. What becomes of a desk's request to its own people is no
    contact with the customer: it changes nothing here.
    """
    if record.action_id.startswith(REQUEST) and record.channel in DESK_CHANNELS:
        if is_request_id(run.tenant, run.state.key, record.action_id):
            return None
        return Rejected(Reason.UNKNOWN_ACTION, "action_id", "no desk has asked anybody for something under this id")
    found = find_action(run.state, record.action_id, record.channel)
    if isinstance(found, Rejected):
        return found
    key = event_key(record.event_id)
    admitted = admit(run.state.seen, "feedback", key, at, run.plan.policy.lateness_ms)
    if admitted is not True:
        return admitted or None
    run.begin(at, record)
    run.settle_before(_occasion(record))
    note_conversation(run.state, record.channel, record.outcome, at)
    if RANK[record.outcome] > RANK["delivered"]:
        note_answer(run)
    if found is not None:
        journey, sent = found
        if note_outcome(run.state, run.plan.policy, journey, sent, record.outcome, at):
            follow_outcome(run, journey, sent, record.outcome, record.event_id)
        run.scope.action = ActionView(journey, sent)
    _follow(run, "feedback", record.outcome, record, key, at)
    return None


def _follow(run: Evaluation, kind: str, detail: str | None, record: Any, key: int, at: int) -> None:
    run.sample_flows(kind, key)
    note_activity(run.state, run.plan, kind, detail, at, key)
    note_waits(run, kind, detail, key, record.event_id)
    if run.plan.until:
        end_by_event(run, kind, detail, record.event_id)
    run.follow(run.plan.woken(kind, detail), kind, Cause(_occasion(record), key, "", at))


def _occasion(record: Any) -> str:
    return f"{record.record_type}:{record.event_id}"
