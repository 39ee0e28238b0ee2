"""What a case may set up before its first event, and what it may expect besides actions."""

from __future__ import annotations

import pytest

from tests.support.casework import FIRES, SILENT, result_of, results_of, trigger_text
from triggers.casework.report import report

THREE_CONTACTS = """\
    contacts:
      - {at: "2026-02-27 10:00", channel: sms, category: growth}
      - {at: "2026-02-25 10:00", channel: push, category: care}
      - {at: "2026-03-01 10:00", channel: push, category: care}
"""


def case(*lines: str, expect: str = "[]", amount: int = 500) -> str:
    """A case of one payment with these lines in it."""
    return (
        "  - name: tried\n"
        + "".join(lines)
        + f'    events: [{{at: "2026-03-02 10:00", transaction: {{direction: debit, amount: {amount}}}}}]\n'
        + f"    expect: {expect}\n"
    )


def test_earlier_contacts_count_for_caps() -> None:
    """Three in the week before are as many as the policy allows; two are not."""
    held = '[{at: "2026-03-02 10:00", held_back: capped, channel: push, step: 0}]'
    assert result_of(case(THREE_CONTACTS, expect=held)).passed
    fewer = THREE_CONTACTS.replace("2026-02-25", "2026-02-22")
    assert not result_of(case(fewer, expect=held)).passed
    assert result_of(case(fewer, expect='[{at: "2026-03-02 10:00", channel: push}]')).passed


def test_a_contact_by_the_trigger_itself_counts_for_its_once_per() -> None:
    """As if it had fired then; a contact by another trigger does not."""
    contact = '    contacts: [{at: "2026-02-20 10:00", channel: push, category: care, trigger: large}]\n'
    held = '[{at: "2026-03-02 10:00", held_back: once_per}]'
    assert result_of(case(contact, expect=held), more="once_per: 14d\n").passed
    assert not result_of(case(contact, expect=held), more="once_per: 9d\n").passed
    other = contact.replace("trigger: large", "trigger: other")
    assert not result_of(case(other, expect=held), more="once_per: 14d\n").passed


def test_a_trigger_that_had_fired_waits_to_be_armed_again() -> None:
    """Where it has a ``rearm``: a contact by the trigger itself leaves it unarmed."""
    contact = '    contacts: [{at: "2026-02-20 10:00", channel: push, category: care, trigger: large}]\n'
    held = '[{at: "2026-03-02 10:00", held_back: not_rearmed}]'
    assert result_of(case(contact, expect=held), more="rearm: customer.balance > 0\n").passed
    armed = case("    customer: {balance: 501}\n", contact, expect='[{at: "2026-03-02 10:00"}]')
    assert result_of(armed, more="rearm: customer.balance > 0\n").passed


def test_an_event_may_answer_an_earlier_contact() -> None:
    """Contacts are numbered by their time: ``contact-1`` is the first."""
    tried = """\
  - name: tried
    policy: {caps: [], attempts: {at_most: 1, pause: 90d}}
    contacts:
      - {at: "2026-03-01 11:00", channel: push, category: growth}
      - {at: "2026-03-01 10:00", channel: push, category: care}
    events:
      - {at: "2026-03-01 12:00", feedback: {action_id: %s, channel: push, outcome: bought}}
      - {at: "2026-03-02 10:00", transaction: {amount: 500}}
    expect: [%s]
"""
    assert report(result_of(tried % ("contact-1", '{at: "2026-03-02 10:00"}'))) == []
    assert report(result_of(tried % ("contact-2", '{at: "2026-03-02 10:00", held_back: no_sale}'))) == []


def test_a_contact_may_have_been_answered() -> None:
    """A sale ends the pause after too many attempts."""
    policy = "    policy: {caps: [], attempts: {at_most: 2, pause: 90d}}\n"
    twice = THREE_CONTACTS.replace('      - {at: "2026-02-27 10:00", channel: sms, category: growth}\n', "")
    held = '[{at: "2026-03-02 10:00", held_back: no_sale}]'
    assert result_of(case(policy, twice, expect=held)).passed
    bought = twice.replace(
        '2026-03-01 10:00", channel: push, category: care',
        '2026-03-01 10:00", channel: push, category: care, outcome: bought',
    )
    assert result_of(case(policy, bought, expect='[{at: "2026-03-02 10:00"}]')).passed


def test_a_case_has_its_own_policy() -> None:
    """Only the keys that it names change, and only for this case."""
    strict = case(
        "    policy: {caps: [{at_most: 0, per: 1d}]}\n", expect='[{at: "2026-03-02 10:00", held_back: capped}]'
    )
    results = results_of(trigger_text(strict, FIRES, SILENT))
    assert [result.passed for result in results.values()] == [True, True, True]


def test_a_case_overrides_the_file_of_the_rule_set() -> None:
    """What the case leaves out is that of the file."""
    file = "currency: USD\nconsent: [push]\ncaps: []\n"
    agreed = case("    customer: {consents: {}}\n    policy: {consent: []}\n", expect='[{at: "2026-03-02 10:00"}]')
    refused = case("    customer: {consents: {}}\n", expect='[{at: "2026-03-02 10:00", held_back: no_consent}]')
    results = results_of(trigger_text(agreed, refused.replace("tried", "refused"), FIRES, SILENT), policy=file)
    assert [report(result) for result in results.values()] == [[], [], [], []]


def test_a_case_has_its_own_calendar() -> None:
    """Its times are in its time zone, and reminders come at its hour."""
    due = (
        "  - name: tried\n"
        "    calendar: {timezone: Europe/Prague, remind_at: '07:30'}\n"
        '    events: [{at: "2026-03-02 10:00", maturity: {matures_on: 2026-03-20}}]\n'
        '    expect: [{at: "2026-03-13T06:30:00Z"}]\n'
    )
    here = due.replace("tried", "usual").replace("    calendar: {timezone: Europe/Prague, remind_at: '07:30'}\n", "")
    here = here.replace("2026-03-13T06:30:00Z", "2026-03-13T01:00:00Z")
    small = here.replace("usual", "small").replace("matures_on", "amount: 1, matures_on")
    small = small.replace('[{at: "2026-03-13T01:00:00Z"}]', "[]")
    results = results_of(trigger_text(due, here, small, on="{maturity: 7d before}", when="product.amount >= 2"))
    assert [report(result) for result in results.values()] == [[], [], []]


def test_a_customer_may_have_several_accounts() -> None:
    """The balance is their sum in the bank's currency; a transaction is on the first unless it names another."""
    accounts = (
        "    customer: {accounts: [{id: a, balance: 100}, {id: b, balance: 900}, {id: c, balance: 5, currency: USD}]}\n"
    )
    expect = '[{at: "2026-03-02 10:00"}]'
    assert result_of(case(accounts, expect=expect), when="customer.balance == 500 and account.id == 'a'").passed
    on_b = case(accounts, expect=expect).replace("amount: 500", "amount: 500, account_id: b")
    when = "customer.balance == 500 and account.id == 'b' and account.balance == 400 and customer.accounts == 3"
    assert result_of(on_b, when=when).passed


def test_what_the_customer_holds_wakes_no_trigger_at_the_start() -> None:
    """It was bought before the case; its lead times still run."""
    held = (
        "  - name: tried\n"
        "    customer: {holdings: [{holding_id: h9, amount: 5000, purchased_on: 2026-01-01, matures_on: 2026-03-20}]}\n"
        '    events: [{at: "2026-03-02 10:00", transaction: {amount: 1}}]\n'
        "    expect: %s\n"
    )
    lead = "[maturity, {maturity: 7d before}]"
    assert result_of(held % '[{at: "2026-03-13 09:00"}]', on=lead, when="product.amount == 5000").passed
    assert result_of(held % '[{at: "2026-03-13 09:00"}]', on=lead, when="customer.aum == 5000").passed is False


def test_a_case_of_holdings_needs_no_event() -> None:
    """It begins on the day the last of them was bought: a lead time that has passed by then is due at once."""
    held = (
        "  - name: tried\n"
        "    customer:\n      holdings:\n"
        "        - {holding_id: a, purchased_on: 2026-03-14, matures_on: 2026-06-20}\n"
        "        - {holding_id: b, purchased_on: 2026-01-01, matures_on: 2026-03-20}\n"
        "    events: []\n"
        '    expect: [{at: "2026-03-14 00:00"}, {at: "2026-06-13 09:00"}]\n'
    )
    assert result_of(held, on="{maturity: 7d before}", when="product.amount >= 1").passed


@pytest.mark.parametrize(
    ("feedback", "steps"),
    [
        ("{outcome: opened}", 2),
        ("{outcome: opened, action: 1}", 2),
        ("{outcome: opened, action: 2}", 2),
        ("{outcome: opened, channel: push}", 2),
        ("{outcome: delivered, action: 1}", 3),
    ],
)
def test_feedback_answers_the_latest_action_or_the_one_it_names(feedback: str, steps: int) -> None:
    """By its number, counted from 1, or as the latest on a channel."""
    ladder = "[push, {after: 1d, use: sms}, {after: 1d, unless: opened, use: email}]"
    sent = ['{at: "2026-03-02 10:00"}', '{at: "2026-03-03 10:00"}', '{at: "2026-03-04 10:00"}'][:steps]
    tried = case(expect=f"[{', '.join(sent)}]").replace(
        "amount: 500}}]", f'amount: 500}}}}, {{at: "2026-03-03 12:00", feedback: {feedback}}}]'
    )
    assert report(result_of(tried, ladder=ladder)) == []


@pytest.mark.parametrize(("answered", "still_to_come"), [("action: 1", "03-05"), ("action: 2", "03-04"), ("", "03-04")])
def test_the_ladder_that_was_answered_ends_and_no_other(answered: str, still_to_come: str) -> None:
    """Two payments, two ladders: the answer to one leaves the other's second step to come."""
    tried = (
        "  - name: tried\n    events:\n"
        '      - {at: "2026-03-02 10:00", transaction: {amount: 500}}\n'
        '      - {at: "2026-03-03 10:00", transaction: {amount: 500}}\n'
        f'      - {{at: "2026-03-03 12:00", feedback: {{outcome: opened, {answered}}}}}\n'
        '    expect: [{at: "2026-03-02 10:00"}, {at: "2026-03-03 10:00"}, '
        f'{{at: "2026-{still_to_come} 10:00", channel: sms}}]\n'
    )
    assert report(result_of(tried, ladder="[push, {after: 2d, unless: opened, use: sms}]")) == []


@pytest.mark.parametrize(
    ("feedback", "message"),
    [
        ("{outcome: opened, action: 2}", "feedback answers action 2, but 1 had come by then"),
        ("{outcome: opened, channel: sms}", "feedback answers an action on sms, but 0 had come by then"),
    ],
)
def test_feedback_on_an_action_that_did_not_come_is_located(feedback: str, message: str) -> None:
    """At the line of the feedback, with what had come by then."""
    tried = (
        "  - name: tried\n    events:\n"
        '      - {at: "2026-03-02 10:00", transaction: {amount: 500}}\n'
        f'      - {{at: "2026-03-02 12:00", feedback: {feedback}}}\n'
        '    expect: [{at: "2026-03-02 10:00"}]\n'
    )
    result = result_of(tried)
    assert result.problem == message
    assert result.line == trigger_text(tried).splitlines().index(tried.splitlines()[3]) + 1
    assert report(result)[0] == f"line {result.line}: {message}"


@pytest.mark.parametrize("status", ["draft", "shadow", "retired"])
def test_cases_run_whatever_the_status(status: str) -> None:
    """A draft is tested as if it were live."""
    results = results_of(trigger_text(FIRES, SILENT, status=status))
    assert [result.passed for result in results.values()] == [True, True]


def test_a_candidate_held_back_for_another_reason_fails() -> None:
    """Expected and actual reason stand side by side."""
    held = case(THREE_CONTACTS, expect='[{at: "2026-03-02 10:00", held_back: no_consent}]')
    result = result_of(held)
    assert [(row.kind, row.expected, row.came.split(" channel")[0]) for row in result.rows if row.wrong] == [
        ("differs", "held back: no_consent", "held back: capped")
    ]


def test_what_is_held_back_need_not_be_expected() -> None:
    """It is shown, and no mistake."""
    result = result_of(case(THREE_CONTACTS))
    assert result.passed
    assert [row.kind for row in result.rows] == ["event", "noted"]
