"""F12: another rule set mid-stream, also beside the old one; one with errors offered."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.bank_history import bank_history
from tests.support.faults import INDEPENDENT, await_shared, fault_system, history, settle
from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.system import QUEUES, System
from tests.support.worker_process import wait_until

OLD = INDEPENDENT
NEW = INDEPENDENT.parent / "replaced"
REFUSED = 5


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


def test_two_rule_sets_side_by_side_and_one_with_errors(kafka: str, redis_url: str, tmp_path: Path, seed: int) -> None:
    """Two workers with different rules share the partitions: each batch is run under one of them, as its decisions say.

    A worker that is given rules with errors does not start, and changes nothing for those that run.
    """
    broken = tmp_path / "broken"
    shutil.copytree(NEW, broken)
    text = (broken / "any_payment.yaml").read_text()
    (broken / "any_payment.yaml").write_text(text.replace("event.amount", "event.amuont"))
    with fault_system(kafka, redis_url, tmp_path, name="f12", rules=OLD) as system:
        old = system.start_worker()
        old.wait_for_partitions(system.partitions)
        (old_hash,) = system.rulesets
        system.publish(history(seed, customers=30))
        code, said = system.command("worker", "--rules", broken)
        assert code == REFUSED, said
        assert "any_payment.yaml:" in said
        assert "amuont" in said
        new = system.start_worker(NEW)
        await_shared(system, old, new)
        (new_hash,) = system.rulesets.keys() - {old_hash}
        system.publish(history(seed, customers=30, part=1))
        settle(system, order_free=False)
        ran = {(entry.partition, entry.sequence): entry.ruleset for entry in system.journal()}
        assert set(ran.values()) == {old_hash, new_hash} == {one["ruleset"] for one in system.decisions()}
        system.stop_workers()
