"""Inline tests of triggers: what of an event may be written, and how it arrives at the runner."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.triggers.language.rule_texts import found_in, load, vary
from triggers.language.model import Case

EVENT = '{at: "2026-03-02 10:00", transaction: {direction: debit, amount: 60000}}'
EXPECT = '{at: "2026-03-02 10:00", offer: call, channel: push}'


def _case(*changes: tuple[str, str]) -> Case:
    loaded = load({"good.yaml": vary(*changes)})
    assert loaded.ruleset is not None, [str(problem) for problem in loaded.problems]
    return loaded.ruleset.triggers[0].cases[0]


def test_fields_have_the_types_of_the_schema() -> None:
    """Money is decimal, a date is a date, a list is a tuple, a flag is a flag."""
    maturity = (
        'at: "2026-03-02 10:00", maturity: {holding_id: h1, matures_on: "2026-06-30", amount: "12.50",'
        " expected_yield: 0.0265, term_days: 90}"
    )
    fields = _case((EVENT, f"{{{maturity}}}")).events[0].fields
    assert fields == {
        "holding_id": "h1",
        "matures_on": date(2026, 6, 30),
        "amount": Decimal("12.50"),
        "expected_yield": Decimal("0.0265"),
        "term_days": 90,
    }


def test_an_unquoted_date_is_a_date_where_one_belongs() -> None:
    """YAML leaves it text; the schema reads it."""
    event = "{at: 2026-03-02 10:00, maturity: {matures_on: 2026-06-30}}"
    assert _case((EVENT, event)).events[0].fields == {"matures_on": date(2026, 6, 30)}


def test_a_customer_has_profile_balance_and_holdings() -> None:
    """As the runner needs them."""
    customer = (
        "{balance: 10.5, tier: mid, segments: [vip], employee: false, birth_date: 1990-05-01,"
        " consents: {sms: true}, holdings: [{holding_id: h1, product_kind: fund}]}"
    )
    assert _case(("{balance: 200000}", customer)).customer == {
        "balance": Decimal("10.5"),
        "tier": "mid",
        "segments": ("vip",),
        "employee": False,
        "birth_date": date(1990, 5, 1),
        "consents": {"sms": True},
        "holdings": ({"holding_id": "h1", "product_kind": "fund"},),
    }


def test_expectations_of_actions_and_cancellations() -> None:
    """What is not written is not compared."""
    expect = '{at: "2026-03-02 10:00", value: 60000, step: 0, message: {drop: 60000}}'
    case = _case((EXPECT, f'{expect}\n      - {{at: "2026-03-03 10:00", cancelled: true, reason: reversed}}'))
    action, cancelled = case.expect
    assert (action.fields, action.cancelled) == (
        {"value": Decimal(60000), "step": 0, "message": {"drop": "60000"}},
        False,
    )
    assert (cancelled.fields, cancelled.cancelled) == ({"reason": "reversed"}, True)


def test_a_case_may_end_before_its_timers() -> None:
    """until says when."""
    case = _case(("    expect:\n", '    until: "2026-03-03 00:00"\n    expect:\n'))
    assert case.until_ms == case.events[0].at_ms + 14 * 3_600_000


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (EVENT, '{at: "2026-03-02 10:00"}', "E018"),
        (EVENT, '{at: "2026-03-02 10:00", transaction: debit}', "E012"),
        (EVENT, "{transaction: {amount: 1}}", "E011"),
        (EVENT, '{at: "2026-03-02 10:00", identity_link: {}}', "E010"),
        (EVENT, '{at: "2026-03-02 10:00", transaction: {own_account: yes}}', "E012"),
        (EVENT, '{at: "2026-03-02 10:00", transaction: {amount: -5}}', "E012"),
        (EVENT, '{at: "2026-03-02 10:00", maturity: {matures_on: 2026-02-30}}', "E012"),
        (EVENT, '{at: "2026-03-02 10:00", transaction: {currency: RMB}}', "E012"),
        (EXPECT, '{at: "2026-03-02 10:00", cancelled: yes}', "E012"),
        (EXPECT, '{at: "2026-03-02 10:00", cancelled: true, reason: whim}', "E013"),
        (EXPECT, '{at: "2026-03-02 10:00", message: x}', "E012"),
        ("{balance: 200000}", "{balance: 200000, sequence: 4}", "E010"),
        ("{balance: 200000}", "{holdings: [{product_kind: gold}]}", "E013"),
        ("{balance: 200000}", "{accounts: [{id: a}]}", "E011"),
        ("{balance: 200000}", "{accounts: [{id: a, balance: x}]}", "E012"),
        ("{balance: 200000}", "{accounts: [{id: a, balance: 1, currency: RMB}]}", "E012"),
        ("{balance: 200000}", "{accounts: [{id: a, balance: 1}, {id: a, balance: 1}]}", "E018"),
        ("{balance: 200000}", "{balance: 5, accounts: [{id: a, balance: 1}]}", "E018"),
        ("{balance: 200000}", "{}\n    policy: {caps: [{at_most: -1, per: 7d}]}", "E014"),
        ("{balance: 200000}", "{}\n    policy: {cups: []}", "E010"),
        ("{balance: 200000}", "{}\n    policy: 7", "E012"),
        ("{balance: 200000}", "{}\n    policy:", "E012"),
        ("{balance: 200000}", "{}\n    calendar: {timezone: Asia/Shangai}", "E013"),
        ("{balance: 200000}", "{}\n    contacts: [{at: 2026-03-01 10:00, channel: push}]", "E011"),
        ("{balance: 200000}", "{}\n    contacts: [{at: 2026-03-01 10:00, channel: fax, category: x}]", "E013"),
        ("{balance: 200000}", "{}\n    contacts: [{at: 2026-03-02 10:00, channel: sms, category: x}]", "E018"),
        ("{balance: 200000}", "{}\n    until: 2026-03-02 09:59", "E018"),
        (EVENT, '{at: "2026-03-02 10:00", feedback: {outcome: opened, action: 0}}', "E014"),
        (EVENT, '{at: "2026-03-02 10:00", feedback: {outcome: opened, action: x}}', "E012"),
        (EVENT, '{at: "2026-03-02 10:00", feedback: {action: 1, action_id: x}}', "E018"),
        (EXPECT, '{at: "2026-03-02 10:00", held_back: Too often}', "E014"),
        (EXPECT, '{at: "2026-03-02 10:00", held_back: capped, offer: call}', "E018"),
        (EXPECT, '{at: "2026-03-02 10:00", held_back: capped, cancelled: true}', "E018"),
        (EXPECT, '{at: "2026-03-02 10:00", held_back: capped, channel: fax}', "E013"),
    ],
)
def test_mistakes_in_cases(old: str, new: str, code: str) -> None:
    """Each is found when the file is read, before any case runs."""
    assert [found for _, _, found in found_in((old, new)) if found != "E103"] == [code]


def test_the_policy_of_a_case_is_read_as_the_file_is() -> None:
    """It builds on the rule set's; a case without its own has none."""
    case = _case(("{balance: 200000}", "{}\n    policy: {caps: [], currency: EUR}\n    calendar: {remind_at: 08:00}"))
    policy = case.policy
    assert policy is not None
    assert (policy.caps, policy.currency, policy.remind_at.hour, policy.timezone.key) == ((), "EUR", 8, "Asia/Shanghai")
    assert _case().policy is None


def test_contacts_and_what_is_held_back() -> None:
    """Fields left out are not given."""
    contact = "{at: 2026-03-01 10:00, channel: sms, category: care}"
    full = "{at: 2026-03-01 11:00, channel: push, category: care, trigger: good, offer: call, outcome: opened}"
    case = _case(
        ("{balance: 200000}", f"{{}}\n    contacts: [{contact}, {full}]"),
        (EXPECT, f'{{at: "2026-03-02 10:00", held_back: capped, step: 1}}\n      - {EXPECT}'),
    )
    assert [(one.channel, one.trigger, one.offer, one.outcome) for one in case.contacts] == [
        ("sms", None, None, ""),
        ("push", "good", "call", "opened"),
    ]
    assert (case.expect[0].held_back, case.expect[0].fields) == ("capped", {"step": 1})
    assert case.expect[1].held_back is None


def test_a_feedback_names_the_action_it_answers() -> None:
    """By a number that is no field of the record."""
    event = _case((EVENT, '{at: "2026-03-02 10:00", feedback: {outcome: opened, action: 2}}')).events[0]
    assert (event.answers, event.fields) == (2, {"outcome": "opened"})
