"""What a pool keeps: a branch's managers, their customers, and what is under way between them."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

MOST_LEFT: Final = 1_000
"""How many of the customers who left a pool are remembered, so that a repeated standing does not bring them back."""


class ManagerEntry(msgspec.Struct, array_like=True, gc=False):
    """A manager of the pool. ``capacity`` is what the bank says; the rules may allow less.

    ``overloaded``: it was reported. ``recalled`` counts customers taken away for neglect since the last evaluation.
    """

    sequence: int
    desk: str
    capacity: int
    active: bool
    overloaded: bool = False
    recalled: int = 0


class Move(msgspec.Struct, array_like=True, gc=False):
    """A handover under way to the manager ``to``: ``asked`` for approval, ``approved``, or ``calling``.

    ``at`` is when it was asked for, then when it was approved. ``occasion`` is what it began with.
    """

    id: str
    to: str
    occasion: str
    at: int
    phase: str = "asked"


class Client(msgspec.Struct, array_like=True, gc=False):
    """A customer of the pool.

    ``number`` is that of the latest standing, ``issued`` that of the latest step; ``manager`` is whoever has the
    customer after that step. ``since`` is when the pool learnt of that, ``contacted`` the latest conversation (ms, 0:
    none known), ``spoken`` the latest with the manager. ``waits`` says for what kind of manager it waits, in turn by
    ``waits_since``.
    """

    number: int
    issued: int
    desk: str | None = None
    manager: str | None = None
    contacted: int = 0
    since: int = 0
    waits: str = ""
    waits_since: int = 0
    move: Move | None = None
    spoken: int = 0


class PoolState(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """Everything kept of one pool. ``told`` has the day (ordinal) of the period that a schedule last came round for."""

    ruleset: str = ""
    clock: int = 0
    indexed_due: int | None = None
    managers: dict[str, ManagerEntry] = {}
    clients: dict[str, Client] = {}
    timers: dict[str, int] = {}
    told: dict[str, int] = {}
    left: dict[str, int] = {}
    """Customers who left, with the number of their last standing; the latest last."""


class Pool:
    """A pool's state with what follows from it: how many customers each manager has or is to get."""

    __slots__ = ("freed", "key", "loads", "state", "waiting")

    def __init__(self, key: str, state: PoolState) -> None:
        self.key = key
        self.state = state
        self.loads: Counter[str] = Counter()
        self.waiting: set[str] = set()
        self.freed = False
        """Whether room may have come since who waits was last looked at."""
        for customer, client in state.clients.items():
            self.count(client, 1)
            if client.waits:
                self.waiting.add(customer)

    def count(self, client: Client, times: int) -> None:
        """Adds a customer to the loads, or with -1 takes it out: before and after every change."""
        if client.manager is not None:
            self.loads[client.manager] += times
        if client.move is not None and client.move.phase == "asked":
            # Who is asked for keeps the place.
            self.loads[client.move.to] += times
        self.freed = self.freed or times < 0
