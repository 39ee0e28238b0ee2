"""What end-to-end tests see of the kernel's queues is really there."""

from __future__ import annotations

import os
import socket

from tests.support.sockets import under_way_to, unread_by
from tests.support.worker_process import wait_until


def test_bytes_are_under_way_until_they_are_read() -> None:
    """Written and not read: they count, for the server's port and its process; read: they do not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as server:
            assert under_way_to(port) == 0
            before = unread_by(os.getpid())
            client.sendall(b"x" * 1_000)
            assert under_way_to(port) >= 1_000
            wait_until(lambda: unread_by(os.getpid()) == before + 1_000, "the bytes wait to be read", 5)
            server.recv(400)
            assert under_way_to(port) >= 600
            server.recv(1_000)
            wait_until(lambda: under_way_to(port) == 0, "nothing is under way", 5)


def test_what_does_not_fit_the_receiver_is_under_way_too() -> None:
    """More than the server's kernel takes: the rest waits on the sender's side and counts as well."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as server:
            client.setblocking(False)
            sent = 0
            while True:
                try:
                    sent += client.send(b"x" * 65_536)
                except BlockingIOError:
                    break
            assert under_way_to(port) >= sent
            read = 0
            while read < sent:
                read += len(server.recv(1_000_000))
            wait_until(lambda: under_way_to(port) == 0, "nothing is under way", 5)
