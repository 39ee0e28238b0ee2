"""What the demo tells of single customers: one of each kind of thing that can happen, read off the topics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from schemas.base import read_time
from schemas.topics import BEHAVIOUR, DECISIONS
from streams.demo.tap import Kept, Place
from streams.simulator.records import ZONE
from triggers.engine.batch import ORIGIN_HEADER
from triggers.policy import arbitration, holdout

_STEPS: Final = "desk.steps"


class Story(NamedTuple):
    """A kind of thing that happened, and one that did: whose, what, when. ``text`` is ``None`` where none did."""

    kind: str
    text: str | None


T = TypeVar("T")
Row = Mapping[str, Any]


def stories(log: Mapping[Place, Sequence[Kept]]) -> list[Story]:
    """The first of each kind. ``log`` holds all messages of all topics."""
    decisions = sorted(_rows(log, DECISIONS), key=lambda row: (read_time(row["decided_at"]), row["decision_id"]))
    journeys: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in decisions:
        journeys[row["customer_id"], row["trigger"], row["occasion"]].append(row)
    whole = list(journeys.values())
    return [
        Story("a ladder", _first(_ladder, whole)),
        Story("a deferral", _first(_deferral, whole)),
        Story("an arbitration", _first(_loser, decisions)),
        Story("a holdout", _first(_held_out, decisions)),
        Story("a desk's assignment", _first(_assigned, list(_rows(log, _STEPS)))),
        Story("one identity", _identity(log)),
    ]


def _first(tell: Callable[[T], str | None], rows: Sequence[T]) -> str | None:
    return next((text for row in rows if (text := tell(row)) is not None), None)


def _ladder(rows: Sequence[Row]) -> str | None:
    sent = [row for row in rows if row["outcome"] == "sent"]
    if len({row["step"] for row in sent}) < 2 or len({row["channel"] for row in sent}) < 2:
        return None
    steps = ", then ".join(f"{row['channel']} {_when(row['decided_at'])}" for row in sent)
    return f"{_whose(sent[0])}: {steps}"


def _deferral(rows: Sequence[Row]) -> str | None:
    waits = next((row for row in rows if row["outcome"] == "deferred"), None)
    if waits is None:
        return None
    after = (row for row in rows if row["step"] == waits["step"] and row["outcome"] == "sent")
    sent = next(after, None)
    if sent is None:
        return None
    return (
        f"{_whose(waits)}: {waits['channel']} waits at {_when(waits['decided_at'])} ({waits['reason']}), "
        f"sent {_when(sent['decided_at'])}"
    )


def _loser(row: Row) -> str | None:
    if row["reason"] != arbitration.REASON:
        return None
    detail = row["detail"]
    return f"{_whose(row)} scores {detail['score']}, {detail['winner']} with {detail['winner_score']} is heard instead"


def _held_out(row: Row) -> str | None:
    if row["reason"] != holdout.REASON:
        return None
    return f"{_whose(row)}: nothing is sent, so that what the others' contacts bring can be measured"


def _assigned(row: Row) -> str | None:
    if row["step"] != "assigned":
        return None
    return f"{row['customer_id']} had no manager: {row['manager_id']} of the {row['desk']} desk, {row['pool']}"


def _identity(log: Mapping[Place, Sequence[Kept]]) -> str | None:
    for (topic, _), messages in sorted(log.items()):
        for message in messages if topic == BEHAVIOUR else ():
            if any(name == ORIGIN_HEADER for name, _ in message.headers):
                row = msgspec.json.decode(message.value or b"")
                return (
                    f"what was done on {row['source']} under its own id counts for {row['customer_id']}, "
                    f"as of {_when(row['occurred_at'])}"
                )
    return None


def _rows(log: Mapping[Place, Sequence[Kept]], wanted: str) -> list[Row]:
    """The bodies of a topic; a batch that was run again has published its own once more."""
    values = dict.fromkeys(
        m.value or b"" for (topic, _), messages in sorted(log.items()) if topic == wanted for m in messages
    )
    return [msgspec.json.decode(value) for value in values]


def _whose(row: Row) -> str:
    return f"{row['customer_id']} {row['trigger']}"


def _when(text: str) -> str:
    at: datetime = read_time(text)
    return f"{at.astimezone(ZONE):%m-%d %H:%M}"
