"""The store has lost everything: ``state rebuild`` makes it again from Kafka, on the triggers that ship."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from confluent_kafka import TopicPartition

from schemas.topics import JOURNAL_TOPIC, RULESETS
from tests.support.faults import INDEPENDENT, SHIPPED, fault_system, history, settle
from tests.support.kafka_broker import delete_records, set_topic_config
from tests.support.system import Event, System, payment

REFUSED = 5
CAPPED = """\
currency: CNY
consent: []
caps: [{at_most: 1, per: 30d}]
"""


def test_what_was_lost_is_rebuilt_and_a_worker_goes_on(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """States, timers and positions come back byte for byte, nothing is sent, and everything after equals the oracle.

    Refused while a worker runs and for a partition that is there; a dry run changes nothing.
    """
    events = history(1, customers=24)
    half = len(events) // 2
    with fault_system(kafka, redis_url, tmp_path, name="rebuild", rules=SHIPPED) as system:
        system.publish(events[:half])
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        code, text = system.command("state", "rebuild", "--yes")
        assert code == REFUSED, text
        assert f"1 workers of the group {system.name} run" in text
        system.wait_until_drained()
        system.stop_workers()
        code, text = system.command("state", "rebuild", "--yes")
        assert code == 0, text
        assert text.count("is not lost: the store holds it up to batch") == system.partitions

        states, metas = system.states(), [system.meta(partition) for partition in range(system.partitions)]
        sent = {topic: system.ends(topic) for topic in ("outreach.push", "outreach.decisions", JOURNAL_TOPIC)}
        system.forget_everything()
        system.publish(events[half:])
        refused = system.start_worker()
        assert refused.wait() == REFUSED, f"{refused}"
        assert "bank-triggers state rebuild --partition" in refused.text()
        system.workers.remove(refused)

        code, text = system.command("state", "rebuild", "--dry-run")
        assert code == 0, text
        batches = sum(meta.sequence for meta in metas)
        assert sum(int(line.split()[2]) for line in text.splitlines() if "are run again" in line) == batches
        assert system.states() == {}

        code, text = system.command("state", "rebuild", "--yes", seconds=180)
        assert code == 0, text
        for partition, before in enumerate(metas):
            after = system.meta(partition)
            open_end = after.intent is not None
            # The last batch of a partition is left to the worker where it is one of timers: nobody was told of it.
            assert after.sequence == before.sequence - open_end
            assert after.intent is None or after.intent.kind == "timers"
            mine = {where: state for where, state in states.items() if where[1] == partition}
            found = {where: state for where, state in system.states().items() if where[1] == partition}
            assert after.positions == before.positions
            assert found.keys() == mine.keys()
            if not open_end:
                assert found == mine
                assert after.first_due_ms == before.first_due_ms
        assert {topic: system.ends(topic) for topic in sent} == sent, "the rebuild published something"

        system.start_worker().wait_for_partitions(system.partitions)
        verdict = settle(system, order_free=False, seconds=180)
        assert verdict.repeated_batches <= system.partitions + system.broken_off()
        assert verdict.actions >= 20
        system.stop_workers()


def test_what_kafka_no_longer_keeps_stays_unknown_but_for_the_contacts(
    kafka: str, redis_url: str, tmp_path: Path
) -> None:
    """Refused without ``--incomplete``; with it, whom the bank has contacted in the last 30 days is left in peace.

    The rule set too is no longer kept: it is asked for, and taken from its folder.
    """
    rules = tmp_path / "rules"
    shutil.copytree(INDEPENDENT, rules)
    (rules / "any_login.yaml").unlink()
    (rules / "policy.yaml").write_text(CAPPED)
    with fault_system(kafka, redis_url, tmp_path, name="trimmed", rules=rules, partitions=1) as system:
        worker = system.start_worker()
        worker.wait_for_partitions()
        for day in (1, 2):
            system.publish([_payment(customer, day) for customer in ("c1", "c2")])
            system.wait_until_drained()
        system.publish([_payment("c3", 20)])
        system.wait_until_drained()
        system.stop_workers()
        assert Counter(action["customer_id"] for action in system.actions()) == {"c1": 1, "c2": 1, "c3": 1}

        system.forget_everything()
        _trim(system, "bank.transactions", 4)
        # Only where it is not compacted does Kafka delete what it is told to.
        set_topic_config(kafka, system.kafka_topic(RULESETS), {"cleanup.policy": "delete"})
        _trim(system, RULESETS, None)
        set_topic_config(kafka, system.kafka_topic(RULESETS), {"cleanup.policy": "compact"})
        system.publish([_payment(customer, day) for day in (21, 29) for customer in ("c1", "c2", "c3", "c4")])
        code, text = system.command("state", "rebuild", "--incomplete", "--yes")
        assert code == REFUSED, text
        assert "which neither the store nor Kafka keeps as this program reads it; give its folder: --rules" in text
        code, text = system.command("state", "rebuild", "--yes", "--rules", rules)
        assert code == REFUSED, text
        assert "incomplete: bank.transactions is kept from offset 4 on" in text
        assert "rebuild from what there is with --incomplete" in text
        assert system.meta(0).sequence == 0
        code, text = system.command("state", "rebuild", "--incomplete", "--yes", "--rules", rules)
        assert code == 0, text
        assert "stays unknown: balances" in text
        assert "what the decisions tell of 2 customers from before" in text

        system.start_worker().wait_for_partitions()
        system.wait_until_drained()
        system.stop_workers()
        # Within 30 days of their contacts, though the events of these contacts are gone.
        assert Counter(action["customer_id"] for action in system.actions()) == {"c1": 1, "c2": 1, "c3": 1, "c4": 1}
        held = [one for one in system.decisions() if one["reason"] == "capped"]
        assert Counter(one["customer_id"] for one in held) == {"c1": 3, "c2": 3, "c3": 2, "c4": 1}


def _payment(customer: str, day: int) -> Event:
    return payment(customer, day, f"2026-03-{day:02d}T10:00:00+08:00")


def _trim(system: System, topic: str, offset: int | None) -> None:
    """Deletes what stands before an offset, as retention does; all of it where none is given."""
    name, ends = system.kafka_topic(topic), system.ends(topic)
    before = [TopicPartition(name, number, end if offset is None else offset) for number, end in ends.items()]
    delete_records(system.kafka, before)
