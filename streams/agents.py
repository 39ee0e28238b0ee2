"""One Faust agent per inbound topic; each hands its chunks to the partition's owner and acknowledges nothing itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from mode.supervisors import CrashingSupervisor

from schemas.topics import TOPIC
from streams.driver import Consumer, PassthroughSchema

if TYPE_CHECKING:
    import faust


def attach_agents(app: faust.App, topics: Sequence[str], prefix: str = "") -> None:
    """Adds an agent for each topic. ``topics`` are Kafka names; ``prefix`` is the part the registry does not know."""
    for topic in topics:
        # The name is pinned: Faust's own has the module path in it, and it shows in metrics and logs.
        app.agent(
            app.topic(topic, schema=PassthroughSchema()),
            name=agent_name(topic, prefix),
            supervisor_strategy=CrashingSupervisor,
        )(_reader(app))


def agent_name(topic: str, prefix: str = "") -> str:
    """``customer.transactions`` for ``bank.transactions``; a topic the registry does not know keeps its name."""
    name = topic.removeprefix(prefix)
    known = TOPIC.get(name)
    return f"{known.stage}.{name.removeprefix('bank.')}" if known is not None and known.stage else name


def _reader(app: faust.App) -> Callable[[Any], Awaitable[None]]:
    async def read(stream: Any) -> None:
        # Without `noack` Faust acknowledges the chunk as soon as the next is asked for, or when this raises.
        async for event in stream.noack().events():
            await cast(Consumer, app.consumer).hand_over(event.message)

    return read
