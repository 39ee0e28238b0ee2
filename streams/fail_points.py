"""Places in a batch at which a worker kills itself: for the tests of faults, and for nothing else.

``BANK_TRIGGERS_FAIL_POINT=after_publish:7`` ends the worker with SIGKILL the seventh time that it comes to this place,
counted over all of its partitions:

- ``mid_evaluation``: a record (or a key whose timers are due) is about to be evaluated; nothing of its batch is
  published.
- ``mid_publish``: the journal entry of a batch is acknowledged, and none of its messages is sent.
- ``after_publish``: all messages of a batch are acknowledged, and nothing of it is committed.
- ``after_commit``: a batch is committed, and its records are not acknowledged to Kafka.

A worker without the setting never comes here: its parts are changed once, at its start, or not at all, and no batch
asks. The settings refuse it where Kafka or the store is not on this machine, which in production they are not.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

if TYPE_CHECKING:
    from streams.partition import Services

log = logging.getLogger(__name__)

Place = Literal["mid_evaluation", "mid_publish", "after_publish", "after_commit"]
_PLACES: Final[dict[str, Place]] = {place: place for place in get_args(Place)}
_HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class FailPoint:
    """A place, and the how many-th time there is the last."""

    place: Place
    count: int

    def __str__(self) -> str:
        return f"{self.place}:{self.count}"


def read_fail_point(value: Any) -> FailPoint | None:
    """Reads ``place:count``. Raises ``ValueError`` with what is expected."""
    if value is None or isinstance(value, FailPoint):
        return value
    place, _, count = str(value).partition(":")
    if place not in _PLACES or not count.isdecimal() or int(count) == 0:
        raise ValueError(f"expected one of {', '.join(_PLACES)} with a count from 1, such as after_publish:7")
    return FailPoint(_PLACES[place], int(count))


def elsewhere(hosts: Iterable[str]) -> list[str]:
    """Those that are not this machine."""
    return [host for host in hosts if host not in _HERE]


def arm(services: Services, point: FailPoint) -> None:
    """Puts the fail point into the parts of a worker that has not begun."""
    log.warning("fail point %s is set: this worker is going to kill itself", point)
    left = point.count

    def pass_by() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            log.warning("fail point %s is reached", point)
            os.kill(os.getpid(), signal.SIGKILL)

    match point.place:
        case "mid_evaluation":
            for stage in map(services.routes.stage, services.routes.stages):
                for method in ("process", "run_timers"):
                    setattr(stage, method, _before(pass_by, getattr(stage, method)))
        case "mid_publish":
            services.publisher.publish = _amid_batch(services.publisher.publish, pass_by)  # type: ignore[method-assign]
        case "after_publish":
            services.publisher.publish = _after_batch(services.publisher.publish, pass_by)  # type: ignore[method-assign]
        case "after_commit":
            services.store.commit = _after(services.store.commit, pass_by)  # type: ignore[method-assign]


def _before(act: Callable[[], None], method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        act()
        return method(*args)

    return call


def _amid_batch(publish: Callable[..., Awaitable[None]], act: Callable[[], None]) -> Callable[..., Any]:
    async def call(partition: int, messages: Any, *, first: Any = None) -> None:
        if first is not None:  # a journal entry: it is a batch
            await publish(partition, [], first=first)
            act()
        await publish(partition, messages)

    return call


def _after_batch(publish: Callable[..., Awaitable[None]], act: Callable[[], None]) -> Callable[..., Any]:
    async def call(partition: int, messages: Any, *, first: Any = None) -> None:
        await publish(partition, messages, first=first)
        if first is not None:  # a journal entry: it is a batch
            act()

    return call


def _after(method: Callable[..., Awaitable[Any]], act: Callable[[], None]) -> Callable[..., Any]:
    async def call(*args: Any) -> Any:
        result = await method(*args)
        act()
        return result

    return call
