"""The events of a case arrive in the order in which they stand: one with an earlier time comes late."""

from __future__ import annotations

from tests.support.casework import SILENT, results_of, trigger_text
from triggers.casework.report import report

FEATURES = "features:\n  paid_2d: {sum: event.amount, over: 2d}\n"
LATE = """\
  - name: late
    events:
      - {at: "2026-03-02 10:00", transaction: {amount: 100, sequence: 2, balance_after: 800}}
      - {at: "2026-03-01 10:00", transaction: {amount: 100, sequence: 1, balance_after: 900}}
      - {at: "2026-03-02 11:00", transaction: {amount: 300, sequence: 3, balance_after: 500}}
    expect: EXPECT
"""


def test_a_late_event_counts_where_it_belongs() -> None:
    """It completes the sum of the two days when the next event comes, not before."""
    expect = '[{at: "2026-03-02 11:00", channel: push}]'
    text = trigger_text(LATE.replace("EXPECT", expect), SILENT, when="paid_2d >= 500", more=FEATURES)
    results = results_of(text)
    assert [report(result) for result in results.values()] == [[], []]


def test_what_a_late_event_causes_happens_when_it_arrives() -> None:
    """The clock never goes back: the action of a late event is of the time of its arrival."""
    expect = '[{at: "2026-03-02 10:00", channel: push}]'
    text = trigger_text(LATE.replace("EXPECT", expect), SILENT, when="event.sequence == 1 and event.amount == 100")
    results = results_of(text)
    assert [report(result) for result in results.values()] == [[], []]
