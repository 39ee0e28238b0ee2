"""The sums of a backtest as one plain structure, for a machine and for the page. It names no clock and no machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Final

from schemas.base import from_ms
from streams.backtest.run import Result
from triggers.casework.backtest import Cell, Located
from triggers.casework.distribution import PERCENTILES
from triggers.casework.measures import Measure, Reading
from triggers.engine.texts import text_of

_VALUES: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "unknown": None}


def as_json(result: Result) -> dict[str, Any]:
    """Everything that was summed up. Times are in UTC, days in the bank's time zone, numbers of percentiles rounded."""
    tally = result.tally
    return {
        "ruleset": result.ruleset.hash,
        "timezone": str(result.ruleset.policy.timezone),
        "currency": result.ruleset.policy.currency,
        "triggers": [
            {"trigger": t.id, "version": t.version, "title": t.title, "status": t.status}
            for t in sorted(result.ruleset.triggers, key=lambda trigger: trigger.id)
        ],
        "input": {
            "sources": list(result.sources),
            "tenant": result.tenant,
            "since": _moment(result.since_ms),
            "events": _sorted(tally.events),
            "customers": tally.customers,
            "first": _moment(tally.first_ms),
            "last": _moment(tally.last_ms),
            "clock_stopped": _moment(result.until_ms),
            "outside_the_range": result.left_out,
            "not_of_customers": _sorted(result.strays),
            "complete": result.complete,
        },
        "actions": _actions(tally.actions),
        "cancelled": _by_two(tally.cancelled),
        "deferred": _by_two(tally.deferred),
        "suppressed": _by_two(tally.suppressed),
        "contacts": {
            "customers_by_contacts": {str(count): customers for count, customers in sorted(tally.contacts.items())},
            "most_contacted": [
                {"customer": busy.customer, "contacts": -busy.minus_contacts, "by_trigger": dict(busy.by_trigger)}
                for busy in tally.busiest
            ],
        },
        "measured_one_moment_in": result.every,
        "conditions": [
            {"trigger": trigger} | {text: tally.conditions[trigger, value] for text, value in _VALUES.items()}
            for trigger in sorted({trigger for trigger, _ in tally.conditions})
        ],
        "measures": [_measure(*pair) for pair in zip(result.measures, tally.readings, strict=True)],
        "shadow": _shadow(result),
        "errors": {
            "total": tally.errors.total(),
            "by_code": _sorted(tally.errors),
            "first": [_located(result, error) for error in tally.located],
        },
    }


def place(result: Result, error: Located) -> str:
    """Where an error stands, as every command writes it."""
    return f"{result.sources[error.source]}:{error.position}:{error.column}"


def _actions(cells: Mapping[Cell, int]) -> dict[str, Any]:
    return {
        "total": sum(cells.values()),
        "by_trigger": _count(cells, lambda cell: cell.trigger),
        "by_tier": _count(cells, lambda cell: cell.tier),
        "by_channel": _count(cells, lambda cell: cell.channel),
        "by_day": _count(cells, lambda cell: date.fromordinal(cell.day).isoformat()),
        "cells": [
            {
                "trigger": cell.trigger,
                "tier": cell.tier,
                "channel": cell.channel,
                "day": date.fromordinal(cell.day).isoformat(),
                "actions": count,
            }
            for cell, count in sorted(cells.items())
        ],
    }


def _by_two(counts: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    by_reason: Counter[str] = Counter()
    by_trigger: dict[str, dict[str, int]] = {}
    for (trigger, reason), count in sorted(counts.items()):
        by_reason[reason] += count
        by_trigger.setdefault(trigger, {})[reason] = count
    return {"total": by_reason.total(), "by_reason": _sorted(by_reason), "by_trigger": by_trigger}


def _measure(measure: Measure, reading: Reading) -> dict[str, Any]:
    values = reading.values
    return {
        "trigger": measure.trigger,
        "measure": measure.source,
        "feature": measure.is_feature,
        "clauses": list(measure.clauses),
        "known": values.total,
        "unknown": values.unknown,
        "least": _number(values.least),
        "percentiles": {str(percent): _number(values.percentile(percent)) for percent in PERCENTILES},
        "most": _number(values.most),
        "thresholds": [
            {"operator": bound.operator, "number": text_of(bound.number), "held": held}
            for bound, held in zip(measure.bounds, reading.held, strict=True)
        ],
    }


def _shadow(result: Result) -> list[dict[str, Any]]:
    found = []
    for trigger in sorted(t.id for t in result.ruleset.triggers if t.status == "shadow"):
        outcomes: Counter[str] = Counter()
        beside: Counter[str] = Counter()
        both = 0
        for would, count in result.tally.shadow.items():
            if would.trigger == trigger:
                outcomes[would.outcome] += count
                if would.beside:
                    beside[would.beside] += count
                if would.beside and would.outcome == "sent":
                    both += count
        cells = {cell: count for cell, count in result.tally.shadow_actions.items() if cell.trigger == trigger}
        sent, waited = outcomes.pop("sent", 0), outcomes.pop("deferred", 0)
        found.append(
            {
                "trigger": trigger,
                "would_send": sent,
                "of_these_beside_a_live_action": both,
                "would_wait": waited,
                "would_be_held_back": _sorted(outcomes),
                "occasions_of_a_live_action": _sorted(beside),
                "by_tier": _count(cells, lambda cell: cell.tier),
                "by_channel": _count(cells, lambda cell: cell.channel),
                "by_day": _count(cells, lambda cell: date.fromordinal(cell.day).isoformat()),
            }
        )
    return found


def _located(result: Result, error: Located) -> dict[str, Any]:
    return {
        "source": result.sources[error.source],
        "line": error.position,
        "column": error.column,
        "code": error.code,
        "field": error.field,
        "problem": error.problem,
    }


def _count(cells: Mapping[Cell, int], by: Callable[[Cell], str]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for cell, count in cells.items():
        found[by(cell)] += count
    return _sorted(found)


def _sorted(counts: Mapping[str, int] | Iterable[tuple[str, int]]) -> dict[str, int]:
    return dict(sorted(dict(counts).items()))


def _moment(ms: int | None) -> str | None:
    return None if ms is None else from_ms(ms).isoformat().replace("+00:00", "Z")


def _number(value: float | None) -> float | int | None:
    if value is None:
        return None
    rounded = round(value, 4)
    return int(rounded) if rounded == int(rounded) else rounded
