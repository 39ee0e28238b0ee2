"""F12: another rule set mid-stream, also beside the old one; one with errors or of no trusted key is offered."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from redis import Redis

from schemas.encode import encode
from schemas.rulesets import RuleSetDocument
from schemas.topics import RULESETS
from tests.support.bank_history import bank_history
from tests.support.faults import INDEPENDENT, await_shared, fault_system, history, settle
from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.release_keys import ReleaseKey, trusted
from tests.support.system import QUEUES, Event, System
from tests.support.worker_process import WorkerProcess, wait_until
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

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


def test_only_signed_rules_are_taken_and_the_old_ones_stay(
    kafka: str, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """Offered unsigned, by an unknown key, and changed after signing, new rules are refused; those that run go on.

    Their next key is trusted before the former is given up: workers of both share the partitions. No output shows
    anything of a private key.
    """
    first, second = (ReleaseKey.make(tmp_path / "keys", name) for name in ("first", "second"))
    keys = trusted(tmp_path / "trusted", [first])
    with fault_system(
        kafka, redis_url, tmp_path, name="signed", rules=_copy(OLD, tmp_path / "old", first), ruleset_public_keys=keys
    ) as system:
        old = system.start_worker()
        old.wait_for_partitions(system.partitions)
        (old_hash,) = system.rulesets
        system.publish(history(seed, customers=20))
        said = [
            _refused(system, "there is no such file", _copy(NEW, tmp_path / "unsigned")),
            _refused(system, "changed since: any_payment.yaml", _copy(NEW, tmp_path / "byte", first), "a byte"),
            _refused(system, "added since: more.yaml", _copy(NEW, tmp_path / "more", first), "a file more"),
            _refused(system, "missing since: calendar.yaml", _copy(NEW, tmp_path / "less", first), "a file less"),
            _refused(system, f"by the key {second.id}, which", new := _copy(NEW, tmp_path / "new", second)),
        ]
        trusted(keys, [first, second])
        worker = system.start_worker(new)
        await_shared(system, old, worker)
        (new_hash,) = system.rulesets.keys() - {old_hash}
        system.publish(history(seed, customers=20, part=1))
        settle(system, order_free=False)
        system.stop_workers()
        assert {entry.ruleset for entry in system.journal()} == {old_hash, new_hash}
        assert {one["ruleset"] for one in system.decisions()} == {old_hash, new_hash}
        trusted(keys, [second])
        said += [_refused(system, f"by the key {first.id}, which", system.rules), old.text(), worker.text()]
        for key in (first, second):
            body = "".join(key.private.read_text().splitlines()[1:-1])
            assert not [text for text in said if body in text], "a private key is shown"


@pytest.mark.thorough
def test_nobody_slips_rules_in_where_they_are_kept(kafka: str, redis_url: str, tmp_path: Path, seed: int) -> None:
    """A worker dies with a batch announced, and somebody writes to Redis and Kafka: it runs under no rules of his.

    Another document under the old hash, and the batch itself naming rules that nobody trusted has signed: the next
    worker refuses both, and with Redis as it was goes on. Then Redis is lost, and his records on Kafka change nothing
    of what is rebuilt.
    """
    key = ReleaseKey.make(tmp_path / "keys", "first")
    forged, new = _copy(NEW, tmp_path / "forged"), _copy(NEW, tmp_path / "new", key)
    (forged / "any_payment.yaml").write_text((forged / "any_payment.yaml").read_text() + "# his own\n")
    evil = _ruleset(forged)
    keys = trusted(tmp_path / "trusted", [key])
    with (
        fault_system(
            kafka,
            redis_url,
            tmp_path,
            name="slipped",
            rules=_copy(OLD, tmp_path / "old", key),
            ruleset_public_keys=keys,
        ) as system,
        Redis.from_url(redis_url) as redis,
    ):
        old = system.start_worker()
        old.wait_for_partitions(system.partitions)
        (old_hash,) = system.rulesets
        old.pause()
        system.publish(history(seed, customers=40))
        old.resume()
        pending = system.catch_in_flight(old)
        old.kill()
        kept, own = f"{system.name}:ruleset:{old_hash}", f"{system.name}:ruleset:{evil.hash}"
        document = redis.get(kept)

        redis.set(kept, evil.document)
        _ends(
            system,
            new,
            f"of rule set {old_hash}, and what the store keeps as that rule set is not taken: the signature",
        )
        redis.set(kept, document)

        redis.set(own, evil.document)
        metas = {number: f"{{{system.name}:{number}}}:meta" for number in pending}
        intents = {meta: redis.hget(meta, "intent") for meta in metas.values()}
        for meta, intent in intents.items():
            redis.hset(meta, "intent", intent.replace(old_hash.encode(), evil.hash.encode()))
        _ends(
            system, new, f"of rule set {evil.hash}, and what the store keeps as that rule set is not taken: it is not s"
        )
        for meta, intent in intents.items():
            redis.hset(meta, "intent", intent)

        system.start_worker(new).wait_for_partitions(system.partitions)
        verdict = settle(system, order_free=False)
        assert verdict.actions >= 50
        system.stop_workers()
        ran = {(entry.partition, entry.sequence): entry.ruleset for entry in system.journal()}
        assert {ran[number, batch.sequence] for number, batch in pending.items()} == {old_hash}

        states = system.states()
        for _ in range(2):  # the newest of each hash, whatever compaction leaves
            body = encode(RuleSetDocument(tenant="bank", ruleset=old_hash, document=evil.document))
            system.publish([Event(RULESETS, old_hash.encode(), body)])
        system.forget_everything()
        code, text = system.command("state", "rebuild", "--yes", seconds=180)
        assert code == 0, text
        assert system.states() == states


def _copy(rules: Path, to: Path, key: ReleaseKey | None = None) -> Path:
    shutil.copytree(rules, to)
    if key is not None:
        key.sign(to)
    return to


def _ruleset(rules: Path) -> RuleSet:
    loaded = load_ruleset([rules])
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


def _refused(system: System, told: str, rules: Path, change: str = "") -> str:
    """Offers rules to a worker, after a change; it must not start, and say why. What it said."""
    file = rules / "any_payment.yaml"
    if change == "a byte":
        file.write_text(file.read_text().replace("priority: 50", "priority: 51"))
    elif change == "a file more":
        (rules / "more.yaml").write_text(file.read_text().replace("any_payment", "more"))
    elif change == "a file less":
        (rules / "calendar.yaml").unlink()
    code, said = system.command("worker", "--rules", rules)
    assert code == REFUSED, said
    assert told in said
    assert "Traceback" not in said
    return said


def _ends(system: System, rules: Path, told: str) -> None:
    """A worker with these rules starts, meets what it refuses, and ends."""
    worker: WorkerProcess = system.start_worker(rules)
    assert worker.wait() == REFUSED, f"{worker}"
    assert told in worker.text(), f"{worker}"
    system.workers.remove(worker)
