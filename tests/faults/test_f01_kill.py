"""F1: SIGKILL of a worker: mid-evaluation, mid-publish, after publish, after commit, at any moment."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final, get_args

import pytest

from streams.fail_points import Place
from tests.support.faults import INDEPENDENT, SHIPPED, await_shared, fault_system, history, settle
from tests.support.oracle_check import Verdict
from tests.support.system import System
from tests.support.worker_process import wait_until

SIGKILLED = -9
TOGETHER = 4
"""So many seeds in a row share a system, whose steady worker lives through all of their kills."""
MOST: Final[Mapping[Place, int]] = {"mid_evaluation": 150, "after_publish": 15, "after_commit": 15, "mid_publish": 15}
"""Each moment of a batch, and the how many-th time there may be the last. Odd seeds reach all; the fixed one is odd."""


class Grounds:
    """One system at a time, for the seeds of one group; every other group runs the triggers that ship."""

    def __init__(self, kafka: str, redis_url: str, folders: pytest.TempPathFactory) -> None:
        self._where = kafka, redis_url
        self._folders = folders
        self._open = ExitStack()
        self._group: int | None = None
        self._system: System | None = None
        self._before: Verdict | None = None
        self.order_free = True

    @contextmanager
    def of(self, seed: int) -> Iterator[System]:
        """The system of a seed, with its steady worker running. One in which something failed is not used again."""
        group = (seed - 1) // TOGETHER
        if group != self._group:
            self.close()
            self.order_free = group % 2 == 0
            self._system = self._open.enter_context(
                fault_system(
                    *self._where,
                    self._folders.mktemp("ground"),
                    name=f"f01-{group}",
                    rules=INDEPENDENT if self.order_free else SHIPPED,
                    partitions=5,
                    max_batch=8,
                    session_timeout_ms=2_000,
                )
            )
            self._system.start_worker()
            self._group = group
            self._before = None
        assert self._system is not None
        try:
            yield self._system
        except BaseException as error:
            self._group = None
            self._open.__exit__(type(error), error, error.__traceback__)
            raise

    def since(self, verdict: Verdict) -> tuple[int, int]:
        """The batches published twice and the actions since the last seed's verdict: a system's count all of its."""
        before, self._before = self._before, verdict
        return (
            verdict.repeated_batches - (before.repeated_batches if before else 0),
            verdict.actions - (before.actions if before else 0),
        )

    def close(self) -> None:
        self._group = None
        self._open.close()


@pytest.fixture(scope="session")
def grounds(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    """The systems of many seeds."""
    made = Grounds(kafka, redis_url, tmp_path_factory)
    yield made
    made.close()


def test_every_moment_is_among_those_tried() -> None:
    """A place that is added to a worker's fail points must be added here."""
    assert MOST.keys() == set(get_args(Place))


@pytest.mark.many_seeds(together=TOGETHER)
def test_workers_killed_at_each_moment_of_a_batch_lose_nothing_and_repeat_nothing_else(
    grounds: Grounds, seed: int
) -> None:
    """Five workers; one kills itself in the middle of an evaluation, one between publish and commit, one between

    commit and acknowledgement, and one between the journal entry and the messages of a batch, or, with even seeds, is
    killed at a moment of the seed's: ids, bodies and states are the oracle's.
    """
    rng = random.Random(seed)
    with grounds.of(seed) as system:
        (steady,) = (worker for worker in system.workers if worker.running)
        last = system.start_worker() if seed % 2 == 0 else None
        moments = {
            place: system.start_worker(fail_point=f"{place}:{rng.randint(1, most)}")
            for place, most in MOST.items()
            if last is None or place != "mid_publish"
        }
        killed = [*moments.values(), *filter(None, [last])]
        await_shared(system, steady, *killed)

        for worker in (steady, *killed):
            worker.pause()
        system.publish(history(seed, 100, part=(seed - 1) % TOGETHER))
        done = {worker: system.batches_done(worker.owned()) for worker in killed}
        for worker in (steady, *killed):
            worker.resume()
        if last is not None:
            batches, moment = rng.randint(1, 15), rng.uniform(0, 0.03)
            wait_until(
                lambda: system.batches_done(last.owned()) >= done[last] + batches, "the worker to be killed goes on"
            )
            time.sleep(moment)
            last.kill()
        for worker in killed:
            assert worker.wait(60) == SIGKILLED, f"{worker}"
        for place, worker in moments.items():
            assert re.search(rf"fail point {place}:\d+ is reached$", worker.text(), re.MULTILINE), f"{worker}"

        verdict = settle(system, order_free=grounds.order_free)
        assert steady.running
        repeated_batches, actions = grounds.since(verdict)
        assert repeated_batches >= 1, "no batch was published twice"
        assert actions >= 300, verdict
