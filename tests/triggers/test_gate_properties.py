"""Whatever happens and whatever the rules: the gate's promises hold, and each candidate has its one decision.

Random customers under random policies: payments, late and repeated and reversed ones, profiles, answers, waiting, other
rule sets, by the records' time and by the wall's. ``--deep`` looks much longer.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, reject, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from schemas.base import to_ms
from schemas.dead_letter import Reason
from tests.support.bank import feedback, profile, transaction
from tests.support.gate_rules import CHANNELS, Rules, drawn_rules, load, rules_by_lot
from tests.support.gate_watch import ENDS, Watch
from triggers.engine.customer import CustomerStage
from triggers.engine.ids import make_id

MINUTES = st.sampled_from([0, 1, 30, 120, 300, 700, 1_440, 2_000, 5_000])
REMEMBERED = timedelta(days=30)
"""A ladder is remembered for at least so long after its last step."""
OUTCOMES = ("delivered", "opened", "clicked", "answered", "refused", "refused", "bought", "failed")


class Bank(RuleBasedStateMachine):
    """One customer, from the first event to long after the last."""

    @initialize(
        rules=drawn_rules(),
        wall=st.booleans(),
        recode=st.booleans(),
        customer=st.sampled_from(["c1", "c2", "c3", "c4"]),
        hour=st.integers(0, 7 * 24),
    )
    def begin(self, rules: Rules, wall: bool, recode: bool, customer: str, hour: int) -> None:
        self.watch = Watch()
        self.adopt(rules)
        self.wall, self.recode, self.customer = wall, recode, customer
        self.watch.wall = wall
        self.now = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=hour)
        self.stage = CustomerStage("bank")
        self.state = self.stage.fresh(customer)
        self.numbers = iter(range(1, 1_000_000))
        self.sequence = self.balance = 0
        self.fed: list[Any] = []
        self.payments: list[Any] = []
        self.tell(dict.fromkeys(CHANNELS, True), employee=None, blacklisted=None, minutes=0)

    def adopt(self, rules: Rules) -> None:
        ruleset = load(rules)
        if ruleset is None:
            reject()  # a check finds an error in what was drawn
        self.ruleset, self.rules = ruleset, rules
        self.watch.rules_of[ruleset.hash] = rules

    @rule(minutes=MINUTES)
    def wait(self, minutes: int) -> None:
        """Time passes; a sweep runs what is due."""
        self.now += timedelta(minutes=minutes)
        outcome = self.stage.run_timers(self.state, self.ruleset, to_ms(self.now), self.clock())
        self.watch.take(outcome.outputs if outcome is not None else [])
        if self.recode:
            self.state = self.stage.decode(self.customer, self.stage.encode(self.state))

    @rule(amount=st.sampled_from([1, 5, 50, 500]), minutes=MINUTES, late=st.sampled_from([0, 0, 0, 10, 3_000]))
    def pay(self, amount: int, minutes: int, late: int) -> None:
        self.wait(minutes)
        self.sequence += 1
        self.balance -= amount
        at = self.now - timedelta(minutes=late)
        name = f"t{next(self.numbers)}"
        payment = transaction(name, self.sequence, -amount, self.balance, occurred_at=at, customer_id=self.customer)
        self.watch.paid(self.rules, name, amount)
        self.payments.append(payment)
        self.feed(payment, f"transaction:{name}")

    @rule(amounts=st.lists(st.sampled_from([5, 50, 500]), min_size=1, max_size=4), minutes=MINUTES)
    def pay_often(self, amounts: list[int], minutes: int) -> None:
        for amount in amounts:
            self.pay(amount, minutes, 0)

    @precondition(lambda self: self.fed)
    @rule(back=st.integers(0, 5), minutes=MINUTES)
    def repeat(self, back: int, minutes: int) -> None:
        """A record comes once more."""
        self.wait(minutes)
        self.feed(self.fed[-1 - back % len(self.fed)])

    @precondition(lambda self: self.payments)
    @rule(back=st.integers(0, 3), minutes=MINUTES)
    def reverse(self, back: int, minutes: int) -> None:
        self.wait(minutes)
        payment = self.payments.pop(-1 - back % len(self.payments))
        self.sequence += 1
        self.balance += int(payment.amount)
        record = transaction(
            f"t{next(self.numbers)}",
            self.sequence,
            payment.amount,
            self.balance,
            occurred_at=self.now,
            customer_id=self.customer,
            reversal_of=payment.event_id,
        )
        self.feed(record)
        occasion = f"transaction:{payment.event_id}"
        self.watch.reversed_.add(occasion)
        self.watch.check_queues(self.now, lambda one: one.occasion == occasion)

    @rule(
        consents=st.dictionaries(st.sampled_from(CHANNELS), st.sampled_from([True, True, False])),
        employee=st.sampled_from([None, False, None, False, True]),
        blacklisted=st.sampled_from([None, False, None, False, None, True]),
        minutes=MINUTES,
    )
    def tell(self, consents: dict[str, bool], employee: bool | None, blacklisted: bool | None, minutes: int) -> None:
        """The bank knows something new; from then on it counts, also for what waits."""
        self.wait(minutes)
        number = next(self.numbers)
        record = profile(
            f"p{number}",
            number,
            customer_id=self.customer,
            occurred_at=self.now,
            consents=consents,
            employee=employee,
            blacklisted=blacklisted,
        )
        self.watch.consents, self.watch.excluded = consents, bool(employee or blacklisted)
        self.feed(record)
        closed = {name for name in CHANNELS if not consents.get(name, name not in self.rules.consent)}
        self.watch.check_queues(self.now, lambda one: self.watch.excluded or one.channel in closed)

    @precondition(lambda self: self.watch.actions)
    @rule(
        back=st.integers(0, 3),
        outcome=st.sampled_from(OUTCOMES),
        minutes=MINUTES,
        late=st.sampled_from([0, 0, 10, 2_000]),
    )
    def answer(self, back: int, outcome: str, minutes: int, late: int) -> None:
        """Something became of an action; it may have been a while ago."""
        self.wait(minutes)
        action = self.watch.actions[-1 - back % len(self.watch.actions)]
        at = max(action.created_at, self.now - timedelta(minutes=late))
        record = feedback(f"f{next(self.numbers)}", action, outcome, occurred_at=at)
        ladder = (action.trigger, action.occasion)
        # Noted first: what comes of it comes after it.
        self.watch.answers.append((self.now, action, outcome))
        self.refused = None
        self.feed(record, action.occasion, since=self.watch.last_sent(ladder))
        if self.refused is not None:
            self.watch.answers.pop()
        elif outcome in ENDS:
            self.watch.check_queues(self.now, lambda one: (one.trigger, one.occasion) == ladder)

    @precondition(lambda self: self.watch.actions)
    @rule(wrong=st.sampled_from(["id", "customer", "channel"]), minutes=MINUTES)
    def answer_wrongly(self, wrong: str, minutes: int) -> None:
        """Of no action, of another customer's, or on another channel: it changes nothing."""
        self.wait(minutes)
        action = self.watch.actions[-1]
        others = {
            "id": {"action_id": "nobody's"},
            "customer": {"action_id": make_id("bank", "other", action.trigger, action.occasion, str(action.step))},
            "channel": {"channel": "email"},
        }
        record = feedback(f"f{next(self.numbers)}", action, "bought", occurred_at=self.now, **others[wrong])
        outcome = self.stage.process(record, self.state, self.ruleset, self.clock())
        assert outcome is not None
        assert (outcome.outputs, outcome.rejected is None) == ([], False)

    @rule(rules=drawn_rules(), minutes=MINUTES)
    def change_rules(self, rules: Rules, minutes: int) -> None:
        self.wait(minutes)
        self.adopt(rules)
        self.watch.changed = True

    @invariant()
    def promises_hold(self) -> None:
        self.watch.check()

    def teardown(self) -> None:
        if hasattr(self, "state"):
            self.wait(400 * 1_440)
            # Where the wall's clock counts, what that sweep put off waits for another one.
            for _ in range(150):
                self.wait(60)
            self.watch.check_end()

    def feed(self, record: Any, occasion: str = "", since: datetime | None = None) -> None:
        """Of a feedback ``since`` is when the ladder last said something: after a month it may be forgotten."""
        self.fed.append(record)
        self.watch.answering = occasion
        outcome = self.stage.process(record, self.state, self.ruleset, self.clock())
        if outcome is not None:
            self.refused = outcome.rejected
            forgotten = since is not None and self.now - since >= REMEMBERED
            assert self.refused is None or record in self.fed[:-1] or forgotten, self.refused
            assert not forgotten or self.refused is None or self.refused.reason is Reason.UNKNOWN_ACTION
            self.watch.take(outcome.outputs)
        self.watch.answering = ""

    def clock(self) -> int | None:
        return to_ms(self.now) if self.wall else None


def test_the_gates_promises_hold_whatever_happens(request: pytest.FixtureRequest) -> None:
    """Caps, quiet hours, consent, lists, cooldowns, attempts, expiry, holdout, one voice, one decision."""
    deep = request.config.getoption("--deep")
    run_state_machine_as_test(
        cast("Any", Bank),
        settings=settings(
            max_examples=3_000 if deep else 100,
            stateful_step_count=40 if deep else 20,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


LIVES = 80
MET = {
    *("sent: sent", "deferred: quiet_hours", "suppressed: outranked", "outranked by another occasion"),
    *("suppressed: holdout of all", "suppressed: holdout of a trigger", "suppressed: shadow", "suppressed: once_per"),
    *("suppressed: no_consent", "suppressed: not_routed", "suppressed: no_channel", "suppressed: excluded"),
    *("suppressed: capped", "suppressed: cooling_down", "suppressed: no_sale", "suppressed: expired"),
    *("cancelled: reversed", "cancelled: excluded"),
    *("later step sent: sent", "later step deferred: quiet_hours", "later step suppressed: outranked"),
    *("later step suppressed: answered", "later step suppressed: capped", "later step suppressed: no_consent"),
    *(f"withdrawn: {reason}" for reason in ("reversed", "opted_out", "excluded", "bought", "refused")),
    *("withdrawn: answered_late", "withdrawn: retired"),
    *("opt-out while it waits for its window", "opt-out while it waits for the morning"),
}


def test_many_lives_meet_what_the_promises_are_about(request: pytest.FixtureRequest) -> None:
    """Lives by lot, the same each time: every promise holds in them, and each kind of outcome comes up in several.

    The search above is wider, and meets many a kind seldom or never: what nobody meets is promised in vain.
    """
    met: Counter[str] = Counter()
    for number in range(LIVES * (50 if request.config.getoption("--deep") else 1)):
        met.update(live(random.Random(number)))
    assert {kind: met[kind] for kind in MET if met[kind] < 3} == {}


def live(rng: random.Random) -> set[str]:
    """A life of one customer; the kinds of what came of it."""
    bank, kinds = Bank(), set()
    bank.begin(
        rules_by_lot(rng),
        wall=rng.random() < 0.5,
        recode=rng.random() < 0.2,
        customer=rng.choice(["c1", "c2", "c3", "c4"]),
        hour=rng.randrange(7 * 24),
    )
    for _ in range(30):
        minutes = rng.choice([0, 1, 30, 120, 300, 700, 1_440])
        match rng.choice(["pay", "pay", "pay", "answer", "tell", "reverse", "other"]):
            case "answer" if bank.watch.actions:
                late = rng.choice([0, 10, 2_000])
                bank.answer(back=rng.randrange(3), outcome=rng.choice(OUTCOMES), minutes=minutes, late=late)
            case "tell":
                bank.wait(minutes)
                consents = {name: rng.random() < 0.7 for name in CHANNELS if rng.random() < 0.9}
                if not all(consents.get(channel) for channel in CHANNELS):
                    kinds |= {"opt-out while it waits for its window"} if bank.state.proposals else set()
                    waits = any(journey.deadline for journey in bank.state.journeys)
                    kinds |= {"opt-out while it waits for the morning"} if waits else set()
                blacklisted = rng.choice([None, None, None, False, True])
                bank.tell(consents, employee=None, blacklisted=blacklisted, minutes=0)
                if bank.watch.excluded:
                    bank.pay(500, minutes, 0)
                    bank.tell(dict.fromkeys(CHANNELS, True), employee=False, blacklisted=False, minutes=minutes)
            case "reverse" if bank.payments:
                bank.reverse(back=rng.randrange(2), minutes=minutes)
            case "other":
                if rng.random() < 0.2:
                    bank.change_rules(rules_by_lot(rng), minutes)
                elif bank.watch.actions:
                    bank.answer_wrongly(rng.choice(["id", "customer", "channel"]), minutes)
            case _:
                bank.pay_often(rng.choices([5, 50, 500], k=rng.choice([1, 1, 2])), minutes)
        bank.promises_hold()
    bank.teardown()
    return kinds | bank.watch.kinds()


NIGHT = Rules(quiet=frozenset({"push"}))
"""Pushes wait from 22:00 to 07:00."""


@pytest.mark.parametrize("wall", [False, True])
@pytest.mark.parametrize(
    "rules",
    [
        NIGHT,
        replace(NIGHT, ladder=((("sms",), 0, False), (("push",), 1, False))),
    ],
    ids=["first steps", "further steps"],
)
def test_what_a_night_puts_off_is_one_contact_in_the_morning(rules: Rules, wall: bool) -> None:
    """A path that the search above finds now and then, walked each time: several messages wait for the same minute."""
    bank = Bank()
    bank.begin(rules, wall=wall, recode=True, customer="c1", hour=15)
    for amount, minutes in ((5, 0), (50, 30), (500, 30)):
        bank.pay(amount, minutes, 0)
    bank.wait(2 * 60)
    assert [one.reason for one in bank.watch.decisions].count("quiet_hours") == 3
    bank.wait(7 * 60)
    bank.watch.check()
    waited = [one for one in bank.watch.actions if one.channel == "push"]
    assert [one.trigger for one in waited] == ["huge_payment"]
    assert len([one for one in bank.watch.decisions if "winner_occasion" in one.detail]) == 2
    bank.teardown()
