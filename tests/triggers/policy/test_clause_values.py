"""A clause on record with the values it read: bounded, and unknown where there is none."""

from __future__ import annotations

from decimal import Decimal

from tests.support.rules import expression
from triggers.engine.scope import Scope
from triggers.engine.state import Account, CustomerState
from triggers.language.model import Expression
from triggers.policy.clause_values import explain


def scope() -> Scope:
    """A customer with an account, tags, a tier of a second tiering, and no product."""
    found = Scope()
    found.customer = CustomerState(key="c", tags={"rich": 0, "busy": 5}, tiers={"digital_tier": "from_20w"})
    found.customer.district = "x" * 500
    found.account = Account("a1", "CNY", Decimal("12.50"), 3)
    return found


def test_what_it_read_stands_beside_it() -> None:
    """Of customer, account and product; what else it reads, such as features, has no value here."""
    names = ("customer.age", "customer.digital_tier", "customer.tags", "account.balance", "product.amount", "peak_7d")
    assert explain(expression(lambda _: False, *names), scope()) == {
        "clause": "python",
        "account.balance": "12.5",
        "customer.age": "unknown",
        "customer.digital_tier": "from_20w",
        "customer.tags": "rich, busy",
        "product.amount": "unknown",
    }


def test_it_is_bounded() -> None:
    """Ten values, each and the clause of 200 characters at most."""
    many = Expression("c" * 300, lambda _: False, frozenset(f"customer.none_{number:02}" for number in range(30)))
    found = explain(many, scope())
    assert len(found) == 11
    assert len(found["clause"]) == 200
    long = explain(expression(lambda _: False, "customer.district"), scope())
    assert len(long["customer.district"]) == 200
