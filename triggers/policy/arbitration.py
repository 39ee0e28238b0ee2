"""Of the candidates of one occasion the one with the highest score is heard (R17, R19).

A tie goes to the higher priority, then to the trigger whose id comes first in the alphabet: the order in which the
candidates are given. A score that is unknown is below any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from triggers.engine.scope import Scope
from triggers.engine.texts import plain
from triggers.language.model import Objective, Policy, Season
from triggers.policy.local_time import day_of, local_ms

REASON: Final = "outranked"
_ONE: Final = Decimal(1)


class Contender(NamedTuple):
    """What of a candidate the score sees. A value that is unknown counts as nothing."""

    category: str
    priority: int
    value: Decimal


def scores(policy: Policy, contenders: Sequence[Contender], scope: Scope, now: int) -> list[Decimal | None]:
    """The score of each contender at a time (ms), for the customer of ``scope``."""
    month = day_of(local_ms(now, policy.timezone)).month
    seasons = [season for season in policy.seasons if month in season.months]
    objectives = [objective for objective in policy.objectives if objective.when.evaluate(scope) is True]
    found: list[Decimal | None] = []
    feature = scope.feature
    try:
        for contender in contenders:
            season = _product(seasons, contender.category)
            objective = _product(objectives, contender.category)
            if policy.score is None:
                found.append(contender.priority * season * objective)
                continue
            values = (Decimal(contender.priority), contender.value, season, objective)
            scope.feature = values.__getitem__
            found.append(policy.score.evaluate(scope))
    finally:
        scope.feature = feature
    return found


def ranked(scores: Sequence[Decimal | None]) -> list[int]:
    """The places of the contenders, the best first."""
    return sorted(range(len(scores)), key=lambda place: (scores[place] is None, -(scores[place] or 0)))


def show(score: Decimal | None) -> str:
    """A score as a decision has it."""
    return "unknown" if score is None else plain(score)


def _product(weights: Sequence[Season | Objective], category: str) -> Decimal:
    """All that weigh on a category, multiplied."""
    product = _ONE
    for weight in weights:
        if weight.categories is None or category in weight.categories:
            product *= weight.times
    return product
