"""A serial line with nothing but our other end on it: a null modem, a leased line, a radio modem that passes bytes.

It has the seam of a modem, so that the shell that owns serial lines drives it like one: opening the line is all that
a call takes. Either end may be there first; what is said to nobody is said again by the link. Nothing of it survives.
"""

from collections.abc import Callable

from node.modems.framed import BITS_OF_BYTE, FramedBearer
from node.modems.script import Controls
from node.modems.seam import Ears, ModemState, ModemStatus


class BareLine:
    """See the module's text. `name` is what to call it in messages, `baud` the speed of the line itself."""

    bearer_class = FramedBearer

    def __init__(
        self, ears: Ears, controls: Controls, name: str, baud: int, wake: Callable[[], None] = lambda: None
    ) -> None:
        self._ears, self._controls, self._name, self._baud, self._wake = ears, controls, name, baud, wake
        self._bearer: FramedBearer | None = None
        self._now = 0.0

    def open(self, now: float) -> None:
        self._now = now
        bytes_s = self._baud / BITS_OF_BYTE
        self._bearer = self.bearer_class(self._name, bytes_s, self._controls.unsent, sent=self._wake)
        self._ears.bearer_up(self._bearer, now)

    def lost(self, now: float) -> None:
        self._now = now
        bearer, self._bearer = self._bearer, None
        if bearer is not None:
            self._ears.bearer_down(bearer, now)

    def missing(self, now: float) -> None:
        """There is no supply in our hands."""

    def hang_up(self, now: float) -> None:
        self.lost(now)

    def feed(self, data: bytes, now: float) -> None:
        self.tick(now)
        bearer = self._bearer
        for frame in [] if bearer is None else bearer.feed(data):
            if self._bearer is bearer is not None:
                self._hear(bearer, frame, now)

    def _hear(self, bearer: FramedBearer, frame: bytes, now: float) -> None:
        self._ears.receive(bearer, frame, now)

    def tick(self, now: float) -> None:
        self._now = now
        if self._bearer is not None and self._bearer.tick(now):
            self._ears.tick(now)

    def deadline(self) -> float | None:
        return None if self._bearer is None else self._bearer.deadline()

    def output(self) -> bytes:
        return b"" if self._bearer is None else self._bearer.take(self._now)

    def status(self) -> ModemStatus:
        return ModemStatus(ModemState.OFF if self._bearer is None else ModemState.UP, "serial line")


__all__ = ["BareLine"]
