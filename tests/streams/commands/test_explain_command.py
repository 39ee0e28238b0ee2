"""``bank-triggers explain``: the clause tree with its values, for a case or for a recorded event."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from schemas.encode import encode
from schemas.topics import INBOUND
from streams.cli import app
from streams.commands import explaining
from streams.commands.console import Exit
from streams.event_file import format_event
from tests.support.bank import at, behaviour, profile, transaction
from tests.support.casework import FIRES, SILENT, trigger_text

FEATURES = "features: {peak: {max: customer.balance, over: 7d}}\nonce_per: 2d\n"
WHEN = "(event.amount >= 500 or customer.balance < peak * 0.5) and not event.own_account"
TOPIC_OF = {topic.models[0]: topic.name for topic in INBOUND}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A trigger with a feature, an ``or`` and a ``not``."""
    file = tmp_path / "large.yaml"
    ladder = "[push, {after: 1d, unless: opened, use: sms}]"
    fires = FIRES.replace('[{at: "2026-03-02 10:00"}]', '[{at: "2026-03-02 10:00"}, {at: "2026-03-03 10:00"}]')
    file.write_text(trigger_text(fires, SILENT, when=WHEN, more=FEATURES, ladder=ladder), "utf-8")
    return file


def record_file(folder: Path, *records: Any) -> Path:
    """An event file of these records."""
    file = folder / "events.jsonl"
    file.write_text(
        "".join(format_event(TOPIC_OF[type(one)], one.customer_id, encode(one).decode()) for one in records), "utf-8"
    )
    return file


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A month of one customer, with another customer beside."""
    return record_file(
        tmp_path,
        profile("p1", 1, consents={"sms": True}),
        transaction("t1", 1, -10, 990),
        transaction("x1", 1, -900, 100, customer_id="c2", account_id="a2"),
        transaction("t2", 2, -600, 390, occurred_at=at(1)),
        behaviour("b1", "browse", occurred_at=at(1, hours=1)),
        transaction("t3", 3, -5, 385, occurred_at=at(2)),
        transaction("t4", 4, 7000, 7385, occurred_at=at(20), own_account=True),
    )


def call(*arguments: object) -> Any:
    """Runs ``explain`` in this process."""
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def test_a_case_is_a_tree_of_clauses(rules: Path) -> None:
    """Each node with its value, names with theirs, features with window and samples, then what followed."""
    result = call("large", rules, "--case", "fires")
    assert result.exit_code == Exit.OK
    assert (
        result.stdout
        == """\
large, case "fires": passes
2026-03-02 10:00  transaction.other
  and: true
    or: true
      event.amount >= 500: true
        event.amount = 500
      customer.balance < peak * 0.5: true
        customer.balance = -500
        peak = 0 (max of customer.balance over 7d, 2 samples)
        peak * 0.5 = 0
    not: true
      event.own_account: false
  then
    2026-03-02 10:00  sent offer=call channel=push step=0
    2026-03-03 10:00  sent offer=call channel=sms step=1
"""
    )


def test_a_silent_case_says_why(rules: Path) -> None:
    """The condition was not true."""
    rules.write_text(
        rules.read_text("utf-8").replace("500 or customer.balance < peak * 0.5", "500 or customer.aum < 0")
    )
    result = call("large", rules, "--case", "SIL")
    assert "      customer.aum < 0: true\n" in result.stdout
    rules.write_text(rules.read_text("utf-8").replace("customer.aum < 0", "customer.wealth_elsewhere > 1"))
    result = call("large", rules, "--case", "SIL")
    assert result.exit_code == Exit.OK
    assert "  and: unknown\n    or: unknown\n" in result.stdout
    assert result.stdout.endswith("  no candidate: the condition is unknown\n")


def test_a_case_for_a_machine(rules: Path) -> None:
    """An object for each evaluation."""
    result = call("large", rules, "--case", "fires", "--json")
    (shown,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (shown["trigger"], shown["at"], shown["woken_by"], shown["fires"]) == (
        "large",
        "2026-03-02T10:00:00+08:00",
        "transaction.other",
        True,
    )
    either, never = shown["condition"]["parts"]
    assert (either["operator"], either["value"], never["operator"], never["value"]) == ("or", True, "not", True)
    assert either["parts"][1]["reads"][1] == {
        "name": "peak",
        "value": "0",
        "function": "max",
        "of": "customer.balance",
        "over_ms": 7 * 86_400_000,
        "samples": 2,
    }
    assert len(shown["followed"]) == 2


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], Exit.USAGE, "expected either --case NAME or --events FILE"),
        (["--case", "fires", "--events", "x"], Exit.USAGE, "expected either --case NAME or --events FILE"),
        (["--case", "s"], Exit.FAILED, 'more than one case has "s" in its name; expected one of "fires", "silent"'),
        (["--case", "x"], Exit.FAILED, 'no case has "x" in its name; expected one of "fires", "silent"'),
        (["--case", "fires", "--at", "noon"], Exit.USAGE, "--at: expected a time such as"),
        (["--case", "fires", "--at", "2026-03-01"], Exit.FAILED, "the trigger was never evaluated by then"),
        (["--events", "nowhere.jsonl"], Exit.FAILED, "nowhere.jsonl: no event of a customer"),
    ],
)
def test_what_cannot_be_explained(rules: Path, options: list[str], code: Exit, message: str) -> None:
    """Says what would be right."""
    result = call("large", rules, *options)
    assert result.exit_code == code
    assert message in result.stderr


def test_an_unknown_trigger_is_suggested_the_nearest(rules: Path) -> None:
    """As everywhere."""
    result = call("larg", rules, "--case", "fires")
    assert result.exit_code == Exit.FAILED
    assert 'no trigger "larg": did you mean "large"?' in result.stderr
    alone = call("larg", rules)
    assert alone.exit_code == Exit.FAILED
    assert 'no trigger "larg": did you mean "large"?' in alone.stderr


def test_a_recorded_event_is_explained_by_the_history_before_it(rules: Path, history: Path) -> None:
    """Balance and windows are those of that moment; a profile read before counts."""
    result = call("large", rules, "--events", history, "--customer", "c1", "--at", "2026-03-03 10:00")
    assert result.exit_code == Exit.OK, result.stderr
    assert (
        result.stdout
        == """\
large, customer c1: 3 events, 2 evaluations
true at 1 of them (2026-03-03 10:00)
2026-03-03 10:00  transaction.other
  and: true
    or: true
      event.amount >= 500: true
        event.amount = 600
      customer.balance < peak * 0.5: true
        customer.balance = 390
        peak = 1000 (max of customer.balance over 7d, 3 samples)
        peak * 0.5 = 500
    not: true
      event.own_account: false
  then
    2026-03-03 10:00  sent offer=call channel=push step=0
"""
    )


def test_what_the_gate_decided_is_shown(rules: Path, history: Path) -> None:
    """The candidate a day later is held back; the ladder of the first goes on."""
    result = call("large", rules, "--events", history, "--customer", "c1", "--at", "2026-03-04T02:00:00Z")
    assert result.stdout.splitlines()[1] == "true at 2 of them (2026-03-03 10:00, 2026-03-04 10:00)"
    assert result.stdout.endswith(
        "  then\n    2026-03-04 10:00  held back: once_per channel=push fired_at=2026-03-03 10:00\n"
    )
    later = call("large", rules, "--events", history, "--customer", "c1", "--at", "2026-03-04 09:59")
    assert later.stdout.endswith("    2026-03-03 10:00  sent offer=call channel=push step=0\n")


def test_without_a_time_the_last_evaluation_is_shown(rules: Path, history: Path) -> None:
    """Of the customer's whole history."""
    result = call("large", rules, "--events", history, "--customer", "c1")
    assert "large, customer c1: 6 events, 4 evaluations\n" in result.stdout
    assert "2026-03-22 10:00  transaction.other\n" in result.stdout
    assert result.stdout.endswith("  no candidate: the condition is false\n")


def test_a_file_of_many_customers_needs_one(rules: Path, history: Path) -> None:
    """Some are named; a file of one needs no choice."""
    result = call("large", rules, "--events", history)
    assert result.exit_code == Exit.USAGE
    assert "has events of 2 customers: choose one with --customer, such as c1, c2" in result.stderr
    alone = record_file(history.parent, transaction("t1", 1, -10, 990))
    assert call("large", rules, "--events", alone).exit_code == Exit.OK
    result = call("large", rules, "--events", alone, "--customer", "c9")
    assert "no event of customer c9" in result.stderr


def test_time_alone_wakes_a_trigger_too(tmp_path: Path) -> None:
    """A silence, at a moment after the last event."""
    rules = tmp_path / "large.yaml"
    rules.write_text(
        trigger_text(
            FIRES.replace("500}", "1}").replace('2026-03-02 10:00"}]', '2026-05-31 10:00"}]'),
            SILENT.replace("    expect", '    until: "2026-04-01 10:00"\n    expect'),
            on="{silence: transaction, for: 90d}",
            when="customer.accounts == 1",
        ),
        "utf-8",
    )
    events = record_file(tmp_path, transaction("t1", 1, -10, 990))
    result = call("large", rules, "--events", events)
    assert result.exit_code == Exit.FAILED
    assert "the trigger was never evaluated for customer c1, who has 1 events by then" in result.stderr
    result = call("large", rules, "--events", events, "--at", "2026-06-01 10:00")
    assert "2026-05-31 10:00  silence\n  customer.accounts == 1: true\n" in result.stdout


def test_a_draft_is_explained_as_if_it_were_live(rules: Path, history: Path) -> None:
    """Its author wants to know before it is."""
    rules.write_text(rules.read_text("utf-8").replace("status: live", "status: draft"), "utf-8")
    result = call("large", rules, "--events", history, "--customer", "c2")
    assert "sent offer=call channel=push step=0" in result.stdout


def test_what_is_no_record_is_named_and_passed_over(rules: Path, history: Path) -> None:
    """Lines that cannot be read, and events that the engine sets aside; what concerns no customer is left out."""
    good = history.read_text("utf-8").splitlines(keepends=True)
    link = format_event("bank.identity-links", "c1", "{}")
    refused = format_event("bank.transactions", "c1", encode(transaction("t5", 5, -1, 9, currency="USD")).decode())
    history.write_text(
        "".join(["no JSON\n", *good, good[1].replace('"amount":"10"', '"amount":"ten"'), refused, link]), "utf-8"
    )
    result = call("large", rules, "--events", history, "--customer", "c1")
    assert result.exit_code == Exit.OK
    assert f"{history}:1:" in result.stderr
    assert f"{history}:9 BAD_NUMBER amount" in result.stderr
    assert "event t5 is set aside: CONTRADICTION currency" in result.stderr
    assert len(result.stderr.splitlines()) == 3


def test_on_a_terminal_it_is_a_tree(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With guides between the levels."""
    screen = io.StringIO()
    monkeypatch.setattr(
        explaining, "Console", lambda: Console(file=screen, width=100, force_terminal=True, color_system=None)
    )
    assert call("large", rules, "--case", "fires").exit_code == Exit.OK
    shown = screen.getvalue()
    assert "├── and: true" in shown
    assert "│   ├── or: true" in shown
    assert "peak = 0 (max of customer.balance over 7d, 2 samples)" in shown


def test_tiers_and_tags_are_shown_by_name(tmp_path: Path) -> None:
    """What a derived event woke has no record of its own."""
    (tmp_path / "tiers.yaml").write_text(
        "tierings:\n  tier:\n    measure: customer.balance\n    edges: {low: 0, high: 1000}\n", "utf-8"
    )
    (tmp_path / "tags.yaml").write_text(
        "tags:\n  rich: {when: customer.balance >= 1000}\n  risk: {when: customer.balance < 1}\n", "utf-8"
    )
    rules = tmp_path / "large.yaml"
    up = FIRES.replace("{amount: 500}", "{direction: credit, amount: 1000}")
    when = '\'"rich" in customer.tags and customer.tier == "high" and not "risk" in customer.tags\''
    rules.write_text(trigger_text(up, SILENT, on="tier.up", when=when), "utf-8")
    result = call("large", tmp_path, "--case", "fires")
    assert "customer.tags = rich\n" in result.stdout, result.output
    assert "customer.tier = high\n" in result.stdout
