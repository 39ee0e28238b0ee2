"""Which clauses of a trigger's condition its cases depend on.

Coverage says that a clause was true and false; it does not say that it decided anything, for a case may be silent for
another reason. Here each leaf of ``when`` is taken out: made always true, then always false. Where no case fails then,
nobody would notice if the clause were wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from triggers.casework.case_runner import CaseRunner
from triggers.language.clauses import Clause
from triggers.language.compiler import compile_term
from triggers.language.model import Case, RuleSet, Trigger
from triggers.language.tree import Constant, Logic, Not, Term


@dataclass(frozen=True, slots=True)
class Idle:
    """A leaf, where it stands, and the values that it might always have without failing a case."""

    trigger: str
    file: str
    line: int
    column: int
    source: str
    always: tuple[bool, ...]


def idle_clauses(ruleset: RuleSet, trigger: Trigger, cases: Sequence[Case]) -> Iterator[Idle]:
    """The leaves that no case depends on, in the order of the text. ``cases`` are those that pass."""
    condition = trigger.condition
    if condition is None or not cases:
        return
    for leaf in condition.leaves():
        always = []
        for value in (False, True):
            runner = CaseRunner(ruleset, _with_leaf(trigger, condition, leaf, value))
            # First those that most likely fail: that fire where it is always false, that are silent where always true.
            likely = sorted(cases, key=lambda case: bool(case.expect) == value)
            if all(runner.run(case).passed for case in likely):
                always.append(value)
        if always:
            yield Idle(trigger.id, trigger.file, leaf.line, leaf.column, leaf.source, tuple(always))


def _with_leaf(trigger: Trigger, condition: Clause, leaf: Clause, value: bool) -> Trigger:
    """The trigger, with a leaf of its condition that always has this value."""
    assert trigger.when is not None
    known = leaf.term.type.known()
    term = _replaced(condition.term, leaf.term, Constant(known, leaf.term.begin, leaf.term.end, value))
    # Without its clauses, by which the engine decides some events in advance and a trace shows what it came to.
    when = replace(trigger.when, evaluate=compile_term(term))
    return replace(trigger, when=when, clauses=(), condition=None)


def _replaced(term: Term, old: Term, new: Term) -> Term:
    """The same tree with another leaf. By identity: what stands twice is two leaves."""
    if term is old:
        return new
    if isinstance(term, Logic):
        return replace(term, parts=tuple(_replaced(part, old, new) for part in term.parts))
    if isinstance(term, Not):
        return replace(term, operand=_replaced(term.operand, old, new))
    return term
