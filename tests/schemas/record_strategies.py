"""Generated records as JSON text: valid ones for every model, and ones bent in every way a sender might bend them.

The values are drawn from the models' own type hints. A message is kept as a list of pairs until it is written, so
that it can hold what a dict cannot: equal keys, numbers with their exact digits, odd spellings.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from schemas import base
from schemas.base import Record
from tests.schemas.odd_values import ODD_VALUES, Raw

Pairs = list[tuple[str, Any]]

identifiers = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# Hypothesis wants the bounds without an offset.
FIRST, LAST = datetime.fromisoformat("1900-01-02T00:00:00"), datetime.fromisoformat("2199-12-30T00:00:00")
times = st.datetimes(FIRST, LAST, timezones=offsets | st.just(UTC)).map(datetime.isoformat)
digits = st.integers(0, 10**14 - 1).map(str)
decimals = st.integers(1, 4).flatmap(lambda places: st.integers(0, 10**places - 1).map(lambda n: f".{n:0{places}d}"))
positive_amounts = st.tuples(digits, st.just("") | decimals).map("".join)
amounts = st.tuples(st.sampled_from(["", "-"]), positive_amounts).map("".join)


def as_text_or_number(written: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return written | written.map(Raw)


SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (base.Identifier, identifiers),
    (base.Occasion, identifiers),
    (base.ShortText, texts),
    (base.TopicName, st.from_regex(r"[a-zA-Z0-9._-]{1,249}", fullmatch=True)),
    (base.EventTime, times),
    (base.PositiveMoney, as_text_or_number(positive_amounts)),
    (base.Money, as_text_or_number(amounts)),
    (base.Currency, st.sampled_from(sorted(base.CURRENCIES))),
    (base.CalendarDate, st.dates().map(str)),
    (base.Sequence, st.integers(0, 2**63 - 1)),
    (base.Count, st.integers(0, 2**31 - 1)),
    (base.Milliseconds, st.integers(-(2**63), 2**63 - 1)),
    (base.Flag, st.booleans()),
]


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Valid JSON values of a field, by its type hint."""
    for scalar, strategy in SCALARS:
        if hint == scalar:
            return strategy
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner = values(arguments[0])
        return inner.filter(lambda value: not isinstance(value, list) or len(value) <= 32)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, UnionType):
        return st.one_of([st.none() if part is NoneType else values(part) for part in arguments])
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=8)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=4)
    if isinstance(hint, type) and issubclass(hint, str):
        return st.sampled_from(list(hint)) if hasattr(hint, "__members__") else texts
    if hint is int:
        return st.just(1)  # schema_version, whose bounds are in its metadata
    raise AssertionError(f"no values are known for {hint}")


@st.composite
def messages(draw: st.DrawFn, model: type[Record]) -> Pairs:
    """A valid record as pairs, in any order, with any of the optional fields left out or written out."""
    hints = get_type_hints(model, include_extras=True)
    pairs: Pairs = []
    for name, field in model.model_fields.items():
        if field.is_required() or draw(st.booleans()):
            pairs.append((name, 1 if name == "schema_version" else draw(values(hints[name]))))
    if model.record_type == "maturity":
        days = sorted(value for name, value in pairs if name in ("purchased_on", "matures_on"))
        by_name = {"purchased_on": days[0], "matures_on": days[1]}
        pairs = [(name, by_name.get(name, value)) for name, value in pairs]
    if model.record_type == "customer_merge" and dict(pairs).get("merged_into") == dict(pairs)["customer_id"]:
        pairs = [pair for pair in pairs if pair[0] != "merged_into"]
    return draw(st.permutations(pairs)) if draw(st.booleans()) else pairs


@st.composite
def bent(draw: st.DrawFn, model: type[Record]) -> Pairs:
    """A record of the model with up to three things done to it, some of which leave it valid."""
    pairs = list(draw(messages(model)))
    for _ in range(draw(st.integers(0, 3))):
        if not pairs:
            break
        i = draw(st.integers(0, len(pairs) - 1))
        name, value = pairs[i]
        match draw(st.sampled_from(["drop", "retype", "repeat", "shadow", "unknown", "rename", "null", "borrow"])):
            case "drop":
                pairs.pop(i)
            case "retype":
                pairs[i] = (name, draw(st.sampled_from(ODD_VALUES)))
            case "repeat":
                pairs.insert(draw(st.integers(0, len(pairs))), (name, value))
            case "shadow":
                pairs.insert(draw(st.integers(0, len(pairs))), (name, draw(st.sampled_from(ODD_VALUES))))
            case "unknown":
                other = draw(st.sampled_from(["note", "record_type", "", "Amount", "amount ", "__class__"]) | texts)
                pairs.insert(draw(st.integers(0, len(pairs))), (other, draw(st.sampled_from(ODD_VALUES))))
            case "rename":
                pairs[i] = (draw(st.sampled_from(list(model.model_fields))), value)
            case "null":
                pairs.append((draw(st.sampled_from(list(model.model_fields))), None))
            case "borrow":
                pairs[i] = (name, draw(st.sampled_from(pairs))[1])
    return pairs


@st.composite
def written(draw: st.DrawFn, pairs: Pairs) -> bytes:
    """The pairs as JSON, in one of the ways JSON may be written."""
    style = draw(st.sampled_from(["compact", "spaced", "wild"]))
    if style == "compact":
        gaps: st.SearchStrategy[str] = st.just("")
    elif style == "spaced":
        gaps = st.just(" ")
    else:
        gaps = st.sampled_from(["", "", " ", "\n", "\t", "\r\n  "])
    escaped = st.sampled_from([False, False, False, True]) if style == "wild" else st.just(False)

    def text(value: str) -> str:
        whole = draw(escaped)
        out = []
        for character in value:
            code = ord(character)
            if code < 32 or character in '"\\' or whole:
                units = character.encode("utf-16-be", "surrogatepass").hex()
                out.extend(f"\\u{units[k : k + 4]}" for k in range(0, len(units), 4))
            else:
                out.append(character)
        return f'"{"".join(out)}"'

    def one(value: Any) -> str:
        match value:
            case Raw():
                return value.text
            case None | True | False:
                return {None: "null", True: "true", False: "false"}[value]
            case str():
                return text(value)
            case int():
                return str(value)
            case list():
                return "[" + ",".join(draw(gaps) + one(item) + draw(gaps) for item in value) + "]"
            case dict():
                return members(list(value.items()))
        raise AssertionError(value)

    def members(items: Pairs) -> str:
        inside = (
            draw(gaps) + text(key) + draw(gaps) + ":" + draw(gaps) + one(value) + draw(gaps) for key, value in items
        )
        return "{" + ",".join(inside) + "}"

    return (draw(gaps) + members(pairs) + draw(gaps)).encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with a few of them changed, lost, doubled or invented."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(out) - 1)))
        match draw(st.sampled_from(["change", "lose", "invent", "double", "cut"])):
            case "change" if out:
                out[at] = draw(st.sampled_from([*b'",:{}[]\\ -+.0159eEnNtT\x00\x7f\xff\xed\xa0', at % 256]))
            case "lose" if out:
                del out[at]
            case "invent":
                out.insert(at, draw(st.sampled_from(list(b'",:{}[]\\ -+.01eE\x1f\xc3\xef'))))
            case "double":
                end = draw(st.integers(at, min(len(out), at + 40)))
                out[at:at] = out[at:end]
            case "cut":
                del out[at:]
    return bytes(out)
