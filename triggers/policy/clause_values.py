"""A clause with the values that it read: what a decision tells of a condition that was not true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from triggers.engine.scope import Scope
from triggers.engine.texts import text_of
from triggers.language.model import Expression

_LONGEST: Final = 200
_MOST: Final = 10
_PARTS: Final = ("customer", "account", "product")


def explain(clause: Expression, scope: Scope) -> dict[str, str]:
    """The clause and the fields it reads of customer, account and product, ten at most, each as bounded text."""
    detail = {"clause": clause.source[:_LONGEST]}
    for path in sorted(clause.names)[:_MOST]:
        part, _, name = path.partition(".")
        if part in _PARTS:
            detail[path] = _show(_value(getattr(scope, part), name))
    return detail


def _value(holder: Any, name: str) -> Any:
    if holder is None or hasattr(holder, name):
        return getattr(holder, name, None)
    return holder.tiers.get(name)  # of a customer; whatever else has no such name


def _show(value: Any) -> str:
    if value is None:
        return "unknown"
    return ", ".join(value)[:_LONGEST] if isinstance(value, Mapping) else text_of(value)
