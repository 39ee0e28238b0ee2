"""What a rule set would have done: customers' events through the production engine, summed up.

Customers are independent, so they are run one after another and in any order. The sums do not depend on the order and
can be merged: however the customers are shared out, the same events give the same sums. Time is the events' own, as for
a worker with ``clock: record``: a timer runs as of its own time, before the customer's next event, and after the last
event the clock runs on to the end of the input and no further.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple

import xxhash

from schemas.actions import Cancellation, NextBestAction
from schemas.base import Record, to_ms
from schemas.dead_letter import Reason
from schemas.decisions import Decision
from schemas.decode import Rejected, decode
from schemas.topics import Topic
from triggers.casework.measures import Measure, MeasuredEvaluation, Reading, new_readings
from triggers.engine.customer import CustomerStage
from triggers.engine.state import CustomerState
from triggers.language.model import RuleSet

MOST_SHOWN: Final = 10
"""How many of the customers with most contacts are named."""

UNKNOWN_TIER: Final = "unknown"

_ALONE: Final = "more than a year after every event before it, while the rest of the input says that time is not so far"


class Arrival(NamedTuple):
    """A message as it came: from which source (an index) and where in it (a line, an offset)."""

    topic: Topic
    key: bytes | None
    value: bytes
    source: int
    position: int


class Located(NamedTuple):
    """Why a message did not take part, and where it stands. ``code`` is a reason of dead letters or of event files."""

    source: int
    position: int
    column: int
    code: str
    field: str
    problem: str


class Busy(NamedTuple):
    """A customer with its contacts by trigger. The sum is below zero: in order, the most contacted come first."""

    minus_contacts: int
    customer: str
    by_trigger: tuple[tuple[str, int], ...]


class Cell(NamedTuple):
    """What actions are counted by. ``day`` is the day in the bank's time zone, as its ordinal."""

    trigger: str
    tier: str
    channel: str
    day: int


class Would(NamedTuple):
    """What shadow decisions are counted by: what would have become of it, and which live trigger spoke instead."""

    trigger: str
    outcome: str
    beside: str


@dataclass(slots=True)
class Tally:
    """The sums. They grow with triggers, tiers, channels and days, not with events or customers."""

    show_errors: int
    readings: list[Reading]
    conditions: Counter[tuple[str, bool | None]] = field(default_factory=Counter)
    """By trigger and what its condition came to (``None``: unknown), at the moments measured."""
    events: Counter[str] = field(default_factory=Counter)
    """Messages that could be read, by topic."""
    customers: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    actions: Counter[Cell] = field(default_factory=Counter)
    suppressed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By trigger and reason."""
    deferred: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By trigger and reason: what waited for a better moment, and then went out or was held back."""
    cancelled: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By trigger and reason."""
    contacts: Counter[int] = field(default_factory=Counter)
    """How many customers were contacted so many times."""
    busiest: list[Busy] = field(default_factory=list)
    shadow: Counter[Would] = field(default_factory=Counter)
    shadow_actions: Counter[Cell] = field(default_factory=Counter)
    """First steps that would have gone out."""
    errors: Counter[str] = field(default_factory=Counter)
    located: list[Located] = field(default_factory=list)
    """The first of the errors, in the order of the input."""

    def note_time(self, at: int) -> None:
        """Widens the time that the events span."""
        if self.first_ms is None or at < self.first_ms:
            self.first_ms = at
        if self.last_ms is None or at > self.last_ms:
            self.last_ms = at

    def note_error(self, error: Located) -> None:
        """Counts an error, and keeps it where it is among the first."""
        self.errors[error.code] += 1
        self.located.append(error)
        if len(self.located) > 2 * self.show_errors + 100:
            self.located = heapq.nsmallest(self.show_errors, self.located)

    def note_customer(self, customer: str, by_trigger: Counter[str]) -> None:
        """Counts a customer, by how often it was contacted."""
        self.customers += 1
        contacts = by_trigger.total()
        self.contacts[contacts] += 1
        if contacts:
            self.busiest.append(Busy(-contacts, customer, tuple(sorted(by_trigger.items()))))
            if len(self.busiest) >= 100:
                self.busiest = heapq.nsmallest(MOST_SHOWN, self.busiest)

    def merge(self, other: Tally) -> None:
        """Adds what another one counted of the same rule set."""
        self.customers += other.customers
        for mine, theirs in zip(self.readings, other.readings, strict=True):
            mine.merge(theirs)
        self.conditions += other.conditions
        self.events += other.events
        self.actions += other.actions
        self.suppressed += other.suppressed
        self.deferred += other.deferred
        self.cancelled += other.cancelled
        self.contacts += other.contacts
        self.shadow += other.shadow
        self.shadow_actions += other.shadow_actions
        self.errors += other.errors
        self.busiest += other.busiest
        self.located += other.located
        for at in (other.first_ms, other.last_ms):
            if at is not None:
                self.note_time(at)
        self.close()

    def close(self) -> None:
        """Cuts what is named to its bounds, in order."""
        self.busiest = heapq.nsmallest(MOST_SHOWN, self.busiest)
        self.located = heapq.nsmallest(self.show_errors, self.located)


def new_tally(measures: tuple[Measure, ...], show_errors: int) -> Tally:
    """Sums of nothing yet."""
    return Tally(show_errors, new_readings(measures))


def drafts_in_shadow(ruleset: RuleSet) -> RuleSet:
    """The rule set with every draft evaluated in shadow, beside what is live."""
    triggers = (replace(one, status="shadow") if one.status == "draft" else one for one in ruleset.triggers)
    return replace(ruleset, triggers=tuple(triggers))


class Backtest:
    """Runs customers and sums up what came of them.

    ``until_ms`` is where the clock stops; an event after ``end_ms`` is an error, ``FROM_THE_FUTURE``.
    ``every`` says how many moments pass from one measured to the next.
    ``keep`` is given every action and cancellation, of a customer in order.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        tenant: str,
        measures: tuple[Measure, ...],
        *,
        until_ms: int,
        end_ms: int | None = None,
        every: int = 1,
        show_errors: int = 20,
        keep: Callable[[Record], None] | None = None,
    ) -> None:
        self._ruleset = ruleset
        self._tenant = tenant
        self._until_ms = until_ms
        self._end_ms = end_ms
        self._keep = keep
        self._run = MeasuredEvaluation(tenant, measures, every)
        self._stage = CustomerStage(tenant, self._run)
        self._in_shadow = {trigger.id for trigger in ruleset.triggers if trigger.status == "shadow"}
        self._zone = ruleset.policy.timezone
        self._by_trigger: Counter[str] = Counter()
        self.tally = Tally(show_errors, self._run.readings, self._run.conditions)

    def run_customer(self, arrivals: Iterable[Arrival]) -> None:
        """Runs the messages of one key, in the order in which they came, and the timers to the end of the input."""
        stage, ruleset, tally, events = self._stage, self._ruleset, self.tally, self.tally.events
        state: CustomerState | None = None
        for arrival in arrivals:
            record = decode(arrival.topic, self._tenant, arrival.key, arrival.value)
            if isinstance(record, Rejected):
                self._reject(arrival, record)
                continue
            # Of its own model, which has the time.
            at = to_ms(record.occurred_at)  # type: ignore[attr-defined]
            if self._end_ms is not None and at > self._end_ms:
                self._reject(arrival, Rejected(Reason.FROM_THE_FUTURE, "occurred_at", _ALONE))
                continue
            if state is None:
                key = stage.key_of(record)
                state = stage.fresh(key)
                self._by_trigger = Counter()
                self._run.begin_customer(xxhash.xxh3_64_intdigest(key.encode()))
            events[arrival.topic.name] += 1
            tally.note_time(at)
            due = stage.next_due(state)
            if due is not None and due <= at:
                # As ``process`` does: but here the tier is still the one they are sent under.
                self._run_timers(state, at)
            outcome = stage.process(record, state, ruleset, None)
            if outcome is not None:
                if outcome.rejected is not None:
                    self._reject(arrival, outcome.rejected)
                self._note(state, outcome.outputs)
        if state is None:
            return
        self._run_timers(state, self._until_ms)
        tally.note_customer(state.key, self._by_trigger)

    def _run_timers(self, state: CustomerState, until: int) -> None:
        outcome = self._stage.run_timers(state, self._ruleset, until, None)
        if outcome is not None:
            self._note(state, outcome.outputs)

    def _reject(self, arrival: Arrival, why: Rejected) -> None:
        self.tally.note_error(Located(arrival.source, arrival.position, 1, why.reason.value, why.field, why.problem))

    def _note(self, state: CustomerState, outputs: list[Record]) -> None:
        for output in outputs:
            if isinstance(output, Decision):
                self._note_decision(state, output)
                continue
            if isinstance(output, NextBestAction):
                self._by_trigger[output.trigger] += 1
                self.tally.actions[self._cell(state, output.trigger, output.channel, output.created_at)] += 1
            if self._keep is not None and isinstance(output, NextBestAction | Cancellation):
                # Not what the customer tells the desks: no desk runs here.
                self._keep(output)

    def _note_decision(self, state: CustomerState, decision: Decision) -> None:
        if decision.outcome == "cancelled":
            self.tally.cancelled[decision.trigger, decision.reason] += 1
        elif decision.trigger in self._in_shadow:
            would = decision.detail.get("would", decision.reason)
            self.tally.shadow[Would(decision.trigger, would, decision.detail.get("beside", ""))] += 1
            if would == "sent":
                cell = self._cell(state, decision.trigger, decision.channel or "", decision.decided_at)
                self.tally.shadow_actions[cell] += 1
        elif decision.outcome == "deferred":
            self.tally.deferred[decision.trigger, decision.reason] += 1
        elif decision.outcome == "suppressed":
            self.tally.suppressed[decision.trigger, decision.reason] += 1

    def _cell(self, state: CustomerState, trigger: str, channel: str, moment: datetime) -> Cell:
        return Cell(trigger, state.tier or UNKNOWN_TIER, channel, moment.astimezone(self._zone).toordinal())
