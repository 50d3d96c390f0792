"""`feldsher gateway`: run the ground station, and see what it holds."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from feldsher import watching
from wire.errors import UsageError

ENROLMENT = "enrolment.toml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add `run` and `status`."""
    subparsers = parser.add_subparsers(metavar="WHAT", required=True)
    run = subparsers.add_parser(
        "run", help="run until SIGTERM", epilog="example: feldsher gateway run --data /var/lib/feldsher"
    )
    run.add_argument("--data", type=Path, required=True, help=f"data folder; holds {ENROLMENT}")
    run.add_argument("--listen", action="append", default=[], metavar="URL", help="instead of what the enrolment says")
    run.add_argument("--verbose", action="store_true", help="log every bearer that comes and goes")
    run.set_defaults(run=_run)
    status = subparsers.add_parser(
        "status", help="links and objects", epilog="example: feldsher gateway status --data D"
    )
    status.add_argument("--data", type=Path, required=True)
    watching.add_options(status)
    status.set_defaults(run=_status)


def _run(args: argparse.Namespace) -> int:
    from gateway import daemon
    from node.claim import claim
    from node.daemon import start_log
    from node.enrolment import load_gateway

    start_log(verbose=args.verbose)
    enrolment = load_gateway(args.data / ENROLMENT)
    with claim(args.data):
        asyncio.run(daemon.run(enrolment, args.data, args.listen or enrolment.listen))
    return 0


def _status(args: argparse.Namespace) -> int:
    return watching.show(args, lambda: _read(args.data), _lines)


def _read(folder: Path) -> dict[str, Any]:
    from node.daemon import read_status

    status = read_status(folder)
    if not status:
        raise UsageError(f"{folder}: no gateway has run here")
    return status


def _lines(status: dict[str, Any]) -> list[str]:
    held = status["objects"]
    lines = [
        *watching.silence(status, "the gateway"),
        f"gateway {status['name']}: {held['spool']} to send, {held['received']} delivered, {held['refused']} refused",
        "server   " + watching.link_line(status["server"]),
    ]
    for name, link in status["kits"].items():
        lines.append(f"kit {name}  " + watching.link_line(link))
        lines += watching.object_lines(link["receiving"])
    return lines + watching.object_lines(status["server"]["sending"])
