"""The benchmark of latencies, without a broker: who is charged for what, which figures are targets, what is void."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import MagicMock

import pytest

from tests.benchmarks import latency, watched
from tests.benchmarks.latency import Figure, at_pace, figure_of, table, targets, together, too_few
from tests.benchmarks.watched import Drained, grown, repeated
from tests.benchmarks.work import holdings, profiles, transactions
from tests.support.system import Event

_SINCE: Final = datetime(2026, 3, 6, 1, tzinfo=UTC)
_RATE: Final = 1_000.0
_WARM: Final = 2_000
"""Events of the first seconds."""
_BEGIN: Final = 50.0
_EXAMPLE: Final = Path(__file__).parents[2] / "schemas" / "examples" / "outreach.push" / "action.json"
_BEFORE: Final = """# TYPE bank_triggers_gc_pause_seconds histogram
bank_triggers_gc_pause_seconds_bucket{generation="0",le="0.01"} 5
bank_triggers_gc_pause_seconds_bucket{generation="0",le="0.1"} 5
bank_triggers_gc_pause_seconds_bucket{generation="2",le="0.01"} 1
bank_triggers_gc_pause_seconds_bucket{generation="2",le="0.1"} 1
bank_triggers_gc_pause_seconds_sum{generation="0"} 0.02
bank_triggers_gc_pause_seconds_sum{generation="2"} 0.01
# TYPE bank_triggers_batch_records histogram
bank_triggers_batch_records_sum{stage="customer"} 100
bank_triggers_batch_records_count{stage="customer"} 2
# TYPE bank_triggers_batch_seconds histogram
bank_triggers_batch_seconds_sum{phase="load"} 1
bank_triggers_batch_seconds_count{phase="load"} 10
# TYPE bank_triggers_batch_wait_seconds histogram
bank_triggers_batch_wait_seconds_sum{record="first"} 1
bank_triggers_batch_wait_seconds_count{record="first"} 2
"""
_AFTER: Final = """# TYPE bank_triggers_gc_pause_seconds histogram
bank_triggers_gc_pause_seconds_bucket{generation="0",le="0.01"} 7
bank_triggers_gc_pause_seconds_bucket{generation="0",le="0.1"} 7
bank_triggers_gc_pause_seconds_bucket{generation="2",le="0.01"} 1
bank_triggers_gc_pause_seconds_bucket{generation="2",le="0.1"} 2
bank_triggers_gc_pause_seconds_sum{generation="0"} 0.03
bank_triggers_gc_pause_seconds_sum{generation="2"} 0.06
# TYPE bank_triggers_batch_records histogram
bank_triggers_batch_records_sum{stage="customer"} 400
bank_triggers_batch_records_count{stage="customer"} 6
# TYPE bank_triggers_batch_seconds histogram
bank_triggers_batch_seconds_sum{phase="load"} 1.5
bank_triggers_batch_seconds_count{phase="load"} 20
bank_triggers_batch_seconds_sum{phase="publish"} 0.3
bank_triggers_batch_seconds_count{phase="publish"} 10
# TYPE bank_triggers_batch_wait_seconds histogram
bank_triggers_batch_wait_seconds_sum{record="first"} 1.2
bank_triggers_batch_wait_seconds_count{record="first"} 6
bank_triggers_batch_wait_seconds_sum{record="last"} 0.04
bank_triggers_batch_wait_seconds_count{record="last"} 4
"""


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Three seconds of them; the last second counts."""
    return at_pace(transactions(3_000, 300), _SINCE, _RATE)


def _action(event: Event, **changes: Any) -> bytes:
    """What the event caused, at its own time."""
    body = json.loads(event.value)
    own = {"occasion": f"transaction:{body['event_id']}", "created_at": body["occurred_at"], "step": 0}
    return json.dumps(json.loads(_EXAMPLE.read_bytes()) | own | changes).encode()


def _figure(
    events: Sequence[Event], messages: Sequence[tuple[float, bytes]], told: Mapping[str, float] | None = None
) -> Figure:
    return figure_of(0.5, _RATE, events, told or {"begin": _BEGIN, "late": 0.0}, messages, 0.3, _BEFORE, _AFTER)


def _answers(events: Sequence[Event], waits: Mapping[int, float]) -> list[tuple[float, bytes]]:
    """Actions of some of the events by their numbers, each so many seconds after it was meant to be sent."""
    return [(_BEGIN + number / _RATE + wait, _action(events[number])) for number, wait in waits.items()]


def test_the_time_runs_from_when_an_event_was_meant_to_be_sent(events: list[Event]) -> None:
    """A sender that stood still is charged: how late it was takes nothing off a latency."""
    messages = _answers(events, {2_000: 0.010, 2_500: 0.020})
    for late in (0.0, 7.0):
        figure = _figure(events, messages, {"begin": _BEGIN, "late": late})
        assert figure.p50 == pytest.approx(10, rel=0.01)
        assert figure.longest == pytest.approx(20, rel=0.01)
        assert figure.sender_late == late * 1000


def test_the_first_seconds_and_what_was_decided_later_do_not_count(events: list[Event]) -> None:
    """Later steps, what waited, withdrawals and actions of others' events are no answers to an event."""
    before, counts = events[_WARM - 1], events[_WARM]
    elsewhere = Event("", b"", counts.value.replace(b'"t', b'"other-t'))
    later = (datetime.fromisoformat(json.loads(counts.value)["occurred_at"]) + timedelta(hours=1)).isoformat()
    messages = [
        (60.0, _action(before)),
        (60.0, _action(elsewhere)),
        (60.0, _action(counts, step=1)),
        (60.0, _action(counts, created_at=later)),
        (60.0, b'{"type": "cancellation"}'),
        *_answers(events, {_WARM: 0.030}),
    ]
    figure = _figure(events, messages)
    assert (figure.events, figure.counted, figure.actions) == (3_000, 1_000, 1)
    assert figure.longest == pytest.approx(30, rel=0.01)
    with pytest.raises(SystemExit, match="none of 5 messages"):
        _figure(events, messages[:-1])


def test_each_percentile_is_what_its_name_says(events: list[Event]) -> None:
    """Of a thousand actions that took 1 to 1,000 ms; the rounds of a rate together, and only half of the drain's rate
    has targets."""
    figure = _figure(events, _answers(events, {_WARM + n: (n + 1) / 1000 for n in range(1_000)}))
    assert (figure.p50, figure.p99, figure.p999) == pytest.approx((500, 990, 999), rel=0.002)
    quick = _figure(events, _answers(events, {_WARM + n: 0.001 for n in range(1_000)}))
    fast = replace(figure, share=0.8)
    found = targets([[figure, fast], [quick, fast]])
    assert [(target.figure.split(": ")[1], target.wanted) for target in found] == [("p99 ms", 50), ("p99.9 ms", 250)]
    assert [target.found for target in found] == pytest.approx([980, 998], rel=0.002)
    assert [target.lowest for target in found] == pytest.approx([1, 1], rel=0.002)
    assert [target.highest for target in found] == pytest.approx([990, 999], rel=0.002)
    assert all(target.at_most for target in found)
    assert together([figure, quick]).get_total_count() == 2_000
    assert targets([[fast]]) == []


def test_the_table_has_the_rates_of_all_rounds(events: list[Event]) -> None:
    """Their median and range: what a round drained decides how fast it sends."""
    figure = _figure(events, _answers(events, {_WARM + n: 0.001 for n in range(1_000)}))
    shown = table([[replace(figure, rate=rate)] for rate in (1_000.0, 3_000.0, 7_000.0)])
    half, spans = (line.split() for line in shown.splitlines()[1:3])
    assert half[:2] == ["50%", "3,000"]
    assert spans[:2] == ["range", "1,000-7,000"]


def test_events_keep_their_order_at_the_pace_they_are_sent_at(events: list[Event]) -> None:
    """Each has the time at which it is meant to be sent; nothing else of it changes."""
    plain = list(transactions(3_000, 300))
    bodies = [(json.loads(old.value), json.loads(new.value)) for old, new in zip(plain, events, strict=True)]
    assert {name for old, new in bodies for name in old if old[name] != new[name]} == {"occurred_at"}
    assert [datetime.fromisoformat(new["occurred_at"]) for _, new in bodies] == [
        _SINCE + timedelta(milliseconds=number) for number in range(1, 3_001)
    ]


def test_pauses_and_batches_are_those_of_the_hold(events: list[Event]) -> None:
    """What was there before it is taken off; of all generations together."""
    figure = _figure(events, _answers(events, {_WARM: 0.001}))
    assert (figure.pauses, figure.longest_pause, figure.pause_ms) == (3, "0.1", pytest.approx(60))
    assert (figure.batch_records, figure.phases) == (75, pytest.approx({"load": 50, "publish": 30}))
    assert figure.waits == pytest.approx({"first": 50, "last": 10})
    assert figure.cpu_us == pytest.approx(100)
    text = table([[figure]])
    assert "3, 60.0, <= 0.1 s" in text
    assert "a batch: 75 records; load 50.0 ms, publish 30.0 ms" in text
    assert "before a batch: its first record waits 50.0 ms, its last record waits 10.0 ms" in text
    with pytest.raises(SystemExit, match="have no bank_triggers_other"):
        grown(_BEFORE, _AFTER, "other")


def test_a_hold_with_few_actions_is_void(events: list[Event]) -> None:
    """So few that they have no 99th percentile, or far fewer for its events than another hold of its rate."""
    full = _figure(events, _answers(events, {_WARM + n: 0.001 for n in range(300)}))
    assert too_few([[full], [replace(full, actions=150)]]) == ""
    silenced = too_few([[full], [replace(full, actions=149)]])
    assert silenced == "void: too few actions in round 2 at 50%; rounds: 300 of 1,000 events, 149 of 1,000 events"
    assert too_few([[replace(full, actions=99)]]).startswith("void")
    # At half of the rate there are half as many events.
    assert too_few([[full], [replace(full, actions=150, counted=500)]]) == ""
    assert "actions by round: 300, 299" in table([[full], [replace(full, actions=299)]])


def test_customers_of_each_hold_are_its_own_and_do_the_same() -> None:
    """All ids are others, whatever else an event says is the same."""
    ids = {"event_id", "customer_id", "account_id", "holding_id"}
    for source in (profiles, holdings, lambda count, first=0: transactions(200, count, first=first)):
        one, other = ([json.loads(event.value) for event in source(40, first)] for first in (0, 40))
        assert [{k: v for k, v in body.items() if k not in ids} for body in one] == [
            {k: v for k, v in body.items() if k not in ids} for body in other
        ]
        for name in ids & one[0].keys():
            assert not {body[name] for body in one} & {body[name] for body in other}


def test_what_stands_twice_voids_a_run_without_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """An oracle's verdict takes repeats for a crash; here there was none."""
    for messages, batches in ((0, 0), (1, 0), (0, 2)):
        verdict = SimpleNamespace(repeated_messages=messages, repeated_batches=batches)
        monkeypatch.setattr(watched, "check_against_oracle", lambda _, told=verdict, **__: told)
        with pytest.raises(SystemExit, match="stand there twice") if messages + batches else nullcontext():
            watched.check_undisturbed(MagicMock())
    assert repeated(0, 0) == ""
    assert repeated(1, 0).startswith("void: 1 messages and 0 batches")
    assert repeated(0, 2).startswith("void: 0 messages and 2 batches")


def _hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, figures: Sequence[Figure], check: Any) -> None:
    """A run of a round for each of the figures, its worker and its broker left out."""
    left = iter(figures)
    monkeypatch.setattr(latency, "KafkaBroker", lambda _: nullcontext(SimpleNamespace(bootstrap="")))
    monkeypatch.setattr(latency, "EmbeddedRedis", lambda *_, **__: nullcontext(SimpleNamespace(url="")))
    monkeypatch.setattr(latency, "System", lambda *_, **__: nullcontext(MagicMock()))
    monkeypatch.setattr(latency, "time_drain", lambda *_: Drained(100, 1.0, 1.0))
    monkeypatch.setattr(latency, "hold", lambda *_: next(left))
    monkeypatch.setattr(latency, "check_undisturbed", check)
    sizes = {"events": 20, "customers": 4, "seconds": 0.1, "shares": [0.5]}
    pace = {"rounds": len(figures), "minutes": None, "until": None}
    latency.run(argparse.Namespace(**sizes, **pace, pictures=None, json=tmp_path / "latency.json"))


def test_each_round_is_held_against_the_oracle(
    events: list[Event], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its own system; one that differs ends the run."""
    figure = _figure(events, _answers(events, {_WARM + n: 0.001 for n in range(300)}))
    checked: list[object] = []

    def differ_at_last(system: object) -> None:
        assert system not in checked
        checked.append(system)
        if len(checked) == 3:
            raise SystemExit("void: 1 messages")

    _hold(monkeypatch, tmp_path, [figure, figure], differ_at_last)
    assert len(checked) == 2
    assert (tmp_path / "latency.json").exists()
    with pytest.raises(SystemExit, match="void: 1 messages"):
        _hold(monkeypatch, tmp_path, [figure, figure], differ_at_last)


def test_a_run_with_a_hold_of_few_actions_ends_as_void(
    events: list[Event], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It leaves no figures."""
    full = _figure(events, _answers(events, {_WARM + n: 0.001 for n in range(300)}))
    with pytest.raises(SystemExit, match="void: too few actions in round 2 at 50%"):
        _hold(monkeypatch, tmp_path, [full, replace(full, actions=149)], lambda _: None)
    assert not (tmp_path / "latency.json").exists()
