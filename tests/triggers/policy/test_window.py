"""The arbitration window: candidates of several occasions compete, and the best goes out at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, behaviour, cancellations, maturity, transaction
from tests.support.casework import FIRES, SILENT, load_trigger, result_of, trigger_text
from tests.support.rules import DAY, HOUR, expression, ruleset, trigger
from tests.triggers.language.rule_texts import GOOD
from triggers.engine.window import MOST
from triggers.language.loader import load_documents
from triggers.language.model import OnDerived, OnEvent, OnMaturity, Policy, Quiet, Season, Step, Tag, Trigger

MINUTE = 60_000
BROWSE, LOGIN, LIKE = (OnEvent("behaviour", kind) for kind in ("browse", "login", "like"))


def customer(*triggers: Trigger, window: int = 10 * MINUTE, **policy: Any) -> Customer:
    """A customer of a bank that lets candidates wait so long; its state is written and read after every step."""
    rules = Policy(**{"caps": (), "consent": frozenset(), "window_ms": window, **policy})
    return Customer(ruleset(*triggers, policy=rules), recode=True)


def decided(outputs: list[Any]) -> list[tuple[str, str, str]]:
    """Trigger, outcome and reason of each decision."""
    return [(out.trigger, out.outcome, out.reason) for out in outputs if isinstance(out, Decision)]


LOW = trigger("low", on=(BROWSE,), priority=20)
HIGH = trigger("high", on=(LOGIN,), priority=80)


def test_a_better_candidate_that_comes_in_the_window_wins() -> None:
    """Nothing is said before its end; the other names the winner, its occasion and both scores."""
    person = customer(LOW, HIGH)
    assert person.feed(behaviour("b1", "browse")) == []
    assert person.feed(behaviour("b2", "login", occurred_at=at(minutes=9))) == []
    assert person.run_to(at(minutes=9, seconds=59)) == []
    outputs = person.run_to(at(minutes=10))
    (action,) = actions(outputs)
    assert (action.trigger, action.created_at) == ("high", at(minutes=10))
    assert decided(outputs) == [("high", "sent", "sent"), ("low", "suppressed", "outranked")]
    lost = outputs[-1]
    assert isinstance(lost, Decision)
    assert lost.detail == {"winner": "high", "score": "20", "winner_score": "80", "winner_occasion": "behaviour:b2"}
    assert person.state.proposals == []
    assert person.state.timers == {}


@pytest.mark.parametrize(("seconds", "first"), [(599, ["high"]), (600, ["low"])])
def test_the_first_candidate_sets_the_end(seconds: int, first: list[str]) -> None:
    """What comes at the end is of the next window, which lasts as long; both sides of the moment."""
    person = customer(LOW, HIGH)
    person.feed(behaviour("b1", "browse"))
    person.feed(behaviour("b2", "login", occurred_at=at(seconds=seconds)))
    person.run_to(at(minutes=10))
    assert [action.trigger for action in actions(person.outputs)] == first
    person.run_to(at(minutes=20))
    later = [(action.trigger, action.created_at) for action in actions(person.outputs)[1:]]
    assert later == ([("high", at(minutes=20))] if first == ["low"] else [])


def test_without_a_window_everything_is_said_at_once() -> None:
    """As long as the gate allows it."""
    person = customer(LOW, HIGH, window=0)
    assert actions(person.feed(behaviour("b1", "browse")))
    assert actions(person.feed(behaviour("b2", "login", occurred_at=at(minutes=1))))


def test_one_alone_is_sent_at_the_end() -> None:
    """Its action expires as if it had not waited."""
    person = customer(LOW)
    person.feed(behaviour("b1", "browse"))
    (action,) = actions(person.run_to(at(minutes=10)))
    assert action.expires_at == at(2)


@pytest.mark.parametrize(("window", "reason"), [(HOUR, "sent"), (HOUR + 1, "expired")])
def test_what_expires_before_the_end_is_not_sent(window: int, reason: str) -> None:
    """An action that is worth an hour can wait so long and no longer."""
    person = customer(trigger("low", on=(BROWSE,), expires_ms=HOUR + 1), window=window)
    person.feed(behaviour("b1", "browse"))
    assert [found for _, _, found in decided(person.run_to(at(1)))] == [reason]


def test_a_tie_goes_to_the_priority_the_name_and_the_latest_occasion() -> None:
    """In this order; a season may make different priorities the same score."""
    person = customer(
        replace(LOW, action=replace(LOW.action, category="care")),
        replace(HIGH),
        seasons=(Season(frozenset({3}), Decimal(4), frozenset({"care"})),),
    )
    person.feed(behaviour("b1", "login"))
    person.feed(behaviour("b2", "browse"))
    assert actions(person.run_to(at(1)))[0].trigger == "high"
    names = customer(trigger("b", on=(BROWSE,)), trigger("a", on=(LOGIN,)))
    names.feed(behaviour("b1", "browse"))
    names.feed(behaviour("b2", "login", occurred_at=at(minutes=1)))
    assert actions(names.run_to(at(1)))[0].trigger == "a"
    same = customer(LOW)
    same.feed(behaviour("b1", "browse"))
    same.feed(behaviour("b2", "browse", occurred_at=at(minutes=1)))
    outputs = same.run_to(at(1))
    assert actions(outputs)[0].occasion == "behaviour:b2"
    assert decided(outputs)[1] == ("low", "suppressed", "outranked")


def test_the_winner_is_the_best_that_the_gate_allows() -> None:
    """One that is refused has its own reason and leaves the place to the next."""
    refused = trigger("high", on=(LOGIN,), priority=80, ladder=(Step("sms"),))
    person = customer(LOW, refused, consent=frozenset({"sms"}))
    person.feed(behaviour("b1", "browse"))
    person.feed(behaviour("b2", "login"))
    assert decided(person.run_to(at(1))) == [("high", "suppressed", "no_consent"), ("low", "sent", "sent")]


def test_a_winner_that_waits_for_morning_takes_the_place() -> None:
    """And comes when the quiet hours are over, within the time it had."""
    night = Quiet(frozenset({"push"}), 10 * 60, 14 * 60)
    person = customer(LOW, HIGH, quiet=(night,))
    person.feed(behaviour("b1", "browse"))
    person.feed(behaviour("b2", "login"))
    assert decided(person.run_to(at(minutes=10))) == [
        ("high", "deferred", "quiet_hours"),
        ("low", "suppressed", "outranked"),
    ]
    (action,) = actions(person.run_to(at(1)))
    assert (action.created_at, action.expires_at) == (at(hours=4), at(2))


def test_what_a_reversal_takes_back_drops_out() -> None:
    """Of two the other is sent; of one alone nothing is left, not even the timer."""
    large = trigger("large", priority=90)
    person = customer(LOW, large)
    person.feed(transaction("t1", 1, -100, 0))
    person.feed(behaviour("b1", "browse"))
    undo = person.feed(transaction("t2", 2, 100, 100, reversal_of="t1", occurred_at=at(minutes=5)))
    assert decided(undo) == [("large", "cancelled", "reversed")]
    assert cancellations(undo) == []
    assert [action.trigger for action in actions(person.run_to(at(1)))] == ["low"]
    alone = customer(large)
    alone.feed(transaction("t1", 1, -100, 0))
    alone.feed(transaction("t2", 2, 100, 100, reversal_of="t1", occurred_at=at(minutes=5)))
    assert alone.state.timers == {}
    assert alone.run_to(at(1)) == []
    assert alone.state.memory == {}


def test_what_a_redemption_takes_back_drops_out() -> None:
    """The product is gone before anything was said of it."""
    person = customer(trigger("due", on=(OnMaturity(7),)))
    person.feed(maturity("m1", 1, "purchased", date(2026, 3, 10)))
    person.run_to(at(hours=23, minutes=5))
    assert [proposal.journey.holding_id for proposal in person.state.proposals] == ["h1"]
    outputs = person.feed(maturity("m2", 2, "redeemed", date(2026, 3, 10), occurred_at=at(hours=23, minutes=6)))
    assert decided(outputs) == [("due", "cancelled", "redeemed")]
    assert person.run_to(at(30)) == []


def low_balance(limit: int = 1000, **more: Any) -> Trigger:
    """Fires on a debit that leaves less than so much."""
    poor = expression(lambda scope: scope.customer.balance < limit, "customer.balance")
    debit = expression(lambda scope: scope.event.direction == "debit", "event.direction")
    one = trigger("poor", lambda scope: scope.event.direction == "debit" and scope.customer.balance < limit, **more)
    return replace(one, clauses=(debit, poor))


@pytest.mark.parametrize(("back", "reason"), [(499, "sent"), (500, "no_longer_true")])
def test_the_condition_is_looked_at_again(back: int, reason: str) -> None:
    """What still has to hold at the end is what can be asked then; that the event was a debit stays true."""
    person = customer(low_balance())
    person.feed(transaction("t1", 1, -500, 500))
    person.feed(transaction("t2", 2, back, 500 + back, occurred_at=at(minutes=5)))
    (decision,) = [out for out in person.run_to(at(1)) if isinstance(out, Decision)]
    assert decision.reason == reason
    if reason != "sent":
        assert decision.detail == {"clause": "python", "customer.balance": "1000"}


def test_what_becomes_unknown_is_no_longer_true() -> None:
    """An unknown value does not fire, at the end of a window either."""
    known = expression(lambda scope: scope.customer.balance is None or None, "customer.balance")
    person = customer(replace(trigger("any", lambda _: True), clauses=(known,)))
    person.feed(transaction("t1", 1, 1, 1))
    assert decided(person.run_to(at(1))) == [("any", "suppressed", "no_longer_true")]


def test_account_and_product_are_those_of_the_occasion() -> None:
    """A clause on them is asked of the same ones, as they are now."""
    account = expression(lambda scope: scope.account.balance < 1000 if scope.account else None, "account.balance")
    rules = (replace(trigger("any", lambda scope: scope.event.account_id == "a1"), clauses=(account,)),)
    person = customer(*rules)
    person.feed(transaction("t1", 1, -500, 500))
    person.feed(transaction("t2", 1, 9000, 9000, account_id="a2", occurred_at=at(minutes=1)))
    assert decided(person.run_to(at(1))) == [("any", "sent", "sent")]
    product = expression(lambda scope: scope.product.amount > 0 if scope.product else None, "product.amount")
    held = customer(replace(trigger("bought", lambda _: True, on=(OnEvent("maturity"),)), clauses=(product,)))
    held.feed(maturity("m1", 1, "purchased", date(2026, 9, 1)))
    assert decided(held.run_to(at(1))) == [("bought", "sent", "sent")]


def test_a_broken_clause_is_recorded() -> None:
    """A bug of an expression costs the candidate, not the batch."""
    broken = expression(lambda scope: scope.customer.balance / 0, "customer.balance")
    person = customer(replace(trigger("any", lambda _: True), clauses=(broken,)))
    person.feed(transaction("t1", 1, 1, 1))
    assert decided(person.run_to(at(1))) == [("any", "suppressed", "broken")]


def test_a_shadow_competes_for_what_it_would_have_done() -> None:
    """It takes nobody's place, and is told beside whom."""
    person = customer(LOW, replace(HIGH, status="shadow"))
    person.feed(behaviour("b1", "browse"))
    person.feed(behaviour("b2", "login"))
    outputs = person.run_to(at(1))
    assert decided(outputs) == [("low", "sent", "sent"), ("high", "suppressed", "shadow")]
    assert isinstance(outputs[-1], Decision)
    assert outputs[-1].detail == {"score": "80", "would": "sent", "beside": "low"}


def test_a_trigger_that_is_gone_at_the_end_is_recorded() -> None:
    """With the version it had; what is still in the rules goes on, also where the window was taken away."""
    person = customer(LOW, HIGH)
    person.feed(behaviour("b1", "browse"))
    person.feed(behaviour("b2", "login"))
    person.rules = ruleset(LOW, policy=replace(person.rules.policy, window_ms=0), name="without")
    assert decided(person.run_to(at(1))) == [("high", "suppressed", "retired"), ("low", "sent", "sent")]


def test_once_per_counts_what_was_said_meanwhile() -> None:
    """Where a new rule set ends windows, its own contacts count for what still waits."""
    often = trigger("low", on=(BROWSE,), once_per_ms=DAY)
    person = customer(often)
    person.feed(behaviour("b1", "browse"))
    person.rules = ruleset(often, policy=replace(person.rules.policy, window_ms=0), name="without")
    assert decided(person.feed(behaviour("b2", "browse", occurred_at=at(minutes=1)))) == [("low", "sent", "sent")]
    assert decided(person.run_to(at(1))) == [("low", "suppressed", "once_per")]


def test_more_than_can_wait_leaves_the_last_in_rank() -> None:
    """A customer's state has a bound; the one that goes says so."""
    person = customer(LOW, HIGH)
    for number in range(MOST):
        assert person.feed(behaviour(f"b{number}", "browse", occurred_at=at(seconds=number))) == []
    outputs = person.feed(behaviour("last", "login", occurred_at=at(minutes=5)))
    (full,) = [out for out in outputs if isinstance(out, Decision)]
    assert (full.trigger, full.occasion, full.reason) == ("low", "behaviour:b0", "window_full")
    assert len(person.state.proposals) == MOST
    assert actions(person.run_to(at(1)))[0].trigger == "high"


def test_what_a_tag_wakes_is_told_at_the_end() -> None:
    """The decision names the derived event, though the window ended with a timer."""
    tag = Tag("rich", expression(lambda scope: scope.customer.balance >= 100, "customer.balance"))
    one = trigger("rich_now", on=(OnDerived("tag.added", "rich"),))
    person = customer(one)
    person.rules = replace(person.rules, tags=(tag,))
    person.feed(transaction("t0", 1, 1, 1))
    person.feed(transaction("t1", 2, 100, 101, occurred_at=at(minutes=1)))
    (decision,) = [out for out in person.run_to(at(1)) if isinstance(out, Decision)]
    assert decision.detail == {"woken_by": "tag.added rich"}


_KINDS = ("browse", "login", "like")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*_KINDS, "debit", "undo"]), st.integers(1, 40 * MINUTE)), min_size=1, max_size=25
    ),
    st.sampled_from([1000, MINUTE, 10 * MINUTE, HOUR]),
)
def test_each_candidate_has_one_decision_and_each_window_one_action(steps: list[tuple[str, int]], window: int) -> None:
    """Whatever comes, in whatever order."""
    triggers = [trigger(kind, on=(OnEvent("behaviour", kind),), priority=n) for n, kind in enumerate(_KINDS)]
    person = customer(*triggers, trigger("debit", priority=9), window=window)
    cached = Customer(person.rules)
    now, last = 0, ""
    begun: Counter[tuple[str, str]] = Counter()
    for number, (kind, later) in enumerate(steps):
        now += later
        moment = at(seconds=now / 1000)
        if kind in _KINDS:
            record: Any = behaviour(f"e{number}", kind, occurred_at=moment)
            begun[kind, f"behaviour:e{number}"] += 1
        elif kind == "debit" or not last:
            last = f"e{number}"
            record = transaction(last, number + 1, -1, 0, occurred_at=moment)
            begun["debit", f"transaction:{last}"] += 1
        else:
            record = transaction(f"e{number}", number + 1, 1, 1, reversal_of=last, occurred_at=moment)
            last = ""
        person.feed(record)
        cached.run_to(moment)
        cached.feed(record)
    person.run_to(at(365))
    cached.run_to(at(365))
    # Kept in memory or written and read, swept in time or only at the next event: the same comes of it.
    assert cached.outputs == person.outputs
    told = [out for out in person.outputs if isinstance(out, Decision)]
    first: Counter[tuple[str, str]] = Counter(
        (out.trigger, out.occasion) for out in told if not (out.reason == "reversed" and _went_out(told, out))
    )
    assert first == begun
    sent = [action.created_at for action in actions(person.outputs)]
    assert all((later - earlier).total_seconds() * 1000 >= window for earlier, later in pairwise(sent))


def _went_out(told: list[Decision], one: Decision) -> bool:
    return any(out.occasion == one.occasion and out.outcome == "sent" for out in told)


CASE = """\
  - name: waits
    policy: {arbitration: {window: WINDOW}}
    events: [{at: "2026-03-02 10:00", transaction: {amount: 500}}]
    expect: [{at: "2026-03-02 TIME"}]
"""


@pytest.mark.parametrize(("window", "time"), [("10m", "10:10"), ("none", "10:00"), ("1s", "10:00:01")])
def test_a_case_runs_under_its_window(window: str, time: str) -> None:
    """And production runs under the one of policy.yaml."""
    assert result_of(CASE.replace("WINDOW", window).replace("TIME", time)).passed
    rules, _ = load_trigger(trigger_text(FIRES, SILENT), policy="arbitration: {window: 90m}")
    assert rules.policy.window_ms == 90 * MINUTE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arbitration: 10m", (1, 14, "E012")),
        ("arbitration: {}", (1, 14, "E011")),
        ("arbitration: {window: 8d}", (1, 23, "E015")),
        ("arbitration: {window: never}", (1, 23, "E015")),
        ("arbitration: {windows: 10m}", (1, 15, "E010")),
    ],
)
def test_a_mistake_in_it_is_located(text: str, expected: tuple[int, int, str]) -> None:
    """Line, column and code."""
    found = load_documents({"good.yaml": GOOD, "policy.yaml": text}).problems
    assert [(problem.line, problem.column, problem.code) for problem in found] == [expected]
