"""Runs the inline tests of a tiering or a tag on a virtual clock, through the production engine.

What a trigger would hear is what counts: what held before, and what a reversal takes back, is silent here too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from triggers.casework.case_customer import customer_of, start_of
from triggers.casework.case_records import TENANT, BadCaseEvent, insist_on
from triggers.casework.case_runner import HORIZON_MS, CaseResult
from triggers.casework.timeline import Row, show_event
from triggers.engine.customer import CustomerStage
from triggers.engine.derived import Change
from triggers.engine.evaluation import Evaluation
from triggers.engine.plan import Plan
from triggers.language.model import Case, Expected, RuleSet, Suite, Trigger


class SuiteRunner:
    """Runs the cases of one tiering or tag, without any trigger, under the rule set's policy and calendar."""

    def __init__(self, ruleset: RuleSet, suite: Suite) -> None:
        self._suite = suite
        self._ruleset = replace(ruleset, triggers=())
        self._run = _Listening(TENANT, suite.name)
        self._stage = CustomerStage(TENANT, self._run)

    def run(self, case: Case) -> CaseResult:
        """The result of one case; what an earlier one did has no effect on it."""
        ruleset = self._ruleset if case.policy is None else replace(self._ruleset, policy=case.policy)
        self._run.heard = []
        about = CaseResult(self._suite.name, case.name, self._suite.file, case.line, ruleset.policy.timezone)
        if not case.events and not case.expect:
            return replace(about, problem="the case asserts nothing: it has no event, so nothing could have come")
        try:
            self._go(case, self._run.adopt(ruleset))
        except BadCaseEvent as error:
            return replace(about, line=error.line, problem=str(error))
        return replace(about, rows=_lay_out(case, self._run.heard))

    def _go(self, case: Case, plan: Plan) -> None:
        state, filler = customer_of(case, None, plan)
        last = start_of(case, plan.policy)
        for event in case.events:  # as they arrive: one with an earlier time than the one before comes late
            last = max(last, event.at_ms)
            outcome = self._stage.process(filler.record(event, ()), state, plan.ruleset, None)
            insist_on(event, outcome)
        self._stage.run_timers(state, plan.ruleset, case.until_ms or last + HORIZON_MS, None)


class _Listening(Evaluation):
    """An evaluation that notes what triggers could hear of one tiering or tag: when, and the change."""

    __slots__ = ("_name", "heard")

    def __init__(self, tenant: str, name: str) -> None:
        super().__init__(tenant)
        self._name = name
        self.heard: list[tuple[int, Change]] = []

    def hear(self, woken: list[Trigger], changes: list[Change]) -> list[Trigger]:
        self.heard += [
            (self.clock, change)
            for change in changes
            if self._name == (change.detail if change.event.startswith("tag.") else change.event.partition(".")[0])
        ]
        return super().hear(woken, changes)


def _lay_out(case: Case, heard: list[tuple[int, Change]]) -> tuple[Row, ...]:
    rows: dict[int, list[Row]] = defaultdict(list)
    for event in case.events:
        rows[event.at_ms].append(Row(event.at_ms, "event", show_event(event.record_type, event.fields), "", event.line))
    left = list(heard)
    for expected in case.expect:
        at, wanted = expected.at_ms, _wanted(expected)
        came = (at, wanted) in left
        if came:
            left.remove((at, wanted))
        shown = _show(wanted)
        rows[at].append(Row(at, "matched" if came else "missing", shown, shown if came else "", expected.line))
    for at, change in left:
        rows[at].append(Row(at, "unexpected", "", _show(change)))
    return tuple(row for at in sorted(rows) for row in rows[at])


def _wanted(expected: Expected) -> Change:
    return Change(expected.fields["event"], expected.fields["detail"])


def _show(change: Change) -> str:
    return f"{change.event} {change.detail}"
