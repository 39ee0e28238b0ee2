"""A customer's recorded history run through the engine, with every evaluation of one trigger noted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.base import Record, to_ms
from schemas.decode import Rejected
from triggers.casework.trace import Evaluated, TracedEvaluation
from triggers.engine.customer import CustomerStage
from triggers.language.model import RuleSet


@dataclass(slots=True)
class History:
    """What came of a customer's records. ``trace`` is of the one trigger, ``outputs`` are of all."""

    trace: list[Evaluated]
    outputs: list[Record] = field(default_factory=list)
    refused: list[tuple[Any, Rejected]] = field(default_factory=list)
    """The records that the engine set aside, with the reason."""
    records: int = 0


def run_history(
    ruleset: RuleSet, trigger: str, tenant: str, customer: str, records: Iterable[Any], until: int | None
) -> History:
    """Runs one customer's records in their order, by their own time, beside all other triggers of the rule set.

    Records after ``until`` (ms) are left out, and the timers due by then run; without it the history ends with its last
    record. The trigger itself is taken for live where its status keeps it from running.
    """
    ruleset = replace(
        ruleset,
        triggers=tuple(
            replace(one, status="live") if one.id == trigger and one.status in ("draft", "retired") else one
            for one in ruleset.triggers
        ),
    )
    run = TracedEvaluation(tenant, {trigger})
    stage = CustomerStage(tenant, run)
    state = stage.fresh(customer)
    history = History(run.trace)
    for record in records:
        if until is not None and to_ms(record.occurred_at) > until:
            continue
        history.records += 1
        outcome = stage.process(record, state, ruleset, None)
        if outcome is not None:
            history.outputs += outcome.outputs
            if outcome.rejected is not None:
                history.refused.append((record, outcome.rejected))
    outcome = stage.run_timers(state, ruleset, state.clock if until is None else until, None)
    if outcome is not None:
        history.outputs += outcome.outputs
    return history


def choose(trace: Sequence[Evaluated], at: int | None) -> list[Evaluated]:
    """The evaluations for an event at this time; without one, or where none was then, those of the last time before."""
    times = [one.at for one in trace if at is None or one.at <= at]
    return [one for one in trace if times and one.at == times[-1]]
