"""Expressions worked out the slow way: a walk over Python's tree, three-valued, sharing nothing with the compiler."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from datetime import date
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Any

_CONTEXT = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX)


def interpret(text: str, values: Mapping[str, Any], today: date) -> Any:
    """The value of an expression where names have these values; a name without one is unknown."""
    with localcontext(_CONTEXT):
        return _Walk(text, values, today).value(ast.parse(text, mode="eval").body)


class _Walk:
    def __init__(self, text: str, values: Mapping[str, Any], today: date) -> None:
        self.text, self.values, self.today = text, values, today

    def value(self, node: ast.expr) -> Any:
        return getattr(self, f"_{type(node).__name__.lower()}")(node)

    def _constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return Decimal(ast.get_source_segment(self.text, node) or "")
        return node.value

    def _list(self, node: ast.List) -> Any:
        return [self.value(item) for item in node.elts]

    def _name(self, node: ast.Name) -> Any:
        if node.id in ("true", "false"):
            return node.id == "true"
        return self.values.get(node.id)

    def _attribute(self, node: ast.Attribute) -> Any:
        return self.values.get(ast.unparse(node))

    def _boolop(self, node: ast.BoolOp) -> Any:
        found = [self.value(part) for part in node.values]
        decisive = isinstance(node.op, ast.Or)
        if decisive in found:
            return decisive
        return None if None in found else not decisive

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        operand = self.value(node.operand)
        if operand is None:
            return None
        return not operand if isinstance(node.op, ast.Not) else -operand

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if left is None or right is None:
            return None
        left, right = Decimal(left), Decimal(right)
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
        return left / right if right != 0 else None

    def _compare(self, node: ast.Compare) -> Any:
        operands = [self.value(operand) for operand in (node.left, *node.comparators)]
        results = [
            self._pair(operator, operands[position], operands[position + 1])
            for position, operator in enumerate(node.ops)
        ]
        if False in results:
            return False
        return None if None in results else True

    def _pair(self, operator: ast.cmpop, left: Any, right: Any) -> Any:
        if left is None or right is None:
            return None
        if type(left) is date:
            right = _as_day(right)
        if type(right) is date:
            left = _as_day(left)
        match operator:
            case ast.In():
                return left in right
            case ast.NotIn():
                return left not in right
            case ast.Eq():
                return left == right
            case ast.NotEq():
                return left != right
            case ast.Lt():
                return left < right
            case ast.LtE():
                return left <= right
            case ast.Gt():
                return left > right
        return left >= right

    def _call(self, node: ast.Call) -> Any:
        assert isinstance(node.func, ast.Name)
        if node.func.id.startswith("crossed"):
            return self._crossed(node)
        values = [self.value(argument) for argument in node.args]
        if None in values:
            return None
        match node.func.id:
            case "min":
                return min(values)
            case "max":
                return max(values)
            case "abs":
                return abs(values[0])
            case "days_until":
                return (_as_day(values[0]) - self.today).days
            case "business_days_until":
                return self._business_days(_as_day(values[0]))
            case "slots":
                return self._slots(int(values[0]), values[1] if len(values) > 1 else None)
            case "percent":
                return 100 * Decimal(values[0]) / values[1] if values[1] != 0 else None
        return round(Decimal(values[0]), int(values[1]) if len(values) > 1 else 0)

    def _business_days(self, day: date) -> int:
        first, last = sorted((self.today, day))
        ordinals = range(first.toordinal(), last.toordinal())
        count = sum(self._works(date.fromordinal(ordinal)) for ordinal in ordinals)
        return count if day >= self.today else -count

    def _works(self, day: date) -> bool:
        worked, off = self.values.get("worked", ()), self.values.get("holidays", ())
        return day in worked or (day.weekday() < 5 and day not in off)

    def _slots(self, count: int, desk: str | None) -> tuple[str, ...]:
        """Nine to five by the hour, after the moment ``now`` (hours from the beginning of today)."""
        hours = self.values.get("desks", {}).get(desk, range(9, 17))
        begins = (
            (date.fromordinal(self.today.toordinal() + later), hour)
            for later in range(60)
            for hour in hours
            if later * 24 + hour > self.values["now"]
        )
        open_ones = [f"{day} {hour:02}:00" for day, hour in begins if self._works(day)]
        return tuple(open_ones[:count])

    def _crossed(self, node: ast.Call) -> Any:
        now, level = (self.value(argument) for argument in node.args)
        earlier = {path: value for path, value in self.values.items() if not path.startswith(("customer", "account"))}
        for path, value in self.values.items():
            if path.startswith("before."):
                rest = path.removeprefix("before.")
                earlier[rest if rest.startswith("account.") else f"customer.{rest}"] = value
        before = _Walk(self.text, earlier, self.today).value(node.args[0])
        if now is None or level is None or before is None:
            return None
        assert isinstance(node.func, ast.Name)
        return before < level <= now if node.func.id == "crossed_above" else before >= level > now


def _as_day(value: Any) -> Any:
    """A text beside a date is one; so are those of a list."""
    if isinstance(value, list):
        return [_as_day(item) for item in value]
    return date.fromisoformat(value) if isinstance(value, str) else value
