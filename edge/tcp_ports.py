"""Lines that are TCP connections: an analyser on the van's network, or a box that puts a serial line on it.

    tcp-listen://192.168.7.1:6661                     the device calls us (HL7 analysers)
    tcp-listen://0.0.0.0:6661?from=192.168.7.20       and nobody else may
    tcp://192.168.7.30:4001                           we call it (a serial device server)

An opener and what it opens have the shape of a serial line (`edge.ports`), so the port's owner, the drivers and the
recordings know no difference. One device has one port; at most one connection is open on it.

A device whose cable was pulled leaves a connection that never ends, and calls again. So who calls from the same address
takes the place of the old connection; anybody else is hung up on while one is open. A connection without a sign of life
ends after a minute (keep-alive). Nothing is encrypted or proved here: these are the van's own cables. Do not listen on
an interface that faces anything else.
"""

import contextlib
import fcntl
import socket
import struct
import termios
import time
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from wire.errors import ConfigError, DeviceError

SCHEMES: Final = ("tcp", "tcp-listen")
CONNECT_S_MAX: Final = 3.0
ACCEPT_S: Final = 0.5
READ_S: Final = 0.2
LINGERS_MAX: Final = 5
"""So many reads after the device's last word its answer may still be written."""
WRITE_S_MAX: Final = 1.0
BACKLOG_MAX: Final = 4
KEEP_ALIVE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


class Connection:
    """One open connection, read and written like a serial line. Every failure is an OSError."""

    can_wait = True

    def __init__(self, opened: socket.socket, name: str, listener: "Listener | None" = None) -> None:
        self.device = name
        self._socket, self._listener = opened, listener
        self._lingers = LINGERS_MAX
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEP_ALIVE:
            opened.setsockopt(socket.IPPROTO_TCP, option, value)

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        (size,) = struct.unpack("i", fcntl.ioctl(self._socket, termios.FIONREAD, b"\0" * 4))
        return int(size)

    def read(self, size: int = 1) -> bytes:
        """Return at most `size` bytes, none when nothing comes for `READ_S`."""
        if size <= 0:
            return b""
        self._socket.settimeout(READ_S)
        try:
            data = self._socket.recv(size)
        except TimeoutError:
            if self._listener is not None:
                self._listener.look_for_another()
            return b""
        return data or self._linger()

    def _linger(self) -> bytes:
        """The device will say no more, but may listen: its answer waits for the disk. Then the connection ends."""
        if self._lingers == 0:
            raise ConnectionResetError("the device hung up")
        self._lingers -= 1
        if self._listener is not None:
            self._listener.look_for_another()
        time.sleep(READ_S)
        return b""

    def write(self, data: bytes) -> int:
        self._socket.settimeout(WRITE_S_MAX)
        self._socket.sendall(data)
        return len(data)

    def close(self) -> None:
        self._socket.close()


class Listener:
    """Opens what calls in. It is bound at the first call and stays so until `close`."""

    retry_s_max = 0.25
    """Each try waits by itself."""

    def __init__(self, host: str, port: int, only_from: str = "") -> None:
        self._address, self._only_from = (host, port), only_from
        self._socket: socket.socket | None = None
        self._next: tuple[socket.socket, str] | None = None
        self._peer = ""

    def __call__(self) -> Connection:
        """Return the next connection. Raises DeviceError when nobody calls for `ACCEPT_S`, or the address is taken."""
        opened, self._next = self._next or self._accept(ACCEPT_S), None
        if opened is None:
            raise DeviceError(f"{self._name}: the device has not called yet")
        self._peer = opened[1]
        return Connection(opened[0], f"{self._name} from {self._peer}", self)

    def look_for_another(self) -> None:
        """While one is open. Raises ConnectionResetError when the same device has called again."""
        another = self._accept(0.0)
        if another is None:
            return
        if another[1] != self._peer:
            another[0].close()
            return
        self._next = another
        raise ConnectionResetError("the device has called again")

    def close(self) -> None:
        for opened in (self._socket, self._next[0] if self._next is not None else None):
            if opened is not None:
                opened.close()
        self._socket = self._next = None

    def listen(self) -> int:
        """Listen now; return the port, another than was asked for when that was 0. Raises DeviceError."""
        return int(self._bound().getsockname()[1])

    @property
    def _name(self) -> str:
        return f"tcp-listen://{self._address[0]}:{self._address[1]}"

    def _bound(self) -> socket.socket:
        if self._socket is None:
            try:
                self._socket = socket.create_server(
                    self._address, family=_family(self._address[0]), backlog=BACKLOG_MAX
                )
            except OSError as error:
                raise DeviceError(f"{self._name}: cannot listen: {error.strerror or error}") from error
        return self._socket

    def _accept(self, wait_s: float) -> tuple[socket.socket, str] | None:
        """Return who calls; one that may not is hung up on."""
        listening = self._bound()
        listening.settimeout(wait_s)
        try:
            opened, peer = listening.accept()
        except (TimeoutError, BlockingIOError):
            return None
        except OSError as error:
            raise DeviceError(f"{self._name}: {error.strerror or error}") from error
        host = str(peer[0])
        if self._only_from and ip_address(host) != ip_address(self._only_from):
            opened.close()
            return None
        return opened, host


class Caller:
    """Opens a connection to a device that listens."""

    retry_s_max = 5.0

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    def __call__(self) -> Connection:
        """Raises DeviceError that says which and why."""
        name = f"tcp://{self._address[0]}:{self._address[1]}"
        try:
            return Connection(socket.create_connection(self._address, CONNECT_S_MAX), name)
        except OSError as error:
            raise DeviceError(f"{name}: {error.strerror or error}") from error

    def close(self) -> None:
        """Nothing is kept between calls."""


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_tcp(path: str) -> bool:
    """Return whether a port's path is an address and no device file."""
    return path.partition("://")[0] in SCHEMES


def opener_of(path: str) -> Listener | Caller:
    """Return the opener of an address. Raises ConfigError that says what is wrong with it."""
    example = "for example tcp-listen://192.168.7.1:6661?from=192.168.7.20 or tcp://192.168.7.30:4001"
    try:
        parts = urlsplit(path)
        host, port = parts.hostname or "", parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ConfigError(f"{path!r}: {error}; {example}") from error
    is_listener = parts.scheme == "tcp-listen"
    if not host or port is None or parts.path or set(options) - ({"from"} if is_listener else set()):
        raise ConfigError(f"{path!r}: want a host, a port and nothing else; {example}")
    if not is_listener:
        return Caller(host, port)
    for address in (host, *options.values()):
        with contextlib.suppress(ValueError):
            ip_address(address)
            continue
        raise ConfigError(f"{path!r}: {address!r} is no IP address; {example}")
    return Listener(host, port, options.get("from", ""))
