"""The records that leave the engine, made without a validation: each value is valid by where it comes from.

Identifiers are those of records that were read and of rule files that were loaded; both were checked there. Amounts,
times and free text come from expressions, so they are bounded here. The fields stand in the order of their names: they
are written so, and what is sorted already sorts fastest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from schemas.actions import Cancellation, NextBestAction
from schemas.base import LATEST, SCHEMA_VERSION, from_ms, to_ms
from schemas.construct import constructed
from schemas.decisions import Decision
from schemas.events import DESK_CHANNELS
from triggers.engine.state import Journey, Sent
from triggers.language.model import Trigger
from triggers.policy.owning_desk import addressee

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

_LONGEST_TEXT: Final = 200
_MOST_TAGS: Final = 20
_LAST_MS: Final = to_ms(LATEST) - 1
_time: Final = lru_cache(maxsize=64)(from_ms)
"""An action and its decision are of one moment, and so are those of many customers in the morning."""
_span: Final = lru_cache(maxsize=64)(lambda milliseconds: timedelta(milliseconds=milliseconds))
"""All actions of a trigger last as long."""


def action(
    run: Evaluation, trigger: Trigger, journey: Journey, sent: Sent, handoff: tuple[dict[str, str], ...]
) -> NextBestAction:
    """One step of a journey as it goes out."""
    plan, state, channel, value = run.plan, run.state, sent.channel, journey.value
    common = plan.common.get(trigger.id)
    if common is None:
        common = plan.common[trigger.id] = _common(run, trigger)
    # Copied and filled in, it takes half of the time of one that is made of all its fields.
    values = common.copy()
    values["action_id"] = sent.action_id
    values["channel"] = channel
    values["complexity"] = journey.complexity
    values["created_at"] = created_at = _time(sent.at)
    values["customer_id"] = state.key
    # An action of the last days before the year 2200 ends with the last of them.
    values["expires_at"] = created_at + _span(min(sent.expires, _LAST_MS) - sent.at)
    values["fields"] = journey.fields.copy()  # bounded as they were made
    values["occasion"] = journey.occasion
    values["offer"] = journey.offer
    values["step"] = sent.step
    if value is not None:
        values["value"] = Decimal(value)
    if channel in DESK_CHANNELS:
        values["handoff"] = handoff
        values["title"], values["offer_title"], values["tag_titles"] = _titles(run, trigger, journey)
        values["desk"], values["manager_id"] = addressee(state, plan.policy, channel)
    else:
        values["title"], values["offer_title"] = {}, {}
    return constructed(NextBestAction, values)


def decision(
    run: Evaluation,
    decision_id: str,
    trigger: str,
    version: int,
    occasion: str,
    step: int,
    outcome: str,
    reason: str,
    channel: str | None,
    action_id: str | None,
    detail: Mapping[str, str],
) -> Decision:
    """What became of a step."""
    return constructed(
        Decision,
        {
            "action_id": action_id,
            "channel": channel,
            "customer_id": run.state.key,
            "decided_at": _time(run.clock),
            "decision_id": decision_id,
            "detail": _texts(detail),
            "occasion": occasion,
            "outcome": outcome,
            "reason": reason,
            "ruleset": run.plan.ruleset.hash,
            "schema_version": SCHEMA_VERSION,
            "step": step,
            "tenant": run.tenant,
            "tier": run.state.tier,
            "trigger": trigger,
            "trigger_version": version,
        },
    )


def cancellation(run: Evaluation, journey: Journey, sent: Sent, reason: str, caused_by: str) -> Cancellation:
    """The withdrawal of an action that went out."""
    return constructed(
        Cancellation,
        {
            "action_id": sent.action_id,
            "caused_by": caused_by,
            "channel": sent.channel,
            "created_at": _time(run.clock),
            "customer_id": run.state.key,
            "reason": reason,
            "schema_version": SCHEMA_VERSION,
            "tenant": run.tenant,
            "trigger": journey.trigger,
            "type": "cancellation",
        },
    )


def _common(run: Evaluation, trigger: Trigger) -> dict[str, Any]:
    """What all actions of a trigger have in common; the rest is as for a machine's channel, or to be filled in."""
    proposed = trigger.action
    return dict.fromkeys(sorted(NextBestAction.model_fields)) | {
        "category": proposed.category,
        "handoff": (),
        "priority": proposed.priority,
        "ruleset": run.plan.ruleset.hash,
        "schema_version": SCHEMA_VERSION,
        "tag_titles": (),
        "template": proposed.template,
        "tenant": run.tenant,
        "trigger": trigger.id,
        "trigger_version": trigger.version,
        "type": "action",
    }


def _titles(
    run: Evaluation, trigger: Trigger, journey: Journey
) -> tuple[dict[str, str], dict[str, str], tuple[dict[str, str], ...]]:
    """What people read in their language: what brought the contact about, what is offered, what the customer is."""
    offers = run.plan.offers
    offer = offers.get(journey.offer) if offers is not None else None
    has = run.state.tags
    tags = tuple(dict(tag.titles) for tag in run.plan.ruleset.tags if tag.name in has and tag.titles)[:_MOST_TAGS]
    return dict(trigger.titles), dict(offer.titles) if offer is not None else {}, tags


def _texts(values: Mapping[str, str]) -> dict[str, str]:
    if not values:
        return {}
    for value in values.values():
        if len(value) > _LONGEST_TEXT:
            return {name: value[:_LONGEST_TEXT] for name, value in values.items()}
    return {**values}  # as nearly always: a third of the time
