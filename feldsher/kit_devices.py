"""`feldsher kit devices` and `feldsher kit capture`: what is plugged in, and one device tried in the foreground."""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

from feldsher import gpsd_socket, kit_find
from wire.errors import ConfigError, DiskError, UsageError

if TYPE_CHECKING:
    from edge.capture import Capture, Happened
    from edge.driver import Facts, Line
    from edge.ports import PortOwner, Recorder
    from edge.watched_ports import Ports
    from node.clock import Clock
    from node.enrolment import KitEnrolment
    from node.journal import Studies

BY_PATH: Final = Path("/dev/serial/by-path")
WAIT_S_MAX: Final = 0.5
ENROLMENT: Final = "enrolment.toml"
CONFIG: Final = "kit.toml"
LINE: Final = "line"
"""How the studies of `capture` call their port."""


def configure_devices(subparsers: Any) -> None:  # noqa: ANN401  argparse's own class has no public name
    """Add `devices`."""
    parser = subparsers.add_parser(
        "devices",
        help="serial ports, what is plugged into them, and the drivers that there are",
        description="Lists serial ports by where they are plugged in, with the configured driver, then all drivers. "
        "--listen says whose device speaks there, --ask puts questions that only read, --propose writes it as TOML.",
        epilog="example: feldsher kit devices --data /var/lib/feldsher --ask --propose",
    )
    parser.add_argument("--data", type=Path, help=f"data folder; its {CONFIG} says which driver is on which port")
    parser.add_argument("--json", action="store_true", help="for a program")
    kit_find.add_options(parser)
    parser.set_defaults(run=run_devices)


def configure_capture(subparsers: Any) -> None:  # noqa: ANN401  as above
    """Add `capture`."""
    parser = subparsers.add_parser(
        "capture",
        help="capture from one device in the foreground",
        description="Runs one driver on one port into a data folder; prints each closed study. Ctrl-C ends it. "
        "Another device than the driver's is noticed, and kept apart, as by a kit that runs.",
        epilog="example: feldsher kit capture --data D --port /dev/serial/by-path/… --driver astm --count 1",
    )
    parser.add_argument("--data", type=Path, required=True, help=f"data folder; its {ENROLMENT} has the keys")
    parser.add_argument("--port", required=True, metavar="PATH", help="the serial line")
    parser.add_argument("--driver", required=True, help="`feldsher kit devices` lists them")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the driver")
    parser.add_argument(
        "--baud", type=_baud, help="instead of the driver's first line setting; auto: the driver's settings are tried"
    )
    parser.add_argument("--count", type=int, default=0, help="end after so many studies")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write everything on the line to this transcript")
    parser.add_argument("--json", action="store_true", help="a JSON object for each study")
    parser.set_defaults(run=run_capture, seconds=0.0)


# devices


def run_devices(args: argparse.Namespace) -> int:
    """List ports and drivers."""
    known = _configured(args.data)
    ports = [*_plugged(known)]
    if kit_find.is_wanted(args):
        return kit_find.run(args, ports, known)
    drivers = [*_drivers()]
    if args.json:
        print(json.dumps({"ports": ports, "drivers": drivers}, indent=1))
        return 0
    for port in ports:
        print(f"{port['path']}")
        print(f"    {port['device']}  {port['usb'] or 'not USB'}  {port['description']}")
        print(f"    {'driver ' + port['driver'] + ' (' + port['name'] + ')' if port['driver'] else 'not configured'}")
    if not ports:
        print("no serial port is there")
    if gpsd := gpsd_socket.release():
        print(f"tcp://{gpsd_socket.HOST}:{gpsd_socket.PORT}")
        print(f"    gpsd {gpsd} has the GPS: driver nmea, option gpsd = true")
    print("\ndrivers:")
    for driver in drivers:
        print(f"    {driver['name']:<10}{driver['title']}{_usual(driver['lines'])}")
    return 0


def _usual(lines: Sequence[str]) -> str:
    return f" ({', '.join(lines[:2])})" if lines else ""


def _configured(data: Path | None) -> Mapping[str, tuple[str, str]]:
    """Return (name, driver) of each configured port, by path and by what the path stands for."""
    if data is None or not (data / CONFIG).exists():
        return {}
    from edge import config

    known: dict[str, tuple[str, str]] = {}
    for port in config.load(data / CONFIG).port:
        known[port.path] = (port.name, port.driver)
    return known


def _plugged(known: Mapping[str, tuple[str, str]]) -> Sequence[dict[str, str]]:
    """Return a row for each port of the machine, and for each configured one that is none of those."""
    from serial.tools import list_ports

    places = {str(link.resolve()): str(link) for link in sorted(BY_PATH.glob("*"))} if BY_PATH.is_dir() else {}
    found = {str(port.device): port for port in list_ports.comports()}
    others = [path for path in known if str(Path(path).resolve()) not in found and path not in found]
    rows = [_row(places.get(device, device), device, port, known) for device, port in found.items()]
    return rows + [_row(path, str(Path(path).resolve()), None, known) for path in others if known[path][0]]


def _row(
    path: str,
    device: str,
    port: Any,  # noqa: ANN401  pyserial's own class has no types
    known: Mapping[str, tuple[str, str]],
) -> dict[str, str]:
    same = (row for place, row in known.items() if place == path or str(Path(place).resolve()) == device)
    name, driver = next(same, ("", ""))
    usb = f"{port.vid:04x}:{port.pid:04x}" if port is not None and port.vid is not None else ""
    text = str(port.description) if port is not None else ("present" if Path(device).exists() else "missing")
    return {"path": path, "device": device, "usb": usb, "description": text, "name": name, "driver": driver}


def _drivers() -> Sequence[dict[str, Any]]:
    from edge import registry

    rows: list[dict[str, Any]] = []
    for name in registry.names():
        try:
            facts = registry.find(name).FACTS
        except ConfigError as error:
            unknown = {"version": "", "manual": "", "form": "", "lines": [], "options": []}
            rows.append({"name": name, "title": f"CANNOT BE USED: {error}", **unknown})
            continue
        options = [{"name": one.name, "default": one.default, "about": one.about} for one in facts.options]
        rows.append(
            {
                "name": name,
                "title": facts.title,
                "version": facts.version,
                "manual": facts.manual,
                "form": facts.form,
                "lines": [str(line) for line in facts.lines],
                "options": options,
            }
        )
    return rows


# capture


def run_capture(args: argparse.Namespace) -> int:
    """Capture until interrupted, or until `--count` studies are closed."""
    from edge import registry
    from edge.ports import Recorder

    usual = registry.find(args.driver).FACTS.lines[0]
    with ExitStack() as held:
        record = Recorder(held.enter_context(_transcript(args.record))) if args.record else None
        capture(args, replace(usual, baud=args.baud) if isinstance(args.baud, int) else usual, record)
    return 0


def _baud(text: str) -> int | str:
    """Return what --baud says. Raises ValueError, which argparse tells."""
    if text == "auto":
        return text
    if (baud := int(text)) <= 0:
        raise ValueError(text)
    return baud


def capture(args: argparse.Namespace, line: "Line", record: "Recorder | None") -> None:
    """Let `args.driver` speak on `args.port` into `args.data`; what passes goes to `record`, too."""
    from edge import registry
    from edge.capture import Capture
    from edge.config import AUTO, Port, check_auto
    from edge.machine_clock import machine_clock
    from edge.ports import PortOwner
    from edge.timekeeping import Timekeeping
    from edge.watched_ports import Ports
    from node.claim import claim
    from node.clock import SystemClock
    from node.enrolment import load_kit

    clock, kit, shown = SystemClock(), load_kit(args.data / ENROLMENT), _Shown(json_wanted=args.json)
    with ExitStack() as held:
        held.enter_context(claim(args.data))
        timekeeping = Timekeeping(clock, machine_clock)
        capture = Capture(_studies(args.data, clock, kit), clock, kit.name, shown.happened, timekeeping=timekeeping)
        facts = registry.find(args.driver).FACTS
        port = Port(LINE, args.port, args.driver, baud=AUTO if args.baud == AUTO else 0)
        if port.baud == AUTO:
            check_auto(port)
        capture.attach(LINE, args.driver, read_options(args.option, facts))
        ports = Ports([port], capture, None, shown.told)
        awake = held.enter_context(Awake())
        owner = PortOwner(LINE, args.port, ports.line(LINE) or line, clock, awake.wake, record)
        owner.start()
        until = clock.now() + args.seconds if args.seconds else float("inf")
        try:
            while not awake.is_stopped and clock.now() < until and not (args.count and shown.count >= args.count):
                _step(ports, owner, clock.now())
                _require_disk(capture)
                awake.wait(ports.deadline(), clock.now())
        finally:
            owner.stop()
            _step(ports, owner, clock.now())
            capture.stop(clock.now())
        _require_disk(capture)


def _require_disk(capture: "Capture") -> None:
    if capture.disk_failed:
        raise DiskError("the disk failed while a study was written; what was committed is recovered at the next start")


def _step(ports: "Ports", owner: "PortOwner", now: float) -> None:
    """Take what the port has, and let time pass."""
    from edge.ports import Appeared, Counted, Dropped, Heard, Tuned, Vanished

    for item in owner.take():
        match item:
            case Heard(data, at):
                owner.write(ports.heard(LINE, data, at), at)
            case Vanished(reason, at):
                print(f"port: {reason}", file=sys.stderr)
                ports.vanished(LINE, reason, at)
            case Appeared(device, at):
                print(f"port: {device} is open", file=sys.stderr)
                ports.appeared(LINE, device, at)
            case Dropped(count, at):
                ports.dropped(LINE, count, at)
            case Counted(errors, at):
                ports.counted(LINE, errors, at)
            case Tuned():
                ports.tuned(LINE)
        now = max(now, item.now)
    owner.write(ports.tick(now).get(LINE, b""))
    for _, line in ports.take_retunes():
        owner.retune(line)


def _studies(data: Path, clock: "Clock", kit: "KitEnrolment") -> "Studies":
    from node import entropy
    from node.disk import RealDisk
    from node.journal import Studies
    from node.spool import Spool

    disk = RealDisk(data)
    keys = kit.server_seal_public, kit.sign_secret
    studies = Studies(disk, clock, entropy.system, *keys, Spool(disk), kit=kit.name)
    studies.recover()
    return studies


def read_options(pairs: Sequence[str], facts: "Facts") -> dict[str, object]:
    """Return KEY=VALUE pairs, each as the type that the driver's option has."""
    kinds = {option.name: type(option.default) for option in facts.options}
    options: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--option {pair}: it must be KEY=VALUE")
        try:
            options[key] = kinds.get(key, str)(value)
        except ValueError as error:
            raise UsageError(f"--option {pair}: {error}") from error
    return options


def _transcript(path: Path) -> IO[str]:
    try:
        return path.open("x", encoding="ascii")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


class _Shown:
    """Prints what happens; counts the studies that were closed."""

    def __init__(self, *, json_wanted: bool) -> None:
        self._json_wanted = json_wanted
        self.count = 0

    def told(self, text: str, *, is_alarm: bool) -> None:
        """Print what the watch of the port has to say."""
        print(f"{'alarm' if is_alarm else 'port'}: {text}", file=sys.stderr)

    def happened(self, event: "Happened") -> None:
        """Print one event: closed studies on standard output, the rest on standard error."""
        if event.summary is None:
            print(f"{event.kind}: {event.text}", file=sys.stderr)
            return
        self.count += 1
        summary = {**event.summary, "study": event.study_id.hex()}
        if self._json_wanted:
            print(json.dumps(summary, ensure_ascii=False), flush=True)
        else:
            print("\n".join(_lines(summary)), flush=True)


def _lines(summary: Mapping[str, Any]) -> list[str]:
    marks = [name for name in ("qc", "partial", "patient_conflict") if summary[name]]
    head = f"{summary['form']} {summary['study']} of {summary['device']}, {summary['entries']} entries"
    patient = f"  patient {summary['patient'] or 'unknown'}{'; ' + ', '.join(marks) if marks else ''}"
    return [head, patient, *(f"  {name:<20} {value} {unit}" for name, value, unit in summary["headline"])]


class Awake:
    """Waits for a port, a deadline or a signal."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._before: dict[int, Any] = {}
        self.is_stopped = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wake(self) -> None:
        """There is something to take."""
        self._event.set()

    def wait(self, due: float | None, now: float) -> None:
        """Return when woken, at `due`, or after a moment."""
        self._event.wait(WAIT_S_MAX if due is None else min(max(0.0, due - now), WAIT_S_MAX))
        self._event.clear()

    def _stop(self, _number: int, _frame: object) -> None:
        self.is_stopped = True
        self._event.set()
