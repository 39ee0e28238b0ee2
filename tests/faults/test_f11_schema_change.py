"""F11: fields added, removed and retyped by a publisher: compatible records pass, breaking ones are set aside."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from schemas.topics import TOPIC
from tests.support.bank_history import bank_history
from tests.support.oracle_check import check_against_oracle, check_straight_pass
from tests.support.system import Event, System
from tests.support.worker_process import ROOT

RULES = ROOT / "tests" / "integration" / "rules" / "independent"
TRANSACTIONS = "bank.transactions"
BREAKING: dict[str, Any] = {
    "UNKNOWN_FIELD": lambda body: {**body, "loyalty_points": 12},
    "MISSING_FIELD": lambda body: {name: value for name, value in body.items() if name != "amount"},
    "WRONG_TYPE": lambda body: {**body, "occurred_at": 1_772_000_000},
    "UNKNOWN_VALUE": lambda body: {**body, "direction": "sideways"},
    "UNKNOWN_VERSION": lambda body: {**body, "schema_version": 2},
}
"""What a publisher's next version could do to a record, by the reason under which it is set aside."""


def test_a_publisher_that_changes_its_records(kafka: str, redis_url: str, tmp_path: Path, seed: int) -> None:
    """Optional fields left out or sent along, and amounts as numbers, pass; each breaking change is a dead letter with

    its reason and the field, the bytes are kept, and the records around it are worked on.
    """
    events = [event for event in bank_history(customers=12, seed=seed) if _is_record(event)]
    third = len(events) // 3
    records = [event for event in events[:third] if event.topic == TRANSACTIONS]
    recent = records[-20:]  # older ones would be set aside for being late
    broken = {
        reason: _changed(record, number, change)
        for number, (record, (reason, change)) in enumerate(zip(records, BREAKING.items(), strict=False))
    }
    compatible = [
        _changed(next(filter(_has_optional, recent)), 100, _without_optional),
        _changed(recent[0], 101, lambda body: {**body, "amount": float(body["amount"]), "schema_version": 1}),
    ]
    with System(kafka, redis_url, tmp_path, rules=RULES, name="f11", partitions=2) as system:
        system.create_topics()
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        system.publish(events[:third])
        system.publish([*broken.values(), *compatible])
        system.publish(events[third:])
        system.wait_until_drained()
        system.stop_workers()
        check_against_oracle(system)
        assert check_straight_pass(system) >= 50

        values = {event.value: reason for reason, event in broken.items()}
        letters = [(letter, record) for letter, record in system.dead_letters() if record.value in values]
        assert Counter(letter.reason for letter, _ in letters) == Counter(BREAKING.keys())
        fields = {letter.reason: letter.field for letter, _ in letters}
        assert fields == {
            "UNKNOWN_FIELD": "loyalty_points",
            "MISSING_FIELD": "amount",
            "WRONG_TYPE": "occurred_at",
            "UNKNOWN_VALUE": "direction",
            "UNKNOWN_VERSION": "schema_version",
        }
        for letter, record in letters:
            assert letter.reason == values[record.value or b""]
        passed = {event.value for event in compatible}
        assert not [record for _, record in system.dead_letters() if record.value in passed]


def _is_record(event: Event) -> bool:
    try:
        return isinstance(json.loads(event.value), dict)
    except ValueError:
        return False


def _changed(event: Event, number: int, change: Any) -> Event:
    """The event under another id, as the publisher's next version would send it."""
    body = {**json.loads(event.value), "event_id": f"f11-{number}"}
    return Event(event.topic, event.key, json.dumps(change(body)).encode())


def _required() -> set[str]:
    (model,) = TOPIC[TRANSACTIONS].models
    return {name for name, field in model.model_fields.items() if field.is_required()}


def _has_optional(event: Event) -> bool:
    return not json.loads(event.value).keys() <= _required()


def _without_optional(body: dict[str, Any]) -> dict[str, Any]:
    required = _required()
    return {name: value for name, value in body.items() if name in required}
