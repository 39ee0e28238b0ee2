"""Which clauses of a trigger's conditions its cases made true, and which false.

What is counted are the leaves of ``when``, of ``rearm`` and of the ``unless`` of steps: every comparison, helper and
flag, each of which must have been true at one evaluation and false at another. Unknown is neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from triggers.casework.case_runner import CaseResult
from triggers.casework.trace import Finding
from triggers.language.model import Trigger


@dataclass(frozen=True, slots=True)
class ClauseCoverage:
    """One leaf, where it stands, and whether it was ever true and ever false."""

    trigger: str
    file: str
    line: int
    column: int
    source: str
    true: bool
    false: bool

    @property
    def missing(self) -> str:
        """What no case showed; empty where nothing is missing."""
        if self.true:
            return "" if self.false else "never false"
        return "never true" if self.false else "never true, never false"


def cover(trigger: Trigger, results: Iterable[CaseResult]) -> tuple[ClauseCoverage, ...]:
    """The coverage of one trigger by all evaluations of its cases, in the order of the conditions."""
    conditions = [trigger.condition, trigger.rearm_condition, *(step.condition for step in trigger.action.ladder)]
    seen: set[tuple[int, bool | None]] = set()
    for result in results:
        findings = [evaluated.finding for evaluated in result.trace if evaluated.finding is not None]
        for finding in (*findings, *result.guards):
            seen.update((id(leaf.clause), leaf.value) for leaf in _leaves(finding))
    return tuple(
        ClauseCoverage(
            trigger.id,
            trigger.file,
            leaf.line,
            leaf.column,
            leaf.source,
            (id(leaf), True) in seen,
            (id(leaf), False) in seen,
        )
        for condition in conditions
        if condition is not None
        for leaf in condition.leaves()
    )


def percent(covered: Iterable[ClauseCoverage]) -> float:
    """How many of the outcomes, two a clause, some case showed; 100 where there is nothing to cover."""
    outcomes = [outcome for clause in covered for outcome in (clause.true, clause.false)]
    return 100 * sum(outcomes) / len(outcomes) if outcomes else 100.0


def _leaves(finding: Finding) -> Iterator[Finding]:
    """Those of one condition."""
    if not finding.clause.operator:
        yield finding
    for part in finding.parts:
        yield from _leaves(part)
