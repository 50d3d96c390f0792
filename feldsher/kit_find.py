"""`feldsher kit devices --listen`, `--ask`, `--propose`: who is on which port, and what kit.toml should say.

What may be opened is decided here and in `edge.usb_ids`: no port that anybody holds, no line of the kit's ways, nothing
whose USB id is not known as an adapter or a device of ours. A port that a person has named, by `--port` or in the kit's
configuration, is opened whatever it is, unless it is held.

A port is opened once and its settings are changed on the open line, so that DTR and RTS, which the kernel raises when a
line is opened, do not toggle with each of them; they stay up afterwards (HUPCL is taken off). Nothing is sent but, with
`--ask`, the questions that drivers declare as reading only (`edge.signs`), each at its driver's own settings, and only
on a line that was silent for `SILENCE_S`: who waits for the answer to a result has given up by then, and says it again.
Nothing is written to the kit; a crash leaves nothing behind.

May call `edge.finding`, `edge.ports`, `node.line_faults`.
"""

import argparse
import contextlib
import json
import termios
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from feldsher import gpsd_socket
from wire.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from edge.driver import Line
    from edge.finding import Guess, Piece
    from edge.ports import SerialLine
    from node.clock import Clock

LISTEN_S: Final = 3.0
LISTEN_S_MAX: Final = 600.0
SILENCE_S: Final = 20.0
"""The longest that a device waits for ACK is 15 s (LIS01-A2 6.5.2.3)."""
SETTINGS_SHOWN_MAX: Final = 3
ANSWER_S: Final = 1.0
"""So long an answer may take to begin."""
END_S: Final = 0.3
"""Silence after which it is over."""
HEARD_SIZE_MAX: Final = 65_536
"""Bytes that are kept of one setting."""
RUNNING_S: Final = 10.0
"""A kit that wrote its status within this time runs."""
HUPCL_FLAG: Final = 2
"""Place of c_cflag in what tcgetattr returns."""
LINE_SCHEMES: Final = frozenset(("modem", "sbd", "serial"))
CONFIG: Final = "kit.toml"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes `kit devices` listen."""
    parser.add_argument(
        "--listen",
        type=float,
        nargs="?",
        const=LISTEN_S,
        metavar="SECONDS",
        help=f"listen on each free port at the drivers' settings, SECONDS at each ({LISTEN_S:g}); nothing is sent",
    )
    parser.add_argument("--ask", action="store_true", help="listen, and ask silent devices what only reads")
    parser.add_argument("--propose", action="store_true", help="listen, and print what kit.toml should say")
    parser.add_argument(
        "--port", action="append", default=[], metavar="PATH", help="only this line (again for more), whatever it is"
    )


def is_wanted(args: argparse.Namespace) -> bool:
    """Return whether any of that was asked for."""
    return args.listen is not None or args.ask or args.propose or bool(args.port)


@dataclass(slots=True)
class Found:
    """What became of one port. `closed`: why it was not opened."""

    path: str
    closed: str = ""
    guess: "Guess | None" = None
    would: str = ""
    heard: dict[str, int] = field(default_factory=dict)
    """Bytes by setting."""
    asked: list[str] = field(default_factory=list)
    answer_to: str = ""

    def to_map(self) -> dict[str, Any]:
        """Return it for --json."""
        guess = self.guess
        return {
            "closed": self.closed,
            "driver": guess.driver if guess else "",
            "line": str(guess.line) if guess else "",
            "confidence": guess.confidence if guess else "",
            "why": guess.why if guess else "",
            "would": self.would,
            "heard": self.heard,
            "asked": self.asked,
            "answer_to": self.answer_to,
        }


def run(args: argparse.Namespace, rows: Sequence[Mapping[str, Any]], configured: Mapping[str, tuple[str, str]]) -> int:
    """Listen, and show what was found."""
    found = find(args, rows)
    text = proposal([*found.values()], configured, "" if args.port else gpsd_socket.release()) if args.propose else ""
    if args.json:
        by_path = {row["path"]: row for row in rows}
        shown = [{**by_path.get(path, {"path": path}), **one.to_map()} for path, one in found.items()]
        print(json.dumps({"ports": shown, "proposal": text}, indent=1))
    elif args.propose:
        print(text or "# no serial port is there")
    else:
        for path, one in found.items():
            print("\n    ".join([path, *lines_of(one)]))
        if not found:
            print("no serial port is there")
    return 0


def find(args: argparse.Namespace, rows: Sequence[Mapping[str, Any]]) -> dict[str, Found]:
    """Listen, all ports at once; return what was found, by path. Raises UsageError."""
    from node.clock import SystemClock

    seconds = LISTEN_S if args.listen is None else args.listen
    if not 0 < seconds <= LISTEN_S_MAX:
        raise UsageError(f"--listen {seconds:g}: more than 0 seconds, and at most {LISTEN_S_MAX:g}")
    held = _held_by_the_kit(args.data)
    named = [{"path": path, "device": str(Path(path).resolve())} for path in args.port]
    found = {row["path"]: Found(row["path"], _why_not(row, held, is_named=bool(named))) for row in named or rows}
    threads = [
        threading.Thread(target=_look, args=(one, seconds, args.ask, SystemClock()), daemon=True)
        for one in found.values()
        if not one.closed
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _held_by_the_kit(data: Path | None) -> dict[str, str]:
    """Return by device why a line of this kit is left alone: a running kit's ports, and the lines of its ways."""
    from edge import config
    from node.daemon import read_status
    from node.url import parse_url

    held: dict[str, str] = {}
    if data is None or not (data / CONFIG).exists():
        return held
    kit = config.load(data / CONFIG)
    for way in kit.way:
        path = parse_url(way.url).path if way.url.partition(":")[0] in LINE_SCHEMES else ""
        if path:
            held[str(Path(path).resolve())] = f"it is the line of way {way.name!r}"
    status = read_status(data)
    running = status.get("ports", {}) if status and status["age_s"] < RUNNING_S else {}
    for port in kit.port:
        if running.get(port.name):
            held[str(Path(port.path).resolve())] = f"the running kit has it (port {port.name!r})"
    return held


def _why_not(row: Mapping[str, Any], held: Mapping[str, str], *, is_named: bool) -> str:
    """Return why a port is not opened; "" when it may be."""
    from edge import usb_ids
    from edge.tcp_ports import is_tcp
    from node.line_faults import holder_of

    device = str(row["device"])
    if is_tcp(str(row["path"])):
        return "a TCP connection is listened to by the kit alone"
    if reason := held.get(device, ""):
        return reason
    if not Path(device).exists():
        return "there is no such port; is the device plugged in and switched on?"
    if holder := holder_of(device):
        return f"{holder} has it open"
    if is_named or row["driver"]:
        return ""  # a person has said that a device is there
    vid, _, pid = str(row["usb"]).partition(":")
    return usb_ids.why_not(int(vid, 16) if vid else None, int(pid, 16) if pid else None, str(row["description"]))


# One port


def _look(found: Found, seconds: float, asks: bool, clock: "Clock") -> None:
    """Listen on one port, and ask. What goes wrong is why it is closed."""
    from edge import finding
    from edge.ports import open_line

    lines = finding.settings()
    try:
        port = open_line(found.path, lines[0])
    except DeviceError as error:
        found.closed = str(error)
        return
    try:
        _stay_up(port)
        began = clock.now()
        for line in lines:
            if not _is_sure(found):
                _listen(found, port, line, seconds, clock)
        if asks and _is_silent(found, port, clock.now() - began, clock):
            _ask_all(found, port, clock)
    except (OSError, TypeError, termios.error) as error:  # pyserial's own error is an OSError
        found.closed = f"it vanished while it was listened to: {error}"
    finally:
        with contextlib.suppress(OSError, TypeError, termios.error):
            port.close()


def _is_silent(found: Found, port: "SerialLine", listened_s: float, clock: "Clock") -> bool:
    """Return whether nobody has spoken for `SILENCE_S`; wait for what is missing of it."""
    until = clock.now() + SILENCE_S - listened_s
    while not found.heard and clock.now() < until:
        if data := port.read(1):
            found.heard["while it was to be silent"] = len(data)
    return not found.heard


def _stay_up(port: "SerialLine") -> None:
    """Let closing not drop DTR and RTS: some devices take that for being switched off."""
    with contextlib.suppress(termios.error):
        settings = termios.tcgetattr(port)
        settings[HUPCL_FLAG] &= ~termios.HUPCL
        termios.tcsetattr(port, termios.TCSANOW, settings)


def _is_sure(found: Found) -> bool:
    from edge.finding import SURE

    return found.guess is not None and found.guess.confidence == SURE


def _listen(found: Found, port: "SerialLine", line: "Line", seconds: float, clock: "Clock") -> None:
    """Listen at one setting for so long, or until it is sure whose bytes these are."""
    from edge import finding

    port.tune(line)
    pieces: list[Piece] = []
    began, looked_size = clock.now(), 0
    while clock.now() - began < seconds:
        piece = port.read(1)
        piece += port.read(port.in_waiting) if piece else b""
        data = _keep(pieces, piece, clock.now() - began)
        if len(data) - looked_size > looked_size // 4:
            looked_size = len(data)
            if (guess := finding.judge(data, line)) is not None and guess.confidence == finding.SURE:
                break
    if data := b"".join(one for one, _ in pieces):
        found.heard[str(line)] = len(data)
        _conclude(found, finding.judge(data, line), pieces)


def _keep(pieces: "list[Piece]", piece: bytes, at: float) -> bytes:
    """Add what came; return all of it."""
    if piece and sum(len(one) for one, _ in pieces) < HEARD_SIZE_MAX:
        pieces.append((piece, at))
    return b"".join(one for one, _ in pieces)


def _conclude(found: Found, guess: "Guess | None", pieces: "Sequence[Piece]") -> None:
    from edge import finding

    if guess is None or (found.guess is not None and guess.confidence != finding.SURE):
        return
    found.guess, found.would = guess, finding.rehearse(guess.driver, pieces)


def _ask_all(found: Found, port: "SerialLine", clock: "Clock") -> None:
    """Put each driver's questions at its own settings, until somebody answers as it should."""
    from edge import registry
    from edge.finding import SURE, Guess

    for name in registry.names():
        signs = registry.signs(name)
        for line in registry.find(name).FACTS.lines if signs.asks else ():
            port.tune(line)
            for ask in signs.asks:
                if port.in_waiting:
                    found.heard[str(line)] = found.heard.get(str(line), 0) + len(port.read(port.in_waiting))
                    return  # somebody speaks after all: nobody is interrupted
                port.write(ask.data)
                found.asked.append(f"{name}: {ask.what} ({line})")
                data = _answer(port, clock)
                if signs.are_in(data) or ask.is_answer(data):
                    found.guess = Guess(name, line, SURE, f"it answered what {name} asks for: {ask.what}")
                    found.answer_to = ask.what
                    return


def _answer(port: "SerialLine", clock: "Clock") -> bytes:
    data, until = b"", clock.now() + ANSWER_S
    while clock.now() < until and len(data) < HEARD_SIZE_MAX:
        piece = port.read(1)
        if piece:
            data += piece + port.read(port.in_waiting)
            until = clock.now() + END_S
    return data


# For people


def lines_of(found: Found) -> list[str]:
    """Return what was found on a port, for people."""
    if found.closed:
        return [f"not opened: {found.closed}"]
    most = sorted(found.heard.items(), key=lambda one: -one[1])
    heard = ", ".join(f"{size} bytes at {line}" for line, size in most[:SETTINGS_SHOWN_MAX])
    heard += f", and at {len(most) - SETTINGS_SHOWN_MAX} more settings" if len(most) > SETTINGS_SHOWN_MAX else ""
    guess = found.guess
    if guess is None:
        again = (
            "let it send again, and listen for longer at each setting. A scanner (barcode) and what sends plain text "
            "(lines) cannot be told by their bytes: you know what is plugged in there"
        )
        nobody = (
            "nothing was heard" if not heard else f"somebody speaks, and no driver understood it ({heard}): {again}"
        )
        return [nobody + (f"; nobody answered {len(found.asked)} questions" if found.asked else "")]
    words = [f"{guess.confidence}: driver {guess.driver} at {guess.line}: {guess.why}"]
    return words + ([f"the driver would make of it {found.would}"] if found.would else [])


def proposal(found: Sequence[Found], configured: Mapping[str, tuple[str, str]], gpsd: str = "") -> str:
    """Return a fragment of kit.toml. What is not sure is commented out, and says why. `gpsd`: the one that runs."""
    names = {name for name, _ in configured.values()}
    parts = []
    for one in found:
        known = configured.get(one.path)
        if known is not None:
            parts.append(f"# {one.path} is port {known[0]!r} already, with driver {known[1]!r}: left as it is\n")
        else:
            parts.append(_fragment(one, names))
    if gpsd and not any(path.endswith(f":{gpsd_socket.PORT}") for path in configured):
        parts.append(gpsd_socket.fragment(_free("gps", names), gpsd))
    return "\n".join(parts)


def _free(name: str, names: set[str]) -> str:
    """Return the name, or with a number the first that is not taken; now it is."""
    free = next(one for one in (name, *(f"{name}-{at}" for at in range(2, 100))) if one not in names)
    names.add(free)
    return free


def _fragment(found: Found, names: set[str]) -> str:
    from edge import registry
    from edge.finding import SURE

    guess = found.guess
    if guess is None:
        return f"# {found.path}: {'; '.join(lines_of(found))}\n"
    name = _free(guess.driver, names)
    rows = ["[[port]]", f'name = "{name}"', f'path = "{found.path}"', f'driver = "{guess.driver}"']
    usual = registry.find(guess.driver).FACTS.lines[0]
    if guess.line != usual:
        rows += [f"baud = {guess.line.baud}", f'parity = "{guess.line.parity}"', f"data_bits = {guess.line.data_bits}"]
    if not found.path.startswith("/dev/serial/by-path/"):
        rows[2] += "   # no name by place: it may be another device tomorrow"
    is_sure = guess.confidence == SURE
    head = f"# {guess.confidence}: {guess.why}"
    return "\n".join([head, *(row if is_sure else f"# {row}" for row in rows)]) + "\n"
