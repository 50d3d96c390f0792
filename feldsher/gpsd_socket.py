"""Is a gpsd running here? Then it has the GPS, and the kit takes place and time from its socket.

It connects, reads the greeting that gpsd gives unasked ("gpsd_json", VERSION), and hangs up. Nothing is sent.
"""

import contextlib
import json
import socket
from typing import Final

HOST, PORT = "127.0.0.1", 2947
"""gpsd(8): where it listens."""
PATIENCE_S: Final = 1.0
GREETING_SIZE_MAX: Final = 4_096
RELEASE_SIZE_MAX: Final = 40
PIECES_MAX: Final = 8
"""The greeting comes in one; who sends it drop by drop is no gpsd."""


def release(host: str = HOST, port: int = PORT) -> str:
    """Return the release of the gpsd that answers there; "" when none does."""
    greeting = b""
    with contextlib.suppress(OSError), socket.create_connection((host, port), PATIENCE_S) as line:
        for _ in range(PIECES_MAX):
            piece = line.recv(GREETING_SIZE_MAX)
            greeting += piece
            if not piece or b"\n" in greeting or len(greeting) >= GREETING_SIZE_MAX:
                break
    try:
        said = json.loads(greeting.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return ""
    is_gpsd = isinstance(said, dict) and said.get("class") == "VERSION"
    return _plain(str(said.get("release", "of unknown release"))) if is_gpsd else ""


def _plain(text: str) -> str:
    """Return a text that cannot end the comment of kit.toml in which it is to stand."""
    return "".join(one for one in text if one.isprintable())[:RELEASE_SIZE_MAX]


def fragment(name: str, found: str, host: str = HOST, port: int = PORT) -> str:
    """Return what kit.toml should say, when that gpsd was found."""
    return (
        f"# gpsd {found} runs here and has the GPS\n"
        f'[[port]]\nname = "{name}"\npath = "tcp://{host}:{port}"\ndriver = "nmea"\n\n[port.options]\ngpsd = true\n'
    )
