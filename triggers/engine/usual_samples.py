"""The part of a usual transaction's function that leaves its samples: in levels, then in flows."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

from triggers.engine.plan import Sampler
from triggers.engine.series import ROW_BYTES, pack, pack_row
from triggers.engine.state import HEARD_BYTES
from triggers.engine.usual_writer import KIND, UsualWriter, is_plain
from triggers.engine.windows import UNKNOWN
from triggers.language.compiler import term_of
from triggers.language.tree import Constant, Reference

_MONEY: Final = frozenset({"event.amount", "event.balance_after"})
"""What has four decimals at most and is never unknown: the schema sees to it."""


class SampleWriter(UsualWriter):
    """Writes what ``Evaluation.sample_levels`` and ``sample_flows`` come to for a shape."""

    __slots__ = ()

    def _levels(self) -> Iterator[str]:
        if self.bounded:
            yield "x = c.extremes"
            yield "if x is None:"
            yield f"    x = c.extremes = [*{UNKNOWN * len(self.bounded)}]"
        for number, level in enumerate(self.plan.levels):
            if not is_plain(level):
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
        by_shape = self.plan.flows.get(KIND)
        flows = [] if by_shape is None else by_shape.of(self.event)
        of_series = {series.id: index for index, series in enumerate(self.plan.ruleset.series)}
        for number, flow in enumerate(flows, len(self.plan.levels)):
            term = term_of(flow.evaluate)
            series = self.plan.ruleset.series[of_series[flow.id]]
            # Where other kinds of record leave samples as well, one of them may be newer than this transaction.
            if flow.by_account or flow.where is not None or term is None or series.record_types != {KIND}:
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
