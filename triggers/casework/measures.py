"""What a trigger's condition measures: its features, and whatever it compares with a number, beside those numbers."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from triggers.casework.distribution import Distribution
from triggers.engine.evaluation import Evaluation
from triggers.engine.firing import Cause
from triggers.language.clauses import Clause
from triggers.language.compiler import compile_term
from triggers.language.model import Evaluate, Expression, RuleSet, Trigger
from triggers.language.tree import Call, Comparison, Constant, FeatureReference, Reference, Term

_NUMERIC: Final = frozenset({"money", "number"})
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_COMPARISONS: Final[Mapping[str, Callable[[Any, Decimal], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_CROSSINGS: Final = {"crossed_above": ">=", "crossed_below": "<"}


@dataclass(frozen=True, slots=True)
class Bound:
    """A number that the condition compares a measure with: ``measure operator number``."""

    operator: str
    number: Decimal

    @property
    def holds(self) -> Callable[[Any, Decimal], bool]:
        """Whether a value (the first argument) is on the side of the number that the condition asks for."""
        return _COMPARISONS[self.operator]


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of one trigger. ``clauses`` are the parts of ``when`` in which it stands, as they are written."""

    trigger: str
    source: str
    is_feature: bool
    evaluate: Evaluate
    bounds: tuple[Bound, ...]
    clauses: tuple[str, ...]


@dataclass(slots=True)
class Reading:
    """What a measure came to. ``held`` counts, for each bound, how often the value was on its side."""

    values: Distribution
    held: list[int]

    def merge(self, other: Reading) -> None:
        """Adds what another one counted."""
        self.values.merge(other.values)
        for index, times in enumerate(other.held):
            self.held[index] += times


def read_measures(ruleset: RuleSet) -> tuple[Measure, ...]:
    """The measures of every trigger that runs, in the order of trigger and text."""
    active = sorted((t for t in ruleset.triggers if t.status in ("live", "shadow")), key=lambda trigger: trigger.id)
    return tuple(measure for trigger in active for measure in _of_trigger(trigger))


def new_readings(measures: tuple[Measure, ...]) -> list[Reading]:
    """An empty reading for each measure."""
    return [Reading(Distribution(), [0] * len(measure.bounds)) for measure in measures]


class MeasuredEvaluation(Evaluation):
    """An evaluation that reads the measures of the triggers that wake, at one in ``every`` of a customer's moments, and
    what their conditions come to: how often a trigger stays silent because something is not known shows nowhere else.

    Which moments those are depends on the customer and its events alone, and begins anew with ``begin_customer``.
    """

    __slots__ = ("_by_trigger", "_every", "_turn", "conditions", "quick", "readings")
    counts = True

    def __init__(self, tenant: str, measures: tuple[Measure, ...], every: int) -> None:
        super().__init__(tenant)
        self.readings = new_readings(measures)
        self.conditions: Counter[tuple[str, bool | None]] = Counter()
        """By trigger and value; ``None`` is unknown."""
        self._by_trigger: dict[str, list[_Watched]] = {}
        for measure, reading in zip(measures, self.readings, strict=True):
            watched = _Watched(measure, reading)
            self._by_trigger.setdefault(measure.trigger, []).append(watched)
        self._every = every
        self._turn = 0
        self.quick = False

    def begin_customer(self, number: int) -> None:
        """A customer's first moment is measured for one in ``every`` numbers; then each ``every``-th."""
        self._turn = number % self._every
        self.quick = self._turn != 0

    def wake(self, woken: list[Trigger], cause: Cause) -> None:
        if self._turn == 0:
            self._read(woken)
            self._turn = self._every
        self.count_wake()
        super().wake(woken, cause)

    def count_wake(self) -> None:
        self._turn -= 1
        self.quick = self._turn != 0  # what is to be read is read where the general way evaluates it

    def _read(self, woken: list[Trigger]) -> None:
        # Before the gate changes anything: the engine evaluates all conditions first as well.
        scope = self.scope
        for trigger in woken:
            if trigger.when is not None:
                self.conditions[trigger.id, self._condition(trigger, trigger.when)] += 1
            for watched in self._by_trigger.get(trigger.id, ()):
                value = watched.evaluate(scope)
                watched.add(value)
                if value is not None:
                    for index, holds, number in watched.bounds:
                        if holds(value, number):
                            watched.held[index] += 1

    def _condition(self, trigger: Trigger, when: Expression) -> bool | None:
        scope, event = self.scope, self.scope.event
        if self.plan.sees:
            self.plan.show_event(scope, trigger)
        try:
            value: bool | None = when.evaluate(scope)
        except Exception:  # noqa: BLE001  # a broken rule is unknown here; the engine reports it
            return None
        else:
            return value
        finally:
            scope.event = event


class _Watched:
    """A measure with its reading, its parts at hand: this is done for many moments."""

    __slots__ = ("add", "bounds", "evaluate", "held")

    def __init__(self, measure: Measure, reading: Reading) -> None:
        self.evaluate = measure.evaluate
        self.add = reading.values.add
        self.held = reading.held
        self.bounds = [(index, bound.holds, bound.number) for index, bound in enumerate(measure.bounds)]


@dataclass(slots=True)
class _Found:
    term: Term
    bounds: list[Bound] = field(default_factory=list)
    clauses: list[str] = field(default_factory=list)


def _of_trigger(trigger: Trigger) -> Iterator[Measure]:
    if trigger.condition is None:
        return
    found: dict[str, _Found] = {}
    for leaf in trigger.condition.leaves():
        for source, term, bound in _in_leaf(leaf):
            one = found.setdefault(source, _Found(term))
            if bound is not None and bound not in one.bounds:
                one.bounds.append(bound)
            if leaf.source not in one.clauses:
                one.clauses.append(leaf.source)
    for source in sorted(found):
        one = found[source]
        is_feature = isinstance(one.term, FeatureReference)
        yield Measure(trigger.id, source, is_feature, compile_term(one.term), tuple(one.bounds), tuple(one.clauses))


def _in_leaf(leaf: Clause) -> Iterator[tuple[str, Term, Bound | None]]:
    """What one leaf of a condition measures; a feature also where no number stands beside it."""
    term = leaf.term
    for part in term.walk():
        if isinstance(part, FeatureReference) and part.type.kind in _NUMERIC:
            yield part.name, part, None
    if isinstance(term, Comparison) and term.operator in _MIRRORED:
        yield from _compared(leaf, term.left, term.operator, term.right)
        yield from _compared(leaf, term.right, _MIRRORED[term.operator], term.left)
    elif isinstance(term, Call) and term.helper in _CROSSINGS:
        _, now, level = term.arguments
        yield from _compared(leaf, now, _CROSSINGS[term.helper], level)


def _compared(leaf: Clause, side: Term, operator: str, other: Term) -> Iterator[tuple[str, Term, Bound]]:
    if isinstance(side, Constant) or side.type.kind not in _NUMERIC:
        return
    if isinstance(other, Constant) and isinstance(other.value, Decimal | int):
        yield _text(leaf, side), side, Bound(operator, Decimal(other.value))


def _text(leaf: Clause, term: Term) -> str:
    if isinstance(term, Reference):
        return term.name.path
    if isinstance(term, FeatureReference):
        return term.name
    return next((operand.source for operand in leaf.operands if operand.term == term), leaf.source)
