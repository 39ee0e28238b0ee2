"""One trigger file → a ``Draft``: the keys of TRIGGER files, top to bottom."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final, cast

from schemas.base import IDENTIFIER_PATTERN
from triggers.language import codes, grammar
from triggers.language.cases import read_cases
from triggers.language.clauses import Clause, read_clauses
from triggers.language.derived_events import EXHAUSTED
from triggers.language.document import Document, Node, Place, shorten
from triggers.language.draft import MOST_FIELDS, Draft
from triggers.language.expressions import Checked, Context, read_expression
from triggers.language.features import read_features, used_features
from triggers.language.ladder_steps import read_ladder
from triggers.language.model import (
    ActionSpec,
    Complexity,
    Expression,
    Goal,
    OnChange,
    OnDerived,
    OnMaturity,
    Status,
    Step,
    Trigger,
    Wake,
)
from triggers.language.names import ALL_RECORDS
from triggers.language.offer_choice import Chosen, read_offer
from triggers.language.reader import IDENTIFIER, Fields, Reader
from triggers.language.shared import Shared
from triggers.language.wakes import event_types, read_events, read_wakes

_NO_ACTION: Final = "no action went out yet; it stands in a ladder and where feedback or action.exhausted wakes"


def read_trigger(reader: Reader, document: Document, shared: Shared) -> Draft | None:
    """Reads one trigger file and reports its mistakes; ``None`` where it is no mapping at all."""
    if document.root is None:
        message = "the file is empty; bank-triggers new writes a first one"
        reader.report(codes.MISSING_KEY, Place(1, 1, ""), message)
        return None
    fields = reader.mapping(document.root, grammar.TRIGGER)
    if fields is None:
        return None
    draft = Draft(document.file, fields, shared.policy)
    draft.id = fields.identifier("trigger")
    titles = fields.title("title")
    version = fields.integer("version")
    owner = fields.text("owner")
    status = fields.choice("status")
    wakes = _wakes(reader, fields, shared)
    draft.on = wakes or ()
    _features(reader, draft, wakes, shared)
    context = _context(draft, wakes, shared)
    when = _condition(reader, draft, "when", context)
    rearm = _condition(reader, draft, "rearm", _without_event(context))
    once_per = fields.duration("once_per")
    action = _action(reader, draft, context, shared)
    on_change = fields.choice("on_change") or "carry"
    tests = fields.get("tests")
    draft.cases = read_cases(reader, tests, shared) if tests else ()
    if reader.problems or action is None or draft.id is None:
        return draft
    draft.trigger = Trigger(
        id=draft.id,
        version=version or 1,
        title=titles["en"] if titles else draft.id,
        titles=titles or {},
        owner=owner or "",
        status=cast("Status", status),
        on=wakes or (),
        when=when.expression if when else None,
        clauses=tuple(expression for expression, _ in when.clauses) if when else (),
        rearm=rearm.expression if rearm else None,
        once_per_ms=once_per,
        action=action,
        on_change=cast("OnChange", on_change),
        file=document.file,
        cases=draft.cases,
        condition=read_clauses(document, when) if when else None,
        rearm_condition=read_clauses(document, rearm) if rearm else None,
    )
    return draft


def _wakes(reader: Reader, fields: Fields, shared: Shared) -> tuple[Wake, ...] | None:
    """``None`` where a form could not be read: what the expressions see is then not known."""
    node = fields.get("on")
    before = len(reader.problems)
    wakes = read_wakes(reader, node, shared.vocabulary) if node else ()
    return wakes if node and len(reader.problems) == before else None


def _features(reader: Reader, draft: Draft, wakes: tuple[Wake, ...] | None, shared: Shared) -> None:
    node = draft.fields.get("features")
    if node is None:
        return
    before = len(reader.problems)
    events = event_types(wakes) if wakes is not None else None
    draft.features = read_features(reader, node, events, shared.table, shared.vocabulary)
    draft.complete &= len(reader.problems) == before
    if isinstance(node.value, dict):
        draft.feature_places = {name: entry.place for name, entry in node.value.items()}


def _context(draft: Draft, wakes: tuple[Wake, ...] | None, shared: Shared) -> Context:
    """What ``when`` and the action may read, by what wakes the trigger."""
    absent = {
        "action": _NO_ACTION,
        "offer": "an offer is chosen after the trigger fires; the action may read it",
    }
    if wakes is None:
        return Context(draft.features, ALL_RECORDS, absent, shared.vocabulary)
    events = event_types(wakes)
    if "feedback" in events or OnDerived(EXHAUSTED) in wakes:
        del absent["action"]
    if not events and any(isinstance(wake, OnDerived) for wake in wakes):
        absent["event"] = "what the engine derives wakes the trigger: it may come of any event, or of time"
    elif not events:
        absent["event"] = absent["before"] = "no event wakes the trigger, only time does"
    if "transaction" not in events:
        absent["account"] = "only a transaction concerns one account"
    if "maturity" not in events and not any(isinstance(wake, OnMaturity) for wake in wakes):
        absent["product"] = "only a maturity concerns one holding"
    return Context(draft.features, events, absent, shared.vocabulary)


def _without_event(context: Context) -> Context:
    reason = "rearm looks at what holds, whatever the event"
    return replace(context, absent={**context.absent, "event": reason})


def _in_ladder(context: Context) -> Context:
    """What the condition of a step may read: the action so far, and what holds when the step is due."""
    reason = "a step of a ladder waits for time, not for an event"
    absent = {"event": reason, "before": reason, "account": reason, "offer": "the offer went out with the first step"}
    if "product" in context.absent:
        absent["product"] = context.absent["product"]
    return replace(context, absent=absent)


def _with_offer(context: Context, *, known: bool) -> Context:
    """What the action's expressions may read: also the offer, where the catalogue has it."""
    absent = {**context.absent, "offer": "there is no offers.yaml beside the triggers"}
    if known:
        del absent["offer"]
    return replace(context, absent=absent)


def _condition(reader: Reader, draft: Draft, key: str, context: Context) -> Checked | None:
    return _expression(reader, draft, draft.fields.get(key), context, expect="flag")


def _expression(
    reader: Reader, draft: Draft, node: Node | None, context: Context, *, expect: str | None = None
) -> Checked | None:
    """An expression, where there is one, with its use of features noted."""
    if node is None:
        return None
    checked = read_expression(reader, node, context, expect=expect)
    if checked is None:
        draft.complete = False
    else:
        draft.used |= used_features(checked)
    return checked


def _action(reader: Reader, draft: Draft, context: Context, shared: Shared) -> ActionSpec | None:
    node = draft.fields.get("action")
    draft.action = fields = reader.mapping(node, grammar.ACTION) if node else None
    if fields is None:
        return None
    offer_node = fields.get("offer")
    chooses = offer_node is not None and isinstance(offer_node.value, dict)
    context = _with_offer(context, known=chooses or shared.offers is not None)
    chosen = _offer(reader, draft, offer_node, context, shared) if offer_node else None
    category = fields.identifier("category")
    complexity = _complexity(reader, fields, chosen, shared)
    priority = fields.integer("priority")
    value = _expression(reader, draft, fields.get("value"), context, expect="money")
    expires = fields.duration("expires")
    ladder = _ladder(reader, draft, fields, _in_ladder(context), shared)
    until = fields.get("until")
    goal = _goal(reader, draft, fields.get("goal"), shared)
    template, message = _message(reader, draft, fields, context)
    if reader.problems or chosen is None:
        return None
    return ActionSpec(
        offer=chosen.offer,
        category=category or "",
        complexity=complexity,
        priority=priority or 0,
        value=value.expression if value else None,
        expires_ms=expires or 0,
        ladder=ladder,
        template=template,
        fields=message,
        until=read_events(reader, until) if until else (),
        goal=goal,
    )


def _goal(reader: Reader, draft: Draft, node: Node | None, shared: Shared) -> Goal | None:
    """Its condition is asked after the event: it may read that event, and all that holds then."""
    if node is None:
        return None
    if not isinstance(node.value, dict):
        return Goal(read_events(reader, node))
    fields = reader.mapping(node, grammar.GOAL)
    on = fields.get("on") if fields else None
    before = len(reader.problems)
    events = read_events(reader, on) if on else ()
    known = events if on is not None and len(reader.problems) == before else None
    when = (
        _expression(reader, draft, fields.get("when"), _context(draft, known, shared), expect="flag")
        if fields
        else None
    )
    return Goal(events, when.expression if when else None)


def _offer(reader: Reader, draft: Draft, node: Node, context: Context, shared: Shared) -> Chosen | None:
    chosen = read_offer(reader, node, context, shared)
    if chosen is None:
        draft.complete = False
        return None
    for checked in chosen.expressions:
        draft.used |= used_features(checked)
    return chosen


def _complexity(reader: Reader, fields: Fields, chosen: Chosen | None, shared: Shared) -> Complexity | None:
    """What the action says, else what its named offer has; ``None`` where it is that of the offer chosen."""
    given = cast("Complexity | None", fields.choice("complexity"))
    if not fields.lacks("complexity") or chosen is None or not shared.offers_read:
        return given
    without = next((offer.id for offer in chosen.candidates if offer.complexity is None), None)
    if without is not None or not chosen.candidates:
        reason = f': the offer "{without}" in offers.yaml has none either' if without is not None else ""
        reader.report(codes.MISSING_KEY, fields.node.place, f'missing key "complexity" in an action{reason}')
    return chosen.candidates[0].complexity if isinstance(chosen.offer, str) and chosen.candidates else None


def _ladder(reader: Reader, draft: Draft, fields: Fields, context: Context, shared: Shared) -> tuple[Step, ...]:
    """The steps: the trigger's own, or those of a ladder of the policy."""
    node = fields.get("ladder")
    if node is None:
        return ()
    named = shared.policy.ladders
    if isinstance(node.value, str) and named:
        name = reader.choice(node, tuple(named))
        steps = [(node.place, step) for step in named[name]] if name is not None else []
        draft.channels += [(node.place, channel) for channel in dict.fromkeys(c for _, s in steps for c in s.channels)]
    else:
        steps = read_ladder(reader, node, draft.channels, lambda unless: _unless(reader, draft, unless, context))
    draft.ladder += steps
    return tuple(step for _, step in steps)


def _unless(
    reader: Reader, draft: Draft, node: Node, context: Context
) -> tuple[str | None, Expression | None, Clause | None]:
    """What keeps a step back: an outcome by its name, or a condition."""
    if isinstance(node.value, str) and IDENTIFIER.fullmatch(node.value):
        return reader.choice(node, grammar.ANSWERS), None, None
    condition = _expression(reader, draft, node, context, expect="flag")
    if condition is None:
        return None, None, None
    return None, condition.expression, read_clauses(reader.document, condition)


def _template(message: Fields) -> str | None:
    template, node = message.text("template"), message.get("template")
    # An action names its template, as it names its trigger. One that no action can carry would stop every worker.
    if template is not None and node is not None and not re.fullmatch(IDENTIFIER_PATTERN, template):
        expected = "expected a name of printable ASCII characters without spaces, such as retention-v1"
        message.reader.report(codes.OUT_OF_RANGE, node.place, f'{expected}, found "{shorten(template)}"')
    return template


def _message(
    reader: Reader, draft: Draft, fields: Fields, context: Context
) -> tuple[str | None, dict[str, Expression]]:
    node = fields.get("message")
    if node is None:
        return None, {}
    draft.message = message = reader.mapping(node, grammar.MESSAGE)
    if message is None:
        return None, {}
    template = _template(message)
    found: dict[str, Expression] = {}
    for name in [name for name in message.entries if name != "template"][:MOST_FIELDS]:
        value = message.get(name)
        if value is None or value.value is None:
            continue  # a check says so
        checked = _expression(reader, draft, value, replace(context, message=True))
        if checked is not None:
            draft.message_fields[name] = checked
            found[name] = checked.expression
    return template, found
