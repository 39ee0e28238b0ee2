"""F8: bad JSON, NaN, 1e308, 10 MB, unknown values, no key, another's key.

Whatever is no record becomes a dead letter with the why, the where and the very bytes; the partition moves on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.faults import INDEPENDENT
from tests.support.kafka_broker import set_topic_config
from tests.support.oracle_check import check_against_oracle
from tests.support.system import Event, System, event

TOPIC = "bank.transactions"
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Bad:
    """A message and what its dead letter must say."""

    reason: str
    field: str
    value: bytes
    key: bytes | None = b"c1"


def test_bad_input_becomes_dead_letters_and_the_partition_moves_on(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Every kind of bad message between two good ones: each is kept whole with its reason, and both good ones act."""
    bad = _bad_messages()
    with System(kafka, redis_url, tmp_path, rules=INDEPENDENT, name="poison", partitions=1) as system:
        system.create_topics()
        _accept_large_values(system)
        system.publish([_good(1)])
        system.publish([Event(TOPIC, one.key, one.value) for one in bad])
        system.publish([_good(2)])
        worker = system.start_worker()
        worker.wait_for_partitions()
        system.wait_until_drained()

        letters = {about.offset: (about, record) for about, record in system.dead_letters()}
        assert sorted(letters) == [offset + 1 for offset in range(len(bad))]
        for offset, one in enumerate(bad, 1):
            about, record = letters[offset]
            assert (about.reason, about.field) == (one.reason, one.field), f"{about} of {one.value[:200]!r}"
            assert (about.topic, about.partition, about.value_bytes) == (TOPIC, 0, len(one.value))
            assert about.problem
            assert record.key == one.key
            assert (record.value or b"") == one.value, f"{one.reason}: the bytes are not the original ones"
        assert [action["occasion"] for action in system.actions()] == ["transaction:good-1", "transaction:good-2"]

        code, text = system.command("dead-letters", "list", "--json")
        assert code == 0, text
        listed = [json.loads(line) for line in text.splitlines()]
        assert {(one["reason"], one["field"]) for one in listed} == {(one.reason, one.field) for one in bad}
        assert "secret-looking" not in text, "a listing shows values of the records"

        system.stop_workers()
        assert check_against_oracle(system).dead_letters == len(bad)


def _bad_messages() -> list[Bad]:
    return [
        Bad("NOT_JSON", "", b'{"tenant": "bank", "event_id": '),
        Bad("NOT_JSON", "", b"\xff\xfe\x00secret-looking"),
        Bad("NOT_AN_OBJECT", "", b"[1, 2, 3]"),
        Bad("EMPTY_VALUE", "", b""),
        Bad("UNKNOWN_FIELD", "amuont", _changed(amuont="1")),
        Bad("MISSING_FIELD", "account_id", _changed(account_id=...)),
        Bad("WRONG_TYPE", "sequence", _changed(sequence="seven")),
        Bad("WRONG_TYPE", "account_id", _changed(account_id={"secret-looking": 1})),
        Bad("NOT_FINITE", "amount", _changed(amount=float("nan"))),
        Bad("OUT_OF_RANGE", "amount", _changed(amount=1e308)),
        Bad("NAIVE_TIME", "occurred_at", _changed(occurred_at="2026-03-02T10:00:00")),
        Bad("UNKNOWN_CURRENCY", "currency", _changed(currency="XQX")),
        Bad("UNKNOWN_VERSION", "schema_version", _changed(schema_version=2)),
        Bad("UNKNOWN_VALUE", "kind", _changed(kind="secret-looking")),
        Bad("UNKNOWN_VALUE", "direction", _changed(direction="sideways")),
        # A record of another type, on the wrong topic.
        Bad("UNKNOWN_FIELD", "action", json.dumps({**_BROWSED, "event_id": "bad"}).encode()),
        Bad("DUPLICATE_FIELD", "amount", _changed().replace(b"{", b'{"amount": "1", ', 1)),
        Bad("KEY_MISMATCH", "customer_id", _changed(customer_id="c2")),
        Bad("MISSING_KEY", "", _changed(), key=None),
        Bad("WRONG_TENANT", "tenant", _changed(tenant="another")),
        Bad("TOO_LARGE", "", _changed(merchant="m" * (10 * MEGABYTE))),
        Bad("OUT_OF_RANGE", "merchant", _changed(merchant="secret-looking" * 20)),
    ]


_BROWSED: dict[str, Any] = {
    "schema_version": 1,
    "tenant": "bank",
    "occurred_at": "2026-03-02T10:09:00+08:00",
    "customer_id": "c1",
    "action": "browse",
    "source": "app",
}


def _fields(number: int) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "tenant": "bank",
        "event_id": f"good-{number}",
        "occurred_at": f"2026-03-02T10:0{number}:00+08:00",
        "customer_id": "c1",
        "account_id": "a1",
        "sequence": number,
        "direction": "debit",
        "amount": "500.00",
        "currency": "CNY",
        "balance_after": str(10_000 - 500 * number),
    }


def _good(number: int) -> Event:
    return event(TOPIC, "c1", **_fields(number))


def _changed(**fields: Any) -> bytes:
    """A record with some fields replaced; ``...`` leaves one out."""
    body = {**_fields(9), "event_id": "bad", **fields}
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


def _accept_large_values(system: System) -> None:
    """The operator of the input topic takes up to 12 MB; the dead letters' topic is as it was created."""
    set_topic_config(system.kafka, system.kafka_topic(TOPIC), {"max.message.bytes": str(12 * MEGABYTE)})
