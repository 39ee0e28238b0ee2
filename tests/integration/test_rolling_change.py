"""A new rule set while a batch is unfinished: the batch keeps its rules, whoever runs it."""

from __future__ import annotations

from pathlib import Path

from tests.support.bank_history import bank_history
from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.system import QUEUES, System
from tests.support.worker_process import wait_until

OLD = Path(__file__).parent / "rules" / "independent"
NEW = Path(__file__).parent / "rules" / "replaced"


def test_an_unfinished_batch_runs_under_its_own_rules_and_later_ones_under_the_new(
    kafka_broker: KafkaBroker, redis_url: str, tmp_path: Path
) -> None:
    """A worker dies with batches announced under one rule set; the next one has another and takes over."""
    with System(kafka_broker.bootstrap, redis_url, tmp_path, rules=OLD, name="rolling", max_batch=20) as system:
        system.create_topics()
        old = system.start_worker()
        old.wait_for_partitions(system.partitions)
        (old_hash,) = system.rulesets
        old.pause()
        system.publish(bank_history(customers=60))
        old.resume()
        wait_until(lambda: any(any(system.ends(queue).values()) for queue in QUEUES), "the worker sends actions")
        with kafka_broker.held():
            # Announced, and no acknowledgement comes.
            pending = system.await_standstill(range(system.partitions))
            old.kill()
            committed = {partition: system.meta(partition).sequence for partition in range(system.partitions)}
        assert system.lag(range(system.partitions)) > 0
        assert {batch.ruleset for batch in pending.values()} == {old_hash}

        new = system.start_worker(NEW)
        new.wait_for_partitions(system.partitions)
        (new_hash,) = system.rulesets.keys() - {old_hash}
        system.wait_until_drained()
        system.stop_workers()

        for entry in system.journal():
            last_of_old = committed[entry.partition] + (entry.partition in pending)
            assert entry.ruleset == (old_hash if entry.sequence <= last_of_old else new_hash), f"{entry}"
        for partition, batch in pending.items():
            assert system.rerun_logged(partition, batch.sequence)
        verdict = check_against_oracle(system)
        assert verdict.actions >= 100
        assert {action["ruleset"] for action in system.actions()} == {old_hash, new_hash}
