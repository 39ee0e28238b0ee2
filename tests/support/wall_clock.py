"""The wall clock of worker processes, set by a test; the monotonic clock, by which everything waits, is left alone."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from tests.support.worker_process import ROOT

ZONE: Final = ZoneInfo("Asia/Shanghai")


class WallClock:
    """What processes started from now on take for the time: they read a file of ``folder`` at each look."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = folder / "shift"
        self._shift_by(0)
        monkeypatch.setenv("TEST_CLOCK_SHIFT", str(self._file))
        monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'tests' / 'support' / 'shifted_clock'}:{ROOT}")

    def set(self, local: str) -> None:
        """The bank's local time from now on."""
        wanted = datetime.fromisoformat(local).replace(tzinfo=ZONE)
        self._shift_by(round(wanted.timestamp() * 1000) - time.time_ns() // 1_000_000)
        self.now = wanted

    def ahead(self, by: timedelta) -> None:
        """Ahead of the true time by so much."""
        self._shift_by(round(by.total_seconds() * 1000))

    def _shift_by(self, milliseconds: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(str(milliseconds))
        new.rename(self._file)
