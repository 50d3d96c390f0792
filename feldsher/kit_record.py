"""`feldsher kit record`: what passes on a line, kept as a recording with its name card, for whoever writes a driver.

Without a driver it only listens: nothing is sent, so a device that waits for an answer says little. With one it is
`kit capture` that also records: what is acknowledged has been committed to the kit's own store, and nothing is lost.

The transcript is written piece by piece, the card before the first of them, so a recording that breaks off is one all
the same. A recording holds what the device said, patients' names and results included: nothing is taken out, because
what would have to go is known only to who can read the protocol. Both files can be read by their owner alone.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from feldsher import kit_devices
from wire.errors import UsageError

if TYPE_CHECKING:
    from edge.driver import Line
    from edge.ports import PortOwner, Recorder

WARNING: Final = "it may hold patients' data: nothing is taken out. Keep it as you would keep results"
NOT_TOLD: Final = "not told"
PARITIES: Final = ("N", "E", "O")
ASKED: Final = {"device": "what device is it (maker, model)", "firmware": "its firmware, as it shows it"}


def configure(subparsers: Any) -> None:  # noqa: ANN401  argparse's own class has no public name
    """Add `record`."""
    parser = subparsers.add_parser(
        "record",
        help="record what a device says, with a name card",
        description="Writes NAME.txt, the transcript of a serial line, and NAME.toml, its name card. Without --driver "
        "nothing is sent. Ctrl-C ends it. A recording may hold patients' data; nothing is taken out.",
        epilog="example: feldsher kit record /dev/ttyUSB0 --into scale-first-try --device 'A&D UC-321' --firmware 1.2",
    )
    parser.add_argument("port", metavar="PORT", help="the serial line, or tcp-listen://…, tcp://…")
    parser.add_argument("--into", type=Path, metavar="NAME", help="files NAME.txt and NAME.toml (default: by the date)")
    parser.add_argument("--device", default="", help="maker and model; asked for when left out")
    parser.add_argument("--firmware", default="", help="asked for when left out")
    parser.add_argument("--what", default="", help="what was done at the device; asked for at the end when left out")
    parser.add_argument("--seconds", type=float, default=0.0, help="end after so long")
    parser.add_argument("--driver", default="", help="let this driver answer; then --data is wanted, too")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the driver")
    parser.add_argument("--data", type=Path, help="with --driver: the kit's data folder, where studies are kept")
    parser.add_argument("--baud", type=int, default=0, help="default: the driver's, or 9600")
    parser.add_argument("--data-bits", type=int, choices=(7, 8), default=0)
    parser.add_argument("--parity", choices=PARITIES, default="")
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), default=0)
    parser.set_defaults(run=run, count=0, json=False)


def run(args: argparse.Namespace) -> int:
    """Record until interrupted."""
    from edge import registry
    from edge.driver import Line
    from edge.ports import Recorder, try_open
    from node.enrolment import load_kit

    if bool(args.driver) != bool(args.data):
        raise UsageError("--driver and --data belong together: what a device is told is kept must be kept")
    facts = registry.find(args.driver).FACTS if args.driver else None
    line = line_of(args, facts.lines[0] if facts else Line())
    options = kit_devices.read_options(args.option, facts) if facts else {}
    stem = args.into or Path(f"recording-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    card = {
        "driver": args.driver,
        "options": options,
        "device": args.device or _asked("device"),
        "firmware": args.firmware or _asked("firmware"),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "what": args.what or NOT_TOLD,
    }
    try_open(args.port, line)
    if args.driver:
        # Before the files are made: a wrong option or a missing kit leaves no empty recording of that name behind.
        registry.create(args.driver, options)
        load_kit(args.data / kit_devices.ENROLMENT)
    comments = [f"{line}, {args.port}; {WARNING}"]
    with ExitStack() as held:
        _write_card(stem, card, comments, is_new=True)
        record = Recorder(held.enter_context(_transcript(Path(f"{stem}.txt"))))
        print(f"recording into {stem}.txt; Ctrl-C ends it; {WARNING}", file=sys.stderr)
        if args.driver:
            kit_devices.capture(args, line, record)
        else:
            _listen(args, line, record)
    if not args.what:
        card["what"] = _asked("what") if sys.stdin.isatty() else NOT_TOLD
        _write_card(stem, card, comments, is_new=False)
    full = (
        f"; it took no more ({record.fault or 'its limit'}), and what came later is not in it" if record.is_full else ""
    )
    print(f"{stem}.txt: {record.bytes_count} bytes, {stem}.toml its card{full}")
    return 0


def line_of(args: argparse.Namespace, usual: "Line") -> "Line":
    """Return the settings of the line: those that were given, the rest as usual."""
    given = {name: getattr(args, name) for name in ("baud", "data_bits", "parity", "stop_bits")}
    return replace(usual, **{name: value for name, value in given.items() if value})


def _listen(args: argparse.Namespace, line: "Line", record: "Recorder") -> None:
    from edge.ports import PortOwner
    from node.clock import SystemClock

    clock = SystemClock()
    with kit_devices.Awake() as awake:
        until = clock.now() + args.seconds if args.seconds else None
        owner = PortOwner("line", args.port, line, clock, awake.wake, record)
        owner.start()
        try:
            while not awake.is_stopped and not record.is_full and (until is None or clock.now() < until):
                _tell(owner)
                awake.wait(until, clock.now())
        finally:
            owner.stop()
            _tell(owner)


def _tell(owner: "PortOwner") -> None:
    """Say what becomes of the port; what is heard is in the transcript."""
    from edge.ports import Appeared, Dropped, Vanished

    for item in owner.take():
        if isinstance(item, Vanished):
            print(f"port: {item.reason}", file=sys.stderr)
        elif isinstance(item, Appeared):
            print(f"port: {item.device} is open", file=sys.stderr)
        elif isinstance(item, Dropped):
            print(f"port: {item.bytes_count} bytes came too fast to be counted; they are recorded", file=sys.stderr)


def _asked(name: str) -> str:
    """Ask the person at the terminal. Raises UsageError when nobody is there."""
    question = ASKED.get(name, "what was done, and what happened on the line")
    if not sys.stdin.isatty():
        raise UsageError(f"--{name} is missing, and nobody can be asked: {question}?")
    print(f"{question}? ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or NOT_TOLD


def _new(path: Path) -> IO[str]:
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def _transcript(path: Path) -> Iterator[IO[str]]:
    """A file that the disk does not take any more was told to be full; closing it says so once more."""
    file = _new(path)
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


def _write_card(stem: Path, card: dict[str, Any], comments: list[str], *, is_new: bool) -> None:
    from edge.recording import card_text

    text, path = card_text(card, comments), Path(f"{stem}.toml")
    beside = path if is_new else Path(f"{stem}.toml.new")
    with _new(beside) as file:
        file.write(text)
    if not is_new:
        beside.replace(path)
