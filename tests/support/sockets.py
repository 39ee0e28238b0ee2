"""What lies in the kernel's TCP queues of this machine (Linux): how a test sees that nothing is on its way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTEN: Final = "0A"
"""The queues of a listening socket count connections, not bytes."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One end of a connection. ``unsent``: bytes its peer's kernel has not confirmed; ``unread``: not yet read here."""

    local_port: int
    remote_port: int
    unsent: int
    unread: int
    inode: int


def under_way_to(port: int) -> int:
    """How many bytes were written to the server on this port and not yet read by it.

    Bytes that its kernel has taken may still be confirmed some 40 ms late: they count until then.
    """
    return sum(
        (one.unread if one.local_port == port else 0) + (one.unsent if one.remote_port == port else 0)
        for one in _connections()
    )


def unread_by(pid: int) -> int:
    """How many bytes wait to be read by a process."""
    return sum(one.unread for one in _connections_of(pid))


def ports_spoken_to(pid: int) -> set[int]:
    """The remote ports of a process's connections."""
    return {one.remote_port for one in _connections_of(pid)}


def is_asleep(pid: int) -> bool:
    """Whether no thread of a process runs or wants to."""
    stats = ((task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir())
    return all(stat.rpartition(")")[2].split()[0] == "S" for stat in stats)


def _connections_of(pid: int) -> list[Connection]:
    links = (_target(link) for link in Path(f"/proc/{pid}/fd").iterdir())
    inodes = {int(link[len("socket:[") : -1]) for link in links if link.startswith("socket:[")}
    return [one for one in _connections() if one.inode in inodes]


def _connections() -> Iterator[Connection]:
    for table in _TABLES:
        if not table.exists():  # a kernel without IPv6
            continue
        for line in table.read_text().splitlines()[1:]:
            _, local, remote, state, queues, _, _, _, _, inode, *_ = line.split()
            if state != _LISTEN:
                unsent, unread = (int(count, 16) for count in queues.split(":"))
                yield Connection(_port(local), _port(remote), unsent, unread, int(inode))


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""
