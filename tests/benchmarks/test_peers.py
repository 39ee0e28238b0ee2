"""The peers of the drain benchmark: the job by hand is the engine's, and what does not yield its ids does not count."""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import MagicMock

import pytest

from streams.publisher import partition_of
from tests.benchmarks import contest, drain, watched
from tests.benchmarks.contest import CEILING, PEERS, QUIX, STOCK, WORKER, Contender, Figure, answer_of, difference
from tests.benchmarks.expectation import Expectation, expect, outputs_of
from tests.benchmarks.peers import environments, job
from tests.benchmarks.peers.environments import PeerUnavailable, python_with
from tests.benchmarks.peers.task import Task, Watch
from tests.benchmarks.watched import Drained
from tests.benchmarks.work import RULES, holdings, profiles, transactions
from tests.support.system import QUEUES, Event

_PARTITIONS: Final = 4
_TASK: Final = Task("nowhere:9092", "in.", "out.", known=2, events=3, folder="/nowhere", partitions=_PARTITIONS)


@pytest.fixture(scope="module")
def history() -> list[Event]:
    """Enough for each of the ten triggers to fire, be outranked, be capped and be put off by its own memory."""
    return [*profiles(300), *holdings(300), *transactions(6_000, 300)]


@pytest.fixture(scope="module")
def made(history: list[Event]) -> list[Any]:
    """What the engine makes of it."""
    return outputs_of(RULES, history, _PARTITIONS)


@pytest.fixture(scope="module")
def expected(made: list[Any]) -> Expectation:
    """What a peer must make of it."""
    return expect(made)


def _records(history: Iterable[Event]) -> Iterable[tuple[str, int, str, dict[str, Any]]]:
    for event in history:
        assert event.key is not None
        yield event.topic, partition_of(event.key, _PARTITIONS), event.key.decode(), json.loads(event.value)


def _ids(outputs: Iterable[job.Output]) -> list[str]:
    return [output[f"{output['type']}_id"] for output in outputs]


def test_the_job_by_hand_yields_what_the_engine_yields(history: list[Event], expected: Expectation) -> None:
    """The same ids of actions and decisions, none twice, over a store that keeps states as JSON, as the peers' do."""
    store: dict[str, str] = {}

    def get(customer: str) -> job.State | None:
        return json.loads(store[customer]) if customer in store else None

    def put(customer: str, state: job.State) -> None:
        store[customer] = json.dumps(state)

    by_hand = job.Job()
    outputs = [
        output
        for topic, partition, customer, record in _records(history)
        for output in by_hand.take(topic, partition, customer, record, get, put)
    ]

    ids = _ids(outputs)
    assert len(ids) == len(set(ids))
    assert difference(ids, expected.ids) == ""
    fired = {output["trigger"] for output in outputs if output["type"] == "action"}
    assert fired == {path.stem for path in RULES.glob("*.yaml")} - {"policy", "calendar"}
    reasons = {output["reason"] for output in outputs if output["type"] == "decision"}
    assert reasons == {"sent", "outranked", "once_per", "not_rearmed", "capped"}
    steps = {output["step"] for output in outputs if output["type"] == "action"}
    assert steps == {0, 1}


def test_the_job_by_hand_says_the_same_of_each_action(history: list[Event], made: list[Any]) -> None:
    """Not the ids alone: channel, value and time are those of the engine's actions."""
    engine = {output.action_id: output.__dict__ for output in made if output.record_type == "action"}
    states: dict[str, job.State] = {}
    by_hand = job.Job()
    for topic, partition, customer, record in _records(history):
        for output in by_hand.take(topic, partition, customer, record, states.get, states.__setitem__):
            if output["type"] == "action":
                action = engine.pop(output["action_id"])
                assert Decimal(output["value"]) == action["value"], output
                assert datetime.fromisoformat(output["created_at"]) == action["created_at"], output
                for name in ("channel", "category", "priority", "template", "offer", "step"):
                    assert output[name] == action[name], output
    assert not engine


def test_timers_may_wait_for_the_customers_next_record_or_the_end(history: list[Event], expected: Expectation) -> None:
    """As on Bytewax: nobody's timer runs before the next record, and the same comes of it."""
    states: dict[str, job.State] = defaultdict(job.fresh)
    reached: dict[int, int] = {}
    outputs = []
    for topic, partition, customer, record in _records(history):
        outputs += job.apply(topic, customer, record, states[customer])
        reached[partition] = job.time_of(record)
    for customer, state in states.items():
        outputs += job.run_timers(customer, state, reached[partition_of(customer.encode(), _PARTITIONS)])

    assert difference(_ids(outputs), expected.ids) == ""


def test_what_is_due_at_one_moment_competes_by_hand_too() -> None:
    """Two reminders and a silence, all at nine o'clock of one day: the work itself hardly ever has that."""
    history = [next(iter(profiles(1))), *_due_together()]
    states: dict[str, job.State] = {}
    by_hand = job.Job()
    outputs = [
        output
        for topic, _, customer, record in _records(history)
        for output in by_hand.take(topic, 0, customer, record, states.get, states.__setitem__)
    ]

    told = [(output["trigger"], output["reason"]) for output in outputs if output["type"] == "decision"]
    assert told == [("maturity_due", "sent"), ("maturity_due", "outranked"), ("dormancy", "outranked")]
    assert difference(_ids(outputs), expect(outputs_of(RULES, history, 1)).ids) == ""


def _due_together() -> Iterable[Event]:
    (deposit,), (payment,) = holdings(1), transactions(1, 1)
    for name in ("H1", "H2"):
        body = {**json.loads(deposit.value), "holding_id": name, "event_id": name, "matures_on": "2026-02-01"}
        yield replace(deposit, value=json.dumps(body).encode())
    for sequence, at in enumerate(("2026-01-05T01:00:00.000+00:00", "2026-01-26T01:00:00.000+00:00"), 1):
        body = {**json.loads(payment.value), "event_id": f"t{sequence}", "sequence": sequence, "occurred_at": at}
        yield replace(payment, value=json.dumps({**body, "balance_after": "20000.00"}).encode())


def test_a_repeated_record_changes_nothing_by_hand(history: list[Event], expected: Expectation) -> None:
    """A peer that reads its input twice after a crash must not yield more."""
    states: dict[str, job.State] = {}
    by_hand = job.Job()
    outputs = []
    for topic, partition, customer, record in _records(history):
        for _ in range(2):
            outputs += by_hand.take(topic, partition, customer, record, states.get, states.__setitem__)

    assert difference(_ids(outputs), expected.ids) == ""
    assert len(outputs) == len(expected.ids)


def test_a_single_id_that_is_missing_or_too_many_is_told(expected: Expectation) -> None:
    """The first id, in their order, that is on one side only."""
    first, second = sorted(expected.ids)[:2]
    assert difference(expected.ids, expected.ids) == ""
    assert difference(expected.ids - {second}, expected.ids) == (
        f"void: id {second} is missing (1 missing, 0 too many)"
    )
    assert difference(expected.ids, expected.ids - {first}) == (
        f"void: id {first} should not be there (0 missing, 1 too many)"
    )


def _round(**rates: float) -> list[Figure]:
    names = {"worker": WORKER, "ceiling": CEILING, "stock": STOCK, "quix": QUIX}
    return [Figure(names[name], 1_000, 1_000 / rate, 0.01) for name, rate in rates.items()]


def test_a_void_contender_has_no_figures_and_meets_no_target() -> None:
    """Its row says why, though it was void in one round only; the others keep their figures, its target its row."""
    rounds = [_round(worker=100, ceiling=200, stock=10, quix=50), _round(worker=120, ceiling=200, stock=10, quix=50)]
    rounds[1][3] = replace(rounds[1][3], void="void: id abc is missing (1 missing, 0 too many)")

    rows = {line[:24].strip(): line for line in drain.table(rounds).splitlines()}
    assert rows[QUIX].split(maxsplit=2)[2] == "void: id abc is missing (1 missing, 0 too many)"
    assert "110" in rows[WORKER]
    assert rows[CEILING].split()[-4:-1] == ["2", "0.55", "0.50-0.60"]
    assert "11.00" in rows[STOCK]
    assert list(map(str, drain.targets(rounds))) == [
        "target: drain: one worker / aiokafka loop >= 0.35: 0.55 (0.5 to 0.6), met",
        "target: drain: one worker / stock Faust >= 8: 11 (10 to 12), met",
        "target: drain: one worker / Quix Streams >= 1.5: void, not met",
    ]


def test_a_void_worker_meets_no_target() -> None:
    """However fast it was: each target keeps its row, and none is met."""
    figures = _round(worker=1_000, ceiling=200, stock=10, quix=50)
    figures[0] = replace(figures[0], void="void: id abc should not be there (0 missing, 1 too many)")

    told = drain.targets([_round(worker=1_000, ceiling=200, stock=10, quix=50), figures])
    assert [(target.found, target.why, target.met) for target in told] == [(None, "void", False)] * 3
    assert "should not be there" in drain.table([figures])


def test_who_took_no_part_is_not_measured() -> None:
    """Its target is not met; who took part in some rounds is compared in those."""
    rounds = [_round(worker=100, stock=10, ceiling=200), _round(worker=150, ceiling=200)]
    told = {target.figure.rpartition("/ ")[2]: target for target in drain.targets(rounds)}
    assert (told[QUIX].found, told[QUIX].why, told[QUIX].met) == (None, "not measured", False)
    assert (told[STOCK].found, told[STOCK].lowest, told[STOCK].highest) == (10, 10, 10)
    assert told[CEILING].found == 0.625
    rows = {line[:24].strip(): line.split() for line in drain.table(rounds).splitlines()}
    assert "1" in rows[STOCK]
    assert "2" in rows[CEILING]


def test_the_slow_take_part_in_every_second_round() -> None:
    """In three of five."""
    parts = [peer.name for number in range(5) for peer in drain.taking_part(PEERS, number)]
    assert {peer.name: parts.count(peer.name) for peer in PEERS} == {peer.name: 3 if peer.slow else 5 for peer in PEERS}
    assert {peer.name for peer in PEERS if peer.slow} == {STOCK, "Kafka Streams", "Kafka Streams, e. once"}


def test_a_run_whose_worker_is_void_fails_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are kept, as void; in whichever round it was."""
    void = [replace(_round(worker=9)[0], void="void: id abc is missing")]
    rounds = iter([_round(worker=9), void, _round(worker=9)])
    monkeypatch.setattr(drain, "KafkaBroker", lambda _: nullcontext(SimpleNamespace(bootstrap="")))
    monkeypatch.setattr(drain, "EmbeddedRedis", lambda *_, **__: nullcontext(SimpleNamespace(url="")))
    monkeypatch.setattr(drain, "run_round", lambda *_, **__: next(rounds))
    file = tmp_path / "drain.json"
    sizes = {"events": 10, "customers": 5, "warm": 0, "rounds": 3, "minutes": None, "until": None}
    with pytest.raises(SystemExit, match="one worker: void: id abc is missing"):
        drain.run(argparse.Namespace(**sizes, rules=RULES, peers=[], json=file))
    told = json.loads(file.read_text())
    assert told["void"] is True
    assert [target["found"] for target in told["targets"]] == [None] * 3


_FLOW: Final = 10


def _worker(
    monkeypatch: pytest.MonkeyPatch,
    actions: str,
    decisions: str,
    *,
    measured: int = _FLOW,
    check: bool = False,
    sent: int = 1,
    journalled: int = 1,
) -> Figure:
    """The worker's figure where it published the action "a" and the decision "d", ``sent`` times, in a batch that was
    ``journalled`` as often as said, and these are the engine's."""
    entry = SimpleNamespace(partition=0, sequence=1)
    system = SimpleNamespace(
        read=lambda topic: [SimpleNamespace(key=b"C1", value=topic.encode())] * sent,
        journal=lambda: [entry] * journalled,
        start_worker=lambda: None,
        wait_until_drained=lambda _: None,
        stop_workers=lambda: None,
        actions=lambda: [{"action_id": "a"}],
        decisions=lambda: [{"decision_id": "d"}],
    )
    monkeypatch.setattr(drain, "time_drain", lambda *_: Drained(measured, 1.0, 1.0))
    monkeypatch.setattr(drain, "memory_mib", lambda _: 100.0)
    expected = Expectation(frozenset(actions), frozenset(decisions), 0)
    work = drain.Work(RULES, [], list(transactions(_FLOW, 2)), 0, expected)
    return drain._worker(system, "", work, check=check)  # type: ignore[arg-type]  # all that is asked of a system


def test_a_worker_without_the_engines_ids_is_void(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is missing, one too many, of an action or a decision; and where the clock started too late."""
    good = _worker(monkeypatch, "a", "d")
    assert (good.void, good.actions, good.events) == ("", 1, _FLOW)
    assert "id b is missing" in _worker(monkeypatch, "ab", "d").void
    assert "id d should not be there" in _worker(monkeypatch, "a", "").void
    assert "only 4 of 10 were left" in _worker(monkeypatch, "a", "d", measured=4).void


@pytest.mark.parametrize("check", [True, False], ids=["round 1", "a later round"])
def test_a_worker_that_says_something_twice_is_void(monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    """In whichever round: a message of any queue, a decision, a batch of the journal."""
    monkeypatch.setattr(drain, "check_undisturbed", lambda _: None)
    assert _worker(monkeypatch, "a", "d", check=check).void == ""
    topics = len(QUEUES) + 1
    assert f"void: {topics} messages and 0 batches" in _worker(monkeypatch, "a", "d", check=check, sent=2).void
    assert "void: 0 messages and 2 batches" in _worker(monkeypatch, "a", "d", check=check, journalled=3).void


def test_a_worker_that_differs_from_the_oracle_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is asked, as in the first round."""

    def differ(_: object) -> None:
        raise AssertionError("a state differs")

    monkeypatch.setattr(drain, "check_undisturbed", differ)
    with pytest.raises(AssertionError, match="a state differs"):
        _worker(monkeypatch, "a", "d", check=True)


def test_the_contenders_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each round another is the first; the worker's figure is the first that is told. Only the first round's worker
    is compared with the oracle, and each peer is told what to leave out."""
    system = MagicMock(partitions=drain.PARTITIONS)
    system.name, system.settings.topic_prefix = "bench", "in."
    monkeypatch.setattr(drain, "System", lambda *_, **__: nullcontext(system))
    ran: list[str] = []
    checks: list[bool] = []
    warm: set[int] = set()

    def worker(*_: object, check: bool) -> Figure:
        checks.append(check)
        ran.append(WORKER)
        return Figure(WORKER)

    def peer(contender: Contender, task: Task, _: object) -> Figure:
        ran.append(contender.name)
        warm.add(task.warm)
        return Figure(contender.name)

    monkeypatch.setattr(drain, "_worker", worker)
    monkeypatch.setattr(drain, "run_peer", peer)
    work = drain.Work(RULES, [], [], 7, Expectation(frozenset(), frozenset(), 0))
    quick = [peer for peer in PEERS if not peer.slow][:2]
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        figures = drain.run_round("", "", folder, work, number=number, peers=quick)
        assert [figure.contender for figure in figures] == [WORKER, *(peer.name for peer in quick)]
    first, second, third = WORKER, quick[0].name, quick[1].name
    assert ran == [first, second, third, second, third, first, third, first, second]
    assert checks == [True, False, False]
    assert warm == {7}


def test_a_drain_is_measured_from_the_workers_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What had begun before the first look does not count."""

    def measured(*looks: int) -> int:
        left = iter(looks)
        monkeypatch.setattr(watched, "_begun", lambda _: next(left))
        system = SimpleNamespace(partitions=1, meta=lambda _: None)
        drained = watched.time_drain(system, "", MagicMock(), 100)  # type: ignore[arg-type]  # all that is asked of it
        return drained.events

    monkeypatch.setattr(watched, "position", lambda *_: 100)
    monkeypatch.setattr(watched, "cpu_seconds", lambda _: 0.0)
    assert measured(0, 0, 40) == 100
    assert measured(40) == 60


@pytest.mark.parametrize(
    ("published", "code", "why"),
    [
        (["a", "b"], 0, ""),
        (["a"], 0, "void: id b is missing (1 missing, 0 too many)"),
        (["a", "b", "c"], 0, "void: id c should not be there (0 missing, 1 too many)"),
        (["a", "b"], 1, "void: it failed: it broke"),
    ],
    ids=["the same", "one is missing", "one too many", "it failed"],
)
def test_a_peer_without_the_engines_ids_is_void(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: list[str], code: int, why: str
) -> None:
    """Nor does one count that failed, though it had answered."""
    script = tmp_path / "peer.py"
    answer = json.dumps({"events": 3, "seconds": 1.5, "cpu": 0.5, "memory_mib": 64.0})
    script.write_text(f"import sys\nprint({answer!r})\nprint('it broke', file=sys.stderr)\nsys.exit({code})\n")
    monkeypatch.setattr(contest, "create_topics", lambda *_: None)
    monkeypatch.setattr(contest, "published_ids", lambda _: [("action", name) for name in published])
    peer = Contender("somebody", str(script), environments.own_python, "none", "none")
    figure = contest.run_peer(peer, _TASK, {"a", "b"})
    assert figure.void == why
    assert (figure.events, figure.memory_mib) == ((0, None) if code else (3, 64.0))
    if not why:
        assert "only 3 of 300 were left" in contest.run_peer(peer, _TASK._replace(events=300), {"a", "b"}).void


def test_a_watch_counts_from_the_first_record_behind_the_warm_up(capfd: pytest.CaptureFixture[str]) -> None:
    """Records that come together are measured together; the answer tells how many."""
    for taken, measured in (([1] * 5, 3), ([3, 2], 2)):
        watch = Watch(warm=2)
        for records in taken:
            watch.take(records)
        watch.answer()
        told = answer_of(capfd.readouterr().out)
        assert told is not None
        assert (told["events"], watch.seen) == (measured, 5)
        assert 0 <= told["seconds"] < 60
    idle = Watch(warm=2)
    idle.take(5)
    with pytest.raises(SystemExit, match="nothing came behind the warm-up"):
        idle.answer()


def test_a_peer_that_cannot_be_set_up_is_shown_with_the_reason() -> None:
    """It is not left out."""

    def refuse() -> list[str]:
        raise PeerUnavailable("quix could not be installed: no route to host")

    peer = Contender("somebody", "quix.py", refuse, "none", "none")
    figure = contest.run_peer(peer, _TASK, ())

    assert figure == Figure("somebody", void="not set up: quix could not be installed: no route to host")
    assert "not set up: quix could not be installed: no route to host" in drain.table([[*_round(worker=1), figure]])


def test_an_environment_that_cannot_be_made_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is begun anew the next time, in the cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(environments.sys, "executable", "/bin/false")
    with pytest.raises(PeerUnavailable, match="an environment could not be installed"):
        python_with("quix")
    assert not list(tmp_path.rglob(".ready"))


def test_the_answer_is_found_among_what_a_library_prints() -> None:
    """Faust draws a spinner, others log."""
    assert answer_of('\x1b[?25l{"no": 1\n{"events": 3, "seconds": 1.5, "cpu": 1}\nbye\n') == {
        "events": 3,
        "seconds": 1.5,
        "cpu": 1,
    }
    assert answer_of("nothing\n") is None


def test_the_peers_are_pinned_and_name_no_registry() -> None:
    """Every requirement has one version and its hashes."""
    for pins in sorted((environments.HERE / "requirements").glob("*.txt")):
        text = pins.read_text("utf-8")
        assert "://" not in text, pins
        entries = [line for line in text.splitlines() if line and line[0] not in " #"]
        assert entries
        assert all("==" in line and line.endswith("\\") for line in entries), pins
        assert text.count("--hash=sha256:") >= len(entries)


def test_the_versions_stand_in_the_header() -> None:
    """Those of the pins, and of the environment that runs the loops and the worker."""
    told = environments.versions()
    libraries = ("aiokafka", "confluent-kafka", "faust-streaming", "quixstreams", "bytewax", "kafka-streams")
    for name in ("Kafka", "Redis", "Java", *libraries):
        assert re.search(rf"\b{name} \d+\.\d+", told), told


def test_every_contender_says_what_it_promises_and_is_there() -> None:
    """Its script too."""
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    for peer in PEERS:
        assert (environments.HERE / peer.script).exists(), peer
        told = drain.promises([peer])
        assert peer.state in told
        assert peer.delivery in told
        # Who promises to send once runs with what its library calls that.
        assert bool(peer.guarantee) == peer.delivery.startswith("exactly once"), peer
    assert {name for name, *_ in drain.TARGETS} <= {peer.name for peer in PEERS}
