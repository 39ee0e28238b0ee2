"""The list of Redis commands that administrators are given: each that the scripts use stands on it."""

from __future__ import annotations

import re
from pathlib import Path

from streams.store_redis import acl_rule

SCRIPTS = Path(__file__).resolve().parents[2] / "streams" / "lua"
OPERATORS = {"promote.lua"}
"""Scripts of commands that a worker never runs."""


def _used(script: Path) -> set[str]:
    return {name.lower() for name in re.findall(r"(?:redis\.call\(|each_chunk\(|try\()'([A-Z]+)'", script.read_text())}


def _allowed(*, operator: bool) -> set[str]:
    rule = acl_rule("worker", "bank", cluster=False, database=0, operator=operator)
    return {word[1:] for word in rule.split() if word.startswith("+")}


def test_every_command_of_a_script_is_allowed() -> None:
    """A worker's scripts need no command beyond the worker's; an operator's none beyond the operator's."""
    scripts = sorted(SCRIPTS.glob("*.lua"))
    assert {script.name for script in scripts} > OPERATORS
    for script in scripts:
        used = _used(script)
        assert used <= _allowed(operator=script.name in OPERATORS), script.name


def test_every_command_is_tried_at_the_start() -> None:
    """What the scripts of a worker use is what the script tries that looks for missing rights."""
    scripts = [script for script in SCRIPTS.glob("*.lua") if script.name not in OPERATORS | {"access.lua"}]
    assert set().union(*map(_used, scripts)) <= _used(SCRIPTS / "access.lua")
