"""``tiers.yaml``: customers in tiers by a measure of what they hold.

features:
  aum_30d: {daily_mean: customer.aum, over: 30d}
tierings:
  tier:                                   # customer.tier, tier.up, tier.down
    measure: aum_30d
    edges: {potential: 0, effective: 10000, mid: 50000}
    margin: 0.05                          # optional: a tier is left downwards only 5% below its edge
  digital_tier:                           # customer.digital_tier, digital_tier.up …
    measure: customer.aum
    edges: {below_20w: 0, from_20w: 200000}
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from triggers.language import codes, grammar
from triggers.language.derived_file import named_entries, read_derived, read_head, read_suite, touched_by
from triggers.language.document import Document, Node, Place
from triggers.language.draft import Draft
from triggers.language.model import Suite, Tiering
from triggers.language.reader import Fields, Reader
from triggers.language.shared import Shared
from triggers.language.vocabulary import MAIN_TIERING

_MOST_TIERINGS: Final = 20
_MOST_TIERS: Final = 50
_LARGEST: Final = Decimal(10) ** 13


def read_tiers(reader: Reader, document: Document, shared: Shared) -> Shared:
    """``shared`` with the tierings of the file and the names they give."""
    root = document.root or Node({}, Place(1, 1, ""))
    draft = read_head(reader, root, grammar.TIERS, shared)
    if draft is None or "tierings" not in draft.fields:
        return replace(shared, vocabulary=shared.vocabulary.unknown(tiers=True, tags=False))
    tierings: list[Tiering] = []
    tiers: dict[str, tuple[str, ...]] = {}
    entries = named_entries(reader, draft.fields, "tierings", "tiering")
    if len(entries) > _MOST_TIERINGS:
        message = f"expected at most {_MOST_TIERINGS} tierings"
        reader.report(codes.OUT_OF_RANGE, draft.fields.key_place("tierings"), message)
    for name, entry in entries.items():
        if name != MAIN_TIERING and f"customer.{name}" in shared.vocabulary.catalogue:
            message = f'customer.{name} is there already: give the tiering another name, such as "{name}_tier"'
            reader.report(codes.CONTRADICTION, entry.place, message)
            continue
        tiering, tiers[name] = _tiering(reader, draft, name, entry.value, shared)
        if tiering is not None:
            tierings.append(tiering)
    extended = replace(
        shared,
        tierings=tuple(tierings),
        vocabulary=shared.vocabulary.with_tierings({name: found for name, found in tiers.items() if found}),
        places={**shared.places, **{name: (draft, entry.place) for name, entry in entries.items()}},
        drafts=(*shared.drafts, draft),
    )
    suites: tuple[Suite, ...] = ()
    for name, found in tiers.items():
        happenings = {way: {tier: (f"{name}.{way}", tier) for tier in found} for way in ("up", "down")}
        suites += read_suite(reader, entries[name].value, name, happenings, extended)
    return replace(extended, suites=(*extended.suites, *suites))


def _tiering(
    reader: Reader, draft: Draft, name: str, node: Node, shared: Shared
) -> tuple[Tiering | None, tuple[str, ...]]:
    """A tiering where it is without mistakes, and its tiers as far as they could be read."""
    before = len(reader.problems)
    fields = reader.mapping(node, grammar.TIERING)
    if fields is None:
        return None, ()
    measure_node = fields.get("measure")
    vocabulary = shared.vocabulary.without({"tags": "tags build on tiers", MAIN_TIERING: "a tiering reads no tier"})
    measure = read_derived(reader, draft, measure_node, vocabulary, "number") if measure_node else None
    names, edges = _edges(reader, fields)
    margin = fields.decimal("margin") or Decimal(0)
    if measure is None or len(reader.problems) > before:
        return None, names
    floors = tuple(edge * (1 - margin) for edge in edges)
    return Tiering(name, measure.expression, names, edges, floors, touched_by(measure, {})), names


def _edges(reader: Reader, fields: Fields) -> tuple[tuple[str, ...], tuple[Decimal, ...]]:
    node = fields.get("edges")
    if node is None:
        return (), ()
    if not isinstance(node.value, dict) or not node.value:
        reader.wrong_type(node, "tiers with their lower edges, lowest first: {basic: 0, gold: 50000}")
        return (), ()
    if not 2 <= len(node.value) <= _MOST_TIERS:
        reader.report(codes.OUT_OF_RANGE, node.place, f"expected 2 to {_MOST_TIERS} tiers, found {len(node.value)}")
    edges: list[Decimal] = []
    for name, entry in node.value.items():
        reader.key("a tier", name, entry.place)
        edge = reader.decimal(entry.value, -_LARGEST, _LARGEST)
        if edge is not None and edges and edge <= edges[-1]:
            message = f"the lower edge of {name} must be above that of the tier before it, {edges[-1]}: lowest first"
            reader.report(codes.CONTRADICTION, entry.value.place, message)
        if edge is not None:
            edges.append(edge)
    return tuple(node.value), tuple(edges)
