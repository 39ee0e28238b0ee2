"""Records that came in and went out, from files: event files, and what ``actions`` and ``decisions`` print as JSON.

A line is an envelope of any topic, ``{"topic": "bank.feedback", "key": "C1", "value": {...}}``, or a decision, action
or withdrawal as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from schemas.topics import DECISIONS, TOPIC, TOPICS, Topic, queue_of
from streams.event_file import not_json, read_lines
from triggers.casework.backtest import Arrival
from triggers.errors import Problem

CUSTOMERS: Final = tuple(topic for topic in TOPICS if topic.key == ("customer_id",))
"""The topics whose records are a customer's, in and out."""

QUEUES: Final = tuple(topic for topic in CUSTOMERS if topic.name.startswith("outreach.") and topic.name != DECISIONS)
_NAMES: Final = frozenset(topic.name for topic in CUSTOMERS)


class _Line(msgspec.Struct):
    """What tells the kinds of lines apart."""

    topic: str | None = None
    key: str | None = None
    value: msgspec.Raw = msgspec.Raw()
    decision_id: str | None = None
    action_id: str | None = None
    customer_id: str | None = None
    channel: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Line)
_EXPECTED: Final = 'expected {"topic": …, "key": …, "value": …}, or a decision, action or withdrawal'


def read_records(path: Path, source: int = 0) -> Iterator[Arrival | Problem]:
    """Reads a file line by line. A record of a topic that is not by customer is passed over.

    Codes: those of ``event_file.read_events``; F004 is a topic that the registry does not know.
    """
    for found in read_lines(path):
        if isinstance(found, Problem):
            yield found
            continue
        line, text = found
        arrival = _read(str(path), line, text, source)
        if arrival is not None:
            yield arrival


class _Tenant(msgspec.Struct):
    tenant: str = ""


def tenant_of(value: bytes) -> str:
    """The tenant that a record names; empty where it cannot be read."""
    try:
        return msgspec.json.decode(value, type=_Tenant).tenant
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _read(name: str, line: int, text: bytes, source: int) -> Arrival | Problem | None:
    try:
        head = _DECODER.decode(text)
    except msgspec.ValidationError as error:
        return Problem(name, line, 1, "F003", f"{_EXPECTED}: {str(error)[:200]}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return not_json(name, line, error)
    if head.topic is not None:
        if head.topic not in TOPIC:
            known = ", ".join(sorted(_NAMES))
            return Problem(name, line, 1, "F004", f"expected one of the topics {known}", path="topic")
        if head.topic not in _NAMES:
            return None
        key = None if head.key is None else head.key.encode("utf-8", "surrogatepass")
        return Arrival(TOPIC[head.topic], key, bytes(head.value), source, line)
    topic = _topic_of(head)
    if topic is None or head.customer_id is None:
        return Problem(name, line, 1, "F003", _EXPECTED)
    return Arrival(topic, head.customer_id.encode("utf-8", "surrogatepass"), text.strip(), source, line)


def _topic_of(head: _Line) -> Topic | None:
    """The topic of a record that stands alone on its line."""
    if head.decision_id is not None:
        return TOPIC[DECISIONS]
    if head.action_id is not None and head.channel is not None:
        return TOPIC.get(queue_of(head.channel))
    return None
