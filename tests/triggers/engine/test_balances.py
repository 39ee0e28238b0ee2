"""The balance of an account, the customer's totals, repeats and the lateness rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dead_letter import Reason
from schemas.decode import Rejected
from tests.support.bank import Customer, actions, at, maturity, transaction
from tests.support.rules import DAY, balance_series, ruleset, trigger
from triggers.language.model import Feature


def test_the_highest_sequence_settles_the_balance_in_whatever_order_records_arrive() -> None:
    """A record that was booked earlier and arrives later does not bring its balance back."""
    customer = Customer(ruleset())
    customer.feed(transaction("t1", 1, 100, 100))
    customer.feed(transaction("t3", 3, 50, 170))
    customer.feed(transaction("t2", 2, 20, 120))
    assert customer.state.balance == Decimal(170)
    assert customer.state.account_map["a1"].sequence == 3


def test_a_repeated_event_changes_nothing() -> None:
    """The second delivery leaves the state's bytes as they were and sends nothing."""
    rules = ruleset(trigger("any"))
    customer = Customer(rules)
    assert actions(customer.feed(transaction("t1", 1, 100, 100)))
    before = customer.stage.encode(customer.state)
    assert customer.feed(transaction("t1", 1, 100, 100)) == []
    assert customer.stage.encode(customer.state) == before


def test_a_busy_customers_repeats_are_found_as_well() -> None:
    """Hundreds of events inside the horizon, every one of them repeated; then the horizon moves past them."""
    customer = Customer(ruleset())
    stream = [transaction(f"t{n}", n, 1, n, occurred_at=at(minutes=n)) for n in range(300)]
    for record in stream:
        customer.feed(record)
    before = customer.stage.encode(customer.state)
    for record in stream:
        assert customer.feed(record) == []
    assert customer.stage.encode(customer.state) == before
    for n in range(300, 332):
        customer.feed(transaction(f"t{n}", n, 1, n, occurred_at=at(20, minutes=n)))
    assert len(customer.state.seen["transaction"]) <= 32
    (late,) = customer.feed(stream[5])
    assert isinstance(late, Rejected)


def test_a_record_beyond_the_lateness_rule_is_set_aside_unless_its_sequence_is_new() -> None:
    """Too old to tell from a repeat means a dead letter; a higher sequence proves that it is new."""
    customer = Customer(ruleset())
    customer.feed(transaction("t9", 9, 100, 1000, occurred_at=at(30)))
    (late,) = customer.feed(transaction("t5", 5, 10, 900, occurred_at=at(0)))
    assert isinstance(late, Rejected)
    assert late.reason is Reason.TOO_LATE
    assert customer.state.balance == Decimal(1000)
    # Another account's feed was down for a month: its records are old, but surely new.
    assert customer.feed(transaction("b1", 1, 10, 10, account_id="a2", occurred_at=at(0))) == []
    assert customer.state.balance == Decimal(1010)


def test_a_record_from_the_future_is_set_aside_on_the_wall_clock() -> None:
    """A publisher's clock far ahead must not age everything else."""
    customer = Customer(ruleset())
    now = int(at(0).timestamp() * 1000)
    (ahead,) = customer.feed(transaction("t1", 1, 10, 10, occurred_at=at(1)), now)
    assert isinstance(ahead, Rejected)
    assert ahead.reason is Reason.FROM_THE_FUTURE
    assert customer.feed(transaction("t2", 2, 10, 10, occurred_at=at(hours=0.9)), now) == []


def test_an_account_never_changes_its_currency() -> None:
    """A record in another currency than the account's contradicts what is known."""
    customer = Customer(ruleset())
    customer.feed(transaction("t1", 1, 10, 10))
    (refused,) = customer.feed(transaction("t2", 2, 10, 20, currency="USD"))
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.CONTRADICTION
    assert customer.state.balance == Decimal(10)


def test_the_total_counts_accounts_in_the_banks_currency_and_open_holdings() -> None:
    """A dollar account is known but not added; a loan is no asset; a redeemed holding is none any more."""
    customer = Customer(ruleset())
    customer.feed(transaction("t1", 1, 10, 1000))
    customer.feed(transaction("t2", 1, 10, 500, account_id="usd", currency="USD"))
    customer.feed(maturity("m1", 1, "purchased", date(2026, 6, 1)))
    customer.feed(maturity("m2", 1, "purchased", date(2026, 6, 1), holding_id="loan", product_kind="loan"))
    assert customer.state.balance == Decimal(1000)
    assert customer.state.aum == Decimal(51000)
    assert customer.state.accounts == 2
    customer.feed(maturity("m3", 2, "redeemed", date(2026, 6, 1)))
    assert customer.state.aum == Decimal(1000)


def test_the_first_record_of_an_account_is_no_inflow_of_all_it_holds() -> None:
    """What the account held before its first record is known from that record."""
    rules = ruleset(
        trigger(
            "up",
            lambda scope: scope.before.balance < 50_000 <= scope.customer.balance,
            "before.balance",
            "customer.balance",
        )
    )
    customer = Customer(rules)
    assert customer.feed(transaction("t1", 1, 10, 60_000)) == []
    assert customer.feed(transaction("b1", 1, -10, 80_000, account_id="a2")) == []
    quick = Customer(rules)
    assert actions(quick.feed(transaction("t1", 1, 20_000, 60_000)))


def test_money_between_own_accounts_is_never_missing() -> None:
    """Neither leg of a transfer moves the customer's total, whichever comes first; one without its other leg lapses."""
    for first, second in (("out", "in"), ("in", "out")):
        customer = Customer(ruleset(series=(balance_series(),)))
        customer.feed(transaction("t1", 1, 10, 1000))
        customer.feed(transaction("t2", 1, 10, 200, account_id="a2"))
        legs = {
            "out": transaction("t3", 2, -700, 300, own_account=True, transfer_id="x"),
            "in": transaction("t4", 2, 700, 900, account_id="a2", own_account=True, transfer_id="x"),
        }
        customer.feed(legs[first])
        assert customer.state.balance == Decimal(1200)
        customer.feed(legs[second])
        assert customer.state.balance == Decimal(1200)
        assert customer.state.transit == {}
    lapsed = Customer(ruleset())
    lapsed.feed(transaction("t1", 1, 10, 1000))
    lapsed.feed(transaction("t2", 2, -400, 600, own_account=True, transfer_id="y"))
    assert lapsed.state.balance == Decimal(1000)
    lapsed.feed(transaction("t3", 3, 1, 601, occurred_at=at(8)))
    assert lapsed.state.balance == Decimal(601)


def test_a_transfer_into_another_currency_leaves_the_total_once() -> None:
    """The leg in the other currency is not in the customer's total: it only closes the transfer."""
    for first, second in (("out", "in"), ("in", "out")):
        customer = Customer(ruleset())
        customer.feed(transaction("t1", 1, 10, 1000))
        legs = {
            "out": transaction("t2", 2, -700, 300, own_account=True, transfer_id="x"),
            "in": transaction("t3", 1, 100, 100, account_id="usd", currency="USD", own_account=True, transfer_id="x"),
        }
        customer.feed(legs[first])
        assert customer.state.balance == Decimal(1000)
        customer.feed(legs[second])
        assert customer.state.balance == Decimal(300)
        assert customer.state.transit == {}


def test_a_late_balance_stands_in_the_past_only() -> None:
    """A peak that arrives late belongs to the window, not to the present."""
    rules = ruleset(
        trigger("peak", lambda scope: scope.feature(0) == 900),
        series=(balance_series(),),
        features=(Feature("max", 0, 7 * DAY),),
    )
    customer = Customer(rules)
    customer.feed(transaction("t1", 1, 10, 100))
    customer.feed(transaction("t3", 3, -500, 400, occurred_at=at(2)))
    assert actions(customer.feed(transaction("t2", 2, 800, 900, occurred_at=at(1))))
    assert customer.state.balance == Decimal(400)
    assert actions(customer.feed(transaction("t4", 4, 1, 401, occurred_at=at(7.5))))
    assert not actions(customer.feed(transaction("t5", 5, 1, 402, occurred_at=at(9.5))))


def test_a_level_that_a_new_rule_set_adds_begins_with_the_value_in_force() -> None:
    """A first drop after the release is seen, also where other levels have run for long."""
    customer = Customer(ruleset(series=(balance_series(),)))
    customer.feed(transaction("t1", 1, 10, 1000))
    added = replace(balance_series(), id="added")
    customer.rules = ruleset(
        trigger("drop", lambda scope: scope.customer.balance <= scope.feature(0) / 2),
        series=(balance_series(), added),
        features=(Feature("max", 1, 7 * DAY),),
        name="next",
    )
    assert actions(customer.feed(transaction("t2", 2, -600, 400, occurred_at=at(1))))


_STREAM = [
    transaction(f"{account}-{number}", number, 10, balance, account_id=account, occurred_at=at(hours=number))
    for account, balances in {"a1": [100, 250, 40, 90], "a2": [7, 8, 9], "a3": [1000, 1]}.items()
    for number, balance in enumerate(balances, start=1)
]


@settings(max_examples=200, deadline=None)
@given(st.permutations(_STREAM), st.lists(st.sampled_from(_STREAM), max_size=8), st.data())
def test_any_order_with_any_repeats_gives_the_same_balances(
    order: list[object], repeats: list[object], data: st.DataObject
) -> None:
    """Permuted and repeated within the lateness rule, the same records settle the same balances."""
    customer = Customer(ruleset(series=(balance_series(),)), recode=data.draw(st.booleans()))
    stream = list(order)
    for repeat in repeats:
        stream.insert(data.draw(st.integers(0, len(stream))), repeat)
    for record in stream:
        assert not any(isinstance(output, Rejected) for output in customer.feed(record))
    balances = {name: account.balance for name, account in customer.state.account_map.items()}
    assert balances == {"a1": Decimal(90), "a2": Decimal(9), "a3": Decimal(1)}
    assert customer.state.balance == Decimal(100)
