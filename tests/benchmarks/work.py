"""The work of the benchmarks: a bank's transactions, the same for every contender, from a seed."""

from __future__ import annotations

import json
import platform
import random
import sysconfig
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from os import cpu_count
from pathlib import Path
from typing import Final

from tests.support.system import Event

TOPIC: Final = "bank.transactions"
PROFILES: Final = "bank.profiles"
MATURITIES: Final = "bank.maturities"
RULES: Final = Path(__file__).parent / "rules"
"""Ten frozen triggers with their policy."""
SURROUNDINGS: Final = (
    "Kafka (one broker with Java's first compiler and serial collector alone, to start quickly: see the levers;\n"
    "one replica of each topic), Redis and all that is measured are on the same machine"
)
"""Where a mode runs that has them."""
_START: Final = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)


def machine() -> str:
    """What the figures were measured on."""
    facts = [f"{cpu_count()} cores", _first("/proc/cpuinfo", "model name"), _first("/proc/meminfo", "MemTotal")]
    return ", ".join([*filter(None, facts), interpreter(), platform.platform()])


def interpreter() -> str:
    """The Python that ran, and how it was built: guided by a profile it is a fifth faster."""
    if "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS")):
        built = "built with --enable-optimizations"
    elif "deb_system" in sysconfig.get_scheme_names():
        # Its packaging runs make profile-opt itself and leaves no trace of it in the configuration.
        built = "Debian's build, guided by a profile"
    else:
        built = "built without --enable-optimizations"
    return f"{platform.python_implementation()} {platform.python_version()} ({built}; {platform.python_compiler()})"


def _first(path: str, name: str) -> str:
    """What the kernel (Linux) says under a name; empty where it says nothing."""
    if not Path(path).exists():
        return ""
    lines = Path(path).read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def profiles(customers: int, first: int = 0) -> Iterator[Event]:
    """A profile for each customer, so that rules on tiers have something to read. Their numbers begin at ``first``."""
    for who in range(customers):
        number = first + who
        body = {
            "tenant": "bank",
            "event_id": f"p{number}",
            "occurred_at": _START.isoformat(),
            "customer_id": f"C{number:07d}",
            "sequence": 1,
            "tier": ("mid", "high", "effective", "potential")[who % 4],
            "consents": {"sms": True},
        }
        yield Event(PROFILES, str(body["customer_id"]).encode(), json.dumps(body).encode())


def holdings(customers: int, first: int = 0) -> Iterator[Event]:
    """A deposit that falls due within the work's two months, for every fourth customer."""
    for who in range(0, customers, 4):
        number = first + who
        body = {
            "tenant": "bank",
            "event_id": f"m{number}",
            "occurred_at": _START.isoformat(),
            "customer_id": f"C{number:07d}",
            "holding_id": f"H{number:07d}",
            "sequence": 1,
            "status": "purchased",
            "product_id": "deposit-90",
            "product_kind": "deposit",
            "amount": "50000.00",
            "currency": "CNY",
            "term_days": 90,
            "purchased_on": "2025-12-01",
            "matures_on": f"{_START.date() + timedelta(days=10 + who % 50)}",
        }
        yield Event(MATURITIES, str(body["customer_id"]).encode(), json.dumps(body).encode())


def transactions(
    events: int, customers: int, seed: int = 1, *, of: int | None = None, first: int = 0
) -> Iterator[Event]:
    """Card payments, transfers and salaries of random customers, in order of time, of about 280 bytes each.

    They fill two months; the first ``events`` of them where ``of`` says how many do. Customers whose numbers begin
    elsewhere do the same, under other ids.
    """
    rng = random.Random(seed)
    balances = [rng.randint(1_000, 200_000) for _ in range(customers)]
    sequences = [0] * customers
    step = timedelta(days=60) / (of or events)
    series = f"t{first}-" if first else "t"
    for number in range(events):
        who = rng.randrange(customers)
        kind = rng.choices(("card", "transfer", "salary"), (80, 15, 5))[0]
        amount = rng.randint(5, 800) if kind == "card" else rng.randint(500, 30_000)
        credit = kind == "salary" or (kind == "transfer" and rng.random() < 0.5)
        balances[who] += amount if credit else -amount
        sequences[who] += 1
        body = {
            "tenant": "bank",
            "event_id": f"{series}{number:09d}",
            "occurred_at": (_START + step * number).isoformat(timespec="milliseconds"),
            "customer_id": f"C{first + who:07d}",
            "account_id": f"A{first + who:07d}",
            "sequence": sequences[who],
            "direction": "credit" if credit else "debit",
            "amount": f"{amount}.00",
            "currency": "CNY",
            "balance_after": f"{balances[who]}.00",
            "kind": kind,
        }
        yield Event(TOPIC, str(body["customer_id"]).encode(), json.dumps(body).encode())
