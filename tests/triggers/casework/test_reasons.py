"""Every reason that a decision may have is explained."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import triggers.engine
from triggers.casework.reasons import MEANINGS
from triggers.engine import window
from triggers.policy import channels
from triggers.policy.gate import RULES

_PLACE_OF_REASON = {"decide": 4, "take_back": 2}
_NOT_HELD_BACK = {"sent", "shadow"}


def written_in_the_engine() -> Iterator[str]:
    """The reasons that stand as texts where the engine decides, takes back or asks the trigger itself."""
    for file in Path(next(iter(triggers.engine.__path__))).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = _PLACE_OF_REASON.get(node.func.id)
                found = node.args[place] if place is not None and place < len(node.args) else None
            elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and file.name == "firing.py":
                found = node.value.elts[0]
            else:
                continue
            if isinstance(found, ast.Constant) and isinstance(found.value, str):
                yield found.value


def test_every_reason_is_explained() -> None:
    """Those of the gate's rules, and those that the engine has beside them."""
    written = set(written_in_the_engine()) - _NOT_HELD_BACK
    assert {"once_per", "not_rearmed", "expired", "answered", "reversed", "answered_late"} <= written
    assert written <= MEANINGS.keys()
    assert {reason for reason, _ in RULES} <= MEANINGS.keys()
    assert {channels.REASON, window.FULL, window.NO_LONGER, window.RETIRED} <= MEANINGS.keys()
    assert all(MEANINGS.values())
