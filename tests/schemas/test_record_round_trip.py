"""Every record comes back from its bytes as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.actions import NextBestAction
from schemas.base import Record
from schemas.dead_letter import DeadLetter
from schemas.decode import Rejected, decode, record_key
from schemas.encode import encode
from schemas.topics import DEAD_LETTERS, TOPIC, TOPICS, Topic
from tests.schemas.record_strategies import messages, written

CARRIED = [(topic, model) for topic in TOPICS for model in topic.models]


def read(topic: Topic, tenant: str, key: bytes, data: bytes) -> Any:
    if topic.name == DEAD_LETTERS:
        return DeadLetter.model_validate_json(data)
    return decode(topic, tenant, key, data)


def as_dict(record: Any) -> dict[str, Any]:
    fields = type(record).model_fields if isinstance(record, Record) else record.__struct_fields__
    return {name: getattr(record, name) for name in fields}


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_every_record_comes_back_from_either_writer(data: st.DataObject) -> None:
    """Of ``encode`` and of pydantic's own JSON, ``decode`` makes an equal record; equal records have equal bytes."""
    topic, model = data.draw(st.sampled_from(CARRIED))
    pairs = dict(data.draw(messages(model)))
    tagged = {name: field.default for name, field in model.model_fields.items() if name in ("type", "kind")}
    if len(topic.models) > 1:
        pairs |= tagged
    if topic.name == DEAD_LETTERS:
        record: Any = model.model_validate(pairs)
    else:
        message = data.draw(written(list(pairs.items())))
        body = json.loads(message)
        key = ":".join(str(body[name]) for name in topic.key).encode()
        record = decode(topic, body["tenant"], key, message)
        assert not isinstance(record, Rejected), record
    key = record_key(topic, record)
    once = encode(record)
    again = read(topic, record.tenant, key, once)
    assert again == record
    assert encode(again) == once
    model_record = model.model_validate(as_dict(record))
    assert model_record == record
    assert encode(model_record) == once
    dumped = model_record.model_dump_json().encode()
    assert json.loads(dumped) == json.loads(once)
    assert read(topic, record.tenant, key, dumped) == record


ACTION: dict[str, Any] = {
    "tenant": "bank",
    "action_id": "a1",
    "customer_id": "C1",
    "trigger": "retention.drop",
    "trigger_version": 1,
    "ruleset": "r1",
    "occasion": "tx-1",
    "step": 0,
    "channel": "push",
    "offer": "o",
    "category": "c",
    "complexity": "simple",
    "priority": 1,
    "value": Decimal("12.30"),
    "fields": {"b": "2", "a": "1"},
    "created_at": datetime(2026, 3, 2, 2, tzinfo=UTC),
    "expires_at": datetime(2026, 3, 2, 10, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=8))),
}


def test_the_bytes_of_an_action_are_these() -> None:
    """Keys sorted at every level, amounts and times as text, null for what is unknown, one line."""
    assert encode(NextBestAction(**ACTION)) == (
        b'{"action_id":"a1","category":"c","channel":"push","complexity":"simple","created_at":"2026-03-02T02:00:00Z",'
        b'"customer_id":"C1","desk":null,"expires_at":"2026-03-02T10:00:00.250000+08:00","fields":{"a":"1","b":"2"},'
        b'"handoff":[],'
        b'"manager_id":null,"occasion":"tx-1","offer":"o","offer_title":{},"priority":1,"ruleset":"r1",'
        b'"schema_version":1,"step":0,"tag_titles":[],"template":null,"tenant":"bank","title":{},"trigger":"retention.drop",'
        b'"trigger_version":1,"type":"action","value":"12.30"}'
    )


def test_equal_records_have_equal_bytes_whatever_the_order_they_were_built_in() -> None:
    """Neither the order of arguments nor that of a mapping's keys shows in the bytes."""
    other = dict(reversed(ACTION.items())) | {"fields": {"a": "1", "b": "2"}}
    assert encode(NextBestAction(**other)) == encode(NextBestAction(**ACTION))


def test_a_time_in_a_named_zone_is_written_with_its_offset() -> None:
    """The zone's name is lost, the instant and the offset are not."""
    local = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Prague"))
    data = encode(NextBestAction(**ACTION | {"created_at": local}))
    assert b'"created_at":"2026-07-01T12:00:00+02:00"' in data
    again: Any = decode(TOPIC["outreach.push"], "bank", b"C1", data)
    assert again.created_at == local


@pytest.mark.parametrize("amount", [Decimal("1E+3"), 1000, "1000", Decimal(1000)])
def test_an_amount_is_written_plainly(amount: Any) -> None:
    """No exponent, however it was given."""
    assert b'"value":"1000"' in encode(NextBestAction(**ACTION | {"value": amount}))
