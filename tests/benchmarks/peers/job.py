"""The ten triggers of ``rules`` and their policy by hand: plain functions over a state that is a ``dict``.

This is the job of every Python peer, whose environments hold nothing of this project: only the standard library is
imported. What comes out has the ids that the engine gives, so that a peer can be compared id by id. It knows no more
than the benchmark's records ask: each customer's records come in order, a sequence that is not new is a repeat, there
is one account for each customer, and nothing is reversed, moved or answered. The engine knows all of that; a peer has
the lighter job.

A state is JSON: amounts are whole hundredths, times milliseconds.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

State = dict[str, Any]
Output = dict[str, Any]

TENANT: Final = "bank"
_DAY: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_ZONE: Final = ZoneInfo("Asia/Shanghai")
_KEPT: Final = 90 * _DAY
"""How far back any window of movements looks."""

# Trigger: priority, category, further steps of the ladder as (after, channel).
_TRIGGERS: Final[Mapping[str, tuple[int, str, tuple[tuple[int, str], ...]]]] = {
    "balance_drop": (80, "retention", ((2 * _DAY, "sms"),)),
    "maturity_due": (75, "maturity", ()),
    "large_outflow": (70, "retention", ()),
    "large_inflow": (60, "growth", ()),
    "salary_arrived": (55, "growth", ()),
    "threshold_up": (50, "growth", ()),
    "threshold_down": (40, "retention", ()),
    "dormancy": (35, "retention", ()),
    "idle_money": (30, "growth", ()),
    "many_payments": (20, "retention", ()),
}
_ONCE: Final = {
    "balance_drop": 14 * _DAY,
    "large_outflow": 30 * _DAY,
    "large_inflow": 30 * _DAY,
    "salary_arrived": 25 * _DAY,
    "idle_money": 30 * _DAY,
    "many_payments": 20 * _DAY,
}
_REARMED: Final = frozenset({"threshold_up", "threshold_down"})
_CAPS: Final[tuple[tuple[int, int, str], ...]] = ((3, 7 * _DAY, ""), (1, 3 * _DAY, "growth"))
_NEED_CONSENT: Final = frozenset({"sms", "wechat", "email"})
_EXPIRES: Final = 3 * _DAY
_NEVER: Final = 1 << 62


def fresh() -> State:
    """A customer of whom nothing is known."""
    return {
        "profile": -1,
        "tier": None,
        "consents": {},
        "sequence": -1,
        "balance": None,
        "levels": [],
        "moves": [],
        "told": -1,
        "timers": {},
        "memory": {},
        "contacts": [],
        "waiting": {},
        "holdings": {},
        "clock": 0,
    }


def apply(topic: str, customer: str, record: Mapping[str, Any], state: State) -> list[Output]:
    """What comes of a record of ``topic`` (the name without its prefix); changes the state in place."""
    at = time_of(record)
    out: list[Output] = []
    state["clock"] = clock = max(state["clock"], at)
    if state["timers"]:
        out += run_timers(customer, state, clock)
    if topic == "bank.transactions":
        _transaction(customer, record, state, at, out)
    elif topic == "bank.profiles":
        if record["sequence"] > state["profile"]:
            state["profile"], state["tier"] = record["sequence"], record["tier"]
            state["consents"] = record["consents"]
    elif topic == "bank.maturities":
        _holding(record, state, clock)
        out += run_timers(customer, state, clock)  # a lead time that had passed is due at once
    else:
        raise ValueError(topic)
    return out


def next_due(state: State) -> int | None:
    """When the earliest timer is due."""
    return min(state["timers"].values()) if state["timers"] else None


def run_timers(customer: str, state: State, until: int) -> list[Output]:
    """Runs the timers due by ``until``, each as of its own time; what is due at one moment competes."""
    timers, out = state["timers"], []
    while timers:
        due = min(timers.values())
        if due > until:
            break
        state["clock"] = max(state["clock"], due)
        ready: list[Output] = []
        for name in sorted(name for name, when in timers.items() if when == due):
            del timers[name]
            kind, _, rest = name.partition(":")
            if kind == "silence":
                state["told"] = since = due - 20 * _DAY
                if state["balance"] is not None and state["balance"] >= 1_000_00:
                    ready.append(_candidate("dormancy", f"silence:0:{_moment(since)}", due, state["balance"], {}))
            elif kind == "maturity":
                holding = state["holdings"].pop(rest)
                if holding["kind"] in ("deposit", "wealth") and holding["amount"] >= 10_000_00:
                    occasion = f"maturity:{rest}:{holding['day']}:{holding['sequence']}:0"
                    fields = {"due": holding["day"]}
                    ready.append(_candidate("maturity_due", occasion, due, holding["amount"], fields))
            else:
                ready.append(state["waiting"].pop(name))
        ready.sort(key=lambda one: (-one["priority"], one["trigger"], -one["at"], one["occasion"]))
        _compete(customer, state, ready, due, out)
    return out


class Timers:
    """Who is due when, in memory, for libraries without timers in the records' own time. A restart forgets it.

    A time that moved later is not noted: the customer is told in vain and noted anew then, which costs less.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._known: dict[str, int] = {}

    def note(self, customer: str, due: int | None) -> None:
        """Sets when a customer's next timer is due."""
        if due is not None and due < self._known.get(customer, _NEVER):
            self._known[customer] = due
            heapq.heappush(self._heap, (due, customer))

    def due(self, until: int) -> Iterator[str]:
        """The customers with a timer due by a time; each is told once, the earliest first."""
        heap, known = self._heap, self._known
        while heap and heap[0][0] <= until:
            due, customer = heapq.heappop(heap)
            if known.get(customer) == due:
                del known[customer]
                yield customer


class Job:
    """The job over any store: records in, outputs out, timers of silent customers run as the partition goes on.

    ``get`` and ``put`` read and write a customer's state.
    """

    def __init__(self) -> None:
        self._timers: dict[int, Timers] = {}

    def take(
        self,
        topic: str,
        partition: int,
        customer: str,
        record: Mapping[str, Any],
        get: Callable[[str], State | None],
        put: Callable[[str, State], None],
    ) -> list[Output]:
        """Applies a record, and then the timers of others of its partition that are due by its time."""
        timers = self._timers.get(partition)
        if timers is None:
            timers = self._timers[partition] = Timers()
        state = get(customer) or fresh()
        out = apply(topic, customer, record, state)
        put(customer, state)
        timers.note(customer, next_due(state))
        for silent in timers.due(clock := state["clock"]):
            state = get(silent) or fresh()
            out += run_timers(silent, state, clock)
            put(silent, state)
            timers.note(silent, next_due(state))
        return out


def _transaction(customer: str, record: Mapping[str, Any], state: State, at: int, out: list[Output]) -> None:
    if record["sequence"] <= state["sequence"]:
        return
    amount, balance = _cents(record["amount"]), _cents(record["balance_after"])
    kind, own = record["kind"], record.get("own_account", False)
    credit = record["direction"] == "credit"
    signed = amount if credit else -amount
    before = state["balance"]
    if before is None:
        before = balance - signed
        state["levels"].append([at - 1, before])
    state["sequence"], state["balance"] = record["sequence"], balance
    levels, moves = state["levels"], state["moves"]
    if levels[-1][1] != balance:
        levels.append([at, balance])
    while len(levels) > 1 and levels[1][0] <= at - 30 * _DAY:
        del levels[0]
    moves.append([at, signed, kind == "salary"])
    while moves[0][0] <= at - _KEPT:
        del moves[0]
    if at > state["told"]:
        state["timers"]["silence:0"] = at + 20 * _DAY

    memory = state["memory"]
    for trigger, armed in (("threshold_up", balance < 45_000_00), ("threshold_down", balance >= 15_000_00)):
        if armed and trigger in memory:
            memory[trigger][1] = True
    tier, occasion = state["tier"], f"transaction:{record['event_id']}"
    candidates: list[Output] = []

    def fire(trigger: str, value: int, **fields: object) -> None:
        candidates.append(_candidate(trigger, occasion, at, value, fields))

    # In the order of their priorities.
    if tier in ("mid", "high") and not own:
        peak = _peak(levels, at - 7 * _DAY)
        if balance * 10 <= peak * 7 and peak - balance >= 20_000_00:
            fire("balance_drop", peak - balance, drop=_money(peak - balance))
    if not credit and kind == "transfer" and not own and amount >= 10_000_00:
        month = -sum(sum_ for when, sum_, _ in moves if sum_ < 0 and when > at - 30 * _DAY)
        if month >= balance:
            fire("large_outflow", amount, month=_money(month))
    if credit and kind in ("transfer", "redemption", "insurance", "other") and not own and amount >= 20_000_00:
        usual = [sum_ for _, sum_, salary in moves if sum_ > 0 and not salary]
        if amount * len(usual) >= sum(usual):
            month = sum(sum_ for when, sum_, _ in moves if sum_ > 0 and when > at - 30 * _DAY)
            fire("large_inflow", amount, month=_money(month))
    if credit and kind == "salary" and amount >= 5_000_00:
        salaries = sum(1 for when, _, salary in moves if salary and when > at - 70 * _DAY)
        if salaries >= 2:
            fire("salary_arrived", amount, salaries=salaries)
    if before < 50_000_00 <= balance and not own:
        fire("threshold_up", balance)
    if before >= 10_000_00 > balance and not own:
        fire("threshold_down", balance)
    if tier is not None and tier != "potential" and balance >= 120_000_00:
        weighted, span = _weighted(levels, at - 30 * _DAY, at)
        if weighted >= 100_000_00 * span and balance * span * 10 >= weighted * 12:
            fire("idle_money", balance, mean=_money(weighted // span))
    if not credit:
        ten = 0
        for when, sum_, _ in reversed(moves):
            if when <= at - 10 * _DAY:
                break
            ten += sum_ < 0
        if ten >= 7 and ten * 3 >= sum(1 for when, sum_, _ in moves if sum_ < 0 and when > at - 60 * _DAY):
            fire("many_payments", balance)

    if candidates:
        ready = []
        for one in candidates:
            held = _held_by_memory(memory, one)
            if held:
                _decide(customer, one, 0, "suppressed", held, at, out)
            else:
                ready.append(one)
        _compete(customer, state, ready, at, out)


def _holding(record: Mapping[str, Any], state: State, clock: int) -> None:
    matures = date.fromisoformat(record["matures_on"])
    lead = matures - timedelta(days=7)
    reached = _local(lead, 9)
    if clock <= reached or clock < _local(matures + timedelta(days=1), 0):
        state["timers"][f"maturity:{record['holding_id']}"] = max(reached, clock)
        state["holdings"][record["holding_id"]] = {
            "kind": record["product_kind"],
            "amount": _cents(record["amount"]),
            "day": record["matures_on"],
            "sequence": record["sequence"],
        }


def _candidate(trigger: str, occasion: str, at: int, value: int, fields: Mapping[str, object]) -> Output:
    return {
        "trigger": trigger,
        "occasion": occasion,
        "at": at,
        "value": _money(value),
        "fields": fields,
        "step": 0,
        "priority": _TRIGGERS[trigger][0],
    }


def _held_by_memory(memory: Mapping[str, list[Any]], one: Output) -> str:
    known = memory.get(one["trigger"])
    if known is None:
        return ""
    if not known[1]:
        return "not_rearmed"
    return "once_per" if one["at"] - known[0] < _ONCE.get(one["trigger"], 0) else ""


def _compete(customer: str, state: State, ready: Iterable[Output], now: int, out: list[Output]) -> None:
    """``ready`` stands by priority: the first that the policy allows is sent."""
    sent = False
    for one in ready:
        trigger, step = one["trigger"], one["step"]
        _, category, further = _TRIGGERS[trigger]
        channel = further[step - 1][1] if step else "push"
        held = "outranked" if sent else _refused(state, category, channel, now)
        if held:
            _decide(customer, one, step, "suppressed", held, now, out)
            continue
        sent = True
        _send(customer, state, one, channel, now, out)
        if not step:
            state["memory"][trigger] = [one["at"], trigger not in _REARMED]
        if step < len(further):
            waits = f"ladder:{trigger}:{step + 1}:{one['occasion']}"
            state["timers"][waits] = now + further[step][0]
            state["waiting"][waits] = {**one, "step": step + 1}


def _refused(state: State, category: str, channel: str, now: int) -> str:
    given = state["consents"].get(channel)
    if given is False or (given is None and channel in _NEED_CONSENT):
        return "no_consent"
    contacts = state["contacts"]
    for most, per, of in _CAPS:
        if of in ("", category) and sum(1 for at, its in contacts if at > now - per and of in ("", its)) >= most:
            return "capped"
    return ""


def _send(customer: str, state: State, one: Output, channel: str, now: int, out: list[Output]) -> None:
    trigger, step = one["trigger"], one["step"]
    category = _TRIGGERS[trigger][1]
    contacts = state["contacts"]
    contacts.append([now, category])
    while contacts[0][0] < now - 7 * _DAY:
        del contacts[0]
    action_id = make_id(TENANT, customer, trigger, one["occasion"], str(step))
    out.append(
        {
            "type": "action",
            "action_id": action_id,
            "tenant": TENANT,
            "customer_id": customer,
            "trigger": trigger,
            "occasion": one["occasion"],
            "step": step,
            "channel": channel,
            "offer": trigger,
            "category": category,
            "complexity": "simple",
            "priority": one["priority"],
            "value": one["value"],
            "template": f"{trigger.replace('_', '-')}-v1",
            "fields": one["fields"],
            "created_at": _iso(now),
            "expires_at": _iso(now + _EXPIRES),
        }
    )
    _decide(customer, one, step, "sent", "sent", now, out)


def _decide(customer: str, one: Output, step: int, outcome: str, reason: str, now: int, out: list[Output]) -> None:
    out.append(
        {
            "type": "decision",
            "decision_id": make_id(TENANT, customer, one["trigger"], one["occasion"], str(step), outcome, reason),
            "tenant": TENANT,
            "customer_id": customer,
            "trigger": one["trigger"],
            "occasion": one["occasion"],
            "step": step,
            "outcome": outcome,
            "reason": reason,
            "decided_at": _iso(now),
        }
    )


def make_id(*parts: str) -> str:
    """The id that these parts name: as the engine makes it."""
    encoded = [part.encode() for part in parts]
    return blake2b(b"".join([len(part).to_bytes(4, "big") + part for part in encoded]), digest_size=16).hexdigest()


def time_of(record: Mapping[str, Any]) -> int:
    """When a record says that it happened, in ms."""
    return (datetime.fromisoformat(record["occurred_at"]) - _EPOCH) // _MS


def _peak(levels: list[list[int]], start: int) -> int:
    """The highest level since ``start``, the one in force then included."""
    best = levels[-1][1]
    for at, level in reversed(levels):
        best = max(best, level)
        if at <= start:
            break
    return best


def _weighted(levels: list[list[int]], start: int, end: int) -> tuple[int, int]:
    """The levels since ``start``, each times how long it stood, and that time."""
    total, until = 0, end
    for at, level in reversed(levels):
        begin = max(at, start)
        total += level * (until - begin)
        until = begin
        if at <= start:
            break
    return (total, end - until) if until < end else (levels[-1][1], 1)


def _cents(text: str) -> int:
    whole, _, rest = text.partition(".")
    cents = int((rest + "00")[:2])
    return int(whole) * 100 + (-cents if whole.startswith("-") else cents)


def _money(cents: int) -> str:
    return f"{'-' * (cents < 0)}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def _moment(ms: int) -> str:
    return f"{_EPOCH + ms * _MS:%Y%m%dT%H%M%S.%f}"


def _iso(ms: int) -> str:
    return (_EPOCH + ms * _MS).isoformat()


def _local(day: date, hour: int) -> int:
    """An hour of a day where the bank is."""
    return (datetime(day.year, day.month, day.day, hour, tzinfo=_ZONE) - _EPOCH) // _MS
