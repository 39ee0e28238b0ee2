"""No log line, also of a crash, metric or why of a dead letter holds anything of a customer."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any, Final

from redis import Redis

from schemas.dead_letter import DEAD_LETTER_HEADER
from schemas.topics import DEAD_LETTERS
from streams.simulator import BankPlan, simulate_bank
from tests.support.system import Event, System

RULES = Path(__file__).parent / "rules" / "independent"
PERSON: Final = {
    "name": "Zhang Wei-Lin",
    "phone": "13812345678",
    "email": "zhang.weilin@example.org",
    "card": "6222021234567890123",
}
"""What a careless publisher may add to its records: in values, in keys, as the message's key, in broken bytes."""


def test_logs_metrics_and_dead_letters_tell_nothing_of_customers(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """At the finest log level: no id of a customer or an account, no value that a publisher sent by mistake."""
    records = simulate_bank(BankPlan(events=1_500, seed=7))
    events = [Event(record.topic, record.key, record.value or b"") for record in records]
    with System(kafka, redis_url, tmp_path, rules=RULES, name="private", log_level="debug") as system:
        system.create_topics()
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        system.publish([*events, *_careless(events)])
        system.wait_until_drained()
        address = re.findall(r"health and metrics at (\S+)", worker.text())[-1]
        with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        code, listing = system.command("dead-letters", "list")
        assert code == 0
        system.stop_workers()
        headers = [dict(record.headers)[DEAD_LETTER_HEADER].decode() for record in system.read(DEAD_LETTERS)]
        assert len(headers) >= len(PERSON) * 5
        secrets = set(PERSON.values()) | _ids(events)
        assert len(secrets) > 50
        told = {"log": worker.text(), "metrics": metrics, "listing": listing, "dead letters": "\n".join(headers)}
        for where, text in told.items():
            assert text
            _check(text, secrets, where)

        # One whose state is damaged: the worker ends with a traceback, on which everything is looked at, too.
        (stage, partition, customer), _ = next(one for one in system.states().items() if one[0][0] == "customer")
        with Redis.from_url(redis_url) as redis:
            redis.hset(f"{{{system.name}:{partition}}}:state:{stage}", customer, b"\x01" + customer.encode())
        system.publish(event for event in events if event.key == customer.encode())
        for style in ("plain", "json"):
            broken = system.start_worker(log_format=style)
            assert broken.wait() != 0
            assert "Traceback" in broken.text()
            assert "UnreadableState" in broken.text()
            _check(broken.text(), secrets | {customer}, f"the {style} log of a crash")


def _check(text: str, secrets: set[str], where: str) -> None:
    found = sorted(secret for secret in secrets if re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text))
    assert not found, f"{where} holds {found[:5]}"


_IDS: Final = (
    *("customer_id", "account_id", "holding_id", "transfer_id", "source_user_id", "manager_id"),
    "merged_into",
)


def _careless(events: list[Event]) -> list[Event]:
    good = next(json.loads(event.value) for event in events if event.topic == "bank.transactions")
    bad: list[Event] = []
    for field, secret in PERSON.items():
        bodies: list[dict[str, Any]] = [
            {**good, field: secret},
            {**good, secret: 1},
            {**good, "amount": secret},
            {**good, "occurred_at": secret, "tenant": secret},
        ]
        bad += [Event("bank.transactions", b"c1", json.dumps(body).encode()) for body in bodies]
        bad.append(Event("bank.transactions", secret.encode(), json.dumps(good).encode()))
        bad.append(Event("bank.profiles", b"c1", f'{{"{secret}": {secret}'.encode()))
    return bad


def _ids(events: list[Event]) -> set[str]:
    """Ids of customers and accounts in the bank's records."""
    found: set[str] = set()
    for event in events:
        try:
            body = json.loads(event.value)
        except ValueError:
            continue
        if isinstance(body, dict):
            found |= {body[name] for name in _IDS if isinstance(body.get(name), str)}
    return {text for text in found if len(text) >= 4}
