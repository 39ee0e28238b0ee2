"""The offer of an action: one by name, or one chosen from the catalogue when the trigger fires."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from triggers.engine.scope import Scope
from triggers.language import codes, grammar
from triggers.language.document import Node, Place, shorten
from triggers.language.expressions import Checked, Context, read_expression
from triggers.language.model import Choice, Offer, OfferKind
from triggers.language.reader import Fields, Reader, one_of, suggest
from triggers.language.shared import Shared
from triggers.language.tree import Call, FeatureReference, Reference, Term


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was read: the offer's name or the choice, and the entries of the catalogue that can come of it.

    ``expressions`` are those read on the way.
    """

    offer: str | Choice
    candidates: tuple[Offer, ...]
    expressions: tuple[Checked, ...] = ()


def read_offer(reader: Reader, node: Node, context: Context, shared: Shared) -> Chosen | None:
    """``offer: call`` or ``offer: {choose: deposit, where: …, best: …}``; ``None`` after a mistake.

    ``context`` is what the action's expressions may read, ``offer.*`` included.
    """
    if not isinstance(node.value, dict):
        name, catalogue = reader.identifier(node), shared.offers
        if name is None or catalogue is None:
            return Chosen(name, ()) if name else None
        if name not in catalogue:
            message = f'offers.yaml lists no offer "{shorten(name)}"{_hint(name, catalogue)}'
            reader.report(codes.UNKNOWN_OFFER, node.place, message)
            return None
        return Chosen(name, (catalogue[name],))
    fields = reader.mapping(node, grammar.CHOICE)
    return _choice(reader, fields, context, shared) if fields else None


def _choice(reader: Reader, fields: Fields, context: Context, shared: Shared) -> Chosen | None:
    kinds = _kinds(reader, fields)
    where, best = fields.get("where"), fields.get("best")
    condition = read_expression(reader, where, context, expect="flag") if where else None
    measure = read_expression(reader, best, context, expect="number") if best else None
    if not kinds or (where and condition is None) or (best and measure is None):
        return None
    candidates = _candidates(reader, fields, kinds, condition, shared) if shared.offers_read else ()
    if candidates is None:
        return None
    return Chosen(
        Choice(
            tuple(cast("OfferKind", kind) for kind, _ in kinds),
            condition.expression if condition else None,
            measure.expression if measure else None,
        ),
        candidates,
        tuple(checked for checked in (condition, measure) if checked is not None),
    )


def _kinds(reader: Reader, fields: Fields) -> list[tuple[str, Place]]:
    """The kinds to choose from, one or a list, each with its place; empty after a mistake."""
    node = fields.get("choose")
    if node is None:
        return []
    items = (reader.items(node, "kinds", len(grammar.KINDS)) or ()) if isinstance(node.value, list) else (node,)
    if not items:
        reader.report(codes.OUT_OF_RANGE, node.place, f"expected at least one of {one_of(grammar.KINDS)}")
    found = [(reader.choice(item, grammar.KINDS), item.place) for item in items]
    kinds = [(kind, place) for kind, place in found if kind is not None]
    return kinds if len(kinds) == len(found) else []


def _candidates(
    reader: Reader, fields: Fields, kinds: list[tuple[str, Place]], condition: Checked | None, shared: Shared
) -> tuple[Offer, ...] | None:
    """The offers that can be chosen, whoever the customer is; ``None`` where there are none, which is reported."""
    if shared.offers is None:
        message = "there is nothing to choose from: put an offers.yaml beside the triggers"
        reader.report(codes.UNKNOWN_OFFER, fields.entries["choose"].value.place, message)
        return None
    there = {offer.kind for offer in shared.offers.values()}
    for kind, place in kinds:
        if kind not in there:
            message = f"offers.yaml lists no {kind}; it has {one_of(sorted(there)) or 'no offer at all'}"
            reader.report(codes.UNKNOWN_OFFER, place, message)
    if not all(kind in there for kind, _ in kinds):
        return None
    wanted = {kind for kind, _ in kinds}
    candidates = tuple(offer for offer in shared.offers.values() if offer.kind in wanted)
    if condition is None:
        return candidates
    possible = _possible(condition, candidates)
    if not possible:
        what = " or ".join(kind for kind, _ in kinds)
        message = f'no {what} in offers.yaml meets "{shorten(condition.expression.source)}"'
        reader.report(codes.UNKNOWN_OFFER, condition.node.place, message)
        return None
    return possible


def _possible(condition: Checked, offers: tuple[Offer, ...]) -> tuple[Offer, ...]:
    """The offers that can meet a condition: each of its parts that reads nothing else is tried on them now."""
    parts = [expression for expression, term in condition.clauses if _of_offers_alone(term)]
    scope = Scope()
    found = []
    for offer in offers:
        scope.offer = offer
        if all(part.evaluate(scope) is True for part in parts):
            found.append(offer)
    return tuple(found)


def _of_offers_alone(term: Term) -> bool:
    """Whether a part of a condition depends on the catalogue only: not on the customer, the event or the day."""
    return any(isinstance(part, Reference) for part in term.walk()) and all(
        part.name.part == "offer"
        if isinstance(part, Reference)
        else not (isinstance(part, FeatureReference) or (isinstance(part, Call) and part.helper.endswith("days_until")))
        for part in term.walk()
    )


def _hint(name: str, catalogue: Iterable[str]) -> str:
    return suggest(name, catalogue) or "; list it there, or name one that is"
