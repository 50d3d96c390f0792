"""A TCP connection whose bytes are those of a serial line: `tcp://HOST:PORT?framing=line`.

Iridium RUDICS gives each data call of a kit to its owner so (the call's bytes, a connection for each call, opened by
Iridium's gateway), and a terminal server (ser2net in raw mode) gives a modem or a leased line so. What comes is what
left the far UART, with its noise, so frames stand in it as on any line of bytes (`wire/framing.py`); and a connection
ends with its call, so that silence is no reason to end it (`is_stream`). Nothing survives.
"""

import asyncio
from typing import Final

from node.bearers import TcpBearer, TcpEnd
from node.modems.framed import MTU, OVERHEAD
from wire.framing import MARK, Deframer, enclose

IP_OVERHEAD: Final = 52


class LineTcpBearer(TcpBearer):
    """One connection, and so one call."""

    is_stream = False
    mtu = MTU
    overhead = OVERHEAD + IP_OVERHEAD

    def __init__(self, transport: asyncio.Transport, name: str) -> None:
        super().__init__(transport, name)
        self.deframer = Deframer()

    def send(self, frame: bytes) -> None:
        self._write(MARK + enclose(frame))


class LineTcpEnd(TcpEnd):
    """Either end of such a connection."""

    bearer_class = LineTcpBearer

    def data_received(self, data: bytes) -> None:
        bearer = self.bearer
        assert isinstance(bearer, LineTcpBearer)  # noqa: S101 - connection_made came first
        for frame in bearer.deframer.feed(data):
            self._receive(bearer, frame)


__all__ = ["LineTcpBearer", "LineTcpEnd"]
