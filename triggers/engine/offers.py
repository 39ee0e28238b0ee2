"""Which offer an action carries: the one it names, or the best of those that this customer may have on this day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from triggers.engine.plan import Plan
from triggers.engine.scope import Scope
from triggers.language.model import Choice, Offer
from triggers.policy.local_time import day_of, local_ms

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

REASON = "no_offer"
"""The reason of a decision where no offer fits; its detail says why."""


def bank_day(run: Evaluation) -> date:
    """The day on which the system acts, in the bank's time zone."""
    return day_of(local_ms(run.clock, run.plan.policy.timezone))


def refusal(offer: Offer, tier: str | None, day: date) -> str | None:
    """Why a customer may not have an offer on a day; ``None`` where it may. A tier that is unknown is no tier."""
    if offer.valid_from is not None and day < offer.valid_from:
        return "not_valid"
    if offer.valid_until is not None and day > offer.valid_until:
        return "not_valid"
    if offer.tiers is not None and tier not in offer.tiers:
        return "not_for_tier"
    return None


def named_refusal(offer_id: str, run: Evaluation) -> dict[str, str] | None:
    """Why an offer given by name is not sent, as the detail of a decision. Without a catalogue any name will do."""
    offers = run.plan.offers
    if offers is None:
        return None
    offer, tier, day = offers.get(offer_id), run.state.tier, bank_day(run)
    why = "not_listed" if offer is None else refusal(offer, tier, day)
    return None if why is None else {"offer": offer_id, "why": why, "day": day.isoformat(), "tier": tier or "unknown"}


def choose(choice: Choice, plan: Plan, scope: Scope, day: date) -> tuple[Offer | None, Mapping[str, str]]:
    """The best offer of some kinds; else ``None``, how many there are and what held them back.

    The greatest ``best`` wins; of equal ones, and where there is no ``best``, the first by name. One whose
    ``best`` is unknown loses against every known one. ``scope.offer`` is left at the one chosen.
    """
    tier: str | None = scope.customer.tier
    counts = {"not_valid": 0, "not_for_tier": 0, "where": 0}
    chosen: Offer | None = None
    highest: Decimal | int | None = None
    of_kinds = [offer for offer in (plan.offers or {}).values() if offer.kind in choice.kinds]
    for offer in of_kinds:  # in the order of their names
        scope.offer = offer
        why = refusal(offer, tier, day)
        if why is None and choice.where is not None and choice.where.evaluate(scope) is not True:
            why = "where"
        if why is not None:
            counts[why] += 1
            continue
        measure: Any = choice.best.evaluate(scope) if choice.best is not None else None
        if chosen is None or (measure is not None and (highest is None or measure > highest)):
            chosen, highest = offer, measure
    scope.offer = chosen
    if chosen is not None:
        return chosen, {}
    found = {name: str(count) for name, count in counts.items() if count}
    return None, {
        "kinds": ", ".join(choice.kinds),
        "offers": str(len(of_kinds)),
        "day": day.isoformat(),
        "tier": tier or "unknown",
    } | found
