"""Seeds, the table of faults, and how to repeat a failure. ``tests/support/faults.py`` tells how to write a test."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from _pytest.mark import ParameterSet

from tests.support import fault_table
from tests.support.commit import commit

_COMMIT: Final = pytest.StashKey[str]()
"""What is tried, as it was when the run began."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_COMMIT] = commit()
    config.addinivalue_line(
        "markers",
        "many_seeds(together=n): a fault of many moments, with the seeds 1 to --fault-seeds; n in a row in one process",
    )
    config.addinivalue_line(
        "markers", "thorough: a further variant of a fault; only where seeds are asked for, or the test by its name"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every test of the tree has its minute: a fault is tried once there, in all its variants by ``make faults``."""
    asked = config.getoption("--fault-seeds") is not None or config.getoption("--fault-seed") is not None
    if not asked and not any("::" in argument for argument in config.args):
        left_out = [item for item in items if item.get_closest_marker("thorough") is not None]
        items[:] = [item for item in items if item.get_closest_marker("thorough") is None]
        config.hook.pytest_deselected(items=left_out)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``seed`` runs with the seed 1, or with those that the options name."""
    if "seed" in metafunc.fixturenames:
        only = metafunc.config.getoption("--fault-seed")
        seeds: list[int] | list[ParameterSet] = [1] if only is None else [only]
        many = metafunc.definition.get_closest_marker("many_seeds")
        if many is not None and only is None:
            last = metafunc.config.getoption("--fault-seeds") or 1
            seeds = [
                _of_group(seed, metafunc.function.__name__, many.kwargs["together"]) for seed in range(1, last + 1)
            ]
        metafunc.parametrize("seed", seeds, ids=lambda seed: f"seed-{seed}")


def _of_group(seed: int, test: str, together: int) -> ParameterSet:
    return pytest.param(seed, marks=pytest.mark.xdist_group(f"{test}-{(seed - 1) // together}"))


def pytest_itemcollected(item: pytest.Item) -> None:
    assert isinstance(item, pytest.Function)
    item.user_properties.append((fault_table.FAULT, fault_table.fault_of(item.path.stem, item.module.__doc__)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure says how to repeat it."""
    report = yield
    if report.failed:
        call = getattr(item, "callspec", None)
        again = f" --fault-seed {call.params['seed']}" if call is not None and "seed" in call.params else ""
        test = re.sub(r"]@.*$", "]", item.nodeid)  # a group of pytest-xdist stands behind the "@"
        report.sections.append(("to repeat", f"python -m pytest '{test}'{again}"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table, where seeds or a file were asked for."""
    file: Path | None = config.getoption("--fault-table")
    if file is None and config.getoption("--fault-seeds") is None:
        return
    reports = [r for found in terminalreporter.stats.values() for r in found if isinstance(r, pytest.TestReport)]
    rows = fault_table.rows_of(reports)
    terminalreporter.section("faults")
    tried = config.stash[_COMMIT]
    terminalreporter.write_line(fault_table.as_markdown(rows, tried))
    if file is not None:
        fault_table.write(rows, tried, file)


@pytest.fixture
def outage_s(request: pytest.FixtureRequest) -> float:
    """How long a dependency is away: a minute where seeds were asked for, else long enough for every timeout."""
    return 8.0 if request.config.getoption("--fault-seeds") is None else 60.0
