"""A rule set indexed for the engine: which trigger wakes on what, which series samples what. Built once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from triggers.engine.derived_look import Look
from triggers.engine.fused import copier
from triggers.engine.judge import Case, Judge, judge_of, source_of
from triggers.engine.schedule import Every
from triggers.engine.scope import Scope
from triggers.engine.series import ROW_BYTES
from triggers.engine.shapes import ByShape, decides
from triggers.engine.windows import Window, window_of
from triggers.language.compiler import term_of
from triggers.language.derived_events import EXHAUSTED
from triggers.language.model import (
    Choice,
    Evaluate,
    Expression,
    OnDerived,
    OnEvent,
    OnEvery,
    OnMaturity,
    OnSilence,
    OnWait,
    Policy,
    RuleSet,
    Series,
    Tag,
    Tiering,
    Trigger,
)
from triggers.language.names import CATALOGUE
from triggers.language.vocabulary import MAIN_TIERING
from triggers.policy.gate import Gate

_DAY_MS: Final = 86_400_000
_OWN_ACCOUNT: Final = Expression("event.own_account", lambda s: s.event.own_account, frozenset({"event.own_account"}))
_EVENT_KIND: Final = Expression("event.kind", lambda s: s.event.kind, frozenset({"event.kind"}))
_PRODUCT_KINDS: Final = frozenset({"purchase", "redemption"})
"""Kinds of transactions by which money goes into a product of the customer's own, or comes out of it."""
_OF_THE_EVENT: Final = frozenset({"event", "before", "action", "offer"})
"""What is gone after an occasion: clauses that read it were true then, and stay so."""
_CURRENCY: Final = Expression("event.currency", lambda s: s.event.currency, frozenset({"event.currency"}))


@dataclass(frozen=True, slots=True)
class Sampler:
    """A series as it is sampled: its parts at hand, since this is done for every event."""

    id: str
    evaluate: Evaluate
    where: Evaluate | None
    by_account: bool
    retain_ms: int
    most: int
    """The bytes of the rows that a series may have; what is older is folded."""
    asks_own_account: bool
    """Whether its author decides on own-account transfers; else a flow leaves them out."""
    asks_kind: bool
    """Whether its author decides on kinds; else a flow leaves out what goes into products and comes out of them."""
    any_currency: bool
    """Whether it is no money, or its author decides on currencies; else a flow keeps to the bank's own."""


class Woken(list[Trigger]):
    """The triggers that an event wakes, in the order in which they are considered.

    ``possible`` leaves out those whose condition the event's shape makes false. A trigger that waits to be armed again
    is always there: that is asked of every event.
    """

    def __init__(self, triggers: list[Trigger], record_type: str, windows: Sequence[Window | None] = ()) -> None:
        super().__init__(triggers)
        judges: dict[tuple[str, ...], Judge] = {}
        """By the triggers that are left: shapes that leave the same ones have one function."""

        def decided(trigger: Trigger) -> list[Expression]:
            return [clause for clause in trigger.clauses if decides(clause, record_type)]

        def resolve(trigger: Trigger, scope: Scope) -> Trigger | None:
            if trigger.rearm is None and any(clause.evaluate(scope) is not True for clause in decided(trigger)):
                return None
            return trigger

        def judge(possible: list[Trigger]) -> Judge:
            names = tuple(trigger.id for trigger in possible)
            if names not in judges:
                judges[names] = judge_of(cases(possible), record_type, windows)
            return judges[names]

        def cases(possible: list[Trigger]) -> list[Case]:
            return [Case(trigger, _asked(trigger, decided(trigger))) for trigger in possible]

        self.possible = ByShape(
            self,
            [clause for trigger in triggers for clause in decided(trigger)],
            resolve,
            lambda possible: Possible(possible, judge),
        )

        def source(event: Any) -> str:
            """The function for events such as this one, as text."""
            return source_of(cases(self.possible.of(event)), record_type, windows)

        self.source = source

        def cases_of(event: Any) -> list[Case]:
            """What is left to ask of events such as this one."""
            return cases(self.possible.of(event))

        self.cases_of = cases_of


class Possible(list[Trigger]):
    """The triggers that the shape of an event leaves.

    Their conditions become one function when events of the shape have come ``WARM`` times: to build it takes as long as
    to ask a hundred triggers.
    """

    WARM = 32

    def __init__(self, triggers: list[Trigger], build: Callable[[list[Trigger]], Judge]) -> None:
        super().__init__(triggers)
        self._build = build
        self._met = 0
        self.judge: Judge | None = None

    def meet(self) -> Judge | None:
        """Counts an event that has no function yet; returns the function where it is time for one."""
        self._met += 1
        if self._met > self.WARM:
            self.judge = self._build(self)
        return self.judge


@dataclass(slots=True)
class Touched:
    """The tierings and tags that a kind of touch may have changed; ``look`` is their function once it was built."""

    tierings: list[Tiering]
    tags: list[Tag]
    look: Look | None = None
    met: int = 0

    def is_warm(self) -> bool:
        """Counts a touch; whether there were enough for a function to be worth its building."""
        self.met += 1
        return self.met > Possible.WARM


def _asked(trigger: Trigger, decided: list[Expression]) -> Sequence[Expression]:
    """What the shape leaves to ask. A trigger that is there for whatever shape is asked everything."""
    if trigger.when is None:
        return ()
    if not trigger.clauses or term_of(trigger.when.evaluate) is None:
        return (trigger.when,)
    return [clause for clause in trigger.clauses if trigger.rearm is not None or clause not in decided]


@dataclass(frozen=True, slots=True)
class Quiet:
    """A silence that some trigger waits for: its timer, the name of what is listened to, and how long."""

    timer: str
    heard: str
    detail: str | None
    after_ms: int


@dataclass(frozen=True, slots=True)
class Wait:
    """What some trigger waits for after an event: its timer, the events that begin and end it, and how long."""

    timer: str
    trigger: Trigger
    after: OnEvent
    unless: OnEvent
    within_ms: int


class Plan:
    """The index of one rule set. Triggers stand in the order in which they are considered: priority, then id."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.ruleset = ruleset
        self.policy = ruleset.policy
        self.gate = Gate(ruleset.policy)
        self.common: dict[str, dict[str, Any]] = {}
        """By trigger: what its actions have in common, once one went out (see ``outputs``)."""
        active = sorted(
            (trigger for trigger in ruleset.triggers if trigger.status in ("live", "shadow")),
            key=lambda trigger: (-trigger.action.priority, trigger.id),
        )
        self.triggers: dict[str, Trigger] = {trigger.id: trigger for trigger in active}
        self.lasting = {trigger.id: _lasting(trigger) for trigger in active}
        """Of each trigger the clauses that can be asked after its occasion: without, and with, those of features."""
        self.on_event: dict[str, list[tuple[Trigger, str | None]]] = {}
        self.on_maturity: list[tuple[Trigger, int, OnMaturity]] = []
        self.silences: dict[str, list[Quiet]] = {}
        self.on_derived: dict[str, list[tuple[Trigger, str | None]]] = {}
        self.every: list[Every] = []
        self.waits: dict[str, Wait] = {}
        for trigger in active:
            for index, wake in enumerate(trigger.on):
                match wake:
                    case OnEvent():
                        self.on_event.setdefault(wake.record_type, []).append((trigger, wake.detail))
                    case OnMaturity():
                        self.on_maturity.append((trigger, index, wake))
                    case OnDerived():
                        self.on_derived.setdefault(wake.event, []).append((trigger, wake.detail))
                    case OnSilence():
                        self.silences.setdefault(wake.record_type, []).append(_quiet(trigger, index, wake))
                    case OnEvery():
                        days = f"{wake.period}.{wake.month}.{wake.day}"
                        self.every.append(Every(f"c:{trigger.id}:{index}.{days}", trigger.id, wake, ruleset.policy))
                    case OnWait():
                        wait = _wait(trigger, wake)
                        self.waits[wait.timer] = wait
        self.every_by_timer: dict[str, Every] = {every.timer: every for every in self.every}
        self.waits_on: dict[str, list[Wait]] = {
            kind: [wait for wait in self.waits.values() if kind in (wait.after.record_type, wait.unless.record_type)]
            for kind in {event.record_type for wait in self.waits.values() for event in (wait.after, wait.unless)}
        }
        """The waits that a kind of event may begin or end."""
        self.until: dict[str, list[tuple[str, OnEvent]]] = {}
        """By kind of event: the triggers whose ladders such an event ends."""
        for trigger in active:
            for event in trigger.action.until:
                self.until.setdefault(event.record_type, []).append((trigger.id, event))
        self.goals: dict[str, list[tuple[Trigger, OnEvent]]] = {}
        """By kind of event: the triggers whose goal such an event may reach."""
        for trigger in active:
            for event in trigger.action.goal.events if trigger.action.goal is not None else ():
                self.goals.setdefault(event.record_type, []).append((trigger, event))
        self.offers = ruleset.offers
        self.features = [(feature, ruleset.series[feature.series]) for feature in ruleset.features]
        self.windows = [window_of(feature, series) for feature, series in self.features]
        self.levels: list[Sampler] = [_sampler(series, self.policy) for series in ruleset.series if series.level]
        flows = [series for series in ruleset.series if not series.level]
        self.flows: dict[str, ByShape[Sampler, list[Sampler]]] = {
            record_type: _flows(
                [series for series in flows if record_type in series.record_types], record_type, self.policy
            )
            for record_type in sorted({kind for series in flows for kind in series.record_types})
        }
        names = {name for trigger in active for expression in _expressions(trigger) for name in expression.names}
        names |= {name for series in ruleset.series for name in series.expression.names}
        names |= {name for series in ruleset.series if series.where for name in series.where.names}
        names |= {name for tiering in ruleset.tierings for name in tiering.measure.names}
        names |= {name for tag in ruleset.tags for name in tag.when.names}
        derived = {"tier": "tier"} | {tiering.name: "tiers" for tiering in ruleset.tierings if tiering.name != "tier"}
        names |= {name for expression in _policy_expressions(ruleset.policy) for name in expression.names}
        self.marks_unanswered = "customer.channels_left" in names
        self.follows_ends = EXHAUSTED in self.on_derived or self.marks_unanswered
        """Whether anything comes of a ladder that ran out."""
        self.before_names = sorted(
            {
                derived.get(field, field)
                for root, _, field in (name.partition(".") for name in names)
                if root == "before" and not field.startswith("account.")
            }
        )
        self.keep_before = copier(self.before_names)
        """Copies what expressions read of the customer before the event."""
        self.before_account = any(name.startswith("before.account.") for name in names)
        self.reads_before = bool(self.before_names) or self.before_account
        self.reads_age = bool(names & {"customer.age", "before.age"})
        self.listened: dict[str, list[str]] = {
            kind: sorted({quiet.detail for quiet in quiets if quiet.detail is not None})
            for kind, quiets in self.silences.items()
        }
        """The details of a kind of event whose silence some trigger waits for."""
        self._woken: dict[tuple[str, str | None], Woken] = {}
        self._plan_derived(ruleset)
        self.journey_ms = max([30 * _DAY_MS, *(trigger.action.expires_ms for trigger in active)])
        """How long a journey is kept after its last contact: feedback and a reversal may still concern it."""
        self.contact_ms = _looks_back(ruleset.policy)

    def woken(self, kind: str, detail: str | None) -> Woken:
        """The triggers that an event wakes."""
        known = self._woken.get((kind, detail))
        if known is None:
            found = _distinct([found for found, wanted in self.on_event.get(kind, ()) if wanted in (None, detail)])
            known = self._woken[kind, detail] = Woken(found, kind, self.windows)
        return known

    def _plan_derived(self, ruleset: RuleSet) -> None:
        self.derives = bool(ruleset.tierings or ruleset.tags)
        self.derived_hash = ruleset.derived_hash or ruleset.hash if self.derives else ""
        main = next((tiering for tiering in ruleset.tierings if tiering.name == MAIN_TIERING), None)
        self.main_tiers = None if main is None else main.names
        self._touched: dict[str, Touched] = {}
        names = {f"customer.{tiering.name}" for tiering in ruleset.tierings} | {"customer.tags"}
        derived = {
            series.id
            for series in ruleset.series
            if names & (series.expression.names | (series.where.names if series.where else frozenset()))
        }
        self.derived_levels = [level for level in self.levels if level.id in derived]
        self._order = {trigger_id: position for position, trigger_id in enumerate(self.triggers)}
        self.sees: dict[str, frozenset[str]] = {
            trigger.id: frozenset(wake.record_type for wake in trigger.on if isinstance(wake, OnEvent))
            for trigger in self.triggers.values()
            if any(isinstance(wake, OnEvent) for wake in trigger.on)
            and any(isinstance(wake, OnDerived) for wake in trigger.on)
        }
        """The records that a trigger can read as its event, where what is derived from others wakes it as well."""

    def show_event(self, scope: Scope, trigger: Trigger) -> None:
        """Lets a trigger see the record only where it is of a kind that wakes it."""
        record, kinds = scope.record, self.sees.get(trigger.id)
        scope.event = record if kinds is None or record is None or record.record_type in kinds else None

    def touched(self, kind: str) -> Touched:
        """The tierings and tags that a touch (a kind of record, or a timer) may have changed."""
        known = self._touched.get(kind)
        if known is None:
            known = self._touched[kind] = Touched(
                [
                    tiering
                    for tiering in self.ruleset.tierings
                    if tiering.touched_by is None
                    or kind in tiering.touched_by
                    or (kind == "profile" and tiering.name == MAIN_TIERING)
                ],
                [tag for tag in self.ruleset.tags if tag.touched_by is None or kind in tag.touched_by],
            )
        return known

    def heard_by(self, changes: Iterable[tuple[str, str]]) -> dict[str, str]:
        """The first of these changes that each trigger listens to, as its decision tells it."""
        heard: dict[str, str] = {}
        for event, detail in changes:
            for trigger, wanted in self.on_derived.get(event, ()):
                if wanted in (None, detail):
                    heard.setdefault(trigger.id, f"{event} {detail}")
        return heard

    def woken_also(self, woken: list[Trigger], changes: Iterable[tuple[str, str]]) -> list[Trigger]:
        """``woken`` with the triggers that derived events wake, in the order in which all are considered."""
        found = [
            trigger
            for event, detail in changes
            for trigger, wanted in self.on_derived.get(event, ())
            if wanted in (None, detail)
        ]
        if not found:
            return woken
        return sorted(_distinct([*woken, *found]), key=lambda trigger: self._order[trigger.id])


def _policy_expressions(policy: Policy) -> list[Expression]:
    found = [clause for suitability in policy.suitability for clause in suitability.clauses]
    found += [route.when for route in policy.routing if route.when is not None]
    found += [objective.when for objective in policy.objectives]
    found += [policy.score] if policy.score is not None else []
    return found


def _looks_back(policy: Policy) -> int:
    """How far back any rule of the policy looks at contacts; a month at least, for a rule that is added later."""
    cooldown = policy.cooldown
    return max(
        30 * _DAY_MS,
        *(cap.per_ms for cap in policy.caps),
        *(cooldown.all_ms, cooldown.category_ms, cooldown.trigger_ms),
    )


def _distinct(triggers: list[Trigger]) -> list[Trigger]:
    return list({trigger.id: trigger for trigger in triggers}.values())


def _lasting(trigger: Trigger) -> tuple[Sequence[Expression], Sequence[Expression]]:
    asked = [
        clause
        for clause in trigger.clauses
        if not any(name.partition(".")[0] in _OF_THE_EVENT for name in clause.names)
    ]
    return [clause for clause in asked if all("." in name for name in clause.names)], asked


def _sampler(series: Series, policy: Policy) -> Sampler:
    # A late event has a window of its own, which begins so much earlier.
    where = series.where.names if series.where is not None else frozenset()
    return Sampler(
        id=series.id,
        evaluate=series.expression.evaluate,
        where=None if series.where is None else series.where.evaluate,
        by_account=series.by == "account",
        retain_ms=series.retain_ms + policy.lateness_ms,
        most=policy.samples * ROW_BYTES,
        asks_own_account="event.own_account" in series.expression.names | where,
        asks_kind="event.kind" in series.expression.names | where,
        any_currency=not series.money or "event.currency" in series.expression.names | where,
    )


def _flows(flows: list[Series], record_type: str, policy: Policy) -> ByShape[Sampler, list[Sampler]]:
    """The flows that an event of this kind leaves a sample in, by its shape; what the shape decides is not asked again.

    A transfer between own accounts is no flow, unless the series itself asks for ``event.own_account``; nor is what
    goes into a product of the customer's own or comes out of it, unless it asks for ``event.kind``. Money of two
    currencies is not added: a flow of money is in the bank's own, unless the series asks for ``event.currency``.
    """
    decided = {
        series.id: series.where for series in flows if series.where is not None and decides(series.where, record_type)
    }
    has_own_accounts = record_type in CATALOGUE["event.own_account"].record_types
    has_kinds = record_type in CATALOGUE["event.kind"].record_types
    has_currency = record_type in CATALOGUE["event.currency"].record_types

    def resolve(flow: Sampler, scope: Scope) -> Sampler | None:
        if has_own_accounts and scope.event.own_account and not flow.asks_own_account:
            return None
        if has_kinds and scope.event.kind in _PRODUCT_KINDS and not flow.asks_kind:
            return None
        if has_currency and not flow.any_currency and scope.event.currency != policy.currency:
            return None
        where = decided.get(flow.id)
        if where is None:
            return flow
        return replace(flow, where=None) if where.evaluate(scope) is True else None

    samplers = [_sampler(series, policy) for series in flows]
    read = [*decided.values()] + ([_OWN_ACCOUNT] if has_own_accounts else []) + ([_EVENT_KIND] if has_kinds else [])
    if has_currency and not all(flow.any_currency for flow in samplers):
        read.append(_CURRENCY)
    return ByShape(samplers, read, resolve, list)


def _quiet(trigger: Trigger, index: int, wake: OnSilence) -> Quiet:
    heard = OnEvent(wake.record_type, wake.detail).name
    return Quiet(f"s:{trigger.id}:{index}", heard, wake.detail, wake.after_ms)


def _wait(trigger: Trigger, wake: OnWait) -> Wait:
    """The timer's name tells the wait itself, not its place: a wait that stays in the file goes on."""
    name = f"w:{trigger.id}:{wake.after.name}>{wake.unless.name}>{wake.within_ms}"
    return Wait(name, trigger, wake.after, wake.unless, wake.within_ms)


def _expressions(trigger: Trigger) -> list[Expression]:
    action = trigger.action
    steps = [step.unless_true for step in action.ladder]
    found = [trigger.when, trigger.rearm, action.value, *action.fields.values(), *steps]
    if action.goal is not None:
        found.append(action.goal.when)
    if isinstance(action.offer, Choice):
        found += [action.offer.where, action.offer.best]
    return [expression for expression in found if expression is not None]
