"""A rule set as the engine runs it: every trigger checked, every expression compiled, every feature shared.

The loader builds these from files; nothing here knows YAML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from triggers.language.calendar import Calendar, Roll, Since

if TYPE_CHECKING:
    from triggers.engine.scope import Scope
    from triggers.language.clauses import Clause
    from triggers.language.desk_model import Desks

_HOLD_MS = 2 * 86_400_000

Evaluate = Callable[["Scope"], Any]
"""A compiled expression. The value is ``None`` where it is unknown."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression with its source text and the names it reads (``customer.balance``, ``peak_7d`` …)."""

    source: str
    evaluate: Evaluate
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class OnEvent:
    """Wakes on an event: ``transaction``; ``behaviour.browse`` and ``feedback.opened`` have a detail."""

    record_type: str
    detail: str | None = None

    @property
    def name(self) -> str:
        """As a rule file writes it."""
        return self.record_type if self.detail is None else f"{self.record_type}.{self.detail}"

    def covers(self, kind: str, detail: str | None) -> bool:
        """Whether an event of this kind and detail is meant."""
        return self.record_type == kind and self.detail in (None, detail)


@dataclass(frozen=True, slots=True)
class OnMaturity:
    """Wakes ``days`` days (calendar or business) before a holding falls due; 0 is on the day.

    ``roll`` says where a lead day goes that is no business day.
    """

    days: int
    business: bool = False
    roll: Roll = "none"


@dataclass(frozen=True, slots=True)
class OnSilence:
    """Wakes once when no such event came for ``after_ms``; the next event arms it again."""

    record_type: str
    detail: str | None
    after_ms: int


@dataclass(frozen=True, slots=True)
class OnWait:
    """Wakes when an ``unless`` event did not follow an ``after`` event within ``within_ms``."""

    after: OnEvent
    unless: OnEvent
    within_ms: int


Period = Literal["day", "week", "month", "quarter", "year"]


@dataclass(frozen=True, slots=True)
class OnEvery:
    """Wakes once in each period, at a time of day in the bank's time zone.

    ``day`` is the weekday (Monday 0) of a week, else the day of the period's month number ``month`` (from 1), or that
    month's last day where it is shorter. ``roll`` moves a day that is no business day. Each customer wakes at a
    fixed moment of its own within ``spread_ms`` after ``at``.
    """

    period: Period
    at: time
    day: int = 1
    month: int = 1
    roll: Roll = "next"
    spread_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class OnDerived:
    """Wakes on what the engine itself derives: ``tier.up``, ``digital_tier.down``, ``tag.added``, ``action.exhausted``.

    ``detail`` is the tag where only one is meant.
    """

    event: str
    detail: str | None = None


Wake = OnEvent | OnMaturity | OnSilence | OnWait | OnEvery | OnDerived


@dataclass(frozen=True, slots=True)
class Series:
    """Samples that features share: the values of one expression, taken at events.

    A *flow* (``level`` false) reads ``event.*``: one sample for each matching event. A *level* reads only what
    holds between events (``customer.balance``): its value stands until the next sample, so a window also sees
    the value in force at its beginning.
    """

    id: str
    expression: Expression
    where: Expression | None
    record_types: frozenset[str]
    by: By
    level: bool
    retain_ms: int
    money: bool = False
    """Whether its values are money: a flow of them is in one currency."""


Function = Literal["sum", "count", "max", "min", "mean", "first", "last", "distinct", "daily_mean"]


@dataclass(frozen=True, slots=True)
class Feature:
    """A function over a window of a series (index into ``RuleSet.series``).

    The window is the last ``over_ms``; with ``since`` it is the calendar period so far, of which ``over_ms`` is the
    longest there can be.
    """

    function: Function
    series: int
    over_ms: int
    since: Since | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the ladder: use ``channel``, ``after_ms`` after the step before.

    Not where its feedback was ``unless`` or better, nor where the condition ``unless_true`` holds. ``instead`` are the
    channels to try, in this order, where the gate refuses that one.
    """

    channel: str
    after_ms: int = 0
    unless: str | None = None
    unless_true: Expression | None = None
    instead: tuple[str, ...] = ()
    condition: Clause | None = None
    """``unless_true`` as a tree with places, for coverage."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel it may use, the best first."""
        return (self.channel, *self.instead)


Status = Literal["draft", "shadow", "live", "retired"]
OnChange = Literal["carry", "reset", "warm"]
By = Literal["customer", "account"]
Complexity = Literal["simple", "medium", "complex"]
OfferKind = Literal["deposit", "wealth", "fund", "bond", "insurance", "loan", "service"]
"""The kinds of product, and ``service``: a contact without a product, such as a call."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An entry of the catalogue, as ``offer.*`` sees it. ``tiers`` is ``None`` for all; the days are inclusive.

    ``titles`` is by language; empty where it has none.
    """

    id: str
    kind: OfferKind
    titles: Mapping[str, str] = field(default_factory=dict)
    product_id: str | None = None
    term: int | None = None
    expected_yield: Decimal | None = None
    complexity: Complexity | None = None
    min_amount: Decimal | None = None
    tiers: frozenset[str] | None = None
    valid_from: date | None = None
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """An offer that is chosen when the trigger fires: of these kinds, where a condition holds, the best of them."""

    kinds: tuple[OfferKind, ...]
    where: Expression | None = None
    best: Expression | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ladder is for: one of these events, where the condition holds once it took effect."""

    events: tuple[OnEvent, ...]
    when: Expression | None = None


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """What a trigger proposes. ``complexity`` is ``None`` where that of the offer counts."""

    offer: str | Choice
    category: str
    complexity: Complexity | None
    priority: int
    value: Expression | None
    expires_ms: int
    ladder: tuple[Step, ...]
    template: str | None
    fields: Mapping[str, Expression] = field(default_factory=dict)
    until: tuple[OnEvent, ...] = ()
    """The events that end the ladder."""
    goal: Goal | None = None
    """What ends it as a sale."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger, ready to run. ``clauses`` are the top-level ``and`` parts of ``when``, for explanations.

    ``titles`` is by language, ``title`` the English one.
    """

    id: str
    version: int
    title: str
    owner: str
    status: Status
    on: tuple[Wake, ...]
    when: Expression | None
    clauses: tuple[Expression, ...]
    rearm: Expression | None
    once_per_ms: int | None
    action: ActionSpec
    on_change: OnChange
    file: str
    cases: tuple[Case, ...] = ()
    condition: Clause | None = None
    """``when`` as a tree with places, for coverage and explanations."""
    titles: Mapping[str, str] = field(default_factory=dict)
    rearm_condition: Clause | None = None
    """``rearm`` in the same way."""


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """An event of a case: its time, its kind (``transaction`` …) and the fields the author gave.

    ``answers`` says which action a feedback is about, counted from 1; ``None`` is the latest.
    """

    at_ms: int
    record_type: str
    fields: Mapping[str, Any]
    line: int
    answers: int | None = None


@dataclass(frozen=True, slots=True)
class CaseContact:
    """A contact that the customer had before the case: it counts for caps, and for its trigger's ``once_per``.

    With ``expires_ms`` it was the last of its ladder, which is exhausted that long after it, unless it was answered.
    """

    at_ms: int
    channel: str
    category: str
    trigger: str | None
    offer: str | None
    outcome: str
    line: int
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class Expected:
    """What a case expects. Only the fields given are compared.

    ``cancelled`` is a withdrawal; ``held_back`` the reason why a candidate did not go out.
    """

    at_ms: int
    fields: Mapping[str, Any]
    line: int
    cancelled: bool = False
    held_back: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One inline test on a virtual clock. ``policy`` is its own, where it overrides the rule set's.

    ``from_ms`` is when the customer becomes known, where that is not at the first event.
    """

    name: str
    customer: Mapping[str, Any]
    events: tuple[CaseEvent, ...]
    expect: tuple[Expected, ...]
    line: int
    from_ms: int | None = None
    until_ms: int | None = None
    contacts: tuple[CaseContact, ...] = ()
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Tiering:
    """Customers in tiers by a measure. ``names`` and their lower ``edges`` (inclusive) stand lowest first.

    What lies below the lowest edge is in the lowest tier too. A tier that was reached is left downwards only below
    its ``floors``, which are the edges less the margin. ``touched_by`` are the records after which the measure may
    have another value; ``None`` where time alone may change it.
    """

    name: str
    measure: Expression
    names: tuple[str, ...]
    edges: tuple[Decimal, ...]
    floors: tuple[Decimal, ...]
    touched_by: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag: on a customer while ``when`` is true and for ``holds_ms`` after it was last true.

    ``touched_by`` are the records after which that may have changed; ``None`` where time alone may change it.
    """

    name: str
    when: Expression
    holds_ms: int = 0
    touched_by: frozenset[str] | None = None
    title: str = ""
    owner: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)
    """By language; empty where it has none."""


@dataclass(frozen=True, slots=True)
class Suite:
    """The inline tests of a tiering or a tag."""

    name: str
    file: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What the versions of the exclusion lists ask: see ``triggers/policy/list_confirmation.py``.

    ``version`` is the one in force: who was held against an older one is held back, as is, where these say so, whose
    branch has not confirmed, and of whom no version is known.
    """

    version: int | None = None
    hold_unconfirmed: bool = True
    hold_unversioned: bool = False


@dataclass(frozen=True, slots=True)
class Cap:
    """At most ``at_most`` contacts of a customer, of one category and on one channel where they are given.

    They are counted over the last ``per_ms`` or, where ``calendar`` names one, since this day, week (from Monday) or
    month began in the bank's time zone; ``per_ms`` is then the longest that can be. Contacts of the categories in
    ``exempt`` are counted and never held back: they are owed.
    """

    at_most: int
    per_ms: int
    category: str | None = None
    channel: str | None = None
    calendar: Literal["day", "week", "month"] | None = None
    exempt: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Cooldown:
    """How long after a contact no other begins: of any trigger, in the same category, of the same trigger (ms).

    It holds back the beginning of a ladder only: the ladder itself says when its next step comes.
    """

    all_ms: int = 0
    category_ms: int = 0
    trigger_ms: int = 0


@dataclass(frozen=True, slots=True)
class Attempts:
    """After ``at_most`` contacts in one category without a sale that category pauses for ``pause_ms``."""

    at_most: int
    pause_ms: int
    exempt: frozenset[str] = frozenset()
    """Categories that do not sell."""


@dataclass(frozen=True, slots=True)
class Suitability:
    """Whom these channels suit: customers for whom every clause holds. One that is unknown holds unless ``strict``."""

    channels: frozenset[str]
    clauses: tuple[Expression, ...]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """Which channels may carry offers of these complexities, to customers for whom ``when`` is true."""

    complexities: frozenset[str]
    channels: tuple[str, ...]
    when: Expression | None = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """When these channels are not used: from ``begin`` to ``end``, in minutes of the bank's day, also past midnight.

    ``days`` are those on which the hours begin: all, the business days (``open``) or the others (``closed``). A whole
    day is from 0 to 1,440.
    """

    channels: frozenset[str]
    begin: int
    end: int
    days: Literal["all", "open", "closed"] = "all"

    def begins_on(self, day: date, calendar: Calendar) -> bool:
        """Whether they begin on this day."""
        return self.days == "all" or calendar.is_business_day(day) is (self.days == "open")


@dataclass(frozen=True, slots=True)
class Holdout:
    """The share of customers, in percent, who are left alone: by all, and by single triggers. ``salt`` draws them.

    Actions of the categories ``but`` reach them all the same.
    """

    salt: str
    percent: int = 0
    triggers: Mapping[str, int] = field(default_factory=dict)
    but: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Season:
    """In these months of the bank's year, actions of these categories (all where ``None``) weigh ``times`` as much."""

    months: frozenset[int]
    times: Decimal
    categories: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """For customers of whom ``when`` is true, actions of these categories weigh ``times`` as much."""

    when: Expression
    times: Decimal
    categories: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What the gate and the engine obey. ``policy.yaml`` and ``calendar.yaml`` set it; these are the defaults."""

    currency: str = "CNY"
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    remind_at: time = time(9, 0)
    calendar: Calendar = field(default_factory=Calendar)
    lateness_ms: int = 7 * 86_400_000
    """An event older than this, against the newest of its kind of the customer, may be a repeat: it is set aside."""
    skew_ms: int = 3_600_000
    """An event further in the future than this is set aside (wall clock only)."""
    exclusion: Exclusion = field(default_factory=Exclusion)
    consent: frozenset[str] = frozenset({"sms", "wechat", "email"})
    """The channels that need the customer's recorded consent."""
    caps: tuple[Cap, ...] = (Cap(at_most=3, per_ms=7 * 86_400_000),)
    cooldown: Cooldown = field(default_factory=Cooldown)
    attempts: Attempts | None = None
    suitability: tuple[Suitability, ...] = ()
    routing: tuple[Route, ...] = ()
    """The first route that fits a candidate's complexity and customer decides; where none does, any channel will do."""
    quiet: tuple[Quiet, ...] = ()
    holdout: Holdout | None = None
    seasons: tuple[Season, ...] = ()
    objectives: tuple[Objective, ...] = ()
    ladders: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    """The ladders that triggers may name, such as the levels of service."""
    score: Expression | None = None
    """By which the candidates of one occasion compete; ``None`` is ``action.priority * season * objective``."""
    window_ms: int = 0
    """How long candidates wait for better ones; with 0 only those of one occasion compete."""
    desks: Desks | None = None
    """Who looks after whom; ``None`` where no file says so."""
    channel_half_life_ms: int = 90 * 86_400_000
    """After how long what was learned of a customer's channels counts half; 0 where nothing is learned."""
    reach: frozenset[str] = frozenset({"push", "sms", "wechat"})
    """The channels that count for ``customer.channels_left``."""
    samples: int = 5_000
    """Samples of one series that are kept one by one; older ones are folded into time buckets."""
    hold_ms: int | None = None
    """How long behaviour waits for the link of its id to a customer; ``None`` is the default of two days."""
    hold_at_most: int = 100
    """How much behaviour of one id waits at most."""

    @property
    def longest_hold_ms(self) -> int:
        """How long behaviour may wait for its customer and still come in time by the lateness rule.

        Meanwhile newer behaviour may have come, with a time as far ahead of the clock as ``skew_ms``.
        """
        return max(0, self.lateness_ms - self.skew_ms)

    @property
    def held_ms(self) -> int:
        """How long behaviour waits: the default is shorter where the lateness rule asks for it."""
        return min(_HOLD_MS, self.longest_hold_ms) if self.hold_ms is None else self.hold_ms


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Every trigger that a worker runs, with the policy, as one immutable unit. ``hash`` names its content."""

    hash: str
    triggers: tuple[Trigger, ...]
    series: tuple[Series, ...]
    features: tuple[Feature, ...]
    policy: Policy
    document: str
    """The files it was built from, as one canonical JSON text: whoever holds it can build the rule set again."""
    offers: Mapping[str, Offer] | None = None
    """The catalogue by name, in the order of names; ``None`` where there is none and any name will do."""
    tierings: tuple[Tiering, ...] = ()
    tags: tuple[Tag, ...] = ()
    """In the order in which they are worked out: each may read those before it."""
    derived_hash: str = ""
    """Names the content of the files they come from; the rule set's hash stands for it where it is empty."""
    suites: tuple[Suite, ...] = ()
