"""The usual transaction's own way: whatever the rules and the life of a customer, it is the general way to the byte."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

import triggers
from schemas.base import to_ms
from tests.support.bank import Customer, actions, at, behaviour, feedback, maturity, profile, transaction
from tests.support.rules import expression
from triggers.casework.measures import MeasuredEvaluation, read_measures
from triggers.engine.customer import CustomerStage
from triggers.engine.evaluation import Evaluation
from triggers.engine.plan import Plan
from triggers.engine.usual import UsualTransactions
from triggers.engine.usual_writer import places_of
from triggers.engine.windows import UNKNOWN
from triggers.language.loader import load_documents, load_ruleset
from triggers.language.model import RuleSet

FROZEN = Path(__file__).resolve().parents[2] / "benchmarks" / "rules"
LIBRARY = Path(next(iter(triggers.__path__))) / "library"

GOAL = {"on": "transaction", "when": "customer.balance >= 3500 and event.amount >= 10"}
DEBITS = 'event.direction == "debit"'
AMOUNT = "event.amount"
FEATURES: dict[str, dict[str, Any]] = {
    "in_3d": {"sum": AMOUNT, "where": 'event.direction == "credit"', "over": "3d"},
    "own_3d": {"sum": AMOUNT, "where": "event.own_account", "over": "3d"},
    "usd_3d": {"sum": AMOUNT, "where": 'event.currency == "USD"', "over": "3d"},
    "large_3d": {"count": True, "where": "event.amount >= 1000", "over": "3d"},
    "payments_2d": {"count": True, "where": DEBITS, "over": "2d"},
    "payments_5d": {"count": True, "where": DEBITS, "over": "5d"},
    "all_2d": {"count": True, "over": "2d"},
    "heard_48h": {"count": True, "over": "2d", "of": ["transaction", "behaviour"]},
    "peak_3d": {"max": "customer.balance", "over": "3d"},
    "low_3d": {"min": "customer.aum", "over": "3d"},
    "mean_3d": {"daily_mean": "customer.balance", "over": "3d"},
    "account_3d": {"daily_mean": "account.balance", "over": "3d", "by": "account"},
    "account_sum_3d": {"sum": AMOUNT, "over": "3d", "by": "account"},
    "usual_3d": {"mean": AMOUNT, "over": "3d"},
    "kinds_3d": {"distinct": "event.kind", "over": "3d"},
    "half_3d": {"max": "event.amount / 3", "over": "3d"},
    "share_3d": {"max": "event.amount / customer.balance", "over": "3d"},
    "first_3d": {"first": AMOUNT, "over": "3d"},
    "last_3d": {"last": "event.balance_after", "over": "3d"},
    "month": {"sum": AMOUNT, "over": "month"},
    "visits_3d": {"count": True, "of": "behaviour", "over": "3d"},
    "tagged_3d": {"max": "customer.balance", "where": '"busy" in customer.tags', "over": "3d"},
}
CONDITIONS = (
    'event.direction == "debit"',
    'event.kind in ["salary", "transfer"]',
    "not event.own_account",
    "event.amount >= 1000",
    'event.channel == "atm" or event.amount > 3000',
    "in_3d >= 1000 and event.amount >= 10",
    "own_3d > 100",
    "usd_3d > 100",
    "large_3d >= 1",
    "payments_2d >= 2",
    "payments_2d >= 2 and payments_2d * 3 >= payments_5d",
    "all_2d >= 4 or payments_5d >= 3",
    "all_2d >= 2.5",
    "all_2d >= 3 and heard_48h <= 5",
    "heard_48h >= 3",
    "customer.balance <= peak_3d * 0.7",
    "mean_3d >= 2000 and customer.balance >= mean_3d * 1.2",
    "customer.aum > low_3d",
    "account.balance < account_3d",
    "account_sum_3d > 1500",
    "event.amount > usual_3d and kinds_3d >= 2",
    "half_3d > 500",
    "share_3d > 0.1",
    "first_3d != last_3d",
    "month > 2000",
    "visits_3d >= 1",
    "tagged_3d > 1000",
    "crossed_below(customer.balance, 3000)",
    "crossed_above(account.balance, 3000)",
    "before.tier != customer.tier",
    '"busy" in customer.tags',
    'customer.tier in ["mid", "high"]',
    'customer.tier != "potential"',
    "customer.age >= 30",
    "customer.employee or customer.balance > 4000",
    "product.amount > 1",
)
TIERS = "tierings:\n  tier: {measure: customer.aum, edges: {potential: 0, mid: 3000, high: 6000}}\n"
TAGS = """\
features:
  seen: {count: true, where: event.direction == "debit", over: 2d}
tags:
  busy: {when: seen >= 2}
  rich: {when: customer.balance > 5000, holds: 2d}
"""
WAKES: tuple[Any, ...] = (
    "transaction",
    "transaction",
    "transaction.salary",
    ["transaction", "behaviour.login"],
    ["transaction", "tag.added.busy"],
    {"silence": "transaction", "for": "2d"},
    {"silence": "transaction.salary", "for": "3d"},
    {"after": "transaction.salary", "unless": "transaction.transfer", "within": "2d"},
)
PAYMENT = {"at": "2026-03-02 10:00", "transaction": {"amount": 10}}
CASES = [
    {"name": "fires", "events": [PAYMENT], "expect": [{"at": "2026-03-02 10:00"}]},
    {"name": "silent", "events": [PAYMENT], "expect": []},
]
OF_THE_EVENT = ("event.", "account.", "crossed_", "before.", "product.", "_3d", "_2d", "_5d", "month")
AT_ANY_TIME = tuple(one for one in CONDITIONS if not any(part in one for part in OF_THE_EVENT))
LATER = {"after": "1d", "unless": "opened", "use": "sms"}


def each_alone(conditions: Sequence[str] = CONDITIONS, *, derived: bool = True) -> tuple[str, ...]:
    """The files of a rule set that has every condition as a trigger of its own, with tiers and tags or without."""
    files = {"policy.yaml": '{"lateness": "7d"}'}
    if derived:
        files |= {"tiers.yaml": TIERS, "tags.yaml": TAGS}
    for number, condition in enumerate(conditions):
        if "product." in condition:
            continue
        body = {
            "trigger": f"t{number}",
            "version": 1,
            "title": "t",
            "owner": "tests",
            "status": "live",
            "on": "transaction",
            "features": {name: feature for name, feature in FEATURES.items() if name in condition},
            "when": condition,
            "action": {
                "offer": "something",
                "category": "care",
                "complexity": "simple",
                "priority": number,
                "expires": "1h",
                "ladder": ["push"],
            },
        }
        files[f"t{number}.yaml"] = json.dumps({**pruned(body), "tests": CASES})
    return tuple(text for pair in sorted(files.items()) for text in pair)


@st.composite
def drawn_rules(draw: st.DrawFn) -> tuple[str, ...]:
    """The files of a rule set."""
    files = {}
    for number in range(draw(st.integers(1, 6))):
        wake = draw(st.sampled_from(WAKES))
        on_transactions = wake in ("transaction", "transaction.salary")
        pool = (
            CONDITIONS
            if on_transactions
            else [one for one in CONDITIONS if not any(part in one for part in OF_THE_EVENT)]
        )
        conditions = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4, unique=True))
        rearm = (
            draw(st.sampled_from([None, None, "customer.balance >= 3500", "in_3d < 500"])) if on_transactions else None
        )
        written = " and ".join(f"({one})" if " or " in one else one for one in conditions)
        body = {
            "trigger": f"t{number}",
            "version": 1,
            "title": "t",
            "owner": "tests",
            "status": draw(st.sampled_from(["live", "live", "shadow"])),
            "on": wake,
            "features": {name: feature for name, feature in FEATURES.items() if name in f"{written} {rearm}"},
            "when": written,
            "rearm": rearm,
            "once_per": draw(st.sampled_from([None, "1d"])) if rearm is None else None,
            "action": {
                "offer": "something",
                "category": draw(st.sampled_from(["care", "growth"])),
                "complexity": "simple",
                "priority": 10 + number,
                "value": draw(st.sampled_from(["customer.balance", "event.amount"]))
                if on_transactions
                else "customer.aum",
                "expires": "30h",
                "ladder": draw(
                    st.sampled_from([["push"], ["push", {"after": "1d", "unless": "opened", "use": "sms"}]])
                ),
                "until": draw(st.sampled_from([None, "transaction.transfer", "transaction.card"])),
                "goal": draw(st.sampled_from([None, None, "transaction.card", GOAL])),
            },
        }
        files[f"t{number}.yaml"] = json.dumps({**pruned(body), "tests": CASES})
    if draw(st.booleans()):
        files["tiers.yaml"] = TIERS
    files["tags.yaml"] = TAGS
    policy: dict[str, Any] = {"lateness": draw(st.sampled_from(["1d", "7d"]))}
    if draw(st.booleans()):
        policy["caps"] = [{"at_most": 2, "per": "2d"}]
    if draw(st.integers(0, 3)) == 0:
        policy["arbitration"] = {"window": "2h"}
    files["policy.yaml"] = json.dumps(policy)
    return tuple(text for pair in sorted(files.items()) for text in pair)


def pruned(body: dict[str, Any]) -> dict[str, Any]:
    """Without the keys that have no value."""
    kept = {key: pruned(value) if isinstance(value, dict) else value for key, value in body.items()}
    return {key: value for key, value in kept.items() if value not in (None, {})}


@lru_cache(maxsize=256)
def load(files: tuple[str, ...], samples: int) -> RuleSet | None:
    """The rule set, with as many samples for each series; ``None`` where a check finds an error in it."""
    ruleset = load_documents(dict(zip(files[::2], files[1::2], strict=True))).ruleset
    if ruleset is None:
        return None
    return replace(ruleset, policy=replace(ruleset.policy, samples=samples), hash=f"{ruleset.hash}{samples}")


def life(seed: int, steps: int) -> list[tuple[str, Any]]:
    """Records of one customer with three accounts: in order and not, repeated (also under a new sequence), reversed
    before and after, between own accounts; visits, profiles, answers, timers and other rules in between.
    """
    rng = random.Random(seed)
    happened: list[tuple[str, Any]] = []
    balances, sequences = {"a1": 4000, "a2": 2000, "a3": 500}, dict.fromkeys(("a1", "a2", "a3"), 0)
    paid: list[Any] = []
    happened.append(("feed", profile("p", 0, birth_date=rng.choice([None, "1996-03-04", "1996-03-09"]), tier="high")))
    clock = 0.0
    odd = rng.choice([0.0, 0.1, 0.4])
    """How much of it is not usual."""
    for number in range(steps):
        clock += rng.choice([0, 0.01, 0.1, 0.1, 0.5, 1])
        unusual = rng.random() < odd
        when = at(clock - (rng.choice([0.05, 0.5, 2, 9]) if unusual and rng.random() < 0.4 else 0))
        other = rng.random()
        if other < 0.06:
            happened.append(("feed", behaviour(f"b{number}", rng.choice(["login", "browse"]), occurred_at=when)))
        elif other < 0.1:
            known = {"tier": rng.choice([None, "mid", "high"]), "employee": rng.choice([None, True, False])}
            born = rng.choice([None, "1990-03-04", "1996-03-07"])
            happened.append(("feed", profile(f"p{number}", number + 1, occurred_at=when, birth_date=born, **known)))
        elif other < 0.13:
            happened.append(("say", (f"f{number}", rng.choice(["opened", "bought"]), when)))
        elif other < 0.16:
            happened.append(("timers", at(clock + rng.choice([0, 4]))))
        elif unusual and other < 0.2:
            happened.append(("rules", None))
        elif unusual and paid and other < 0.4:
            happened.append(("feed", rng.choice(paid)))
        else:
            account = rng.choice(["a1", "a1", "a1", "a2", "a3"])
            amount = rng.choice([10, 50, 400, 1500, 4000]) * rng.choice([1, -1])
            amount_text = f"{amount}.{rng.choice(['', '00', '5', '0001'])}".rstrip(".")
            balances[account] += amount
            sequences[account] += rng.choice([1, 1, 1, 3]) if not unusual else rng.choice([1, 1, -1])
            moved = unusual and rng.random() < 0.3
            back = f"t{rng.randint(max(0, number - 6), number + 4)}" if unusual and rng.random() < 0.3 else None
            again = unusual and number > 3 and rng.random() < 0.2
            record = transaction(
                f"t{number - 3 if again else number}",
                max(sequences[account], 0),
                amount_text,
                balances[account],
                account_id=account,
                currency="USD" if account == "a3" and not (unusual and rng.random() < 0.1) else "CNY",
                kind=rng.choice(["card", "card", "salary", "transfer"]),
                channel=rng.choice([None, "atm", "pos"]),
                own_account=moved or rng.random() < 0.05,
                transfer_id=f"x{rng.randint(0, 3)}" if moved else None,
                reversal_of=back,
                occurred_at=when,
            )
            paid.append(record)
            happened.append(("feed", record))
    return happened


class General(Evaluation):
    """An evaluation that takes every transaction the general way."""

    quick = False


class Pair:
    """One customer twice: the one whose usual transactions go their own way, and the one who knows no such way."""

    def __init__(self, rules: RuleSet, monkeypatch: pytest.MonkeyPatch, *, recode: bool = False) -> None:
        monkeypatch.setattr(UsualTransactions, "WARM", -1)
        self.quick, self.general = Customer(rules, recode=recode), Customer(rules)
        self.general.stage._run = General("bank")

    def live(
        self, happened: list[tuple[str, Any]], others: list[RuleSet], *, wall: bool, to_the_end: bool = True
    ) -> None:
        """Runs both through a life and holds them against each other after each step."""
        latest = 0
        for kind, what in happened:
            if kind == "rules":
                others = [*others[1:], others[0]]
                self.quick.rules = self.general.rules = others[0]
            elif kind == "timers":
                assert self.quick.run_to(what) == self.general.run_to(what)
            elif kind == "say":
                sent = actions(self.general.outputs)
                if sent:
                    self._feed(feedback(what[0], sent[-1], what[1], occurred_at=what[2]), None)
            else:
                latest = max(latest, int(what.occurred_at.timestamp() * 1000))
                self._feed(what, latest + 1000 if wall else None)
            self._compare()
        if to_the_end:
            assert self.quick.run_to(at(120)) == self.general.run_to(at(120))
            self._compare()

    def _feed(self, record: Any, now: int | None) -> None:
        assert self.quick.feed(record, now) == self.general.feed(record, now)

    def _compare(self) -> None:
        quick, general = self.quick, self.general
        assert quick.stage.encode(quick.state) == general.stage.encode(general.state)
        assert (quick.state.balance, quick.state.aum) == (general.state.balance, general.state.aum)
        for state in (quick.state, general.state):
            assert state.idle_until <= min(state.timers.values(), default=state.idle_until)
        self._compare_extremes()

    def _compare_extremes(self) -> None:
        """None is nearer than what is kept; where no look would show nearer ones, they are what is kept."""
        state = self.quick.state
        if state.extremes is None:
            return
        for name, place in places_of(self.quick.stage._run.plan).items():
            low, high, nearer = state.extremes[place : place + 3]
            kept = state.series[name].values
            if not nearer:
                assert (low, high) == (min(kept), max(kept))
            elif (low, high, nearer) != UNKNOWN:
                assert low <= min(kept) <= max(kept) <= high


@settings(max_examples=60, deadline=None)
@given(
    st.lists(drawn_rules(), min_size=1, max_size=2),
    st.integers(0, 10**9),
    st.sampled_from([5_000, 5_000, 8]),
    st.booleans(),
    st.booleans(),
)
def test_a_usual_transaction_does_what_the_general_way_does(
    drawn: list[tuple[str, ...]], seed: int, samples: int, wall: bool, recode: bool
) -> None:
    """The same outputs, rejections and bytes of the state after each step, of whatever rules and life."""
    rules = [ruleset for files in drawn if (ruleset := load(files, samples)) is not None]
    assume(rules)
    with pytest.MonkeyPatch.context() as patched:
        pair = Pair(rules[0], patched, recode=recode)
        pair.live(life(seed, 60), rules, wall=wall)
        event(f"fired: {bool(pair.quick.outputs)}")


@pytest.mark.parametrize("samples", [5_000, 8])
@pytest.mark.parametrize("seed", range(3))
def test_each_condition_by_itself_is_true_where_it_is_the_general_way(
    samples: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision on each one that is true, in a long life; also where older samples are folded."""
    rules = load(each_alone(), samples)
    assert rules is not None
    pair = Pair(rules, monkeypatch)
    pair.live(life(seed, 150), [rules], wall=False)
    assert len({output.trigger for output in pair.quick.outputs}) > 15


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("folder", [FROZEN, LIBRARY], ids=["frozen", "library"])
def test_so_it_is_with_the_rules_that_banks_have(folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten frozen triggers and all shipped ones, with their tiers and tags, for months."""
    rules = load_ruleset([folder]).ruleset
    assert rules is not None
    pair = Pair(rules, monkeypatch)
    pair.live(life(seed, 250), [rules], wall=False)
    assert pair.quick.outputs


def test_so_it_is_under_other_rules_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known of several levels says nothing of the one that is left of them."""
    low, peak = "customer.aum >= low_3d * 1.1", "customer.balance <= peak_3d * 0.7"
    both, *ones = (load(each_alone(names, derived=False), 5_000) for names in ((low, peak), (low,), (peak,)))
    for one in ones:
        assert both is not None
        assert one is not None
        steps = [("feed", maturity("m", 1, "purchased", at(60).date(), amount="1500")), *life(2, 100)]
        for place in range(90, 0, -15):
            steps.insert(place, ("rules", None))
        pair = Pair(both, monkeypatch)
        pair.live(steps, [both, one], wall=False)
        assert pair.quick.outputs


@pytest.mark.parametrize("held", [False, True])
def test_so_it_is_with_tiers_by_a_mean_of_the_day(held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tier goes by all that the customer has, and triggers by the balance: of who holds a product they differ."""
    tiers = "features:\n  mean_3d: {daily_mean: customer.aum, over: 3d}\n" + TIERS.replace("customer.aum", "mean_3d")
    files = {path.name: path.read_text("utf-8") for path in FROZEN.glob("*.yaml")} | {"tiers.yaml": tiers}
    rules = load(tuple(text for pair in sorted(files.items()) for text in pair), 5_000)
    assert rules is not None
    seen = set()
    for seed in range(4):
        pair = Pair(rules, monkeypatch)
        bought = [("feed", maturity("m", 1, "purchased", at(60).date(), amount="1500"))] if held else []
        for step in [*bought, *life(seed, 100)]:
            pair.live([step], [rules], wall=False, to_the_end=False)
            seen.add(pair.quick.state.tier)
    assert {"potential", "mid", "high"} <= seen


def test_most_transactions_of_a_life_are_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that are booked next, in the order of time, and take nothing back; the others change nothing on that way, but
    for an account that becomes known.
    """
    rules = load_ruleset([FROZEN]).ruleset
    assert rules is not None
    monkeypatch.setattr(UsualTransactions, "WARM", -1)
    usual, customer = UsualTransactions(Plan(rules)), Customer(rules)
    run = customer.stage._run
    run.adopt(rules)
    went, firsts = [], 0
    for kind, record in life(5, 300):
        if kind != "feed":
            continue
        if record.record_type == "transaction":
            run.state, run.outputs, moment = customer.state, [], to_ms(record.occurred_at)
            run.clock = max(customer.state.clock, moment)
            before = customer.stage.encode(customer.state)
            known = record.account_id in customer.state.account_map
            function = usual.of(record)
            assert function is not None
            went.append(function(run, record, customer.state, moment))
            if went[-1]:
                firsts += not known
                continue
            if known:
                assert customer.stage.encode(customer.state) == before
        customer.feed(record)
    assert 0.4 < sum(went) / len(went) < 1
    assert firsts == 2  # the third account's is in another currency: no total is known by it


@pytest.mark.parametrize("every", [1, 3])
def test_what_a_backtest_measures_is_measured(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in so many moments, the same ones whether the transactions between them go their own way or not."""
    rules = load_ruleset([LIBRARY]).ruleset
    assert rules is not None
    found = []
    for warm in (-1, 10**9):
        monkeypatch.setattr(UsualTransactions, "WARM", warm)
        run = MeasuredEvaluation("bank", read_measures(rules), every)
        customer = Customer(rules)
        customer.stage = CustomerStage("bank", run)
        run.begin_customer(1)
        for kind, record in life(1, 60):
            if kind == "feed":
                customer.feed(record)
        found.append([(one.values.total, one.values.least, one.values.most, one.held) for one in run.readings])
    assert found[0] == found[1]
    assert any(total for total, *_ in found[0])


def test_the_function_of_a_shape_can_be_read() -> None:
    """It names what it asks; what the shape has decided is not in it."""
    rules = load_ruleset([FROZEN]).ruleset
    assert rules is not None
    text = UsualTransactions(Plan(rules)).source(transaction("t", 1, -10, 100, kind="card"))
    assert text.startswith("def usual(run, e, c, at):")
    assert "direction" not in text
    assert ": balance_drop\n" in text
    assert "salary_arrived" not in text


def test_a_broken_condition_is_reported_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises among the others, which are then asked one by one."""

    def breaks(_scope: Any) -> bool:
        raise ZeroDivisionError

    base = load_ruleset([FROZEN]).ruleset
    assert base is not None
    broken = replace(base.triggers[0], id="broken", when=expression(breaks), clauses=(), rearm=None)
    fires = replace(base.triggers[0], id="fires", when=expression(lambda _: True), clauses=(), rearm=None)
    pair = Pair(replace(base, triggers=(broken, fires), hash="h"), monkeypatch)
    pair.live([("feed", transaction(f"t{day}", day, 1, day, occurred_at=at(day))) for day in (1, 2, 3)], [], wall=False)
    assert {output.reason for output in pair.quick.outputs if output.record_type == "decision"} >= {"broken", "sent"}
