"""Which address of a far end is called: the next one whenever the last has been silent for too long.

Owns nothing that survives. The caller object stays the same while only its address changes, so a session goes on
over another road to the same node.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from node.link import Caller
from node.reactor import CallerShell, Node
from node.url import parse_url

SILENCE_S_MAX: Final = 30.0
"""An address that has not answered for so long gives way to the next, when there is another."""


async def call_each(
    node: Node,
    caller: Callable[[], Caller],
    urls: Sequence[str],
    started: Callable[[CallerShell], None] = lambda shell: None,
    changed: Callable[[], None] = lambda: None,
    *,
    only: bool = True,
) -> None:
    """Call the far end at each of `urls`, for as long as it answers there. Raises what the node's own disk raises.

    `only`: there is no other far end, so with one address it is called for ever. `started` gets each new shell.
    """
    for url in map(parse_url, urls):
        shell = CallerShell(node, url, changed)
        started(shell)
        running = asyncio.ensure_future(shell.run())
        try:
            await _until_silent(caller, running, lonely=only and len(urls) == 1)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def _until_silent(caller: Callable[[], Caller], running: "asyncio.Future[None]", *, lonely: bool) -> None:
    loop = asyncio.get_running_loop()
    since = loop.time()
    while True:
        done, _ = await asyncio.wait({running}, timeout=1.0)
        if done:
            running.result()
        if not lonely and loop.time() - max(since, caller().last_heard or since) > SILENCE_S_MAX:
            return
