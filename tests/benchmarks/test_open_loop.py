"""The open loop sends each event at its time, whatever becomes of the others, and owns up to being late."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import open_loop

RATE = 100.0
COUNT = 50


class Sender:
    """Kafka's producer, and the clock: a call of one may stall the other."""

    def __init__(self, stall_at: int, stall_s: float) -> None:
        self.now = 1_000.0
        self.sent: list[tuple[float, bytes]] = []
        self.stall_at, self.stall_s = stall_at, stall_s

    def list_topics(self, _topic: str, timeout: float) -> None:
        assert timeout > 0

    def produce(self, _topic: str, value: bytes, _key: bytes) -> None:
        self.sent.append((self.now, value))
        if len(self.sent) == self.stall_at:
            self.now += self.stall_s

    def poll(self, _timeout: float) -> None:
        pass

    def flush(self, _timeout: float) -> int:
        return 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("stall_s", [0.0, 0.2])
def test_each_event_is_sent_at_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stall_s: float
) -> None:
    """Never before it; behind a stall, which is told, all that became due meanwhile follow at once."""
    flow = tmp_path / "flow"
    flow.write_bytes(b"".join(b"c%d\t%d\n" % (number % 7, number) for number in range(COUNT)))
    sender = Sender(stall_at=20, stall_s=stall_s)

    def producer(_settings: Any) -> Sender:
        return sender

    monkeypatch.setattr(open_loop, "Producer", producer)
    monkeypatch.setattr(open_loop, "time", sender)
    open_loop.main("nowhere:9092", "flow", flow, RATE)
    told = json.loads(capsys.readouterr().out)
    begin, tick = told["begin"], 0.002
    assert [value for _, value in sender.sent] == [b"%d" % number for number in range(COUNT)]
    lates = [at - (begin + number / RATE) for number, (at, _) in enumerate(sender.sent)]
    assert min(lates) > -1e-6
    assert max(lates) == pytest.approx(told["late"])
    # The event behind the stall was due a hundredth of a second after the one that began it.
    assert max(lates) == pytest.approx(max(0.0, stall_s - 1 / RATE), abs=tick)
    assert max(lates[:20] + lates[20 + int(stall_s * RATE) + 1 :]) <= tick
