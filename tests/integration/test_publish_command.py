"""``bank-triggers publish`` against a real broker: what is taken, what is left out, and what it says of it."""

from __future__ import annotations

import json
from pathlib import Path

from streams.publisher import partition_of
from tests.support.system import System
from tests.support.worker_process import ROOT

RULES = ROOT / "triggers" / "library"
GOOD = '{"topic":"bank.transactions","key":"c1","value":{"any":"bytes"}}\n'
LARGE = '{"topic":"bank.transactions","key":"c1","value":{"any":"' + "x" * 2_000_000 + '"}}\n'


def test_bad_lines_are_left_out_and_located(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """A line that is no event and one that Kafka refuses are named by file and line; the others are published."""
    file = tmp_path / "events.jsonl"
    file.write_text(GOOD + "not json\n" + LARGE + '{"topic":"bank.nothing","key":"c1","value":{}}\n' + GOOD, "utf-8")
    with System(kafka, redis_url, tmp_path, rules=RULES, name="publish", partitions=2) as system:
        system.create_topics()
        code, text = system.command("publish", file)
        assert code == 1, text
        assert "2 events published, 3 lines left out" in text
        assert f"{file}:2:5 F002" in text
        assert f"{file}:3:1 F006 Kafka does not take the message: MessageSizeTooLargeError" in text
        assert f"{file}:4:1 F004" in text
        assert "Traceback" not in text
        assert "xxx" not in text
        records = system.read("bank.transactions")
        assert [(record.key, record.value) for record in records] == [(b"c1", b'{"any":"bytes"}')] * 2

        code, text = system.command("publish", file, "--json")
        assert code == 1, text
        (answer,) = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        assert answer["published"] == 2
        assert [(problem["line"], problem["code"]) for problem in answer["problems"]] == [
            (2, "F002"),
            (3, "F006"),
            (4, "F004"),
        ]


def test_records_go_where_every_publisher_sends_them(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """To the partition of Kafka's default partitioner, a customer's in the file's order."""
    file = tmp_path / "events.jsonl"
    lines = [
        {"topic": "bank.transactions", "key": f"c{number % 40}", "value": {"number": number}} for number in range(200)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    with System(kafka, redis_url, tmp_path, rules=RULES, name="publish", partitions=3) as system:
        system.create_topics()
        code, text = system.command("publish", file)
        assert code == 0, text
        found: dict[str, list[int]] = {}
        records = system.read("bank.transactions")
        for record in records:
            assert record.partition == partition_of(record.key or b"", 3)
            found.setdefault((record.key or b"").decode(), []).append(json.loads(record.value or b"")["number"])
        assert {record.partition for record in records} == {0, 1, 2}
    assert found == {f"c{first}": list(range(first, 200, 40)) for first in range(40)}


def test_a_missing_topic_is_named_and_not_made(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Publishing before ``topics create`` would make topics of any shape."""
    file = tmp_path / "events.jsonl"
    file.write_text(GOOD, "utf-8")
    with System(kafka, redis_url, tmp_path, rules=RULES, name="publish") as system:
        code, text = system.command("publish", file)
        assert code == 1, text
        name = system.kafka_topic("bank.transactions")
        assert f"the topic {name} does not exist; create it with: bank-triggers topics create" in text
        code, text = system.command("topics", "check")
        assert code == 1, text
        assert f"{name}: it does not exist" in text
