"""The gate asks only the rules that can refuse a kind of contact: what it says is what all of them would say."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import given, settings
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
from triggers.policy.gate import RULES, Gate, Suppression, rules_for

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
)
moments = st.integers(NOON - 3 * DAY, NOON + 3 * DAY)


def test_of_several_caps_the_one_that_is_full_counts() -> None:
    """Whoever heard enough to fill the lowest is asked for, whichever stands first."""
    state = CustomerState(contacts=[Contact(NOON - DAY, "one", "growth", "push")])
    candidate = Candidate("one", "growth", "push", "simple", 0, NOON, _scope(state))
    caps = Cap(at_most=3, per_ms=7 * DAY), Cap(at_most=1, per_ms=2 * DAY)
    for policy in (Policy(caps=caps), Policy(caps=caps[::-1])):
        held = Gate(policy).suppression(state, candidate)
        assert held is not None
        assert (held.reason, held.detail["cap"]) == ("capped", "1")


@settings(max_examples=300)
@given(policies, contacts, st.lists(st.tuples(states, moments), min_size=1, max_size=6))
def test_a_rule_for_a_kind_of_contact_says_what_the_rule_says(
    policy: Policy, contact: tuple[str, str, str, str, int], asked: list[tuple[CustomerState, int]]
) -> None:
    """Each rule by itself, asked for several customers and times one after the other; one that is left out would have
    said nothing.
    """
    found = dict(rules_for(policy, Candidate(*contact, NOON, Scope())))
    for state, now in asked:
        candidate = Candidate(*contact, now, _scope(state))
        for reason, holds_back in RULES:
            said = found[reason](state, policy, candidate) if reason in found else None
            assert said == holds_back(state, policy, candidate), reason


@given(policies, st.lists(st.tuples(states, contacts, moments), min_size=1, max_size=6))
def test_the_first_rule_that_refuses_counts(
    policy: Policy, asked: list[tuple[CustomerState, tuple[str, str, str, str, int], int]]
) -> None:
    """Of all the rules, through one gate."""
    gate = Gate(policy)
    for state, contact, now in asked:
        candidate = Candidate(*contact, now, _scope(state))
        refused = [(reason, held) for reason, rule in RULES if (held := rule(state, policy, candidate)) is not None]
        expected = None
        if refused:
            reason, held = refused[0]
            expected = Suppression(reason, held.detail, held.until, held.of_channel)
        assert gate.suppression(state, candidate) == expected


def _scope(state: CustomerState) -> Scope:
    scope = Scope()
    scope.customer = state
    return scope
