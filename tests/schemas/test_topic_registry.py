"""The registry of topics and its example files agree: nothing without an owner, nothing untested, nothing left over."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import schemas
from schemas.base import Record
from schemas.dead_letter import DeadLetter, Reason
from schemas.decode import Rejected, decode, record_key
from schemas.encode import encode
from schemas.topics import DEAD_LETTERS, PARTITIONS, TOPIC, TOPICS, Topic, queue_of

EXAMPLES = Path(schemas.__file__).parent / "examples"
TENANT = "example-bank"

VALID = sorted(path for path in EXAMPLES.glob("*/*.json"))
INVALID = sorted(path for path in EXAMPLES.glob("invalid/*/*.json"))


def named(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


def read_example(topic: Topic, data: bytes) -> Record:
    """The record of an example; its message key is whatever its own body says."""
    if topic.name == DEAD_LETTERS:
        return DeadLetter.model_validate_json(data)
    body: dict[str, Any] = json.loads(data)
    record = decode(topic, TENANT, ":".join(str(body[name]) for name in topic.key).encode(), data)
    assert isinstance(record, Record) or not isinstance(record, Rejected), record
    return record


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_each_topic_says_who_and_what(topic: Topic) -> None:
    """It has a model, an owner among its own, a producer, a consumer, a meaning, and a time it is kept."""
    assert topic.models
    assert all(issubclass(model, Record) for model in topic.models)
    assert topic.owner
    assert topic.producers
    assert topic.consumers
    assert all([*topic.producers, *topic.consumers])
    assert "trigger-system" in {*topic.producers, *topic.consumers}
    assert topic.about.endswith(".")
    assert topic.retention_ms > 0
    assert topic.direction != "inbound" or topic.stage is not None
    assert topic.direction != "outbound" or topic.stage is None


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_each_key_is_a_required_field_of_each_model(topic: Topic) -> None:
    """A record without its key would have no partition."""
    for model in topic.models:
        for name in topic.key:
            assert model.model_fields[name].is_required(), (model, name)
    assert topic.key or topic.name == DEAD_LETTERS


def test_every_topic_has_the_same_number_of_partitions() -> None:
    """One worker owns a partition number of every topic."""
    assert {topic.partitions for topic in TOPICS} == {PARTITIONS}
    assert PARTITIONS > 1


def test_names_are_unique() -> None:
    """One name, one topic; one record type, one inbound topic."""
    assert len({topic.name for topic in TOPICS}) == len(TOPICS) == len(TOPIC)
    inbound = [model.record_type for topic in TOPICS if topic.direction == "inbound" for model in topic.models]
    assert len(set(inbound)) == len(inbound)


def test_each_channel_has_a_queue() -> None:
    """An action on any channel has somewhere to go."""
    for channel in ("push", "sms", "wechat", "email", "manager", "agent", "branch"):
        assert queue_of(channel) in TOPIC


def test_each_topic_has_two_examples_and_each_model_one() -> None:
    """Two at least, and every model of the topic among them."""
    for topic in TOPICS:
        files = [path for path in VALID if path.parent.name == topic.name]
        assert len(files) >= 2, topic.name
        seen = {read_example(topic, path.read_bytes()).record_type for path in files}
        assert seen == {model.record_type for model in topic.models}, topic.name
    journal = {
        read_example(TOPIC["outreach.journal"], path.read_bytes()).__class__
        for path in VALID
        if path.parent.name == "outreach.journal"
    }
    assert journal == set(TOPIC["outreach.journal"].models)


def test_no_example_is_an_orphan() -> None:
    """Every folder is a topic's and every file in it is JSON by name."""
    folders = [
        path for parent in (EXAMPLES, EXAMPLES / "invalid") for path in parent.iterdir() if path.name != "invalid"
    ]
    assert {path.name for path in folders} <= set(TOPIC)
    assert all(file.suffix == ".json" for folder in folders for file in folder.iterdir())


@pytest.mark.parametrize("path", VALID, ids=named)
def test_each_example_is_read_and_comes_back(path: Path) -> None:
    """It parses, and what is written of it parses to the same and is written the same again."""
    topic = TOPIC[path.parent.name]
    record = read_example(topic, path.read_bytes())
    again = read_example(topic, encode(record))
    assert again == record
    assert encode(again) == encode(record)


@pytest.mark.parametrize("path", INVALID, ids=named)
def test_each_bad_example_is_refused_for_the_reason_in_its_name(path: Path) -> None:
    """``invalid/<topic>/<REASON>.<field>.json``: that reason, at that field."""
    topic = TOPIC[path.parent.name]
    reason, _, field = path.stem.partition(".")
    answer = decode(topic, TENANT, b"C0000123", path.read_bytes())
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.field) == (Reason(reason), field)
    assert answer.problem


def test_amounts_written_as_json_numbers_are_exact() -> None:
    """No digit of a JSON number is lost on the way."""
    topic = TOPIC["bank.transactions"]
    record: Any = read_example(topic, (EXAMPLES / "bank.transactions" / "json-number-amounts.json").read_bytes())
    assert record.balance_after == Decimal("12345678901234.5671")
    assert record.amount.as_tuple() == Decimal("250000.10").as_tuple()
    assert record_key(topic, record) == b"C0000123"


def test_the_examples_show_what_a_transaction_can_be() -> None:
    """A debit, both legs of an own-account transfer, and a reversal of a transaction that is there."""
    topic = TOPIC["bank.transactions"]
    records: list[Any] = [read_example(topic, path.read_bytes()) for path in VALID if path.parent.name == topic.name]
    ids = {record.event_id for record in records}
    assert {record.direction for record in records} == {"credit", "debit"}
    legs = [record.transfer_id for record in records if record.own_account]
    assert len(legs) == 2
    assert len(set(legs)) == 1
    assert [record.reversal_of for record in records if record.reversal_of] == [
        next(i for i in ids if i.endswith("000118"))
    ]


def test_the_examples_show_every_status_of_a_holding() -> None:
    """From purchase to each way it may end."""
    topic = TOPIC["bank.maturities"]
    records: list[Any] = [read_example(topic, path.read_bytes()) for path in VALID if path.parent.name == topic.name]
    assert {record.status for record in records} == {"purchased", "corrected", "redeemed", "rolled_over", "matured"}
