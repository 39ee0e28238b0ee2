"""``policy.yaml`` and ``calendar.yaml``: what the gate obeys, and the bank's time."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from schemas.base import CURRENCIES
from schemas.events import Channel
from triggers.language import codes
from triggers.language.document import Document, Node, Place, shorten
from triggers.language.model import Cap
from triggers.language.names import literal_values
from triggers.language.reader import DAY_MS, MINUTE_MS, SECOND_MS, Reader, suggest
from triggers.language.shared import Shared

CHANNELS: Final = literal_values(Channel)
_LONGEST_LATENESS_MS: Final = 60 * DAY_MS


def read_policy(reader: Reader, document: Document, shared: Shared) -> Shared:
    """The policy with what the file says; what it leaves out stays as it was."""
    fields = reader.mapping(_root(document), "a policy", (), ("currency", "lateness", "skew", "consent", "caps"))
    if fields is None:
        return shared
    policy = shared.policy
    currency = fields.text("currency", 3)
    if currency is not None and currency not in CURRENCIES:
        message = f'"{shorten(currency)}" is no active ISO 4217 code such as CNY'
        reader.report(codes.BAD_CHOICE, fields.entries["currency"].value.place, message)
    lateness = fields.duration("lateness", MINUTE_MS, _LONGEST_LATENESS_MS)
    skew = fields.duration("skew", SECOND_MS, DAY_MS)
    consent = [reader.choice(item, CHANNELS) for item in fields.items("consent", "channels", 100)]
    caps = [_cap(reader, item) for item in fields.items("caps", "caps", 100)]
    policy = replace(
        policy,
        currency=currency or policy.currency,
        lateness_ms=lateness or policy.lateness_ms,
        skew_ms=skew or policy.skew_ms,
        consent=frozenset(filter(None, consent)) if "consent" in fields else policy.consent,
        caps=tuple(cap for cap in caps if cap) if "caps" in fields else policy.caps,
    )
    return replace(shared, policy=policy)


def read_calendar(reader: Reader, document: Document, shared: Shared) -> Shared:
    """The policy with the bank's time zone and the hour of its reminders."""
    fields = reader.mapping(_root(document), "a calendar", (), ("timezone", "remind_at"))
    if fields is None:
        return shared
    policy = shared.policy
    zone = fields.get("timezone")
    clock = fields.get("remind_at")
    policy = replace(
        policy,
        timezone=(_timezone(reader, zone) if zone else None) or policy.timezone,
        remind_at=(reader.clock(clock) if clock else None) or policy.remind_at,
    )
    return replace(shared, policy=policy)


def _root(document: Document) -> Node:
    return document.root or Node({}, Place(1, 1, ""))


def _cap(reader: Reader, node: Node) -> Cap | None:
    fields = reader.mapping(node, "a cap", ("at_most", "per"), ("category",))
    if fields is None:
        return None
    at_most = fields.integer("at_most", 0, 1000)
    per = fields.duration("per")
    category = fields.identifier("category")
    return Cap(at_most, per, category) if at_most is not None and per is not None else None


def _timezone(reader: Reader, node: Node) -> ZoneInfo | None:
    name = reader.text(node, 64)
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = suggest(name, available_timezones()) or "; expected a name such as Asia/Shanghai"
        reader.report(codes.BAD_CHOICE, node.place, f'unknown time zone "{shorten(name)}"{hint}')
        return None
