"""What counts as a candidate: what a trigger of the rules was about."""

from __future__ import annotations

from dataclasses import asdict
from zoneinfo import ZoneInfo

from schemas.base import to_ms
from schemas.decisions import Decision
from tests.support.bank import Customer, at, transaction
from tests.support.rules import ruleset, trigger
from triggers.casework.funnel import Funnel
from triggers.casework.lift import Lift


def test_what_desks_did_is_no_candidate() -> None:
    """Their decisions stand on the same topic, under no version of a trigger; they move no number."""
    customer = Customer(ruleset(trigger("any")))
    customer.feed(transaction("t1", 1, -5, 10))
    (sent,) = [one for one in customer.outputs if isinstance(one, Decision)]
    desk = sent.model_copy(
        update={
            "decision_id": "d",
            "trigger": "assignment",
            "trigger_version": 0,
            "occasion": "x",
            "decided_at": at(-1),
        }
    )
    totals = []
    for decisions in ([sent], [desk, sent]):
        funnel, lift = Funnel(ZoneInfo("Asia/Shanghai")), Lift(1, to_ms(at(9)))
        funnel.add_customer(decisions, {})
        lift.add_customer(decisions, [])
        totals.append((asdict(funnel.total), funnel.by, asdict(lift.bank), set(lift.triggers)))
    assert totals[0] == totals[1]
    assert totals[0][0]["sent"] == 1
