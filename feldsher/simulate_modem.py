"""`feldsher simulate modem`: a simulated modem on a pty, its far end a real gateway of this machine, for training.

Owns nothing that survives: SIM, credits and what the ground still holds are gone when it ends. A kit, `minicom` or
`socat` opens the path that it prints first. SIGUSR1 cuts the modem's supply for three seconds.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from hardware.simulated.modems.air import Air, Shape
from hardware.simulated.modems.cellular import Cellular
from hardware.simulated.modems.dialup import MAKES, DialModem
from hardware.simulated.modems.exchange import Exchange, Manner
from hardware.simulated.modems.faults import Knob
from hardware.simulated.modems.ground import KNOBS as GROUND_KNOBS
from hardware.simulated.modems.ground import Ground
from hardware.simulated.modems.interpreter import AtModem
from hardware.simulated.modems.iridium9602 import Iridium9602
from hardware.simulated.modems.network import Address
from hardware.simulated.modems.quectel import Bg96, Quectel
from hardware.simulated.modems.shell import PtyLine, Timed, run
from hardware.simulated.modems.sim import SimCard
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.sim7600 import Sim7600
from hardware.simulated.modems.sockets import RealNetwork
from node.clock import SystemClock
from wire.errors import DeviceError, UsageError

CELLULAR: Final[Mapping[str, type[Cellular]]] = {
    "sim800": Sim800,
    "sim7600": Sim7600,
    "quectel": Quectel,
    "bg96": Bg96,
}
KINDS: Final = (*CELLULAR, "iridium9602", "dialup")
RUDICS_PREFIX: Final = "00881600005"
ANSWERING_NUMBER: Final = "+380441112233"
RATES_BPS: Final[Mapping[str, float]] = {"csd": 9_600.0, "iridium": 2_400.0, "landline": 33_600.0}
SUPPLY_CUT_S: Final = 3.0
LOGGED_SIZE_MAX: Final = 120


def knobs(kind: str) -> Mapping[str, Knob]:
    """Return the faults that a modem of this kind knows."""
    if kind == "iridium9602":
        return {**Iridium9602.KNOBS, **GROUND_KNOBS}
    return DialModem.KNOBS if kind == "dialup" else CELLULAR[kind].KNOBS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--pty-link", metavar="PATH", default="", help="make this name point to the pty")
    parser.add_argument("--answer-link", metavar="PATH", default="", help="dialup: a second pty, the answering modem's")
    parser.add_argument("--gateway", metavar="HOST:PORT", help="connections, and calls to servers, go there instead")
    parser.add_argument("--directip", metavar="HOST:PORT", help="iridium9602: where messages are delivered by DirectIP")
    parser.add_argument("--mt-listen", metavar="HOST:PORT", help="iridium9602: take messages for the modem there")
    parser.add_argument("--confirm", action="store_true", help="iridium9602: deliver again until it is confirmed")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[=ARG][@WHEN]", help="see --list-faults")
    parser.add_argument("--list-faults", action="store_true", help="say what can go wrong, and end")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same course (default 1)")
    parser.add_argument("--pin", default="", help="the SIM wants this PIN")
    parser.add_argument("--make", choices=sorted(MAKES), default="csd", help="dialup: whose modem (default csd)")
    parser.add_argument(
        "--number", default=ANSWERING_NUMBER, help=f"dialup: of the answering modem ({ANSWERING_NUMBER})"
    )
    parser.add_argument("--imei", default="300234063904190", help="iridium9602: its number")
    parser.add_argument("--rate", type=float, metavar="BPS", help="of the air (dialup: of the call)")
    parser.add_argument("--delay", type=float, metavar="SECONDS", help="one way, on the air")
    parser.add_argument("--loss", type=float, default=0.0, metavar="P", help="datagrams lost (dialup: bytes garbled)")
    parser.add_argument(
        "--speed", type=float, default=1.0, metavar="N", help="its time runs N times as fast (default 1)"
    )
    parser.add_argument("--for", type=float, dest="seconds", metavar="SECONDS", help="end after so long")
    parser.add_argument("--verbose", action="store_true", help="tell every command and reply, on standard error")
    parser.add_argument("--json", action="store_true", help="at the end, print what happened as one JSON object")
    parser.set_defaults(run=simulate)


def address_of(text: str, option: str) -> Address:
    """Read HOST:PORT. Raises UsageError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise UsageError(f"{option} {text}: want HOST:PORT")
    return host.strip("[]"), int(port)


@dataclass
class Stage:
    """What is simulated: modems with the names of their ptys, and what is around them."""

    network: RealNetwork
    modems: list[tuple[AtModem, str]] = field(default_factory=list)
    around: list[Timed] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """Lines for the user, before it begins."""
    facts: Callable[[], dict[str, object]] = dict
    commands: int = 0

    def log(self, *, is_verbose: bool, name: str = "") -> Callable[[str, bytes], None]:
        """Return what a modem tells its commands and replies to."""
        clock = SystemClock()

        def tell(direction: str, text: bytes) -> None:
            self.commands += direction == "<"
            if is_verbose:
                shown = repr(text[:LOGGED_SIZE_MAX])[2:-1] + (" …" if len(text) > LOGGED_SIZE_MAX else "")
                print(f"{clock.now():.3f} {name}{direction} {shown}", file=sys.stderr, flush=True)

        return tell


def build(args: argparse.Namespace) -> Stage:
    """Return what the arguments describe. Raises UsageError, and OSError for an address that cannot be listened on."""
    if not 0 <= args.loss < 1:
        raise UsageError(f"--loss {args.loss:g}: want a probability, less than 1")
    if any(value is not None and not 0 < value < 1e9 for value in (args.rate, args.delay)):
        raise UsageError("--rate and --delay: want numbers greater than 0")
    if not 0.01 <= args.speed <= 1000:
        raise UsageError(f"--speed {args.speed:g}: want 0.01 to 1000")
    _check_faults(args)
    if args.kind == "dialup":
        return _dialup(args)
    return _satellite(args) if args.kind == "iridium9602" else _cellular(args)


def _check_faults(args: argparse.Namespace) -> None:
    known = knobs(args.kind)
    for spec in args.fault:
        name = spec.partition("@")[0].partition("=")[0]
        if name not in known:
            raise UsageError(f"--fault {name}: the {args.kind} knows: {', '.join(known)}")


def _gateway(args: argparse.Namespace) -> Address | None:
    return address_of(args.gateway, "--gateway") if args.gateway else None


def _air(args: argparse.Namespace, network: RealNetwork) -> Air:
    return Air(network, Shape(args.rate or 0.0, args.delay or 0.0, args.loss), args.seed)


def _cellular(args: argparse.Namespace) -> Stage:
    stage = Stage(RealNetwork(_gateway(args)))
    card = SimCard(args.pin)
    log = stage.log(is_verbose=args.verbose)
    modem = CELLULAR[args.kind](_air(args, stage.network), args.fault, args.seed, card=card, log=log)
    stage.modems.append((modem, args.pty_link))
    stage.facts = lambda: {"sim_tries_left": card.tries, "wrong_pins": card.wrong_tries, "boots": modem.boots}
    return stage


def _satellite(args: argparse.Namespace) -> Stage:
    stage = Stage(RealNetwork())
    directip = address_of(args.directip, "--directip") if args.directip else None
    ours = [spec for spec in args.fault if spec.partition("@")[0].partition("=")[0] in GROUND_KNOBS]
    ground = Ground(stage.network, directip, ours, args.seed, wants_confirmation=args.confirm)
    log = stage.log(is_verbose=args.verbose)
    rest = [spec for spec in args.fault if spec not in ours]
    modem = Iridium9602(ground, rest, args.seed, imei=args.imei, log=log)
    if args.mt_listen:
        host, port = ground.listen(*address_of(args.mt_listen, "--mt-listen"))
        stage.told.append(f"messages for the modem: {host}:{port}")
    stage.modems.append((modem, args.pty_link))
    stage.around.append(ground)
    stage.facts = lambda: _bill(modem, ground)
    return stage


def _bill(modem: Iridium9602, ground: Ground) -> dict[str, object]:
    modem.meter.draw(0.0, modem.now)
    return {
        "sessions": modem.meter.sessions,
        "failed_sessions": modem.meter.failed_sessions,
        "credits": modem.meter.credits,
        "joules": round(modem.meter.joules, 1),
        "delivered": len(ground.delivered),
        "undelivered": ground.undelivered,
    }


def _dialup(args: argparse.Namespace) -> Stage:
    gateway = _gateway(args)
    stage = Stage(RealNetwork())
    delay = 0.25 if args.delay is None else args.delay
    manner = Manner(args.rate or RATES_BPS[args.make], delay, garble=args.loss)
    exchange = Exchange(manner, stage.network, args.seed)
    log = stage.log(is_verbose=args.verbose)
    caller = DialModem(exchange, "", args.fault, args.seed, make=args.make, log=log)
    stage.modems.append((caller, args.pty_link))
    if gateway is not None:
        exchange.route(RUDICS_PREFIX if args.answer_link else "", gateway)
    if args.answer_link:
        log = stage.log(is_verbose=args.verbose, name="answering ")
        stage.modems.append(
            (DialModem(exchange, args.number, (), args.seed + 1, make="landline", log=log), args.answer_link)
        )
        stage.told.append(f"the answering modem's number: {args.number}")
    stage.around.append(exchange)
    stage.facts = lambda: {"calls": exchange.calls_made, "dropped": exchange.calls_dropped}
    return stage


def simulate(args: argparse.Namespace) -> int:
    """Speak until interrupted."""
    if args.list_faults:
        _list_faults(args)
        return 0
    try:
        stage = build(args)
        lines = [PtyLine(modem, link) for modem, link in stage.modems]
    except OSError as error:
        raise DeviceError(f"{args.pty_link or args.mt_listen or 'pty'}: {error.strerror}") from error
    for text in (*(line.path for line in lines), *stage.told):
        print(text, flush=True)
    controls = _Controls(stage.modems[0][0], args.seconds)
    try:
        with controls:
            seconds = run(lines, stage.around, stage.network, SystemClock().now, controls, args.speed)
    finally:
        for line in lines:
            line.unplug()
        stage.network.close()
    _tell_facts(args, {"modem": args.kind, "seconds": round(seconds, 1), "commands": stage.commands, **stage.facts()})
    return 0


def _list_faults(args: argparse.Namespace) -> None:
    table = knobs(args.kind)
    if args.json:
        rows = {
            name: {"argument": knob.argument, "when": knob.when, "meaning": knob.meaning}
            for name, knob in table.items()
        }
        print(json.dumps(rows))
        return
    for name, knob in table.items():
        print(f"{name + ('=' + knob.argument if knob.argument else '') + '@' + knob.when:28} {knob.meaning}")


def _tell_facts(args: argparse.Namespace, facts: dict[str, object]) -> None:
    if args.json:
        print(json.dumps(facts), flush=True)
    else:
        print(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in facts.items()), flush=True)


class _Controls:
    """The signals of the user, and the time: true when it is to end."""

    def __init__(self, modem: AtModem, seconds: float | None) -> None:
        self._modem, self._seconds = modem, seconds
        self._is_stopped = self._wants_cut = False
        self._on_at: float | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            self._before[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what `signal` itself has returned
        sys.stdout.flush()

    def _signalled(self, number: int, _frame: object) -> None:
        if number == signal.SIGUSR1:
            self._wants_cut = True
        else:
            self._is_stopped = True

    def __call__(self, now: float) -> bool:
        if self._wants_cut:
            self._wants_cut, self._on_at = False, now + SUPPLY_CUT_S
            self._modem.rail.set(False)
        if self._on_at is not None and now >= self._on_at:
            self._on_at = None
            self._modem.rail.set(True)
        return self._is_stopped or (self._seconds is not None and now >= self._seconds)
