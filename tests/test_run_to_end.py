"""What runs in a loop of its own leaves no connection to the collector."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from tests.support import run_to_end as support
from tests.support.run_to_end import run_to_end


@pytest.fixture
def port() -> Iterator[int]:
    """Of somebody who listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def _opened(port: int) -> asyncio.Transport:
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)
    return transport


def test_a_connection_that_is_closed_later_is_waited_for(port: int) -> None:
    """As one with TLS, whose end takes a word from the other side; also where the coroutine fails."""
    opened: list[asyncio.Transport] = []

    async def work() -> None:
        opened.append(await _opened(port))
        asyncio.get_running_loop().call_later(0.1, opened[0].close)
        raise ValueError("so")

    with pytest.raises(ValueError, match="so"):
        run_to_end(work())
    assert opened[0].get_extra_info("socket").fileno() == -1


def test_a_connection_that_stays_open_is_told(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end."""
    monkeypatch.setattr(support, "_CLOSED_S", 0.05)
    opened: list[asyncio.Transport] = []

    async def work() -> None:
        opened.append(await _opened(port))

    async def told_and_closed() -> None:
        with pytest.raises(AssertionError, match="left open"):
            await support._and_closed(work())
        opened[0].abort()

    run_to_end(told_and_closed())
