"""How simulated customers answer: a channel on top of the notifier's kit that sends, waits, and reports feedback.

What a customer does follows from the action's id and the seed alone, so another order changes nothing. When they do it
is the bank's present: on a fast clock the system's answer to an old record may be days behind it, and feedback stamped
with that day would be set aside as too late.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Final, Literal

from schemas.actions import Cancellation, NextBestAction
from schemas.base import from_ms, to_ms
from schemas.events import DESK_CHANNELS
from streams.kits.notifier import Outcome
from streams.simulator.records import DAY_MS, HOUR_MS, MINUTE_MS

Report = Callable[[NextBestAction, Outcome, datetime], None]
"""Sends a feedback: the action, what became of it, when (business time)."""
MaySend = Callable[[NextBestAction, int], bool]
"""Whether an accepted action may still go out at a time (ms): ``Inbox.may_send``."""

_PHONE_OFF: Final = 0.08
_FAILS: Final = 0.04
_TWICE: Final = 0.05
_LATE: Final = 0.08
_READ: Final[tuple[tuple[Outcome, float], ...]] = (("opened", 0.55), ("clicked", 0.4), ("bought", 0.25))
_SPOKEN: Final[tuple[tuple[Outcome, float], ...]] = (("answered", 0.7), ("bought", 0.2))
"""How likely each outcome is after the one before it: of a message that is read, and where people speak."""


@dataclass(order=True, slots=True)
class _Due:
    at_ms: int
    number: int
    kind: Literal["send", "report"] = field(compare=False)
    action: NextBestAction = field(compare=False)
    outcome: Outcome = field(compare=False, default="delivered")
    late_ms: int = field(compare=False, default=0)
    """How long before its report it happened."""
    times: int = field(compare=False, default=1)


class SimulatedOutreach:
    """An ``OutreachChannel``: sends minutes later, sometimes days later; most customers look, some answer.

    ``counts``: sent, not_sent (withdrawn or expired while it waited), taken_down, feedback, feedback_twice,
    feedback_late.
    """

    def __init__(self, seed: int = 1) -> None:
        self.counts: Counter[str] = Counter()
        self._seed = seed
        self._due: list[_Due] = []
        self._number = 0

    def deliver(self, action: NextBestAction) -> None:
        random = self._random(action)
        wait = random.randrange(1, 4) * DAY_MS if random.random() < _PHONE_OFF else random.randrange(10 * MINUTE_MS)
        self._push(_Due(to_ms(action.created_at) + wait, self._next(), "send", action))

    def withdraw(self, cancellation: Cancellation) -> None:  # noqa: ARG002 - what waits is asked for when it is due
        self.counts["taken_down"] += 1

    @property
    def waiting(self) -> int:
        """How many sends and reports are yet to come."""
        return len(self._due)

    def advance(self, now_ms: int, report: Report, may_send: MaySend) -> int:
        """Does everything due by a simulated time; returns how many feedback records were sent."""
        sent = 0
        while self._due and self._due[0].at_ms <= now_ms:
            due = heapq.heappop(self._due)
            if due.kind == "report":
                for _ in range(due.times):
                    report(due.action, due.outcome, from_ms(now_ms - due.late_ms))
                sent += due.times
                self.counts["feedback"] += due.times
                self.counts["feedback_twice"] += due.times - 1
                self.counts["feedback_late"] += due.late_ms > 0
            elif may_send(due.action, due.at_ms):
                self.counts["sent"] += 1
                self._answer(due.action, max(due.at_ms, now_ms))
            else:
                self.counts["not_sent"] += 1
        return sent

    def _answer(self, action: NextBestAction, at_ms: int) -> None:
        random = self._random(action)
        random.random()
        if random.random() < _FAILS:
            self._tell(action, "failed", at_ms, random)
            return
        self._tell(action, "delivered", at_ms, random)
        for outcome, chance in _SPOKEN if action.channel in DESK_CHANNELS else _READ:
            if random.random() >= chance:
                break
            at_ms += random.randrange(MINUTE_MS, 8 * HOUR_MS)
            self._tell(action, outcome, at_ms, random)
        else:
            return
        if random.random() < 0.04:
            self._tell(action, "refused", at_ms + HOUR_MS, random)

    def _tell(self, action: NextBestAction, outcome: Outcome, at_ms: int, random: Random) -> None:
        late_ms = random.randrange(HOUR_MS, 2 * DAY_MS) if random.random() < _LATE else 0
        times = 2 if random.random() < _TWICE else 1
        self._push(_Due(at_ms + late_ms, self._next(), "report", action, outcome, late_ms, times))

    def _random(self, action: NextBestAction) -> Random:
        return Random(f"{self._seed}:{action.action_id}")  # noqa: S311 - repeatable, not secret

    def _push(self, due: _Due) -> None:
        heapq.heappush(self._due, due)

    def _next(self) -> int:
        self._number += 1
        return self._number
