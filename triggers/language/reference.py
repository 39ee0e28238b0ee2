"""The reference of the language as one page of Markdown, made from the tables that the readers themselves go by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from triggers.language.checks import ALL_CODES
from triggers.language.forms import (
    AnyOf,
    ByName,
    Expression,
    Flag,
    Form,
    Items,
    Key,
    Length,
    Name,
    Number,
    OneOf,
    Record,
    Shape,
    Text,
    Whole,
    Written,
)
from triggers.language.grammar import FILES, TRIGGER
from triggers.language.helpers import MEANING
from triggers.language.names import ALIASES, CATALOGUE, RECORDS, Type, detail_values
from triggers.language.reader import show_duration

_MANY: Final = 12
"""More values than these are not listed in a table."""

_FUNCTIONS: Final = """\
| function | over the window | where nothing is known |
|---|---|---|
| `sum` `count` | of the events: flows only | 0 |
| `mean` | of the events: flows only | unknown |
| `max` `min` `first` `last` | of the events, or of what held, from the value in force at the beginning on | unknown |
| `distinct` | how many different values | 0 |
| `daily_mean` | of a level, weighted by how long each value stood: what banks call the daily average | unknown |

An expression that reads `event.*` is a **flow**: one sample for each event. One that reads only what holds between
events (`customer.balance`) is a **level**: its value stands until the next sample. A transfer between the customer's
own accounts is no flow, unless the expression or its `where` asks for `event.own_account`; nor is a `purchase` or a
`redemption`, which moves money into a product of the customer's own or out of it, unless one of them asks for
`event.kind`. A flow of money takes the events in the bank's currency, as `customer.balance` does, unless the expression
or its `where` asks for `event.currency`; `event.amount` in a condition is the event's own amount, whatever its
currency. Windows slide on event time; a late event is placed where it belongs. `over: 7d` is the last seven days;
`over: today`, `week`, `month`, `quarter` and `year` are the calendar's period so far, in the bank's time zone.
"""

_UNKNOWN: Final = """\
A value that nobody knows is **unknown**: a comparison with it is unknown, `and`, `or` and `not` follow three-valued
logic, and an unknown condition does not fire. Division by zero is unknown. Money and numbers are exact decimals.
"""


def reference() -> str:
    """The whole page."""
    parts = [
        "# Reference of the trigger language",
        "Made from the program: `bank-triggers schemas reference`. The guide is in [README.md](README.md).",
        *_events(),
        *_names(),
        "## Expressions",
        _UNKNOWN.strip(),
        _table(("helper", "gives"), ((f"`{call}`", about) for call, about in MEANING.values())),
        "## Features",
        _FUNCTIONS.strip(),
        "## Keys of a trigger file",
        *_forms(TRIGGER),
    ]
    for name, form in FILES.items():
        parts += [f"## Keys of {name}", *_forms(form)]
    parts += [
        "## Codes",
        "`bank-triggers check --explain CODE` shows an example of each. W is a warning: the rules run.",
        _table(("code", "about"), ((f"`{code.id}`", code.about) for code in ALL_CODES)),
    ]
    return "\n\n".join(parts) + "\n"


def _events() -> Iterator[str]:
    yield "## What wakes a trigger"
    yield _table(
        ("event", "its kinds"),
        ((f"`{name}`", ", ".join(f"`{name}.{kind}`" for kind in detail_values(name)) or "–") for name in RECORDS),
    )
    yield "Other names: " + ", ".join(f"`{short}` is `{event}`" for short, event in ALIASES.items()) + "."
    yield (
        "Derived: `tier.up`, `tier.down` (and those of other tierings by name), `tag.added`, `tag.removed` (of one "
        "tag: `tag.added.churn_risk`), `action.exhausted`. With time: lead times, silences, waits and "
        "schedules; their keys stand below."
    )


def _names() -> Iterator[str]:
    yield "## Names"
    parts: dict[str, list[tuple[str, str]]] = {}
    for path, name in CATALOGUE.items():
        where = f"{_type(name.type)}"
        if name.by_record:
            where += f"; of {', '.join(sorted(name.record_types))}"
        parts.setdefault(path.rpartition(".")[0], []).append((f"`{path}`", where))
    for part, rows in parts.items():
        if part.startswith("before"):
            continue
        yield f"### {part}.*"
        yield _table(("name", "holds"), rows)
    yield (
        "`before.*` has the names of `customer.*`, and `before.account.*` those of `account.*`: the values before the "
        "event. "
        "With `tiers.yaml` each tiering is a name of `customer.*`; with `tags.yaml` there is `customer.tags`."
    )


def _type(kind: Type) -> str:
    if len(kind.values) > _MANY:
        return f"one of {len(kind.values)} words"
    return str(kind)


def _forms(form: Form) -> Iterator[str]:
    """A form's table, then those of the forms that stand in it, each once."""
    seen: list[Form | Record] = []
    waiting: list[Form | Record] = [form]
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.append(one)
        if isinstance(one, Record):
            continue
        if one is not form:
            yield f"#### {one.what}"
        if one.keys:
            yield _table(("key", "holds", "meaning"), (_row(key) for key in one.keys))
        if one.others is not None:
            yield f"Any further key: {_holds(one.others)}."
        for key in one.keys:
            waiting += _within(key.shape)
        if one.others is not None:
            waiting += _within(one.others)


def _within(shape: Shape) -> Iterator[Form | Record]:
    if isinstance(shape, Form | Record):
        yield shape
    elif isinstance(shape, Items | ByName):
        yield from _within(shape.of)
    elif isinstance(shape, AnyOf):
        for inner in shape.shapes:
            yield from _within(inner)


def _row(key: Key) -> tuple[str, str, str]:
    name = f"**`{key.name}`**" if key.required else f"`{key.name}`"
    return name, _holds(key.shape), key.about


def _holds(shape: Shape) -> str:
    match shape:
        case Text():
            return "text"
        case Name():
            return "a name"
        case Whole():
            return f"{shape.low} to {shape.high}" if shape.low < shape.high else str(shape.low)
        case Number():
            return "a number"
        case Flag():
            return "`true` or `false`"
        case OneOf():
            few = len(shape.values) <= _MANY
            return ", ".join(f"`{value}`" for value in shape.values) if few else f"such as `{shape.values[0]}`"
        case Written():
            return f"such as `{shape.example}`"
        case Length():
            return f"{show_duration(shape.low)} to {show_duration(shape.high)}"
        case Expression():
            return {"flag": "a condition", "number": "a number's expression"}.get(shape.gives, "an expression")
        case Items():
            return f"a list: {_holds(shape.of)}"
        case ByName():
            return f"by name: {_holds(shape.of)}"
        case AnyOf():
            return ", or ".join(dict.fromkeys(map(_holds, shape.shapes)))
        case Record():
            return f"the fields of {shape.what}"
    return shape.what


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
