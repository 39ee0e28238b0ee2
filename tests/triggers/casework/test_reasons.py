"""Every reason that a decision may have is explained."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Final

import triggers.desk
import triggers.engine
from schemas.events import Maturity
from triggers.casework.reasons import MEANINGS
from triggers.language.names import literal_values
from triggers.policy import channels
from triggers.policy.gate import RULES

STAGES: Final = (triggers.engine, triggers.desk)
_OTHER_NAMES: Final[Mapping[str, str]] = {"give": "step", "_request": "offer"}
"""Functions that decide for a reason which is called otherwise."""
_NO_REASONS: Final = {"sent", "shadow"}


def modules() -> Iterator[ModuleType]:
    for package in STAGES:
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def places() -> dict[str, tuple[int, str]]:
    """By function: which of its arguments is the reason of a decision."""
    found = {}
    for module in modules():
        of_classes = [
            one for _, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == module.__name__
        ]
        for owner in (module, *of_classes):
            for name, function in inspect.getmembers(owner, inspect.isfunction):
                names = list(inspect.signature(function).parameters)
                wanted = _OTHER_NAMES.get(name, "reason")
                if wanted in names:
                    found[name] = (names.index(wanted) - (names[0] == "self"), wanted)
    return found


def written() -> Iterator[str]:
    """The reasons that stand as texts, or as names of texts, where a stage decides, takes back or asks itself."""
    known = places()
    for module in modules():
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            reason = None
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in known:
                    place, keyword = known[name]
                    given = [one.value for one in node.keywords if one.arg == keyword]
                    reason = given[0] if given else node.args[place] if place < len(node.args) else None
            elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
                reason = node.value.elts[0] if module.__name__.endswith(".firing") else None
            if reason is None:
                continue
            value = _value(module, reason)
            if isinstance(value, str):
                yield value


def _value(module: ModuleType, found: ast.expr) -> object:
    """What a text, or a name of one such as ``arbitration.REASON``, stands for; ``None`` for what is passed on."""
    if isinstance(found, ast.Constant):
        return found.value
    if isinstance(found, ast.Attribute) and isinstance(found.value, ast.Name):
        return getattr(getattr(module, found.value.id, None), found.attr, None)
    return getattr(module, found.id, None) if isinstance(found, ast.Name) else None


def test_every_reason_is_explained() -> None:
    """Those of the gate's rules, and those that each stage has beside them."""
    reasons = set(written()) - _NO_REASONS
    engine = {"once_per", "not_rearmed", "expired", "answered", "reversed", "answered_late", "opted_out", "excluded"}
    named = {"outranked", "no_offer", "window_full", "no_longer_true", "retired"}
    desk = {"assigned", "recalled", "no_capacity", "handover_approval", "rejected", "overtaken", "no_desks", "called"}
    assert engine | named | desk <= reasons, "the walk misses some"
    assert reasons <= MEANINGS.keys()
    assert {reason for reason, _ in RULES} <= MEANINGS.keys()
    assert channels.REASON in MEANINGS
    assert all(MEANINGS.values())


def test_no_meaning_is_left_over() -> None:
    """Each belongs to a reason that some stage may give, or to what a feedback or a maturity says."""
    passed_on = {"bought", "refused", *literal_values(Maturity.model_fields["status"].annotation)}
    assert MEANINGS.keys() <= {*written(), *(reason for reason, _ in RULES), channels.REASON, *passed_on}
