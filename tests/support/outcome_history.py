"""What a made-up bank's contacts came to: events, decisions and feedback of some hundred customers, for reports.

The engine decides, under caps, quiet hours, a ladder and a holdout; the customers answer and buy by lot, the same for
the same seed. Some events are reversed, some records stand twice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from schemas.actions import NextBestAction
from schemas.base import Record
from schemas.decisions import Decision
from schemas.encode import encode
from streams.event_file import format_event
from tests.support.bank import START, feedback, maturity, profile, transaction
from tests.support.rules import DAY, NO_LIMITS, ruleset, trigger
from triggers.engine.customer import CustomerStage
from triggers.language.model import Cap, Goal, Holdout, OnEvent, Quiet, Step

TOPIC_OF = {"transaction": "bank.transactions", "maturity": "bank.maturities", "profile": "bank.profiles"} | {
    "feedback": "bank.feedback",
    "behaviour": "bank.behaviour",
}
RULES = ruleset(
    trigger(
        "payday",
        lambda scope: scope.event.kind == "salary",
        ladder=(Step("push"), Step("sms", after_ms=2 * DAY, unless="opened")),
        priority=80,
        once_per_ms=20 * DAY,
    ),
    trigger(
        "spending",
        lambda scope: scope.event.amount >= 300,
        priority=40,
        goal=Goal((OnEvent("transaction", "purchase"),)),
    ),
    trigger("quietly", status="shadow"),
    # Owed to everybody, also to those held out.
    trigger("owed", on=(OnEvent("maturity", "purchased"),), category="desk", priority=90),
    policy=replace(
        NO_LIMITS,
        caps=(Cap(at_most=3, per_ms=7 * DAY),),
        quiet=(Quiet(frozenset({"push", "sms"}), 21 * 60, 8 * 60),),
        holdout=Holdout("salt", 20, {"spending": 25}, frozenset({"desk"})),
    ),
    name="rules-1",
)
DAYS = 120


def write_history(folder: Path, customers: int = 150, seed: int = 5) -> None:
    """``out.jsonl`` has the decisions, as the command prints them, ``in.jsonl`` the events."""
    rng = random.Random(seed)
    came_in: list[Any] = []
    went_out: list[Record] = []
    for number in range(customers):
        events, outputs = _customer(rng, f"c{number}")
        came_in += events
        went_out += [one for one in outputs if isinstance(one, Decision)]
    came_in += rng.sample(came_in, len(came_in) // 20)
    went_out += rng.sample(went_out, len(went_out) // 20)
    rng.shuffle(came_in)
    rng.shuffle(went_out)
    (folder / "out.jsonl").write_bytes(b"".join(encode(one) + b"\n" for one in went_out))
    with (folder / "in.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(
            format_event(TOPIC_OF[one.record_type], one.customer_id, encode(one).decode()) for one in came_in
        )


def _customer(rng: random.Random, name: str) -> tuple[list[Any], list[Record]]:
    stage = CustomerStage("bank")
    state = stage.fresh(name)
    waiting = sorted(_life(rng, name), key=lambda one: one.occurred_at)
    events, outputs = [], []
    while waiting:
        event = waiting.pop(0)
        events.append(event)
        outcome = stage.process(event, state, RULES, None)
        for output in outcome.outputs if outcome is not None else ():
            outputs.append(output)
            if isinstance(output, NextBestAction):
                waiting += _answers(rng, output, len(outputs))
                waiting.sort(key=lambda one: one.occurred_at)
    return events, outputs


def _answers(rng: random.Random, action: NextBestAction, number: int) -> Iterator[Any]:
    at = action.created_at
    for chance, outcome in ((0.9, "delivered"), (0.5, "opened"), (0.3, "clicked"), (0.2, "bought"), (0.05, "refused")):
        if rng.random() > chance:
            continue
        at += timedelta(minutes=rng.randrange(1, 600))
        name = f"f-{action.customer_id}-{number}-{outcome}"
        yield feedback(name, action, outcome, occurred_at=at)


def _life(rng: random.Random, name: str) -> Iterator[Any]:
    balance, sequence = Decimal(rng.randrange(500, 5_000)), 0
    yield profile(f"p-{name}", 1, customer_id=name, tier=rng.choice(["mid", "high"]), occurred_at=START)
    moves: list[tuple[datetime, int, str]] = []
    begins = rng.choice([0, 0, 0, 0, 85])
    payday, leaves = begins + rng.randrange(25), rng.choice([30, 70, 500])
    moves += [(_moment(rng, day), 2_000, "salary") for day in range(payday, min(DAYS, leaves), 30)]
    moves += [(_moment(rng, day + 9), 900, "salary") for day in range(payday, DAYS, 60)]
    moves += [(_moment(rng, rng.randrange(begins, DAYS)), -rng.randrange(20, 700), "card") for _ in range(25)]
    moves += [(_moment(rng, rng.randrange(DAYS)), -500, "purchase") for _ in range(rng.randrange(3))]
    for at, amount, kind in sorted(moves):
        sequence += 1
        balance += amount
        common = {"customer_id": name, "account_id": f"a-{name}"}
        currency = "USD" if kind == "salary" and rng.random() < 0.03 else "CNY"
        event_id = f"t-{name}-{sequence}"
        yield transaction(event_id, sequence, amount, balance, occurred_at=at, kind=kind, currency=currency, **common)
        if rng.random() < (0.4 if kind == "purchase" else 0.05):
            sequence += 1
            balance -= amount
            later = at + timedelta(minutes=rng.randrange(1, 30))
            yield transaction(
                f"{event_id}-r", sequence, -amount, balance, occurred_at=later, reversal_of=event_id, **common
            )
    for number in range(rng.choice([0, 0, 1, 2])):
        at = _moment(rng, rng.choice([0, rng.randrange(DAYS)]))
        due = date(2027, 1, 1)
        holding = {"customer_id": name, "holding_id": f"h-{name}-{number}"}
        yield maturity(f"m-{name}-{number}", 1, "purchased", due, occurred_at=at, **holding)
        if rng.random() < 0.3:
            later = at + timedelta(days=3)
            yield maturity(f"m-{name}-{number}-c", 2, "corrected", due, occurred_at=later, **holding)


def _moment(rng: random.Random, day: int) -> datetime:
    return START + timedelta(days=day, seconds=rng.randrange(86_400))
