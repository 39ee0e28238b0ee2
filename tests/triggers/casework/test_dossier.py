"""What is on record of a customer, laid out by candidate, whatever the order in which it was read."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from schemas.base import Record, to_ms
from tests.support.bank import START, Customer, actions, at, feedback, transaction
from tests.support.desk_world import DAY_MS, POOL, DeskWorld
from tests.support.rules import DAY, NO_LIMITS, ruleset, trigger
from triggers.casework.dossier import Dossier, candidacy_json, considered_at, tell
from triggers.language.model import Cap, Quiet, Step

ZONE = ZoneInfo("Asia/Shanghai")
LADDER = (Step("push"), Step("sms", after_ms=2 * DAY, unless="opened"))
EVENING = datetime(2026, 3, 5, 22, 30, tzinfo=ZONE)


def history() -> tuple[list[Record], list[Any]]:
    """A ladder that is answered and reversed, one that waits for the morning, one that a cap holds back."""
    rules = ruleset(
        trigger("large", lambda scope: scope.event.amount >= 500, ladder=LADDER, priority=90),
        trigger("any", lambda scope: scope.event.direction == "debit", "event.direction", priority=10, once_per_ms=DAY),
        policy=replace(
            NO_LIMITS,
            caps=(Cap(at_most=2, per_ms=30 * DAY),),
            quiet=(Quiet(frozenset({"push"}), 21 * 60, 8 * 60),),
        ),
    )
    customer = Customer(rules)
    (sent,) = actions(customer.feed(transaction("t1", 1, -600, 900)))
    told = feedback("f1", sent, "opened", occurred_at=at(0.5))
    stray = feedback("f2", sent, "delivered", occurred_at=at(0.6)).model_copy(update={"action_id": "nobody-knows-it"})
    for record in (told, stray):
        customer.feed(record)
    customer.feed(transaction("t2", 2, 600, 1500, occurred_at=at(1), reversal_of="t1"))
    customer.run_to(at(3))
    customer.feed(transaction("t3", 3, -100, 1400, occurred_at=EVENING))
    customer.run_to(at(5))
    customer.feed(transaction("t4", 4, -800, 600, occurred_at=at(6)))
    customer.run_to(at(20))
    return customer.outputs, [told, stray]


def dossier_of(records: list[Any], **more: Any) -> Dossier:
    dossier = Dossier(**more)
    for record in records:
        dossier.add(record)
    return dossier


def test_each_candidate_is_told_with_all_that_became_of_it() -> None:
    """Sent, outranked, answered, withdrawn, put off and held back: in the order of time, each with what decided it."""
    outputs, told = history()
    dossier = dossier_of([*outputs, *told])
    text = "\n".join(line for one in dossier.close() for line in tell(one, {}, ZONE))
    assert (
        text
        == """\
2026-03-02 10:00  any
  occasion transaction:t1; version 1, rule set rules
  2026-03-02 10:00  not sent on push: another candidate ranked higher (outranked)\
  [score = 10, winner = large, winner_score = 90]
2026-03-02 10:00  large
  occasion transaction:t1; version 1, rule set rules
  2026-03-02 10:00  sent by push: offer offer_large, until 2026-03-04 10:00  [score = 90]
  2026-03-02 22:00  came back from push: opened
  2026-03-03 10:00  taken back: the transaction behind it was reversed (reversed)
  2026-03-03 10:00  withdrawn from push: the transaction behind it was reversed (reversed, by t2)
2026-03-05 22:30  any
  occasion transaction:t3; version 1, rule set rules
  2026-03-05 22:30  put off on push: it came in the quiet hours, or on a quiet day, of its channel (quiet_hours)\
  [channel = push, hour = 22:30, until = 2026-03-06 08:00]
  2026-03-06 08:00  sent by push: offer offer_any, until 2026-03-07 22:30
2026-03-08 10:00  any
  occasion transaction:t4; version 1, rule set rules
  2026-03-08 10:00  not sent on push: the customer has had as many contacts as a cap allows (capped)\
  [score = 10, cap = 2, per = 30d]
2026-03-08 10:00  large
  occasion transaction:t4; version 1, rule set rules
  2026-03-08 10:00  not sent on push: the customer has had as many contacts as a cap allows (capped)\
  [score = 90, cap = 2, per = 30d]"""
    )
    assert [stray.action_id for stray in dossier.strays] == ["nobody-knows-it"]


def test_order_and_repeats_change_nothing() -> None:
    """Topics are read side by side, and a record may stand twice."""
    outputs, told = history()
    records = [*outputs, *told]
    expected = [candidacy_json(one, {}) for one in dossier_of(records).close()]
    for seed in range(20):
        mixed = records + records[::3]
        random.Random(seed).shuffle(mixed)
        assert [candidacy_json(one, {}) for one in dossier_of(mixed).close()] == expected
    assert sum(len(one["decisions"]) for one in expected) == 7
    assert expected[0]["decisions"][0]["meaning"] == "another candidate ranked higher"


def test_a_choice_of_candidates() -> None:
    """By trigger, from a time on, and at a time or the last before it."""
    outputs, told = history()
    of_large = dossier_of([*outputs, *told], trigger="large")
    assert [one.trigger for one in of_large.close()] == ["large", "large"]
    assert of_large.strays == []
    since = dossier_of([*outputs, *told], since_ms=to_ms(at(4))).close()
    assert {one.occasion for one in since} == {"transaction:t4"}
    everything = dossier_of([*outputs, *told]).close()
    assert {one.occasion for one in considered_at(everything, to_ms(at(4)))} == {"transaction:t3"}
    assert considered_at(everything, to_ms(START) - 1) == []


def test_what_is_kept_is_bounded_and_the_newest() -> None:
    """However much there is; how much was left out is said."""
    rules = ruleset(trigger("any", value=lambda _: Decimal(1)), policy=replace(NO_LIMITS, caps=()))
    customer = Customer(rules)
    for number in range(50):
        customer.feed(transaction(f"t{number}", number, -1, 1000 - number, occurred_at=at(number)))
    dossier = dossier_of(customer.outputs, most=10)
    assert [one.occasion for one in dossier.close()] == [f"transaction:t{number}" for number in range(40, 50)]
    assert dossier.left_out == 40


def test_an_action_without_its_decision_is_told_as_such() -> None:
    """Somebody else may have dropped one of the records; that is no reason to be silent."""
    outputs, _ = history()
    (found,) = dossier_of([actions(outputs)[0]]).close()
    assert tell(found, {}, ZONE)[2].endswith("its decision is not among these records")


def test_what_desks_do_with_a_customer_is_told_as_well() -> None:
    """A request goes out by a channel; what the desk does itself by none. Each says what it means."""
    world = DeskWorld()
    world.manager("V1", "vip")
    world.manager("M1")
    world.stands("C1", "counter")
    world.deliver()
    world.stands("C1", "vip")
    world.advance(DAY_MS)
    (request,) = world.requests()
    world.advance(1)
    world.answer(request.action_id, "C1", "approved")
    lines = [line for one in dossier_of(world.outputs).close() for line in tell(one, {}, ZONE)]
    said = [line for line in lines if line.startswith("  2026")]
    room = "desk = counter, room = 2"
    assert said[0].endswith(f"  the customer has a manager now (assigned)  [pool = {POOL}, manager_id = M1, {room}]")
    asked = "for approval (handover_approval), sent by manager: offer handover_approval, until 2026-03-07 08:00"
    assert said[1].endswith(f"{asked}  [pool = {POOL}, manager_id = V1, desk = vip]")
    assert "a person approved the handover: the customer has the new manager now (approved)  [" in said[2]
    assert len(said) == 3
