"""A state survives its encoding at any point of a run, and equal states have equal bytes."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bank import Customer, actions, at, behaviour, cancellations, maturity, profile, transaction
from tests.support.rules import DAY, EVERYTHING, balance_series, expression, outflow_series, ruleset, trigger
from triggers.engine.codec import VERSION, decode_state
from triggers.engine.stage import UnreadableState
from triggers.language.model import Feature, OnEvent, OnEvery, OnMaturity, OnSilence, OnWait, Series, Step

_MERCHANTS = Series(
    "merchants",
    expression(lambda scope: scope.event.merchant, "event.merchant"),
    None,
    frozenset({"transaction"}),
    "customer",
    level=False,
    retain_ms=30 * DAY,
)
_THIRDS = Series(
    "thirds",
    expression(lambda scope: scope.event.amount / 3, "event.amount"),
    None,
    EVERYTHING & {"transaction"},
    "account",
    level=False,
    retain_ms=5 * DAY,
)

RULES = ruleset(
    trigger(
        "any",
        once_per_ms=DAY,
        ladder=(Step("push"), Step("sms", DAY, "opened")),
        fields={
            "sum": lambda scope: scope.feature(0),
            "peak": lambda scope: scope.feature(1),
            "shops": lambda scope: scope.feature(2),
            "mean": lambda scope: scope.feature(3),
            "daily": lambda scope: scope.feature(4),
        },
    ),
    trigger("due", on=(OnMaturity(7), OnMaturity(0))),
    trigger("quiet", on=(OnSilence("transaction", None, 3 * DAY),)),
    trigger("unpaid", on=(OnWait(OnEvent("behaviour", "browse"), OnEvent("transaction"), DAY),)),
    trigger("monthly", on=(OnEvery("month", time(9), 2),)),
    trigger(
        "browse", on=(OnEvent("behaviour", "browse"),), priority=90, rearm=lambda scope: (scope.customer.aum or 0) > 100
    ),
    series=(outflow_series(), balance_series(), _MERCHANTS, _THIRDS),
    features=(
        Feature("sum", 0, 10 * DAY),
        Feature("max", 1, 10 * DAY),
        Feature("distinct", 2, 10 * DAY),
        Feature("mean", 3, 5 * DAY),
        Feature("daily_mean", 1, 10 * DAY),
    ),
)

_amounts = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(10) ** 6, places=2)


@st.composite
def events(draw: st.DrawFn) -> list[Any]:
    """A customer's life: transactions, reversals, holdings, profiles, visits, in roughly the order of time."""
    stream: list[Any] = []
    booked: list[str] = []
    for number in range(draw(st.integers(1, 25))):
        when = at(number * 0.7 - draw(st.sampled_from([0, 0, 0, 2.5])))
        kind = draw(
            st.sampled_from(["transaction", "transaction", "transaction", "reversal", "maturity", "profile", "visit"])
        )
        if kind == "reversal" and booked:
            more: dict[str, Any] = {"reversal_of": draw(st.sampled_from(booked))}
        else:
            more = {}
        if kind in ("transaction", "reversal"):
            name = f"t{number}"
            booked.append(name)
            amount = draw(_amounts) * draw(st.sampled_from([1, -1]))
            account = draw(st.sampled_from(["a1", "a2"]))
            merchant = draw(st.sampled_from([None, "tea", "茶"]))
            transfer = draw(st.sampled_from([{}, {}, {"own_account": True, "transfer_id": "x"}]))
            balance = draw(_amounts)
            fields = {"account_id": account, "merchant": merchant, "occurred_at": when, **transfer, **more}
            stream.append(transaction(name, number, amount, balance, **fields))
        elif kind == "maturity":
            status = draw(st.sampled_from(["purchased", "corrected", "redeemed", "matured"]))
            due = date(2026, 3, 5 + draw(st.integers(0, 20)))
            stream.append(
                maturity(f"m{number}", number, status, due, occurred_at=when, expected_yield=Decimal("0.0265"))
            )
        elif kind == "profile":
            known = {"tier": draw(st.sampled_from([None, "mid"])), "segments": ("payroll",), "completeness": "0.7"}
            born = draw(st.sampled_from([None, date(1990, 2, 28)]))
            stream.append(
                profile(f"p{number}", number, occurred_at=when, birth_date=born, consents={"sms": True}, **known)
            )
        else:
            stream.append(behaviour(f"b{number}", draw(st.sampled_from(["browse", "login"])), occurred_at=when))
    return stream


@settings(max_examples=150, deadline=None)
@given(events())
def test_a_worker_without_a_cache_does_the_same_as_one_with(stream: list[Any]) -> None:
    """Encoding and decoding after every step changes neither what is sent nor the final bytes."""
    kept, recoded = Customer(RULES), Customer(RULES, recode=True)
    for number, record in enumerate(stream):
        assert kept.feed(record) == recoded.feed(record)
        if number % 5 == 4:
            assert kept.run_to(record.occurred_at) == recoded.run_to(record.occurred_at)
    assert kept.run_to(at(90)) == recoded.run_to(at(90))
    assert kept.stage.encode(kept.state) == recoded.stage.encode(recoded.state)


@settings(max_examples=150, deadline=None)
@given(events())
def test_no_action_is_ever_sent_twice(stream: list[Any]) -> None:
    """Whatever happens to a customer, each action id goes out once, and each withdrawal names one that did."""
    customer = Customer(RULES)
    for record in stream:
        customer.feed(record)
        customer.run_to(record.occurred_at)
    customer.run_to(at(90))
    sent = [action.action_id for action in actions(customer.outputs)]
    assert len(sent) == len(set(sent))
    withdrawn = [cancellation.action_id for cancellation in cancellations(customer.outputs)]
    assert len(withdrawn) == len(set(withdrawn))
    assert set(withdrawn) <= set(sent)


@settings(max_examples=50, deadline=None)
@given(events())
def test_decoding_restores_every_value(stream: list[Any]) -> None:
    """Every attribute of the state comes back as it was."""
    customer = Customer(RULES)
    for record in stream:
        customer.feed(record)
    restored = decode_state("c1", customer.stage.encode(customer.state))
    aside = {"today": None, "idle_until": 0, "extremes": None}  # of the moment, and worked out anew
    assert msgspec.structs.asdict(restored) | aside == msgspec.structs.asdict(customer.state) | aside


def test_a_later_format_and_damaged_bytes_are_refused() -> None:
    """A state that cannot be read is never taken for an empty one."""
    good = Customer(RULES).stage.encode(Customer(RULES).state)
    with pytest.raises(UnreadableState, match="version"):
        decode_state("c1", bytes((VERSION + 1,)) + good[1:])
    with pytest.raises(UnreadableState, match="version none"):
        decode_state("c1", b"")
    for cut in range(1, len(good)):
        with pytest.raises(UnreadableState):
            decode_state("c1", good[:cut])


def test_a_state_of_a_plain_customer_is_small() -> None:
    """A month of one payment a day with two features fits in two kilobytes."""
    rules = ruleset(
        trigger("none", lambda _: False),
        series=(outflow_series(), balance_series(7 * DAY)),
        features=(Feature("sum", 0, 30 * DAY), Feature("max", 1, 7 * DAY)),
    )
    customer = Customer(rules)
    for day in range(60):
        customer.feed(transaction(f"t{day}", day, -10, 10_000 - day, occurred_at=at(day)))
    # Thirty days, and seven more for the windows of late events.
    assert len(customer.state.series["outflow_customer"]) == 38
    assert len(customer.stage.encode(customer.state)) < 2048
