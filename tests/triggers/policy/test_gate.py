"""The gate asks only the rules that can refuse a kind of contact: what it says is what all of them would say."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from schemas.base import to_ms
from triggers.engine.scope import Scope
from triggers.engine.state import Contact, CustomerState
from triggers.language.calendar import Calendar
from triggers.language.desk_model import Desks, Handover
from triggers.language.model import (
    Attempts,
    Cap,
    Cooldown,
    Exclusion,
    Expression,
    Holdout,
    OnEvery,
    Policy,
    Quiet,
    Route,
    Suitability,
)
from triggers.policy.candidate import Candidate
from triggers.policy.gate import RULES, Gate, Suppression

CHANNELS = ("push", "sms", "manager")
CATEGORIES = ("growth", "retention")
TRIGGERS = ("one", "other")
COMPLEXITIES = ("simple", "complex")
NOON = to_ms(datetime(2026, 3, 2, 4, tzinfo=UTC))
DAY = 86_400_000
DESKS = Desks((), OnEvery("month", time(9)), Handover(DAY, DAY, DAY), by_tier={"high": "private"})
APP_USER = Expression("customer.app_user", lambda scope: scope.customer.app_user, frozenset({"customer.app_user"}))


def some(names: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    """Any of some names."""
    return st.frozensets(st.sampled_from(names))


policies = st.builds(
    Policy,
    timezone=st.sampled_from(["Asia/Shanghai", "Australia/Lord_Howe"]).map(ZoneInfo),
    calendar=st.builds(Calendar, holidays=st.frozensets(st.dates(date(2026, 2, 27), date(2026, 3, 10)))),
    exclusion=st.builds(Exclusion, st.sampled_from([None, 2]), st.booleans(), st.booleans()),
    consent=some(CHANNELS),
    caps=st.lists(
        st.builds(
            Cap,
            at_most=st.integers(0, 2),
            per_ms=st.just(7 * DAY),
            category=st.sampled_from([None, *CATEGORIES]),
            channel=st.sampled_from([None, *CHANNELS]),
            exempt=some(CATEGORIES),
        ),
        max_size=2,
    ).map(tuple),
    cooldown=st.builds(Cooldown, *[st.sampled_from([0, DAY])] * 3),
    attempts=st.none() | st.builds(Attempts, st.integers(1, 3), st.just(30 * DAY), some(CATEGORIES)),
    suitability=st.lists(st.builds(Suitability, some(CHANNELS), st.just((APP_USER,)), st.booleans()), max_size=2).map(
        tuple
    ),
    routing=st.lists(
        st.builds(Route, some(COMPLEXITIES), some(CHANNELS).map(tuple), st.sampled_from([None, APP_USER])), max_size=3
    ).map(tuple),
    quiet=st.lists(
        st.builds(
            Quiet,
            some(CHANNELS),
            st.integers(0, 1_439),
            st.integers(0, 1_440),
            st.sampled_from(["all", "open", "closed"]),
        ),
        max_size=3,
    ).map(tuple),
    holdout=st.none()
    | st.builds(
        Holdout,
        st.sampled_from(["a", "b"]),
        st.sampled_from([0, 0, 50]),
        st.dictionaries(st.sampled_from(TRIGGERS), st.sampled_from([0, 50])),
        some(CATEGORIES),
    ),
    desks=st.sampled_from([None, DESKS]),
)
states = st.builds(
    CustomerState,
    key=st.sampled_from(["c1", "c2", "c3"]),
    contacts=st.lists(
        st.builds(
            Contact,
            st.integers(-10, 0).map(lambda days: NOON + days * DAY),
            st.sampled_from(TRIGGERS),
            st.sampled_from(CATEGORIES),
            st.sampled_from(CHANNELS),
        ),
        max_size=4,
    ).map(sorted),
    attempts=st.dictionaries(st.sampled_from(CATEGORIES), st.tuples(st.integers(0, 3), st.just(NOON - DAY))),
    consents=st.dictionaries(st.sampled_from(CHANNELS), st.booleans()),
    app_user=st.sampled_from([None, True, False]),
    employee=st.sampled_from([None, None, None, True]),
    exclusion_list=st.sampled_from([None, None, 1, 2]),
    exclusion_confirmed=st.sampled_from([True, True, None]),
    completeness=st.just(Decimal(1)),
    tier=st.sampled_from([None, "high", "mid"]),
)
contacts = st.tuples(
    st.sampled_from(TRIGGERS),
    st.sampled_from(CATEGORIES),
    st.sampled_from(CHANNELS),
    st.sampled_from(COMPLEXITIES),
    st.integers(0, 1),
    st.integers(NOON - 3 * DAY, NOON + 3 * DAY),
)


@given(policies, st.lists(st.tuples(states, contacts), min_size=1, max_size=8))
def test_the_rules_that_are_not_asked_would_have_said_nothing(
    policy: Policy, asked: list[tuple[CustomerState, tuple[str, str, str, str, int, int]]]
) -> None:
    """One gate, asked for several customers and contacts one after the other: the first of all rules that refuses."""
    gate = Gate(policy)
    for state, contact in asked:
        scope = Scope()
        scope.customer = state
        candidate = Candidate(*contact, scope)
        assert gate.suppression(state, candidate) == _of_all(state, policy, candidate)


def _of_all(state: CustomerState, policy: Policy, candidate: Candidate) -> Suppression | None:
    for reason, holds_back in RULES:
        held = holds_back(state, policy, candidate)
        if held is not None:
            return Suppression(reason, held.detail, held.until, held.of_channel)
    return None
