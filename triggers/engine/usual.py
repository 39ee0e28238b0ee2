"""The usual transaction as one Python function for each shape of it (see ``shapes``).

Nearly every transaction is the next one booked on its account, comes in the order of time, takes nothing back and
fires nothing. The general way (``transactions.apply_transaction`` and all that it calls) asks of each everything that
could be otherwise, in some fifty calls. Here that is asked once, at the beginning, before anything has changed; then
come, in one function without a call, exactly the samples that the triggers of this shape need and their conditions.
Measured with the ten frozen triggers: 700 opcodes and 3 calls for one that fires nothing, instead of 2,000 and 50.

An event that is not usual goes the general way, and so does what fires: correctness has one home. The tests run both
side by side over random rules and lives and hold every output and every byte of the states against each other.

Its samples are written by ``usual_samples``, its conditions by ``usual_conditions``; ``usual_writer`` tells the names
in it. ``python -m tests.benchmarks functions`` prints the functions of a rule set (``UsualTransactions.source``).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import xxhash

from triggers.engine.firing import Cause
from triggers.engine.fused import statements, text_of_function
from triggers.engine.plan import Plan
from triggers.engine.seen import PRUNED_BYTES, pack_seen
from triggers.engine.series import SeriesState, pack, pack_row, time_at, unpack_row
from triggers.engine.shapes import decides
from triggers.engine.state import HEARD_BYTES, MOST_HEARD, Account, CustomerState, Heard, pack_heard
from triggers.engine.transactions import open_account
from triggers.engine.usual_conditions import ConditionWriter
from triggers.engine.usual_samples import SampleWriter
from triggers.engine.usual_writer import KIND, SCALE, is_plain
from triggers.engine.waits import note_waits
from triggers.engine.windows import UNKNOWN, tighten
from triggers.engine.withdrawal import end_by_event, pursues
from triggers.language.compiler import build_function

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

Usual = Callable[["Evaluation", Any, CustomerState, int], bool]
"""Takes the evaluation, the transaction, the customer and the event's time (ms). Whether the transaction was usual and
has taken effect; if not, nothing has changed but that its account may be known (``open_account``).
"""

_SHAPE: Final = frozenset({"kind", "currency", "own_account"})
_RUNTIME: Final[Mapping[str, Any]] = {
    "Cause": Cause,
    "Exception": Exception,
    "Heard": Heard,
    "SCALE": SCALE,
    "SeriesState": SeriesState,
    "UNKNOWN": UNKNOWN,
    "ZERO": Decimal(0),
    "account_of": Account,
    "digest": xxhash.xxh3_64_intdigest,
    "end_by_event": end_by_event,
    "int": int,
    "len": len,
    "note_waits": note_waits,
    "open_account": open_account,
    "pack": pack,
    "pack_heard": pack_heard,
    "pack_row": pack_row,
    "pack_seen": pack_seen,
    "pursues": pursues,
    "tighten": tighten,
    "time_at": time_at,
    "unpack_row": unpack_row,
}


class UsualTransactions:
    """The functions of a rule set, each made when transactions of its shape have come ``WARM`` times: to make one takes
    as long as some hundred events the general way.
    """

    WARM = 256

    def __init__(self, plan: Plan, *, counted: bool = False) -> None:
        """``counted`` says that the evaluation wants to know of every wake."""
        self._plan = plan
        self._counted = counted
        self._met: Counter[Any] = Counter()
        self.shape_of: Callable[[Any], Any] = attrgetter(*sorted(_SHAPE | _read_by(plan)))
        self.known: dict[Any, Usual] = {}
        """By shape."""

    def of(self, event: Any) -> Usual | None:
        """The function for transactions of this shape; ``None`` where there is none yet."""
        return self.known.get(self.shape_of(event)) or self.meet(event)

    def source(self, event: Any) -> str:
        """The function for transactions such as this one, as text."""
        writer = _Writer(self._plan, event, self._counted)
        definition = writer.definition()
        return text_of_function(definition, writer.generator.constants)

    def meet(self, event: Any) -> Usual | None:
        """Counts a transaction whose shape has no function yet; returns the function where it is time for one."""
        shape = self.shape_of(event)
        self._met[shape] += 1
        if self._met[shape] <= self.WARM:
            return None
        writer = _Writer(self._plan, event, self._counted)
        definition = writer.definition()
        made: Usual = build_function(definition, writer.constants())
        self.known[shape] = made
        return made


def begin_usual(run: Evaluation) -> UsualTransactions:
    """Gives an evaluation the functions of its rule set, of which none is made yet."""
    run.usual = UsualTransactions(run.plan, counted=run.counts)
    return run.usual


def _read_by(plan: Plan) -> set[str]:
    """The enums and flags of a transaction by which flows and triggers are told apart."""
    conditions = [series.where for series in plan.ruleset.series if not series.level and series.where is not None]
    conditions += [clause for trigger, _ in plan.on_event.get(KIND, ()) for clause in trigger.clauses]
    return {
        name.removeprefix("event.") for condition in conditions if decides(condition, KIND) for name in condition.names
    }


class _Writer(SampleWriter, ConditionWriter):
    """Writes the function for transactions of one shape, of which ``event`` is one."""

    __slots__ = ()

    def definition(self) -> ast.FunctionDef:
        """The function."""
        effects = [*self._booking(), *self._levels(), *self._flows(), *self._notes()]
        asked = [*self._derived(), *self._judging()]
        after = statements("\n".join([*effects, *self._locals(), *asked]))
        for node in ast.walk(ast.Module(after, [])):
            # An age is of the day, which beginning sets.
            aged = isinstance(node, ast.Attribute) and node.attr == "age"
            self.early |= aged or (isinstance(node, ast.Name) and node.id == "s")
        self.early |= "age" in self.plan.before_names
        before = statements("\n".join([*self._asking(), *self._before()]))
        definition = statements("def usual(run, e, c, at):\n    return True")[0]
        assert isinstance(definition, ast.FunctionDef)
        definition.body[:0] = [*before, *after]
        return definition

    def constants(self) -> Mapping[str, Any]:
        """What the function needs to run."""
        return {**self.generator.all_constants(), **_RUNTIME}

    # --- what makes a transaction a usual one --------------------------------------------------------------------

    def _asking(self) -> Iterator[str]:
        plan = self.plan
        yield "a = c.account_map.get(e.account_id)"
        yield "if a is None:"
        yield "    a = open_account(run, e, at)"
        yield f"seen = c.seen.get({KIND!r})"
        unusual = [
            "a is None",
            "seen is None",
            "e.sequence <= a.sequence",
            "at < seen.newest",
            f"a.currency != {self.event.currency!r}",
            "c.transit",
            "c.undone",
            "e.transfer_id is not None",
            "e.reversal_of is not None",
        ]
        if plan.derives:
            unusual.append(f"c.derived != {plan.derived_hash!r}")
        yield f"if {' or '.join(unusual)}:"
        yield "    return False"
        goals = {trigger.id for trigger, event in plan.goals.get(KIND, ()) if event.covers(KIND, self.event.kind)}
        if goals:  # it may end a ladder that is under way
            yield f"if (c.journeys or c.proposals) and pursues(c, {self._kept(frozenset(goals))}):"
            yield "    return False"
        yield "key = digest(e.event_id.encode())"
        yield "w = seen.rows"
        yield "if w.find(key.to_bytes(8, 'little')) >= 0:"  # a repeat, or bytes that look like one
        yield "    return False"
        yield "held = c.series"
        for number, level in enumerate(plan.levels):
            if is_plain(level):
                yield f"h{number} = held.get({level.id!r})"
                yield f"if h{number} is None:"
                yield "    return False"

    def _before(self) -> Iterator[str]:
        """What holds before the event, as ``Evaluation.settle_before``."""
        plan = self.plan
        if self.early:
            yield "run.begin(at, e)"
            yield "s = run.scope"
            yield "s.account = a"
        if not all(map(is_plain, plan.levels)):
            yield "run.sample_baselines()"
        if plan.reads_before:
            yield "b = run.before"
            yield from (f"b.{name} = c.{name}" for name in plan.before_names)
            account = "account_of(a.id, a.currency, a.balance, a.sequence)" if plan.before_account else "None"
            yield f"b.account = {account}"
            if self.early:
                yield "s.before = b"

    # --- its effects, in the order of ``apply_transaction`` --------------------------------------------------------

    def _booking(self) -> Iterator[str]:
        yield "seen.newest = at"
        yield "head = pack_heard(at, key)"  # as each row of a series begins, too
        yield "w += pack_seen(key, at)"
        yield f"if not len(w) % {PRUNED_BYTES}:"
        yield f"    seen.prune({self.plan.policy.lateness_ms})"
        yield "after = e.balance_after"
        if self._domestic:
            # The customer's only account, as of most: its balance is the customer's, the very same number.
            yield "known, balance, aum = a.balance, c.balance, c.aum"
            yield "if balance is known:"
            yield "    balance = after or ZERO"
            yield "    aum = balance if aum is known else aum + (after - known)"
            yield "else:"
            yield "    step = after - known"
            yield "    balance += step"
            yield "    aum += step"
            yield "c.balance = balance"
            yield "c.aum = aum"
        yield "a.balance = after"
        yield "a.sequence = e.sequence"

    def _notes(self) -> Iterator[str]:
        """Silences, waits and ladders that end, as far as this kind of transaction concerns them."""
        plan, kind = self.plan, self.event.kind
        yield f"heard = c.activity.get({KIND!r})"
        yield "if heard is None:"
        yield f"    heard = c.activity[{KIND!r}] = Heard()"
        yield from self._heard("heard")
        quiets = plan.silences.get(KIND, ())
        if kind in plan.listened.get(KIND, ()):
            yield f"heard = c.activity.get({KIND + '.' + kind!r})"
            yield "if heard is None:"
            yield f"    heard = c.activity[{KIND + '.' + kind!r}] = Heard()"
            yield from self._heard("heard")
        concerned = [quiet for quiet in quiets if quiet.detail in (None, kind)]
        if concerned:
            yield "timers = c.timers"
            yield "told = c.told"
        for quiet in concerned:
            yield f"if not told or at > told.get({quiet.timer!r}, -1):"
            yield f"    timers[{quiet.timer!r}] = due = at + {quiet.after_ms}"
            yield "    if due < c.idle_until:"
            yield "        c.idle_until = due"
            yield "else:"
            yield f"    timers.pop({quiet.timer!r}, None)"
        waits = plan.waits_on.get(KIND, ())
        if any(event.covers(KIND, kind) for wait in waits for event in (wait.after, wait.unless)):
            self.early = True
            yield "c.idle_until = 0"
            yield f"note_waits(run, {KIND!r}, {kind!r}, key, e.event_id)"
        if any(event.covers(KIND, kind) for _, event in plan.until.get(KIND, ())):
            self.early = True
            yield "c.idle_until = 0"
            yield f"end_by_event(run, {KIND!r}, {kind!r}, e.event_id)"

    @staticmethod
    def _heard(name: str) -> Iterator[str]:
        yield f"w = {name}.rows"
        yield "w += head"
        yield f"if len(w) > {MOST_HEARD}:"
        yield f"    del w[:{HEARD_BYTES}]"
