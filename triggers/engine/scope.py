"""What an expression can see while it is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any


class Scope:
    """The names of an expression. Each part is ``None`` where it does not apply: its fields are then unknown.

    ``event`` is the record; ``customer``, ``account`` and ``product`` are parts of the customer's state, after
    the event; ``before`` is the customer before it (``before.account`` its account before it). ``offer`` is an
    entry of the catalogue while one is chosen, and then the one chosen.
    """

    __slots__ = (
        "account",
        "action",
        "before",
        "business_days_until",
        "customer",
        "event",
        "feature",
        "offer",
        "product",
        "record",
        "slots",
        "today",
    )

    event: Any
    customer: Any
    account: Any
    product: Any
    before: Any
    offer: Any
    action: Any
    record: Any
    """What came, whether or not the trigger under evaluation may read it as ``event``."""
    feature: Callable[[int], Any]
    """The value of the rule set's feature with this index, ``None`` where unknown."""
    today: Callable[[], date]
    """The day in the bank's time zone at the moment of evaluation."""
    business_days_until: Callable[[date], int]
    """The business days from that day on that come before this one."""
    slots: Callable[[int, str | None], tuple[str, ...]]
    """The next open slots of a desk, such as "2026-03-02 10:00"."""

    def __init__(self) -> None:
        self.record = self.event = self.customer = self.account = self.product = self.before = None
        self.offer = self.action = None
