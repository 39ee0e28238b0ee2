"""``offers.yaml``: the catalogue of offers that actions name or choose from."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, cast

from triggers.language import codes, grammar
from triggers.language.document import Document, Entry, Node, Place
from triggers.language.model import Complexity, Offer, OfferKind
from triggers.language.reader import Fields, Reader
from triggers.language.shared import Shared, Spot

_MOST_TIERS: Final = 20


def read_offers(reader: Reader, document: Document, shared: Shared) -> Shared:
    """The catalogue by name. An offer with a mistake is still known by name, so that naming it is no mistake too."""
    root = document.root or Node({}, Place(1, 1, ""))
    fields = reader.mapping(root, grammar.OFFERS)
    node = fields.get("offers") if fields else None
    if node is None or not isinstance(node.value, dict):
        if node is not None:
            reader.wrong_type(node, "offers by name: deposit_90d: {kind: deposit, term: 90}")
        return replace(shared, offers_read=False)
    known = shared.vocabulary.catalogue["customer.tier"].type.values
    found = {name: _offer(reader, name, node.value[name], known) for name in sorted(node.value)}
    spots = {f"offers.{name}": Spot(document.file, entry.place) for name, entry in node.value.items()}
    return replace(shared, offers=found, offers_read=not reader.problems, spots={**shared.spots, **spots})


def _offer(reader: Reader, name: str, entry: Entry, tiers: tuple[str, ...]) -> Offer:
    reader.key("an offer", name, entry.place)
    fields = reader.mapping(entry.value, grammar.OFFER)
    if fields is None:
        return Offer(name, "service")
    valid = fields.get("valid")
    days = reader.mapping(valid, grammar.VALID) if valid else None
    first, last = (days.day("from"), days.day("until")) if days else (None, None)
    if valid is not None and first is not None and last is not None and last < first:
        reader.report(codes.CONTRADICTION, valid.place, f"the offer is never valid: {last} is before {first}")
    return Offer(
        id=name,
        kind=cast("OfferKind", fields.choice("kind") or "service"),
        titles=fields.title("title") or {},
        product_id=fields.text("product_id"),
        term=fields.integer("term"),
        expected_yield=fields.decimal("expected_yield"),
        complexity=cast("Complexity | None", fields.choice("complexity")),
        min_amount=fields.decimal("min_amount"),
        tiers=_tiers(reader, fields, tiers),
        valid_from=first,
        valid_until=last,
    )


def _tiers(reader: Reader, fields: Fields, known: tuple[str, ...]) -> frozenset[str] | None:
    node = fields.get("tiers")
    if node is None:
        return None
    items = reader.items(node, "tiers", _MOST_TIERS)
    if not known:
        return None  # tiers.yaml has a mistake: whatever stands here may be right
    if items is not None and not items:
        reader.report(codes.OUT_OF_RANGE, node.place, "an offer for nobody; leave tiers out where it is for all")
    return frozenset(filter(None, (reader.choice(item, known) for item in items or ())))
