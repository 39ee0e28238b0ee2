"""The customer stage: one record or one due timer, the customer's state before, the actions and the state after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from schemas.base import from_ms, to_ms
from schemas.decode import Rejected
from triggers.desk.customer_side import tell_desk
from triggers.engine.adoption import adopt_state
from triggers.engine.codec import decode_state, encode_state
from triggers.engine.evaluation import Evaluation
from triggers.engine.feedback import ActionView
from triggers.engine.firing import Cause
from triggers.engine.holdings import apply_maturity
from triggers.engine.journeys import bring_up, end_window, settle_together
from triggers.engine.ladder import AFTER_EXHAUSTION, exhausted, give_up
from triggers.engine.reach import mark_unanswered
from triggers.engine.seen import from_the_future
from triggers.engine.signals import apply_behaviour, apply_desk, apply_feedback, apply_profile
from triggers.engine.stage import Outcome
from triggers.engine.state import CustomerState
from triggers.engine.timers import NEVER, WINDOW, next_due, settle_every
from triggers.engine.together import Together
from triggers.engine.transactions import apply_transaction
from triggers.engine.usual import begin_usual
from triggers.engine.waits import end_wait
from triggers.engine.withdrawal import end_retired
from triggers.language.derived_events import EXHAUSTED
from triggers.language.model import OnSilence, RuleSet, Trigger


class CustomerStage:
    """Keyed by customer: everything that happens to one customer, and every trigger."""

    name = "customer"

    def __init__(self, tenant: str, run: Evaluation | None = None) -> None:
        """``run`` may be an evaluation that also notes what it sees: production has none."""
        self._run = run if run is not None else Evaluation(tenant)

    def key_of(self, record: Any) -> str:
        key: str = record.customer_id
        return key

    def fresh(self, key: str) -> CustomerState:
        return CustomerState(key=key)

    def decode(self, key: str, data: bytes) -> CustomerState:
        return decode_state(key, data)

    def encode(self, state: CustomerState) -> bytes:
        return encode_state(state)

    def process(self, record: Any, state: CustomerState, ruleset: RuleSet, now: int | None) -> Outcome | None:
        run = self._run
        plan = run.plan if run.ruleset is ruleset else run.adopt(ruleset)
        at = to_ms(record.occurred_at)
        if now is not None and at > now + plan.policy.skew_ms:
            return Outcome(rejected=from_the_future(plan.policy.skew_ms))
        clock = at if now is None else now
        if clock < state.clock:
            clock = state.clock
        moved = False
        if state.ruleset != ruleset.hash:
            moved = bool(state.ruleset)
            adopt_state(state, plan, clock)
            state.idle_until = 0
        state.clock = clock
        run.state = state
        outputs = run.outputs = []
        if state.idle_until <= clock and (now is None or record.record_type not in _OF_CONTACTS):
            self._bring_up_to(clock, now)
        run.clock = clock
        if moved and (state.journeys or state.proposals):
            end_retired(run)
        kind = record.record_type
        if kind == "transaction" and run.quick:
            # As ``usual.of``, without its call: nearly every record comes here.
            usual = run.usual or begin_usual(run)
            made = usual.known.get(usual.shape_of(record)) or usual.meet(record)
            done = made is not None and made(run, record, state, at)
        else:
            done = False
        rejected = None
        if not done:
            state.idle_until = 0
            state.extremes = None
            rejected = _APPLY[kind](run, record, at)
        if state.idle_until <= clock:
            # What had passed when the record told of it, as a lead time or a silence, is due at once, and no sooner.
            self._bring_up_to(clock, clock if now is None else now)
        desks = plan.policy.desks
        if desks is not None:
            tell_desk(run.tenant, state, desks, outputs)
        return Outcome(outputs, rejected) if outputs or rejected is not None else None

    def run_timers(self, state: CustomerState, ruleset: RuleSet, until: int, now: int | None) -> Outcome | None:
        run = self._run
        plan = run.plan if run.ruleset is ruleset else run.adopt(ruleset)
        moved = False
        if state.ruleset != ruleset.hash:
            moved = bool(state.ruleset)
            adopt_state(state, plan, max(state.clock, now or 0))
        run.state, run.outputs = state, []
        due = next_due(state)
        if due is not None and due <= until:
            self._run_due(due, until, now)
        if moved and (state.journeys or state.proposals):
            run.clock = max(state.clock, now or 0)
            end_retired(run)
        if plan.policy.desks is not None:
            tell_desk(run.tenant, state, plan.policy.desks, run.outputs)
        state.idle_until = 0
        state.indexed_due = None  # The sweep found this entry: it is written anew or removed.
        return Outcome(run.outputs) if run.outputs else None

    def next_due(self, state: CustomerState) -> int | None:
        return next_due(state)

    def take_due_change(self, state: CustomerState) -> tuple[bool, int | None]:
        due, known = next_due(state), state.indexed_due
        if due is None:
            return (False, None)
        # An entry that comes too early costs a sweep that finds nothing, and a state read and written for it. Halfway
        # there it is set right with a commit that is due anyhow: who is heard of now and then is never swept in vain.
        if known is not None and known <= due and due - known <= known - state.clock:
            return (False, None)
        state.indexed_due = due
        return (True, due)

    def _bring_up_to(self, clock: int, now: int | None) -> None:
        """Runs what is due by the time at which the system acts, and notes until when nothing is."""
        state = self._run.state
        due = next_due(state)
        if due is not None and due <= clock:
            due = self._run_due(due, clock, now)
        state.idle_until = NEVER if due is None else due

    def _run_due(self, due: int, until: int, now: int | None) -> int | None:
        """Runs the timers due by ``until``, in the order of time and name, also those that they set themselves. The
        earliest is due at ``due``; returns when the next one is.

        What those of one moment bring up competes: the same comes of it whether a sweep or the next record runs them.
        """
        run = self._run
        timers = run.state.timers
        while True:
            together = run.together = Together([], [], {}, {})
            self._run_moment(due, now)
            settle_together(run, together)
            if not timers:
                return None
            due = min(timers.values())
            if due > until:
                return due

    def _run_moment(self, due: int, now: int | None) -> None:
        run = self._run
        state, plan = run.state, run.plan
        while (name := _due_at(state.timers, due)) is not None:
            del state.timers[name]
            # On history a timer runs as of its own time, even when the sweep comes later.
            run.clock = due if now is None else max(state.clock, now)
            # What is withdrawn later is not withdrawn before it was sent.
            state.clock = max(state.clock, run.clock)
            kind, trigger_id, rest = name.split(":", 2)
            run.begin(run.clock, None)
            if kind == "g":
                run.follow_time([], Cause(f"tag:{trigger_id}:{_moment(due)}", 0, "", run.at))
                continue
            if name == WINDOW:
                run.follow_time([], Cause(f"window:{_moment(due)}", 0, "", run.at))
                end_window(run)
                continue
            if kind == "x":
                self._exhausted(trigger_id, rest)
                continue
            trigger = plan.triggers.get(trigger_id)
            if kind == "l" and (trigger is None or trigger.status != "live"):
                step, occasion = rest.split(":", 1)
                give_up(run, trigger_id, int(step), occasion)
                continue
            if trigger is None:
                continue
            if kind == "l":
                step, occasion = rest.split(":", 1)
                run.follow_time([], Cause(f"step:{trigger_id}:{step}:{_moment(due)}", 0, "", run.at))
                bring_up(run, trigger, int(step), occasion)
                continue
            if kind == "m":
                index, holding_id = rest.split(":", 1)
                holding = state.holding_map[holding_id]
                day = holding.matures_on.isoformat()
                holding.reminded[f"{trigger_id}:{index}"] = day
                run.scope.product = holding
                cause = Cause(f"maturity:{holding_id}:{day}:{holding.sequence}:{index}", 0, holding_id, run.at)
            elif kind == "w":
                cause = end_wait(state, plan, name, run.clock)
            elif kind == "c":
                on = settle_every(state, plan, name, run.clock)
                cause = Cause(f"every:{rest}:{on.isoformat()}", 0, "", run.at)
            else:
                wake = trigger.on[int(rest)]
                assert isinstance(wake, OnSilence)
                state.told[name] = due - wake.after_ms
                since = _moment(due - wake.after_ms)
                cause = Cause(f"silence:{rest}:{since}", 0, "", run.at)
            run.follow_time([trigger], cause)

    def _exhausted(self, trigger_id: str, occasion: str) -> None:
        """The last action of a ladder has expired: wakes whoever waits for ladders that nobody answered."""
        run = self._run
        found = exhausted(run, trigger_id, occasion)
        if found is None:
            return
        journey, cause = found
        run.scope.action = ActionView(journey, journey.sent[-1])
        if run.plan.marks_unanswered:
            mark_unanswered(run, journey)
        woken: list[Trigger] = []
        if not occasion.startswith(AFTER_EXHAUSTION):
            # What a ladder that ran out has led to wakes nothing by running out: triggers would wake each other for
            # ever. Nor does a ladder wake its own trigger: it would begin again and again.
            woken = [trigger for trigger in run.plan.woken_also([], [(EXHAUSTED, "")]) if trigger.id != trigger_id]
        run.follow_time(woken, cause)


_OF_CONTACTS: Final = frozenset({"profile", "feedback"})
"""By the wall's clock what is overdue goes out now, so that what the customer said of contacts by now counts before it:
who has opted out hears nothing more.
"""

_APPLY: Final[Mapping[str, Callable[[Evaluation, Any, int], Rejected | None]]] = {
    "transaction": apply_transaction,
    "maturity": apply_maturity,
    "profile": apply_profile,
    "behaviour": apply_behaviour,
    "feedback": apply_feedback,
    "desk": apply_desk,
}
"""What each kind of record does, at its own time (ms); a rejection where it may not take effect."""


def _due_at(timers: Mapping[str, int], due: int) -> str | None:
    """The first by name of the timers due at a moment."""
    if due not in timers.values():  # no step of Python for each of them
        return None
    return min([name for name, at in timers.items() if at == due])


@lru_cache(maxsize=64)  # those who are left in peace at night are heard of at one moment of the morning
def _moment(milliseconds: int) -> str:
    # As the format %Y%m%dT%H%M%S.%f, in three quarters of its time.
    return from_ms(milliseconds).isoformat("T", "microseconds")[:26].replace("-", "").replace(":", "")
