"""The parts of ``policy.yaml`` by which the candidates of one occasion compete: seasons, objectives, the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from triggers.language import grammar
from triggers.language.checker import Context, FeatureName
from triggers.language.document import Node
from triggers.language.expressions import read_expression
from triggers.language.model import Expression, Objective, Season
from triggers.language.names import Type
from triggers.language.policy_rules import CUSTOMER_ONLY, read_condition
from triggers.language.reader import Fields, Reader
from triggers.language.vocabulary import Vocabulary

_NUMBER: Final = Type("number", nullable=False)
SCORE_NAMES: Final[Mapping[str, FeatureName]] = {
    "action.priority": FeatureName(0, Type("number", nullable=False, whole=True)),
    "action.value": FeatureName(1, Type("money", nullable=False)),
    "season": FeatureName(2, _NUMBER),
    "objective": FeatureName(3, _NUMBER),
}
"""What a score may read beside the customer: as features, the place of each among the values given."""
_ABSENT: Final = {**CUSTOMER_ONLY, "action": f"the score reads {', '.join(SCORE_NAMES)} and the customer"}


def read_seasons(reader: Reader, fields: Fields) -> tuple[Season, ...]:
    """``seasons``: months, and how much categories weigh in them."""
    found = []
    for item in fields.items("seasons", "seasons"):
        entry = reader.mapping(item, grammar.SEASON)
        if entry is None:
            continue
        months = [reader.integer(month, 1, 12) for month in entry.items("months", "months")]
        times = entry.decimal("times")
        if times is not None:
            found.append(Season(frozenset(filter(None, months)), times, _categories(reader, entry)))
    return tuple(found)


def read_objectives(reader: Reader, fields: Fields, vocabulary: Vocabulary) -> tuple[Objective, ...]:
    """``objectives``: conditions on the customer, and how much categories weigh where they are true."""
    found = []
    for item in fields.items("objectives", "objectives"):
        entry = reader.mapping(item, grammar.OBJECTIVE)
        if entry is None:
            continue
        condition = read_condition(reader, entry, vocabulary)
        times = entry.decimal("times")
        if condition is not None and times is not None:
            found.append(Objective(condition.expression, times, _categories(reader, entry)))
    return tuple(found)


def read_score(reader: Reader, node: Node, vocabulary: Vocabulary) -> Expression | None:
    """``score``: a number, or money, that the best candidate has most of."""
    context = Context(features=SCORE_NAMES, absent=_ABSENT, vocabulary=vocabulary)
    checked = read_expression(reader, node, context, expect="number")
    return checked.expression if checked is not None else None


def read_window(reader: Reader, node: Node) -> int | None:
    """``arbitration``: the milliseconds of its window, 0 for none."""
    fields = reader.mapping(node, grammar.ARBITRATION)
    window = fields.get("window") if fields is not None else None
    if fields is None or window is None:
        return None
    return 0 if window.value == "none" else fields.duration("window")


def _categories(reader: Reader, fields: Fields) -> frozenset[str] | None:
    if "categories" not in fields:
        return None
    named = [reader.identifier(item) for item in fields.items("categories", "categories")]
    return frozenset(filter(None, named))
