"""A customer's state as compact bytes and back. The first byte is the format's version.

Equal states have equal bytes, whatever batches led to them: mappings are written in the order the engine filled
them, amounts as integers of 1/10,000, series as the memory of their packed arrays.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from sys import intern
from typing import Any, Final

import msgpack

from triggers.engine.seen import Seen
from triggers.engine.series import SeriesState
from triggers.engine.stage import UnreadableState
from triggers.engine.state import PROFILE_FIELDS, Account, Contact, CustomerState, Holding, Journey, Memory, Sent

VERSION: Final = 2

_UNIT: Final = Decimal(1).scaleb(-4)


def encode_state(state: CustomerState) -> bytes:
    """The bytes of a state."""
    body = [
        state.ruleset,
        state.currency,
        state.clock,
        state.indexed_due,
        [(a.id, a.currency, _scaled(a.balance), a.sequence) for a in state.account_map.values()],
        [_holding_row(holding) for holding in state.holding_map.values()],
        [(key, amount, at) for key, (amount, at) in state.transit.items()],
        [(kind, seen.newest, seen.keys.tobytes(), seen.times.tobytes()) for kind, seen in state.seen.items()],
        list(state.undone.items()),
        [
            (
                name,
                series.times.tobytes(),
                series.keys.tobytes(),
                values.tobytes() if type(values := series.values) is array else _mixed(values),
            )
            for name, series in state.series.items()
        ],
        list(state.activity.items()),
        state.told,
        [(name, m.fired_ms, m.fired_key, m.before_ms, m.armed) for name, m in state.memory.items()],
        [_journey_row(journey) for journey in state.journeys],
        state.timers,
        state.profile_sequence,
        state.profile_row,
        state.contacts,
        state.attempts,
    ]
    packed: bytes = msgpack.packb(body)
    return bytes((VERSION,)) + packed


def decode_state(key: str, data: bytes) -> CustomerState:
    """A state from its bytes.

    Raises:
        UnreadableState: the bytes are damaged or of another version than this program writes.
    """
    if not data or data[0] != VERSION:
        found = data[0] if data else "none"
        raise UnreadableState(f"the state has format version {found}; this program reads version {VERSION}")
    try:
        return _state(key, msgpack.unpackb(memoryview(data)[1:], strict_map_key=False, use_list=False))
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise UnreadableState(f"the state's bytes are damaged: {type(error).__name__}") from error


def _state(key: str, body: Any) -> CustomerState:
    (
        ruleset,
        currency,
        clock,
        indexed_due,
        accounts,
        holdings,
        transit,
        seen,
        undone,
        series,
        activity,
        told,
        memory,
        journeys,
        timers,
        profile_sequence,
        profile,
        contacts,
        attempts,
    ) = body
    state = CustomerState(key)
    # Names that thousands of states share are kept once.
    state.ruleset, state.clock, state.indexed_due = intern(ruleset), clock, indexed_due
    state.account_map = {
        account_id: Account(account_id, intern(unit), balance * _UNIT, sequence)
        for account_id, unit, balance, sequence in accounts
    }
    state.holding_map = {row[0]: _holding(row) for row in holdings}
    state.transit = {name: (amount, at) for name, amount, at in transit}
    for kind, newest, ids, times in seen:
        remembered = Seen(newest)
        remembered.keys, remembered.times = array("Q", ids), array("q", times)
        if len(remembered.keys) != len(remembered.times):
            raise ValueError("the remembered events have arrays of unequal length")
        state.seen[intern(kind)] = remembered
    state.undone = dict(undone)
    state.series = {intern(row[0]): _series(row) for row in series}
    state.activity = {intern(kind): [(at, event) for at, event in rows] for kind, rows in activity}
    state.told = told
    state.memory = {name: Memory(*rest) for name, *rest in memory}
    state.journeys = [_journey(row) for row in journeys]
    state.timers = {intern(name): due for name, due in timers.items()}
    state.contacts = [Contact(at, *map(intern, names)) for at, *names in contacts]
    state.attempts = attempts
    state.profile_sequence = profile_sequence
    if profile is not None:
        for name, value in zip(PROFILE_FIELDS, profile, strict=True):
            setattr(state, name, _from_plain(name, value))
        state.profile_row = profile
    state.settle(intern(currency))
    return state


def _scaled(amount: Decimal) -> int:
    return int(amount.scaleb(4))


def profile_row(values: Iterable[Any]) -> tuple[Any, ...]:
    """The values of ``PROFILE_FIELDS`` as they are written. Kept with the state: profiles change seldom."""
    return tuple(_plain(value) for value in values)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _scaled(value)
    return value.toordinal() if isinstance(value, date) else value


_DECIMALS: Final = frozenset({"completeness", "wealth_elsewhere"})


def _from_plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _DECIMALS:
        return value * _UNIT
    return date.fromordinal(value) if name == "birth_date" else value


def _holding_row(holding: Holding) -> tuple[Any, ...]:
    return (
        holding.holding_id,
        holding.sequence,
        holding.status,
        holding.id,
        holding.kind,
        _scaled(holding.amount),
        holding.currency,
        holding.term_days,
        None if holding.expected_yield is None else _scaled(holding.expected_yield),
        holding.purchased_on.toordinal(),
        holding.matures_on.toordinal(),
        holding.reminded,
    )


def _holding(row: Any) -> Holding:
    (holding_id, sequence, status, product, kind, amount, currency, term, rate, purchased, matures, reminded) = row
    return Holding(
        holding_id,
        sequence,
        status,
        product,
        kind,
        amount * _UNIT,
        currency,
        term,
        None if rate is None else rate * _UNIT,
        date.fromordinal(purchased),
        date.fromordinal(matures),
        reminded,
    )


def _series(row: Any) -> SeriesState:
    _, times, keys, values = row
    series = SeriesState()
    series.times = array("q", times)
    series.keys = array("Q", keys)
    series.values = array("q", values) if type(values) is bytes else [_untagged(value) for value in values]
    if not len(series.times) == len(series.keys) == len(series.values):
        raise ValueError("a series has arrays of unequal length")
    return series


def _mixed(values: Iterable[Any]) -> list[Any]:
    return [_tagged(value) for value in values]


def _tagged(value: Any) -> Any:
    """A value of a mixed series: text as it is, a decimal as a list of its text."""
    return [str(value)] if isinstance(value, Decimal) else value


def _untagged(value: Any) -> Any:
    return Decimal(value[0]) if type(value) is tuple else value


def _journey_row(journey: Journey) -> tuple[Any, ...]:
    return (
        journey.trigger,
        journey.occasion,
        journey.event_key,
        journey.holding_id,
        journey.category,
        journey.offer,
        journey.complexity,
        journey.value,
        journey.fields,
        [(s.action_id, s.channel, s.step, s.at, s.expires) for s in journey.sent],
        journey.outcome,
        journey.cancelled,
    )


def _journey(row: Any) -> Journey:
    *asked, sent, outcome, cancelled = row
    journey = Journey(*asked)
    journey.sent, journey.outcome, journey.cancelled = [Sent(*step) for step in sent], outcome, cancelled
    return journey
