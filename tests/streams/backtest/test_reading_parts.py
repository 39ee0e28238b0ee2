"""A large file that several processes read, each a part of it: nothing of a report says so."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from schemas.base import to_ms
from schemas.encode import encode
from streams.backtest import run as run_module
from streams.backtest import sources as sources_module
from streams.backtest.intake import Intake
from streams.backtest.report import as_json
from streams.event_file import MAX_LINE_BYTES, Part, parts_of, read_events
from tests.support.bank import at, profile, transaction
from tests.support.rules import ruleset, trigger
from triggers.casework.backtest import Arrival
from triggers.errors import Problem

RULES = ruleset(trigger("rich", lambda scope: scope.customer.balance > 50))


@pytest.fixture(autouse=True)
def _of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_module, "TOGETHER_BYTES", 1)


def some(count: int) -> list[Any]:
    """Events of twenty customers over some weeks, with all sorts of mistakes among them."""
    found: list[Any] = []
    for number in range(count):
        who = f"c{number % 20}"
        found.append(transaction(f"t{number}", number + 1, 10, number, occurred_at=at(number / 24), customer_id=who))
        if number % 29 == 3:
            found += ["", "no JSON", '{"topic": "bank.nothing", "key": "c1", "value": {}}']
        if number % 31 == 4:
            found.append('{"topic": "bank.transactions", "key": "c1", "value": {"tenant": "bank", "amount": true}}')
        if number % 37 == 5:
            found.append('{"topic": "bank.managers", "key": "m1", "value": {}}')
    return found


def report(bench: Any, path: Path, jobs: int, **options: Any) -> tuple[str, bytes]:
    actions = path.with_name(f"actions-{jobs}")
    result = bench.run(RULES, path, jobs=jobs, actions=actions, **options)
    return json.dumps(as_json(result)), actions.read_bytes()


@pytest.fixture
def parts_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """In how many parts each backtest has read its file."""
    counts: list[int] = []
    parts_for = run_module.parts_for

    def counted(*given: Any) -> list[Part]:
        parts = parts_for(*given)
        counts.append(len(parts))
        return parts

    monkeypatch.setattr(run_module, "parts_for", counted)
    return counts


@pytest.mark.parametrize("more", [{}, {"show_errors": 7, "since_ms": to_ms(at(2)), "until_ms": to_ms(at(9))}])
def test_several_readers_give_the_same_bytes_as_one(bench: Any, parts_read: list[int], more: dict[str, Any]) -> None:
    """Each mistake is told with its line, whoever met it; a time range and the first errors are the same."""
    path = bench.write("events.jsonl", some(300))
    one = report(bench, path, 1, **more)
    assert one == report(bench, path, 2, **more) == report(bench, path, 5, **more)
    assert parts_read == [0, 2, 5]
    assert len(json.loads(one[0])["errors"]["first"]) >= 7


def test_an_event_of_the_far_future_is_told_by_all_that_was_read(bench: Any, parts_read: list[int]) -> None:
    """What one reader alone would take for a pause, the lines that others read say is none."""
    records = some(200)
    for place in (1, len(records) // 2, len(records)):
        far = transaction("far", 10, 1, 1, occurred_at=at(27_000), customer_id="c1")
        path = bench.write("events.jsonl", [*records[:place], far, *records[place:]])
        one = report(bench, path, 1)
        assert "FROM_THE_FUTURE" in one[0]
        assert one == report(bench, path, 3)
    assert parts_read == [0, 3] * 3


def test_whose_events_they_are_the_first_of_them_says(bench: Any) -> None:
    """Not the first of a part."""
    other = transaction("t0", 10, 1, 1, customer_id="c1", tenant="another")
    path = bench.write("events.jsonl", ["no JSON", *some(50), other, *[other] * 100])
    one = report(bench, path, 1)
    assert one == report(bench, path, 4)
    assert "WRONG_TENANT" in one[0]


def test_of_a_file_without_any_event_the_errors_are_told(bench: Any) -> None:
    """Nobody knows then whose it is."""
    path = bench.write("events.jsonl", ["no JSON", "[]"] * 20)
    first, second = (bench.run(RULES, path, jobs=jobs) for jobs in (1, 3))
    assert as_json(first) == as_json(second)
    assert second.tally.errors.total() == 40


def test_a_file_that_cannot_be_read_to_its_end_is_read_by_one(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends where the error is: what stands behind it takes no part, though another reader had it."""
    path = bench.write("events.jsonl", some(100))

    def broken(path: Path, part: Part | None = None) -> Any:
        for number, line in enumerate(read_events(path, part)):
            if number == 20:
                yield Problem("e", 21, 1, "F001", "the file cannot be read: made up")
                return
            yield line

    monkeypatch.setattr(sources_module, "read_events", broken)
    one = bench.run(RULES, path, jobs=1)
    assert as_json(one) == as_json(bench.run(RULES, path, jobs=3))
    assert one.tally.errors["F001"] == 1


def test_an_interruption_while_several_read_leaves_nothing(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends every reader, and the temporary folder is gone."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def endless(*_: Any) -> Any:
        # Whoever comes first: a second one would come while the first is heeded.
        with suppress(FileExistsError):
            (tmp_path / "pressed").touch(exist_ok=False)
            os.kill(os.getppid(), signal.SIGINT)
        signal.pause()

    monkeypatch.setattr("streams.backtest.workers.read", endless)
    try:
        with pytest.raises(KeyboardInterrupt):
            bench.run(RULES, bench.write("events.jsonl", [*some(30), profile("p1", 1)]), jobs=2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert list(scratch.iterdir()) == []
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("end", ["", "\n"])
def test_the_parts_of_a_file_are_its_lines(tmp_path: Path, end: str) -> None:
    """Each line once, with its number, in however many parts; one that is too long stays whole."""
    path = tmp_path / "events.jsonl"
    lines = [f'{{"topic": "bank.profiles", "key": "c{n}", "value": {"1" * (n % 7 * 40)}0}}' for n in range(60)]
    lines[10:10] = ["", "no JSON", " ", "x" * (MAX_LINE_BYTES + 2)]
    path.write_text("\n".join(lines) + end)
    whole = list(read_events(path))
    assert len(whole) == 62
    for count in (1, 2, 3, 50, 500):
        parts = parts_of(path, count)
        assert 1 <= len(parts) <= count
        assert [line for part in parts for line in read_events(path, part)] == whole
    assert len(parts_of(path, 2)) == 2
    (tmp_path / "empty").touch()
    assert parts_of(tmp_path / "empty", 3) == []


def test_packed_files_and_several_are_read_by_one(bench: Any, parts_read: list[int]) -> None:
    """Several come in side by side, by their clocks."""
    for name in ("a.jsonl", "b.jsonl"):
        bench.write(name, some(20))
    bench.run(RULES, bench.folder / "a.jsonl", bench.folder / "b.jsonl", jobs=2)
    assert parts_read == [0]


def test_what_was_taken_in_parts_is_as_if_taken_at_once(tmp_path: Path) -> None:
    """Wherever it is parted: how far the time has come, by events that can be read."""
    topic = sources_module.CUSTOMER_TOPICS[0]
    days: list[float] = [1, 2, 27_000, 3, 4, 5, 28_000]
    values = [encode(transaction(f"t{n}", 1, 1, n, occurred_at=at(day))) for n, day in enumerate(days)]
    values[6] = values[6].replace(b'"amount"', b'"amounts"')  # in the year 2102, and no event
    given = [Arrival(topic, b"c1", value, 0, line) for line, value in enumerate(values, 1)]

    def taken(name: str, arrivals: list[Arrival]) -> Intake:
        (tmp_path / name).mkdir()
        intake = Intake(tmp_path / name, merge=False, tenant="bank")
        for one in arrivals:
            intake.add(one)
        return intake

    at_once = taken("whole", given)
    at_once.close()
    assert at_once.end_ms == to_ms(at(5))
    for cut in range(1, len(given)):
        parts = [taken(f"{cut}-1", given[:cut]).leave(), taken(f"{cut}-2", given[cut:]).leave()]
        joined = Intake(tmp_path, merge=False, tenant="bank")
        (share,) = joined.join(parts)
        assert (joined.end_ms, joined.taken) == (at_once.end_ms, at_once.taken)
        assert [path.parent.name for path in share] == [f"{cut}-1", f"{cut}-2"]
