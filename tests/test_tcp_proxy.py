"""The proxy of the fault tests does to a connection what it says, and nothing else."""

from __future__ import annotations

import gc
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.tcp_proxy import TcpProxy
from tests.support.worker_process import wait_until

SOON_S = 5.0
"""For what must come."""
NEVER_S = 0.2
"""For what must not come: as long as nobody would need here."""


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.ends = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65_536):
                    self.got += data
                    connection.sendall(data)
            except OSError:
                pass
        self.ends += 1

    def close(self) -> None:
        # Closing alone does not wake who waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[TcpProxy]:
    with TcpProxy(echo.port) as proxy:
        yield proxy


def _connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=SOON_S)


def _ask(client: socket.socket, text: bytes) -> bytes:
    """What comes back, in full length."""
    client.sendall(text)
    found = b""
    while len(found) < len(text) and (part := client.recv(65_536)):
        found += part
    return found


def _is_silent(client: socket.socket) -> bool:
    client.settimeout(NEVER_S)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(SOON_S)
    return False  # a byte, or the end


def test_everything_passes_in_both_directions_and_so_does_the_end(proxy: TcpProxy, echo: Echo) -> None:
    """A megabyte comes back as it was sent; each side learns that the other has closed."""
    sent = bytes(range(256)) * 4_096
    with _connect(proxy) as client:
        answer = threading.Thread(target=client.sendall, args=(sent,))
        answer.start()
        found = bytearray()
        while len(found) < len(sent):
            found += client.recv(65_536)
        answer.join()
        assert found == sent
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    wait_until(lambda: echo.ends == 1 and proxy.connections == 0, "both sides are gone", SOON_S)


def test_slow_is_late_by_as_much_in_each_direction(proxy: TcpProxy) -> None:
    """An answer takes twice the latency; healed, it does not."""
    with _connect(proxy) as client:
        proxy.slow(latency_s=0.15)
        began = time.monotonic()
        assert _ask(client, b"late") == b"late"
        assert time.monotonic() - began >= 0.3
        proxy.slow(latency_s=60)
        client.sendall(b"healed")
        assert _is_silent(client)
        proxy.heal()
        assert client.recv(10) == b"healed"


def test_slow_lets_so_many_bytes_pass_in_a_second(proxy: TcpProxy) -> None:
    """What is more waits, and all of it arrives."""
    with _connect(proxy) as client:
        proxy.slow(bytes_per_second=1_000_000)
        began = time.monotonic()
        assert _ask(client, b"x" * 200_000) == b"x" * 200_000
        assert time.monotonic() - began >= 0.15


def test_cut_resets_what_is_open_and_refuses_what_is_new(proxy: TcpProxy, echo: Echo) -> None:
    """The client is told at once, and so is the server; healed, new connections work."""
    with _connect(proxy) as client:
        assert _ask(client, b"before") == b"before"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        wait_until(lambda: echo.ends == 1, "the server is told", SOON_S)
        # While it connects already, or only just after.
        with pytest.raises(ConnectionResetError), _connect(proxy) as refused:
            refused.recv(1)
        proxy.heal()
        with _connect(proxy) as again:
            assert _ask(again, b"after") == b"after"
    assert echo.got == b"beforeafter"


def test_reset_is_over_at_once(proxy: TcpProxy) -> None:
    """What is open is lost; who connects again is served without further ado."""
    with _connect(proxy) as client:
        assert _ask(client, b"before") == b"before"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with _connect(proxy) as again:
        assert _ask(again, b"after") == b"after"


def test_frozen_bytes_arrive_when_the_line_is_healed(proxy: TcpProxy, echo: Echo) -> None:
    """Nothing passes and nobody is told; then everything arrives, in order."""
    with _connect(proxy) as client:
        assert _ask(client, b"0") == b"0"
        proxy.freeze()
        client.sendall(b"1")
        client.sendall(b"2")
        assert _is_silent(client)
        assert echo.got == b"0"
        proxy.heal()
        assert client.recv(1) + client.recv(1) == b"12"


def test_half_open_connections_are_dead_for_ever_and_others_are_not(proxy: TcpProxy, echo: Echo) -> None:
    """What is sent is taken and never arrives, also after the line is healed; no side learns of the other's end."""
    with _connect(proxy) as before:
        assert _ask(before, b"a") == b"a"
        proxy.half_open()
        with _connect(proxy) as during:
            for client in (before, during):
                client.sendall(b"lost")
                assert _is_silent(client)
            proxy.heal()
            for client in (before, during):
                client.sendall(b"lost")
                assert _is_silent(client)
            with _connect(proxy) as after:
                assert _ask(after, b"b") == b"b"
    wait_until(lambda: echo.ends == 1, "the server learns of the end of the good one", SOON_S)
    assert not _changes(lambda: echo.ends), "the server was told of an end on a line that is dead"
    assert echo.got == b"ab"


def test_half_open_for_answers_alone_lets_requests_pass(proxy: TcpProxy, echo: Echo) -> None:
    """The server gets and does what it is asked; its answer is lost."""
    with _connect(proxy) as client:
        proxy.half_open(lost=frozenset({"to_client"}))
        client.sendall(b"done")
        wait_until(lambda: echo.got == b"done", "the request arrives", SOON_S)
        assert _is_silent(client)


def test_a_server_that_is_not_there_is_a_reset() -> None:
    """Who connects while nobody listens behind the proxy is told; it need not be made anew when the server comes."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with TcpProxy(port) as proxy:
        # Connecting itself may already meet the reset.
        with pytest.raises(ConnectionResetError), _connect(proxy) as client:
            client.recv(1)
        with socket.create_server(("127.0.0.1", port)) as listener, _connect(proxy) as client:
            server, _ = listener.accept()
            with server:
                server.sendall(b"hello")
                assert client.recv(10) == b"hello"


def test_an_end_while_clients_connect_leaves_nothing_open(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody closed would be found by the collector in whatever test comes then, and fail that one."""
    found: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: found.append(str(unraisable.exc_value)))
    for _ in range(5):
        proxy, ended = TcpProxy(echo.port), threading.Event()
        client = threading.Thread(target=_connect_again_and_again, args=(proxy.port, ended))
        client.start()
        wait_until(lambda proxy=proxy: proxy.connections > 0, "no connection", seconds=SOON_S)
        proxy.stop()
        ended.set()
        client.join()
        del proxy
        gc.collect()
    assert found == []


def _connect_again_and_again(port: int, ended: threading.Event) -> None:
    while not ended.is_set():
        with suppress(OSError):  # the proxy may have gone
            socket.create_connection(("127.0.0.1", port)).close()


def _changes(value: object) -> bool:
    """Whether what a function returns changes within the time in which nothing should."""
    assert callable(value)
    before, deadline = value(), time.monotonic() + NEVER_S
    while time.monotonic() < deadline:
        if value() != before:
            return True
        time.sleep(0.01)
    return False
