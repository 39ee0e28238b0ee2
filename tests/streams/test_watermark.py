"""The time that a partition's records have reached."""

from __future__ import annotations

from schemas.topics import TOPIC
from streams.stages import Routes
from streams.watermark import Watermark
from tests.support.processing import START_MS, B, behaviour
from tests.support.toy_stage import ToyStage
from triggers.engine.batch import decode_batch


def test_an_older_record_does_not_put_the_time_back() -> None:
    """A late record is no reason to let timers wait that were due already."""
    stage, watermark = ToyStage(), Watermark()
    routes = Routes([stage], prefix="", topics=(TOPIC[B],)).of_stage("customer")
    for offset, at in enumerate((START_MS, START_MS + 5_000, START_MS + 1)):
        watermark.saw(B, decode_batch(stage, TOPIC[B], "bank", [behaviour(offset, "c1", at=at)]))
    assert watermark.newest(routes) == START_MS + 5_000
    assert watermark.reached(routes, {B: 3}, lambda _topic, _position: 0) == START_MS + 5_000
