"""Which clauses of a trigger's condition its cases made true, and which false.

What is counted are the leaves of ``when``: every comparison, helper and flag, each of which must have been true at one
evaluation and false at another. Unknown is neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from triggers.casework.trace import Evaluated, Finding
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


def cover(trigger: Trigger, trace: Iterable[Evaluated]) -> tuple[ClauseCoverage, ...]:
    """The coverage of one trigger by all evaluations of its cases."""
    leaves = list(trigger.condition.leaves()) if trigger.condition else []
    seen: set[tuple[int, bool | None]] = set()
    for evaluated in trace:
        if evaluated.finding is not None:
            seen.update((index, leaf.value) for index, leaf in enumerate(_leaves(evaluated.finding)))
    return tuple(
        ClauseCoverage(
            trigger.id, trigger.file, leaf.line, leaf.column, leaf.source, (index, True) in seen, (index, False) in seen
        )
        for index, leaf in enumerate(leaves)
    )


def percent(covered: Iterable[ClauseCoverage]) -> float:
    """How many of the outcomes, two a clause, some case showed; 100 where there is nothing to cover."""
    outcomes = [outcome for clause in covered for outcome in (clause.true, clause.false)]
    return 100 * sum(outcomes) / len(outcomes) if outcomes else 100.0


def _leaves(finding: Finding) -> Iterator[Finding]:
    """In the order of ``Clause.leaves``."""
    if not finding.clause.operator:
        yield finding
    for part in finding.parts:
        yield from _leaves(part)
