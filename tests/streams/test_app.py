"""The Faust app of a worker: what Faust would wait for at a start is not waited for."""

from __future__ import annotations

from unittest.mock import AsyncMock, Mock, call

import pytest
from mode import Service

from streams.app import NoTables, WorkerParameters, build_app


async def test_the_group_is_joined_without_a_wait_for_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock Faust sleeps a second at each start, and subscribes only after it: a second of every recovery."""
    app = build_app(WorkerParameters("tables", ["127.0.0.1:9"]), AsyncMock(), ["t"])
    tables = app.tables
    assert isinstance(tables, NoTables)
    called = Mock()
    for what, name in ((Service, "sleep"), (tables, "_update_channels"), (tables.recovery, "start")):
        step = AsyncMock()
        called.attach_mock(step, name)
        monkeypatch.setattr(what, name, step)
    await tables.on_start()
    assert called.mock_calls == [call._update_channels(), call.start()]
