"""An expression's text → a checked, typed tree → a function. The only way into both is ``read_expression``.

Python's own parser reads the text; an allow-list of its nodes becomes a tree of ours (``checker``, ``tree``).
Nothing of the text survives into the generated code but constants: names become lookups that the catalogue knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from triggers.language import codes
from triggers.language.checker import Checker, Context, FeatureName, broken
from triggers.language.compiler import compile_term
from triggers.language.document import Node
from triggers.language.helpers import OF_THE_DAY, TODAY
from triggers.language.model import Expression
from triggers.language.reader import Reader
from triggers.language.scanner import Refused, Token, scan, source_between
from triggers.language.tree import Call, FeatureReference, Logic, Reference, Term

__all__ = ["Checked", "Context", "FeatureName", "read_expression", "split_clauses"]


@dataclass(frozen=True, slots=True)
class Checked:
    """An expression without mistakes: compiled, with its tree and the node it was read from."""

    expression: Expression
    term: Term
    node: Node
    canonical: str
    """The same for expressions that differ only in spaces and quotation marks."""
    clauses: tuple[tuple[Expression, Term], ...] = ()
    """The top-level ``and`` parts; the expression itself where it has none."""


def read_expression(reader: Reader, node: Node, context: Context, *, expect: str | None = None) -> Checked | None:
    """Checks and compiles the expression in a scalar; reports every mistake and returns ``None`` where there is one.

    It also returns ``None`` where a feature that it reads has a mistake of its own, reported there.
    ``expect`` is the kind the result must have (``flag``); any scalar kind will do without it.
    """
    if not isinstance(node.value, str | int | bool | Decimal):
        reader.wrong_type(node, "an expression")
        return None
    checker = Checker(context)
    try:
        tokens = scan(node.text)
        term = checker.root(node.text, tokens)
        _check_result(term, expect, checker)
    except Refused as refused:
        checker.report(refused.code, refused.message, refused.offset)
        term, tokens = broken(0, 0), []
    for code, message, offset in checker.mistakes:
        reader.report(code, reader.document.locate(node, offset), message)
    if checker.mistakes or not _complete(term):
        return None
    names = frozenset(checker.names)
    whole = Expression(source_between(tokens, 0, len(node.text)), compile_term(term), names)
    parts = [
        (whole if part is term else _clause(part, tokens), part) for part in split_clauses(term) if expect == "flag"
    ]
    checked = Checked(whole, term, node, _canonical(tokens), tuple(parts))
    if expect == "flag":
        reader.conditions.append(checked)
    return checked


def split_clauses(term: Term) -> list[Term]:
    """The top-level ``and`` parts of a condition; a chained comparison is one part."""
    if isinstance(term, Logic) and term.operator == "and" and not term.chain:
        return [clause for part in term.parts for clause in split_clauses(part)]
    return [term]


def _check_result(term: Term, expect: str | None, checker: Checker) -> None:
    kind = term.type.kind
    if kind == "any" or kind == expect:
        return
    if expect == "flag":
        message = f"expected a condition, found {term.type}; compare it with something"
        checker.report(codes.TYPE_MISMATCH, message, term.begin)
    elif expect == "number" and kind != "money":
        checker.report(codes.TYPE_MISMATCH, f"expected a number or money, found {term.type}", term.begin)
    elif expect == "money" and kind != "number":
        checker.report(codes.TYPE_MISMATCH, f"expected money, found {term.type}", term.begin)
    elif kind == "texts" and not checker.context.message:
        checker.report(codes.TYPE_MISMATCH, f"expected one value, found {term.type}", term.begin)


def _complete(term: Term) -> bool:
    """Whether no part is without meaning: one that reads a feature with a mistake is."""
    return not any(
        type(part) is Term or (isinstance(part, FeatureReference) and part.type.kind == "any") for part in term.walk()
    )


def _clause(term: Term, tokens: list[Token]) -> Expression:
    names = {
        part.name.path if isinstance(part, Reference) else part.name
        for part in term.walk()
        if isinstance(part, Reference | FeatureReference)
    }
    if any(isinstance(part, Call) and part.helper in OF_THE_DAY for part in term.walk()):
        names.add(TODAY)
    return Expression(source_between(tokens, term.begin, term.end), compile_term(term), frozenset(names))


def _canonical(tokens: list[Token]) -> str:
    return " ".join(
        f'"{token.text[1:-1]}"' if token.kind == "text" and '"' not in token.text[1:-1] else token.text
        for token in tokens
    )
