"""Two ptys with a slow wire between them, in real time: what a null modem cable is to two serial ports."""

import asyncio
import contextlib
import os
import tty

STEP_S = 0.02
BITS = 10


class NullModem:
    """`paths` are the two ends. `rate` in bit/s; what is written while `is_cut` is lost."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        pairs = [os.openpty() for _ in range(2)]
        self._ours = [ours for ours, _ in pairs]
        self._theirs = [theirs for _, theirs in pairs]
        for ours, theirs in pairs:
            tty.setraw(theirs)
            os.set_blocking(ours, False)
        self.paths = [os.ttyname(theirs) for theirs in self._theirs]
        self.is_cut = False
        self.carried = [0, 0]

    async def run(self) -> None:
        size = max(int(self._rate / BITS * STEP_S), 1)
        while True:
            for way in range(2):
                with contextlib.suppress(BlockingIOError, OSError):
                    data = os.read(self._ours[way], size)
                    self.carried[way] += len(data)
                    if not self.is_cut:
                        os.write(self._ours[1 - way], data)
            await asyncio.sleep(STEP_S)

    def close(self) -> None:
        for fd in (*self._ours, *self._theirs):
            with contextlib.suppress(OSError):
                os.close(fd)
