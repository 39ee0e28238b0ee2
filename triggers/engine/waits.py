"""Waits for an event that should follow another: ``{after: behaviour.browse, unless: product.opened, within: 24h}``.

What counts is when events happened, not when they came. A wait runs from the first ``after`` event; further ones
before its end change nothing. An ``unless`` event from its beginning on and before its end answers it. So the
waits of a customer follow from the two kinds of events alone, and a late or a reversed one only has to be put in its
place or taken out: the same rule then says what is waited for now.
"""

from __future__ import annotations

from bisect import insort
from datetime import UTC, datetime
from typing import Final

from schemas.base import from_ms, to_ms
from triggers.engine.evaluation import Evaluation
from triggers.engine.firing import Cause, memory_name
from triggers.engine.plan import Plan, Wait
from triggers.engine.state import CustomerState, Journey, Waiting
from triggers.engine.withdrawal import take_back

_MOMENT: Final = "%Y%m%dT%H%M%S.%f"
_REMEMBERED: Final = 16
"""How many events of each kind a wait remembers: among more of them a late or a reversed one may find no place."""


def note_waits(run: Evaluation, kind: str, detail: str | None, key: int, event_id: str) -> None:
    """Lets an event begin, move, or answer the waits that it concerns."""
    for wait in run.plan.waits_on.get(kind, ()):
        begins, answers = wait.after.covers(kind, detail), wait.unless.covers(kind, detail)
        if not begins and not answers:
            continue
        waiting = run.state.waits.get(wait.timer)
        if waiting is None:
            waiting = run.state.waits[wait.timer] = Waiting()
        if begins:
            insort(waiting.begun, (run.at, key))
        if answers:
            insort(waiting.answered, (run.at, key))
            _answer_late(run, wait, waiting, event_id)
        _forget(waiting, wait, run.at - run.plan.policy.lateness_ms)
        schedule_wait(run.state, wait, run.clock)


def reverse_waits(run: Evaluation, original: int) -> None:
    """Takes an event that was reversed out of every wait."""
    for name, waiting in run.state.waits.items():
        wait = run.plan.waits[name]
        before = len(waiting.begun) + len(waiting.answered)
        waiting.begun = [entry for entry in waiting.begun if entry[1] != original]
        waiting.answered = [entry for entry in waiting.answered if entry[1] != original]
        if waiting.told_key == original:
            # What was told of never was: the next event may begin the wait that this one began.
            waiting.settled = waiting.told_ms
            waiting.told_ms = waiting.told_key = 0
        if len(waiting.begun) + len(waiting.answered) < before:
            schedule_wait(run.state, wait, run.clock)


def schedule_wait(state: CustomerState, wait: Wait, clock: int) -> None:
    """Sets the timer of a wait anew: at its end, or now where a late event tells of one that is over."""
    begun = _current(state.waits[wait.timer], wait.within_ms)
    if begun is None:
        state.timers.pop(wait.timer, None)
    else:
        state.timers[wait.timer] = max(begun[0] + wait.within_ms, clock)


def end_wait(state: CustomerState, plan: Plan, name: str, clock: int) -> Cause:
    """Notes that a wait ran out, and begins the next where there is one; returns the cause to wake the trigger by."""
    wait, waiting = plan.waits[name], state.waits[name]
    begun = _current(waiting, wait.within_ms)
    assert begun is not None, "a timer of a wait stands only while something is waited for"
    end = begun[0] + wait.within_ms
    waiting.settled, (waiting.told_ms, waiting.told_key) = end, begun
    schedule_wait(state, wait, clock)
    return Cause(_occasion(wait, begun[0]), begun[1], "", end)


def _occasion(wait: Wait, start: int) -> str:
    return f"{_prefix(wait)}{from_ms(start):{_MOMENT}}"


def _prefix(wait: Wait) -> str:
    return f"wait:{wait.timer.split(':', 2)[2]}:"


def _current(waiting: Waiting, within: int) -> tuple[int, int] | None:
    """The event that began what is waited for now: the first that is neither settled nor answered."""
    for at, key in waiting.begun:
        if at >= waiting.settled and not any(at <= answer < at + within for answer, _ in waiting.answered):
            return at, key
    return None


def _answer_late(run: Evaluation, wait: Wait, waiting: Waiting, event_id: str) -> None:
    """Withdraws what was sent after waits that this event, had it come in time, would have ended."""
    at, state = run.at, run.state
    if waiting.told_ms and waiting.told_ms <= at < waiting.told_ms + wait.within_ms:
        memory = state.memory.get(memory_name(wait.trigger))
        if memory is not None and memory.fired_key == waiting.told_key:
            memory.take_back()
        waiting.settled = at
        waiting.told_ms = waiting.told_key = 0
    take_back(
        run,
        lambda journey: _came_of(journey, wait) and 0 <= at - _begun(wait, journey) < wait.within_ms,
        "answered_late",
        event_id,
    )


def _came_of(journey: Journey, wait: Wait) -> bool:
    return journey.trigger == wait.trigger.id and journey.occasion.startswith(_prefix(wait))


def _begun(wait: Wait, journey: Journey) -> int:
    """When the wait began that led to a journey."""
    text = journey.occasion.removeprefix(_prefix(wait))
    return to_ms(datetime.strptime(text, _MOMENT).replace(tzinfo=UTC))


def _forget(waiting: Waiting, wait: Wait, floor: int) -> None:
    """Drops what cannot matter any more, or is too much; what comes before it then counts as settled."""
    useful = waiting.told_ms or waiting.settled
    begun = waiting.begun = [entry for entry in waiting.begun if entry[0] >= useful]
    answered = waiting.answered = [entry for entry in waiting.answered if entry[0] >= useful]
    current = _current(waiting, wait.within_ms)
    while begun and (len(begun) > _REMEMBERED or begun[0][0] < floor - wait.within_ms):
        if begun[0] != current:
            waiting.settled = max(waiting.settled, begun.pop(0)[0] + 1)
        elif len(begun) > _REMEMBERED:
            begun.pop()
        else:
            break
    while answered and (len(answered) > _REMEMBERED or answered[0][0] < floor):
        if current is not None and current[0] <= answered[0][0]:
            break
        waiting.settled = max(waiting.settled, answered.pop(0)[0] + 1)
