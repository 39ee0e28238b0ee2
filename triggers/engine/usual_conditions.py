"""The part of a usual transaction's function that asks: whether tiers and tags stay, and what fires."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from triggers.engine.derived_look import bounds_of, packed_bounds_of
from triggers.engine.firing import memory_name
from triggers.engine.fused import features_of
from triggers.engine.judge import Case
from triggers.engine.usual_writer import KIND, SCALE, UsualWriter
from triggers.language.compiler import NUMBERS, PARTS, term_of
from triggers.language.model import Expression, Tag, Tiering
from triggers.language.tree import Arithmetic, Comparison, Constant, FeatureReference, Reference, Term

_CAUSE: Final = "Cause(f'transaction:{e.event_id}', key, '', at)"


class ConditionWriter(UsualWriter):
    """Writes the conditions of a shape's tiers, tags and triggers: what settles most of them comes first."""

    __slots__ = ()

    def _derived(self) -> Iterator[str]:
        """Tiers and tags that surely stay as they are, which is most of them, need no look."""
        plan = self.plan
        if not plan.derives:
            return
        touched = plan.touched(KIND)
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
        yield f"    changes = run.derive({KIND!r}, cause)"
        yield "    if changes:"
        yield f"        run.wake(run.hear({self._kept(plan.woken(KIND, self.event.kind))}, changes), cause)"
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
        if self.counted and self.plan.woken(KIND, self.event.kind):
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
                    asks = f"x[{(place or 0) + upwards}] {term.operator} {self._kept(edge * SCALE)}"
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
