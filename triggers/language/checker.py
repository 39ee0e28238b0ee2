"""Python's tree of an expression → a typed tree of ours, by an allow-list of nodes; every mistake is collected."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Final

from schemas.base import CURRENCIES
from triggers.language import codes
from triggers.language.codes import Code
from triggers.language.document import shorten
from triggers.language.folding import fold, fold_logic
from triggers.language.helpers import read_call
from triggers.language.names import ALL_RECORDS, CURRENCY_NAMES, HELPERS, ROOTS, Name, Type
from triggers.language.reader import one_of, suggest
from triggers.language.scanner import MAX_DEPTH, MAX_LIST, MAX_NODES, Refused, Token
from triggers.language.tree import (
    Arithmetic,
    Comparison,
    Constant,
    FeatureReference,
    Logic,
    Negative,
    Not,
    Reference,
    Term,
)
from triggers.language.vocabulary import STANDARD, Vocabulary

FLAG: Final = Type("flag")
ANY: Final = Type("any")
NUMERIC: Final = frozenset({"money", "number"})
_ORDERED: Final = frozenset({"money", "number", "date", "time"})

_COMPARISONS: Final[Mapping[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_ARITHMETIC: Final[Mapping[type[ast.operator], str]] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_REFUSED_NODES: Final[Mapping[type[ast.AST], str]] = {
    ast.Lambda: "a function (lambda)",
    ast.IfExp: "a conditional (if … else)",
    ast.Subscript: "an index [ ]",
    ast.Tuple: "a list in ( ): write it in [ ]",
    ast.ListComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.Starred: "a star",
    ast.NamedExpr: "a name given to a value",
    ast.JoinedStr: "text with a prefix",
}


@dataclass(frozen=True, slots=True)
class FeatureName:
    """A feature of the trigger as its expressions see it. One with a mistake has no index and the type ``any``."""

    index: int
    type: Type


@dataclass(frozen=True, slots=True)
class Context:
    """What an expression may read where it stands.

    ``record_types`` are the events that ``event`` can be. ``absent`` maps a root (``product``) to the reason why
    it has no value here. ``message`` marks the fields of a message, which may be lists.
    """

    features: Mapping[str, FeatureName] = field(default_factory=dict)
    record_types: frozenset[str] = ALL_RECORDS
    absent: Mapping[str, str] = field(default_factory=dict)
    vocabulary: Vocabulary = STANDARD
    message: bool = False


class Checker:
    """Turns Python's tree into ours, checking names and types on the way. Mistakes are collected, not raised."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.mistakes: list[tuple[Code, str, int]] = []
        self.names: set[str] = set()
        self._count = 0
        self._text = ""
        self._offset: Callable[[int], int] = int

    def report(self, code: Code, message: str, offset: int) -> None:
        self.mistakes.append((code, message, offset))

    def root(self, text: str, tokens: list[Token]) -> Term:
        begin = tokens[0].begin
        line = text[begin:].replace("\n", " ").replace("\t", " ").rstrip()
        try:
            tree = ast.parse(line, mode="eval")
        except SyntaxError as error:
            column = error.offset if error.lineno == 1 and error.offset else len(line) + 1
            offset = begin + min(column - 1, len(line))
            raise Refused(codes.BAD_SYNTAX, f"not an expression: {_reason(error)}", offset) from None
        except (RecursionError, MemoryError, ValueError):
            raise Refused(codes.TOO_COMPLEX, f"nested more than {MAX_DEPTH} deep", begin) from None
        if line.isascii():
            self._offset = lambda column: begin + column
        else:
            encoded = line.encode()
            self._offset = lambda column: begin + len(encoded[:column].decode())
        self._text = text
        return self.check(tree.body, 0)

    def check(self, node: ast.expr, depth: int) -> Term:
        begin, end = self.span(node)
        if depth > MAX_DEPTH:
            raise Refused(codes.TOO_COMPLEX, f"nested more than {MAX_DEPTH} deep", begin)
        self._grow(1, begin)
        match node:
            case ast.Constant():
                return self._literal(node)
            case ast.Name() | ast.Attribute():
                return self._name(node)
            case ast.BoolOp():
                return self._logic(node, depth)
            case ast.UnaryOp(op=ast.Not()):
                operand = self.flag(node.operand, depth)
                return fold(Not(FLAG, begin, end, operand))
            case ast.UnaryOp(op=ast.USub()):
                operand = self.number(node.operand, depth)
                return fold(Negative(operand.type, begin, end, operand))
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self._arithmetic(node, depth)
            case ast.Compare():
                return self._comparisons(node, depth)
            case ast.Call():
                return read_call(self, node, depth)
            case ast.List():
                return self.mistake(codes.TYPE_MISMATCH, "a list stands only after in", node)
        what = _REFUSED_NODES.get(type(node), "this")
        return self.mistake(codes.NOT_ALLOWED, f"expressions do not have {what}", node)

    def _grow(self, parts: int, begin: int) -> None:
        self._count += parts
        if self._count > MAX_NODES:
            raise Refused(codes.TOO_COMPLEX, f"an expression has at most {MAX_NODES} parts", begin)

    # What helpers use as well.

    def span(self, node: ast.expr) -> tuple[int, int]:
        return self._offset(node.col_offset), self._offset(node.end_col_offset or node.col_offset)

    def mistake(self, code: Code, message: str, node: ast.expr) -> Term:
        begin, end = self.span(node)
        self.report(code, message, begin)
        return broken(begin, end)

    def flag(self, node: ast.expr, depth: int) -> Term:
        term = self.check(node, depth + 1)
        if term.type.kind not in ("flag", "any"):
            message = f"expected a condition, found {term.type}; compare it with something"
            return self.mistake(codes.TYPE_MISMATCH, message, node)
        return term

    def number(self, node: ast.expr, depth: int) -> Term:
        term = self.check(node, depth + 1)
        if term.type.kind not in (*NUMERIC, "any"):
            return self.mistake(codes.TYPE_MISMATCH, f"expected money or a number, found {term.type}", node)
        return term

    def as_date(self, term: Term) -> Term:
        """A date, also from a text literal that is one."""
        if not isinstance(term, Constant) or term.type.kind != "text":
            return term
        try:
            value = date.fromisoformat(term.value) if len(term.value) == 10 else None
        except ValueError:
            value = None
        if value is None:
            message = f'"{shorten(term.value)}" is not a date such as "2026-03-02"'
            self.report(codes.IMPOSSIBLE_VALUE, message, term.begin)
            return broken(term.begin, term.end)
        return Constant(Type("date", nullable=False), term.begin, term.end, value)

    # One kind of node each.

    def _literal(self, node: ast.Constant) -> Term:
        begin, end = self.span(node)
        if isinstance(node.value, bool):
            return Constant(FLAG.known(), begin, end, node.value)
        if isinstance(node.value, int | float):
            value = Decimal(self._text[begin:end])  # as written: Python's parser has already made it binary
            whole = value.as_tuple().exponent == 0
            return Constant(Type("number", nullable=False, whole=whole), begin, end, value)
        if isinstance(node.value, str):
            return Constant(Type("text", nullable=False), begin, end, node.value)
        return self.mistake(codes.NOT_ALLOWED, "there is no such literal; a missing value is unknown by itself", node)

    def _name(self, node: ast.Name | ast.Attribute) -> Term:
        path = dotted(node)
        if path is None:
            return self.mistake(codes.NOT_ALLOWED, "only names have fields: customer.balance", node)
        begin, end = self.span(node)
        if path in ("true", "false"):
            return Constant(FLAG.known(), begin, end, path == "true")
        feature = self.context.features.get(path)
        if feature is not None:
            self.names.add(path)
            return FeatureReference(feature.type, begin, end, path, feature.index)
        vocabulary = self.context.vocabulary
        name = vocabulary.catalogue.get(path)
        if name is None and path in vocabulary.absent:
            message = f"{path} has no value here: {vocabulary.absent[path]}"
            return self.mistake(codes.NOT_HERE, message, node)
        if name is None:
            return self.mistake(codes.UNKNOWN_NAME, self._unknown(path), node)
        return self.reference(name, node)

    def reference(self, name: Name, node: ast.expr) -> Term:
        root = name.path.partition(".")[0]
        reason = self.context.absent.get(root)
        if reason is not None:
            return self.mistake(codes.NOT_HERE, f"{name.path} has no value here: {reason}", node)
        begin, end = self.span(node)
        self.names.add(name.path)
        if root != "event":
            return Reference(name.type, begin, end, name)
        kind = name.among(self.context.record_types)
        if kind is None:
            message = (
                f"{name.path} is a field of {one_of(sorted(name.record_types))}; "
                f"the events here are {one_of(sorted(self.context.record_types))}"
            )
            return self.mistake(codes.NOT_HERE, message, node)
        only = name.record_types & self.context.record_types
        return Reference(kind, begin, end, name, only if only != self.context.record_types else None)

    def _unknown(self, path: str) -> str:
        catalogue = self.context.vocabulary.catalogue
        known = [*self.context.features, *catalogue]
        message = f'unknown name "{shorten(path)}"'
        if path in ROOTS:
            fields = [name.rpartition(".")[2] for name in catalogue if name.startswith(f"{path}.")]
            return f'"{path}" alone is no value; it has {one_of(fields)}'
        if path in HELPERS:
            return f'"{path}" is a helper: write {path}( … )'
        same = [name for name in known if name.rpartition(".")[2] == path]
        if same:
            return f'{message}: did you mean "{same[0]}"?'
        hint = "" if "__" in path else suggest(path, known)
        if not hint and "." not in path:
            hint = f'; text goes in quotes: "{shorten(path)}"'
        return message + hint

    def _logic(self, node: ast.BoolOp, depth: int) -> Term:
        begin, end = self.span(node)
        operator = "and" if isinstance(node.op, ast.And) else "or"
        logic = Logic(FLAG, begin, end, operator, tuple(self.flag(value, depth) for value in node.values))
        # The root keeps its parts, so that a part that is constant can be pointed at.
        return logic if depth == 0 else fold_logic(logic)

    def _arithmetic(self, node: ast.BinOp, depth: int) -> Term:
        operator = _ARITHMETIC[type(node.op)]
        left, right = self.number(node.left, depth), self.number(node.right, depth)
        kinds = (left.type.kind, right.type.kind)
        if "any" in kinds:
            return broken(*self.span(node))
        if operator == "*" and kinds == ("money", "money"):
            return self.mistake(codes.TYPE_MISMATCH, "money times money has no meaning", node)
        if operator == "/" and kinds == ("number", "money"):
            return self.mistake(codes.TYPE_MISMATCH, "a number divided by money has no meaning", node)
        money = "money" in kinds and not (operator == "/" and kinds == ("money", "money"))
        whole = left.type.whole and right.type.whole and operator != "/"
        kind = Type("money" if money else "number", whole=whole and not money)
        return fold(Arithmetic(kind, *self.span(node), operator, left, right))

    def _comparisons(self, node: ast.Compare, depth: int) -> Term:
        begin, end = self.span(node)
        operands: list[ast.expr] = [node.left, *node.comparators]
        parts: list[Term] = []
        left = self.check(node.left, depth + 1)
        for position, kind in enumerate(node.ops):
            operator = _COMPARISONS.get(type(kind))
            if operator is None:
                return self.mistake(codes.NOT_ALLOWED, "expressions do not have is: write ==", node)
            right_node = operands[position + 1]
            if operator in ("in", "not in"):
                part, right = self._membership(operator, left, right_node, depth)
            else:
                right = self.check(right_node, depth + 1)
                part = self.compare(operator, left, right)
            parts.append(part)
            left = right
            if position + 1 < len(node.ops):
                # The operand stands in two comparisons: chains within chains would double again and again.
                self._grow(sum(1 for _ in right.walk()), begin)
        if len(parts) == 1:
            return replace(parts[0], begin=begin, end=end)
        return fold_logic(Logic(FLAG, begin, end, "and", tuple(parts), chain=True))

    def _membership(self, operator: str, left: Term, node: ast.expr, depth: int) -> tuple[Term, Term]:
        if not isinstance(node, ast.List):
            right = self.check(node, depth + 1)
            if right.type.kind == "texts" and left.type.kind in ("text", "enum", "any"):
                if right.type.values and not self._possible_member(left, right):
                    return broken(left.begin, right.end), broken(right.begin, right.end)
                return Comparison(FLAG, left.begin, right.end, operator, left, right), right
            if "any" not in (left.type.kind, right.type.kind):
                message = f'{operator} needs a list such as ["a", "b"], or a list of text; found {right.type}'
                self.report(codes.TYPE_MISMATCH, message, right.begin)
            return broken(left.begin, right.end), broken(right.begin, right.end)
        begin, end = self.span(node)
        if len(node.elts) > MAX_LIST:
            raise Refused(codes.TOO_COMPLEX, f"a list has at most {MAX_LIST} values", begin)
        if not node.elts:
            self.report(codes.IMPOSSIBLE_VALUE, "nothing is in an empty list", begin)
        values = []
        for element in node.elts:
            item = self.check(element, depth + 2)
            if not isinstance(item, Constant) and item.type.kind != "any":
                self.mistake(codes.NOT_ALLOWED, "a list holds literals only", element)
                continue
            compared = self.compare("==", left, item)
            if isinstance(compared, Comparison) and isinstance(compared.right, Constant):
                values.append(compared.right.value)
            elif isinstance(item, Constant):
                values.append(item.value)
        right = Constant(ANY, begin, end, tuple(values))
        return fold(Comparison(FLAG, left.begin, end, operator, left, right)), right

    def _possible_member(self, left: Term, right: Term) -> bool:
        """Whether a list whose values are known ever holds the text on the left."""
        values = right.type.values
        what = right.name.path if isinstance(right, Reference) else "the list"
        if not isinstance(left, Constant):
            if left.type.kind != "any":
                message = f'{what} is asked for one by its name: "{values[0]}" in {what}'
                self.report(codes.TYPE_MISMATCH, message, left.begin)
            return False
        if left.value in values:
            self.context.vocabulary.asked.add(left.value)
            return True
        if left.value in self.context.vocabulary.later:
            message = f'the tag "{left.value}" is not above this one: a tag reads only those above it'
        else:
            hint = suggest(left.value, values) or f"; there are {one_of(values)}"
            message = f'{what} never has "{shorten(left.value)}"{hint}'
        self.report(codes.IMPOSSIBLE_VALUE, message, left.begin)
        return False

    def compare(self, operator: str, left: Term, right: Term) -> Term:
        """One comparison of two values; text literals become dates beside dates."""
        if left.type.kind == "date":
            right = self.as_date(right)
        if right.type.kind == "date":
            left = self.as_date(left)
        one, other = left.type, right.type
        nothing = broken(left.begin, right.end)
        if "any" in (one.kind, other.kind):
            return nothing
        if "texts" in (one.kind, other.kind):
            message = 'a list of text is not compared: write "x" in customer.segments'
            self.report(codes.TYPE_MISMATCH, message, left.begin)
            return nothing
        numbers = one.kind in NUMERIC and other.kind in NUMERIC
        words = one.kind in ("text", "enum") and other.kind in ("text", "enum")
        if not (numbers or words or one.kind == other.kind):
            self.report(codes.TYPE_MISMATCH, f"{one} cannot be compared with {other}", left.begin)
            return nothing
        if operator not in ("==", "!=") and not (one.kind in _ORDERED and other.kind in _ORDERED):
            what = {"enum": "one of a list of words", "text": "text", "flag": "a condition"}.get(one.kind, one.kind)
            name = f"{left.name.path} is {what} and" if isinstance(left, Reference) else what
            hint = "; write in [ … ]" if words else ""
            self.report(codes.TYPE_MISMATCH, f"{name} has no order, so {operator} has no meaning{hint}", left.begin)
            return nothing
        if words and not self._possible(left, right):
            return nothing
        return fold(Comparison(FLAG, left.begin, right.end, operator, left, right))

    def _possible(self, left: Term, right: Term) -> bool:
        """Whether an enum can ever be equal to the other side."""
        for side, other in ((left, right), (right, left)):
            if isinstance(side, Reference) and side.name.path in CURRENCY_NAMES and not self._is_currency(side, other):
                return False
            values = side.type.values
            if not values:
                continue
            what = side.name.path if isinstance(side, Reference) else "this"
            if isinstance(other, Constant) and other.value not in values:
                hint = suggest(other.value, values) or f"; it is one of {one_of(values)}"
                message = f'{what} is never "{shorten(other.value)}"{hint}'
                self.report(codes.IMPOSSIBLE_VALUE, message, other.begin)
                return False
            if other.type.values and not set(values) & set(other.type.values):
                self.report(codes.IMPOSSIBLE_VALUE, f"{what} and the other side have no value in common", side.begin)
                return False
        return True

    def _is_currency(self, side: Reference, other: Term) -> bool:
        if not isinstance(other, Constant) or other.value in CURRENCIES:
            return True
        # No near names: of three letters almost any other currency is near.
        meant = other.value.upper()
        hint = f': did you mean "{meant}"?' if meant in CURRENCIES else "; it is an active ISO 4217 code such as CNY"
        message = f'{side.name.path} is never "{shorten(other.value)}"{hint}'
        self.report(codes.IMPOSSIBLE_VALUE, message, other.begin)
        return False


def dotted(node: ast.expr) -> str | None:
    """``a.b.c`` of a name with fields; ``None`` for fields of anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def broken(begin: int, end: int) -> Term:
    return Term(ANY, begin, end)


def _reason(error: SyntaxError) -> str:
    message = error.msg.split(".")[0]
    return {
        "invalid syntax": "something is missing or too much here",
        "unexpected EOF while parsing": "it ends too early",
    }.get(message, message)
