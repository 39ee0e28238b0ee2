"""Runs the inline tests of ``desks.yaml`` through the production stage, on a virtual clock.

A case has one branch. Its customers hear each step at once and answer it, as the customer stage does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from schemas.base import Record, from_ms
from schemas.decisions import Decision
from schemas.desk import DeskAnswer, DeskManager, DeskReport, DeskStep, Standing
from triggers.casework.case_records import TENANT, BadCaseEvent
from triggers.casework.case_runner import HORIZON_MS, CaseResult
from triggers.casework.timeline import Row, show_event
from triggers.desk.stage import DeskStage
from triggers.desk.state import Pool
from triggers.language.model import Case, CaseEvent, RuleSet, Suite

_POOL: Final = "case-branch"
Came = tuple[int, Mapping[str, str]]
"""What a desk decided: when, and its outcome, customer and manager."""


class DeskSuiteRunner:
    """Runs the cases of the desks under the rule set's policy and calendar."""

    def __init__(self, ruleset: RuleSet, suite: Suite) -> None:
        self._ruleset = replace(ruleset, triggers=())
        self._suite = suite

    def run(self, case: Case) -> CaseResult:
        """The result of one case; what an earlier one did has no effect on it."""
        zone = self._ruleset.policy.timezone
        about = CaseResult(self._suite.name, case.name, self._suite.file, case.line, zone)
        branch = _Branch(self._ruleset)
        try:
            for event in case.events:
                branch.advance(event.at_ms)
                branch.take(event)
            last = case.events[-1].at_ms if case.events else 0
            branch.advance(case.until_ms or last + HORIZON_MS)
        except BadCaseEvent as error:
            return replace(about, line=error.line, problem=str(error))
        return replace(about, rows=_lay_out(case, branch.came))


@dataclass(slots=True)
class _Person:
    """What a customer of the case would say of themselves now."""

    desk: str | None = None
    manager: str | None = None
    contacted: int | None = None
    number: int = 0
    answered: int = 0


class _Branch:
    """One pool with its customers. ``came`` is what the desks decided."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.came: list[Came] = []
        self._ruleset = ruleset
        self._stage = DeskStage(TENANT)
        self._pool: Pool = self._stage.fresh(_POOL)
        self._people: dict[str, _Person] = {}
        self._managers: dict[str, DeskManager] = {}
        self._asked: dict[str, str] = {}

    def advance(self, until: int) -> None:
        """Runs what falls due by a time, each at its own."""
        while (due := self._stage.next_due(self._pool)) is not None and due <= until:
            outcome = self._stage.run_timers(self._pool, self._ruleset, due, None)
            self._keep(outcome.outputs if outcome is not None else [], due)

    def take(self, event: CaseEvent) -> None:
        given, at = event.fields, event.at_ms
        if event.record_type == "manager":
            self._feed(self._manager(given, at), at)
            for _ in range(given.get("customers", 0)):
                self._customer({"customer": f"other-{len(self._people)}", "manager": given["manager"]}, at)
        elif event.record_type == "answer":
            customer = given["customer"]
            if customer not in self._asked:
                raise BadCaseEvent(event.line, f"nobody has asked for a handover of {customer} by then")
            about = {"event_id": f"answer-{at}-{customer}", "branch_id": _POOL, "customer_id": customer}
            answer = {"handover_id": self._asked[customer], "answer": given["answer"]}
            self._feed(_record(DeskAnswer, at, {**about, **answer}), at)
        else:
            self._customer(given, at)

    def _manager(self, given: Mapping[str, Any], at: int) -> DeskManager:
        name = given["manager"]
        known = self._managers.get(name)
        whole = {
            "event_id": f"manager-{at}-{name}",
            "pool": _POOL,
            "manager_id": name,
            "sequence": known.sequence + 1 if known else 1,
            "desk": given.get("desk", known.desk if known else "counter"),
            "capacity": given.get("capacity", known.capacity if known else 1000),
            "active": given.get("active", known.active if known else True),
        }
        record: DeskManager = _record(DeskManager, at, whole)
        self._managers[name] = record
        return record

    def _customer(self, given: Mapping[str, Any], at: int) -> None:
        person = self._people.setdefault(given["customer"], _Person())
        desks = self._ruleset.policy.desks
        if "tier" in given and desks is not None:
            person.desk = desks.by_tier.get(given["tier"])
        person.manager = given.get("manager", person.manager)
        person.contacted = at if given.get("spoken") else person.contacted
        self._tell(given["customer"], at, left=given.get("left", False))

    def _tell(self, customer: str, at: int, *, left: bool = False) -> None:
        person = self._people[customer]
        person.number += 1
        whole = {
            "event_id": f"standing-{customer}-{person.number}",
            "pool": _POOL,
            "customer_id": customer,
            "number": person.number,
            "answered": person.answered,
            "desk": person.desk,
            "manager_id": None if left else person.manager,
            "contacted_ms": person.contacted,
            "spoken_ms": person.contacted,
            "left": left,
        }
        self._feed(_record(Standing, at, whole), at)

    def _feed(self, record: Any, at: int) -> None:
        outcome = self._stage.process(record, self._pool, self._ruleset, None)
        self._keep(outcome.outputs if outcome is not None else [], at)

    def _keep(self, outputs: list[Record], at: int) -> None:
        for output in outputs:
            if isinstance(output, Decision):
                self.came.append((at, _told(output.reason, output.customer_id, output.detail.get("manager_id"))))
                if output.reason == "handover_approval" and output.action_id is not None:
                    self._asked[output.customer_id] = output.action_id
            elif isinstance(output, DeskReport):
                self.came.append((at, _told(output.kind, None, output.manager_id)))
        for output in outputs:
            if isinstance(output, DeskStep):
                person = self._people[output.customer_id]
                person.answered, person.manager = output.number, output.manager_id
                self._tell(output.customer_id, at)


def _record(model: Any, at: int, fields: Mapping[str, Any]) -> Any:
    return model.model_validate({"tenant": TENANT, "occurred_at": from_ms(at), **fields})


def _told(outcome: str, customer: str | None, manager: str | None) -> dict[str, str]:
    named = {"customer": customer, "manager": manager}
    return {"outcome": outcome, **{name: value for name, value in named.items() if value is not None}}


def _lay_out(case: Case, came: list[Came]) -> tuple[Row, ...]:
    rows: dict[int, list[Row]] = defaultdict(list)
    for event in case.events:
        rows[event.at_ms].append(Row(event.at_ms, "event", show_event(event.record_type, event.fields), "", event.line))
    # An evaluation of managers is shown where it is asked for: it comes for each of them, each quarter.
    asked = {expected.fields["outcome"] for expected in case.expect}
    left = [one for one in came if one[1]["outcome"] != "evaluation" or "evaluation" in asked]
    for expected in case.expect:
        wanted = expected.fields
        found = next((one for one in left if one[0] == expected.at_ms and wanted.items() <= one[1].items()), None)
        if found is not None:
            left.remove(found)
        shown = _show(found[1]) if found is not None else ""
        kind: Literal["matched", "missing"] = "matched" if found is not None else "missing"
        rows[expected.at_ms].append(Row(expected.at_ms, kind, _show(wanted), shown, expected.line))
    for at, one in left:
        rows[at].append(Row(at, "unexpected", "", _show(one)))
    return tuple(row for at in sorted(rows) for row in rows[at])


def _show(told: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in told.items())
