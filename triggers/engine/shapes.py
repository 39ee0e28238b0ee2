"""What the kinds and flags of an event decide is decided once for each combination of them, not for each event.

Of a dozen triggers that wake on a transaction most ask first for a direction or a kind. An event's *shape* is its
values of the enums and flags that such conditions read: there are a few dozen, each is met thousands of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from triggers.engine.scope import Scope
from triggers.language.model import Expression
from triggers.language.names import CATALOGUE

T = TypeVar("T")
L = TypeVar("L")


def decides(expression: Expression, record_type: str) -> bool:
    """Whether the shape of such an event is all that an expression reads."""
    names = [CATALOGUE.get(name) for name in expression.names]
    return bool(names) and all(
        name is not None
        and name.part == "event"
        and name.type.kind in ("enum", "flag")
        and record_type in name.record_types
        for name in names
    )


class ByShape(Generic[T, L]):
    """Things by the shape of an event: ``resolve`` says what a thing comes to for it, ``None`` to leave it out.

    It is given a scope that holds the event alone. ``conditions`` are what it evaluates there. ``gather`` makes of the
    things of a shape what is kept.
    """

    __slots__ = ("_gather", "_known", "_read", "_resolve", "_things")

    def __init__(
        self,
        things: Sequence[T],
        conditions: Iterable[Expression],
        resolve: Callable[[T, Scope], T | None],
        gather: Callable[[list[T]], L],
    ) -> None:
        names = sorted({CATALOGUE[name].attribute for condition in conditions for name in condition.names})
        self._read: Callable[[Any], Any] = attrgetter(*names) if names else lambda _: None
        self._things = things
        self._resolve = resolve
        self._gather = gather
        self._known: dict[Any, L] = {}

    def of(self, event: Any) -> L:
        """What the things come to for an event, in their order."""
        shape = self._read(event)
        known = self._known.get(shape)
        if known is None:
            scope = Scope()
            scope.event = event
            resolved = [self._resolve(thing, scope) for thing in self._things]
            known = self._known[shape] = self._gather([thing for thing in resolved if thing is not None])
        return known
