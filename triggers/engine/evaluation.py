"""One evaluation under way: the customer, the moment, what expressions see, and what comes of it.

A stage has one and uses it again for each record and timer; nothing of it outlives the call.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, ClassVar, Final
from zoneinfo import ZoneInfo

from schemas.base import Record, from_ms, to_ms
from triggers.engine.decisions import report_broken
from triggers.engine.derived import TIMER, Change, look, look_before
from triggers.engine.firing import Cause, memory_name
from triggers.engine.journeys import choose
from triggers.engine.plan import Plan, Sampler, Woken
from triggers.engine.scope import Scope
from triggers.engine.series import SeriesState, pack, window_value
from triggers.engine.state import Account, Before, CustomerState
from triggers.engine.together import Together
from triggers.engine.withdrawal import end_by_goal
from triggers.language.calendar import first_day
from triggers.language.clauses import Clause
from triggers.language.model import Expression, Feature, RuleSet, Series, Trigger

if TYPE_CHECKING:
    from triggers.engine.usual import UsualTransactions

_HOUR_MS: Final = 3_600_000
_MOST_DAYS: Final = 10_000
"""The hours, a year of them, whose day is remembered: timers come at any."""
_NOT_YET: Final = object()


class Evaluation:
    """``at`` is the event's own time and ends its windows; ``clock`` is when the system acts. Both in ms."""

    __slots__ = (
        "_begun",
        "_day",
        "_days",
        "_features",
        "at",
        "before",
        "clock",
        "outputs",
        "plan",
        "ruleset",
        "scope",
        "scores",
        "state",
        "tenant",
        "tier_before",
        "together",
        "usual",
        "woken_by",
    )

    state: CustomerState
    plan: Plan
    at: int
    clock: int
    outputs: list[Record]
    tier_before: str | None
    """The customer's tier before the event."""
    woken_by: dict[str, str]
    """What derived event each trigger hears at the occasion under way: told in its decision."""
    scores: dict[tuple[str, str], str]
    """The score of each candidate, by trigger and occasion, where several compete now: told in its decision."""
    together: Together | None
    """What competes at the moment whose timers run; ``None`` while a record takes effect."""

    usual: UsualTransactions | None
    """The functions of usual transactions, once one has come."""
    quick: bool = True
    """Whether a usual transaction may go its own way. One that notes what it sees in between does without."""
    counts: ClassVar[bool] = False
    """Whether ``count_wake`` is to be called where a usual transaction would have woken triggers."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.ruleset: RuleSet | None = None
        self.woken_by = {}
        self.scores = {}
        self.together = None
        self.scope = Scope()
        self.scope.feature = self._feature
        self.scope.today = self.today
        self.scope.business_days_until = self._business_days_until
        self.scope.slots = self._slots
        self._features: dict[int, Any] = {}
        self.before = Before()
        self.usual = None
        self._day: tuple[int, int, date] | None = None
        self._days: dict[int, tuple[int, int, date]] = {}
        self._begun: dict[str, tuple[date, int]] = {}

    def adopt(self, ruleset: RuleSet) -> Plan:
        """The plan of a rule set, built at its first use."""
        if self.ruleset is not ruleset:
            self.plan = Plan(ruleset)
            self.ruleset = ruleset
            self.usual = None
            self._day = None
            self._days = {}
            self._begun = {}
        return self.plan

    def begin(self, at: int, event: Any) -> None:
        """Makes ready to evaluate at a moment: only customer and event are in scope, no feature has a value yet."""
        scope = self.scope
        scope.customer = self.state
        scope.event = scope.record = event
        scope.account = scope.product = scope.before = scope.offer = scope.action = None
        if self.woken_by:
            self.woken_by = {}
        # As ``move_to``, without its call: this is done for every event.
        self.at = at
        if self._features:
            self._features.clear()
        if self.plan.reads_age and self.state.birth_date is not None:
            self.state.today = self.today()

    def move_to(self, at: int) -> None:
        """Looks at a moment: no feature has a value there yet."""
        self.at = at
        if self._features:
            self._features.clear()
        if self.plan.reads_age and self.state.birth_date is not None:
            self.state.today = self.today()

    def settle_before(self, occasion: str, account: Account | None = None, *, opened: bool = False) -> None:
        """Before an event takes effect: what holds is noted where it is not yet, and kept for ``before.*``.

        ``opened`` says that the account has just become known, with its balance before the event.
        """
        plan = self.plan
        if plan.levels:
            self.sample_baselines()
        if plan.derives:
            look_before(self, occasion, opened=opened)
            self.tier_before = self.state.tier
        if plan.reads_before:
            self.remember_before(account)

    def follow(self, woken: list[Trigger], kind: str, cause: Cause) -> None:
        """After an event took effect: wakes what it wakes, together with what tiers and tags come to."""
        if self.plan.derives:
            changes = self.derive(kind, cause)
            if changes:
                woken = self.hear(woken, changes)
        if self.plan.goals and (self.state.journeys or self.state.proposals):
            end_by_goal(self, kind, cause)
        if woken:
            self.wake(woken, cause)

    def follow_time(self, woken: list[Trigger], cause: Cause) -> None:
        """The same for a timer. Before it everything was as it is, but for tiers and tags that move with time."""
        if not self.plan.derives:
            if woken:
                self.wake(woken, cause)
            return
        self.settle_before(cause.occasion)
        changes = self.derive(TIMER, cause)
        if changes:
            woken = self.hear(woken, changes)
        else:
            self.scope.before = None
        if woken:
            self.wake(woken, cause)

    def hear(self, woken: list[Trigger], changes: list[Change]) -> list[Trigger]:
        """The triggers that are woken, with those that listen to these changes."""
        self.woken_by = self.plan.heard_by(changes)
        return self.plan.woken_also(woken, changes)

    def derive(self, kind: str, cause: Cause, reversed_key: int = 0) -> list[Change]:
        """Works out tiers and tags after a touch; returns what changed."""
        return look(self, kind, cause.occasion, cause.event_key, reversed_key)

    def remember_before(self, account: Account | None) -> None:
        """Keeps the values before the event that some expression reads."""
        plan, before = self.plan, self.before
        plan.keep_before(before, self.state)
        before.account = None
        if account is not None and plan.before_account:
            before.account = Account(account.id, account.currency, account.balance, account.sequence)
        self.scope.before = before

    def count_wake(self) -> None:
        """A usual transaction asks its triggers by itself."""

    def wake(self, woken: list[Trigger], cause: Cause) -> None:
        """Evaluates the triggers in turn; those whose condition is true go to the gate as candidates."""
        candidates = self._judged(woken, cause) if type(woken) is Woken else self.ask_each(woken, cause)
        if candidates:
            choose(self, candidates, cause)

    def show(self, at: int, event: Record, account: Account) -> None:
        """Makes ready as ``begin``, where a transaction has taken effect already and ``before`` is filled."""
        self.begin(at, event)
        self.scope.account = account
        if self.plan.reads_before:
            self.scope.before = self.before

    def propose(self, candidates: list[Trigger], cause: Cause) -> None:
        """Takes triggers that fire to the gate."""
        choose(self, candidates, cause)

    def _judged(self, woken: Woken, cause: Cause) -> list[Trigger]:
        scope, state = self.scope, self.state
        possible = woken.possible.of(scope.record)
        judge = possible.judge or possible.meet()
        if judge is not None:
            try:
                return judge(scope, state.memory, state.series, self.at)
            except Exception:  # noqa: BLE001  # a broken rule: which one shows when they are asked one by one
                return self.ask_each(possible, cause)
        return self.ask_each(possible, cause)

    def ask_each(self, possible: list[Trigger], cause: Cause) -> list[Trigger]:
        """The triggers that fire, asked one by one: one that is broken is reported."""
        scope, state = self.scope, self.state
        candidates: list[Trigger] = []
        sees = self.plan.sees
        for trigger in possible:
            if sees:
                self.plan.show_event(scope, trigger)
            try:
                rearm = trigger.rearm
                if rearm is not None:
                    memory = state.memory.get(memory_name(trigger))
                    if memory is not None and not memory.armed:
                        memory.armed = self.holds(trigger, rearm, trigger.rearm_condition)
                if trigger.when is None or trigger.when.evaluate(scope) is True:
                    candidates.append(trigger)
            except Exception as error:  # noqa: BLE001  # a broken rule is skipped for this record, whatever broke it
                report_broken(self, trigger, cause, error)
        return candidates

    def holds(self, _trigger: Trigger, condition: Expression, _clause: Clause | None) -> bool:
        """Whether a condition beside ``when`` is true now: the trigger's ``rearm``, or the ``unless`` of a step."""
        return condition.evaluate(self.scope) is True

    def today(self) -> date:
        """The day of the moment in the bank's time zone."""
        known = self._day
        if known is None or not known[0] <= self.at < known[1]:
            hour = self.at // _HOUR_MS
            known = self._days.get(hour)
            if known is None or not known[0] <= self.at < known[1]:
                if len(self._days) >= _MOST_DAYS:
                    self._days.clear()
                known = self._days[hour] = _day_around(self.at, self.plan.policy.timezone)
            self._day = known
        return known[2]

    def _business_days_until(self, day: date) -> int:
        return self.plan.policy.calendar.between(self.today(), day)

    def _slots(self, count: int, desk: str | None) -> tuple[str, ...]:
        """Open slots after the time at which the system acts: one that has passed is no offer."""
        policy = self.plan.policy
        now = from_ms(self.clock).astimezone(policy.timezone)
        return tuple(f"{slot:%Y-%m-%d %H:%M}" for slot in policy.calendar.slots(now, count, desk))

    def _begin_of(self, feature: Feature, *, level: bool) -> int:
        """When a feature's window, which ends now, begins: a flow's leaves that moment out, a level's takes it in."""
        if feature.since is None:
            return self.at - feature.over_ms
        known = self._begun.get(feature.since)
        if known is None or known[0] != self.today():
            begin = first_day(feature.since, self.today())
            known = (self.today(), to_ms(datetime.combine(begin, time(), tzinfo=self.plan.policy.timezone)))
            self._begun[feature.since] = known
        return known[1] if level else known[1] - 1

    def _feature(self, index: int) -> Any:
        """The value of a feature now; worked out once for each moment, however many triggers read it."""
        value = self._features.get(index, _NOT_YET)
        if value is not _NOT_YET:
            return value
        plan = self.plan
        window = plan.windows[index]
        if window is not None:
            value = window(self.state.series, self.at)
        else:
            feature, series = plan.features[index]
            samples = self._held_samples(series)
            value = None
            if series.by == "customer" or self.scope.account is not None:
                begin = self._begin_of(feature, level=series.level)
                value = window_value(feature.function, samples, begin, self.at, level=series.level)
        self._features[index] = value
        return value

    def samples_of(self, index: int) -> int:
        """How many samples a feature sees now; of a level also the value in force at its window's beginning."""
        feature, series = self.plan.features[index]
        samples = self._held_samples(series)
        begin = self._begin_of(feature, level=series.level)
        return int(window_value("count", samples, begin, self.at, level=series.level))

    def _held_samples(self, series: Series) -> SeriesState | None:
        """The samples of a series, as far as there are any: the customer's, or those of the account in scope."""
        if series.by == "customer":
            return self.state.series.get(series.id)
        account = self.scope.account
        return None if account is None else self.state.series.get(_series_name(series.id, account))

    # --- samples -------------------------------------------------------------------------------------------------

    def sample_baselines(self) -> None:
        """Gives every new level series the value in force before its first event."""
        held, account = self.state.series, self.scope.account
        for level in self.plan.levels:
            if level.id in held:
                continue
            if not level.by_account or (account is not None and _series_name(level.id, account) not in held):
                self.sample_level(level, self.at - 1, 0)

    def sample_levels(self, key: int) -> None:
        """Notes what holds now."""
        at, scope, held = self.at, self.scope, self.state.series
        for level in self.plan.levels:
            if level.by_account and scope.account is None:
                continue
            samples = held.get(level.id)
            if samples is None or level.where is not None:
                self.sample_level(level, at, key)
                continue
            # As ``sample_level``, in the usual case: a series of the customer that is known.
            value = level.evaluate(scope)
            if value is None:
                samples.end_level(at, key, level.retain_ms, level.most)
            else:
                samples.set_level(at, key, pack(value), value, level.retain_ms, level.most)

    def sample_derived_levels(self, at: int, key: int) -> None:
        """Notes what holds now of the levels that read tiers or tags, which have just changed.

        No feature of theirs has a value yet: tierings and tags read none that reads tiers or tags.
        """
        for level in self.plan.derived_levels:
            if not level.by_account or self.scope.account is not None:
                self.sample_level(level, at, key)

    def sample_late_levels(self, key: int) -> None:
        """Notes, at its place in the past, what held at the time of a record that came late."""
        for level in self.plan.levels:
            if level.by_account and self.scope.account is None:
                continue
            if level in self.plan.derived_levels:
                continue  # which tier or tag it was then is not known any more
            value = self._value(level)
            if value is not None:
                self._samples(level).add_late_level(self.at, key, value, level.retain_ms, level.most)

    def sample_flows(self, kind: str, key: int) -> None:
        """Notes the event in every flow series that samples its kind."""
        flows = self.plan.flows.get(kind)
        if flows is None:
            return
        for flow in flows.of(self.scope.record):
            self.sample_flow(flow, key)

    def sample_flow(self, flow: Sampler, key: int) -> None:
        """Notes the event in one flow series of its shape."""
        scope, name = self.scope, flow.id
        if flow.by_account:
            if scope.account is None:
                return
            name = _series_name(name, scope.account)
        value = self._value(flow)
        if value is None:
            return
        held = self.state.series
        samples = held.get(name)
        if samples is None:
            samples = held[name] = SeriesState()
        samples.add_flow(self.at, key, pack(value), value, flow.retain_ms, flow.most)

    def sample_level(self, level: Sampler, at: int, key: int) -> None:
        """Notes what one level is."""
        value = self._value(level)
        if value is not None:
            self._samples(level).set_level(at, key, pack(value), value, level.retain_ms, level.most)
            return
        samples = self.state.series.get(self._name_of(level))
        if samples is not None:
            samples.end_level(at, key, level.retain_ms, level.most)

    def _value(self, sampler: Sampler) -> Any:
        scope = self.scope
        if sampler.where is not None and sampler.where(scope) is not True:
            return None
        return sampler.evaluate(scope)

    def _name_of(self, sampler: Sampler) -> str:
        account = self.scope.account
        return _series_name(sampler.id, account) if sampler.by_account and account is not None else sampler.id

    def _samples(self, sampler: Sampler) -> SeriesState:
        name = self._name_of(sampler)
        held = self.state.series
        samples = held.get(name)
        if samples is None:
            samples = held[name] = SeriesState()
        return samples


def _day_around(at: int, zone: ZoneInfo) -> tuple[int, int, date]:
    """The day of a moment, with the time (ms) from which and before which it surely is the day.

    Events come in order of time, mostly: one hour's day is worked out once, not for each of them.
    """
    begin = at - at % _HOUR_MS
    days = {from_ms(moment).astimezone(zone).date() for moment in (begin, at, begin + _HOUR_MS - 1)}
    if len(days) == 1:
        return begin, begin + _HOUR_MS, days.pop()
    return at, at + 1, from_ms(at).astimezone(zone).date()


def _series_name(series_id: str, account: Account) -> str:
    return f"{series_id}|{account.id}"
