"""Runs the inline tests of a trigger on a virtual clock, through the production engine, gate and ladder.

A case is one customer and one trigger, whatever its status. After the last event the clock runs on until no timer is
left, so that "expect nothing" covers all that could still come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final
from zoneinfo import ZoneInfo

from schemas.actions import NextBestAction
from schemas.base import Record
from triggers.casework.case_customer import customer_of, start_of, with_given_tags
from triggers.casework.case_records import TENANT, BadCaseEvent, insist_on
from triggers.casework.timeline import Row, lay_out
from triggers.casework.trace import Evaluated, Finding, TracedEvaluation
from triggers.engine.customer import CustomerStage
from triggers.engine.plan import Plan
from triggers.engine.stage import Outcome
from triggers.language.model import Case, OnDerived, OnEvent, OnEvery, Policy, RuleSet, Trigger, Wake
from triggers.language.names import DETAILS

HORIZON_MS: Final = 3 * 366 * 86_400_000


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case.

    ``problem`` says what is wrong with the case itself, at ``line`` of the file; a case that ran has none. ``rows``
    set what was expected beside what came, ``trace`` is every evaluation of the trigger, ``guards`` every look at its
    ``rearm`` and its steps, ``outputs`` what followed.
    """

    trigger: str
    case: str
    file: str
    line: int
    zone: ZoneInfo
    problem: str = ""
    rows: tuple[Row, ...] = ()
    trace: tuple[Evaluated, ...] = ()
    guards: tuple[Finding, ...] = ()
    outputs: tuple[Record, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything expected came, and nothing else."""
        return not self.problem and not any(row.wrong for row in self.rows)


class CaseRunner:
    """Runs the cases of one trigger, alone, under the rule set's policy and calendar."""

    def __init__(self, ruleset: RuleSet, trigger: Trigger) -> None:
        self._trigger = replace(trigger, status="live", on=tuple(map(_without_spread, trigger.on)))
        self._holdout = ruleset.policy.holdout
        self._ruleset = replace(ruleset, triggers=(self._trigger,), policy=self._without_draw(ruleset.policy))
        self._run = TracedEvaluation(TENANT, {trigger.id})
        self._stage = CustomerStage(TENANT, self._run)

    def run(self, case: Case) -> CaseResult:
        """The result of one case; what an earlier one did has no effect on it."""
        ruleset = self._ruleset
        if case.policy is not None:
            ruleset = replace(ruleset, policy=self._without_draw(case.policy))
        ruleset = with_given_tags(ruleset, case)
        self._run.trace, self._run.guards = [], []
        under_way = _Run(self._stage, self._run.adopt(ruleset), self._trigger, case)
        zone = ruleset.policy.timezone
        about = CaseResult(self._trigger.id, case.name, self._trigger.file, case.line, zone)
        problem, line = "", case.line
        try:
            under_way.go()
        except BadCaseEvent as error:
            problem, line = str(error), error.line
        else:
            if not (case.expect or self._run.trace or under_way.could_fire):
                problem = _asserts_nothing(self._trigger)
        outputs = tuple(under_way.outputs)
        rows = () if problem else lay_out(case, outputs, zone)
        trace, guards = tuple(self._run.trace), tuple(self._run.guards)
        return replace(about, line=line, problem=problem, rows=rows, trace=trace, guards=guards, outputs=outputs)

    def _without_draw(self, policy: Policy) -> Policy:
        """Whether the customer of a case is held out says nothing of the trigger: only a case's own holdout counts."""
        return replace(policy, holdout=None) if policy.holdout is self._holdout else policy


def _without_spread(wake: Wake) -> Wake:
    """The customer of a case has its turn at the very time of a schedule, so that an author can say when that is."""
    return replace(wake, spread_ms=0) if isinstance(wake, OnEvery) else wake


def run_case(ruleset: RuleSet, trigger: Trigger, case: Case) -> CaseResult:
    """One case alone. For several of a trigger one ``CaseRunner`` prepares its condition once."""
    return CaseRunner(ruleset, trigger).run(case)


class _Run:
    """One case under way.

    ``could_fire`` turns true once the trigger, even if it was never evaluated, had a chance: it waits for its time, or
    an event that wakes it came (which the engine leaves out where its reversal had arrived before).
    """

    def __init__(self, stage: CustomerStage, plan: Plan, trigger: Trigger, case: Case) -> None:
        self._stage = stage
        self._plan = plan
        self._trigger = trigger
        self._case = case
        self._sent: list[NextBestAction] = []
        self.outputs: list[Record] = []
        self.could_fire = False

    def go(self) -> None:
        """Runs the case to its end. Raises ``BadCaseEvent``."""
        case, ruleset = self._case, self._plan.ruleset
        state, filler = customer_of(case, self._trigger, self._plan)
        last = start_of(case, ruleset.policy)
        for event in case.events:  # as they arrive: one with an earlier time than the one before comes late
            last = max(last, event.at_ms)
            # First what is due by then: a feedback answers the latest action, also one that a timer sent.
            self._take(self._stage.run_timers(state, ruleset, last, None))
            record = filler.record(event, self._sent)
            outcome = self._stage.process(record, state, ruleset, None)
            insist_on(event, outcome)
            self._take(outcome)
            self.could_fire |= _wakes(self._trigger, record) or _waits(self._trigger, state.timers)
        # Without events this sets the timers of what the customer holds.
        self._take(self._stage.run_timers(state, ruleset, last, None))
        self.could_fire |= _waits(self._trigger, state.timers)
        self._take(self._stage.run_timers(state, ruleset, case.until_ms or last + HORIZON_MS, None))

    def _take(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            self.outputs += outcome.outputs
            self._sent += [output for output in outcome.outputs if isinstance(output, NextBestAction)]


def _wakes(trigger: Trigger, record: Any) -> bool:
    """Whether a record is of a kind that wakes the trigger. What the engine derives may follow from any record."""
    if getattr(record, "reversal_of", None) is not None:
        return False
    kind = record.record_type
    detail = getattr(record, DETAILS[kind]) if kind in DETAILS else None
    return any(
        isinstance(wake, OnDerived) or (isinstance(wake, OnEvent) and wake.covers(kind, detail)) for wake in trigger.on
    )


def _waits(trigger: Trigger, timers: dict[str, int]) -> bool:
    """Whether a timer of the trigger's own is set; those of tags have the tag's name."""
    names = (name.split(":", 2) for name in timers)
    return any(kind != "g" and owner == trigger.id for kind, owner, _ in names)


def _asserts_nothing(trigger: Trigger) -> str:
    kinds = sorted({wake.record_type for wake in trigger.on if isinstance(wake, OnEvent)})
    what = (
        f"no event of it wakes the trigger ({', '.join(kinds)})" if kinds else "nothing in it sets the trigger's time"
    )
    return f"the case asserts nothing: {what}, so nothing could have come"
