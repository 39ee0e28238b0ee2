"""Commands of ``python -m streams`` that begin with everything imported: forked from one process that has done it.

A worker takes half its start, more than a second of a core, to import what it needs, and the tests start hundreds. What
a child runs is what ``python -m streams`` runs, from ``__main__`` on, in a process of its own with its own environment,
standard streams and end; only the imports are done. Where the environment may change those, and outside of pytest, a
command is started as a user would.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
_IMPORTED: Final = (
    "streams.cli",
    "streams.worker",
    "streams.commands.running",
    "streams.commands.events",
    "streams.commands.queues",
    "streams.commands.state",
    "streams.commands.topics",
    "streams.commands.dead_letters",
    "faust.transport.drivers.aiokafka",
    "faust.agents.agent",
    "faust.tables.manager",
    "faust.web.drivers.aiohttp",
)
_ANSWER_S: Final = 60.0


class Preloaded:
    """The process that commands are forked from, a child of this one. It ends with this one, however that ends."""

    def __init__(self) -> None:
        self._outside = _outside(os.environ)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.preloaded"],
            cwd=ROOT,
            env={**self._outside, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lock = threading.Lock()
        self._told = b""
        self._codes: dict[int, int] = {}
        """Exit codes of children that nobody has asked for yet."""
        self._started: list[int] = []

    def takes(self, env: Mapping[str, str]) -> bool:
        """Whether a command with this environment imports what was imported here."""
        return _outside(env) == self._outside

    def start(self, arguments: Sequence[str], env: Mapping[str, str], output: Path) -> Child:
        """Starts a command; all it writes goes to a file, which is emptied before."""
        # Whoever reads it at once finds it, empty.
        output.write_bytes(b"")
        request = {
            "arguments": list(arguments),
            "env": dict(env),
            "output": str(output),
            "interrupts": signal.getsignal(signal.SIGINT) is not signal.SIG_IGN,
        }
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            deadline = time.monotonic() + _ANSWER_S
            while not self._started:
                assert time.monotonic() < deadline, "the preloaded process does not answer"
                self._listen(1.0)
            return Child(self, self._started.pop())

    def close(self) -> None:
        """Ends it; commands that still run go on."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def code_of(self, pid: int) -> int | None:
        """The exit code of a child; ``None`` while it runs. Asked once after its end."""
        with self._lock:
            self._listen(0.0)
            return self._codes.pop(pid, None)

    def _listen(self, seconds: float) -> None:
        assert self._process.stdout is not None
        while select.select([self._process.stdout], [], [], seconds)[0]:
            read = os.read(self._process.stdout.fileno(), 65536)
            assert read, f"the preloaded process ended with {self._process.wait()}"
            *lines, self._told = (self._told + read).split(b"\n")
            for line in lines:
                pid, code = json.loads(line)
                if code is None:
                    self._started.append(pid)
                else:
                    self._codes[pid] = code
            seconds = 0.0


class Child:
    """A command, with what of ``subprocess.Popen`` tests ask for."""

    def __init__(self, parent: Preloaded, pid: int) -> None:
        self._parent = parent
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """As ``Popen.poll``."""
        if self.returncode is None:
            self.returncode = self._parent.code_of(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As ``Popen.wait``."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"command {self.pid}", timeout or 0.0)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """As ``Popen.send_signal``."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """As ``Popen.terminate``."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """As ``Popen.kill``."""
        self.send_signal(signal.SIGKILL)


def _outside(env: Mapping[str, str]) -> dict[str, str]:
    """The environment without what commands read when they run."""
    own = ("BANK_TRIGGERS_", "PYTEST_", "PYTHONUNBUFFERED")
    return {name: value for name, value in env.items() if not name.startswith(own)}


class _Forker:
    """The other side: forks for each line of its input, and says which child ended how."""

    def __init__(self) -> None:
        self._read = b""

    def serve(self) -> dict[str, Any]:
        """Returns in a child, with what was asked for; never in this process."""
        woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready, _, _ = select.select([0, woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            if 0 in ready:
                read = os.read(0, 65536)
                if not read:
                    os._exit(0)
                *lines, self._read = (self._read + read).split(b"\n")
                for line in lines:
                    pid = os.fork()
                    if pid == 0:
                        signal.set_wakeup_fd(-1)
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        os.close(woken)
                        os.close(wakes)
                        asked: dict[str, Any] = json.loads(line)
                        return asked
                    _tell(pid, None)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            _tell(pid, os.waitstatus_to_exitcode(status))


def _tell(pid: int, code: int | None) -> None:
    os.write(1, json.dumps([pid, code]).encode() + b"\n")


def _become(asked: Mapping[str, Any]) -> None:
    """Makes this process what a new one would be."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler if asked["interrupts"] else signal.SIG_IGN)
    sys.argv = ["streams", *asked["arguments"]]


class Launcher:
    """Starts commands; a preloaded process is made when the first is started, and only where pytest asked for one."""

    def __init__(self) -> None:
        self.enabled = False
        self._preloaded: Preloaded | None = None

    def start(self, arguments: Sequence[str], env: Mapping[str, str], output: Path) -> Child | subprocess.Popen[bytes]:
        """Starts ``python -m streams`` with these arguments; all it writes goes to a file."""
        if self.enabled:
            if self._preloaded is None:
                self._preloaded = Preloaded()
            if self._preloaded.takes(env):
                return self._preloaded.start(arguments, env, output)
        with output.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "streams", *arguments],
                cwd=ROOT,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def close(self) -> None:
        """Ends the preloaded process, if there is one."""
        if self._preloaded is not None:
            self._preloaded.close()
            self._preloaded = None


LAUNCHER: Final = Launcher()

if __name__ == "__main__":
    for module in _IMPORTED:
        importlib.import_module(module)
    _become(_Forker().serve())
    import runpy

    runpy.run_module("streams", run_name="__main__", alter_sys=True)
