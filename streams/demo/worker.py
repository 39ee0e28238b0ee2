"""The demo's worker: the real command in a process of its own, which does not outlive the demo."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from streams.settings import PREFIX

_STOP_S: Final = 10.0
_TAIL_LINES: Final = 12

# Runs in the child before the worker itself: asks the kernel for SIGKILL at the parent's end, which outlasts exec,
# and looks whether that end has come already. The kernel's "parent" is the thread that forked: the main thread.
_GUARD: Final = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(1, signal.SIGKILL, 0, 0, 0) != 0:
    raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has ended")
os.execv(sys.argv[2], sys.argv[2:])
"""


class WorkerProcess:
    """``bank-triggers worker`` with exactly the given settings. Start it from the main thread; it is stopped on exit.

    ``settings`` are names without their prefix. What it writes goes to ``log``.
    """

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        self._log = log
        # The settings of whoever runs the demo are for another worker.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment |= {PREFIX + name.upper(): value for name, value in settings.items()}
        guard = [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid())] if sys.platform == "linux" else []
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the command is put together here
                [*guard, sys.executable, "-m", "streams", "worker"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the demo alone, which then stops its worker in good order.
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; ``None`` while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """Asks the worker to finish its batches and end; kills it where it does not. Returns the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.wait()

    def kill(self) -> None:
        """Ends the worker and whatever it started, at once."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def log_tail(self) -> str:
        """The last lines that it wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "\n".join(lines[-_TAIL_LINES:])
