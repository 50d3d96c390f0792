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


def release(host: str = HOST, port: int = PORT) -> str:
    """Return the release of the gpsd that answers there; "" when none does."""
    greeting = b""
    with contextlib.suppress(OSError), socket.create_connection((host, port), PATIENCE_S) as line:
        while b"\n" not in greeting and len(greeting) < GREETING_SIZE_MAX:
            piece = line.recv(GREETING_SIZE_MAX)
            if not piece:
                break
            greeting += piece
    try:
        said = json.loads(greeting.partition(b"\n")[0])
    except ValueError:
        return ""
    is_gpsd = isinstance(said, dict) and said.get("class") == "VERSION"
    return str(said.get("release", "of unknown release"))[:40] if is_gpsd else ""


def fragment(name: str, found: str, host: str = HOST, port: int = PORT) -> str:
    """Return what kit.toml should say, when that gpsd was found."""
    return (
        f"# gpsd {found} runs here and has the GPS\n"
        f'[[port]]\nname = "{name}"\npath = "tcp://{host}:{port}"\ndriver = "nmea"\n\n[port.options]\ngpsd = true\n'
    )
