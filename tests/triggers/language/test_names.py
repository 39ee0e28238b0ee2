"""The catalogue of names against what it describes: the schemas and the engine's state."""

from __future__ import annotations

from schemas.topics import CONSUMED
from triggers.engine.scope import Scope
from triggers.engine.state import Account, CustomerState, Holding
from triggers.language.names import ALL_RECORDS, CATALOGUE, RECORDS, Type, detail_values

_NO_VALUE = {"consents"}


def test_every_field_of_every_event_is_a_name() -> None:
    """Only what an expression cannot hold is missing."""
    for record_type, model in RECORDS.items():
        for name in set(model.model_fields) - _NO_VALUE - {"schema_version"}:
            assert record_type in CATALOGUE[f"event.{name}"].record_types


def test_rates_are_numbers_and_money_is_money() -> None:
    """As the schemas' own source says: as types the two cannot be told apart."""
    for model in (*RECORDS.values(),):
        for name, written in model.__annotations__.items():
            kind = {"Money": "money", "PositiveMoney": "money", "Rate": "number"}.get(str(written).split(" ")[0])
            if kind is not None:
                assert CATALOGUE[f"event.{name}"].type.kind == kind


def test_the_engines_state_has_every_name() -> None:
    """customer.*, account.* and product.* are attributes of what the engine puts into the scope."""
    holders = {"customer": CustomerState, "account": Account, "product": Holding}
    for name in CATALOGUE.values():
        if name.part in holders:
            holder = holders[name.part]
            slots = {slot for base in holder.__mro__ for slot in getattr(base, "__slots__", ())}
            assert name.attribute in slots or hasattr(holder, name.attribute), name.path
        if name.part != "before_account":
            assert name.part in Scope.__slots__


def test_an_enum_knows_its_values_and_what_it_is_nullable_among() -> None:
    """Types are those of the events that can come."""
    tier = CATALOGUE["customer.tier"].type
    assert tier == Type("enum", values=("potential", "effective", "mid", "high", "private"))
    amount = CATALOGUE["event.amount"]
    assert amount.among(frozenset({"transaction"})) == Type("money", nullable=False)
    assert amount.among(frozenset({"transaction", "maturity"})) == Type("money", nullable=False)
    assert amount.among(frozenset({"transaction", "profile"})) == Type("money")
    assert amount.among(frozenset({"profile"})) is None


def test_details_come_from_the_schemas() -> None:
    """What may follow the dot in on."""
    assert "browse" in detail_values("behaviour")
    assert "opened" in detail_values("feedback")
    assert "salary" in detail_values("transaction")
    assert "redeemed" in detail_values("maturity")
    assert detail_values("profile") == ()


def test_only_counts_of_what_is_known_are_never_unknown() -> None:
    """Everything else of a customer may be missing."""
    known = {name.path for name in CATALOGUE.values() if name.part == "customer" and not name.type.nullable}
    assert known == {"customer.accounts", "customer.holdings", "customer.product_kinds"}
    state = CustomerState(key="c")
    for path in known:
        assert isinstance(getattr(state, path.partition(".")[2]), int)


def test_all_events_of_a_customer_are_covered() -> None:
    """A new kind of event must get its names here."""
    models = {topic.models[0] for topic in CONSUMED if topic.stage == "customer"}
    assert models == set(RECORDS.values())
    assert {model.record_type for model in models} == ALL_RECORDS
