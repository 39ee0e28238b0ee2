"""Between which numbers a window's value lies is said without working it out: always rightly, and mostly at all."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.bank import Customer, at, transaction
from triggers.engine.derived_look import bounds_of, packed_bounds_of
from triggers.engine.plan import Plan
from triggers.engine.series import SeriesState, pack
from triggers.engine.windows import UNKNOWN, lies_between, tighten, window_of
from triggers.language.loader import load_documents
from triggers.language.model import RuleSet

FEATURES = {
    "daily_3d": {"daily_mean": "customer.balance", "over": "3d"},
    "flow_3d": {"mean": "event.amount", "over": "3d"},
    "this_month": {"daily_mean": "customer.balance", "over": "month"},
    "account_3d": {"daily_mean": "account.balance", "over": "3d", "by": "account"},
    "top_3d": {"max": "customer.balance", "over": "3d"},
}
HOUR = 3_600_000


@cache
def rules() -> RuleSet:
    """A trigger that reads every feature, and tiers by the mean."""
    body = {
        "trigger": "t",
        "version": 1,
        "title": "t",
        "owner": "tests",
        "status": "live",
        "on": "transaction",
        "features": FEATURES,
        "when": " and ".join(f"{name} > 1" for name in FEATURES),
        "action": {
            "offer": "something",
            "category": "care",
            "complexity": "simple",
            "priority": 1,
            "expires": "1h",
            "ladder": ["push"],
        },
        "tests": [
            {"name": "fires", "events": [], "expect": [{"at": "2026-03-02 10:00"}]},
            {"name": "silent", "events": [], "expect": []},
        ],
    }
    tiers = {"tierings": {"tier": {"measure": "customer.aum", "edges": {"low": 0, "high": 100.5005}, "margin": 0.1}}}
    loaded = load_documents({"t.yaml": json.dumps(body), "tiers.yaml": json.dumps(tiers)})
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


values = st.one_of(
    st.decimals(-1000, 1000, places=2),
    st.decimals(-99_999_999_999_999, 99_999_999_999_999, places=4),
    st.none(),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), values), max_size=70), st.integers(-100, 400), st.booleans())
def test_a_value_lies_between_the_extremes(steps: list[tuple[int, Decimal | None]], later: int, mixed: bool) -> None:
    """Of whatever was kept, at any moment, also before the newest sample; there are none where it may be unknown."""
    samples, moment = SeriesState(), 0
    for key, (hours, value) in enumerate(steps):
        moment += hours * HOUR
        if value is None:
            samples.end_level(moment, key, 9 * 24 * HOUR, 10**6)
        else:
            known = value / 3 if mixed else value
            samples.set_level(moment, key, pack(known), known, 9 * 24 * HOUR, 10**6)
    now = moment + later * HOUR
    found = [0] * 9
    assert tighten(found, 3, samples, now)
    assert found[:3] == found[6:] == [0] * 3
    event(f"known: {found[5] == 0}")
    for feature, series in Plan(rules()).features:
        if not lies_between(feature, series):
            continue
        window = window_of(feature, series)
        assert window is not None
        value = window({series.id: samples}, now)
        if found[3:6] == [*UNKNOWN]:
            continue
        assert value is not None
        assert Decimal(found[3]).scaleb(-4) <= value <= Decimal(found[4]).scaleb(-4)
    if found[5] == 0:
        assert {found[3], found[4]} <= set(samples.values)


def test_only_a_level_of_the_customer_lies_between_its_extremes() -> None:
    """Over a length of time; a flow's mean is of what is kept too, but of that no extremes are."""
    features = Plan(rules()).features
    found = [lies_between(feature, series) for feature, series in features]
    assert len(found) == len(FEATURES)
    between = [feature.function for (feature, _), lies in zip(features, found, strict=True) if lies]
    assert between == ["daily_mean", "max"]


@pytest.mark.parametrize("number", [-1, 904_504, 904_505, 1_005_004, 1_005_005, 10**18])
def test_a_tier_keeps_a_packed_number_as_it_keeps_the_number(number: int) -> None:
    """At its edge and its floor, too."""
    (tiering,) = rules().tierings
    exact, packed = bounds_of(tiering), packed_bounds_of(tiering)
    value = Decimal(number).scaleb(-4)
    for tier in tiering.names:
        assert (exact[tier][0] <= value < exact[tier][1]) is (packed[tier][0] <= number < packed[tier][1])


def test_a_customers_only_account_is_their_balance() -> None:
    """The very same number, which saves the sums; a second account makes it a sum again."""
    customer = Customer(rules())
    for number, balance in enumerate(("10.5", "0.00", "7", "-0.00", "3")):
        customer.feed(transaction(f"t{number}", number + 1, "1", balance, occurred_at=at(number)))
        assert customer.state.balance == customer.state.aum == Decimal(balance)
    customer.feed(transaction("other", 1, "5", "20", account_id="a9", occurred_at=at(6)))
    assert customer.state.balance == customer.state.aum == 23
    customer.feed(transaction("t9", 9, "1", "4", occurred_at=at(7)))
    assert customer.state.balance == customer.state.aum == 24
