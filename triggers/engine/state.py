"""What the system keeps of one customer. Plain mutable data: the engine changes it, the codec writes it.

Structs of msgspec, which reads and writes them without a step of Python for each field. The collector does not look at
them (``gc=False``): no state can hold itself, and a worker has hundreds of thousands of them.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from struct import Struct
from typing import Any, Final

import msgspec

from triggers.engine.seen import Seen
from triggers.engine.series import SeriesState

_HEARD: Final = Struct("<qQ")
_REMEMBERED: Final = 4
_ZERO: Final = Decimal(0)
pack_heard: Final = _HEARD.pack
HEARD_BYTES: Final = _HEARD.size
"""What one event takes among the latest of its kind, of which there are ``MOST_HEARD`` bytes at most."""
MOST_HEARD: Final = _REMEMBERED * HEARD_BYTES


class Account(msgspec.Struct, array_like=True, gc=False):
    """An account as settled by the publisher's sequence: the balance of the highest one seen."""

    id: str
    currency: str
    balance: Decimal
    sequence: int


class Holding(msgspec.Struct, array_like=True, gc=False):
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
    reminded: dict[str, str] = {}

    @property
    def open(self) -> bool:
        """Whether it still falls due."""
        return self.status in ("purchased", "corrected")


class Memory(msgspec.Struct, array_like=True, gc=False):
    """What one trigger remembers: when it fired, through which event, and whether it is armed again.

    ``before_ms`` is the firing before, so that a reversal of the latest one can be taken back (0: none).
    """

    fired_ms: int = 0
    fired_key: int = 0
    before_ms: int = 0
    armed: bool = True

    def take_back(self) -> None:
        """Forgets the latest firing, which was withdrawn."""
        self.fired_ms, self.fired_key, self.before_ms, self.armed = self.before_ms, 0, 0, True


class Waiting(msgspec.Struct, array_like=True, gc=False):
    """What a wait knows: the events that may begin it and those that answer it, each (time, key), oldest first.

    Everything before ``settled`` is decided. ``told_ms`` and ``told_key`` are the event after which it last ran out
    (0: none).
    """

    settled: int = -(1 << 62)
    told_ms: int = 0
    told_key: int = 0
    begun: list[tuple[int, int]] = []
    answered: list[tuple[int, int]] = []


class Sent(msgspec.Struct, array_like=True, gc=False):
    """One step of a journey that went out. ``outcome`` is the best feedback on it so far."""

    action_id: str
    channel: str
    step: int
    at: int
    expires: int
    outcome: str = ""
    withdrawn: bool = False


class Journey(msgspec.Struct, array_like=True, gc=False):
    """An occasion that led to contact, with its ladder's progress. ``outcome`` is the best feedback so far.

    ``at`` is the time of the occasion. ``offer`` and its ``complexity`` are those of the first step: every later one
    carries the same. ``deadline`` is when a step that waits for a better moment would have expired; 0 where none waits.
    ``account_id`` is the account of its event, empty where there was none.
    """

    trigger: str
    occasion: str
    event_key: int
    holding_id: str
    at: int
    category: str
    offer: str
    complexity: str
    value: str | None
    fields: dict[str, str]
    sent: list[Sent] = []
    outcome: str = ""
    cancelled: bool = False
    deadline: int = 0
    account_id: str = ""

    @property
    def last_step(self) -> int:
        """The latest step that went out; the first where none did."""
        return self.sent[-1].step if self.sent else 0

    @property
    def touched_at(self) -> int:
        """When it was last active."""
        return self.sent[-1].at if self.sent else self.at


class Proposal(msgspec.Struct, array_like=True, gc=False):
    """A candidate that waits for the end of its arbitration window, with the journey it would begin.

    ``version`` is that of its trigger. ``account_id`` is the account of its event, ``woken_by`` what derived event it
    heard, both empty where there was none.
    """

    journey: Journey
    version: int
    account_id: str = ""
    woken_by: str = ""


class Contact(msgspec.Struct, array_like=True, gc=False, frozen=True, order=True):
    """A contact as the policy's rules count it; ``at`` in ms."""

    at: int
    trigger: str
    category: str
    channel: str


class Heard(msgspec.Struct, array_like=True, gc=False):
    """The latest events of a kind, oldest first: packed rows of time (ms) and key."""

    rows: bytearray = msgspec.field(default_factory=bytearray)

    @property
    def newest(self) -> int | None:
        """The time of the latest."""
        return None if not self.rows else _HEARD.unpack_from(self.rows, len(self.rows) - _HEARD.size)[0]

    def note(self, at: int, key: int) -> int:
        """Adds an event and returns the time of the latest.

        Of more than four the oldest goes: as many reversals in a row can be taken back.
        """
        rows = self.rows
        newest = _HEARD.unpack_from(rows, len(rows) - _HEARD.size)[0] if rows else at
        rows += pack_heard(at, key)
        if newest > at:
            self.rows = rows = bytearray().join(_HEARD.pack(*row) for row in sorted(_HEARD.iter_unpack(rows)))
        else:
            newest = at
        if len(rows) > MOST_HEARD:
            del rows[:HEARD_BYTES]
        return newest

    def remove(self, key: int) -> bool:
        """Takes an event back; whether it was there."""
        kept = [_HEARD.pack(*row) for row in _HEARD.iter_unpack(self.rows) if row[1] != key]
        if len(kept) * _HEARD.size == len(self.rows):
            return False
        self.rows = bytearray().join(kept)
        return True


class Holds(msgspec.Struct, array_like=True, gc=False):
    """When the condition of a tag that holds on was seen true, oldest first: (time, event's key, turned true then).

    Two rows, one after the other, of which the second did not turn true, are of one spell.
    """

    rows: list[tuple[int, int, bool]] = []
    lasts: bool = False
    """Whether it was true at the latest look."""

    def note(self, at: int, key: int) -> None:
        """It is true now, as the event left it."""
        rows = self.rows
        rows.append((at, key, not self.lasts))
        self.lasts = True
        if len(rows) > _REMEMBERED:
            # What began a spell outlasts the looks that only found it going on.
            del rows[0 if rows[1][2] else 1]

    def take_back(self, key: int, *, still: bool) -> bool:
        """Forgets what an event brought; whether there was any.

        Where the condition is not true without the event, it would not have been so in the rest of that spell either.
        """
        rows = self.rows
        first = next((index for index, row in enumerate(rows) if row[1] == key), None)
        if first is None:
            return False
        end = first + 1
        while not still and end < len(rows) and not rows[end][2]:
            end += 1
        if still and rows[first][2] and end < len(rows):
            rows[end] = (*rows[end][:2], True)
        if end == len(rows) and rows[first][2]:
            self.lasts = False
        del rows[first:end]
        return True


class DeskSide(msgspec.Struct, array_like=True, gc=False):
    """The customer's side of what is between them and the desk pool of their branch.

    ``told`` is what the latest standing, of this ``number``, said: desk, manager, conversation, step known.
    ``answered`` is the latest step known. ``given`` is the manager whom the desk gave, as long as the profile still
    says ``over``; the manager's desk stands beside. ``spoken`` is the latest conversation with the manager (ms, 0:
    none), ``told_spoken`` what the latest standing said of it.
    """

    pool: str
    number: int = -1
    answered: int = 0
    told: tuple[str | None, str | None, int, int] = (None, None, 0, 0)
    given: str | None = None
    over: str | None = None
    given_desk: str | None = None
    spoken: int = 0
    told_spoken: int = 0


class CustomerState(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """Everything kept of one customer.

    A section is a field: to add one, add it here, before ``key``; the codec writes every field up to there, in this
    order. Its type is one that msgspec can write: numbers, texts, dates, mappings, lists, structs of them.

    The attributes of the profile are those that expressions name (``customer.tier`` …). ``balance`` is the sum of
    the known accounts in the bank's currency, with transfers between own accounts counted as never away;
    ``aum`` adds the open holdings. Both are ``None`` while nothing is known.
    """

    ruleset: str = ""
    currency: str = ""
    """The bank's currency, in which the totals are reckoned."""
    clock: int = 0
    indexed_due: int | None = None
    account_map: dict[str, Account] = {}
    seen: dict[str, Seen] = {}
    series: dict[str, SeriesState] = {}
    activity: dict[str, Heard] = {}
    timers: dict[str, int] = {}
    memory: dict[str, Memory] = {}
    journeys: list[Journey] = []
    contacts: list[Contact] = []
    """The contacts the customer has had, oldest first, as far back as the policy looks."""
    attempts: dict[str, tuple[int, int]] = {}
    """Contacts in a category since the last sale in it, or since its pause: how many, and the last one's time."""
    holding_map: dict[str, Holding] = {}
    transit: dict[int, tuple[int, int]] = {}
    """Legs of own-account transfers whose other leg has not come: key → (amount in 1/10,000, time)."""
    undone: dict[int, int] = {}
    """Events whose reversal came before them: key → time of the reversal."""
    told: dict[str, int] = {}
    """By a timer's name: for a silence the event (its time) after which it last ran; for a schedule the day, as an
    ordinal, of the period that it last came round for."""
    waits: dict[str, Waiting] = {}
    derived: str = ""
    """The definitions of tiers and tags that were last looked at."""
    looked: int = 0
    """The time (ms) of that look."""
    tiers: dict[str, str] = {}
    """The tier in each tiering whose measure is known. Replaced when it changes, as ``tags``."""
    tags: dict[str, int] = {}
    """The tags: each with the time until which it stays (ms), 0 where it goes with its condition."""
    tag_holds: dict[str, Holds] = {}
    """Of the tags that stay for a time, as long as they do: what their conditions owe to which events."""
    profile_tier: str | None = None
    """What the profile says. ``tier`` is the one that counts: the main one of ``tiers`` where there is one."""

    profile_sequence: int = -1
    tier: str | None = None
    birth_date: date | None = None
    sex: str | None = None
    district: str | None = None
    manager_id: str | None = None
    segments: tuple[str, ...] | None = None
    employee: bool | None = None
    blacklisted: bool | None = None
    consents: dict[str, bool] = {}
    app_user: bool | None = None
    mobile_valid: bool | None = None
    mobile_pay_user: bool | None = None
    online_wealth_user: bool | None = None
    branch_visits_per_month: int | None = None
    completeness: Decimal | None = None
    wealth_elsewhere: Decimal | None = None
    branch_id: str | None = None

    proposals: list[Proposal] = []
    """The candidates of the arbitration window under way."""
    exclusion_list: int | None = None
    exclusion_confirmed: bool | None = None
    confirmed_list: int = -1
    """The latest version of the exclusion lists that the branch confirmed for this customer; -1 before the first."""
    confirmed_on: str = ""
    """The list that the customer was on in that version; empty for none."""
    channel_scores: dict[str, tuple[int, int]] = {}
    """By channel: how much the customer answers on it, in millionths of a point, as of a time (ms)."""
    unanswered: dict[str, int] = {}
    """The channels whose last ladder nobody answered, each with the time (ms) at which it ran out."""
    channels_left: int | None = None
    """Of the channels that count for it, how many may be used and are not ``unanswered``; ``None`` where all are."""

    desk_side: DeskSide | None = None
    contacted: int = 0
    """When somebody of the bank last spoke with the customer (ms); 0 where that is not known."""

    # From here on: not written.
    key: str = ""
    balance: Decimal | None = None
    aum: Decimal | None = None
    today: date | None = None
    idle_until: int = 0
    """No timer is due before this time (ms); 0 where that is not known."""
    extremes: list[int] | None = None
    """Of each level of the customer's, as long as nothing but usual transactions comes: a number (1/10,000) that none
    kept of it is less than, one that none is greater than, and 1 where a look may find nearer ones, else 0.
    """

    @property
    def accounts(self) -> int:
        """How many accounts are known."""
        return len(self.account_map)

    @property
    def holdings(self) -> int:
        """How many products fall due some day."""
        return sum(1 for holding in self.holding_map.values() if holding.open)

    @property
    def excluded_by(self) -> str:
        """The exclusion list that the profile has the customer on; empty for none."""
        return "blacklist" if self.blacklisted else "employees" if self.employee else ""

    @property
    def product_kinds(self) -> int:
        """How many different kinds of product these are."""
        return len({holding.kind for holding in self.holding_map.values() if holding.open})

    @property
    def managed(self) -> bool | None:
        """Whether a manager is known; unknown until there is a profile."""
        return None if self.profile_sequence < 0 and self.manager_id is None else self.manager_id is not None

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
        # In plain loops: this is done of every state that is read.
        balance = aum = None
        for account in self.account_map.values():
            if account.currency == currency:
                balance = account.balance if balance is None else balance + account.balance
        if balance is not None:
            # Of one account it is the account's own number: the usual transaction goes by that. A zero has no sign.
            balance = balance or _ZERO
            if self.transit:
                balance += Decimal(sum(amount for amount, _ in self.transit.values())).scaleb(-4)
            aum = balance
        for holding in self.holding_map.values():
            if holding.open and holding.currency == currency and holding.kind != "loan":
                aum = (_ZERO if aum is None else aum) + holding.amount
        self.balance = balance
        self.aum = aum


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
    "branch_id",
    "exclusion_list",
    "exclusion_confirmed",
)
"""The fields a profile record replaces."""


class Before:
    """The customer's values before the event: only those that some expression reads."""

    account: Any
