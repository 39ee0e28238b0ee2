"""Decision records: what became of each candidate and each step, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from triggers.engine.firing import Cause
from triggers.engine.ids import make_decision_id, make_id
from triggers.engine.outputs import decision
from triggers.language.model import Trigger

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation


def decide(
    run: Evaluation,
    trigger: Trigger,
    occasion: str,
    step: int,
    reason: str,
    *,
    outcome: str = "suppressed",
    detail: Mapping[str, str] | None = None,
    channel: str | None = "",
    action_id: str | None = None,
    decision_id: str | None = None,
) -> None:
    """Puts on record what became of one step of a candidate, the first being 0.

    ``channel`` is the one it came to; ``None`` where there was none, and empty for the first that the step names.
    ``decision_id`` is the record's id where it is known.
    """
    if decision_id is None:
        # A step may be put off more than once.
        told = f"{reason}:{run.clock}" if outcome == "deferred" else reason
        decision_id = make_decision_id(run.tenant, run.state.key, trigger.id, occasion, str(step), outcome, told)
    if not step and trigger.id in run.woken_by:
        detail = {**(detail or {}), "woken_by": run.woken_by[trigger.id]}
    if run.scores and (trigger.id, occasion) in run.scores:
        detail = {"score": run.scores[trigger.id, occasion], **(detail or {})}
    run.outputs.append(
        decision(
            run,
            decision_id,
            trigger.id,
            trigger.version,
            occasion,
            step,
            outcome,
            reason,
            trigger.action.ladder[step].channel if channel == "" else channel,
            action_id,
            detail or {},
        )
    )


def report_broken(run: Evaluation, trigger: Trigger, cause: Cause, error: Exception, step: int = 0) -> None:
    """Records that a trigger's expression failed, which a checked one never does: a bug to mend, not a crash."""
    decide(run, trigger, cause.occasion, step, "broken", detail={"error": type(error).__name__})


def report_broken_name(run: Evaluation, name: str, occasion: str, error: Exception) -> None:
    """The same of a tiering or a tag, under its name."""
    decide_absent(run, name, 0, occasion, "broken", {"error": type(error).__name__})


def decide_absent(
    run: Evaluation,
    name: str,
    version: int,
    occasion: str,
    reason: str,
    detail: Mapping[str, str] | None = None,
    *,
    step: int = 0,
    outcome: str = "suppressed",
    channel: str | None = None,
) -> None:
    """Puts on record what became of a candidate whose trigger the rule set does not have."""
    decision_id = make_id(run.tenant, run.state.key, name, occasion, *([str(step)] if step else []), reason)
    made = decision(run, decision_id, name, version, occasion, step, outcome, reason, channel, None, detail or {})
    run.outputs.append(made)
