"""What contacts came to: decisions, feedback and bookings summed up, one customer at a time, in bounded memory."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from schemas.base import from_ms, to_ms
from schemas.decisions import Decision
from schemas.decode import Rejected, decode
from schemas.topics import DECISIONS
from streams.backtest.spill import Spill, customers
from triggers.casework.backtest import Arrival
from triggers.casework.funnel import DIMENSIONS, Funnel, in_range
from triggers.casework.lift import CONFIDENCE, Groups, Lift, compare, verdict
from triggers.casework.payroll import Payroll

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Options:
    """Times in ms. Without ``until_ms`` the records reach to the newest decision; without one, to the newest event."""

    zone: ZoneInfo
    currency: str
    tenant: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    within_days: int = 30
    kept_days: int = 7
    confidence: float = CONFIDENCE


@dataclass(slots=True)
class Outcomes:
    """The sums. They grow with triggers, channels, tiers, days and months, not with customers."""

    options: Options
    tenant: str
    until_ms: int
    funnel: Funnel
    lift: Lift
    payroll: Payroll
    customers: int = 0
    events: Counter[str] = field(default_factory=Counter)
    """By topic, from ``since_ms`` to ``until_ms``."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Messages that are no records, by reason."""


Fill = Callable[[Callable[[Arrival], None]], None]
"""Reads the input and hands every message over."""


def sum_up(fill: Fill, options: Options) -> Outcomes:
    """Sums up what ``fill`` hands over, in any order. Raises what ``fill`` raises, and ``OSError`` of its own files."""
    with tempfile.TemporaryDirectory(prefix="bank-triggers-report-") as scratch:
        intake = _Intake(Path(scratch), options.tenant)
        fill(intake.take)
        until = options.until_ms
        if until is None:
            until = intake.decided if intake.decided is not None else intake.happened or 0
        zone, since = options.zone, options.since_ms
        result = Outcomes(
            options,
            intake.tenant,
            until,
            Funnel(zone, since, until),
            Lift(options.within_days * DAY_MS, until, since),
            Payroll(zone, options.currency, options.kept_days, until, since),
        )
        for share in intake.spill.close():
            for arrivals in customers(share, merge=False):
                _add_customer(result, arrivals)
    return result


class _Head(msgspec.Struct):
    tenant: str = ""
    decided_at: datetime | None = None
    occurred_at: datetime | None = None


class _Intake:
    """Shares out what comes in, and sees how far the times reach."""

    def __init__(self, folder: Path, tenant: str) -> None:
        self.spill = Spill(folder)
        self.tenant = tenant
        self.decided: int | None = None
        self.happened: int | None = None
        self._read_head = msgspec.json.Decoder(_Head).decode

    def take(self, arrival: Arrival) -> None:
        self.spill.add(arrival, 0)
        try:
            head = self._read_head(arrival.value)
        except (ValueError, RecursionError):
            return  # It is counted when its customer's turn comes.
        self.tenant = self.tenant or head.tenant
        if arrival.topic.name == DECISIONS and head.decided_at is not None and head.decided_at.tzinfo is not None:
            self.decided = max(self.decided or 0, to_ms(head.decided_at))
        elif head.occurred_at is not None and head.occurred_at.tzinfo is not None:
            self.happened = max(self.happened or 0, to_ms(head.occurred_at))


def _add_customer(result: Outcomes, arrivals: list[Arrival]) -> None:
    decisions: dict[str, Decision] = {}
    outcomes: dict[str, set[str]] = {}
    transactions: list[Any] = []
    bought: set[int] = set()
    seen: set[tuple[str, str]] = set()
    for arrival in arrivals:
        record = decode(arrival.topic, result.tenant, arrival.key, arrival.value)
        if isinstance(record, Rejected):
            result.rejected[record.reason.value] += 1
        elif isinstance(record, Decision):
            decisions.setdefault(record.decision_id, record)
        elif arrival.topic.direction == "inbound":
            _add_event(result, record, arrival.topic.name, seen)
            if record.record_type == "transaction":
                transactions.append(record)
            elif record.record_type == "feedback":
                outcomes.setdefault(record.action_id, set()).add(record.outcome)  # type: ignore[attr-defined]
            elif record.record_type == "maturity" and record.status == "purchased":  # type: ignore[attr-defined]
                bought.add(to_ms(record.occurred_at))  # type: ignore[attr-defined]
    reversed_ = {one.reversal_of for one in transactions}
    bought |= {
        to_ms(one.occurred_at) for one in transactions if one.kind == "purchase" and one.event_id not in reversed_
    }
    result.customers += bool(decisions or seen)
    result.funnel.add_customer(decisions.values(), outcomes)
    result.lift.add_customer(decisions.values(), sorted(bought))
    result.payroll.add_customer(transactions)


def _add_event(result: Outcomes, record: Any, topic: str, seen: set[tuple[str, str]]) -> None:
    """Counts an event once, however often it stands there."""
    if (topic, record.event_id) not in seen:
        seen.add((topic, record.event_id))
        result.events[topic] += in_range(to_ms(record.occurred_at), result.options.since_ms, result.until_ms)


def as_json(result: Outcomes) -> dict[str, Any]:
    """Everything that was summed up, with the definitions it goes by. The same records give the same text."""
    options, funnel, payroll = result.options, result.funnel, result.payroll
    return {
        "tenant": result.tenant,
        "timezone": options.zone.key,
        "currency": options.currency,
        "since": _moment(options.since_ms),
        "until": _moment(result.until_ms),
        "customers": result.customers,
        "events": {topic: count for topic, count in sorted(result.events.items()) if count},
        "no_records": dict(sorted(result.rejected.items())),
        "funnel": {
            "events": result.events.total(),
            **asdict(funnel.total),
            **{
                f"by_{dimension}": {name: asdict(row) for name, row in sorted(funnel.by[dimension].items())}
                for dimension in DIMENSIONS
            },
        },
        "not_sent": _reasons(funnel.not_sent),
        "lift": {
            "bought": "a product or a purchase booked, not reversed, whatever led to it",
            "within_days": options.within_days,
            "confidence": options.confidence,
            "interval": "Newcombe's hybrid score interval of the difference of two shares (Wilson)",
            "bank": _lift(result.lift.bank, options.confidence),
            "by_trigger": {
                trigger: _lift(groups, options.confidence) for trigger, groups in sorted(result.lift.triggers.items())
            },
        },
        "payroll": {
            "kept_days": options.kept_days,
            "salaries_in_other_currencies": payroll.other_currencies,
            "by_month": {name: _month(payroll, name) for name in sorted(payroll.months)},
        },
    }


def _reasons(counts: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    by_reason: Counter[str] = Counter()
    by_trigger: dict[str, dict[str, int]] = {}
    for (trigger, reason), count in sorted(counts.items()):
        by_reason[reason] += count
        by_trigger.setdefault(trigger, {})[reason] = count
    return {"total": by_reason.total(), "by_reason": dict(sorted(by_reason.items())), "by_trigger": by_trigger}


def _lift(groups: Groups, confidence: float) -> dict[str, Any]:
    found = compare(groups, confidence)
    shares: Mapping[str, float | None] = (
        dict.fromkeys(("contacted_share", "held_out_share", "difference", "low", "high"))
        if found is None
        else {
            "contacted_share": round(found.contacted, 6),
            "held_out_share": round(found.held_out, 6),
            "difference": round(found.difference, 6),
            "low": round(found.low, 6),
            "high": round(found.high, 6),
        }
    )
    return {**asdict(groups), **shares, "verdict": verdict(groups, found)}


def _month(payroll: Payroll, name: str) -> dict[str, Any]:
    month = payroll.months[name]
    next_is_over = payroll.next_is_over(name)
    return {
        "customers": month.customers,
        "came_back": month.came_back if next_is_over else None,
        "came_back_share": round(month.came_back / month.customers, 6) if next_is_over else None,
        "salaries": month.salaries,
        "paid": f"{month.paid:f}",
        "kept": f"{month.kept:f}",
        "kept_share": round(float(month.kept / month.paid), 6) if month.paid else None,
    }


def _moment(ms: int | None) -> str | None:
    return None if ms is None else from_ms(ms).isoformat().replace("+00:00", "Z")
