"""What the simulated bank hands to its publisher, and the calendar it lives by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final, Literal

from schemas.base import Event, to_ms
from schemas.dead_letter import Reason
from schemas.decode import record_key
from schemas.encode import encode
from schemas.topics import TOPIC

ZONE: Final = timezone(timedelta(hours=8))
"""The bank's offset from UTC."""
START: Final = datetime(2026, 1, 5, tzinfo=ZONE)
"""The first simulated day, a Monday."""
START_MS: Final = to_ms(START)
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class BankRecord:
    """One message of a bank's systems, due on its topic at the simulated time ``at_ms`` (its *arrival*).

    ``occurred_ms`` is the event's own time (0 where it cannot be read).
    ``reason`` is the dead letter that a spoiled record must become. ``event_id`` is that of the event it carries;
    ``reverses`` the event that it takes back. ``whose`` is who may have done what came under an id of a channel.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    at_ms: int
    occurred_ms: int = 0
    what: Literal["event", "duplicate", "spoiled"] = "event"
    event_id: str | None = None
    reverses: str | None = None
    reason: Reason | None = None
    whose: frozenset[str] | None = None


def bank_record(topic: str, event: Event, at_ms: int, reverses: str | None = None) -> BankRecord:
    """An event as its message, arriving at ``at_ms``."""
    key = record_key(TOPIC[topic], event)
    occurred_ms = to_ms(event.occurred_at)
    return BankRecord(topic, key, encode(event), at_ms, occurred_ms, event_id=event.event_id, reverses=reverses)


def moment(at_ms: int) -> datetime:
    """A simulated time as a business time with the bank's offset."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).astimezone(ZONE)


def day_of(index: int) -> date:
    """The simulated day so many days after the first (or before)."""
    return START.date() + timedelta(days=index)


def money(cents: int) -> str:
    """An amount as the schemas write it."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"
