"""Fail points: a worker dies at the named place and time, and one without has nothing in its batches' way."""

from __future__ import annotations

import os
from typing import Any

import pytest

from schemas.topics import JOURNAL_TOPIC
from streams import collector, worker
from streams.collector import Pauses
from streams.fail_points import FailPoint, arm, read_fail_point
from streams.partition import Services
from streams.settings import load_settings
from streams.signing import ANYONE, Release
from tests.support.processing import START_MS, Raw, World, behaviour, feedback
from tests.support.rules import ruleset
from tests.support.toy_stage import BEHAVIOUR, EVERY, FEEDBACK


@pytest.mark.parametrize(
    ("point", "last_step"),
    [
        ("mid_evaluation:1", ("announce", 1)),
        ("mid_evaluation:2", ("announce", 1)),
        (f"mid_evaluation:{EVERY + 1}", ("announce", 2)),
        ("mid_publish:1", ("publish", 1)),
        ("mid_publish:2", ("publish", 2)),
        ("after_publish:1", ("publish", 1)),
        ("after_publish:2", ("publish", 2)),
        ("after_commit:1", ("commit", 1)),
        ("after_commit:2", ("commit", 2)),
    ],
)
async def test_the_worker_dies_at_the_place_and_time_that_are_named(
    monkeypatch: pytest.MonkeyPatch, point: str, last_step: tuple[str, int]
) -> None:
    """Once, right after its last step: nothing is published, committed or acknowledged in between."""
    world = World()
    steps: list[Any] = []
    published: list[str] = []

    def kill(pid: int, sign: int) -> None:
        assert (pid, sign) == (os.getpid(), 9)
        steps.append(world.trace[-1])
        published.extend(message.topic for _, message in world.publisher.messages)

    monkeypatch.setattr(os, "kill", kill)
    records: list[Raw] = [behaviour(offset, "c1") for offset in range(EVERY)]
    more: list[Raw] = [feedback(0, "c1", at=START_MS + 1)]
    world.log.add(BEHAVIOUR.name, 0, *records)
    mortal = world.worker()
    armed = read_fail_point(point)
    assert str(armed) == point
    assert armed is not None
    arm(mortal.processor._services, armed)
    await mortal.take_over(0)
    await mortal.submit(BEHAVIOUR.name, records)
    await mortal.done(EVERY - 1)
    world.log.add(FEEDBACK.name, 0, *more)  # not before: what lies unread of it at a take-over is read first
    await mortal.submit(FEEDBACK.name, more)
    await mortal.done(0)
    assert steps == [last_step]
    if point == "mid_publish:1":
        assert published == [JOURNAL_TOPIC]
    elif point == "after_publish:1":
        assert len(published) > 1
    await mortal.processor.stop()


@pytest.mark.parametrize("point", [None, "after_publish:3"])
def test_a_worker_without_a_fail_point_has_its_parts_as_they_are(
    monkeypatch: pytest.MonkeyPatch, point: str | None
) -> None:
    """No part of it is wrapped and nothing of the module is called; with one, exactly that part is."""
    built: list[Services] = []
    called: list[FailPoint] = []

    class Stopped(Exception):
        pass

    def processor(services: Services, *_: object) -> None:
        built.append(services)
        raise Stopped

    def recording(services: Services, point: FailPoint) -> None:
        called.append(point)
        arm(services, point)

    monkeypatch.setattr(worker, "Processor", processor)
    monkeypatch.setattr(worker, "arm", recording)
    monkeypatch.setattr(collector, "tune", Pauses)
    environ = {} if point is None else {"BANK_TRIGGERS_FAIL_POINT": point}
    with pytest.raises(Stopped):
        worker.run(load_settings(environ=environ), Release(ruleset()), ANYONE)
    (services,) = built
    assert [str(one) for one in called] == ([] if point is None else [point])
    parts = {"store": services.store, "publisher": services.publisher}
    parts |= {name: services.routes.stage(name) for name in services.routes.stages}
    changed = [
        (name, attribute) for name, part in parts.items() for attribute in vars(part) if hasattr(type(part), attribute)
    ]
    assert changed == ([] if point is None else [("publisher", "publish")])
