"""The demo: it ends with a check that can fail, and nothing that it starts outlives it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.actions import NextBestAction
from schemas.base import to_ms
from schemas.dead_letter import DEAD_LETTER_HEADER, Reason
from schemas.journal import RecordBatch, TimerBatch
from schemas.topics import BEHAVIOUR, CONSUMED, DEAD_LETTERS, DECISIONS, JOURNAL_TOPIC, TOPIC, TOPICS
from streams.commands.library import SHIPPED
from streams.publisher import partition_of
from streams.simulator import BankPlan, BankRecord, simulate_bank
from streams.simulator.identities import whose_it_is
from streams.simulator.publish import Handed
from streams.stages import Routes
from triggers.desk.managers import ManagerStage
from triggers.desk.stage import DeskStage
from triggers.desk.work import HANDOVER
from triggers.engine.batch import BatchResult, decode_batch, run_records, run_timers
from triggers.engine.customer import CustomerStage
from triggers.engine.stage import Stage
from triggers.identity.stage import IdentityStage
from triggers.language.loader import load_ruleset

with warnings.catch_warnings():
    # kafka-python reads its own data by a call that Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from streams.demo.check import Evidence, Finding, Verdict, verify
    from streams.demo.neighbours import latency
    from streams.demo.stories import stories
    from streams.demo.tap import QUEUES, Kept, Place, Tally
    from streams.demo.view import JsonView, LineView, LiveView, Progress, Summary, View, make_view

PARTITIONS = 2
LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="reads /proc; elsewhere nothing ends a killed parent's child"
)

Log = Mapping[Place, list[Kept]]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """What a faultless run leaves behind, made by the pure engine in batches of two partitions."""
    return _Run(simulate_bank(BankPlan(events=2_000))).evidence()


class TestCheck:
    """The comparison with the pure engine, on evidence that was changed by hand."""

    def test_a_faultless_run_passes(self, evidence: Evidence) -> None:
        """Everything is compared and nothing differs."""
        verdict = verify(evidence)
        assert [finding for finding in verdict.findings if not finding.passed] == []
        assert all(finding.compared > 0 for finding in verdict.findings)
        assert verdict.passed
        assert verdict.repeats == 0

    def test_nothing_compared_is_no_pass(self, evidence: Evidence) -> None:
        """A demo in which nothing happened has proved nothing."""
        empty: Log = {place: [] for place in evidence.log}
        nothing = replace(
            evidence,
            log=empty,
            states={},
            positions={},
            spoiled={},
            reversals=[],
            accepted=frozenset(),
            anonymous={},
        )
        assert not verify(nothing).passed

    def test_a_lost_action_is_named(self, evidence: Evidence) -> None:
        """An action that the engine yields and no queue holds is lost: the first is named by its id."""
        place, index = _find(evidence, QUEUES, lambda body: body["type"] == "action")
        lost = _body(evidence.log[place][index])
        finding = _first_failure(_without(evidence, place, index))
        assert finding.name == "actions and withdrawals"
        assert finding.difference == f"1 lost, the first: {place[0]} partition {place[1]}, action {lost['action_id']}"

    def test_a_changed_body_is_lost(self, evidence: Evidence) -> None:
        """One byte of one action is another action."""
        place, index = _find(evidence, QUEUES, lambda body: body["type"] == "action")
        value = evidence.log[place][index].value or b""
        finding = _first_failure(_with_value(evidence, place, index, value.replace(b'"priority":', b'"priority":1')))
        assert finding.name == "actions and withdrawals"

    def test_an_action_nobody_should_send_is_named(self, evidence: Evidence) -> None:
        """An action on a queue that the engine does not yield fails the check."""
        place, index = _find(evidence, QUEUES, lambda body: body["type"] == "action")
        body = {**_body(evidence.log[place][index]), "action_id": "made-up"}
        finding = _first_failure(_with_more(evidence, place, msgspec.json.encode(body, order="sorted")))
        assert finding.name == "actions and withdrawals"
        assert "1 that the engine does not yield, the first:" in finding.difference
        assert "action made-up" in finding.difference

    def test_an_action_with_two_bodies_is_named(self, evidence: Evidence) -> None:
        """The same action id twice with different bodies is no repeat."""
        place, index = _find(evidence, QUEUES, lambda body: body["type"] == "action")
        body = _body(evidence.log[place][index])
        other = msgspec.json.encode({**body, "priority": 1}, order="sorted")
        failures = _failures(_with_more(evidence, place, other))
        assert failures["one body for each action id"] == f"action {body['action_id']} has two bodies"

    def test_a_repeat_with_the_same_bytes_passes(self, evidence: Evidence) -> None:
        """Queues deliver at least once: the same bytes twice are counted and allowed, consumers drop them."""
        place, index = _find(evidence, QUEUES, lambda body: body["type"] == "action")
        verdict = verify(_with_more(evidence, place, evidence.log[place][index].value))
        assert verdict.passed
        assert verdict.repeats == 1

    @pytest.mark.parametrize(
        ("topic", "name"),
        [(DECISIONS, "decisions and reports"), (DEAD_LETTERS, "dead letters")],
        ids=["decision", "dead letter"],
    )
    def test_other_lost_messages_are_named(self, evidence: Evidence, topic: str, name: str) -> None:
        """Decisions and dead letters are compared like actions."""
        place = next(place for place, messages in evidence.log.items() if place[0] == topic and messages)
        assert _first_failure(_without(evidence, place, 0)).name == name

    def test_a_state_with_other_bytes_is_named(self, evidence: Evidence) -> None:
        """The store's states must be the engine's: changed, lost or too many."""
        key = next(iter(evidence.states))
        changed = {**evidence.states, key: evidence.states[key] + b"x"}
        lost = {name: state for name, state in evidence.states.items() if name != key}
        more = {**evidence.states, ("customer", 0, "nobody"): b"x"}
        for states, what in ((changed, "other bytes"), (lost, "lost"), (more, "not the engine's")):
            finding = _first_failure(replace(evidence, states=states))
            assert finding.name == "states in the store"
            assert finding.difference.endswith(what)

    def test_a_record_nobody_processed_is_named(self, evidence: Evidence) -> None:
        """A record behind the store's position fails the check, and so does one that no batch of the journal has."""
        place: Place = next(place for place, at in evidence.positions.items() if at > 1)
        behind = replace(evidence, positions={**evidence.positions, place: evidence.positions[place] - 1})
        assert "the store is at" in _first_failure(behind).difference
        one_more = _with_more(evidence, place, b"{}")
        assert "the journal is at" in _first_failure(one_more).difference

    def test_a_hole_in_the_journal_is_named(self, evidence: Evidence) -> None:
        """A batch missing from the journal is found before anything is compared."""
        verdict = verify(_without(evidence, (JOURNAL_TOPIC, 0), 3))
        assert not verdict.passed
        assert "missing" in verdict.findings[0].difference

    def test_an_action_the_notifier_did_not_accept_is_named(self, evidence: Evidence) -> None:
        """What stands on a queue must have reached the notifier, once."""
        some = min(evidence.accepted)
        lost = _failures(replace(evidence, accepted=evidence.accepted - {some}))
        twice = _failures(replace(evidence, accepted_twice=frozenset({some})))
        unknown = _failures(replace(evidence, accepted=evidence.accepted | {"made-up"}))
        assert lost == {_ACCEPTED: f"1 never accepted, the first: action {some}"}
        assert twice == {_ACCEPTED: f"1 accepted twice, the first: action {some}"}
        assert unknown == {_ACCEPTED: "1 accepted that nobody sent, the first: action made-up"}

    def test_spoiled_records_are_held_against_the_bank(self, evidence: Evidence) -> None:
        """The bank knows which records it spoiled, and how, beside whatever engine and journal say."""
        where, reason = next((where, why) for where, why in evidence.spoiled.items() if why is not Reason.NOT_JSON)
        good = {place: why for place, why in evidence.spoiled.items() if place != where}
        shown = f"{where[0]} partition {where[1]} offset {where[2]}"
        told: dict[str, tuple[dict[tuple[str, int, int], Reason], str]] = {
            "good": (good, f"{shown}: set aside as {reason}, and was good"),
            "other": ({**evidence.spoiled, where: Reason.NOT_JSON}, f"{shown}: {reason}, expected NOT_JSON"),
            "more": (
                {**evidence.spoiled, ("bank.profiles", 0, 0): Reason.NOT_JSON},
                "bank.profiles partition 0 offset 0: NOT_JSON expected, no dead letter",
            ),
        }
        for spoiled, difference in told.values():
            assert _failures(replace(evidence, spoiled=spoiled)) == {_SPOILED: difference}

    def test_good_feedback_is_set_aside_only_where_its_action_is_forgotten(self, evidence: Evidence) -> None:
        """Months go by in seconds: what is said of an action of long ago is no loss, of a recent one it is."""
        actions = [
            _body(kept) | {"placed": place[1]}
            for place, messages in evidence.log.items()
            if place[0] in QUEUES
            for kept in messages
            if _body(kept)["type"] == "action"
        ]
        old, recent = (choose(actions, key=lambda body: body["created_at"]) for choose in (min, max))
        assert _SPOILED not in _failures(_with_refused_feedback(evidence, old))
        assert _failures(_with_refused_feedback(evidence, recent))[_SPOILED].endswith("UNKNOWN_ACTION, and was good")
        another = {**old, "customer_id": "another"}
        assert _failures(_with_refused_feedback(evidence, another))[_SPOILED].endswith("and was good")

    def test_a_reversal_without_withdrawal_is_named(self, evidence: Evidence) -> None:
        """Where the bank took an event back, the actions on it must be withdrawn by that very reversal."""
        caused: dict[str, set[str]] = defaultdict(set)
        for place, messages in evidence.log.items():
            for body in map(_body, messages) if place[0] in QUEUES else ():
                if body["type"] == "action":
                    caused[body["occasion"].removeprefix("transaction:")].add(body["action_id"])
        original = next(original for original, _ in evidence.reversals if original in caused)
        other = [(first, "another-event" if first == original else second) for first, second in evidence.reversals]
        failure = _failures(replace(evidence, reversals=other))
        assert failure.keys() == {_REVERSED}
        assert failure[_REVERSED].endswith("not withdrawn")
        never = [event for event in sorted(caused) if event.startswith("e") and event not in dict(evidence.reversals)]
        unended = replace(evidence, reversals=[(never[0], "another-event")])
        assert _failures(unended)[_REVERSED].endswith("its journey was not ended")
        # What was bought or refused is over: there is nothing left to withdraw.
        answers = [{"action_id": action, "outcome": "bought"} for action in sorted(caused[never[0]])]
        log = {**evidence.log, ("bank.feedback", -1): [Kept(0, None, msgspec.json.encode(one), ()) for one in answers]}
        assert _REVERSED not in _failures(replace(unended, log=log))

    def test_behaviour_of_an_id_is_held_against_the_bank(self, evidence: Evidence) -> None:
        """The bank knows who used which id when: behaviour sent on for another, or not at all, is named."""
        origin = next(origin for origin, (whose, _) in evidence.anonymous.items() if len(whose) == 1)
        whose, at_ms = evidence.anonymous[origin]
        told: dict[str, tuple[Any, str]] = {
            "another": ({origin: (frozenset({"nobody"}), at_ms)}, f"{origin}: sent on for a customer who it was not"),
            "time": ({origin: (whose, at_ms + 1)}, f"{origin}: sent on with another time than its own"),
            "more": ({"web:u:1": (whose, at_ms)}, "web:u:1: neither sent on nor on record as expired"),
        }
        for change, difference in told.values():
            changed = replace(evidence, anonymous={**evidence.anonymous, **change})
            assert _failures(changed) == {_BEHAVIOUR_OF_IDS: difference}
        unknown = replace(evidence, anonymous={k: v for k, v in evidence.anonymous.items() if k != origin})
        assert _failures(unknown) == {_BEHAVIOUR_OF_IDS: f"{origin}: sent on, and nobody did it"}

    def test_behaviour_sent_on_twice_or_lost_is_named(self, evidence: Evidence) -> None:
        """Once for another customer as well, or not at all."""
        place, index = next(
            (place, index)
            for place, messages in evidence.log.items()
            if place[0] == BEHAVIOUR
            for index, kept in enumerate(messages)
            if kept.headers and index > 5
        )
        kept = evidence.log[place][index]
        body = {**_body(kept), "customer_id": "another"}
        again = kept._replace(offset=len(evidence.log[place]), value=msgspec.json.encode(body))
        twice = _failures(replace(evidence, log={**evidence.log, place: [*evidence.log[place], again]}))
        assert twice[_BEHAVIOUR_OF_IDS].endswith("sent on as 2 events, not one")
        lost = _failures(_without(evidence, place, index))
        assert lost[_BEHAVIOUR_OF_IDS].endswith("neither sent on nor on record as expired")

    def test_one_of_each_kind_is_told(self, evidence: Evidence) -> None:
        """A ladder over two channels, a deferral, an arbitration's loser, a holdout, an assignment, one identity."""
        told = dict(stories(evidence.log))
        assert list(told) == [
            "a ladder",
            "a deferral",
            "an arbitration",
            "a holdout",
            "a desk's assignment",
            "one identity",
        ]
        missing = [kind for kind, text in told.items() if text is None]
        assert not missing, f"the simulated bank gives no occasion for {missing}"

    def test_nothing_is_told_that_did_not_happen(self) -> None:
        """Without a message there is no story."""
        assert {text for _, text in stories({})} == {None}

    def test_can_be_stopped(self, evidence: Evidence) -> None:
        """The check looks up now and then whether it should end."""

        def stop() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            verify(evidence, stop)


class TestLatency:
    """What counts as the time from an event to its action."""

    def test_an_action_at_its_events_own_time_counts(self, evidence: Evidence) -> None:
        """From handing the event to Kafka, by one clock; an action on an event that is not known does not count."""
        action = _first_action(evidence)
        event_id = action.occasion.partition(":")[2]
        at = to_ms(action.created_at)
        assert latency(action, {event_id: Handed(100.0, at)}, 100.25) == 0.25
        assert latency(action, {"another": Handed(100.0, at)}, 100.25) is None

    def test_what_waited_on_purpose_does_not(self, evidence: Evidence) -> None:
        """Put off over quiet hours, or a ladder's later step: the wait is the bank's will, not the worker's."""
        action = _first_action(evidence)
        when = {action.occasion.partition(":")[2]: Handed(100.0, to_ms(action.created_at))}
        night = timedelta(hours=9)
        put_off = action.model_copy(update={"created_at": action.created_at + night})
        assert latency(put_off, when, 100.25) is None
        assert latency(action.model_copy(update={"step": 1}), when, 100.25) is None


class TestView:
    """What is shown."""

    def test_counts_what_came_out(self, evidence: Evidence) -> None:
        """The tally counts each action, withdrawal, suppression and dead letter once."""
        tally = _tally(evidence)
        bodies = [_body(kept) for place, messages in evidence.log.items() if place[0] in QUEUES for kept in messages]
        assert tally.actions.total() == sum(body["type"] == "action" for body in bodies)
        assert tally.cancellations.total() == sum(body["type"] == "cancellation" for body in bodies)
        assert tally.dead_letters.total() == len(evidence.spoiled)
        assert tally.suppressed.keys() >= {"no_consent"}

    @pytest.mark.parametrize("make", ["live", "lines", "json"])
    def test_every_view_ends_with_the_verdict(
        self, evidence: Evidence, make: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Each way of showing says whether all was equal, and names the first difference where it was not."""
        from rich.console import Console

        tally = _tally(evidence)
        views: dict[str, Callable[[], View]] = {
            "live": lambda: LiveView(Console(force_terminal=True, width=160, file=sys.stdout)),
            "lines": LineView,
            "json": JsonView,
        }
        failed = Verdict((Finding("actions", 3), Finding("states", 2, "customer C1: other bytes")))
        view = views[make]()
        with view:
            view.show(Progress("running", 10, 20, 1_772_000_000_000, 2.0, 0, tally, 12.0, 34.0))
        summary = Summary(20, 2.0, 1, 3, {"accepted": 4}, tally, 7, 12.0, 34.0, failed, 5.0)
        view.conclude(summary)
        shown = capsys.readouterr().out
        assert "customer C1: other bytes" in shown
        if make == "json":
            told = json.loads(shown)
            assert told["ok"] is False
            assert told["events_per_second"] == 12
            assert told["latency_ms"] == {"measured": 7, "p50": 12.0, "p99": 34.0}
        else:
            assert "none twice: NO" in shown
            assert "p50 12.0 ms, p99 34.0 ms" in shown

    def test_the_live_table_fits_its_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Of many triggers it shows the busiest while it runs; the summary has all."""
        from rich.console import Console

        tally = Tally()
        for number in range(40):
            tally.actions[f"trigger_{number:02d}", "push"] = 100 + number
            tally.suppressed[f"reason_{number:02d}"] = 100 + number
        view = LiveView(Console(force_terminal=True, width=100, height=30, file=sys.stdout))
        with view:
            view.show(Progress("running", 10, 20, 1_772_000_000_000, 2.0, 0, tally, 12.0, 34.0))
        moving = capsys.readouterr().out
        assert "the busiest of 40 triggers" in moving
        assert "trigger_39" in moving
        assert "trigger_00" not in moving
        assert len({line for line in moving.splitlines() if line.strip()}) <= 30
        verdict = Verdict((Finding("actions", 3),))
        view.conclude(Summary(20, 2.0, 1, 3, {"accepted": 4}, tally, 7, 12.0, 34.0, verdict, 5.0))
        assert "trigger_00" in capsys.readouterr().out

    def test_plain_lines_where_nobody_watches(self) -> None:
        """Without a terminal there is no live table; for a machine there is nothing but JSON."""
        assert isinstance(make_view(as_json=False), LineView)
        assert isinstance(make_view(as_json=True), JsonView)


class TestCommand:
    """The command itself, in a process of its own."""

    def test_ends_by_itself_and_proves_itself(self, tmp_path: Path) -> None:
        """A short run ends with exit code 0, all compared and equal; no process and no file of it is left."""
        demo = _Started(["demo", "--seconds", "2", "--events", "5000", "--json"], tmp_path)
        children = demo.wait_for_children(2)
        output, errors = demo.process.communicate(timeout=90)
        assert demo.process.returncode == 0, errors
        told = json.loads(output)
        assert told["ok"] is True
        assert told["events"] == 5_000
        assert {finding["name"] for finding in told["check"] if finding["compared"]} == {
            finding["name"] for finding in told["check"]
        }
        # On so fast a clock the five days in which a person may approve a handover are 80 ms, and answers come when
        # their actions are a month ago.
        in_time = {HANDOVER, "handover_notice", "handover_call", "referral_request"}
        assert told["actions"].keys() - in_time == {trigger.id for trigger in _shipped().triggers} - in_time
        assert told["desks"]["assigned"] > 0
        assert not [kind for kind, text in told["stories"].items() if text is None]
        assert told["latency_ms"]["measured"] > 0
        assert told["feedback"] > 0
        assert told["notifier"]["accepted"] == sum(sum(of.values()) for of in told["actions"].values())
        demo.assert_nothing_left(children)
        assert demo.files() == []

    def test_a_difference_is_exit_code_1_also_when_kept(self, tmp_path: Path) -> None:
        """A run of which one action is withheld from the check names it. Kept, it goes on until Ctrl-C; then code 1."""
        demo = _Started([str(Path(__file__).parent.parent / "support" / "doctored_demo.py")], tmp_path, module=False)
        children = demo.wait_for_children(2)
        shown = demo.wait_for_line("still running")
        assert "none twice: NO" in shown
        assert "actions and withdrawals: 1 lost, the first: outreach." in shown
        assert all(map(_alive, children))
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 1
        demo.assert_nothing_left(children)
        assert demo.files() == []

    @LINUX
    def test_ctrl_c_ends_everything(self, tmp_path: Path) -> None:
        """Interrupted in the middle, the demo ends its worker and its Redis, and removes its files."""
        demo = _Started(["demo", "--seconds", "120", "--events", "2000"], tmp_path)
        children = demo.wait_for_children(2)
        demo.wait_for_line("running:")
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 130
        demo.assert_nothing_left(children)
        assert demo.files() == []

    @LINUX
    def test_told_to_end_at_the_very_start(self, tmp_path: Path) -> None:
        """Ended while its children are still starting, the demo leaves none of them behind."""
        demo = _Started(["demo", "--seconds", "120", "--events", "2000"], tmp_path)
        children = demo.wait_for_children(1)
        demo.process.send_signal(signal.SIGTERM)
        assert demo.process.wait(30) == 143
        demo.assert_nothing_left(children)
        assert demo.files() == []

    @LINUX
    def test_killed_it_takes_its_children_with_it(self, tmp_path: Path) -> None:
        """SIGKILL leaves the demo no time for anything: the kernel ends its children."""
        demo = _Started(["demo", "--seconds", "120", "--events", "2000"], tmp_path)
        children = demo.wait_for_children(2)
        demo.wait_for_line("starting:")
        demo.process.kill()
        demo.process.wait(60)
        demo.assert_nothing_left(children)

    @LINUX
    def test_a_worker_that_dies_ends_the_demo(self, tmp_path: Path) -> None:
        """Without its worker the demo stops with exit code 1 and says so, instead of waiting for ever."""
        demo = _Started(["demo", "--seconds", "120", "--events", "2000"], tmp_path)
        children = demo.wait_for_children(2)
        demo.wait_for_line("running:")
        worker = next(pid for pid in children if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(worker, signal.SIGKILL)
        assert demo.process.wait(30) == 1
        assert demo.process.stderr is not None
        assert "the worker ended with code -9" in demo.process.stderr.read()
        demo.assert_nothing_left(children)


_ACCEPTED = "accepted by the notifier, each once"
_BEHAVIOUR_OF_IDS = "behaviour of ids counted once, for who it was"
_SPOILED = "every spoiled record one dead letter, no other record"
_REVERSED = "every action on a reversed event withdrawn"


class _Started:
    """A demo under way. Its files go to a folder of the test; its settings are not this environment's."""

    def __init__(self, arguments: list[str], folder: Path, *, module: bool = True) -> None:
        self._folder = folder / "tmp"
        self._folder.mkdir()
        root = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            [sys.executable, *(["-m", "streams"] if module else []), *arguments],
            env={
                **os.environ,
                "TMPDIR": str(self._folder),
                "PYTHONPATH": root,
                # Of another worker: the demo must not take it over.
                "BANK_TRIGGERS_TOPIC_PREFIX": "elsewhere.",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        _STARTED.append(self.process)

    def wait_for_children(self, count: int, seconds: float = 30.0) -> list[int]:
        """The children of the demo, once there are as many: its Redis, then its worker.

        Libraries start short-lived ones of their own while they are imported, before any signal is handled.
        """
        if sys.platform != "linux":
            return []

        def started() -> list[int] | None:
            found = [pid for pid in _children(self.process.pid) if _is_of_the_demo(pid)]
            return found if len(found) >= count else None

        children: list[int] = _wait(started, seconds)
        return children

    def wait_for_line(self, text: str) -> str:
        """Reads the output until a line holds a text, and returns what was read."""
        assert self.process.stdout is not None
        shown = ""
        for line in self.process.stdout:
            shown += line
            if text in line:
                return shown
        raise AssertionError(f"the demo ended without {text!r}: {self.process.stderr and self.process.stderr.read()}")

    def assert_nothing_left(self, children: list[int]) -> None:
        """None of the children lives, and the demo has no others."""
        _wait(lambda: not any(map(_alive, children)) or None, 10.0)

    def files(self) -> list[str]:
        """What was left in the folder for temporary files."""
        return [path.name for path in self._folder.iterdir()]


_STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _ends() -> Iterator[None]:
    """Whatever a test started ends with it, also when the test fails."""
    yield
    while _STARTED:
        process = _STARTED.pop()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _wait(found: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while (value := found()) is None:
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        time.sleep(0.02)
    return value


def _children(parent: int) -> list[int]:
    """The processes whose parent is this one, and theirs."""
    parents: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            parents[int(fields[1])].append(int(path.parent.name))
    found, waiting = [], [parent]
    while waiting:
        for child in parents[waiting.pop()]:
            found.append(child)
            waiting.append(child)
    return found


def _is_of_the_demo(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"redis-server" in command or (b"streams" in command and b"worker" in command)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class _Run:
    """Runs a bank's records through the pure engine as a worker would, and keeps all that stands on the topics."""

    def __init__(self, records: list[BankRecord]) -> None:
        self._stages: dict[str, Stage[Any]] = {
            stage.name: stage
            for stage in (CustomerStage("bank"), IdentityStage("bank"), ManagerStage("bank"), DeskStage("bank"))
        }
        self._routes = Routes(list(self._stages.values()))
        self._ruleset = _shipped()
        self._log: dict[Place, list[Kept]] = {(topic.name, p): [] for topic in TOPICS for p in range(PARTITIONS)}
        self._states: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
        self._due: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        self._sequence = dict.fromkeys(range(PARTITIONS), 0)
        self._positions: dict[Place, int] = {}
        self._records = records
        self._places: list[tuple[BankRecord, tuple[str, int, int]]] = []
        for begin in range(0, len(records), 60):
            self._publish(records[begin : begin + 60])

    def evidence(self) -> Evidence:
        """What the check is given."""
        actions = [_body(kept) for place, messages in self._log.items() if place[0] in QUEUES for kept in messages]
        return Evidence(
            log=self._log,
            states={
                (name, partition, key): self._stages[name].encode(state)
                for (name, partition), held in self._states.items()
                for key, state in held.items()
            },
            positions=self._positions,
            stages=self._stages,
            ruleset=self._ruleset,
            tenant="bank",
            spoiled={place: record.reason for record, place in self._places if record.reason is not None},
            reversals=sorted({(r.reverses, r.event_id) for r in self._records if r.reverses and r.event_id}),
            anonymous=whose_it_is(self._records),
            accepted=frozenset(body["action_id"] for body in actions if body["type"] == "action"),
        )

    def _publish(self, records: list[BankRecord]) -> None:
        for record in records:
            partition = partition_of(record.key or b"", PARTITIONS)
            self._places.append((record, (record.topic, partition, self._put(record.topic, partition, record))))
        self._process_all()
        for stage in self._stages:
            for partition in range(PARTITIONS):
                self._sweep(stage, partition, max(record.occurred_ms for record in records))
        self._process_all()

    def _process_all(self) -> None:
        """Until nothing is left to read: what a stage reads may have another one send."""
        places = [(topic.name, partition) for topic in CONSUMED for partition in range(PARTITIONS)]
        while unread := [place for place in places if self._positions.get(place, 0) < len(self._log[place])]:
            for place in unread:
                self._process(*place)

    def _put(self, topic: str, partition: int, message: Any) -> int:
        log = self._log[topic, partition]
        log.append(Kept(len(log), message.key, message.value, tuple(getattr(message, "headers", ()))))
        return len(log) - 1

    def _process(self, topic: str, partition: int) -> None:
        position, log = self._positions.get((topic, partition), 0), self._log[topic, partition]
        if position == len(log):
            return
        stage = self._routes.of_topic(topic).stage
        entry = RecordBatch(
            stage=stage.name, topic=topic, first_offset=position, last_offset=len(log) - 1, **self._common(partition)
        )
        decoded = decode_batch(stage, TOPIC[topic], "bank", log[position:])
        held = self._states[stage.name, partition]
        for key in decoded.keys:
            held.setdefault(key, stage.fresh(key))
        end = len(log)
        self._finish(partition, stage, entry, run_records(stage, entry, TOPIC[topic], decoded, held, self._ruleset))
        self._positions[topic, partition] = end

    def _sweep(self, name: str, partition: int, until_ms: int) -> None:
        stage, due = self._stages[name], self._due[name, partition]
        while keys := [key for _, key in sorted((at, key) for key, at in due.items() if at <= until_ms)[:20]]:
            entry = TimerBatch(stage=stage.name, until_ms=until_ms, limit=20, **self._common(partition))
            held = self._states[stage.name, partition]
            self._finish(partition, stage, entry, run_timers(stage, entry, keys, held, self._ruleset))

    def _common(self, partition: int) -> dict[str, Any]:
        self._sequence[partition] += 1
        return {
            "tenant": "bank",
            "partition": partition,
            "sequence": self._sequence[partition],
            "epoch": 1,
            "ruleset": self._ruleset.hash,
            "clock": "record",
            "now_ms": 1_772_000_000_000,
        }

    def _finish(self, partition: int, stage: Stage[Any], entry: RecordBatch | TimerBatch, result: BatchResult) -> None:
        for message in result.messages:
            reached = partition_of(message.key or b"", PARTITIONS) if message.placed else partition
            self._put(message.topic, reached, message)
        journal = self._log[JOURNAL_TOPIC, partition]
        journal.append(Kept(len(journal), b"0", entry.model_dump_json().encode(), ()))
        due = self._due[stage.name, partition]
        for key, at in result.due.items():
            due.pop(key, None)
            if at is not None:
                due[key] = at


def _shipped() -> Any:
    ruleset = load_ruleset([SHIPPED]).ruleset
    assert ruleset is not None
    return ruleset


def _tally(evidence: Evidence) -> Tally:
    tally = Tally()
    for (topic, _), messages in evidence.log.items():
        for kept in messages:
            tally.count(topic, kept)
    return tally


def _body(kept: Kept) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(kept.value or b"")
    return body


def _first_action(evidence: Evidence) -> NextBestAction:
    """The first step of an action that a transaction led to."""
    place, index = _find(
        evidence,
        QUEUES,
        lambda body: body["type"] == "action" and body["step"] == 0 and body["occasion"].startswith("transaction:"),
    )
    return NextBestAction.model_validate_json(evidence.log[place][index].value or b"")


def _find(evidence: Evidence, topics: tuple[str, ...], wanted: Callable[[dict[str, Any]], bool]) -> tuple[Place, int]:
    return next(
        (place, index)
        for place, messages in evidence.log.items()
        if place[0] in topics
        for index, kept in enumerate(messages)
        if wanted(_body(kept))
    )


def _failures(evidence: Evidence) -> dict[str, str]:
    return {finding.name: finding.difference for finding in verify(evidence).findings if not finding.passed}


def _first_failure(evidence: Evidence) -> Finding:
    return next(finding for finding in verify(evidence).findings if not finding.passed)


def _with_refused_feedback(evidence: Evidence, action: Mapping[str, Any]) -> Evidence:
    """The evidence with one more feedback on an action, and the dead letter that it became."""
    feedback, letters = ("bank.feedback", action["placed"]), (DEAD_LETTERS, action["placed"])
    body = {
        "type": "feedback",
        "customer_id": action["customer_id"],
        "action_id": action["action_id"],
        "channel": action["channel"],
        "occurred_at": action["created_at"],
    }
    offset = len(evidence.log[feedback])
    why = {"reason": "UNKNOWN_ACTION", "topic": feedback[0], "partition": feedback[1], "offset": offset}
    header = (DEAD_LETTER_HEADER, msgspec.json.encode(why))
    told = Kept(offset, action["customer_id"].encode(), msgspec.json.encode(body), ())
    refused = Kept(len(evidence.log[letters]), told.key, told.value, (header,))
    more = {feedback: [*evidence.log[feedback], told], letters: [*evidence.log[letters], refused]}
    return replace(evidence, log={**evidence.log, **more})


def _without(evidence: Evidence, place: Place, index: int) -> Evidence:
    kept = evidence.log[place]
    return replace(evidence, log={**evidence.log, place: [*kept[:index], *kept[index + 1 :]]})


def _with_value(evidence: Evidence, place: Place, index: int, value: bytes) -> Evidence:
    kept = list(evidence.log[place])
    kept[index] = kept[index]._replace(value=value)
    return replace(evidence, log={**evidence.log, place: kept})


def _with_more(evidence: Evidence, place: Place, value: bytes | None) -> Evidence:
    kept = evidence.log[place]
    return replace(evidence, log={**evidence.log, place: [*kept, kept[0]._replace(offset=len(kept), value=value)]})
