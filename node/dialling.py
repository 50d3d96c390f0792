"""Which address of a far end is called: the next one whenever the last has been silent for too long.

Owns nothing that survives. The caller object stays the same while only its address changes, so a session goes on
over another road to the same node.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from node.link import Caller
from node.reactor import CallerShell, Node, ended
from node.url import Url, parse_url

SILENCE_S_MAX: Final = 30.0
"""An address that has not answered for so long gives way to the next, when there is another."""
PATIENCE_S: Final = {"udp": 12.0, "tcp": 12.0, "serial": 120.0, "modem": 120.0, "sbd": 900.0}
"""How long each kind of road may take to answer at first, for one who tries them in turn: dialling takes a minute."""


def patience_s(url: Url) -> float:
    """Return how long a road is tried before the next one is."""
    return PATIENCE_S[url.scheme]


def _silence_s(_: Url) -> float:
    return SILENCE_S_MAX


async def call_each(
    node: Node,
    caller: Callable[[], Caller],
    urls: Sequence[str],
    started: Callable[[CallerShell], None] = lambda shell: None,
    changed: Callable[[], None] = lambda: None,
    *,
    only: bool = True,
    patience: Callable[[Url], float] = _silence_s,
) -> None:
    """Call the far end at each of `urls`, for as long as it answers there. Raises what the node's own disk raises.

    `only`: there is no other far end, so with one address it is called for ever. `started` gets each new shell.
    `patience`: how long an address may take until it answers for the first time, seconds.
    """
    for url in map(parse_url, urls):
        shell = CallerShell(node, url, changed)
        started(shell)
        running = asyncio.ensure_future(shell.run())
        try:
            await _until_silent(caller, running, patience(url), lonely=only and len(urls) == 1)
        finally:
            await ended(running)


async def _until_silent(
    caller: Callable[[], Caller], running: "asyncio.Future[None]", first_s: float, *, lonely: bool
) -> None:
    loop = asyncio.get_running_loop()
    since = loop.time()
    while True:
        done, _ = await asyncio.wait({running}, timeout=min(1.0, first_s / 4))
        if done:
            running.result()
        heard = caller().last_heard or since
        limit = SILENCE_S_MAX if heard > since else first_s
        if not lonely and loop.time() - max(since, heard) > limit:
            return
