"""Where to call or to listen, as people write it: one line of text for each way that a bearer can be had.

    udp://HOST:PORT   tcp://HOST:PORT                  IPv6 addresses in brackets
    tcp://HOST:PORT?framing=line                       a connection that stands for a serial line (RUDICS)
    serial:///dev/ttyUSB0?baud=19200                   a bare line; with dial=NUMBER or answer=yes a modem's call
    modem:///dev/ttyUSB2?apn=internet&to=udp://H:PORT  the sockets inside a modem
    sbd:///dev/ttyUSB0                                 Iridium SBD on a kit
    sbd://0.0.0.0:10800                                its far end on a gateway: DirectIP
    dir:///media/stick                                 a folder that is carried

Pure text: nothing is opened or looked up here. What a scheme's options mean is checked where it is used.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from wire.errors import UsageError

ADDRESSED: Final = frozenset({"udp", "tcp"})
"""Schemes that want a host and a port, and nothing else but what ADDRESSED_OPTIONS has."""
ADDRESSED_OPTIONS: Final = {"udp": frozenset[str](), "tcp": frozenset({"framing"})}
PLACED: Final = frozenset({"serial", "modem", "dir"})
"""Schemes that want the path of a device or a folder, and may have options."""
EITHER: Final = frozenset({"sbd"})
CARRIED: Final = "dir"
"""No road but a folder: `node/carrying.py`."""
SCHEMES: Final = ADDRESSED | PLACED | EITHER
OPTIONS_MAX: Final = 32
SECRET: Final = frozenset({"pin", "password"})
"""Options whose values are shown to nobody: an address is printed and logged."""
_SECRETS: Final = re.compile(rf"\b({'|'.join(sorted(SECRET))})=[^&#]*")


@dataclass(frozen=True)
class Url:
    """The parts. `host` and `port` are "" and 0 where there is a path, and `path` is "" where there are those."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)

    def __str__(self) -> str:
        """For people: without what is secret. `text` is for programs."""
        return self._written({name: "***" if name in SECRET else value for name, value in self.options.items()})

    @property
    def text(self) -> str:
        """The whole address, as `parse_url` reads it."""
        return self._written(self.options)

    def _written(self, options: Mapping[str, str]) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = f"{host}:{self.port}" if host else quote(self.path)
        return f"{self.scheme}://{place}{'?' if options else ''}{urlencode(options, safe=':/*')}"


def parse_url(text: str) -> Url:
    """Return the parts of `text`. Raises UsageError that says what is wrong with it."""
    shown = _SECRETS.sub(r"\1=***", text)
    example = "for example udp://10.77.0.2:7000, tcp://[2001:db8::1]:7000, serial:///dev/ttyUSB0 or dir:///media/stick"
    try:
        parts = urlsplit(text)
        port = parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query), max_num_fields=OPTIONS_MAX))
    except ValueError as error:
        raise UsageError(f"not an address: {shown!r} ({error}); {example}") from error
    if parts.scheme not in SCHEMES:
        known = ", ".join(sorted(SCHEMES))
        raise UsageError(f"not an address: {shown!r} has the scheme {parts.scheme!r}, want one of {known}; {example}")
    is_placed = parts.scheme in PLACED or (parts.scheme in EITHER and not parts.netloc)
    if is_placed:
        return _placed(shown, parts.scheme, parts.netloc, parts.path, options)
    if not parts.hostname or port is None or parts.path not in ("", "/") or parts.username:
        raise UsageError(f"not an address: {shown!r} needs a host and a port and nothing else; {example}")
    if not is_host(parts.hostname):
        raise UsageError(f"not an address: {shown!r}: no machine can have the name {parts.hostname!r}; {example}")
    if set(options) - ADDRESSED_OPTIONS.get(parts.scheme, set(options)):
        raise UsageError(f"not an address: {shown!r} needs a host and a port and no such options; {example}")
    return Url(parts.scheme, parts.hostname, port, "", options)


def is_host(text: str) -> bool:
    """Tell whether this may be the name or address of a machine: the resolver raises odd errors for what may not."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return text.isprintable()


def _placed(shown: str, scheme: str, netloc: str, path: str, options: dict[str, str]) -> Url:
    if netloc or not path.startswith("/") or path == "/":
        raise UsageError(
            f"not an address: {shown!r} needs an absolute path after three slashes; for example {scheme}:///…/name"
        )
    return Url(scheme, "", 0, unquote(path), options)
