"""`feldsher gateway`: put an enrolment on the ground station, run it, and see what it holds."""

import argparse
import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from feldsher import tracing, watching
from feldsher.enrolling import ENROLMENT, enrol
from node.url import CARRIED, parse_url
from wire.errors import UsageError

LISTEN_HELP: Final = "instead of what the enrolment says; dir:///media/stick alone: beside it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    subparsers = parser.add_subparsers(metavar="WHAT", required=True)
    enrolling = subparsers.add_parser(
        "enrol",
        help="put the file that the centre made on this gateway",
        epilog="example: feldsher gateway enrol north.toml --data /var/lib/feldsher",
    )
    enrolling.add_argument("file", type=Path, help="made at the centre by `feldsher server gateway add`")
    enrolling.add_argument("--data", type=Path, required=True, help="the gateway's data folder, made when missing")
    enrolling.set_defaults(run=_enrol)
    run = subparsers.add_parser(
        "run", help="run until SIGTERM", epilog="example: feldsher gateway run --data /var/lib/feldsher"
    )
    run.add_argument("--data", type=Path, required=True, help=f"data folder; holds {ENROLMENT}")
    run.add_argument("--listen", action="append", default=[], metavar="URL", help=LISTEN_HELP)
    run.add_argument("--verbose", action="store_true", help="log every bearer that comes and goes")
    tracing.add_options(run)
    run.set_defaults(run=_run)
    carry = subparsers.add_parser(
        "carry",
        help="take what a stick brings and write the receipts on it, while the gateway does not run",
        epilog="example: feldsher gateway carry /media/stick --data /var/lib/feldsher",
    )
    carry.add_argument("stick", type=Path, help="where the stick is mounted")
    carry.add_argument("--data", type=Path, required=True, help=f"data folder; holds {ENROLMENT}")
    carry.add_argument("--json", action="store_true", help="one JSON object, for programs")
    carry.set_defaults(run=_carry)
    status = subparsers.add_parser(
        "status", help="links and objects", epilog="example: feldsher gateway status --data D"
    )
    status.add_argument("--data", type=Path, required=True, help="the gateway's data folder")
    watching.add_options(status)
    status.set_defaults(run=_status)


def _enrol(args: argparse.Namespace) -> int:
    from node.enrolment import load_gateway

    return enrol(args, load_gateway, "gateway")


def _run(args: argparse.Namespace) -> int:
    from gateway import daemon
    from node.claim import claim
    from node.daemon import start_log
    from node.enrolment import load_gateway

    start_log(verbose=args.verbose)
    enrolment = load_gateway(args.data / ENROLMENT)
    with claim(args.data), tracing.tracing(args) as trace:
        asyncio.run(daemon.run(enrolment, args.data, listening(args.listen, enrolment.listen), trace))
    return 0


def listening(given: Sequence[str], enrolled: Sequence[str]) -> list[str]:
    """Return where to listen: a place for sticks takes no address away from the kits."""
    only_sticks = all(parse_url(url).scheme == CARRIED for url in given)
    return [*(enrolled if only_sticks else ()), *given]


def _carry(args: argparse.Namespace) -> int:
    from gateway import daemon
    from node.claim import claim
    from node.clock import SystemClock
    from node.daemon import start_log
    from node.enrolment import load_gateway

    start_log(verbose=False)
    enrolment = load_gateway(args.data / ENROLMENT)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(claim(args.data))
        except UsageError as error:
            raise UsageError(
                f"{error}; a gateway that runs reads sticks itself: --listen dir://{args.stick}"
            ) from error
        status, brought = daemon.carry(enrolment, args.data, args.stick, SystemClock())
    if args.json:
        print(json.dumps(status.to_dict() | {"brought": brought}))
    else:
        print(f"{args.stick}: {brought} objects came and are in custody; {status.trouble or 'safe to pull'}")
    return 0


def _status(args: argparse.Namespace) -> int:
    return watching.show(args, lambda: watching.read(args.data, "gateway"), _lines)


def _lines(status: dict[str, Any]) -> list[str]:
    held = status["objects"]
    lines = [
        *watching.silence(status, "the gateway"),
        f"gateway {status['name']}: {held['spool']} to send, {held['received']} delivered, {held['refused']} refused",
        "server   " + watching.link_line(status["server"]),
    ]
    lines += [f"stick {one['place']}: {one['text']}" for one in status["sticks"]]
    for name, link in status["kits"].items():
        lines.append(f"kit {name}  " + watching.link_line(link))
        lines += watching.object_lines(link["receiving"])
    return lines + watching.object_lines(status["server"]["sending"])
