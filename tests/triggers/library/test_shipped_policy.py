"""The policy and the tiers that ship, as candidates of several kinds meet them: seasons, aims, edges that move."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from schemas.decisions import Decision
from schemas.desk import DeskStep
from tests.support.bank import Customer, actions, profile, transaction
from triggers.language.loader import load_documents

LIBRARY = Path(__file__).parents[3] / "triggers" / "library"
BESIDE = {path.name: path.read_text("utf-8") for path in LIBRARY.glob("*.yaml")}
TRIGGER = """\
trigger: {name}
version: 1
title: Any transaction
owner: tests
status: live
on: transaction
action:
  offer: retention_call
  category: {category}
  complexity: medium
  priority: 50
  expires: 48h
  ladder: [push]
tests:
  - name: fires
    events: [{{at: "2026-03-02 10:00", transaction: {{amount: 1}}}}]
    expect: [{{at: "2026-03-02 10:00"}}]
  - {{name: silent, events: [], expect: []}}
"""
CATEGORIES = ("activation", "corporate", "growth", "maturity", "referral", "retention", "service")
TIERS = {"effective": 20_000, "mid": 60_000, "high": 600_000, "private": 7_000_000}


def _customer(categories: tuple[str, ...], **changes: tuple[str, str]) -> Customer:
    """A customer under the files that ship, with one trigger of the same priority for each category."""
    files = dict(BESIDE)
    for name, (old, new) in changes.items():
        assert old in files[f"{name}.yaml"]
        files[f"{name}.yaml"] = files[f"{name}.yaml"].replace(old, new)
    for category in categories:
        name = f"of_{category}"
        files[f"{name}.yaml"] = TRIGGER.format(name=name, category=category)
    # Nobody is drawn into the holdout: whom the salt draws says nothing of the scores.
    files["policy.yaml"] = files["policy.yaml"].replace("percent: 5", "percent: 0")
    loaded = load_documents(files)
    assert loaded.ruleset is not None, [str(problem) for problem in loaded.errors]
    return Customer(loaded.ruleset)


def _scores(balance: int, month: int) -> dict[str, float]:
    """Each category's score at a transaction of a customer with this balance, on the 12th of a month of 2026."""
    outputs = _customer(CATEGORIES).feed(
        transaction("t1", 1, 1, balance, occurred_at=datetime.fromisoformat(f"2026-{month:02d}-12T11:00:00+08:00"))
    )
    decided = [output for output in outputs if isinstance(output, Decision)]
    assert {output.reason for output in decided} == {"sent", "outranked"}
    return {output.trigger.removeprefix("of_"): float(output.detail["score"]) for output in decided}


@pytest.mark.parametrize(
    ("months", "lifted"),
    [
        ((1, 2, 3), {"retention", "maturity"}),
        ((4, 5, 6), {"growth", "activation"}),
        ((7, 8, 9), {"service"}),
        ((10, 11, 12), {"growth", "maturity"}),
    ],
    ids=["stock", "acquire", "experience", "uplift"],
)
def test_each_quarter_lifts_its_own(months: tuple[int, ...], lifted: set[str]) -> None:
    """In every month of it: the stock, new business, the experience, the uplift (R19)."""
    for month in months:
        assert {name for name, score in _scores(TIERS["effective"], month).items() if score > 50} == lifted


@pytest.mark.parametrize(
    ("tier", "aims"),
    [
        ("effective", set()),
        ("mid", {"retention"}),
        ("high", {"retention", "growth", "referral"}),
        ("private", {"corporate"}),
    ],
)
def test_each_tier_has_its_aims(tier: str, aims: set[str]) -> None:
    """Mid: that nobody leaves. High: that, recommendations and a larger share. Private: the firm (R17)."""
    usual, found = _scores(TIERS["effective"], 8), _scores(TIERS[tier], 8)
    assert {name for name in CATEGORIES if found[name] > usual[name]} == aims


def test_a_bank_moves_an_edge() -> None:
    """One that calls customers effective from 20,000 on changes one number (R1)."""
    moved = _customer(("growth",), tiers=("effective: 10000", "effective: 20000"))
    usual = _customer(("growth",))
    for customer, tier in ((moved, "potential"), (usual, "effective")):
        outputs = customer.feed(
            transaction("t1", 1, 1, 19_999, occurred_at=datetime.fromisoformat("2026-03-12T11:00:00+08:00"))
        )
        assert [output.tier for output in outputs if isinstance(output, Decision)] == [tier]


def test_a_cap_over_all_triggers_holds() -> None:
    """Three contacts in seven days, whatever they are about: the fourth is held back."""
    customer = _customer(("growth",))
    begin = datetime.fromisoformat("2026-03-09T11:00:00+08:00")
    sent = [
        len(actions(customer.feed(transaction(f"t{day}", day + 1, 1, 100, occurred_at=begin + timedelta(days=day)))))
        for day in (0, 1, 2, 3, 7)
    ]
    assert sent == [1, 1, 1, 0, 1]


def test_a_handover_reaches_the_held_out() -> None:
    """What is owed to everybody is no part of the measurement: with all held out, managers are asked to call."""
    for category, sent in (("desk", True), ("service", False)):
        policy = BESIDE["policy.yaml"].replace("percent: 5", "percent: 100")
        call = (
            (LIBRARY / "desk" / "handover_call.yaml")
            .read_text("utf-8")
            .replace("category: desk", f"category: {category}")
        )
        loaded = load_documents({**BESIDE, "policy.yaml": policy, "handover_call.yaml": call})
        assert loaded.ruleset is not None, [str(problem) for problem in loaded.errors]
        customer = Customer(loaded.ruleset)
        customer.feed(profile("p1", 1, manager_id="V1", branch_id="B1"))
        outputs = customer.feed(_call_step())
        assert [one.offer for one in actions(outputs)] == (["handover_call"] if sent else [])


def _call_step() -> DeskStep:
    """The new manager is to call."""
    about = {"pool": "B1", "number": 1, "step": "call", "desk": "vip", "manager_id": "V1"}
    common = {"tenant": "bank", "event_id": "d1", "occurred_at": "2026-04-15T11:00:00+08:00", "customer_id": "c1"}
    return DeskStep.model_validate(common | about)
