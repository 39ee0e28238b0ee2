"""Money of two currencies is not added: which of a customer's events a flow of money samples."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from tests.support.bank import Customer, actions, at, transaction
from tests.triggers.engine.test_windows import rules_of

UTC = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("feature", "shown"),
    [
        ("{sum: event.amount, over: 7d}", "4"),
        ("{count: event.amount, over: 7d}", "1"),
        ("{max: event.amount * 2, over: 7d}", "8"),
        ('{sum: event.amount, where: event.direction == "credit", over: 7d}', "4"),
        ("{sum: event.amount, where: event.amount > 0, over: 7d}", "4"),
        ('{sum: event.amount, where: event.currency == "USD", over: 7d}', "9"),
        ('{sum: event.amount, where: \'event.currency in ["USD", "JPY"]\', over: 7d}', "16"),
        ("{count: true, over: 7d}", "3"),
        ("{distinct: event.currency, over: 7d}", "3"),
    ],
)
def test_a_flow_of_money_keeps_to_the_banks_currency_unless_it_asks(feature: str, shown: str) -> None:
    """As the balance does; what is no money counts every event, and so does who asks for the currency."""
    customer = Customer(rules_of((("f", feature),), UTC))
    customer.feed(transaction("t1", 1, 9, 9, currency="USD", account_id="a2"))
    customer.feed(transaction("t2", 1, 7, 7, currency="JPY", account_id="a3"))
    (action,) = actions(customer.feed(transaction("t3", 1, 4, 4)))
    assert action.fields == {"f": shown}


def test_the_currency_is_that_of_the_policy() -> None:
    """A bank in dollars adds dollars; the condition itself reads the event's own amount in any currency."""
    rules = rules_of((("f", "{sum: event.amount, over: 7d}"),), UTC)
    customer = Customer(replace(rules, policy=replace(rules.policy, currency="USD")))
    customer.feed(transaction("t1", 1, 9, 9, currency="USD", account_id="a2"))
    (action,) = actions(customer.feed(transaction("t2", 1, 4, 4, occurred_at=at(1))))
    assert action.fields == {"f": "9"}
