"""``bank-triggers why`` over files: what it says of a customer, and how it ends."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.encode import encode
from schemas.topics import TOPIC
from streams.cli import app
from streams.commands.console import Exit
from streams.event_file import format_event
from streams.record_files import read_records
from tests.support.bank import Customer, actions, at, feedback, transaction
from triggers.casework.backtest import Arrival
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

RULE = """\
trigger: big_payment
version: 3
title: A big payment
owner: tests
status: live
on: transaction
when: event.amount >= 100 and customer.balance < 1000
once_per: 2d
action:
  offer: something
  category: test
  complexity: simple
  priority: 50
  expires: 1d
  ladder: [push]
tests:
  - name: fires
    customer: {balance: 500}
    events: [{at: "2026-03-02 10:00", transaction: {direction: debit, amount: 100}}]
    expect: [{at: "2026-03-02 10:00"}]
  - {name: silent, events: [{at: "2026-03-02 10:00", transaction: {amount: 99}}], expect: []}
"""
EVENTS = [
    transaction("t1", 1, -150, 850),
    transaction("t2", 2, -150, 700, occurred_at=at(1)),
    transaction("t3", 3, 900, 1600, occurred_at=at(4)),
    transaction("t4", 4, -100, 1500, occurred_at=at(5)),
]


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "big_payment.yaml").write_text(RULE, "utf-8")
    return folder


@pytest.fixture(scope="module")
def ruleset(rules: Path) -> RuleSet:
    loaded = load_ruleset([rules])
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


@pytest.fixture
def records(tmp_path: Path, ruleset: RuleSet) -> Path:
    """A folder: what came in as an event file, what went out as the commands print it, another customer between."""
    customer = Customer(ruleset)
    for event in EVENTS:
        customer.feed(event)
    (sent,) = actions(customer.outputs)
    answer = feedback("f1", sent, "opened", occurred_at=at(0.25))
    folder = tmp_path / "records"
    folder.mkdir()
    other = [one.model_copy(update={"customer_id": "c2"}) for one in customer.outputs]
    lines = b"".join(encode(one) + b"\n" for one in [*other, *customer.outputs])
    (folder / "out.jsonl").write_bytes(lines)
    with gzip.open(folder / "in.jsonl.gz", "wt") as file:
        file.writelines(_line(event) for event in [*EVENTS, answer])
    return folder


def _line(event: Any) -> str:
    topic = "bank.feedback" if event.record_type == "feedback" else "bank.transactions"
    assert topic in TOPIC
    return format_event(topic, event.customer_id, encode(event).decode())


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["why", *map(str, arguments)])


def test_a_customer_is_told_in_plain_language(records: Path, rules: Path, ruleset: RuleSet) -> None:
    """Each candidate under its trigger's title, with what was sent, what came back, what was held back and why."""
    result = call("c1", "--records", records, "--rules", rules)
    assert result.exit_code == 0
    assert (
        result.stdout
        == f"""\
customer c1: 2 candidates on record (times of Asia/Shanghai)

2026-03-02 10:00  big_payment: A big payment
  occasion transaction:t1; version 3, rule set {ruleset.hash}
  2026-03-02 10:00  sent by push: offer something, until 2026-03-03 10:00
  2026-03-02 16:00  came back from push: opened

2026-03-03 10:00  big_payment: A big payment
  occasion transaction:t2; version 3, rule set {ruleset.hash}
  2026-03-03 10:00  not sent on push: it fired for this customer less than its once_per before (once_per)\
  [fired_at = 2026-03-02 10:00]
"""
    )


def test_json_has_the_records_themselves(records: Path, rules: Path) -> None:
    """An object a candidate, with rule version, rule set, reason, its meaning and its values."""
    result = call("c1", "--records", records, "--rules", rules, "--json", "--since", "2026-03-03")
    (found,) = map(json.loads, result.stdout.splitlines())
    assert (found["customer"], found["trigger"], found["considered_at"]) == (
        "c1",
        "big_payment",
        "2026-03-03T02:00:00Z",
    )
    (decision,) = found["decisions"]
    assert (decision["trigger_version"], decision["reason"]) == (3, "once_per")
    assert decision["meaning"] == "it fired for this customer less than its once_per before"
    assert decision["detail"] == {"fired_at": "2026-03-02T02:00:00+00:00"}
    assert found["feedback"] == []


def test_what_was_considered_at_a_time(records: Path, rules: Path) -> None:
    """``--at``: then, or the last time before."""
    result = call("c1", "--records", records, "--rules", rules, "--at", "2026-03-03 09:59")
    assert "2 candidates on record, 1 shown" in result.stdout
    assert "transaction:t1" in result.stdout
    assert "transaction:t2" not in result.stdout


def test_a_condition_that_was_false_is_shown_by_running_the_events_again(records: Path, rules: Path) -> None:
    """No decision tells of it: the clauses of that moment do, with their values."""
    arguments = ["c1", "--records", records, "--rules", rules, "--trigger", "big_payment", "--at", "2026-03-07 10:00"]
    without = call(*arguments)
    assert "customer.balance" not in without.stdout
    result = call(*arguments, "--replay")
    assert result.exit_code == 0
    tail = result.stdout[result.stdout.index("2026-03-07 10:00  transaction") :]
    assert (
        tail
        == """\
2026-03-07 10:00  transaction.other
  and: false
    event.amount >= 100: true
      event.amount = 100
    customer.balance < 1000: false
      customer.balance = 1500
  no candidate: the condition is false
"""
    )
    assert "5 events of the files run again" in result.stderr


def test_nothing_on_record_is_an_error_that_says_so(records: Path, rules: Path) -> None:
    """Exit code 1, as for what was looked for and not found."""
    result = call("nobody", "--records", records, "--rules", rules)
    assert (result.exit_code, result.stdout) == (
        Exit.FAILED,
        "customer nobody: 0 candidates on record (times of Asia/Shanghai)\n",
    )


def test_lines_that_are_no_records_are_named(records: Path, rules: Path) -> None:
    """With file and line; the others count. A damaged record of the customer is never passed over in silence."""
    with (records / "out.jsonl").open("ab") as file:
        file.write(b'{"decision_id":"d","customer_id":"c1","tenant":"bank"}\nnothing\n{"a":1}\n')
        file.write(b'{"topic":"no.such.topic","value":{}}\n{"topic":"bank.managers","key":"m1","value":{}}\n')
    result = call("c1", "--records", records, "--rules", rules)
    assert result.exit_code == 0
    first, *others = [line.replace(f"{records}/", "") for line in result.stderr.splitlines()]
    assert first.startswith("out.jsonl:7 MISSING_FIELD")
    assert [line.split()[0] + " " + line.split()[1] for line in others] == [
        "out.jsonl:8:5 F002",
        "out.jsonl:9:1 F003",
        "out.jsonl:10:1 F004",
    ]


def test_a_file_that_breaks_off_is_a_failure(records: Path, rules: Path) -> None:
    """What is missing might be what was asked for."""
    path = records / "in.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])
    result = call("c1", "--records", records, "--rules", rules)
    assert result.exit_code == Exit.FAILED
    assert "F001" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--replay"], "expected --trigger"),
        (["--config", "settings.yaml"], "expected either --records or --config"),
        (["--at", "yesterday"], "--at: expected a day or a time"),
    ],
)
def test_wrong_use_is_said(records: Path, rules: Path, arguments: list[str], said: str) -> None:
    """Exit code 2."""
    result = call("c1", "--records", records, "--rules", rules, *arguments)
    assert result.exit_code == Exit.USAGE
    assert said in result.stderr


def test_a_path_that_does_not_exist(tmp_path: Path, rules: Path) -> None:
    """Named, with what was expected."""
    result = call("c1", "--records", tmp_path / "none", "--rules", rules)
    assert result.exit_code == Exit.FAILED
    assert "there is no such file" in result.stderr


def test_help_ends_with_an_example() -> None:
    """One that can be copied."""
    assert 'Example: bank-triggers why C1 --trigger balance_drop --at "2026-03-02 10:00"' in call("--help").stdout


def test_every_record_that_goes_out_is_known_on_a_line_of_its_own(tmp_path: Path) -> None:
    """The examples of decisions, actions and withdrawals, with the topic that each belongs to."""
    examples = sorted((Path(__file__).parents[2] / "schemas" / "examples").glob("outreach.*/*.json"))
    examples = [path for path in examples if path.parent.name not in ("outreach.journal", "outreach.rulesets")]
    file = tmp_path / "records.jsonl"
    file.write_text("".join(json.dumps(json.loads(path.read_text("utf-8"))) + "\n" for path in examples))
    found = [one.topic.name for one in read_records(file) if isinstance(one, Arrival)]
    assert found == [path.parent.name for path in examples]
    assert len(found) >= 8
