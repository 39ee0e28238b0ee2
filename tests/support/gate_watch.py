"""Watches what the system says to one customer, and says what it must not have.

It knows what was fed in, what came out, and the rule sets as they were drawn; nothing of the code that decides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import blake2b
from itertools import pairwise
from zoneinfo import ZoneInfo

from schemas.actions import Cancellation, NextBestAction
from schemas.base import Record
from schemas.decisions import Decision
from tests.support.gate_rules import CATEGORY, HOURS, LEAST, SALT, Rules

ZONE = ZoneInfo("Asia/Shanghai")
LENGTHS = {"6h": timedelta(hours=6), "2d": timedelta(days=2), "7d": timedelta(days=7)}
ENDS = ("bought", "refused")
SEEN = ("opened", "clicked", "answered", "bought", "refused")


@dataclass
class Watch:
    """What is known of the customer so far, from outside."""

    rules_of: dict[str, Rules] = field(default_factory=dict)
    """By the hash of the rule set."""
    consents: dict[str, bool] = field(default_factory=dict)
    excluded: bool = False
    expected: set[tuple[str, str]] = field(default_factory=set)
    """The candidates that payments must have led to: trigger and occasion."""
    actions: list[NextBestAction] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    cancellations: list[Cancellation] = field(default_factory=list)
    answers: list[tuple[datetime, NextBestAction, str]] = field(default_factory=list)
    immediate: set[str] = field(default_factory=set)
    """The actions that a record led to at once."""
    reversed_: set[str] = field(default_factory=set)
    """Occasions whose payment was reversed."""
    broken: bool = False
    """A promise was broken: what came after that was not taken."""
    changed: bool = False
    """Whether the rule set ever changed."""
    wall: bool = False
    """Whether the system acts by the wall's clock, and a late sweep runs at once what was due at several moments."""
    answering: str = ""
    """The occasion to which the record belongs that is fed now: what it leads to itself comes beside what was due."""

    def paid(self, rules: Rules, event_id: str, amount: int) -> None:
        """A payment came in for the first time."""
        occasion = f"transaction:{event_id}"
        present = LEAST.keys() - rules.absent
        self.expected |= {(trigger, occasion) for trigger in present if amount >= LEAST[trigger]}

    def last_sent(self, ladder: tuple[str, str]) -> datetime:
        """When a ladder (trigger and occasion) that said something did so last."""
        return max(one.created_at for one in self.actions if (one.trigger, one.occasion) == ladder)

    def take(self, outputs: list[Record]) -> None:
        """Judges what came out, one after the other; nothing more once a promise is broken."""
        if self.broken:
            return
        for output in outputs:
            if isinstance(output, NextBestAction):
                self.broken = True
                self._judge(output)
                self.broken = False
                self.actions.append(output)
                if output.occasion == self.answering:
                    self.immediate.add(output.action_id)
            elif isinstance(output, Decision):
                self.decisions.append(output)
            elif isinstance(output, Cancellation):
                self.cancellations.append(output)

    def _judge(self, action: NextBestAction) -> None:
        rules, at = self.rules_of[action.ruleset], action.created_at
        assert action.trigger not in rules.absent | rules.shadow, "its trigger is not live"
        assert not self.actions or at >= self.actions[-1].created_at, "time goes back"
        assert at < action.expires_at, "expired when it was sent"
        assert not self.excluded, "a contact with somebody on a list"
        given = self.consents.get(action.channel)
        everyone, big = rules.holdout
        assert not _drawn(action.customer_id, "", everyone), "held out from everything, and contacted"
        if action.trigger == "big_payment":
            assert not _drawn(action.customer_id, action.trigger, big), "held out from a trigger, and contacted by it"
        assert given is not False, f"{action.channel} was refused"
        assert given or action.channel not in rules.consent, f"{action.channel} without consent"
        if action.complexity == "medium" and rules.routed:
            assert action.channel in rules.routed, "on a channel that may not carry it"
        assert not is_quiet(rules, action.channel, at), f"{action.channel} in quiet hours: {at.astimezone(ZONE)}"
        for most, per, category, channel, exempt in rules.caps:
            counted = [
                one
                for one in [*self.actions, action]
                if category in (None, one.category) and channel in (None, one.channel) and _within(per, one, at)
            ]
            # One of another category or channel may find a cap full that was lowered since.
            if action in counted and action.category not in exempt:
                assert len(counted) <= most, f"{len(counted)} contacts, at most {most} per {per} {category} {channel}"
        if action.step == 0:
            self._judge_pace(rules, action)
        else:
            self._judge_step(rules, action)
        assert action.occasion not in self.reversed_, "its payment was reversed"
        self._judge_moment(action)

    def _judge_moment(self, action: NextBestAction) -> None:
        """What timers bring up at one moment says one thing."""
        if action.occasion == self.answering or self.changed:
            return
        due = self._put_off_until(action)
        if self.wall and due is None:
            return
        for one in self.actions:
            if one.created_at == action.created_at and one.action_id not in self.immediate:
                same = not self.wall or self._put_off_until(one) == due
                assert not same, f"two contacts at once: {one.trigger} and {action.trigger} at {action.created_at}"

    def _put_off_until(self, action: NextBestAction) -> str | None:
        """When a step was due that had been put off."""
        told = [
            one.detail["until"]
            for one in self.decisions
            if (one.trigger, one.occasion, one.step) == (action.trigger, action.occasion, action.step)
            and one.outcome == "deferred"
        ]
        return told[-1] if told else None

    def _judge_pace(self, rules: Rules, action: NextBestAction) -> None:
        for hours, same in zip(
            rules.cooldown,
            (lambda _: True, lambda one: one.category == action.category, lambda one: one.trigger == action.trigger),
            strict=True,
        ):
            gaps = [action.created_at - one.created_at for one in self.actions if same(one)]
            assert all(gap >= timedelta(hours=hours) for gap in gaps), f"too soon: {min(gaps)} of {hours} hours"
        if rules.attempts is not None and action.category not in rules.exempt and not self.changed:
            self._judge_attempts(*rules.attempts, action)

    def _judge_attempts(self, most: int, days: int, action: NextBestAction) -> None:
        """Counts contacts of the category since the last sale, or since the last pause was over."""
        made, last = 0, None
        told = [
            (at, 1, "bought")
            for at, one, outcome in self.answers
            if outcome == "bought" and one.category == action.category
        ]
        told += [(one.created_at, 0, "sent") for one in self.actions if one.category == action.category]
        # What only the holdout kept back counts too, so that the two groups stay alike.
        told += [
            (one.decided_at, 0, "holdout")
            for one in self.decisions
            if one.reason == "holdout" and one.step == 0 and CATEGORY[one.trigger] == action.category
        ]
        for at, _, what in sorted(told):
            if what == "bought":
                made = 0
                continue
            if made >= most and last is not None and at >= last + timedelta(days=days):
                made = 0
            made, last = made + 1, at
        if made >= most and last is not None:
            assert action.created_at >= last + timedelta(days=days), f"{made} contacts without a sale"

    def _judge_step(self, rules: Rules, action: NextBestAction) -> None:
        of_ladder = [one for one in self.actions if (one.trigger, one.occasion) == (action.trigger, action.occasion)]
        assert of_ladder, "a later step without a first"
        outcomes = {outcome for _, one, outcome in self.answers if one in of_ladder}
        assert "refused" not in outcomes, "a further step after a refusal"
        if action.step < len(rules.ladder) and rules.ladder[action.step][2]:
            assert outcomes.isdisjoint(SEEN), "a further step after an answer"

    def check_queues(self, now: datetime, gone: Callable[[NextBestAction], bool]) -> None:
        """Nothing of what ``gone`` picks is left on a queue, but what the customer bought or refused by it."""
        told = {one.action_id for one in self.cancellations}
        told |= {one.action_id for _, one, outcome in self.answers if outcome in ENDS}
        left = [one for one in self.actions if one.expires_at > now and one.action_id not in told and gone(one)]
        assert not left, f"still on a queue: {[(one.trigger, one.step, one.channel) for one in left]}"

    def kinds(self) -> set[str]:
        """What became of candidates and of further steps, in words that a test can ask for."""
        found = set()
        for one in self.decisions:
            name = f"{one.outcome}: {one.reason}"
            if one.reason == "holdout":
                name += " of all" if one.detail["from"] == "all" else " of a trigger"
            found |= {name, f"later step {name}"} if one.step else {name}
            if "winner_occasion" in one.detail:
                found.add("outranked by another occasion")
        return found | {f"withdrawn: {one.reason}" for one in self.cancellations}

    def check(self) -> None:
        """What must hold of everything so far."""
        ids = Counter(one.decision_id for one in self.decisions)
        assert max(ids.values(), default=1) == 1, "a decision stands twice"
        steps = Counter((one.trigger, one.occasion, one.step) for one in self.actions)
        assert max(steps.values(), default=1) == 1, "a step was sent twice"
        sent = {one.action_id for one in self.decisions if one.outcome == "sent"}
        assert sent == {one.action_id for one in self.actions}, "an action and its decision belong together"
        known = {one.action_id for one in self.actions}
        assert {one.action_id for one in self.cancellations} <= known, "something was withdrawn that never went out"
        self._check_finals(over=False)
        self._check_occasions()
        self._check_holdout()

    def check_end(self) -> None:
        """What must hold once nothing waits any more."""
        if self.broken:
            return
        self.check()
        self._check_finals(over=True)
        decided = {(one.trigger, one.occasion) for one in self.decisions if one.trigger in LEAST}
        assert decided == self.expected, f"candidates without a decision, or the other way: {decided ^ self.expected}"

    def _check_finals(self, *, over: bool) -> None:
        """Each candidate has one word, after any number of deferrals; what was reversed meanwhile was taken back."""
        found: dict[tuple[str, str], list[Decision]] = defaultdict(list)
        for one in self.decisions:
            if one.step == 0:
                found[one.trigger, one.occasion].append(one)
        for candidate, decisions in found.items():
            finals = [one for one in decisions if one.outcome in ("sent", "suppressed")]
            # With an action it is that one's alone, and the ladder goes on.
            taken_back = [one for one in decisions if one.outcome == "cancelled" and one.action_id is None]
            assert len(finals) <= 1, f"{candidate} has several last words: {[one.reason for one in finals]}"
            assert len(taken_back) <= 1, f"{candidate} was taken back twice"
            if over:
                assert finals or taken_back, f"{candidate} has no last word"
            if finals:
                place = decisions.index(finals[0])
                assert all(one.outcome == "deferred" for one in decisions[:place]), f"{candidate} was decided before"
                assert all(one.outcome == "cancelled" for one in decisions[place + 1 :]), f"{candidate} goes on"

    def _check_occasions(self) -> None:
        """At one occasion, and in one window, at most one candidate is heard, waits, or is held out."""
        heard: dict[str, set[str]] = defaultdict(set)
        for one in self.decisions:
            if one.step == 0 and (one.outcome in ("sent", "deferred") or one.reason == "holdout"):
                heard[one.occasion].add(one.trigger)
        for occasion, triggers in heard.items():
            assert len(triggers) == 1, f"{occasion} led to {triggers}"
        if self.changed:
            return
        ends: dict[tuple[str, str], Decision] = {}
        for one in self.decisions:
            if one.step == 0 and self.rules_of[one.ruleset].window:
                ends.setdefault((one.trigger, one.occasion), one)
        passed = sorted(
            one.decided_at for one in ends.values() if one.outcome in ("sent", "deferred") or one.reason == "holdout"
        )
        window = timedelta(hours=max(rules.window for rules in self.rules_of.values()))
        assert all(later - earlier >= window for earlier, later in pairwise(passed)), (
            f"two contacts began in one window: {passed}"
        )

    def _check_holdout(self) -> None:
        """Only those who are drawn are held out, from what they are drawn for."""
        for one in self.decisions:
            if one.reason == "holdout":
                everyone, big = self.rules_of[one.ruleset].holdout
                drawn_for = one.detail["from"]
                percent = everyone if drawn_for == "all" else big
                assert _drawn(one.customer_id, "" if drawn_for == "all" else drawn_for, percent), "not drawn"


def _drawn(customer: str, trigger: str, percent: int) -> bool:
    """Whether the salted hash is among so many percent of all hashes."""
    text = b"".join(len(part).to_bytes(4, "big") + part for part in (SALT, customer.encode(), trigger.encode()))
    return int(blake2b(text, digest_size=16).hexdigest()[:8], 16) / 2**32 < percent / 100


def is_quiet(rules: Rules, channel: str, at: datetime) -> bool:
    """Whether a channel may not be used then."""
    local = at.astimezone(ZONE)
    if channel in rules.closed and local.weekday() >= 5:
        return True
    if channel not in rules.quiet:
        return False
    begin, end = HOURS[channel]
    return begin <= local.hour < end if begin < end else local.hour >= begin or local.hour < end


def _within(per: str, one: NextBestAction, at: datetime) -> bool:
    if per in LENGTHS:
        return at - one.created_at < LENGTHS[per]
    return _period(per, one.created_at) == _period(per, at)


def _period(per: str, at: datetime) -> date | tuple[int, int]:
    day = at.astimezone(ZONE).date()
    if per == "day":
        return day
    return (day.year, day.month) if per == "month" else day - timedelta(days=day.weekday())
