"""Commands of ``python -m streams`` as child processes, with what they write in a file of their own."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.kafka_broker import die_with_parent
from tests.support.preloaded import LAUNCHER

ROOT = Path(__file__).resolve().parents[2]
TAIL = 6_000
_OWNED = re.compile(r"partitions taken over: \[([0-9, ]*)\]")


class NotInTime(AssertionError):
    """A condition did not come true before its deadline."""


def wait_until(holds: Callable[[], bool], what: str | Callable[[], str], seconds: float = 60.0) -> None:
    """Polls a condition; ``what`` says, for the failure, what was waited for."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.02)


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """This process's environment with exactly these settings of the product."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BANK_TRIGGERS_")}
    given = {f"BANK_TRIGGERS_{name.upper()}": str(value) for name, value in settings.items()}
    return {**kept, **given, "PYTHONUNBUFFERED": "1"}


def run_command(*arguments: str | Path, settings: Mapping[str, object], seconds: float = 60.0) -> tuple[int, str]:
    """Runs a command to its end; its exit code and everything it wrote."""
    with tempfile.TemporaryDirectory(prefix="command-") as folder:
        output = Path(folder) / "output"
        process = LAUNCHER.start([str(argument) for argument in arguments], environment(settings), output)
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
            process.wait()
        return code, output.read_bytes().decode(errors="replace")


class WorkerProcess:
    """A ``bank-triggers worker`` as a child. It does not outlive this process."""

    def __init__(self, name: str, rules: Path, settings: Mapping[str, object], log: Path) -> None:
        self.name = name
        self.log = log
        self.process = LAUNCHER.start(["worker", "--rules", str(rules)], environment(settings), log)
        self._watcher = die_with_parent(self.process.pid)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def text(self) -> str:
        """All it has written so far."""
        return self.log.read_text(errors="replace")

    def owned(self) -> frozenset[int]:
        """The partitions of its last take-over, by its own words."""
        found = _OWNED.findall(self.text())
        return frozenset(map(int, found[-1].replace(",", " ").split())) if found else frozenset()

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Waits until it has written this."""
        wait_until(
            lambda: text in self.text() or not self.running, lambda: f"{self.name} writes {text!r}: {self}", seconds
        )
        assert text in self.text(), f"{self.name} ended without writing {text!r}: {self}"

    def wait_for_partitions(self, count: int | None = None) -> None:
        """Waits until it has taken over this many partitions (at least one where it is not said)."""

        def owns() -> bool:
            assert self.running, f"{self.name} ended: {self}"
            return len(self.owned()) == count if count is not None else bool(self.owned())

        wait_until(owns, lambda: f"{self.name} owns {count or 'some'} partitions: {self}")

    def terminate(self, seconds: float = 20.0) -> float:
        """SIGTERM; how many seconds the end took. The exit code is in ``process.returncode``."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(seconds)
        took = time.monotonic() - began
        self._forget()
        return took

    def wait(self, seconds: float = 60.0) -> int:
        """Waits for its end; the exit code."""
        code = self.process.wait(seconds)
        self._forget()
        return code

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        if self.running:
            self.process.kill()
        self.process.wait()
        self._forget()

    def pause(self) -> None:
        """SIGSTOP, and waits until the kernel has stopped it."""
        self.process.send_signal(signal.SIGSTOP)
        pause_is_complete(self.process.pid)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def _forget(self) -> None:
        self._watcher.kill()
        self._watcher.wait()
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()

    def __str__(self) -> str:
        state = "running" if self.running else f"ended with {self.process.returncode}"
        return f"{self.name} ({state}) wrote:\n{self.text()[-TAIL:]}"


def pause_is_complete(pid: int) -> None:
    """Waits until every thread of a process is stopped: the signal takes a moment to reach them."""

    def stopped() -> bool:
        states = [
            (task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()
        ]
        return all(state in "Tt" for state in states)

    wait_until(stopped, f"process {pid} is stopped", 10)
