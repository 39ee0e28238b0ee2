"""The desk stage alone: who gets which manager, what waits, what is handed over, recalled and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

import triggers
from schemas.dead_letter import Reason
from schemas.decisions import Decision
from schemas.desk import DeskStep
from tests.support.desk_world import DAY_MS, HOUR_MS, POOL, START_MS, DeskWorld, desk_rules
from triggers.desk.records import is_request_id
from triggers.engine.stage import UnreadableState

LIBRARY: Final = Path(triggers.__file__).parent / "library"


def test_a_customer_without_a_manager_goes_to_the_one_with_most_room() -> None:
    """Of the owning desk alone; of equals to the first by name (R34)."""
    world = DeskWorld()
    world.manager("M2")
    world.manager("M1")
    world.manager("V1", "vip")
    for customer in ("C1", "C2", "C3"):
        world.stands(customer, "counter")
    assert world.steps() == [("assigned", "M1"), ("assigned", "M2"), ("assigned", "M1")]
    assert world.decisions() == [("sent", "assigned")] * 3


def test_nobody_has_more_customers_than_the_rules_and_the_bank_allow() -> None:
    """Three by the rules, two by the bank: the third waits, and that is on record (R35)."""
    world = DeskWorld()
    world.manager("M1", capacity=2)
    for customer in ("C1", "C2", "C3"):
        world.stands(customer, "counter")
    assert world.steps() == [("assigned", "M1"), ("assigned", "M1")]
    assert world.decisions("C3") == [("deferred", "no_capacity")]
    world.stands("C3", "counter")
    assert world.decisions("C3") == [("deferred", "no_capacity")]
    world.manager("M1", capacity=1000)
    assert world.decisions("C3") == [("deferred", "no_capacity"), ("sent", "assigned")]
    world.stands("C4", "counter")
    assert world.decisions("C4") == [("deferred", "no_capacity")]


def test_who_waits_is_served_in_turn_when_somebody_leaves() -> None:
    """The longest waiting first."""
    world = DeskWorld()
    world.manager("M1", capacity=1)
    for customer in ("C1", "C9", "C2"):
        world.stands(customer, "counter")
        world.advance(HOUR_MS)
    world.deliver()
    world.tell("C1", left=True)
    assert world.steps("C9") == [("assigned", "M1")]
    assert world.steps("C2") == []


def test_a_customer_of_no_desk_needs_no_manager() -> None:
    """Who falls below it while waiting waits no more."""
    world = DeskWorld()
    world.stands("C1")
    assert world.outputs == []
    world.stands("C2", "counter")
    world.people["C2"].desk = None
    world.tell("C2")
    world.manager("M1")
    assert world.steps() == []


def test_repeated_and_overtaken_standings_assign_nobody_twice() -> None:
    """A repeat, and a standing from before the customer heard of the step, say nothing of the manager."""
    world = DeskWorld()
    world.manager("M1")
    world.manager("M2")
    first = world.stands("C1", "counter")
    world.feed(first)
    world.stands("C1", contacted=START_MS)
    assert world.steps() == [("assigned", "M1")]
    world.deliver()
    assert world.people["C1"].manager == "M1"
    world.feed(first)
    assert world.steps() == [("assigned", "M1")]
    assert world.pool.loads["M1"] == 1


def test_the_bank_has_the_last_word() -> None:
    """A manager whom the bank names counts, whatever the desk had decided; the place of the other is free again."""
    world = DeskWorld()
    world.manager("M1", capacity=1)
    world.manager("M2", capacity=1)
    world.stands("C1", "counter")
    assert world.steps("C1") == [("assigned", "M1")]
    world.people["C1"].manager = "M2"  # before the step is heard
    world.tell("C1")
    assert world.pool.loads == {"M1": 1}
    world.deliver()
    assert world.pool.loads["M1"] == 0
    assert world.pool.loads["M2"] == 1
    world.stands("C2", "counter")
    assert world.steps("C2") == [("assigned", "M1")]


def test_who_left_the_branch_is_not_brought_back_by_a_repeat() -> None:
    """And takes no place any more."""
    world = DeskWorld()
    world.manager("M1", capacity=1)
    first = world.stands("C1", "counter")
    world.deliver()
    world.tell("C1", left=True)
    world.feed(first)
    assert world.pool.state.clients == {}
    world.stands("C2", "counter")
    assert world.steps("C2") == [("assigned", "M1")]


def test_an_overload_in_the_bank_s_data_is_reported_once_until_it_is_over() -> None:
    """At four of three, not at three; again when it comes again (R35)."""
    world = DeskWorld()
    world.manager("M1")
    for number in range(3):
        world.stands(f"C{number}", "counter", manager="M1")
    assert world.reports() == []
    world.stands("C3", "counter", manager="M1")
    world.stands("C4", "counter", manager="M1")
    (report,) = world.reports()
    assert (report.kind, report.manager_id, report.customers, report.capacity) == ("overload", "M1", 4, 3)
    world.tell("C3", left=True)
    world.tell("C4", left=True)
    world.stands("C5", "counter", manager="M1")
    assert [report.kind for report in world.reports()] == ["overload", "overload"]


def test_the_customers_of_a_manager_who_is_gone_are_assigned_anew() -> None:
    """With the former manager named; those for whom there is no room wait."""
    world = DeskWorld()
    world.manager("M1")
    world.manager("M2", capacity=1)
    for customer in ("C1", "C2"):
        world.stands(customer, "counter", manager="M1")
    world.manager("M1", active=False)
    (step,) = [output for output in world.outputs if isinstance(output, DeskStep)]
    assert (step.step, step.manager_id, step.former_manager_id) == ("assigned", "M2", "M1")
    assert world.decisions("C2") == [("deferred", "no_capacity")]


# --- the handover (R6) ------------------------------------------------------------------------------------------------


def promoted() -> DeskWorld:
    """A customer of the counter whose tier has risen, on the last day before the review of 1 April."""
    world = DeskWorld()
    world.manager("M1")
    world.manager("V1", "vip")
    world.stands("C1", "counter", manager="M1")
    world.advance(30 * DAY_MS)
    world.stands("C1", "vip", contacted=world.now - 80 * DAY_MS)
    assert world.steps() == []
    return world


def test_a_promotion_is_asked_for_at_the_monthly_review() -> None:
    """Not before; once; the request names both managers and goes to the desk that is to take over."""
    world = promoted()
    world.advance(DAY_MS - 1)
    assert world.requests() == []
    world.advance(1)
    (request,) = world.requests()
    assert (request.channel, request.offer, request.desk) == ("manager", "handover_approval", "vip")
    assert (request.title["zh"], request.offer_title["zh"]) == ("客户移交待审批", "审批客户移交")
    people = {"manager": "V1", "former_manager": "M1"}
    assert request.fields == {"handover_id": request.action_id, "branch": POOL, **people}
    assert world.steps() == []
    assert is_request_id("bank", "C1", request.action_id)


def test_an_approved_handover_goes_its_way() -> None:
    """The former manager's message at once, the call an hour later; a conversation ends it."""
    world = promoted()
    world.advance(DAY_MS)
    (request,) = world.requests()
    answer = world.answer(request.action_id, "C1", "approved")
    world.feed(answer)
    assert world.steps("C1") == [("handed_over", "V1")]
    world.deliver()
    assert world.people["C1"].steps[-1].former_manager_id == "M1"
    world.advance(HOUR_MS)
    assert world.steps("C1") == [("handed_over", "V1"), ("call", "V1")]
    world.deliver()
    world.advance(40 * HOUR_MS)
    world.stands("C1", spoken=world.now)
    world.advance(10 * DAY_MS)
    assert world.decisions("C1") == [("sent", "handover_approval"), ("sent", "approved"), ("sent", "called")]
    assert world.pool.loads["V1"] == 1
    assert world.pool.loads["M1"] == 0


@pytest.mark.parametrize(("spoken", "missed"), [(-1, True), (0, False), (48 * HOUR_MS - 1, False), (None, True)])
def test_a_call_that_was_missed_goes_to_the_branch(spoken: int | None, missed: bool) -> None:
    """Within two days of the approval; a conversation before it does not count."""
    world = promoted()
    world.advance(DAY_MS)
    approved = world.now
    world.answer(world.requests()[0].action_id, "C1", "approved")
    world.deliver()
    if spoken is not None:
        world.advance(max(spoken, 0))
        world.stands("C1", spoken=approved + spoken)
    world.advance(approved + 48 * HOUR_MS - world.now)
    escalations = [request for request in world.requests() if request.channel == "branch"]
    assert (("suppressed", "call_missed") in world.decisions()) is missed
    assert len(escalations) == missed
    assert all(one.title["zh"] and one.offer_title["zh"] for one in escalations)
    assert all(one.offer == "handover_escalation" and one.manager_id == "V1" for one in escalations)
    assert all(is_request_id("bank", "C1", one.action_id) for one in escalations)


def test_a_talk_with_somebody_else_is_not_the_new_manager_s_call() -> None:
    """Whoever spoke with the agent or in the branch is still to be called."""
    world = promoted()
    world.advance(DAY_MS)
    world.answer(world.requests()[0].action_id, "C1", "approved")
    world.deliver()
    world.advance(HOUR_MS)
    world.stands("C1", contacted=world.now)
    assert world.decisions("C1")[-1] == ("sent", "approved")
    world.advance(DAY_MS)
    world.stands("C1", spoken=world.now)
    assert world.decisions("C1")[-1] == ("sent", "called")


@pytest.mark.parametrize(
    ("days", "hours", "by"),
    [
        (1, 0, "2026-04-03 08:00"),  # Wednesday: the Friday
        (2, 9, "2026-04-06 17:00"),  # Thursday afternoon: the Monday
        (3, 9, "2026-04-07 17:00"),  # Friday afternoon: the Tuesday
        (5, 9, "2026-04-08 00:00"),  # Sunday: the whole of Monday and Tuesday
    ],
)
def test_the_two_days_of_the_call_are_days_on_which_the_bank_is_open(days: int, hours: int, by: str) -> None:
    """Approved before or on a weekend, the call is not missed before anybody could have called."""
    world = promoted()
    world.advance(DAY_MS)  # Wednesday, 1 April, 08:00
    world.advance((days - 1) * DAY_MS + hours * HOUR_MS)
    world.answer(world.requests()[0].action_id, "C1", "approved")
    world.advance(10 * DAY_MS)
    (missed,) = [one for one in world.outputs if isinstance(one, Decision) and one.reason == "call_missed"]
    assert f"{missed.decided_at.astimezone(world.ruleset.policy.timezone):%Y-%m-%d %H:%M}" == by


@pytest.mark.parametrize(("answer", "reason"), [("rejected", "rejected"), (None, "no_answer")])
def test_without_approval_the_customer_stays(answer: str | None, reason: str) -> None:
    """The place is free again, and the next review asks again."""
    world = promoted()
    world.advance(DAY_MS)
    assert world.pool.loads["V1"] == 1
    if answer is not None:
        world.answer(world.requests()[0].action_id, "C1", answer)
    else:
        world.advance(5 * DAY_MS)
    assert world.decisions("C1")[-1] == ("suppressed", reason)
    assert world.pool.loads["V1"] == 0
    assert world.steps() == []
    world.answer(world.requests()[0].action_id, "C1", "approved")
    assert world.decisions("C1")[-1] == ("suppressed", "unknown_handover")
    world.stands("C1", contacted=world.now)
    world.advance(35 * DAY_MS)
    assert [request.offer for request in world.requests()] == ["handover_approval"] * 2


def test_without_room_at_the_higher_desk_a_promotion_waits() -> None:
    """And is asked for as soon as there is room."""
    world = promoted()
    for number in range(2):
        world.stands(f"V-{number}", "vip", manager="V1", contacted=world.now)
    world.advance(DAY_MS)
    assert world.decisions("C1") == [("deferred", "no_capacity")]
    world.tell("V-0", left=True)
    assert world.decisions("C1") == [("deferred", "no_capacity"), ("sent", "handover_approval")]


def test_the_place_of_a_handover_is_kept() -> None:
    """Nobody else gets it while approval is waited for; what the bank puts there itself counts."""
    world = promoted()
    world.stands("V-0", "vip", manager="V1", contacted=world.now)
    world.advance(DAY_MS)
    world.stands("C2", "vip")
    assert world.decisions("C2") == [("deferred", "no_capacity")]
    world.stands("V-1", "vip", manager="V1", contacted=world.now)
    world.answer(world.requests()[0].action_id, "C1", "approved")
    assert world.decisions("C1")[1:] == [("cancelled", "no_place"), ("deferred", "no_capacity")]
    assert world.steps() == []


def test_a_handover_ends_with_what_it_was_for() -> None:
    """The customer falls back, the bank moves them, or the new manager leaves."""
    for what, reason in (("fell", "no_longer_promoted"), ("moved", "overtaken"), ("gone", "manager_left")):
        world = promoted()
        world.advance(DAY_MS)
        if what == "fell":
            world.stands("C1", "counter")
        elif what == "moved":
            world.stands("C1", manager="M9")
        else:
            world.manager("V1", "vip", active=False)
        assert ("cancelled", reason) in world.decisions("C1"), what
        assert world.stage.next_due(world.pool) is not None
        assert not any(name.startswith("handover:") for name in world.pool.state.timers)


# --- recall and evaluation (R16, R8) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "recalled"), [(90, False), (91, True)])
def test_a_neglected_customer_is_recalled_at_the_review(days: int, recalled: bool) -> None:
    """Ninety days without a conversation are allowed, one more is not."""
    world = DeskWorld()
    world.manager("M1")
    world.manager("M2")
    world.advance(122 * DAY_MS)  # 1 July, 08:00: the review has run
    world.stands("C1", "counter", manager="M1")
    world.advance(62 * DAY_MS - HOUR_MS)  # an hour before that of 1 September
    world.pool.state.clients["C1"].since = 0
    review = world.now + HOUR_MS
    world.stands("C1", contacted=review - days * DAY_MS)
    world.advance(2 * HOUR_MS)
    assert world.steps("C1") == ([("recalled", "M2")] if recalled else [])
    if recalled:
        assert world.decisions("C1") == [("sent", "recalled")]


def test_a_manager_whom_nobody_knows_is_on_record_at_each_review() -> None:
    """Not before, nor of who belongs to no desk; the customer stays, and is settled once the manager is known."""
    world = DeskWorld()
    world.manager("M1")
    world.stands("C1", "counter", manager="M9")
    world.stands("C2", manager="M9")
    world.advance(30 * DAY_MS)  # the review of March has been
    assert world.decisions() == [("suppressed", "unknown_manager")]
    assert world.decisions("C1") == [("suppressed", "unknown_manager")]
    world.advance(DAY_MS)  # 1 April, 08:00
    assert world.decisions("C1") == [("suppressed", "unknown_manager")] * 2
    world.manager("M9", active=False)
    assert world.steps() == [("assigned", "M1")]
    world.deliver()
    world.stands("C2")
    world.advance(30 * DAY_MS)
    assert world.decisions() == [*[("suppressed", "unknown_manager")] * 2, ("sent", "assigned")]


def test_who_was_never_spoken_with_counts_from_when_the_manager_got_them() -> None:
    """Nobody is neglected on the first day."""
    world = DeskWorld()
    world.manager("M1")
    world.manager("M2")
    world.stands("C1", "counter", manager="M1")
    world.advance(80 * DAY_MS)
    assert world.steps() == []
    world.advance(42 * DAY_MS)
    assert world.steps() == [("recalled", "M2")]


def test_without_another_manager_the_neglected_wait_where_they_are() -> None:
    """A conversation meanwhile ends the waiting."""
    world = DeskWorld()
    world.manager("M1")
    world.stands("C1", "counter", manager="M1")
    world.advance(122 * DAY_MS)
    assert world.decisions("C1") == [("deferred", "no_capacity")]
    world.stands("C1", contacted=world.now)
    world.manager("M2")
    assert world.steps() == []


def test_managers_are_evaluated_each_quarter() -> None:
    """Customers, those without the promised conversation, those taken away; before the review of the same day."""
    world = DeskWorld()
    world.manager("M1")
    world.manager("M2", capacity=1)
    for number in range(3):
        world.stands(f"C{number}", "counter", manager="M1")
    world.advance(31 * DAY_MS)  # 1 April
    assert [(r.manager_id, r.customers, r.neglected) for r in world.reports()] == [("M1", 3, 0), ("M2", 0, 0)]
    world.advance(91 * DAY_MS)  # 1 July
    assert [(r.manager_id, r.customers, r.neglected, r.recalled) for r in world.reports()[2:]] == [
        ("M1", 2, 2, 1),
        ("M2", 1, 0, 0),
    ]
    assert world.steps() == [("recalled", "M2")]  # on 1 June
    world.advance(92 * DAY_MS)  # 1 October
    assert [(r.manager_id, r.recalled) for r in world.reports()[4:]] == [("M1", 1), ("M2", 1)]


@pytest.mark.parametrize("desk", ["counter", "vip"])
@pytest.mark.parametrize(("more", "neglected"), [(0, 0), (1, 1)])
def test_the_promise_that_ships_is_kept_for_ninety_days_and_no_longer(desk: str, more: int, neglected: int) -> None:
    """R8: a manager's evaluation tells of whom nobody spoke with for longer, at either desk."""
    world = DeskWorld(desk_rules((LIBRARY / "desks.yaml").read_text("utf-8")))
    world.manager("M1", desk)
    world.advance(122 * DAY_MS - HOUR_MS)  # an hour before the evaluation of 1 July
    world.stands("C1", desk, manager="M1")
    world.pool.state.clients["C1"].since = 0
    world.stands("C1", contacted=world.now + HOUR_MS - 90 * DAY_MS - more)
    world.advance(HOUR_MS)
    assert [(one.kind, one.neglected) for one in world.reports()][1:] == [("evaluation", neglected)]


# --- as a stage -------------------------------------------------------------------------------------------------------


def test_without_desks_nothing_happens() -> None:
    """The pool is kept all the same, and comes to life with the rules."""
    world = DeskWorld()
    world.ruleset = desk_rules(None)
    world.manager("M1")
    world.stands("C1", "counter")
    assert world.outputs == []
    assert world.stage.next_due(world.pool) is None
    world.ruleset = desk_rules()
    world.stands("C1")
    assert world.steps() == [("assigned", "M1")]


def test_an_answer_from_the_future_is_set_aside() -> None:
    """As every record of the bank."""
    world = DeskWorld()
    world.now += 2 * HOUR_MS
    record = world.answer("x", "C1", "approved")
    outcome = world.stage.process(record, world.stage.fresh(POOL), world.ruleset, START_MS)
    assert outcome is not None
    assert outcome.rejected is not None
    assert outcome.rejected.reason is Reason.FROM_THE_FUTURE


def test_a_pool_comes_back_as_it_was() -> None:
    """The same bytes; damaged ones and those of another version are refused."""
    world = promoted()
    world.advance(DAY_MS)
    world.stands("C2", "vip")
    world.stands("C3", "vip")
    data = world.stage.encode(world.pool)
    again = world.stage.decode(POOL, data)
    assert world.stage.encode(again) == data
    assert (again.loads, again.waiting) == (world.pool.loads, world.pool.waiting)
    for broken in (b"", b"\x01" + data[1:], data[:-3]):
        with pytest.raises(UnreadableState):
            world.stage.decode(POOL, broken)
