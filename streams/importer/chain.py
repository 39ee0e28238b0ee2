"""Finds the order in which the balances of one account's rows add up, where the file does not tell it.

Banks' extracts often date a booking to the day and list a day's rows in no causal order, yet each row carries the
balance after it. A row then is a directed edge from the balance before it to the balance after it, and the order
in which all rows add up is an Eulerian trail of that graph that begins at the opening balance. Such a trail, or
the smallest number of trails that together use every row once, is found in time linear in the rows
(Hierholzer's algorithm), so no search can run away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Step:
    """One row: its signed amount (credit above zero) and the balance after it."""

    amount: Decimal
    balance: Decimal

    @property
    def before(self) -> Decimal:
        """The balance that this row must have found."""
        return self.balance - self.amount


def order_by_balance(
    opening: Decimal | None, steps: Sequence[Step], tolerance: Decimal = _ZERO, following: Sequence[Step] = ()
) -> list[int]:
    """The order of ``steps`` (indexes into it) in which the most balances add up.

    ``opening`` is the balance before them, ``None`` where unknown. ``tolerance`` is by how much a step may miss,
    for balances that were rounded. ``following`` are the rows of the account's next group: where several orders
    are equally good, one that ends where the next group begins is taken; after that, the given order decides. The
    given order is kept when no other is better.
    """
    given = list(range(len(steps)))
    if len(steps) == 1:
        return given
    entries = [step.before for step in following]

    def quality(order: list[int]) -> tuple[int, int, int]:
        within = exact = 0
        for gap in gaps(opening, [steps[index] for index in order]):
            within += gap <= tolerance
            exact += gap == 0
        end = steps[order[-1]].balance
        return within, exact, any(abs(end - entry) <= tolerance for entry in entries)

    found = [_trails(opening, steps, slack, entries) for slack in dict.fromkeys((_ZERO, tolerance))]
    return max([given, *found], key=quality)


def gaps(opening: Decimal | None, steps: Sequence[Step]) -> Iterator[Decimal]:
    """By how much each step misses the balance before it; the first is left out when ``opening`` is unknown."""
    balance = opening
    for step in steps:
        if balance is not None:
            yield abs(balance + step.amount - step.balance)
        balance = step.balance


_OUTSIDE: Final = -1
"""The node that joins the loose ends: an edge from it begins a trail, an edge to it ends one."""


def _trails(opening: Decimal | None, steps: Sequence[Step], slack: Decimal, entries: Sequence[Decimal]) -> list[int]:
    """As few trails as use every step once, the one from ``opening`` first, one that ends in ``entries`` last."""
    points = [step.before for step in steps] + [step.balance for step in steps] + list(entries)
    node = _nodes(points if opening is None else [*points, opening], slack)
    start = None if opening is None else node[opening]
    ends = {node[entry] for entry in entries}

    leaving: dict[int, list[tuple[int, int | None]]] = {}
    surplus: dict[int, int] = {}
    for index, step in enumerate(steps):
        origin, target = node[step.before], node[step.balance]
        leaving.setdefault(origin, []).append((target, index))
        surplus[origin] = surplus.get(origin, 0) + 1
        surplus[target] = surplus.get(target, 0) - 1
    for at, over in surplus.items():
        if over > 0:
            leaving.setdefault(_OUTSIDE, []).extend([(at, None)] * over)
        elif over < 0:
            leaving.setdefault(at, []).extend([(_OUTSIDE, None)] * -over)
    for edges in leaving.values():
        edges.reverse()  # the walk takes from the end: the given order where nothing else decides

    # Whatever hangs together with a loose end is one round through the outside; what is left after it are closed
    # rounds. One that the opening balance lies on begins there.
    trails: list[list[int]] = []
    for origin in [_OUTSIDE, *([] if start is None else [start]), *(node[step.before] for step in steps)]:
        if leaving.get(origin):
            trails += _split(_round(origin, leaving))
    trails.sort(
        key=lambda trail: (
            node[steps[trail[0]].before] != start,
            node[steps[trail[-1]].balance] in ends,
            min(trail),
        )
    )
    return [index for trail in trails for index in trail]


def _round(origin: int, leaving: dict[int, list[tuple[int, int | None]]]) -> list[int | None]:
    """Hierholzer: a closed round from ``origin`` over all edges reachable from it, as the edges' labels."""
    path: list[tuple[int, int | None]] = [(origin, None)]
    labels: list[int | None] = []
    while path:
        edges = leaving.get(path[-1][0])
        if edges:
            path.append(edges.pop())
        else:
            labels.append(path.pop()[1])
    labels.reverse()
    return labels


def _split(labels: list[int | None]) -> list[list[int]]:
    trails: list[list[int]] = [[]]
    for label in labels:
        if label is None:
            trails.append([])
        else:
            trails[-1].append(label)
    return [trail for trail in trails if trail]


def _nodes(points: Sequence[Decimal], slack: Decimal) -> dict[Decimal, int]:
    """Numbers the balances; neighbours that lie no more than ``slack`` apart are one node."""
    node: dict[Decimal, int] = {}
    number = 0
    last: Decimal | None = None
    for point in sorted(set(points)):
        if last is not None and point - last > slack:
            number += 1
        node[point] = number
        last = point
    return node
