"""What leaves the engine is valid at the ends of every range. (That it is valid elsewhere every test of it checks.)"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.actions import NextBestAction
from schemas.base import LATEST
from schemas.decisions import Decision
from tests.support.bank import Customer, actions, transaction
from tests.support.rules import ruleset, trigger
from triggers.engine import outputs
from triggers.engine.decisions import decide
from triggers.engine.texts import text_of


@pytest.mark.parametrize("model", [NextBestAction, Decision])
def test_the_fields_stand_in_the_order_in_which_they_are_written(model: type[Any]) -> None:
    """None is missing, and the writer has nothing left to sort."""
    customer = Customer(ruleset(trigger("any")))
    found = next(output for output in customer.feed(transaction("t1", 1, 1, 1)) if isinstance(output, model))
    assert list(found.__dict__) == sorted(model.model_fields)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("99999999999999.9999", Decimal("99999999999999.9999")),
        # Within the range, but not when it is rounded.
        ("99999999999999.99996", None),
        ("-99999999999999.99996", None),
        ("1E+14", None),
        ("0.00004", Decimal(0)),
        ("-0.00004", Decimal(0)),
    ],
)
def test_an_amount_that_no_record_can_carry_is_left_out(value: str, written: Decimal | None) -> None:
    """Rounded to four decimals, or unknown."""
    customer = Customer(ruleset(trigger("any", value=lambda _: Decimal(value))))
    (action,) = actions(customer.feed(transaction("t1", 1, 1, 1)))
    assert action.value == written


def test_an_action_of_the_last_days_ends_with_the_last_of_them() -> None:
    """No record has a time in the year 2200; an event of 2199 must not stop a worker."""
    customer = Customer(ruleset(trigger("any")))
    (action,) = actions(customer.feed(transaction("t1", 1, 1, 1, occurred_at=datetime(2199, 12, 31, 9, tzinfo=UTC))))
    assert action.expires_at == LATEST - timedelta(milliseconds=1)


@given(
    st.none() | st.booleans() | st.decimals(allow_nan=False, allow_infinity=False) | st.text() | st.tuples(st.text())
)
def test_no_text_is_longer_than_a_record_can_carry(value: Any) -> None:
    """Whatever an expression comes to, as a field of a message it is cut."""
    customer = Customer(ruleset(trigger("any", fields={"field": lambda _: value})))
    (action,) = actions(customer.feed(transaction("t1", 1, 1, 1)))
    assert action.fields == {"field": text_of(value)[:200]}


def test_a_detail_of_a_decision_is_cut_too() -> None:
    """Whoever decides may quote what it read."""
    customer = Customer(ruleset(trigger("any")))
    customer.feed(transaction("t1", 1, 1, 1))
    run = customer.stage._run
    decide(run, customer.rules.triggers[0], "o", 0, "held", detail={"read": "x" * 300})
    assert isinstance(run.outputs[-1], Decision)
    assert run.outputs[-1].detail == {"read": "x" * 200}


def test_the_check_of_these_tests_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """An output that its model refuses fails the test that brings it about."""
    monkeypatch.setattr(outputs, "SCHEMA_VERSION", 2)
    customer = Customer(ruleset(trigger("any")))
    with pytest.raises(ValidationError, match="schema_version"):
        customer.feed(transaction("t1", 1, 1, 1))
