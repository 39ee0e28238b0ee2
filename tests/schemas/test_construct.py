"""Records made without a validation: no different from validated ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.actions import Cancellation
from schemas.construct import constructed
from schemas.encode import encode

VALUES: dict[str, Any] = {
    "action_id": "a1",
    "caused_by": "t1",
    "channel": "push",
    "created_at": datetime(2026, 3, 2, 2, tzinfo=UTC),
    "customer_id": "C1",
    "reason": "reversed",
    "schema_version": 1,
    "tenant": "bank",
    "trigger": "drop",
    "type": "cancellation",
}


def test_a_constructed_record_is_the_validated_one() -> None:
    """It is equal and has the same bytes, dump and representation, and can be copied."""
    record, valid = constructed(Cancellation, dict(VALUES)), Cancellation.model_validate(VALUES)
    assert type(record) is Cancellation
    assert record == valid
    assert hash(record) == hash(valid)
    assert encode(record) == encode(valid)
    assert record.model_dump(mode="json") == valid.model_dump(mode="json")
    assert record.model_fields_set == valid.model_fields_set
    assert record.model_copy(update={"channel": "sms"}) == valid.model_copy(update={"channel": "sms"})
    assert sorted(repr(record)) == sorted(repr(valid))


def test_a_constructed_record_cannot_be_changed() -> None:
    """As any record."""
    record: Any = constructed(Cancellation, dict(VALUES))
    with pytest.raises(ValidationError):
        record.channel = "sms"
