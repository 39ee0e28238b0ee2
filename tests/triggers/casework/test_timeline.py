"""What was expected beside what came: by time, within a time in order, matched one to one."""

from __future__ import annotations

from tests.support.casework import FIRES, SILENT, result_of, results_of, trigger_text
from triggers.casework.case_runner import CaseResult
from triggers.casework.report import report
from triggers.casework.timeline import show_value

LADDER = "[push, {after: 1d, use: sms}, {after: 1d, use: email}]"


def tried(expect: str) -> CaseResult:
    """A payment that climbs a ladder of three steps."""
    events = '[{at: "2026-03-02 10:00", transaction: {direction: debit, amount: 500}}]'
    return result_of(f"  - name: tried\n    events: {events}\n    expect: {expect}\n", ladder=LADDER)


def kinds(result: CaseResult) -> list[str]:
    """The rows of a timeline, by kind."""
    return [row.kind for row in result.rows]


def test_all_matched() -> None:
    """In whatever order of times they are written."""
    steps = ['{at: "2026-03-02 10:00", channel: push}', '{at: "2026-03-03 10:00"}', '{at: "2026-03-04 10:00", step: 2}']
    assert kinds(tried(f"[{', '.join(steps)}]")) == ["event", "matched", "matched", "matched"]
    assert tried(f"[{', '.join(reversed(steps))}]").passed


def test_missing_unexpected_and_different_are_told_apart() -> None:
    """Different is what came at the time of an expectation that it does not meet."""
    result = tried(
        '[{at: "2026-03-02 10:00", channel: push}, {at: "2026-03-03 10:00", channel: agent}, '
        '{at: "2026-03-03 11:00", channel: email}]'
    )
    assert [(row.kind, row.expected, row.came) for row in result.rows[1:]] == [
        ("matched", "channel=push", "offer=call channel=push step=0"),
        ("differs", "channel=agent", "offer=call channel=sms step=1"),
        ("missing", "channel=email", ""),
        ("unexpected", "", "offer=call channel=email step=2"),
    ]


def test_one_action_meets_one_expectation() -> None:
    """The second of two equal expectations is missing."""
    result = tried(
        '[{at: "2026-03-02 10:00"}, {at: "2026-03-02 10:00"}, {at: "2026-03-03 10:00"}, {at: "2026-03-04 10:00"}]'
    )
    assert kinds(result) == ["event", "matched", "missing", "matched", "matched"]


def test_the_report_is_a_table_in_a_pipe() -> None:
    """Times, marks, both sides in columns, the lines of the file, and then what decided it."""
    result = tried('[{at: "2026-03-02 10:00", channel: push}, {at: "2026-03-03 10:00", channel: agent}]')
    legend = "(= as expected   - missing   + unexpected   ~ different   . held back)"
    shown = f"""\
                    expected                | came     {legend}
2026-03-02 10:00    transaction direction=debit amount=500 (line 17)
2026-03-02 10:00  = channel=push (line 18)  | offer=call channel=push step=0
2026-03-03 10:00  ~ channel=agent (line 18) | offer=call channel=sms step=1
2026-03-04 10:00  + nothing                 | offer=call channel=email step=2

2026-03-02 10:00  transaction.other: true, sent offer=call channel=push step=0
  true     event.amount >= 500  event.amount = 500"""
    assert report(result) == shown.split("\n")


def test_the_report_shows_what_an_expectation_names() -> None:
    """Fields of the action and of its message stand beside those expected."""
    result = tried('[{at: "2026-03-02 10:00", category: growth, message: {drop: 7}}]')
    row = result.rows[1]
    assert (row.kind, row.expected) == ("differs", "category=growth message.drop=7")
    assert row.came.endswith("category=care message.drop=unknown")


def test_withdrawals_are_rows_too() -> None:
    """A cancellation that nobody expected fails the case."""
    events = (
        '[{at: "2026-03-02 10:00", transaction: {event_id: t1, amount: 500}}, '
        '{at: "2026-03-02 11:00", transaction: {reversal_of: t1}}]'
    )
    case = f"  - name: tried\n    events: {events}\n    expect: %s\n"
    result = result_of(case % '[{at: "2026-03-02 10:00"}]')
    assert [(row.kind, row.came) for row in result.rows if row.wrong] == [
        ("unexpected", "cancelled channel=push reason=reversed")
    ]
    assert result_of(case % '[{at: "2026-03-02 10:00"}, {at: "2026-03-02 11:00", cancelled: true}]').passed
    for other in ("cancelled: true, reason: redeemed", "channel: push"):
        wrong = result_of(case % f'[{{at: "2026-03-02 10:00"}}, {{at: "2026-03-02 11:00", {other}}}]')
        assert [row.kind for row in wrong.rows if row.wrong] == ["differs"]


def test_the_report_gives_every_clause_of_every_evaluation() -> None:
    """True, false and unknown, with what each read; of an ``or`` all of its parts."""
    case = """\
  - name: tried
    events:
      - {at: "2026-03-02 10:00", transaction: {amount: 500}}
      - {at: "2026-03-02 11:00", transaction: {amount: 7, own_account: true}}
    expect: [{at: "2026-03-02 10:00"}]
"""
    when = "event.amount >= 500 and not event.own_account and (customer.app_user or customer.age > 30)"
    lines = report(result_of(case, when=when))
    assert lines[lines.index("") + 1 :] == [
        "2026-03-02 10:00  transaction.other: unknown",
        "  true     event.amount >= 500                     event.amount = 500",
        "  true     not event.own_account                   event.own_account = false",
        "  unknown  customer.app_user or customer.age > 30  customer.app_user = unknown, customer.age = unknown",
        "",
        "2026-03-02 11:00  transaction.other: false",
        "  false    event.amount >= 500                     event.amount = 7",
        "  false    not event.own_account                   event.own_account = true",
        "  unknown  customer.app_user or customer.age > 30  customer.app_user = unknown, customer.age = unknown",
    ]


def test_times_in_details_are_the_banks() -> None:
    """What waits does so until a time like those beside it; a detail that is no time stays as it is."""
    case = """\
  - name: at night
    events: [{at: "2026-03-02 22:00", transaction: {direction: debit, amount: 500}}]
    expect: [{at: "2026-03-03 08:00"}]
"""
    quiet = "quiet: [{channels: [push], from: '21:00', to: '08:00'}]\n"
    (result, *_) = results_of(trigger_text(case, FIRES, SILENT), policy=quiet).values()
    assert result.passed, report(result)
    (held,) = (row.came for row in result.rows if row.kind == "noted")
    assert held.startswith("held back: quiet")
    assert held.endswith("until=2026-03-03 08:00")


def test_lists_and_tags_are_shown_by_name() -> None:
    """An empty one is none, which is not unknown."""
    assert [show_value(value) for value in (("vip", "x"), {"rich": 0, "risk": 9}, (), {}, None)] == [
        "vip, x",
        "rich, risk",
        "none",
        "none",
        "unknown",
    ]
