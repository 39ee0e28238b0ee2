"""The inline tests of tiers and tags: what is expected is that the tier moves, that the tag comes or goes."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from triggers.language import codes, grammar
from triggers.language.cases import read_cases
from triggers.language.document import Node
from triggers.language.forms import Form, Key, OneOf
from triggers.language.model import Case, Expected
from triggers.language.reader import Reader, one_of
from triggers.language.shared import Shared

Happenings = Mapping[str, Mapping[str, tuple[str, str]]]
"""What a case may expect, by key and value as written (``up: mid``): the event (``tier.up``) and its detail."""


def read_derived_cases(reader: Reader, node: Node, shared: Shared, happenings: Happenings) -> tuple[Case, ...]:
    """Every case under ``tests``; ``Expected.fields`` has the event and its detail."""

    def expected(reader: Reader, item: Node, zone: ZoneInfo) -> Expected | None:
        return _expected(reader, item, zone, happenings)

    return read_cases(reader, node, shared, expected)


def _expected(reader: Reader, node: Node, zone: ZoneInfo, happenings: Happenings) -> Expected | None:
    what = tuple(Key(name, OneOf(tuple(values)), "What happens.") for name, values in happenings.items())
    fields = reader.mapping(node, Form("an expectation", (*grammar.HAPPENING.keys, *what)))
    if fields is None:
        return None
    at = fields.moment("at", zone)
    found = [name for name in happenings if name in fields]
    if len(found) != 1:
        if len(fields.entries) == len(fields.node.plain()):  # else a key was reported
            message = f"an expectation is exactly one of {one_of(happenings)}, found {len(found)}"
            reader.report(codes.CONTRADICTION, node.place, message)
        return None
    values = happenings[found[0]]
    value = fields.choice(found[0])
    if at is None or value is None:
        return None
    event, detail = values[value]
    return Expected(at, {"event": event, "detail": detail}, node.place.line)
