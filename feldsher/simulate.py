"""`feldsher simulate device`: a simulated diagnostic device on a pty or a real serial line, for training and tests.

`feldsher simulate modem` is in `simulate_modem.py`.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Final

from feldsher import simulate_modem
from feldsher.simulated_devices import KINDS, RESTING
from hardware.simulated import ptys
from hardware.simulated.device import Device
from hardware.simulated.file_sender import PROTOCOLS
from hardware.simulated.hl7_results import STYLES as HL7_STYLES
from hardware.simulated.poct1a import STYLES as POCT1A_STYLES
from hardware.simulated.results import STYLES
from node.clock import SystemClock
from wire.errors import DeviceError, UsageError

PAUSE_S_MAX: Final = 0.25


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    subparsers = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    simulate_modem.configure(
        subparsers.add_parser(
            "modem",
            help="a modem, with the network or satellites behind it",
            description="Prints the path that a kit opens, then speaks until interrupted. SIGUSR1 cuts the supply.",
            epilog="example: feldsher simulate modem sim800 --pty-link /tmp/modem --gateway 127.0.0.1:7700 "
            "--rate 40000 --delay 0.5 --fault pdp-deact@3",
        )
    )
    device = subparsers.add_parser(
        "device",
        help="a diagnostic device",
        description="Prints the path that a kit is to open, then speaks. Ends with 0 when all of it was acknowledged.",
        epilog="example: feldsher simulate device scanner --pty-link /tmp/labels --patient 24310077; faults: "
        + "; ".join(f"{name}: {', '.join(kind.faults)}" for name, kind in KINDS.items()),
    )
    device.add_argument("device", choices=sorted(KINDS), help="which device")
    _add_place(device)
    _add_manner(device)
    device.set_defaults(run=run)


def _add_place(device: argparse.ArgumentParser) -> None:
    place = device.add_mutually_exclusive_group()
    place.add_argument("--port", metavar="PATH", help="speak on this real serial line")
    place.add_argument("--pty-link", metavar="PATH", default="", help="make this name point to the pty")
    device.add_argument(
        "--baud",
        type=int,
        help="with --port: its speed (default 9600); on a pty: a kit that has set another one hears garbage",
    )


def _add_manner(device: argparse.ArgumentParser) -> None:
    device.add_argument("--seed", type=int, default=1, help="the same seed gives the same values (default 1)")
    device.add_argument("--count", type=int, default=1, help="messages, fingers, labels, arms or loads (default 1)")
    device.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="between two of them (default 5)")
    device.add_argument("--repeat", action="store_true", help="go on for ever")
    device.add_argument("--fault", action="append", default=[], metavar="NAME", help="something that goes wrong")
    device.add_argument("--patient", action="append", default=[], metavar="ID", help="ids, in turn (default: invented)")
    device.add_argument(
        "--style",
        choices=(*STYLES, *HL7_STYLES, *PROTOCOLS, *POCT1A_STYLES),
        default="",
        help="analyser, hl7, poct1a: whose manner; ecg: by which protocol (default: its first)",
    )
    device.add_argument("--control", action="store_true", help="analyser, hl7: the first message is a control")
    device.add_argument(
        "--ask",
        action="append",
        default=[],
        metavar="SAMPLE",
        help="analyser: ask the host for the orders of this tube",
    )
    device.add_argument("--encoding", default="utf-8", help="analyser, hl7: character set of names (default utf-8)")
    device.add_argument("--format", choices=("1", "2", "7", "8", "13", "ascii"), default="2", help="oximeter")
    device.add_argument("--finger", type=float, default=20.0, metavar="SECONDS", help="oximeters: a finger stays in")
    device.add_argument("--answer", action="store_true", help="scanner: waits for ACK")
    device.add_argument("--json", action="store_true", help="at the end, print what happened as one JSON object")


def build(args: argparse.Namespace, start: int = 0) -> Device:
    """Return the device that the arguments describe; `start` numbers its first message. Raises UsageError."""
    kind = KINDS[args.device]
    unknown = [name for name in args.fault if name not in kind.faults]
    if unknown:
        raise UsageError(f"--fault {unknown[0]}: the {args.device} knows: {', '.join(kind.faults)}")
    if args.count < 1 or not args.every >= 0:
        raise UsageError(f"--count {args.count} --every {args.every}: at least one, and not before the one before")
    if not args.finger > 0:
        raise UsageError(f"--finger {args.finger:g}: more than 0 seconds are wanted")
    return kind.make(args, start)


def run(args: argparse.Namespace) -> int:
    """Speak until done or interrupted."""
    clock = SystemClock()
    build(args)  # what is wrong with the arguments is said before a line is opened
    done: list[Device] = []
    with stoppable() as stopped, _line(args) as (line, path):
        print(path, flush=True)
        is_done = True
        while is_done and not stopped() and (args.repeat or not done):
            if done and args.device in RESTING:
                _rest(args.every, clock.now, stopped)
            done.append(build(args, start=args.count * len(done)))
            is_done = ptys.run(done[-1], line, clock.now, stopped, 0 if args.port else args.baud or 0)
            del done[:-2]
    good = is_done and all(device.report.is_good for device in done)
    if args.json:
        print(json.dumps({"device": args.device, "done": is_done, "good": good, **asdict(done[-1].report)}))
    return 0 if good else DeviceError.exit_code


def _rest(seconds: float, now: Callable[[], float], stopped: Callable[[], bool]) -> None:
    """Wait between two rounds, as between two messages of one."""
    until = now() + seconds
    while now() < until and not stopped():
        time.sleep(min(PAUSE_S_MAX, max(0.0, until - now())))


@contextmanager
def _line(args: argparse.Namespace) -> Iterator[tuple[int, str]]:
    try:
        with ptys.open_line(args.port, args.baud or 9600) if args.port else ptys.open_pty(args.pty_link) as opened:
            yield opened
    except OSError as error:
        raise DeviceError(f"{args.port or args.pty_link or 'pty'}: {error.strerror}") from error


@contextmanager
def stoppable() -> Iterator["_Stopped"]:
    stopped = _Stopped()
    before = {number: signal.signal(number, stopped.stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.stdout.flush()


class _Stopped:
    """Becomes true with the first SIGINT or SIGTERM."""

    def __init__(self) -> None:
        self._is_stopped = False

    def __call__(self) -> bool:
        return self._is_stopped

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopped = True
