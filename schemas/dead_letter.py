"""What could not be read or may not take effect: kept whole, with where it came from and why."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final, Literal

from schemas.base import Count, EventTime, Record, Sequence, ShortText, TopicName

DEAD_LETTER_HEADER: Final = "dead-letter"
"""The Kafka header that holds the ``DeadLetter`` as JSON; key and value of the message are the original bytes."""


RESOLUTION_HEADER: Final = "dead-letter-resolution"
"""The Kafka header that holds a ``Resolution`` as JSON; such a message has no value."""


class Reason(StrEnum):
    """Why a record became a dead letter."""

    EMPTY_VALUE = "EMPTY_VALUE"
    TOO_LARGE = "TOO_LARGE"
    NOT_JSON = "NOT_JSON"
    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    UNKNOWN_VERSION = "UNKNOWN_VERSION"
    DUPLICATE_FIELD = "DUPLICATE_FIELD"
    MISSING_FIELD = "MISSING_FIELD"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    BAD_NUMBER = "BAD_NUMBER"
    NOT_FINITE = "NOT_FINITE"
    BAD_TIME = "BAD_TIME"
    NAIVE_TIME = "NAIVE_TIME"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNKNOWN_VALUE = "UNKNOWN_VALUE"
    UNKNOWN_CURRENCY = "UNKNOWN_CURRENCY"
    CONTRADICTION = "CONTRADICTION"
    MISSING_KEY = "MISSING_KEY"
    KEY_MISMATCH = "KEY_MISMATCH"
    WRONG_TENANT = "WRONG_TENANT"
    TOO_LATE = "TOO_LATE"
    FROM_THE_FUTURE = "FROM_THE_FUTURE"
    TOO_MANY_HELD = "TOO_MANY_HELD"
    UNKNOWN_ACTION = "UNKNOWN_ACTION"
    OTHER_CHANNEL = "OTHER_CHANNEL"


class DeadLetter(Record):
    """Where a record came from and why it was set aside. It repeats none of the record's values."""

    record_type: ClassVar[str] = "dead_letter"

    reason: Reason
    field: ShortText
    problem: ShortText
    topic: TopicName
    partition: Count
    offset: Sequence
    value_bytes: Count
    rejected_at: EventTime


class Resolution(Record):
    """What an operator did about a dead letter: sent its bytes again to the topic it came from, or gave it up.

    It stands in the topic of the dead letters, behind the dead letter itself, which it names by where that came from.
    """

    record_type: ClassVar[str] = "dead_letter_resolution"

    outcome: Literal["redriven", "dropped"]
    note: ShortText
    topic: TopicName
    partition: Count
    offset: Sequence
    resolved_at: EventTime
