"""Real sockets for simulated modems: a modem on a pty reaches a real gateway on this machine, over TCP and UDP.

The same seam as `network.VirtualNetwork`, without blocking; `files` are the descriptors that a shell may wait on. Only
looking up a name blocks: give addresses.
"""

import errno
import fcntl
import socket
import struct
import termios
from collections.abc import Iterator
from typing import Final

from hardware.simulated.modems.network import TCP, Address, Listener, Socket

RECEIVE_SIZE: Final = 65_536
UNSENT_MAX: Final = 262_144
OUTQ_FORMAT: Final = struct.Struct("i")
POLL_S: Final = 0.05
"""How often a socket that connects, or has something unsent, is looked at."""
PENDING: Final = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})


class RealSocket:
    """One TCP or UDP socket."""

    def __init__(self, sock: socket.socket | None, kind: str, peer: Address, error: str = "") -> None:
        self.peer = peer
        self._socket, self._kind, self._error = sock, kind, error
        self._is_up = kind != TCP
        self._unsent = bytearray()
        self._is_closing = False
        self._is_drained = True
        """Whoever receives has had all; otherwise the descriptor would wake a shell again and again."""
        self._now = 0.0

    @classmethod
    def accepted(cls, sock: socket.socket, peer: Address) -> "RealSocket":
        """Return one that somebody else has opened."""
        one = cls(sock, TCP, peer)
        one._is_up = True
        return one

    @property
    def is_open(self) -> bool:
        self._look()
        return self._is_up and not self._error and not self._is_closing

    @property
    def error(self) -> str:
        self._look()
        return self._error or ("closed" if self._is_closing else "")

    @property
    def unacknowledged(self) -> int:
        """What the kernel has of it unacknowledged (SIOCOUTQ), and what it has not taken."""
        if self._socket is None or self._kind != TCP:
            return 0
        try:
            raw = fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0" * OUTQ_FORMAT.size)
        except OSError:
            return len(self._unsent)
        return int(OUTQ_FORMAT.unpack(raw)[0]) + len(self._unsent)

    def send(self, data: bytes, now: float) -> None:
        self._now = now
        if not self.is_open or self._socket is None:
            return
        if self._kind != TCP:
            self._try(data)
            return
        if len(self._unsent) + len(data) > UNSENT_MAX:
            self._end("closed")
            return
        self._unsent += data
        self._flush()

    def receive(self, now: float) -> bytes | None:
        self._now = now
        self._flush()
        if self._socket is None or not self._is_up or self._is_closing:
            return None
        try:
            data = self._socket.recv(RECEIVE_SIZE)
        except OSError as error:
            self._is_drained = True
            if error.errno not in PENDING and self._kind == TCP:
                self._end("reset")
            return None
        self._is_drained = False
        if not data and self._kind == TCP:
            self._end("closed")
            return None
        return data

    def close(self, now: float) -> None:
        """What is unsent still goes, as long as the shell lets it."""
        self._is_closing = True
        self._flush()

    def deadline(self) -> float | None:
        """A shell waits on the descriptors; only what they do not tell is looked at by time."""
        is_quiet = self._is_up and not self._unsent and self._is_drained
        return None if self._socket is None or is_quiet else self._now + POLL_S

    def fileno(self) -> int:
        can_wait = self._is_up and self._is_drained and not self._is_closing
        return self._socket.fileno() if self._socket is not None and can_wait else -1

    def tick(self, now: float) -> None:
        self._now = max(self._now, now)
        self._look()
        self._flush()

    @property
    def is_gone(self) -> bool:
        return self._socket is None

    def drop(self) -> None:
        """Close without a wait."""
        self._end("closed")

    def _look(self) -> None:
        """Has the connection come about?"""
        if self._is_up or self._socket is None:
            return
        code = self._socket.connect_ex(self.peer)
        if code in {0, errno.EISCONN}:
            self._is_up = True
        elif code not in PENDING:
            self._end("refused")

    def _flush(self) -> None:
        if self._socket is None or not self._is_up:
            return
        if self._unsent:
            del self._unsent[: self._try(bytes(self._unsent))]
        if self._is_closing and not self._unsent:
            self._end("closed")

    def _try(self, data: bytes) -> int:
        try:
            return self._socket.send(data) if self._socket is not None else 0
        except OSError as error:
            if error.errno not in PENDING and self._kind == TCP:
                self._end("reset")
            return 0

    def _end(self, why: str) -> None:
        self._error = self._error or why
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class RealNetwork:
    """Opens to whatever address it is asked for, or to `instead`."""

    def __init__(self, instead: Address | None = None) -> None:
        self._instead = instead
        self._sockets: list[RealSocket] = []
        self._listening: list[tuple[socket.socket, Listener]] = []

    def open(self, kind: str, host: str, port: int, now: float) -> Socket:
        host, port = self._instead or (host, port)
        found = self._found(host, port, kind)
        if found is None:
            return RealSocket(None, kind, (host, port), "unknown host" if host else "")
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == TCP else socket.SOCK_DGRAM)
        sock.setblocking(False)
        if kind != TCP:
            sock.connect(found)
        one = RealSocket(sock, kind, found)
        one.tick(now)
        self._sockets.append(one)
        return one

    def _found(self, host: str, port: int, kind: str) -> Address | None:
        try:
            rows = socket.getaddrinfo(host, port, socket.AF_INET) if host and port else []
        except (OSError, UnicodeError):
            return None
        return (str(rows[0][4][0]), port) if rows else None

    def listen(self, kind: str, host: str, port: int, listener: Listener) -> Address:
        sock = socket.create_server((host, port))
        sock.setblocking(False)
        self._listening.append((sock, listener))
        bound = sock.getsockname()
        return str(bound[0]), int(bound[1])

    def tick(self, now: float) -> None:
        for sock, listener in self._listening:
            while (one := _accept(sock)) is not None:
                self._sockets.append(one)
                listener.accepted(one, now)
        for one in self._sockets:
            one.tick(now)
        self._sockets = [one for one in self._sockets if not one.is_gone]

    def deadline(self) -> float | None:
        return min((at for one in self._sockets if (at := one.deadline()) is not None), default=None)

    @property
    def files(self) -> Iterator[int]:
        """What a shell may wait on."""
        yield from (sock.fileno() for sock, _ in self._listening)
        yield from (number for one in self._sockets if (number := one.fileno()) >= 0)

    def close(self) -> None:
        for sock, _ in self._listening:
            sock.close()
        for one in self._sockets:
            one.close(0.0)
            one.drop()
        self._sockets.clear()


def _accept(listening: socket.socket) -> RealSocket | None:
    try:
        sock, peer = listening.accept()
    except OSError:
        return None
    sock.setblocking(False)
    return RealSocket.accepted(sock, (str(peer[0]), int(peer[1])))
