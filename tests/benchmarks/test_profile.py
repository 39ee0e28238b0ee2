"""The profile of the benchmarks: which layer a sample belongs to."""

from __future__ import annotations

import pytest

from tests.benchmarks import profile
from tests.benchmarks.__main__ import parse
from tests.benchmarks.profile import Profile, _profile, layer_of, table
from tests.support.commit import ROOT

_ROOT = [
    "_run_module_as_main (<frozen runpy>:198)",
    "run (streams/worker.py:199)",
    "Owner._main (streams/owner.py:114)",
]
_RUN = [*_ROOT, "Partition.run_records (streams/partition.py:254)"]
_BATCH = [*_RUN, "run_records (triggers/engine/batch.py:175)"]
_PROCESS = [*_BATCH, "CustomerStage.process (triggers/engine/customer.py:90)"]


@pytest.mark.parametrize(
    ("frames", "layer"),
    [
        ([*_ROOT], "event loop and all else"),
        ([*_RUN], "worker: batches, cache, metrics"),
        ([*_BATCH], "engine: around each record"),
        ([*_PROCESS, "usual (<usual>:40)"], "engine: usual way"),
        ([*_PROCESS, "apply_transaction (triggers/engine/transactions.py:9)"], "engine: general way"),
        ([*_PROCESS, "judge (<judge>:4)"], "engine: general way"),
        ([*_PROCESS, "choose (triggers/engine/journeys.py:3)"], "engine: candidates, gate, ladder"),
        (
            [*_PROCESS, "take_step (triggers/engine/ladder.py:3)", "from_ms (schemas/base.py:1)"],
            "engine: candidates, gate, ladder",
        ),
        ([*_PROCESS, "CustomerStage._run_due (triggers/engine/customer.py:200)"], "engine: timers"),
        (
            [*_BATCH, "_close (triggers/engine/batch.py:1)", "encode_state (triggers/engine/codec.py:1)"],
            "states encoded",
        ),
        ([*_BATCH, "Opened.__missing__ (triggers/engine/batch.py:1)", "decode_state (x.py:2)"], "states decoded"),
        ([*_RUN, "decode (schemas/decode.py:2)", "recognise (<recogniser of Transaction>:3)"], "records decoded"),
        ([*_RUN, "RedisStore.commit (streams/store_redis.py:2)", "call (redis/asyncio/client.py:3)"], "Redis"),
        (
            [*_RUN, "RedisStore.commit (streams/store_redis.py:2)", "compressed (streams/state_compression.py:3)"],
            "states compressed",
        ),
        ([*_RUN, "KafkaPublisher.publish (streams/publisher.py:2)"], "published to Kafka"),
        (["_fetch (streams/driver.py:2)", "getall (aiokafka/consumer/fetcher.py:9)"], "fetched from Kafka"),
        (["run (x.py:2)", "do (aiokafka/producer/sender.py:9)"], "published to Kafka"),
    ],
)
def test_a_sample_is_of_its_innermost_layer(frames: list[str], layer: str) -> None:
    """A helper counts for who called it."""
    assert layer_of(frames) == layer


def test_shares_are_told_as_time_too() -> None:
    """A quarter of 40 microseconds is ten."""
    rows = table([Profile("worker", 4, {"Redis": 10.0, "states encoded": 27.5}, {}, 2.5)]).splitlines()
    assert [row.split()[-2:] for row in rows if row.startswith("Redis")] == [["25.0%", "10.0"]]
    assert [row.split()[-1] for row in rows if row.startswith(("threads", "all"))] == ["2.5", "40.0"]


def test_a_thread_counts_for_the_time_that_it_ran() -> None:
    """However often it was seen; one without samples stands by itself."""
    redis, usual = "commit (streams/store_redis.py:1)", "usual (<usual>:1)"
    stacks = [(f"thread (7): Main;{usual}", 3), (f"thread (7): Main;{redis}", 1), (f"thread (9): It;{redis}", 400)]
    found = _profile("worker", stacks, {7: 40e-6, 9: 5e-6, 11: 2e-6})
    assert found.layers == pytest.approx({"engine: usual way": 30.0, "Redis": 15.0})
    assert found.functions == pytest.approx({"usual (<usual>)": 30.0, "commit (streams/store_redis.py)": 15.0})
    assert (found.samples, found.native_us) == (404, pytest.approx(2.0))


def test_the_drains_own_job_is_the_drains() -> None:
    """As many transactions of as many customers, those that the peers are not measured with, too; as the command has
    it that writes the page."""
    drained, profiled = parse(["drain"]), parse(["profile"])
    assert profiled.drain == [drained.warm + drained.events, drained.customers]
    assert f"profile --drain {profiled.drain[0]} {profiled.drain[1]} " in (ROOT / "Makefile").read_text("utf-8")


def test_what_a_worker_did_before_the_backlog_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the beginning of a span to its end; a thread that began meanwhile counts whole."""
    looks = iter([{7: 1.0}, {7: 3.0}, {7: 4.0, 9: 0.5}])
    monkeypatch.setattr(profile, "_of_threads", lambda _: next(looks))
    spent = profile._Spent(1)
    spent.begin()
    spent.end()
    assert spent.each(10) == pytest.approx({7: 0.1, 9: 0.05})
