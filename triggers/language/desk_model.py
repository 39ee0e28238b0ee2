"""Who looks after whom: the desks of a rule set, as ``desks.yaml`` sets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from triggers.language.model import OnEvery


@dataclass(frozen=True, slots=True)
class DeskRule:
    """A desk: the tiers whose customers are its own, lowest first, and what is asked of each of its managers.

    ``contact_ms`` is how often each customer is spoken with at least; ``None`` promises nothing.
    """

    name: str
    tiers: tuple[str, ...]
    capacity: int = 1000
    contact_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Customers with so much at other banks belong to this desk where their tier has none."""

    least: Decimal
    desk: str


@dataclass(frozen=True, slots=True)
class Handover:
    """From one desk's manager to another's: how long approval is waited for, when after it the new manager is asked to
    call, and for how long after it, on business days, they may call.
    """

    approve_ms: int
    ask_ms: int
    call_ms: int


@dataclass(frozen=True, slots=True)
class Recall:
    """A customer nobody spoke with for ``after_ms`` goes to another manager. ``evaluate`` is when managers are reported
    on.
    """

    after_ms: int
    evaluate: OnEvery


@dataclass(frozen=True, slots=True)
class Desks:
    """The desks of a bank, the one with the lowest tiers first. ``review`` is when customers move between them."""

    desks: tuple[DeskRule, ...]
    review: OnEvery
    handover: Handover
    elsewhere: Elsewhere | None = None
    recall: Recall | None = None
    by_tier: Mapping[str, str] = field(default_factory=dict)

    def rank(self, desk: str | None) -> int:
        """How high a desk stands; -1 for one that owns no tier."""
        return next((rank for rank, rule in enumerate(self.desks) if rule.name == desk), -1)

    def rule(self, desk: str) -> DeskRule | None:
        """What is said of a desk; ``None`` for one that the bank does not have."""
        return next((rule for rule in self.desks if rule.name == desk), None)
