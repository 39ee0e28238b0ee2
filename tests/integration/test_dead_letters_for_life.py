"""Dead letters until the last is sent again or given up: what an operator sees and types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.dead_letter import RESOLUTION_HEADER, Resolution
from schemas.topics import DEAD_LETTERS
from tests.support.system import Event, System, payment
from tests.support.worker_process import wait_until

RULES = Path(__file__).parent / "rules" / "independent"
TOPIC = "bank.transactions"


def _payment(number: int, customer: str = "c1", **changes: Any) -> Event:
    return payment(customer, number, f"2026-03-02T10:00:0{number}+08:00", **changes)


def _occasions(system: System) -> list[str]:
    return sorted(action["occasion"] for action in system.actions())


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_what_was_set_aside_by_mistake_is_sent_again_and_counts_once(
    kafka: str, redis_url: str, tmp_path: Path, *, twice: bool
) -> None:
    """A worker set to another tenant sets good events aside; a right one takes them when they are redriven.

    ``twice``: as if the command had died between sending and marking, and all are sent once more.
    """
    good = [_payment(number, customer) for number in (1, 2, 3) for customer in ("c1", "c2", "c3")]
    hopeless = [Event(TOPIC, b"c1", b"{"), _payment(9, tenant="another")]
    with System(kafka, redis_url, tmp_path, rules=RULES, name="redrive", partitions=2) as system:
        system.create_topics()
        wrong = system.start_worker(tenant="wrong")
        wrong.wait_for_partitions()
        system.publish([*good, *hopeless])
        wait_until(lambda: len(system.dead_letters()) == 11, "all are set aside")
        assert wrong.terminate() < 10
        system.start_worker().wait_for_partitions()

        code, text = system.command("dead-letters", "redrive", "--all", "--note", "tenant mended", "--dry-run")
        assert (code, text.count("would be sent again\n")) == (1, 9)
        assert "9 would be sent again, 2 left" in text
        assert system.actions() == []
        if twice:
            system.publish(good)
        again = ("dead-letters", "redrive", "--reason", "WRONG_TENANT", "--reason", "NOT_JSON")
        code, text = system.command(*again, "--note", "tenant mended", "--yes")
        assert code == 1, text
        assert "9 sent again, 2 left" in text
        assert "is left: it is refused as before: NOT_JSON" in text
        assert "is left: it is refused as before: WRONG_TENANT tenant" in text
        code, text = system.command(*again, "--note", "tenant mended", "--yes")
        assert "none sent again, 2 left" in text
        wait_until(lambda: len(system.actions()) == 9, "all nine take effect")
        system.wait_until_drained()
        assert _occasions(system) == sorted(f"transaction:{c}-{n}" for n in (1, 2, 3) for c in ("c1", "c2", "c3"))
        assert len(system.dead_letters()) == 11, "what was sent again was set aside again"


def test_what_is_given_up_is_on_record(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """``drop`` marks with a note; a list no longer shows it, ``--resolved`` does; ``show`` gives the original bytes."""
    with System(kafka, redis_url, tmp_path, rules=RULES, name="drop", partitions=1) as system:
        system.create_topics()
        system.start_worker().wait_for_partitions()
        system.publish(
            [Event(TOPIC, b"c1", b'{"name": "Zhang Wei"'), Event("bank.profiles", b"c1", b"[]"), _payment(1)]
        )
        system.wait_until_drained()
        assert system.command("dead-letters", "drop", "--note", "x")[0] == 2
        assert system.command("dead-letters", "drop", "--note", "x", "--reason", "NO_SUCH")[0] == 2
        code, text = system.command("dead-letters", "drop", f"{TOPIC}/0@7", "--note", "x", "--yes")
        assert (code, text) == (1, f"there is no open dead letter {TOPIC}/0@7\n")
        code, text = system.command("dead-letters", "show", f"{TOPIC}/0@0")
        assert code == 0
        assert json.loads(text)["redrive"] == "it is refused as before: NOT_JSON"
        assert "Zhang" not in text
        assert system.command("dead-letters", "show", f"{TOPIC}/0@0", "--value") == (0, '{"name": "Zhang Wei"')

        code, text = system.command("dead-letters", "drop", f"{TOPIC}/0@0", "--note", "a test", "--dry-run")
        assert (code, text) == (0, f"{TOPIC}/0@0 would be dropped\n1 would be dropped\n")
        assert _listed(system) == {f"{TOPIC}/0@0", "bank.profiles/0@0"}
        code, text = system.command("dead-letters", "drop", f"{TOPIC}/0@0", "--note", "a test", "--yes")
        assert (code, text) == (0, "1 dropped\n")
        assert _listed(system) == {"bank.profiles/0@0"}
        assert _listed(system, "--resolved") == {f"{TOPIC}/0@0", "bank.profiles/0@0"}
        code, text = system.command("dead-letters", "list", "--resolved")
        assert "dropped: a test" in text
        (mark,) = [r for r in system.read(DEAD_LETTERS) if RESOLUTION_HEADER in dict(r.headers)]
        resolution = Resolution.model_validate_json(dict(mark.headers)[RESOLUTION_HEADER])
        assert (resolution.outcome, resolution.note, mark.value) == ("dropped", "a test", None)
        system.stop_workers()


def _listed(system: System, *options: str) -> set[str]:
    code, text = system.command("dead-letters", "list", "--json", *options)
    assert code == 0
    rows = [json.loads(line) for line in text.splitlines()]
    return {f"{row['topic']}/{row['partition']}@{row['offset']}" for row in rows}
