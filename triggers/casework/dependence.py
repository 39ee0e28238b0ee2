"""Which clauses of a trigger's condition its cases depend on.

Coverage says that a clause was true and false; it does not say that it decided anything, for a case may be silent for
another reason. Here each leaf of ``when`` is taken out: made always true, then always false. Where no case fails then,
nobody would notice if the clause were wrong.

A case runs again only where that changes what the condition came to at some moment of it: where it fires or not at the
same moments, all that follows is the same, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from triggers.casework.case_runner import CaseResult, CaseRunner
from triggers.casework.trace import Finding
from triggers.engine.scope import Scope
from triggers.language.clauses import Clause
from triggers.language.model import Case, RuleSet, Trigger


@dataclass(frozen=True, slots=True)
class Idle:
    """A leaf, where it stands, and the values that it might always have without failing a case."""

    trigger: str
    file: str
    line: int
    column: int
    source: str
    always: tuple[bool, ...]


def idle_clauses(
    ruleset: RuleSet, trigger: Trigger, cases: Sequence[Case], results: Sequence[CaseResult]
) -> Iterator[Idle]:
    """The leaves that no case depends on, in the order of the text. ``results`` are those of the cases; all passed."""
    condition = trigger.condition
    if condition is None or not cases:
        return
    varied = _Varied(ruleset, trigger, condition)
    findings = [[seen.finding for seen in result.trace if seen.finding is not None] for result in results]
    for leaf in condition.leaves():
        always = []
        for value in (False, True):
            changed = [
                case
                for case, found in zip(cases, findings, strict=True)
                if any((one.value is True) != (_value_of(one, leaf, value) is True) for one in found)
            ]
            if varied.passes(changed, leaf, value):
                always.append(value)
        if always:
            yield Idle(trigger.id, trigger.file, leaf.line, leaf.column, leaf.source, tuple(always))


class _Varied:
    """Runs cases of a trigger with a leaf of its condition that always has one value.

    One rule set serves for all leaves: the condition's function looks up which leaf it is and what value.
    """

    def __init__(self, ruleset: RuleSet, trigger: Trigger, condition: Clause) -> None:
        assert trigger.when is not None
        self._condition = condition
        self._leaf = condition
        self._value: bool | None = None
        # Without its clauses, by which the engine decides some events in advance and a trace shows what it came to.
        when = replace(trigger.when, evaluate=self._holds)
        self._runner = CaseRunner(ruleset, replace(trigger, when=when, clauses=(), condition=None))

    def passes(self, cases: Sequence[Case], leaf: Clause, value: bool) -> bool:
        """Whether all these cases pass then."""
        self._leaf, self._value = leaf, value
        return all(self._runner.run(case).passed for case in cases)

    def _holds(self, scope: Scope) -> bool | None:
        return self._value_in(self._condition, scope)

    def _value_in(self, clause: Clause, scope: Scope) -> bool | None:
        if clause is self._leaf:
            return self._value
        if not clause.operator:
            value: bool | None = clause.evaluate(scope)
            return value
        return _joined(clause.operator, [self._value_in(part, scope) for part in clause.parts])


def _value_of(finding: Finding, leaf: Clause, value: bool) -> bool | None:
    """What a clause would have come to with a leaf that has another value. By identity: what stands twice is two."""
    if finding.clause is leaf:
        return value
    if not finding.parts:
        return finding.value
    return _joined(finding.clause.operator, [_value_of(part, leaf, value) for part in finding.parts])


def _joined(operator: str, values: Sequence[bool | None]) -> bool | None:
    """Kleene's ``and``, ``or`` and ``not``."""
    if operator == "not":
        return None if values[0] is None else not values[0]
    decisive = operator == "or"
    if decisive in values:
        return decisive
    return None if None in values else not decisive
