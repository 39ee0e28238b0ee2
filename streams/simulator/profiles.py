"""What the CRM of the simulated bank knows of its customers, and what changes of it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from schemas.events import Profile
from streams.simulator.customers import Customer
from streams.simulator.desks import branch_of, manager_of
from streams.simulator.records import DAY_MS, MINUTE_MS, START_MS, BankRecord, bank_record, day_of, moment

_CHANNELS: Final = ("push", "sms", "wechat", "email", "manager")
_SEGMENTS: Final = {"merchant": "merchant", "owner": "business_owner", "pensioner": "senior", "quiet": "farmer"}
"""The segment of a story; who is paid a salary is of the payroll."""
_TIERS: Final = {"drop": ("mid", "high"), "wealthy": ("high",), "owner": ("private",), "small": ("potential",)}
_YEARS: Final = {"pensioner": (60, 80), "small": (20, 50)}


def tell_profile(
    customer: Customer, days: int, tenant: str, random: Random, next_id: Callable[[], str]
) -> list[BankRecord]:
    """The profile at the start, and now and then a later one: a consent given or taken back, another tier."""
    facts = _facts(customer, random)
    told = [_profile(customer, 1, START_MS, START_MS, facts, tenant, next_id)]
    if random.random() < 0.15:
        at_ms = START_MS + random.randrange(DAY_MS, max(2, days) * DAY_MS)
        changed = {
            "tier": random.choice(("effective", "mid", "high")),
            "consents": {name: random.random() < 0.7 for name in _CHANNELS},
            "app_user": True,
        }
        arrives = at_ms + random.randrange(MINUTE_MS)
        told.append(_profile(customer, 2, at_ms, arrives, facts | changed, tenant, next_id))
    return told


def _facts(customer: Customer, random: Random) -> dict[str, Any]:
    """Few are employees or want no advertising; consents differ; much is not known of everybody."""
    story = customer.story
    youngest, oldest = _YEARS.get(story, (20, 54))
    wealthy = story in ("wealthy", "owner")
    return {
        "tier": random.choice(_TIERS.get(story, ("potential", "effective", "effective", "mid"))),
        "birth_date": day_of(-random.randrange(youngest * 365 + 20, oldest * 365)),
        "sex": random.choice(("female", "male", None)),
        "district": random.choice(("Pudong", "Xuhui", "Minhang")),
        "branch_id": branch_of(customer.number),
        "manager_id": manager_of(customer.number) if wealthy or story == "drop" or random.random() < 0.3 else None,
        "segments": (_SEGMENTS.get(story, "payroll"),),
        "employee": random.random() < 0.03,
        "blacklisted": random.random() < 0.03,
        "consents": {name: random.random() < 0.85 for name in _CHANNELS if random.random() < 0.9},
        "app_user": random.random() < (0.3 if story == "pensioner" else 0.8),
        "mobile_valid": random.random() < 0.95,
        "mobile_pay_user": random.choice((True, True, None)),
        "online_wealth_user": random.choice((True, True, None, None, False)),
        "branch_visits_per_month": random.choice((0, 0, 0, 0, 1, 1, 2, None)),
        "completeness": random.choice(("0.45", "0.6", "0.8", "1", None)),
        "wealth_elsewhere": random.randrange(1_600_000, 4_000_000) if story == "wealthy" else None,
    }


def _profile(
    customer: Customer,
    sequence: int,
    at_ms: int,
    arrives_ms: int,
    facts: dict[str, Any],
    tenant: str,
    next_id: Callable[[], str],
) -> BankRecord:
    profile = Profile.model_validate(
        {
            "tenant": tenant,
            "event_id": next_id(),
            "occurred_at": moment(at_ms),
            "customer_id": customer.id,
            "sequence": sequence,
            **facts,
        }
    )
    return bank_record("bank.profiles", profile, arrives_ms)
