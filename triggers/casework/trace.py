"""What a trigger's condition came to, clause by clause, each time the production engine evaluated it.

``TracedEvaluation`` takes the place of the engine's own evaluation; an engine without one does no work for it.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from triggers.engine.evaluation import Evaluation
from triggers.engine.firing import Cause
from triggers.language.calendar import Since
from triggers.language.clauses import Clause
from triggers.language.compiler import compile_term
from triggers.language.model import Evaluate, Expression, Trigger
from triggers.language.tree import FeatureReference, Term


@dataclass(frozen=True, slots=True)
class Window:
    """What a feature looked at: a function of ``source`` over the last ``over_ms`` or since a calendar period began,
    and how many samples there were."""

    function: str
    source: str
    over_ms: int
    samples: int
    since: Since | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that a leaf read; ``None`` is unknown."""

    source: str
    value: Any
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one clause came to: true, false, or ``None`` for unknown."""

    clause: Clause
    value: bool | None
    readings: tuple[Reading, ...] = ()
    parts: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One evaluation of a trigger's condition. ``at`` is the event's time and ``clock`` when the system acts, in ms.

    ``event`` is the record that woke the trigger, ``None`` where time did; ``occasion`` names either. ``finding``
    is ``None`` for a trigger without ``when``.
    """

    trigger: str
    at: int
    clock: int
    occasion: str
    event: Any
    finding: Finding | None

    @property
    def fires(self) -> bool:
        """Whether the trigger became a candidate for the gate."""
        return self.finding is None or self.finding.value is True


class TracedEvaluation(Evaluation):
    """An evaluation that notes each finding of the triggers in ``watched`` in ``trace``.

    ``guards`` are the findings of the conditions beside ``when``.
    """

    quick = False
    __slots__ = ("_probes", "guards", "trace", "watched")

    def __init__(self, tenant: str, watched: Container[str]) -> None:
        super().__init__(tenant)
        self.watched = watched
        self.trace: list[Evaluated] = []
        self.guards: list[Finding] = []
        self._probes: dict[int, _Probe] = {}

    def wake(self, woken: list[Trigger], cause: Cause) -> None:
        # Before the gate changes anything: the engine evaluates all conditions first as well.
        noted = [(trigger.id, *self._seen_by(trigger)) for trigger in woken if trigger.id in self.watched]
        super().wake(woken, cause)
        for trigger_id, event, finding in noted:
            self.trace.append(Evaluated(trigger_id, self.at, self.clock, cause.occasion, event, finding))

    def holds(self, trigger: Trigger, condition: Expression, clause: Clause | None) -> bool:
        if clause is not None and trigger.id in self.watched:
            self.guards.append(self._finding(self._probe_of(clause, condition.evaluate)))
        return super().holds(trigger, condition, clause)

    def _seen_by(self, trigger: Trigger) -> tuple[Any, Finding | None]:
        self.plan.show_event(self.scope, trigger)
        return self.scope.event, self._find(trigger)

    def _find(self, trigger: Trigger) -> Finding | None:
        condition = trigger.condition
        if condition is None or trigger.when is None:
            return None
        return self._finding(self._probe_of(condition, trigger.when.evaluate))

    def _probe_of(self, clause: Clause, compiled: Evaluate) -> _Probe:
        probe = self._probes.get(id(clause))
        if probe is None:
            # It keeps the clause, whose identity then names nothing else.
            probe = self._probes[id(clause)] = _probe(clause, compiled)
        return probe

    def _finding(self, probe: _Probe) -> Finding:
        value = probe.evaluate(self.scope)
        readings = tuple(
            Reading(source, read(self.scope), None if feature is None else self._window(feature))
            for source, read, feature in probe.reads
        )
        return Finding(probe.clause, value, readings, tuple(self._finding(part) for part in probe.parts))

    def _window(self, index: int) -> Window:
        ruleset = self.plan.ruleset
        feature = ruleset.features[index]
        series = ruleset.series[feature.series]
        return Window(
            feature.function, series.expression.source, feature.over_ms, self.samples_of(index), feature.since
        )


@dataclass(frozen=True, slots=True)
class _Probe:
    """A clause made ready to evaluate alone. ``reads`` are text, function and the index of a feature."""

    clause: Clause
    evaluate: Evaluate
    reads: tuple[tuple[str, Evaluate, int | None], ...]
    parts: tuple[_Probe, ...]


def _probe(clause: Clause, compiled: Evaluate | None = None) -> _Probe:
    """``compiled`` is the function of the whole condition, which the trigger has already."""
    reads = tuple(
        (
            operand.source,
            _reader(replace(operand.term, begin=0, end=0)),
            operand.term.index if isinstance(operand.term, FeatureReference) else None,
        )
        for operand in clause.operands
    )
    return _Probe(clause, compiled or clause.evaluate, reads, tuple(map(_probe, clause.parts)))


@lru_cache(maxsize=1024)
def _reader(term: Term) -> Evaluate:
    """Compiled once for all triggers: most read the same names."""
    return compile_term(term)
