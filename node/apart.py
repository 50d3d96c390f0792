"""Calls that may hang, made apart from the loop: by one thread, one after the other.

A disk that breaks can hold a call for as long as the kernel tries, half a minute and more, and no call to a file takes
a time limit. What must go on meanwhile (devices, links, the watchdog) may not wait for it. `Apart` owns the thread, and
nothing else: the calls that it is given touch what nobody else touches while they are made. The thread outlives neither
the process nor holds up its end: what hangs then is left behind. Nothing survives.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from wire.errors import Misuse

CALLS_MAX: Final = 8
"""Calls that wait at once: one visitor has one call made at a time, and lets go of what it has left."""

Call = Callable[[], Any]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: a value, or what it raised."""

    value: Any = None
    error: Exception | None = None

    def bring(self, asking: Generator[_T, Any, Any]) -> _T:
        """Let a generator that yielded the call go on with what came of it; return what it yields next."""
        return asking.send(self.value) if self.error is None else asking.throw(self.error)


def attempt(call: Call) -> Outcome:
    """Make the call here and now."""
    try:
        return Outcome(call())
    except Exception as error:  # noqa: BLE001 - it is raised again where its outcome is brought
        return Outcome(error=error)


class Apart:
    """See the module's text. `name` is that of the thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.Queue[tuple[Call, Callable[[Outcome], object]]] = queue.Queue(CALLS_MAX)
        self._thread: threading.Thread | None = None

    async def make(self, call: Call) -> Outcome:
        """Have the call made, and return what came of it. A caller that is cancelled leaves it to its end.

        Raises Misuse when too many calls wait.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()

        def made(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        try:
            self._calls.put_nowait((call, lambda outcome: loop.call_soon_threadsafe(made, outcome)))
        except queue.Full:
            raise Misuse(f"{self._name}: {CALLS_MAX} calls wait already") from None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        return await future

    def _run(self) -> None:
        while True:
            call, tell = self._calls.get()
            outcome = attempt(call)
            try:
                tell(outcome)
            except RuntimeError:
                return  # the loop has ended, and nobody waits


__all__ = ["Apart", "Call", "Outcome", "attempt"]
