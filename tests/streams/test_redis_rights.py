"""The list of Redis commands that administrators are given: each that the scripts use stands on it."""

from __future__ import annotations

import re
from pathlib import Path

from streams.store_redis import acl_rule

SCRIPTS = Path(__file__).resolve().parents[2] / "streams" / "lua"
OPERATORS = {"promote.lua"}
"""Scripts of commands that a worker never runs."""
BESIDE = {"ping", "eval", "evalsha", "get", "set", "hscan"}
"""What a worker sends itself: to reach a server, to run the scripts, for rule sets and to read all states."""
OPERATORS_BESIDE = {"unlink"}
"""What an operator sends itself besides: to take away a copy that is not wanted."""


def _used(script: Path) -> set[str]:
    return {name.lower() for name in re.findall(r"(?:redis\.call\(|each_chunk\(|try\()'([A-Z]+)'", script.read_text())}


def _allowed(*, operator: bool = False, cluster: bool = False, database: int = 0, replicas: bool = False) -> set[str]:
    rule = acl_rule("worker", "bank", cluster=cluster, database=database, operator=operator, replicas=replicas)
    return {word[1:] for word in rule.split() if word.startswith("+")}


def test_every_command_of_a_script_is_allowed() -> None:
    """A worker's scripts need no command beyond the worker's; an operator's none beyond the operator's."""
    scripts = sorted(SCRIPTS.glob("*.lua"))
    assert {script.name for script in scripts} > OPERATORS
    for script in scripts:
        used = _used(script)
        assert used <= _allowed(operator=script.name in OPERATORS), script.name


def test_no_command_is_allowed_that_nothing_uses() -> None:
    """Each is one of a script's or one that is sent as it is; what only some servers need is allowed only there."""
    everything = {script.name: _used(script) for script in SCRIPTS.glob("*.lua")}
    worker = set().union(*(used for name, used in everything.items() if name not in OPERATORS)) | BESIDE
    assert _allowed() == worker
    assert _allowed(operator=True) == worker | everything["promote.lua"] | OPERATORS_BESIDE
    assert _allowed(cluster=True) == worker | {"cluster|slots", "command"}
    assert _allowed(database=3) == worker | {"select"}
    assert _allowed(replicas=True) == worker | {"wait"}


def test_the_line_begins_with_nothing_and_gives_no_more_than_these() -> None:
    """What a user had before is gone; keys are those of the namespace; no category of commands, no channel."""
    words = acl_rule("worker", "bank", cluster=True, database=3, operator=True, replicas=True).split()
    assert words[:7] == ["ACL", "SETUSER", "worker", "reset", "on", ">PASSWORD", "~{bank:*}:*"]
    assert words[7] == "~bank:ruleset:*"
    assert all(re.fullmatch(r"\+[a-z|]+", word) for word in words[8:]), words


def test_every_command_is_tried_at_the_start() -> None:
    """What the scripts of a worker use is what the script tries that looks for missing rights."""
    scripts = [script for script in SCRIPTS.glob("*.lua") if script.name not in OPERATORS | {"access.lua"}]
    assert set().union(*map(_used, scripts)) <= _used(SCRIPTS / "access.lua")
