"""Behaviour under ids of channels on real Kafka, with a worker killed in the middle: counted once, for who it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from schemas.journal import RecordBatch
from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.system import Event, System, event
from tests.support.worker_process import wait_until

RULES = Path(__file__).parent / "rules" / "independent"
START = datetime.fromisoformat("2026-03-02T08:00:00+08:00")
IDS = 40
EACH = 12


def test_behaviour_of_ids_survives_a_kill_and_counts_once(
    kafka_broker: KafkaBroker, redis_url: str, tmp_path: Path
) -> None:
    """Half of it comes before its link, some ids move, some customers merge; SIGKILL while Kafka holds back what was

    sent: each behaviour is one action of the customer linked at its time, and all is as the journal's order has it.
    """
    links, behaviour, whose = _bank()
    with System(kafka_broker.bootstrap, redis_url, tmp_path, rules=RULES, name="ids", max_batch=10) as system:
        system.create_topics()
        first = system.start_worker()
        first.wait_for_partitions(system.partitions)
        half = len(behaviour) // 2
        system.publish(behaviour[:half])
        system.wait_until_drained()
        assert not system.actions(), "nobody is linked yet"

        first.pause()
        done = system.batches_done(first.owned())
        system.publish([*links, *behaviour[half:]])
        first.resume()
        wait_until(lambda: system.batches_done(first.owned()) >= done + 3, "the worker goes on")
        with kafka_broker.held():
            pending = system.await_standstill(first.owned())
            first.kill()
        assert any(isinstance(batch, RecordBatch) and batch.stage == "identity" for batch in pending.values())

        system.start_worker().wait_for_partitions(system.partitions)
        system.wait_until_drained()
        system.stop_workers()
        found: dict[str, list[str]] = {}
        for action in system.actions():
            found.setdefault(action["created_at"], []).append(action["customer_id"])
        for at, customers in whose.items():
            assert len(found.get(at, [])) == 1, f"the behaviour of {at} led to {found.get(at)}, expected one action"
            assert found[at][0] in customers
        assert found.keys() == whose.keys()
        verdict = check_against_oracle(system)
        assert verdict.sent_on == len(whose) == IDS * EACH
        assert verdict.dead_letters == 0
        assert verdict.repeated_batches + verdict.repeated_messages >= 1, "the kill came too early or too late"


def _bank() -> tuple[list[Event], list[Event], dict[str, tuple[str, ...]]]:
    """Links and merges; behaviour, at a second of its own each; the customers who can have done it, by that second.

    What a link or merge of midday moves may still be counted for the one before, where it is read first.
    """
    noon = START + timedelta(hours=6)
    links, behaviour, whose = [], [], {}
    for number in range(IDS):
        ours = {"source": "wechat", "source_user_id": f"u{number}"}
        key = f"wechat:u{number}"
        before, after = f"c{number}", f"c{number}"
        at_first = START + timedelta(hours=2)
        links.append(_event("bank.identity-links", key, f"l{number}", at_first, **ours, sequence=1, customer_id=before))
        if number % 4 == 1:
            after = f"d{number}"
            links.append(_event("bank.identity-links", key, f"m{number}", noon, **ours, sequence=2, customer_id=after))
        elif number % 4 == 2:
            after = f"d{number}"
            links.append(
                _event(
                    "bank.customer-merges",
                    before,
                    f"m{number}",
                    noon,
                    customer_id=before,
                    sequence=1,
                    merged_into=after,
                )
            )
        for index in range(EACH):
            at = START + timedelta(hours=index, seconds=number)
            behaviour.append(
                (at, _event("bank.channel-behaviour", key, f"b{number}-{index}", at, **ours, action="browse"))
            )
            whose[_utc(at)] = (before,) if at < noon else (before, after)
    return links, [sent for _, sent in sorted(behaviour, key=lambda pair: pair[0])], whose


def _event(topic: str, key: str, event_id: str, at: datetime, **body: object) -> Event:
    return event(topic, key, tenant="bank", event_id=event_id, occurred_at=at.isoformat(), **body)


def _utc(at: datetime) -> str:
    return (at - timedelta(hours=8)).replace(tzinfo=None).isoformat() + "Z"
