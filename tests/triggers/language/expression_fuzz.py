"""The judge of random expressions: each is a located error, or a value that the slow interpreter finds as well."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from tests.triggers.language.slow_interpreter import interpret
from tests.triggers.language.worlds import ANYWHERE, FEATURES, OF_CALENDAR, TODAY, check, scope_of
from triggers.language.names import ALL_RECORDS, CATALOGUE, Type

_PARTS: Final = ("customer", "account", "product", "before", "before.account", "event", "action", "offer")
_AMOUNTS: Final = [Decimal(text) for text in ("0", "-1", "0.01", "1", "12345.67", "50000", "-99999999999999.9999")]
_TEXTS: Final = ["vip", "x", "cash", "", "2026-03-02", "mid", "上海"]


def world(seed: int) -> tuple[str, dict[str, Any]]:
    """An event's kind, and a value for most names: some are unknown, and up to two parts of the scope are missing."""
    choose = random.Random(seed)
    record_type = choose.choice(sorted(ALL_RECORDS))
    values: dict[str, Any] = {}
    for path, name in CATALOGUE.items():
        kind: Type | None = name.type
        if name.part == "event":
            kind = dict(name.by_record).get(record_type)
        if kind is not None:
            values[path] = _some(choose, kind)
    values |= {path: _some(choose, feature.type) for path, feature in FEATURES.items()}
    missing = choose.sample(_PARTS, choose.choice([0, 0, 1, 2]))
    return record_type, {
        path: value for path, value in values.items() if not any(path.startswith(f"{part}.") for part in missing)
    }


def judge(text: str, seeds: list[int]) -> Literal["error", "value"]:
    """What became of an expression. Fails where it is neither, or where the two interpreters differ."""
    checked, problems = check(text, ANYWHERE)
    if checked is None:
        lines = text.split("\n")
        assert problems
        for problem in problems:
            assert re.fullmatch(r"E0[13]\d", problem.code)
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
            assert len(problem.message) < 2000
        return "error"
    assert not problems
    for seed in seeds:
        record_type, values = world(seed)
        found = checked.expression.evaluate(scope_of(values, record_type))
        expected = interpret(text.strip(), {**values, **OF_CALENDAR}, TODAY)
        assert _same(found, expected), (text, seed, found, expected)
        assert _is_small(found)
    return "value"


def _some(choose: random.Random, kind: Type) -> Any:
    if kind.nullable and choose.random() < 0.25:
        return None
    values: Mapping[str, Any] = {
        "money": lambda: choose.choice(_AMOUNTS),
        "number": lambda: choose.randint(-3, 70) if kind.whole else choose.choice(_AMOUNTS),
        "text": lambda: choose.choice(_TEXTS),
        "flag": lambda: choose.random() < 0.5,
        "date": lambda: date(2026, 3, 2) + timedelta(days=choose.randint(-3, 3)),
        "time": lambda: datetime(2026, 3, 2, choose.randint(0, 3), tzinfo=UTC),
        "texts": lambda: tuple(choose.sample(_TEXTS, choose.randint(0, 3))),
        "enum": lambda: choose.choice(kind.values),
    }
    return values[kind.kind]()


def _same(found: Any, expected: Any) -> bool:
    if found is None or expected is None or isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    return bool(found == expected)


def _is_small(value: Any) -> bool:
    """A result costs no more to keep than what it was made from."""
    if isinstance(value, Decimal):
        return value.is_finite() and len(value.as_tuple().digits) <= 34
    return not isinstance(value, str) or len(value) <= 200
