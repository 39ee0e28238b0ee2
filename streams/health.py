"""The worker's HTTP: whether it lives, whether it is ready, and its metrics. On loopback unless set otherwise.

It runs in the worker's own event loop: an answer is the proof that the loop ticks.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 2.0
"""How long one check of ``/ready`` may take: a probe's own limit is mostly a few seconds."""

Check = Callable[[], Awaitable[str | None]]
"""``None`` where all is well, else what is not, in one line without any secret."""


@asynccontextmanager
async def serve(
    host: str, port: int, live: Check, ready: Mapping[str, Check], registry: CollectorRegistry
) -> AsyncIterator[str]:
    """Serves ``/live``, ``/ready`` and ``/metrics``; yields the address. Port 0 takes a free one.

    ``/live`` answers 503 where the worker has failed: a supervisor may end it. ``/ready`` answers 503 where one of its
    checks does not hold; its body names each. Raises ``OSError`` where the address cannot be had.
    """

    async def tell_live(_: web.Request) -> web.Response:
        return _answer({"live": await live()})

    async def tell_ready(_: web.Request) -> web.Response:
        names = list(ready)
        found = await asyncio.gather(*(_limited(ready[name]) for name in names))
        return _answer(dict(zip(names, found, strict=True)))

    async def tell_metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/live", tell_live), web.get("/ready", tell_ready), web.get("/metrics", tell_metrics)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0]
        address = f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}"
        log.info("health and metrics at %s", address)
        yield address
    finally:
        await runner.cleanup()


async def _limited(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:.0f} s"


def _answer(found: Mapping[str, str | None]) -> web.Response:
    body = {name: "ok" if problem is None else problem for name, problem in found.items()}
    status = 200 if all(problem is None for problem in found.values()) else 503
    return web.Response(text=json.dumps(body) + "\n", status=status, content_type="application/json")
