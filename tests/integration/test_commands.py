"""The commands that show what came out, as processes: all that the topics hold, and only what was asked for."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import queue_of
from streams.event_file import format_event
from tests.support.bank_history import bank_history
from tests.support.kafka_broker import KafkaBroker, die_with_parent
from tests.support.oracle_check import check_against_oracle
from tests.support.system import Event, System, event, payment
from tests.support.worker_process import ROOT, environment, wait_until

SHIPPED = ROOT / "triggers" / "library"
INDEPENDENT = Path(__file__).parent / "rules" / "independent"
HEAD = ["reason", "field", "from", "bytes", "problem"]


@pytest.fixture(scope="module")
def system(kafka_broker: KafkaBroker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A small bank's history, published by the command, and what a worker made of it; the worker has ended."""
    folder = tmp_path_factory.mktemp("commands")
    with System(kafka_broker.bootstrap, redis_url, folder, rules=SHIPPED, name="commands") as system:
        system.create_topics()
        events = [*(one for one in bank_history(customers=60) if _is_json(one.value)), *_bad_records()]
        file = folder / "events.jsonl"
        with file.open("w") as lines:
            lines.writelines(format_event(one.topic, (one.key or b"").decode(), one.value.decode()) for one in events)
        code, text = system.command("publish", file)
        assert (code, text) == (0, f"{len(events)} events published, 0 lines left out\n")
        system.start_worker().wait_for_partitions(system.partitions)
        system.wait_until_drained()
        system.stop_workers()

        # Enough to tell what is asked for from the rest.
        verdict = check_against_oracle(system)
        assert verdict.repeated_messages == 0, "the commands show repeats, which what they are compared with leaves out"
        assert {body["type"] for body in _queue(system, "push")} == {"action", "cancellation"}
        assert {body["channel"] for body in system.outreach()} >= {"push", "sms"}
        assert {body["outcome"] for body in system.decisions()} == {"sent", "deferred", "suppressed", "cancelled"}
        assert len({about.reason for about, _ in system.dead_letters()}) >= 2
        assert len({about.topic for about, _ in system.dead_letters()}) >= 2
        yield system


def test_actions_for_a_machine_are_all_that_the_queues_hold(system: System) -> None:
    """Without a channel: every action and withdrawal of every queue, body for body."""
    shown = _json_lines(system, "actions", "--json")
    assert _counted(shown) == _counted(system.outreach())


def test_actions_of_several_channels(system: System) -> None:
    """``--channel`` twice: these two queues and no other."""
    shown = _json_lines(system, "actions", "--channel", "sms", "--channel", "push", "--json")
    assert _counted(shown) == _counted([*_queue(system, "push"), *_queue(system, "sms")])


def test_actions_of_one_channel_are_a_line_each(system: System) -> None:
    """Actions and withdrawals of that queue alone, each beginning with its time and what it is."""
    shown = _lines(system, "actions", "--channel", "push")
    assert Counter(shown) == Counter(map(_action_line, _queue(system, "push")))
    kinds = Counter(line.split()[1] for line in shown)
    assert kinds["cancel"] >= 1
    assert kinds["action"] >= 1


def test_an_empty_queue_shows_nothing(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """No line, and no failure."""
    with System(kafka, redis_url, tmp_path, rules=INDEPENDENT, name="empty", partitions=1) as system:
        system.create_topics()
        assert _lines(system, "actions", "--channel", "branch") == []


def test_decisions_for_a_machine_are_all_there_are(system: System) -> None:
    """Without a customer: every decision, body for body."""
    assert _counted(_json_lines(system, "decisions", "--json")) == _counted(system.decisions())


def test_decisions_of_one_customer(system: System) -> None:
    """Only this customer's, for a machine and as lines, in the order in which they were made."""
    customer = Counter(
        body["customer_id"] for body in system.decisions() if body["outcome"] == "suppressed"
    ).most_common(1)[0][0]
    wanted = [body for body in system.decisions() if body["customer_id"] == customer]
    assert 0 < len(wanted) < len(system.decisions())
    assert _json_lines(system, "decisions", "--customer", customer, "--json") == wanted
    assert _lines(system, "decisions", "--customer", customer) == list(map(_decision_line, wanted))


def test_decisions_of_an_unknown_customer_are_none(system: System) -> None:
    """No line, and no failure."""
    assert _lines(system, "decisions", "--customer", "nobody") == []


def test_why_tells_all_that_is_on_record_of_a_customer(system: System) -> None:
    """Every decision, action and withdrawal, each once, under its candidate; and nothing of anybody else."""
    customer = Counter(body["customer_id"] for body in system.decisions()).most_common(1)[0][0]
    told = _json_lines(system, "why", customer, "--rules", str(SHIPPED), "--json")
    assert {one["customer"] for one in told} == {customer}
    decisions = [body for body in system.decisions() if body["customer_id"] == customer]
    outreach = [body for body in system.outreach() if body["customer_id"] == customer]
    for one in told:
        for decision in one["decisions"]:
            assert decision.pop("meaning")
    assert _counted([body for one in told for body in one["decisions"]]) == _counted(decisions)
    assert _counted([body for one in told for body in (*one["actions"], *one["withdrawals"])]) == _counted(outreach)
    for one in told:
        assert {(body["trigger"], body["occasion"]) for body in one["decisions"]} == {(one["trigger"], one["occasion"])}
    _, *lines = _lines(system, "why", customer, "--rules", str(SHIPPED), "--trigger", told[0]["trigger"])
    assert sum(not line.startswith(" ") and bool(line) for line in lines) == sum(
        one["trigger"] == told[0]["trigger"] for one in told
    )


def test_why_runs_a_customer_again_as_the_journal_has_it(system: System) -> None:
    """The decisions come out as they are on record, for several customers; a look without one shows its clauses."""
    counts = Counter(body["customer_id"] for body in system.decisions() if body["trigger_version"])
    for customer, _ in counts.most_common(3):
        text = "\n".join(
            _lines(system, "why", customer, "--rules", str(SHIPPED), "--trigger", "balance_drop", "--replay")
        )
        (told,) = [line for line in text.splitlines() if "run again as the journal has them" in line]
        assert told.endswith(f"the same {counts[customer]} decisions as on record")
        assert "customer.balance = " in text


def test_why_without_the_rule_set_that_ran_says_which_is_missing(system: System) -> None:
    """Other rules would tell another story."""
    customer = system.decisions()[0]["customer_id"]
    code, text = system.command("why", customer, "--rules", str(INDEPENDENT), "--trigger", "any_payment", "--replay")
    assert code == 1
    (hash_,) = system.rulesets
    assert f"part of it ran under rule set {hash_}, which is not among those given" in text


def test_a_report_of_the_topics_is_one_of_the_files(system: System, tmp_path: Path) -> None:
    """The same sums, whether records are read from Kafka or from what the commands print and the events' file."""
    lines = _lines(system, "report", "--rules", str(SHIPPED), "--json")
    (from_topics,) = [json.loads(line) for line in lines if line.startswith("{")]
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_text("\n".join(_lines(system, "decisions", "--json")), "utf-8")
    events = system.folder / "events.jsonl"
    code, text = system.command(
        "report", "--rules", str(SHIPPED), "--records", str(decisions), "--records", str(events), "--json"
    )
    assert code == 0, text
    (from_files,) = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert from_files == from_topics
    assert from_topics["funnel"]["sent"] > 10
    assert from_topics["funnel"]["events"] > 1_000
    assert from_topics["no_records"]


def test_why_of_an_unknown_customer_is_a_failure(system: System) -> None:
    """It was looked for, and nothing is on record."""
    code, text = system.command("why", "nobody")
    assert (code, text.splitlines()[-1]) == (1, "customer nobody: 0 candidates on record (times of Asia/Shanghai)")


def test_dead_letters_are_a_table_in_a_pipe(system: System) -> None:
    """Tabs between the fields, their names first and the count last; no value of a record."""
    head, *rows, last = _lines(system, "dead-letters", "list")
    letters = system.dead_letters()
    assert head.split("\t") == HEAD
    assert Counter(tuple(row.split("\t")) for row in rows) == Counter(
        (
            str(about.reason),
            about.field,
            f"{about.topic}/{about.partition}@{about.offset}",
            str(len(record.value or b"")),
            about.problem,
        )
        for about, record in letters
    )
    reasons = Counter(str(about.reason) for about, _ in letters)
    told = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    assert last == f"{len(letters)} dead letters: {told}"
    assert not any("secret-looking" in row for row in rows)


def test_dead_letters_for_a_machine(system: System) -> None:
    """The header of each, and where it lies in the dead letters' topic."""
    wanted = [
        {
            "dead_letter_partition": record.partition,
            "dead_letter_offset": record.offset,
            **about.model_dump(mode="json"),
        }
        for about, record in system.dead_letters()
    ]
    assert _counted(_json_lines(system, "dead-letters", "list", "--json")) == _counted(wanted)


@pytest.mark.parametrize(("option", "name"), [("--reason", "reason"), ("--topic", "topic")])
def test_dead_letters_of_one_kind(system: System, option: str, name: str) -> None:
    """``--reason`` and ``--topic``: those alone, and their count."""
    counts = Counter(str(getattr(about, name)) for about, _ in system.dead_letters())
    value, count = counts.most_common()[-1]
    shown = _json_lines(system, "dead-letters", "list", option, value, "--json")
    assert [one[name] for one in shown] == [value] * count
    _, *rows, last = _lines(system, "dead-letters", "list", option, value)
    assert len(rows) == count
    assert last.startswith(f"{count} dead letters: ")


def test_dead_letters_of_a_reason_and_a_topic(system: System) -> None:
    """Both options: what meets both."""
    shown = _json_lines(
        system, "dead-letters", "list", "--reason", "NAIVE_TIME", "--topic", "bank.transactions", "--json"
    )
    assert [(one["reason"], one["topic"]) for one in shown] == [("NAIVE_TIME", "bank.transactions")]


def test_dead_letters_of_a_time(system: System) -> None:
    """``--since`` and ``--until``, in UTC: all, or none, on ``list`` and on what ``drop`` would do."""
    times = [about.rejected_at.astimezone(UTC).replace(tzinfo=None) for about, _ in system.dead_letters()]
    first, behind = min(times).replace(microsecond=0), max(times).replace(microsecond=0) + timedelta(seconds=1)
    for options, count in (
        (("--since", first), len(times)),
        (("--since", behind), 0),
        (("--until", first), 0),
        (("--until", behind), len(times)),
    ):
        given = (options[0], options[1].isoformat())
        assert len(_json_lines(system, "dead-letters", "list", *given, "--json")) == count, given
        *_, last = _lines(system, "dead-letters", "drop", *given, "--note", "tried", "--dry-run")
        assert last == f"{count} would be dropped", given


def test_new_actions_are_followed_until_interrupted(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """``--follow --new``: what was there is not shown, what comes is, line by line; Ctrl-C ends it with 130."""
    with System(kafka, redis_url, tmp_path, rules=INDEPENDENT, name="follow", partitions=1) as system:
        system.create_topics()
        system.start_worker().wait_for_partitions()
        system.publish([_payment("before")])
        system.wait_until_drained()
        out = tmp_path / "followed.jsonl"
        with _process(system, out, "actions", "--channel", "push", "--follow", "--new", "--json") as follower:
            # It does not say from when on it follows: an event after the other, until the first is shown.
            tried = 0
            while not _complete_lines(out):
                assert follower.poll() is None, out.read_text()
                assert tried < 600, "nothing is shown of what comes"
                tried += 1
                system.publish([_payment(f"tried-{tried}")])
                system.wait_until_drained()
            system.publish([_payment("last")])
            wait_until(lambda: "last" in out.read_text(), "the last action is shown", 30)
            assert follower.poll() is None, "it ended by itself"
            follower.send_signal(signal.SIGINT)
            assert follower.wait(60) == 130, out.read_text()
        # SIGINT leaves no trace among the lines: each is an action of the queue, from one on without a gap.
        shown, queue = list(map(json.loads, _complete_lines(out))), _queue(system, "push")
        assert len(queue) == tried + 2
        assert shown == queue[-len(shown) :]
        assert "before" not in {body["customer_id"] for body in shown}


def _lines(system: System, *arguments: str) -> list[str]:
    """What a command wrote (the error output too); it must end with 0."""
    code, text = system.command(*arguments)
    assert code == 0, text
    return text.splitlines()


def _json_lines(system: System, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _lines(system, *arguments)]


def _counted(bodies: Sequence[dict[str, Any]]) -> Counter[str]:
    """Bodies without their order: the commands promise one only within a partition."""
    return Counter(json.dumps(body, sort_keys=True) for body in bodies)


def _queue(system: System, channel: str) -> list[dict[str, Any]]:
    """The bodies on a channel's queue, by partition and offset."""
    return [json.loads(record.value or b"") for record in system.read(queue_of(channel))]


def _action_line(body: dict[str, Any]) -> str:
    kind, more = ("action", body["offer"]) if body["type"] == "action" else ("cancel", body["reason"])
    about = f"{kind} {body['channel']} {body['customer_id']} {body['trigger']} {more} {body['action_id']}"
    return f"{_time(body['created_at'])} {about}"


def _decision_line(body: dict[str, Any]) -> str:
    about = f"{body['customer_id']} {body['trigger']} step {body['step']} {body['outcome']}: {body['reason']}"
    detail = "".join(f" {name}={text}" for name, text in body["detail"].items())
    return f"{_time(body['decided_at'])} {about}{detail}"


def _time(text: str) -> str:
    return datetime.fromisoformat(text).isoformat()


@contextmanager
def _process(system: System, out: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on, what it writes in a file. It does not outlive this process."""
    with out.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams", *arguments],
            cwd=ROOT,
            env=environment(system.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # A shell's background job ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    watcher = die_with_parent(process.pid)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        watcher.kill()
        watcher.wait()
        assert watcher.stdin is not None
        watcher.stdin.close()


def _complete_lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def _payment(customer: str, **fields: Any) -> Event:
    return payment(customer, 1, "2026-03-02T10:00:00+08:00", **fields)


def _bad_records() -> list[Event]:
    return [
        _payment("bad", occurred_at="2026-03-02T10:00:00"),
        _payment("bad", account_id={"secret-looking": 1}),
        event("bank.profiles", "bad", tenant="secret-looking"),
    ]
