"""A condition as its author wrote it: ``and``, ``or`` and ``not`` down to the leaves, each with its place.

The leaves are what tests have to cover: every comparison (each of a chain), every helper and flag that is a condition
by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from triggers.language.compiler import compile_term
from triggers.language.document import Document
from triggers.language.expressions import Checked
from triggers.language.model import Evaluate
from triggers.language.scanner import Token, scan, source_between
from triggers.language.tree import Call, Comparison, Constant, FeatureReference, Logic, Not, Reference, Term


@dataclass(frozen=True, slots=True)
class Operand:
    """A value that a leaf reads, under the name or the text that its author wrote."""

    source: str
    term: Term


@dataclass(frozen=True, slots=True)
class Clause:
    """One node of a condition. ``operator`` is ``and``, ``or`` or ``not``, empty for a leaf, which has operands.

    ``line`` and ``column`` are its place in the file, counted from 1.
    """

    operator: str
    source: str
    term: Term
    line: int
    column: int
    parts: tuple[Clause, ...] = ()
    operands: tuple[Operand, ...] = ()
    evaluate: Evaluate = field(init=False, repr=False, compare=False)
    """What it comes to alone: true, false, or ``None`` for unknown."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "evaluate", compile_term(self.term))

    def leaves(self) -> Iterator[Clause]:
        """The leaves below, or the node itself, in the order of the text."""
        if not self.operator:
            yield self
        for part in self.parts:
            yield from part.leaves()


def read_clauses(document: Document, condition: Checked) -> Clause:
    """The clauses of a condition that was read from a document."""
    return _Walk(document, condition, scan(condition.node.text)).clause(condition.term)


@dataclass(frozen=True, slots=True)
class _Walk:
    document: Document
    condition: Checked
    tokens: list[Token]

    def clause(self, term: Term) -> Clause:
        place = self.document.locate(self.condition.node, term.begin)
        source = source_between(self.tokens, term.begin, term.end)
        if isinstance(term, Logic | Not):
            operator = term.operator if isinstance(term, Logic) else "not"
            parts = tuple(self.clause(part) for part in term.children())
            return Clause(operator, source, term, place.line, place.column, parts)
        return Clause("", source, term, place.line, place.column, operands=self._operands(term))

    def _operands(self, leaf: Term) -> tuple[Operand, ...]:
        """The names a leaf reads, then the sides of a comparison that are worked out from them."""
        found: dict[str, Term] = {}
        for term in leaf.walk():
            if isinstance(term, Reference):
                found.setdefault(term.name.path, term)
            elif isinstance(term, FeatureReference):
                found.setdefault(term.name, term)
        if isinstance(leaf, Comparison):
            for side in (leaf.left, leaf.right):
                if not isinstance(side, Reference | FeatureReference | Constant):
                    found.setdefault(source_between(self.tokens, side.begin, side.end), side)
        elif isinstance(leaf, Call):
            # The level a value crosses, where it is not a literal; the values themselves were read as names.
            for argument in leaf.arguments[1:]:
                if not isinstance(argument, Reference | FeatureReference | Constant):
                    found.setdefault(source_between(self.tokens, argument.begin, argument.end), argument)
        return tuple(Operand(source, term) for source, term in found.items())
