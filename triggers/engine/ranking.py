"""Candidates in the order of their scores under the policy."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from triggers.engine.state import Journey
from triggers.language.model import Trigger
from triggers.policy import arbitration
from triggers.policy.arbitration import Contender

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation


def in_tie_order(ready: list[tuple[Trigger, Journey]]) -> list[tuple[Trigger, Journey]]:
    """Candidates of several occasions by priority and trigger id; of one trigger the latest, which knows most."""
    if len(ready) < 2:
        return ready
    return sorted(ready, key=lambda one: (-one[0].action.priority, one[0].id, -one[1].at, one[1].occasion))


def by_score(run: Evaluation, ready: list[tuple[Trigger, Journey]]) -> list[tuple[Trigger, Journey, str]]:
    """The candidates with their scores, the best first; a tie stays in its order. One alone needs no score."""
    if not ready:
        return []
    if len(ready) == 1:
        return [(*ready[0], "")]
    contenders = [
        Contender(journey.category, trigger.action.priority, Decimal(journey.value or 0)) for trigger, journey in ready
    ]
    scores = arbitration.scores(run.plan.policy, contenders, run.scope, run.clock)
    return [(*ready[place], arbitration.show(scores[place])) for place in arbitration.ranked(scores)]
