"""F5: every record delivered twice; offsets rewound 24 h."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from schemas.base import to_ms
from schemas.decode import Rejected, decode
from schemas.topics import CONSUMED
from streams.worker import open_store
from tests.support.caps import check_caps
from tests.support.faults import fault_system, history, load, settle
from tests.support.kafka_broker import admin, group_offsets
from tests.support.oracle_check import check_straight_pass
from tests.support.run_to_end import run_to_end
from tests.support.system import Event, System

CAPPED = Path(__file__).parent / "rules" / "capped"
DAY = timedelta(days=1)


def test_repeated_records_and_rewound_offsets_contact_nobody_again(
    kafka: str, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """Each record comes twice, the second time at once or some hundreds of records later: the actions are those of one

    pass over the first copies, and the caps hold. Then, with the workers away, Kafka's offsets of the group are set to
    the beginning: the positions are the store's, nothing is read again. Then the store's positions are set back by a
    day: what is read again changes neither an action nor a state.
    """
    # With caps it matters how two topics interleave; with one topic there is one straight pass.
    payments = [event for event in history(seed, 80, days=30) if event.topic == "bank.transactions"]
    with fault_system(kafka, redis_url, tmp_path, name="f05", rules=CAPPED) as system:
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        load(system, worker, _twice(payments, random.Random(seed)))
        verdict = settle(system, once=True)
        assert verdict.actions >= 150, verdict
        _check_caps(system)
        outreach, states, size = system.outreach(), system.states(), system.journal_size()
        system.stop_workers()

        _rewind_group(system)
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        settle(system, once=True)
        assert system.journal_size() == size, "what Kafka's offsets say was read again"
        system.stop_workers()

        assert _rewind_store(system) >= 50
        system.start_worker().wait_for_partitions(system.partitions)
        system.wait_until_drained()
        assert system.journal_size() > size, "nothing was read again"
        check_straight_pass(system, once=True)
        assert system.outreach() == outreach
        assert system.states() == states


def test_repeated_records_of_every_topic_change_nothing(kafka: str, redis_url: str, tmp_path: Path, seed: int) -> None:
    """Transactions, profiles, behaviour and holdings, each record twice: the actions are those of one pass over the

    first copies, for triggers that do not interact.
    """
    with fault_system(kafka, redis_url, tmp_path, name="f05-all", max_batch=100) as system:
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        events = history(seed, 50)
        assert len({event.topic for event in events}) >= 4
        load(system, worker, _twice(events, random.Random(seed)))
        verdict = settle(system, once=True)
        assert verdict.actions >= 200, verdict
        assert verdict.triggers.keys() == {"any_payment", "any_login"}
        system.stop_workers()


def _twice(events: list[Event], rng: random.Random) -> list[Event]:
    places = [(index, event) for index, event in enumerate(events)]
    places += [(index + rng.choice([0, rng.randrange(400)]), event) for index, event in enumerate(events)]
    return [event for _, event in sorted(places, key=lambda place: place[0])]


def _check_caps(system: System) -> None:
    """As the policy has them, counted anew; they must have been in the way, or this shows nothing."""
    check_caps(system.actions(), CAPPED)
    reasons = Counter(decision.get("reason") for decision in system.decisions())
    assert reasons["capped"] >= 50, reasons


def _rewind_group(system: System) -> None:
    """As ``kafka-consumer-groups --reset-offsets --to-earliest`` does it."""
    topics = [system.kafka_topic(topic.name) for topic in CONSUMED]
    known = group_offsets(system.kafka, system.settings.app_id, topics, system.partitions)
    assert any(known.values())
    offsets = [TopicPartition(topic, partition, 0) for topic, partition in known]
    client = admin(system.kafka)  # held: one that is collected takes its answers with it
    request = [ConsumerGroupTopicPartitions(system.settings.app_id, offsets)]
    client.alter_consumer_group_offsets(request)[system.settings.app_id].result(30)


def _rewind_store(system: System) -> int:
    """Sets each position back to the first record of the last day, as time goes in the records. Returns how many lie

    behind the positions then.
    """
    times: dict[str, dict[tuple[int, int], int]] = defaultdict(dict)
    for topic in CONSUMED:
        for raw in system.read(topic.name):
            record = decode(topic, system.settings.tenant, raw.key, raw.value)
            if not isinstance(record, Rejected):
                times[topic.name][raw.partition, raw.offset] = to_ms(record.occurred_at)  # type: ignore[attr-defined]
    since = max(at for of_topic in times.values() for at in of_topic.values()) - DAY // timedelta(milliseconds=1)
    positions: dict[int, dict[str, int]] = defaultdict(dict)
    rewound = 0
    for name, of_topic in times.items():
        for partition, end in system.ends(name).items():
            first = min((o for (p, o), at in of_topic.items() if p == partition and at >= since), default=end)
            positions[partition][name] = first
            rewound += end - first

    async def reset() -> None:
        store = open_store(system.settings)
        try:
            for partition, by_topic in positions.items():
                await store.reset_positions(partition, by_topic)
        finally:
            await store.close()

    run_to_end(reset())
    return rewound
