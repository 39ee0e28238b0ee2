"""What the system keeps of one customer. Plain mutable data: the engine changes it, the codec writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from triggers.engine.seen import Seen
from triggers.engine.series import SeriesState


@dataclass(slots=True)
class Account:
    """An account as settled by the publisher's sequence: the balance of the highest one seen."""

    id: str
    currency: str
    balance: Decimal
    sequence: int


@dataclass(slots=True)
class Holding:
    """A product the customer holds or held. ``id`` is the product's own.

    ``reminded`` maps a wake to the due day it fired for.
    """

    holding_id: str
    sequence: int
    status: str
    id: str
    kind: str
    amount: Decimal
    currency: str
    term_days: int
    expected_yield: Decimal | None
    purchased_on: date
    matures_on: date
    reminded: dict[str, str] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether it still falls due."""
        return self.status in ("purchased", "corrected")


@dataclass(slots=True)
class Memory:
    """What one trigger remembers: when it fired, through which event, and whether it is armed again.

    ``before_ms`` is the firing before, so that a reversal of the latest one can be taken back (0: none).
    """

    fired_ms: int = 0
    fired_key: int = 0
    before_ms: int = 0
    armed: bool = True


@dataclass(slots=True)
class Sent:
    """One step of a journey that went out."""

    action_id: str
    channel: str
    step: int
    at: int
    expires: int


@dataclass(slots=True)
class Journey:
    """An occasion that led to contact, with its ladder's progress. ``outcome`` is the best feedback so far.

    ``offer`` and its ``complexity`` are those of the first step: every later one carries the same.
    """

    trigger: str
    occasion: str
    event_key: int
    holding_id: str
    category: str
    offer: str
    complexity: str
    value: str | None
    fields: dict[str, str]
    sent: list[Sent] = field(default_factory=list)
    outcome: str = ""
    cancelled: bool = False


class Contact(NamedTuple):
    """A contact as the policy's rules count it; ``at`` in ms."""

    at: int
    trigger: str
    category: str
    channel: str


class CustomerState:
    """Everything kept of one customer.

    The attributes of the profile are those that expressions name (``customer.tier`` …). ``balance`` is the sum of
    the known accounts in the bank's currency, with transfers between own accounts counted as never away;
    ``aum`` adds the open holdings. Both are ``None`` while nothing is known.
    """

    __slots__ = (
        "account_map",
        "activity",
        "app_user",
        "attempts",
        "aum",
        "balance",
        "birth_date",
        "blacklisted",
        "branch_visits_per_month",
        "clock",
        "completeness",
        "consents",
        "contacts",
        "currency",
        "district",
        "employee",
        "holding_map",
        "indexed_due",
        "journeys",
        "key",
        "manager_id",
        "memory",
        "mobile_pay_user",
        "mobile_valid",
        "online_wealth_user",
        "profile_row",
        "profile_sequence",
        "ruleset",
        "seen",
        "segments",
        "series",
        "sex",
        "tier",
        "timers",
        "today",
        "told",
        "transit",
        "undone",
        "wealth_elsewhere",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.ruleset = ""
        self.clock = 0
        self.indexed_due: int | None = None
        self.currency = ""
        """The bank's currency, in which the totals are reckoned."""
        self.balance: Decimal | None = None
        self.aum: Decimal | None = None
        self.today: date | None = None
        self.account_map: dict[str, Account] = {}
        self.holding_map: dict[str, Holding] = {}
        self.transit: dict[int, tuple[int, int]] = {}
        """Legs of own-account transfers whose other leg has not come: key → (amount in 1/10,000, time)."""
        self.seen: dict[str, Seen] = {}
        self.undone: dict[int, int] = {}
        """Events whose reversal came before them: key → time of the reversal."""
        self.series: dict[str, SeriesState] = {}
        self.activity: dict[str, list[tuple[int, int]]] = {}
        """The latest events of a kind: (time, key), oldest first."""
        self.told: dict[str, int] = {}
        """The event (its time) after which a silence timer has last run."""
        self.memory: dict[str, Memory] = {}
        self.journeys: list[Journey] = []
        self.contacts: list[Contact] = []
        """The contacts the customer has had, oldest first, as far back as the policy looks."""
        self.attempts: dict[str, tuple[int, int]] = {}
        """Contacts in a category since the last sale in it, or since its pause: how many, and the last one's time."""
        self.timers: dict[str, int] = {}
        self.profile_sequence = -1
        self.profile_row: tuple[Any, ...] | None = None
        """The profile as the codec writes it."""
        self.tier: str | None = None
        self.birth_date: date | None = None
        self.sex: str | None = None
        self.district: str | None = None
        self.manager_id: str | None = None
        self.segments: tuple[str, ...] | None = None
        self.employee: bool | None = None
        self.blacklisted: bool | None = None
        self.consents: dict[str, bool] = {}
        self.app_user: bool | None = None
        self.mobile_valid: bool | None = None
        self.mobile_pay_user: bool | None = None
        self.online_wealth_user: bool | None = None
        self.branch_visits_per_month: int | None = None
        self.completeness: Decimal | None = None
        self.wealth_elsewhere: Decimal | None = None

    @property
    def accounts(self) -> int:
        """How many accounts are known."""
        return len(self.account_map)

    @property
    def holdings(self) -> int:
        """How many products fall due some day."""
        return sum(1 for holding in self.holding_map.values() if holding.open)

    @property
    def age(self) -> int | None:
        """Full years at the day of evaluation."""
        born, today = self.birth_date, self.today
        if born is None or today is None:
            return None
        return today.year - born.year - ((today.month, today.day) < (born.month, born.day))

    def settle(self, currency: str) -> None:
        """Works out ``balance`` and ``aum`` from accounts, transfers under way and open holdings."""
        self.currency = currency
        balances = [account.balance for account in self.account_map.values() if account.currency == currency]
        held = [
            holding.amount
            for holding in self.holding_map.values()
            if holding.open and holding.currency == currency and holding.kind != "loan"
        ]
        self.balance = sum(balances, Decimal(0)) if balances else None
        if self.balance is not None and self.transit:
            self.balance += Decimal(sum(amount for amount, _ in self.transit.values())).scaleb(-4)
        self.aum = (self.balance or Decimal(0)) + sum(held, Decimal(0)) if balances or held else None


PROFILE_FIELDS = (
    "tier",
    "birth_date",
    "sex",
    "district",
    "manager_id",
    "segments",
    "employee",
    "blacklisted",
    "consents",
    "app_user",
    "mobile_valid",
    "mobile_pay_user",
    "online_wealth_user",
    "branch_visits_per_month",
    "completeness",
    "wealth_elsewhere",
)
"""The fields a profile record replaces, in the order the codec writes them."""


class Before:
    """The customer's values before the event: only those that some expression reads."""

    account: Any
