"""The entry point: finds the subcommand's module, imports only that one, turns errors into exit codes."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from feldsher import __version__
from wire.errors import FeldsherError

COMMANDS = {
    "demo": "the whole road on this machine: devices, kit, a link that breaks, gateway, server, web page",
    "kit": "the kit in the van: run, status, devices, capture, export, enrol",
    "gateway": "the ground station: run, status",
    "server": "the centre: run, migrate, user, kit, gateway, study",
    "link": "files between any two machines over a link that breaks: keys, serve, send",
    "tags": "any tag file: show, check, repair, export, sample",
    "simulate": "a simulated diagnostic device on a pty",
}


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Return the parser; only the module of `command` is imported, so that a kit loads no server code."""
    parser = argparse.ArgumentParser(
        prog="feldsher",
        description="Captures medical studies in a van and carries them, whole and once, over links that break.",
        epilog="example: feldsher demo",
    )
    parser.add_argument("--version", action="version", version=f"feldsher {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub = subparsers.add_parser(name, help=summary, description=summary)
        if name == command:
            importlib.import_module(f"feldsher.{name}").configure(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors of ours become one line and a code by class."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in words if word in COMMANDS), None)
    args = build_parser(command).parse_args(words)
    try:
        return int(args.run(args))
    except FeldsherError as error:
        print(f"feldsher: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
