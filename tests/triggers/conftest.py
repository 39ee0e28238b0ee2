"""What the engine makes without a validation is validated in every test of it."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.base import Record
from schemas.construct import constructed
from schemas.encode import encode
from triggers.engine import outputs


def checked(model: type[Record], values: dict[str, Any]) -> Record:
    """The record, which must be the very one that the model makes of the values, to the byte."""
    record, valid = constructed(model, values), model.model_validate(values)
    assert record == valid
    assert encode(record) == encode(valid)
    return record


@pytest.fixture(autouse=True)
def outputs_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every action, decision and withdrawal that a test brings about is held against its model."""
    monkeypatch.setattr(outputs, "constructed", checked)
