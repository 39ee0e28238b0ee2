"""A backtest over files: as a worker would do it, the same bytes however it is run, bounded, and clean after itself."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from schemas.base import to_ms
from schemas.journal import RecordBatch, TimerBatch
from schemas.topics import TOPIC
from streams.backtest import spill as spill_module
from streams.backtest import workers as workers_module
from streams.backtest.page import render
from streams.backtest.report import as_json
from streams.backtest.sources import NoEvents, find_files
from streams.backtest.workers import WorkerLost
from streams.commands.library import SHIPPED
from streams.event_file import EventLine, read_events
from streams.simulator import BankPlan, simulate_bank
from streams.stages import Routes
from streams.watermark import Watermark
from tests.support.bank import at, profile, transaction
from tests.support.rules import DAY, ruleset, trigger
from tests.support.worker_process import wait_until
from triggers.casework.backtest import drafts_in_shadow
from triggers.engine.batch import decode_batch, run_records, run_timers
from triggers.engine.customer import CustomerStage
from triggers.language.loader import load_ruleset
from triggers.language.model import OnSilence, RuleSet

ROOT = Path(__file__).parents[3]
PLAN = BankPlan(events=4_000)


def shipped() -> RuleSet:
    loaded = load_ruleset([SHIPPED]).ruleset
    assert loaded is not None
    return loaded


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated bank's events with all their mistakes, in one file."""
    path = tmp_path_factory.mktemp("bank") / "events.jsonl"
    with path.open("wb") as file:
        for record in simulate_bank(PLAN):
            key = json.dumps(None if record.key is None else record.key.decode()).encode()
            value = b" ".join((record.value or b"null").splitlines())
            file.write(b'{"topic":"%b","key":%b,"value":%b}\n' % (record.topic.encode(), key, value))
    return path


class Message:
    """A message as a worker reads it."""

    def __init__(self, line: EventLine) -> None:
        self.offset = line.line
        self.key = None if line.key is None else line.key.encode()
        self.value = line.value


def as_a_worker_would(path: Path, rules: RuleSet) -> list[dict[str, Any]]:
    """What a worker on the records' clock publishes: batches of one topic in order of arrival, then the due timers."""
    stage, states, watermark = CustomerStage("bank"), {}, Watermark()
    messages = []
    entry = {"tenant": "bank", "partition": 0, "sequence": 1, "epoch": 1, "stage": "customer", "ruleset": rules.hash}
    clock: dict[str, Any] = {"clock": "record", "now_ms": 0}
    for line in read_events(path):
        if isinstance(line, EventLine) and TOPIC[line.topic].stage == "customer":
            message = Message(line)
            decoded = decode_batch(stage, TOPIC[line.topic], "bank", [message])
            for key in decoded.keys:
                states.setdefault(key, stage.fresh(key))
            batch = RecordBatch(topic=line.topic, first_offset=line.line, last_offset=line.line, **entry, **clock)
            messages += run_records(stage, batch, TOPIC[line.topic], decoded, states, rules).messages
            watermark.saw(line.topic, decoded)
    until = watermark.newest(Routes([stage]).of_stage("customer"))
    assert until is not None
    due = TimerBatch(until_ms=until, limit=len(states), **entry, **clock)
    messages += run_timers(stage, due, sorted(states), states, rules).messages
    bodies = [json.loads(message.value or b"") for message in messages if message.topic.startswith("outreach.")]
    return [body for body in bodies if "decision_id" not in body]


def test_it_does_what_a_worker_does(
    bench: Any, bank: Path, tmp_path: Path, read_actions: Callable[[Path], list[dict[str, Any]]]
) -> None:
    """On a bank with late, repeated, reversed and spoiled events: the same actions and withdrawals, byte for byte."""
    rules = shipped()
    wanted = as_a_worker_would(bank, rules)
    result = bench.run(rules, bank, actions=tmp_path / "actions.jsonl")
    got = read_actions(tmp_path / "actions.jsonl")
    assert len(got) > 100
    assert {body["type"] for body in got} == {"action", "cancellation"}

    def in_order(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(bodies, key=lambda body: (body["action_id"], body["type"]))

    assert in_order(got) == in_order(wanted)
    assert result.tally.actions.total() == sum(body["type"] == "action" for body in got)
    assert result.tally.errors["TOO_LATE"] > 0
    assert set(result.strays) == {
        "bank.channel-behaviour",
        "bank.customer-merges",
        "bank.identity-links",
        "bank.managers",
    }


def everything(result: Any, actions: Path) -> tuple[str, str, bytes]:
    return json.dumps(as_json(result)), render(result), actions.read_bytes()


def test_the_same_input_gives_the_same_bytes_on_any_number_of_cores(
    bench: Any, bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory or from disk, with one process or three: JSON, page and actions are equal."""
    rules, actions = drafts_in_shadow(shipped()), tmp_path / "actions.jsonl"
    wanted = everything(bench.run(rules, bank, actions=actions), actions)
    assert everything(bench.run(rules, bank, actions=actions, jobs=3), actions) == wanted
    monkeypatch.setattr(spill_module, "BUFFER_BYTES", 50_000)
    monkeypatch.setattr(spill_module, "SHARE_BYTES", 4_000)
    assert everything(bench.run(rules, bank, actions=actions, jobs=2), actions) == wanted
    assert everything(bench.run(rules, bank, actions=actions), actions) == wanted


def test_every_input_error_is_counted_and_located(bench: Any, bank: Path) -> None:
    """Each bad line by file, line and code; the counts are those of the dead letters a worker would write."""
    result = bench.run(shipped(), bank, show_errors=10_000)
    lines = bank.read_bytes().splitlines()
    assert result.tally.errors.total() == len(result.tally.located) > 5
    for error in result.tally.located:
        if error.code == "WRONG_TENANT":
            assert b'"tenant":"bank"' not in lines[error.position - 1]
        if error.code == "MISSING_KEY":
            assert b'"key":null' in lines[error.position - 1]
    assert {"F002", "MISSING_FIELD", "TOO_LATE", "MISSING_KEY"} <= set(result.tally.errors)
    few = bench.run(shipped(), bank, show_errors=3)
    assert few.tally.located == result.tally.located[:3]
    assert few.tally.errors == result.tally.errors


def test_a_damaged_file_is_an_error_where_it_breaks_off(bench: Any, tmp_path: Path) -> None:
    """What was read before counts; the report says that it is not complete."""
    whole = bench.write("events.jsonl", [transaction(f"t{n}", n, 1, n) for n in range(1, 2_000)])
    packed = gzip.compress(whole.read_bytes())
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(packed[: len(packed) // 2])
    result = bench.run(ruleset(trigger("one")), cut)
    (error,) = result.tally.located
    assert (error.code, error.problem) == (
        "F001",
        "the file cannot be read: the gzip data is damaged or cut off",
    )
    assert error.position == result.tally.events.total() + 1 > 100
    assert not result.complete
    assert as_json(result)["input"]["complete"] is False


def test_an_empty_input_is_a_report_of_nothing(bench: Any) -> None:
    """On every output."""
    result = bench.run(shipped(), bench.write("events.jsonl", []))
    report = as_json(result)
    assert report["input"]["customers"] == report["actions"]["total"] == report["errors"]["total"] == 0
    assert report["input"]["clock_stopped"] is None
    assert "No action." in render(result)


def test_a_folder_is_read_as_publishers_side_by_side(bench: Any) -> None:
    """A file for each topic: the silence is over before the event that the other file tells of it, as in one file."""
    rules = ruleset(trigger("quiet", on=(OnSilence("transaction", None, 3 * DAY),)))
    spent = [transaction(f"t{n}", n, 1, n, occurred_at=at(n)) for n in range(1, 10)]
    seen = [profile(f"p{n}", n, tier="mid", occurred_at=at(n + 0.5)) for n in range(1, 20)]
    one = bench.write("one/events.jsonl", sorted([*spent, *seen], key=lambda record: record.occurred_at)).parent
    bench.write("two/profiles.jsonl", seen)
    two = bench.write("two/transactions.jsonl", spent).parent
    (single, several) = (as_json(bench.run(rules, folder)) for folder in (one, two))
    assert several.pop("input")["sources"] == ["profiles.jsonl", "transactions.jsonl"]
    single.pop("input")
    assert single == several
    assert single["actions"]["by_day"] == {"2026-03-14": 1}


def test_folders_are_searched_and_name_no_place_of_the_machine(bench: Any, tmp_path: Path) -> None:
    """Files are known by their place in the folder, in the order of their names."""
    bench.write("events/b.jsonl", ["bad"])
    bench.write("events/a/2.jsonl", [])
    (tmp_path / "events" / "a" / "1.jsonl.gz").write_bytes(gzip.compress(b""))
    bench.write("events/notes.txt", ["no events"])
    assert [source.name for source in find_files([tmp_path / "events"])] == ["a/1.jsonl.gz", "a/2.jsonl", "b.jsonl"]
    result = bench.run(shipped(), tmp_path / "events")
    assert str(tmp_path) not in json.dumps(as_json(result)) + render(result)
    assert as_json(result)["errors"]["first"][0]["source"] == "b.jsonl"


@pytest.mark.parametrize(
    ("name", "said"), [("gone", "there is no such file"), ("empty", "no event file in this folder")]
)
def test_nothing_to_read_is_said(tmp_path: Path, name: str, said: str) -> None:
    """A path that is not there, a folder without event files."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoEvents, match=said):
        find_files([tmp_path / name])


def test_time_goes_to_until_and_events_outside_are_left_out(bench: Any) -> None:
    """The clock runs on to ``until`` where it lies after the last event."""
    rules = ruleset(trigger("quiet", on=(OnSilence("transaction", None, 3 * DAY),)))
    path = bench.write("e.jsonl", [transaction(f"t{n}", n, 1, n, occurred_at=at(n)) for n in range(1, 10)])
    assert bench.run(rules, path).tally.actions.total() == 0
    result = bench.run(rules, path, since_ms=to_ms(at(2)), until_ms=to_ms(at(5)))
    assert (result.left_out, result.tally.events.total(), result.tally.actions.total()) == (5, 4, 0)
    assert bench.run(rules, path, until_ms=to_ms(at(12))).tally.actions.total() == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_event_of_the_far_future_is_an_input_error(bench: Any, jobs: int) -> None:
    """It is located and counted, takes no part and moves no clock: all else is as without it."""
    rules = ruleset(trigger("quiet", on=(OnSilence("transaction", None, 3 * DAY),)))
    spent = [transaction(f"t{n}", n, 1, n, occurred_at=at(n)) for n in range(1, 10)]
    far = transaction("far", 99, 1, 99, occurred_at=at(27_000))
    wanted = as_json(bench.run(rules, bench.write("e.jsonl", spent)))
    result = bench.run(rules, bench.write("e.jsonl", [*spent[:4], far, *spent[4:]]), jobs=jobs)
    assert [(error.position, error.code, error.field) for error in result.tally.located] == [
        (5, "FROM_THE_FUTURE", "occurred_at")
    ]
    got = as_json(result)
    assert got["errors"]["by_code"] == {"FROM_THE_FUTURE": 1}
    assert got["actions"] == wanted["actions"]
    assert got["input"]["clock_stopped"] == wanted["input"]["clock_stopped"]
    limited = bench.run(rules, bench.write("e.jsonl", [*spent, far]), until_ms=to_ms(at(12)))
    assert (limited.left_out, limited.tally.actions.total(), limited.tally.errors.total()) == (1, 1, 0)


def test_progress_is_told_to_its_end(bench: Any, bank: Path) -> None:
    """Reading counts up, running ends at all messages."""

    class Noted:
        def __init__(self) -> None:
            self.read: list[int] = []
            self.run: list[tuple[int, int]] = []

        def reading(self, messages: int) -> None:
            self.read.append(messages)

        def running(self, done: int, total: int) -> None:
            self.run.append((done, total))

    progress = Noted()
    result = bench.run(shipped(), bank, progress=progress, jobs=2)
    total = progress.run[-1][1]
    assert progress.run == sorted(progress.run)
    assert progress.run[-1] == (total, total)
    assert total >= result.tally.events.total()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, and nobody else's."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.timeout(60)
def test_a_process_that_is_killed_is_reported(
    bench: Any, bank: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, though another is busy; nothing is left in the temporary folder."""

    def killed_once(_runner: object, number: int, _share: object) -> None:
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()

    monkeypatch.setattr(workers_module._Runner, "run", killed_once)
    with pytest.raises(WorkerLost, match="ended early"):
        bench.run(shipped(), bank, jobs=2)
    assert list(scratch.iterdir()) == []


@pytest.mark.usefixtures("ctrl_c")
def test_an_interruption_while_shares_run_leaves_nothing_behind(bench: Any, bank: Path, scratch: Path) -> None:
    """Neither files nor processes, though these were in the middle of a share."""

    class Interrupting:
        def reading(self, _messages: int) -> None:
            pass

        def running(self, done: int, _total: int) -> None:
            if done:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        bench.run(shipped(), bank, jobs=2, progress=Interrupting())
    assert list(scratch.iterdir()) == []
    assert multiprocessing.active_children() == []


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("ctrl_c")
def test_an_interruption_does_not_wait_for_a_share(bench: Any, bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share may take minutes; here it would never end."""

    def endless(_runner: object, number: int, _share: object) -> None:
        if number == 0:  # one Ctrl-C: a second one would come while the processes are being ended
            os.kill(os.getppid(), signal.SIGINT)
        signal.pause()

    monkeypatch.setattr(workers_module._Runner, "run", endless)
    with pytest.raises(KeyboardInterrupt):
        bench.run(shipped(), bank, jobs=2)
    assert multiprocessing.active_children() == []


def test_a_failure_in_a_process_is_reported_with_its_place(
    bench: Any, bank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug does not look like a short report."""

    def broken(*_: object) -> int:
        raise ZeroDivisionError("made up")

    monkeypatch.setattr(workers_module._Runner, "run", broken)
    with pytest.raises(WorkerLost, match=r"(?s)Traceback.*made up"):
        bench.run(shipped(), bank, jobs=2)


def write_many(path: Path, events: int, customers: int) -> None:
    """Transactions of so many customers, in any order."""
    random, sequences = Random(1), [0] * customers
    template = (
        '{"topic":"bank.transactions","key":"c%d","value":{"tenant":"bank","event_id":"t%d","occurred_at":"%s",'
        '"customer_id":"c%d","account_id":"a%d","sequence":%d,"direction":"credit","amount":"1.00","currency":"CNY",'
        '"balance_after":"%d.00","kind":"card"}}\n'
    )
    moment = at().isoformat()
    with path.open("w") as file:
        for number in range(events):
            who = random.randrange(customers)
            sequences[who] += 1
            file.write(template % (who, number, moment, who, who, sequences[who], sequences[who]))


@pytest.mark.parametrize("jobs", [1, 2])
def test_memory_does_not_grow_with_the_input(tmp_path: Path, jobs: int) -> None:
    """Four times the events and customers: the peak of every process stays where it was, but for a few MiB.

    Far smaller buffers than in earnest, so that a small input is many times larger than they are.
    """
    script = tmp_path / "measured.py"
    script.write_text(
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from streams.backtest import sources, spill\n"
        "spill.BUFFER_BYTES = spill.SHARE_BYTES = sources.TOGETHER_BYTES = 500_000\n"
        "from streams.backtest.run import Options, run_files\n"
        "from tests.support.rules import ruleset, trigger\n"
        "class Silent:\n"
        "    reading = running = lambda *_: None\n"
        "files = sources.find_files([Path(sys.argv[1])])\n"
        "rules = ruleset(trigger('one', lambda scope: scope.customer.balance > 10**9))\n"
        "result = run_files(rules, files, Options(jobs=int(sys.argv[2])), Silent())\n"
        "peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
        "print(result.tally.customers, max(peaks))\n",
        "utf-8",
    )
    peaks = []
    for events in (12_000, 48_000):
        path = tmp_path / f"{events}.jsonl"
        write_many(path, events, events // 4)
        done = subprocess.run(
            [sys.executable, str(script), str(path), str(jobs)],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        customers, peak = map(int, done.stdout.split())
        assert customers > events // 5
        peaks.append(peak / 1024)
    # The states alone of 9,000 more customers would take 30 MiB.
    assert peaks[1] - peaks[0] < 8, peaks


@contextmanager
def reading_forever(bench: Any, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The command in a session of its own while it reads, and its folder for temporary files."""
    fifo = tmp_path / "endless.jsonl"
    os.mkfifo(fifo)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    line = bench.write("one.jsonl", [transaction("t1", 1, 1, 1)]).read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-m", "streams", "backtest", "--events", str(fifo), "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        # Opens when the command reads the other end; from then on it waits for more.
        with fifo.open("wb") as feed:
            feed.write(line)
            feed.flush()
            wait_until(lambda: bool(list(scratch.iterdir())), "the command makes its temporary folder", 20)
            yield process, scratch
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_gone(group: int) -> bool:
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_nothing_behind(bench: Any, tmp_path: Path) -> None:
    """While it reads: exit code 130, no traceback, no temporary file, no process."""
    with reading_forever(bench, tmp_path) as (process, scratch):
        # To the whole group, as a terminal does.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 130, err
        assert (out, b"Traceback" in err) == (b"", False), err
        assert list(scratch.iterdir()) == []
        assert is_gone(process.pid)


def test_processes_end_with_a_command_that_was_killed(bench: Any, tmp_path: Path) -> None:
    """Nothing waits for work that will never come."""
    with reading_forever(bench, tmp_path) as (process, _):
        process.kill()
        process.wait()
        wait_until(lambda: is_gone(process.pid), "the processes of the killed command end", 20)
