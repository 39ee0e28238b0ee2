"""``bank-triggers backtest`` over topics of a real Kafka: what they hold, in each customer's order, within a range."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streams.simulator import BankPlan, simulate_bank
from tests.support.system import Event, System
from tests.support.worker_process import ROOT

RULES = ROOT / "triggers" / "library"
CUSTOMER_TOPICS = ("bank.transactions", "bank.maturities", "bank.profiles", "bank.behaviour", "bank.feedback")


def report_of(text: str) -> dict[str, Any]:
    (answer,) = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    report: dict[str, Any] = answer
    return report


def test_topics_and_files_give_the_same_report(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """The same events, published in order: equal sums, bad records located by partition and offset."""
    records = [
        record
        for record in simulate_bank(BankPlan(events=1_500))
        if record.topic in CUSTOMER_TOPICS and record.key is not None and record.what != "spoiled"
    ]
    # A file for each topic is what a topic is: its own order, and side by side with the others.
    folder = tmp_path / "events"
    folder.mkdir()
    for topic in CUSTOMER_TOPICS:
        lines = [
            f'{{"topic":"{topic}","key":"{record.key.decode()}","value":{(record.value or b"").decode()}}}\n'
            for record in records
            if record.topic == topic and record.key is not None
        ]
        (folder / f"{CUSTOMER_TOPICS.index(topic)}-{topic}.jsonl").write_text("".join(lines), "utf-8")
    with System(kafka, redis_url, tmp_path, rules=RULES, name="backtest", partitions=1) as system:
        system.create_topics()
        system.publish([Event(record.topic, record.key or b"", record.value or b"") for record in records])
        code, text = system.command("backtest", RULES, "--from-topics", "--json", "--jobs", "2")
        assert code == 0, text
        from_topics = report_of(text)
        code, text = system.command("backtest", RULES, "--events", folder, "--json", "--jobs", "1")
        assert code == 0, text
        from_files = report_of(text)
        assert from_topics["input"].pop("sources") == [f"{topic}/0" for topic in CUSTOMER_TOPICS]
        from_files["input"].pop("sources")
        errors = from_topics.pop("errors"), from_files.pop("errors")
        assert errors[0]["by_code"] == errors[1]["by_code"]
        assert from_topics == from_files
        assert from_topics["actions"]["total"] > 20

        system.publish([Event("bank.transactions", b"C1", b"no event")])
        begin, end = "2026-02-01", "2026-03-01"
        code, text = system.command(
            "backtest", RULES, "-e", "bank.transactions", "--since", begin, "--until", end, "--json"
        )
        assert code == 0, text
        report = report_of(text)
        transactions = [record for record in records if record.topic == "bank.transactions"]
        (error,) = [error for error in report["errors"]["first"] if error["code"] == "NOT_JSON"]
        assert (error["source"], error["line"]) == ("bank.transactions/0", len(transactions))
        assert report["input"]["outside_the_range"] > 0
        read = report["input"]["events"]["bank.transactions"] + report["input"]["outside_the_range"]
        assert read == len(transactions)
        assert report["input"]["first"] >= "2026-01-31T16:00:00Z"
        assert report["input"]["last"] < "2026-03-01T16:00:00Z"

        code, text = system.command("backtest", RULES, "-e", "bank.managers", "--json")
        assert code == 1, text
        assert "bank.managers: no topic of customers' events; expected one of bank.transactions" in text
