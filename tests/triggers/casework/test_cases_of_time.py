"""Cases of schedules, waits, lead times and appointments on the virtual clock, from rule file to action."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from triggers.casework.case_runner import CaseResult, run_case
from triggers.casework.report import report
from triggers.language.loader import load_documents

CALENDAR = """\
timezone: Asia/Shanghai
holidays: [{from: 2026-04-04, to: 2026-04-06, name: Qingming}, {from: 2026-05-01, to: 2026-05-05}]
working_days: [2026-05-09]
hours: [{from: "09:00", to: "12:00"}, {from: "14:00", to: "17:00"}]
"""
HEAD = """\
trigger: timely
version: 1
title: What comes in its time
owner: tests
status: live
on: {ON}
action:
  offer: call
  category: care
  complexity: simple
  priority: 50
  expires: 20d
  ladder: [push]
  message: {template: t, when: slots(2), private: 'slots(1, "private")'}
tests:
"""
SILENT = """\
  - name: silent
    from: "2026-03-02 10:00"
    until: "2026-03-02 11:00"
    events: []
    expect: []
  - name: not run, for a trigger needs a case that fires
    from: "2026-03-02 10:00"
    until: "2026-03-02 11:00"
    events: []
    expect: [{at: "2026-03-02 10:00"}]
"""


def run(on: str, case: str, policy: str = "caps: []") -> CaseResult:
    """The result of the first case of a trigger that something wakes."""
    text = HEAD.replace("{ON}", on) + indent(dedent(case), "  ") + SILENT
    loaded = load_documents({"timely.yaml": text, "calendar.yaml": CALENDAR, "policy.yaml": policy})
    assert loaded.ruleset is not None, loaded.problems
    (trigger,) = loaded.ruleset.triggers
    return run_case(loaded.ruleset, trigger, trigger.cases[0])


def passes(result: CaseResult) -> bool:
    assert result.passed, "\n".join(report(result))
    return True


def test_a_schedule_comes_round_until_the_case_ends() -> None:
    """At the very time of the schedule: a case's customer has no share of the spread. Holidays move it."""
    case = """\
      - name: twice
        from: "2026-03-30 10:00"
        until: "2026-05-20 10:00"
        events: []
        expect:
          - {at: "2026-04-01 09:00", message: {when: "2026-04-01 10:00, 2026-04-01 11:00"}}
          - {at: "2026-05-06 09:00"}
    """
    assert passes(run('{every: month, on_day: 1, at: "09:00"}', case))
    late = run('{every: month, on_day: 1, at: "09:00"}', case.replace("2026-05-20", "2026-06-20"))
    assert not late.passed
    assert "2026-06-01 09:00" in "\n".join(report(late))


def test_a_case_begins_with_its_first_event_where_it_says_nothing_else() -> None:
    """The customer becomes known then, and has the turns that come after."""
    case = """\
      - name: known at ten
        until: "2026-03-04 10:00"
        events:
          - {at: "2026-03-02 10:00", behaviour: {action: login}}
        expect:
          - {at: "2026-03-03 09:00"}
          - {at: "2026-03-04 09:00"}
    """
    assert passes(run('{every: day, at: "09:00"}', case))
    earlier = case.replace("    until:", '    from: "2026-03-02 08:00"\n        until:')
    assert not run('{every: day, at: "09:00"}', earlier).passed


@pytest.mark.parametrize(
    ("events", "expect"),
    [
        ("", '[{at: "2026-03-03 10:00"}]'),
        ('  - {at: "2026-03-02 22:00", maturity: {}}', "[]"),
        ('  - {at: "2026-03-02 22:00", behaviour: {action: browse}}', '[{at: "2026-03-03 10:00"}]'),
        (
            '  - {at: "2026-03-03 11:00", maturity: {occurred_at: "2026-03-02T20:00:00+08:00"}}',
            '[{at: "2026-03-03 10:00"}, {at: "2026-03-03 10:00", cancelled: true, reason: answered_late}]',
        ),
    ],
    ids=["nothing followed", "bought", "looked again", "bought, told late"],
)
def test_a_wait(events: str, expect: str) -> None:
    """A day after the look, unless a purchase follows; one that is told late withdraws the action."""
    case = f"""\
      - name: looked
        events:
          - {{at: "2026-03-02 10:00", behaviour: {{action: browse}}}}
        {events}
        expect: {expect}
    """
    assert passes(run("{after: behaviour.browse, unless: product.opened, within: 24h}", case, "caps: []"))


@pytest.mark.parametrize(
    ("on", "at"),
    [
        ("{maturity: 3 business days before}", "2026-04-29"),
        ("{maturity: 2d before}", "2026-05-05"),
        ("{maturity: 2d before, roll: previous}", "2026-04-30"),
        ("{maturity: 2d before, roll: next}", "2026-05-06"),
        ("{maturity: on the day}", "2026-05-07"),
    ],
)
def test_lead_times_on_the_banks_calendar(on: str, at: str) -> None:
    """Before a Thursday, over the holidays of May."""
    case = f"""\
      - name: due
        customer: {{holdings: [{{purchased_on: 2026-03-02, matures_on: 2026-05-07}}]}}
        events: []
        expect: [{{at: "{at} 09:00"}}]
    """
    assert passes(run(on, case))


def test_a_day_that_is_rolled_past_the_due_day_still_comes() -> None:
    """On the day, a holiday: the reminder follows on the next business day, once, also where it was sold meanwhile."""
    case = """\
      - name: due on a holiday
        customer: {holdings: [{purchased_on: 2026-03-02, matures_on: 2026-05-02}]}
        events:
          - {at: "2026-05-03 10:00", maturity: {holding_id: h1, status: matured}}
        expect: [{at: "2026-05-06 09:00"}]
    """
    assert passes(run("{maturity: on the day, roll: next}", case))


def test_appointments_are_open_hours_after_the_action() -> None:
    """In the text of the message, over lunch and weekend; the action's time counts, not that of its late event."""
    case = """\
      - name: booked late
        events:
          - {at: "2026-03-06 10:30", behaviour: {action: login}}
          - {at: "2026-03-06 15:00", transaction: {kind: salary, occurred_at: "2026-03-05T10:00:00+08:00"}}
          - {at: "2026-03-06 15:30", behaviour: {action: login}}
        expect:
          - {at: "2026-03-06 10:30", message: {when: "2026-03-06 11:00, 2026-03-06 14:00", private: "2026-03-06 11:00"}}
          - {at: "2026-03-06 10:30", message: {when: "2026-03-06 11:00, 2026-03-06 14:00", private: "2026-03-06 11:00"}}
          - {at: "2026-03-06 15:30", message: {when: "2026-03-06 16:00, 2026-03-09 09:00", private: "2026-03-06 16:00"}}
    """
    assert passes(run("[behaviour.login, transaction]", case))


def test_kinds_of_transactions_and_of_maturities() -> None:
    """A salary, a purchase and a redemption, by the names of their kinds."""
    case = """\
      - name: each kind
        events:
          - {at: "2026-03-02 10:00", transaction: {kind: payment}}
          - {at: "2026-03-02 11:00", transaction: {kind: salary}}
          - {at: "2026-03-02 12:00", maturity: {status: purchased}}
          - {at: "2026-03-02 13:00", maturity: {status: corrected}}
          - {at: "2026-03-02 14:00", maturity: {status: redeemed}}
        expect:
          - {at: "2026-03-02 11:00"}
          - {at: "2026-03-02 12:00"}
          - {at: "2026-03-02 14:00"}
    """
    assert passes(run("[transaction.salary, product.opened, product.closed]", case))


def test_the_silence_of_one_kind_of_transaction() -> None:
    """Other payments do not break it."""
    case = """\
      - name: no salary
        events:
          - {at: "2026-03-02 10:00", transaction: {kind: salary}}
          - {at: "2026-03-20 10:00", transaction: {kind: payment}}
        expect: [{at: "2026-04-01 10:00"}]
    """
    assert passes(run("{silence: transaction.salary, for: 30d}", case))


@pytest.mark.parametrize(
    ("begin", "says"),
    [("2026-03-02 10:01", "from lies after an event of the case"), ("2026-03-09 10:00", "or after its end")],
)
def test_a_case_that_begins_too_late_is_a_mistake(begin: str, says: str) -> None:
    """It begins before all that happens."""
    text = HEAD.replace("{ON}", "behaviour.login") + (
        f'  - name: late\n    from: "{begin}"\n    until: "2026-03-08 10:00"\n    events: '
        '[{at: "2026-03-02 10:00", behaviour: {action: login}}]\n    expect: [{at: "2026-03-02 10:00"}]\n'
    )
    loaded = load_documents({"timely.yaml": text + SILENT, "calendar.yaml": CALENDAR})
    (problem,) = loaded.problems
    assert (problem.code, says in problem.message) == ("E018", True)
