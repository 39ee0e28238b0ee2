"""The usual transaction as one Python function for each shape of it (see ``shapes``).

Nearly every transaction is the next one booked on its account, comes in the order of time, takes nothing back and
fires nothing. The general way (``transactions.apply_transaction`` and all that it calls) asks of each everything that
could be otherwise, in some fifty calls. Here that is asked once, at the beginning, before anything has changed; then
come, in one function without a call, exactly the samples that the triggers of this shape need and their conditions.
Measured with the ten frozen triggers: 700 opcodes and 3 calls for one that fires nothing, instead of 2,000 and 50.

An event that is not usual goes the general way, and so does what fires: correctness has one home. The tests run both
side by side over random rules and lives and hold every output and every byte of the states against each other.

``python -m tests.benchmarks functions`` prints the functions of a rule set (``UsualTransactions.source``).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import xxhash

from triggers.engine.derived_look import bounds_of, packed_bounds_of
from triggers.engine.firing import Cause, memory_name
from triggers.engine.fused import FusedGenerator, features_of, statements, text_of_function
from triggers.engine.judge import Case
from triggers.engine.plan import Plan, Sampler
from triggers.engine.seen import PRUNED_BYTES, pack_seen
from triggers.engine.series import ROW_BYTES, SeriesState, pack, pack_row, time_at, unpack_row
from triggers.engine.shapes import decides
from triggers.engine.state import HEARD_BYTES, MOST_HEARD, Account, CustomerState, Heard, pack_heard
from triggers.engine.transactions import open_account
from triggers.engine.waits import note_waits
from triggers.engine.windows import UNKNOWN, lies_between, tighten
from triggers.engine.withdrawal import end_by_event, pursues
from triggers.language.compiler import NUMBERS, PARTS, build_function, term_of
from triggers.language.model import Evaluate, Expression, Tag, Tiering
from triggers.language.tree import Arithmetic, Comparison, Constant, FeatureReference, Reference, Term

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

Usual = Callable[["Evaluation", Any, CustomerState, int], bool]
"""Takes the evaluation, the transaction, the customer and the event's time (ms). Whether the transaction was usual and
has taken effect; if not, nothing has changed but that its account may be known (``open_account``).
"""

_KIND: Final = "transaction"
_SURE: Final = frozenset({"event", "customer", "account"})
_SHAPE: Final = frozenset({"kind", "currency", "own_account"})
_MONEY: Final = frozenset({"event.amount", "event.balance_after"})
"""What has four decimals at most and is never unknown: the schema sees to it."""
_SCALE: Final = Decimal(10_000)
_CAUSE: Final = "Cause(f'transaction:{e.event_id}', key, '', at)"
_RUNTIME: Final[Mapping[str, Any]] = {
    "Cause": Cause,
    "Exception": Exception,
    "Heard": Heard,
    "SCALE": _SCALE,
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
    conditions += [clause for trigger, _ in plan.on_event.get(_KIND, ()) for clause in trigger.clauses]
    return {
        name.removeprefix("event.") for condition in conditions if decides(condition, _KIND) for name in condition.names
    }


@dataclass(slots=True)
class _Generator(FusedGenerator):
    """Writes conditions that are asked where the event's samples are at hand."""

    plan: Plan = field(kw_only=True)
    sampled: dict[int, int] = field(default_factory=dict)
    """By series: the number of its locals, where the function has surely added the newest sample."""

    def holds(self, term: Term, known: dict[str, str]) -> ast.expr:
        return self._counted(term) or FusedGenerator.holds(self, term, known)

    def _counted(self, term: Term) -> ast.expr | None:
        """``count >= 7`` asks the time of the last sample but six alone; not only of folded samples."""
        match term:
            case Comparison(operator=">=", left=FeatureReference(index=index), right=Constant(value=least)):
                feature, series = self.plan.features[index]
            case _:
                return None
        number, window = self.sampled.get(feature.series), self.windows[index]
        if number is None or window is None or series.level or feature.function != "count":
            return None
        if least != int(least) or least < 1:
            return None
        held, rows, size = f"h{number}", f"w{number}", int(least) * ROW_BYTES
        folded = f"{held}.folded is not None and {self.keep(window).id}(held, at) >= {int(least)}"
        newer = f"time_at({rows}, len({rows}) - {size})[0] > at - {feature.over_ms}"
        return ast.parse(f"{newer} if len({rows}) >= {size} else {folded}", mode="eval").body


def _implied(asked: Sequence[Expression]) -> Iterator[Term]:
    """What must be true where all these conditions are, and reads no window: of ``mean >= 100 and x >= mean * 1.2``
    that ``x >= 120``. Rounding never turns the order of two products round.
    """
    terms = [term for expression in asked if (term := term_of(expression.evaluate)) is not None]
    bounds = {
        term.left.index: term.right.value
        for term in terms
        if isinstance(term, Comparison)
        and term.operator in (">", ">=")
        and isinstance(term.left, FeatureReference)
        and isinstance(term.right, Constant)
        and isinstance(term.right.value, Decimal)
        and term.right.value > 0
    }
    for term in terms:
        match term:
            case Comparison(
                operator=">" | ">=",
                left=left,
                right=Arithmetic(
                    operator="*", left=FeatureReference(index=index), right=Constant(value=factor) as bound
                ),
            ):
                windowed = any(isinstance(part, FeatureReference) for part in left.walk())
                if index in bounds and not windowed and isinstance(factor, Decimal) and factor > 0:
                    value = NUMBERS.multiply(bounds[index], factor)
                    yield replace(term, operator=">=", right=replace(bound, value=value))
            case _:
                pass


@dataclass(slots=True)
class _Writer:
    """Writes the function for transactions of one shape, of which ``event`` is one."""

    plan: Plan
    event: Any
    counted: bool
    cases: Sequence[Case] = field(init=False)
    generator: _Generator = field(init=False)
    packed: dict[str, int] = field(default_factory=dict)
    """By an expression of samples: the number of the locals that hold its packed value and row."""
    computed: set[str] = field(default_factory=set)
    """The locals that have a value already: rows, and times from which samples are kept."""
    bounded: Mapping[str, int] = field(init=False)
    """``places_of`` the plan."""
    early: bool = False
    """Whether something needs the scope, or the evaluation at its moment, before anything fires."""

    def __post_init__(self) -> None:
        plan = self.plan
        self.cases = plan.woken(_KIND, self.event.kind).cases_of(self.event)
        touched = plan.touched(_KIND)
        readers = [case.asked for case in self.cases]
        readers += [[one] for one in (*(t.measure for t in touched.tierings), *(tag.when for tag in touched.tags))]
        counted = Counter(index for expressions in readers for index in set(features_of(expressions)))
        self.bounded = places_of(plan)
        sure = _SURE | {"before"} if plan.reads_before else _SURE
        doubtful = frozenset(PARTS) - sure
        self.generator = _Generator(False, doubtful, _KIND, windows=plan.windows, readers=counted, plan=plan)

    @property
    def _domestic(self) -> bool:
        return bool(self.event.currency == self.plan.policy.currency)

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
        yield f"seen = c.seen.get({_KIND!r})"
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
        goals = {trigger.id for trigger, event in plan.goals.get(_KIND, ()) if event.covers(_KIND, self.event.kind)}
        if goals:  # it may end a ladder that is under way
            yield f"if (c.journeys or c.proposals) and pursues(c, {self._kept(frozenset(goals))}):"
            yield "    return False"
        yield "key = digest(e.event_id.encode())"
        yield "w = seen.rows"
        yield "if w.find(key.to_bytes(8, 'little')) >= 0:"  # a repeat, or bytes that look like one
        yield "    return False"
        yield "held = c.series"
        for number, level in enumerate(plan.levels):
            if _is_plain(level):
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
        if not all(map(_is_plain, plan.levels)):
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

    def _levels(self) -> Iterator[str]:
        if self.bounded:
            yield "x = c.extremes"
            yield "if x is None:"
            yield f"    x = c.extremes = [*{UNKNOWN * len(self.bounded)}]"
        for number, level in enumerate(self.plan.levels):
            if not _is_plain(level):
                self.early = True
                yield f"run.sample_level({self._kept(level)}, at, key)"
                continue
            value = self._value(level.evaluate)
            held, rows = f"h{number}", f"w{number}"
            keep_from = yield from self._keep_from(level)
            if value not in self.packed:
                self.packed[value] = len(self.packed)
                exact = value in ("balance", "aum")
                name = f"p{self.packed[value]}"
                if exact:
                    yield from self._packed_total(value, name)
                else:
                    yield f"n{self.packed[value]} = {value}"
                    yield f"{name} = pack(n{self.packed[value]})"
            packed = f"p{self.packed[value]}"
            known = value if value in ("balance", "aum") else f"n{self.packed[value]}"
            given = f"at, key, {packed}, {known}, {level.retain_ms}, {level.most}"
            yield f"{rows} = {held}.rows"
            if known != value:
                yield f"if {known} is None:"
                yield f"    {held}.end_level(at, key, {level.retain_ms}, {level.most})"
            place = self.bounded.get(level.id)
            lost = "pass" if place is None else f"x[{place}:{place + len(UNKNOWN)}] = UNKNOWN"
            if known != value:
                yield f"    {lost}"
            yield f"{'el' if known != value else ''}if {packed} is None or not {rows} or {held}.others is not None:"
            yield f"    {held}.set_level({given})"
            yield f"    {lost}"
            yield "else:"
            yield f"    newest, _, stands = unpack_row({rows}, len({rows}) - {ROW_BYTES})"
            yield f"    if stands != {packed}:"
            yield f"        if newest > at or len({rows}) >= {level.most}:"
            yield f"            {held}.set_level({given})"
            yield f"            {lost}"
            yield "        else:"
            yield f"            {rows} += pack_row(at, key, {packed})"
            if place is not None:
                yield f"            if {packed} < x[{place}]:"
                yield f"                x[{place}] = {packed}"
                yield f"            elif {packed} > x[{place + 1}]:"
                yield f"                x[{place + 1}] = {packed}"
            yield f"            if time_at({rows})[0] < {keep_from} and ("
            yield f"                {held}.folded is not None or time_at({rows}, {ROW_BYTES})[0] < {keep_from}"
            yield "            ):"
            if place is not None:
                yield f"                x[{place + 2}] = 1"
            # Mostly one goes where one came. The newest stays, so that there is a third.
            yield f"                if {held}.folded is None and time_at({rows}, {2 * ROW_BYTES})[0] >= {keep_from}:"
            yield f"                    del {rows}[:{ROW_BYTES}]"
            yield "                else:"
            yield f"                    {held}.forget({keep_from}, level=True)"

    def _packed_total(self, value: str, name: str) -> Iterator[str]:
        """The balance or the aum as ``pack`` has it, of a finite number. They are one where nothing is held."""
        other = "aum" if value == "balance" else "balance"
        indent = ""
        if other in self.packed:
            yield "if aum is balance:"
            yield f"    {name} = p{self.packed[other]}"
            yield "else:"
            indent = "    "
        yield f"{indent}{name} = int(exact := {value} * SCALE)"
        yield f"{indent}if {value} is not after and ({name} != exact or {name}.bit_length() > 63):"
        yield f"{indent}    {name} = None"

    def _flows(self) -> Iterator[str]:
        by_shape = self.plan.flows.get(_KIND)
        flows = [] if by_shape is None else by_shape.of(self.event)
        of_series = {series.id: index for index, series in enumerate(self.plan.ruleset.series)}
        for number, flow in enumerate(flows, len(self.plan.levels)):
            term = term_of(flow.evaluate)
            series = self.plan.ruleset.series[of_series[flow.id]]
            # Where other kinds of record leave samples as well, one of them may be newer than this transaction.
            if flow.by_account or flow.where is not None or term is None or series.record_types != {_KIND}:
                self.early = True
                yield f"run.sample_flow({self._kept(flow)}, key)"
                continue
            value = self._value(flow.evaluate)
            constant = pack(term.value) if isinstance(term, Constant) else None
            if constant is None and not (isinstance(term, Reference) and term.name.path in _MONEY):
                yield f"n = {value}"
                yield "if n is not None:"
                yield f"    h = held.get({flow.id!r})"
                yield "    if h is None:"
                yield f"        h = held[{flow.id!r}] = SeriesState()"
                yield f"    h.add_flow(at, key, pack(n), n, {flow.retain_ms}, {flow.most})"
                continue
            if value not in self.packed:
                self.packed[value] = len(self.packed)
                if constant is None:
                    yield f"p{self.packed[value]} = int({value} * SCALE)"
            packed = f"p{self.packed[value]}" if constant is None else f"{constant}"
            row = f"r{self.packed[value]}"
            if row not in self.computed:
                self.computed.add(row)
                if constant is None:
                    yield f"{row} = pack_row(at, key, {packed})"
                else:
                    yield f"{row} = head + {pack_row(0, 0, constant)[HEARD_BYTES:]!r}"
            keep_from = yield from self._keep_from(flow)
            held, rows = f"h{number}", f"w{number}"
            self.generator.sampled[of_series[flow.id]] = number
            yield f"{held} = held.get({flow.id!r})"
            yield f"if {held} is None:"
            yield f"    {held} = held[{flow.id!r}] = SeriesState()"
            yield f"{rows} = {held}.rows"
            # Every value of such a series has a packed one, so that it is never mixed.
            yield f"if len({rows}) >= {flow.most}:"
            yield f"    {held}.add_flow(at, key, {packed}, {value}, {flow.retain_ms}, {flow.most})"
            yield "else:"
            yield f"    {rows} += {row}"
            yield f"    if time_at({rows})[0] < {keep_from}:"
            yield f"        if {held}.folded is None and time_at({rows}, {ROW_BYTES})[0] >= {keep_from}:"
            yield f"            del {rows}[:{ROW_BYTES}]"
            yield "        else:"
            yield f"            {held}.forget({keep_from}, level=False)"

    def _keep_from(self, sampler: Sampler) -> Generator[str, None, str]:
        """The local with the time from which samples are kept."""
        name = f"keep_{sampler.retain_ms}"
        if name not in self.computed:
            self.computed.add(name)
            yield f"{name} = at - {sampler.retain_ms}"
        return name

    def _notes(self) -> Iterator[str]:
        """Silences, waits and ladders that end, as far as this kind of transaction concerns them."""
        plan, kind = self.plan, self.event.kind
        yield f"heard = c.activity.get({_KIND!r})"
        yield "if heard is None:"
        yield f"    heard = c.activity[{_KIND!r}] = Heard()"
        yield from self._heard("heard")
        quiets = plan.silences.get(_KIND, ())
        if kind in plan.listened.get(_KIND, ()):
            yield f"heard = c.activity.get({_KIND + '.' + kind!r})"
            yield "if heard is None:"
            yield f"    heard = c.activity[{_KIND + '.' + kind!r}] = Heard()"
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
        waits = plan.waits_on.get(_KIND, ())
        if any(event.covers(_KIND, kind) for wait in waits for event in (wait.after, wait.unless)):
            self.early = True
            yield "c.idle_until = 0"
            yield f"note_waits(run, {_KIND!r}, {kind!r}, key, e.event_id)"
        if any(event.covers(_KIND, kind) for _, event in plan.until.get(_KIND, ())):
            self.early = True
            yield "c.idle_until = 0"
            yield f"end_by_event(run, {_KIND!r}, {kind!r}, e.event_id)"

    @staticmethod
    def _heard(name: str) -> Iterator[str]:
        yield f"w = {name}.rows"
        yield "w += head"
        yield f"if len(w) > {MOST_HEARD}:"
        yield f"    del w[:{HEARD_BYTES}]"

    def _derived(self) -> Iterator[str]:
        """Tiers and tags that surely stay as they are, which is most of them, need no look."""
        plan = self.plan
        if not plan.derives:
            return
        touched = plan.touched(_KIND)
        stays = [*map(self._tier_stays, touched.tierings), *map(self._tag_stays, touched.tags)]
        yield "still = c.looked <= at"
        yield "if still:"
        yield "    c.looked = at"
        if stays:
            yield "    tiers, tags = c.tiers, c.tags"
            yield "    try:"
            for place, stay in enumerate(stays):
                yield f"        {'if' if not place else 'elif'} not ({stay}):"
                yield "            still = False"
            yield "    except Exception:"  # a broken one, which the look reports
            yield "        still = False"
        yield "if not still:"
        yield "    c.idle_until = 0"
        yield "    run.show(at, e, a)"
        yield "    run.tier_before = c.tier"
        yield f"    cause = {_CAUSE}"
        yield f"    changes = run.derive({_KIND!r}, cause)"
        yield "    if changes:"
        yield f"        run.wake(run.hear({self._kept(plan.woken(_KIND, self.event.kind))}, changes), cause)"
        yield "        return True"

    def _tier_stays(self, tiering: Tiering) -> str:
        self.generator.begin_reader([tiering.measure])
        term = term_of(tiering.measure.evaluate)
        if term is None or isinstance(term, FeatureReference):
            value = self.generator.value_of(tiering.measure)
        else:
            value = self.generator.inlined(term, self._known())
        bounds = self._kept(bounds_of(tiering))
        held = f"tiers.get({tiering.name!r})"
        known = f"(w := {bounds}.get({held})) is not None"
        stays = f"{known} and (v := {ast.unparse(value)}) is not None and w[0] <= v < w[1]"
        place = self._place(term.index) if isinstance(term, FeatureReference) else None
        if place is None:
            return stays
        known = f"(w := {self._kept(packed_bounds_of(tiering))}.get({held})) is not None"
        surely = f"w[0] <= x[{place}] and x[{place + 1}] < w[1]"
        return f"({known} and ({surely} or x[{place + 2}] and {self._tightened(place)} and {surely})) or ({stays})"

    def _tag_stays(self, tag: Tag) -> str:
        self.generator.begin_reader([tag.when])
        holds = ast.unparse(self.generator.holds_of(tag.when, self._known()))
        if tag.holds_ms:
            return f"{tag.name!r} not in tags and {tag.name!r} not in c.tag_holds and not ({holds})"
        return f"tags.get({tag.name!r}) == 0 if ({holds}) else {tag.name!r} not in tags"

    # --- what it fires -------------------------------------------------------------------------------------------

    def _judging(self) -> Iterator[str]:
        if self.counted and self.plan.woken(_KIND, self.event.kind):
            yield "run.count_wake()"
        if not self.cases:
            return
        body = [*self._shared_fields(), *self._rearming()]
        for case in self.cases:
            body += self._case(case)
        yield "found = []"
        yield "try:"
        yield from (f"    {line}" for line in body)
        yield "except Exception:"  # a broken rule: which one shows when they are asked one by one
        yield "    run.show(at, e, a)"
        yield f"    found = run.ask_each({self._kept([case.trigger for case in self.cases])}, {_CAUSE})"
        yield "if found:"
        yield "    c.idle_until = 0"
        yield "    run.show(at, e, a)"
        yield f"    run.propose(found, {_CAUSE})"

    def _locals(self) -> Iterator[str]:
        """What the conditions find in locals: parts of the scope, and features that nothing has read yet."""
        parts = self.generator.parts
        yield from (f"{PARTS[part]} = None" for part in ("product", "offer", "action") if part in parts)
        if "before_account" in parts:
            yield "ba = b.account"
        yield from (f"f{index} = UNREAD" for index in sorted(self.generator.shared))

    def _shared_fields(self) -> Iterator[str]:
        """What several conditions read of the customer is loaded once."""
        readers: Counter[str] = Counter()
        attributes: dict[str, str] = {}
        for case in self.cases:
            names = {
                part.name.path: part.name.attribute
                for term in map(term_of, [asked.evaluate for asked in case.asked])
                for part in (term.walk() if term is not None else ())
                if isinstance(part, Reference) and part.name.part == "customer" and not part.name.key
                if part.type.nullable and part.only is None
            }
            readers.update(names.keys())
            attributes |= names
        for path, attribute in attributes.items():
            if readers[path] > 1 and path not in self._known():
                yield f"c_{attribute} = c.{attribute}"
                self.generator.loaded[path] = f"c_{attribute}"

    def _rearming(self) -> Iterator[str]:
        """What waits to be armed again is asked only of the few triggers that have fired for this customer."""
        waiting = [case.trigger for case in self.cases if case.trigger.rearm is not None]
        if not waiting:
            return
        yield "for name, m in c.memory.items():"
        yield "    if not m.armed:"
        for number, trigger in enumerate(waiting):
            assert trigger.rearm is not None
            self.generator.begin_reader([trigger.rearm])
            holds = ast.unparse(self.generator.holds_of(trigger.rearm, self._known()))
            yield f"        {'elif' if number else 'if'} name == {memory_name(trigger)!r}:"
            yield f"            if {holds}:"
            yield "                m.armed = True"

    def _case(self, case: Case) -> Iterator[str]:
        fires = f"found.append({self._kept(case.trigger)})"
        if not case.asked:
            yield fires
            return
        generator, known = self.generator, self._known()
        generator.begin_reader(case.asked)
        implied = [generator.holds(term, dict(known)) for term in _implied(case.asked)]
        in_order = sorted(case.asked, key=lambda asked: bool(features_of([asked])))  # the author's order but for this
        at_once = [generator.holds_of(asked, known) for asked in in_order if not features_of([asked])]
        spanned = [ast.parse(one, mode="eval").body for one in self._spanning(in_order)]
        windowed = [generator.holds_of(asked, known) for asked in in_order if features_of([asked])]
        yield f"if {' and '.join(f'({ast.unparse(one)})' for one in (*at_once, *implied, *spanned, *windowed))}:"
        yield f"    {fires}"

    def _spanning(self, asked: Sequence[Expression]) -> Iterator[str]:
        """What must be true of the least and the greatest that a window may come to: of ``mean >= 100`` that some
        sample reaches 100, of ``x >= mean * 1.2`` that x reaches 1.2 times the least.
        """
        found: dict[int, list[str]] = {}
        for term in [term for expression in asked if (term := term_of(expression.evaluate)) is not None]:
            match term:
                case Comparison(
                    operator=">" | ">=" | "<" | "<=",
                    left=FeatureReference(index=index),
                    right=Constant(value=Decimal() as edge),
                ):
                    place, upwards = self._place(index), term.operator in (">", ">=")
                    asks = f"x[{(place or 0) + upwards}] {term.operator} {self._kept(edge * _SCALE)}"
                case Comparison(
                    operator=">" | ">=" | "<" | "<=",
                    left=Reference(name=name),
                    right=Arithmetic(
                        operator="*", left=FeatureReference(index=index), right=Constant(value=Decimal() as factor)
                    ),
                ) if factor > 0 and name.path in self._known():
                    # Rounding never turns the order of two products round.
                    place, upwards = self._place(index), term.operator in ("<", "<=")
                    most = f"_mul(x[{(place or 0) + upwards}], {self._kept(factor)})"
                    asks = f"{self._known()[name.path]} * SCALE {term.operator} {most}"
                case _:
                    continue
            if place is not None:
                found.setdefault(place, []).append(asks)
        for place, conditions in found.items():
            asks = " and ".join(conditions)
            yield f"{asks} and (not x[{place + 2}] or {self._tightened(place)} and {asks})"

    def _place(self, index: int) -> int | None:
        """Where a feature's level stands in ``extremes``; ``None`` where its value may lie beyond them."""
        feature, series = self.plan.features[index]
        return self.bounded.get(series.id) if lies_between(feature, series) else None

    def _tightened(self, place: int) -> str:
        """Finds the nearest ``extremes``, where there may be nearer ones; true."""
        number = next(number for number, level in enumerate(self.plan.levels) if self.bounded.get(level.id) == place)
        return f"tighten(x, {place}, h{number}, at)"

    def _known(self) -> dict[str, str]:
        """The names that have a value in a local: an account in the bank's currency is known, and so are the totals."""
        return {"customer.balance": "balance", "customer.aum": "aum"} if self._domestic else {}

    def _value(self, evaluate: Evaluate) -> str:
        """The value of what is sampled, as text."""
        term = term_of(evaluate)
        assert term is not None  # asked before
        return ast.unparse(self.generator.inlined(term, self._known()))

    def _kept(self, value: Any) -> str:
        return self.generator.keep(value).id


def places_of(plan: Plan) -> dict[str, int]:
    """By level: where the least and the greatest that is kept of it stand in ``CustomerState.extremes``.

    Of those that only records change: what reads tiers or tags may change with a timer.
    """
    levels = [level.id for level in plan.levels if _is_plain(level) and level not in plan.derived_levels]
    return {name: number * len(UNKNOWN) for number, name in enumerate(levels)}


def _is_plain(level: Sampler) -> bool:
    """Whether a level is the customer's, in force at all times, and an expression that can be written out."""
    return not level.by_account and level.where is None and term_of(level.evaluate) is not None
