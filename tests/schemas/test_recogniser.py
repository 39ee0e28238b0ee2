"""The fast path never says more than pydantic, and says the same where it speaks."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydantic import BeforeValidator, Field, StringConstraints, field_validator

import schemas
from schemas import decode as decoding
from schemas.base import Event, Identifier, Record
from schemas.decode import Rejected
from schemas.recogniser import build
from schemas.topics import CONSUMED, TOPIC, Topic
from tests.schemas.odd_values import ODD_VALUES, Raw
from tests.schemas.record_strategies import bent, damaged, messages, written

EXAMPLES = Path(schemas.__file__).parent / "examples"
RECOGNISERS = {topic.name: build(topic.models[0]) for topic in CONSUMED}
TRANSACTION: dict[str, Any] = {
    "tenant": "bank",
    "event_id": "tx-1",
    "occurred_at": "2026-03-02T10:00:00+08:00",
    "customer_id": "C1",
    "account_id": "A1",
    "sequence": 7,
    "direction": "debit",
    "amount": "1234.50",
    "currency": "CNY",
    "balance_after": "-12.3",
}

topics = st.sampled_from(CONSUMED)
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def slow(topic: Topic, data: bytes) -> Record | Rejected:
    return decoding._read(topic, data)


def assert_same(fast: Record, model: Record) -> None:
    """Every attribute has the same value, of the same type, down to an amount's digits and a time's offset."""
    assert fast == model
    assert fast.record_type == model.record_type
    for name in type(model).model_fields:
        ours, theirs = getattr(fast, name), getattr(model, name)
        assert type(ours) is type(theirs), name
        assert ours == theirs, name
        if isinstance(ours, Decimal):
            assert ours.as_tuple() == theirs.as_tuple(), name
        if isinstance(ours, datetime):
            assert (ours.utcoffset(), ours.replace(tzinfo=None)) == (theirs.utcoffset(), theirs.replace(tzinfo=None))
            assert type(ours.tzinfo) is type(theirs.tzinfo)
        if isinstance(ours, tuple):
            assert [type(item) for item in ours] == [type(item) for item in theirs]
        if isinstance(ours, dict):
            assert list(ours.items()) == list(theirs.items())


def assert_no_second_opinion(topic: Topic, data: bytes) -> None:
    fast = RECOGNISERS[topic.name](data)
    if fast is None:
        return
    model = slow(topic, data)
    assert not isinstance(model, Rejected), (model, data)
    assert_same(fast, model)


@settings(relaxed, max_examples=200)
@given(st.data())
def test_a_valid_record_is_read_alike_by_both_paths(data: st.DataObject) -> None:
    """Whatever the fast path recognises of a valid record equals what pydantic reads; pydantic reads it always."""
    topic = data.draw(topics)
    message = data.draw(messages(topic.models[0]).flatmap(written))
    assert not isinstance(slow(topic, message), Rejected), slow(topic, message)
    event("not sure" if RECOGNISERS[topic.name](message) is None else "recognised")
    assert_no_second_opinion(topic, message)


@settings(relaxed, max_examples=300)
@given(st.data())
def test_a_bent_record_is_never_recognised_where_pydantic_refuses_it(data: st.DataObject) -> None:
    """Fields dropped, retyped, repeated, renamed or added, odd numbers, odd times: accepted fast, accepted slow."""
    topic = data.draw(topics)
    assert_no_second_opinion(topic, data.draw(bent(topic.models[0]).flatmap(written)))


@settings(relaxed, max_examples=300)
@given(st.data())
def test_damaged_bytes_are_never_recognised_where_pydantic_refuses_them(data: st.DataObject) -> None:
    """Bytes changed, lost, doubled: accepted fast, accepted slow."""
    topic = data.draw(topics)
    message = data.draw(messages(topic.models[0]).flatmap(written).flatmap(damaged))
    assert_no_second_opinion(topic, message)


def as_json(body: dict[str, Any]) -> bytes:
    parts = (
        f"{json.dumps(name)}:{value.text if isinstance(value, Raw) else json.dumps(value, ensure_ascii=False)}"
        for name, value in body.items()
    )
    return f"{{{','.join(parts)}}}".encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("topic", CONSUMED, ids=lambda topic: topic.name)
def test_every_odd_value_in_every_field_is_read_alike(topic: Topic) -> None:
    """Each field of each model in turn holds each odd value: accepted fast, accepted slow, with equal attributes."""
    example = max((EXAMPLES / topic.name).glob("*.json"), key=lambda path: len(json.loads(path.read_bytes())))
    body = json.loads(example.read_bytes())
    assert RECOGNISERS[topic.name](as_json(body)) is not None
    taken = 0
    for name in topic.models[0].model_fields:
        for value in ODD_VALUES:
            data = as_json(body | {name: value})
            assert_no_second_opinion(topic, data)
            taken += RECOGNISERS[topic.name](data) is not None
    assert taken > len(topic.models[0].model_fields)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize(
    "also",
    [
        {},
        {"kind": "salary", "channel": "atm", "merchant": "商店"},
        {"schema_version": 1, "kind": "other", "own_account": False, "merchant": None},
        {"reversal_of": "tx-0", "transfer_id": "t-1", "own_account": True},
        {"amount": 12, "balance_after": -1234.5},
    ],
    ids=["required", "some", "defaults written out", "reversal", "numbers"],
)
def test_an_ordinary_transaction_takes_the_fast_path(also: dict[str, Any], separators: tuple[str, str]) -> None:
    """The fast path recognises what publishers ordinarily write, else it would be true and useless."""
    data = json.dumps(TRANSACTION | also, separators=separators, ensure_ascii=False).encode()
    fast = RECOGNISERS["bank.transactions"](data)
    assert fast is not None
    model = slow(TOPIC["bank.transactions"], data)
    assert isinstance(model, Record)
    assert_same(fast, model)


def test_equal_keys_are_not_recognised() -> None:
    """A second equal key is left to the slow path, wherever it stands and whatever stands beside it."""
    body = json.dumps(TRANSACTION)[1:-1]
    for name, value in {**TRANSACTION, "kind": "other", "merchant": None, "own_account": False}.items():
        pair = f"{json.dumps(name)}: {json.dumps(value)}"
        for text in (f"{{{body}, {pair}, {pair}}}", f"{{{pair}, {pair}, {body}}}", f"{{{pair},{body},{pair}}}"):
            assert RECOGNISERS["bank.transactions"](text.encode()) is None
    profile = '{"tenant":"b","event_id":"e","occurred_at":"2026-03-02T10:00:00Z","customer_id":"c","sequence":1'
    assert RECOGNISERS["bank.profiles"]((profile + ',"consents":{"sms":true,"push":true}}').encode()) is not None
    for twice in (
        '"consents":{"sms":true,"sms":true}',
        '"consents":{},"consents":{}',
        '"segments":[],"segments":["a","b"]',
    ):
        assert RECOGNISERS["bank.profiles"](f"{profile},{twice}}}".encode()) is None


def test_a_recognised_record_is_frozen_and_has_no_other_attributes() -> None:
    """It is a record like any other: immutable, with its record_type, and nothing may be added to it."""
    record: Any = RECOGNISERS["bank.transactions"](json.dumps(TRANSACTION).encode())
    assert record.record_type == "transaction"
    with pytest.raises(AttributeError):
        record.amount = Decimal(1)
    with pytest.raises(AttributeError):
        record.note = "x"


def test_a_contradiction_is_left_to_the_slow_path() -> None:
    """The models' own rules hold on the fast path too: a holding cannot fall due before it is bought."""
    body = {
        "holding_id": "h",
        "status": "purchased",
        "product_id": "p",
        "product_kind": "deposit",
        "term_days": 90,
    }
    common = ("tenant", "event_id", "occurred_at", "customer_id", "sequence", "amount", "currency")
    body |= {name: TRANSACTION[name] for name in common}
    later = json.dumps(body | {"purchased_on": "2026-01-01", "matures_on": "2026-04-01"}).encode()
    earlier = json.dumps(body | {"purchased_on": "2026-04-01", "matures_on": "2026-01-01"}).encode()
    assert RECOGNISERS["bank.maturities"](later) is not None
    assert RECOGNISERS["bank.maturities"](earlier) is None


def test_a_recognised_record_equals_the_model_of_the_same_attributes_and_no_other() -> None:
    """Twin or model, amounts as text or as numbers: equal attributes make equal records, from either side."""
    topic = TOPIC["bank.transactions"]
    text = RECOGNISERS[topic.name](json.dumps(TRANSACTION).encode())
    number = RECOGNISERS[topic.name](json.dumps(TRANSACTION | {"amount": 1234.5}).encode())
    other = RECOGNISERS[topic.name](json.dumps(TRANSACTION | {"amount": 1234.6}).encode())
    model = slow(topic, json.dumps(TRANSACTION).encode())
    link = RECOGNISERS["bank.identity-links"](
        b'{"tenant":"b","event_id":"e","occurred_at":"2026-03-02T10:00:00Z","source":"web","source_user_id":"u","sequence":1}'
    )
    assert None not in (text, number, other, link)
    for one in (text, number, model):
        for same in (text, number, model):
            assert one == same
            assert not one != same  # noqa: SIM202 - it is a method of its own
        for different in (other, link, "text", None):
            assert one != different
            assert different != one
            assert not one == different  # noqa: SIM201 - as above


class Trimmed(Event):
    record_type: ClassVar[str] = "x"
    name: Annotated[str, StringConstraints(strip_whitespace=True)]


class Patterned(Event):
    record_type: ClassVar[str] = "x"
    name: Annotated[str, StringConstraints(pattern="^[a-z]$")]


class Floating(Event):
    record_type: ClassVar[str] = "x"
    name: float


class Prepared(Event):
    record_type: ClassVar[str] = "x"
    name: Annotated[str, BeforeValidator(str)]


class Aliased(Event):
    record_type: ClassVar[str] = "x"
    name: Identifier = Field(alias="n")


class Validated(Event):
    record_type: ClassVar[str] = "x"
    name: Identifier

    @field_validator("name")
    @classmethod
    def _check(cls, value: str) -> str:
        return value


@pytest.mark.parametrize("model", [Trimmed, Patterned, Floating, Prepared, Aliased, Validated])
def test_a_model_that_cannot_be_mirrored_is_refused_at_the_start(model: type[Record]) -> None:
    """Nothing is mirrored by guess: what msgspec or the checks would read otherwise stops the program at once."""
    with pytest.raises(TypeError, match=model.__name__):
        build(model)
