"""The entry point: finds the subcommand's module, imports only that one, turns errors into exit codes."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from feldsher import __version__
from wire.errors import ConfigError, FeldsherError, UsageError

EXAMPLES = {
    "demo": "demo --once --json",
    "kit": "kit status --data /var/lib/feldsher --watch",
    "gateway": "gateway run --data /var/lib/feldsher",
    "server": "server kit add van-1 --out van-1.toml",
    "link": "link send ecg.dcm --to udp://10.77.0.2:7000 --keys KEYS",
    "tags": "tags check FILE",
    "simulate": "simulate device analyser --pty-link /tmp/analyser --count 3 --every 10",
}
COMMANDS = {
    "demo": "the whole road on this machine: devices, kit, a link that breaks, gateway, server, web page",
    "kit": "the kit in the van: enrol, run, status, links, import, stick, selftest, devices, check, repair, export …",
    "gateway": "the ground station: enrol, run, carry, status",
    "server": "the centre: run, migrate, user, kit, gateway, study",
    "link": "files between any two machines over a link that breaks: keys, serve, send, trace",
    "tags": "any tag file: show, check, repair, export, sample",
    "simulate": "a simulated diagnostic device or modem on a pty",
}

EXTRAS = {"kit": "edge", "gateway": "edge", "server": "server", "demo": "edge,server"}
"""What of pyproject.toml's extras a command's libraries are in. The rest needs none."""

OWN = {"edge", "feldsher", "gateway", "hardware", "node", "provisioning", "server", "wire"}
MISSING = ("required: COMMAND", "required: WHAT", "required: ACTION")
"""How argparse ends its complaint when no subcommand was named."""


class Parser(argparse.ArgumentParser):
    """argparse's, but wrong use ends with the code of its class, and a missing subcommand shows which there are."""

    def error(self, message: str) -> NoReturn:
        """End with 64."""
        if message.endswith(MISSING):
            self.print_help(sys.stderr)
        else:
            self.print_usage(sys.stderr)
        self.exit(UsageError.exit_code, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Return the parser; only the module of `command` is imported, so that a kit loads no server code."""
    parser = Parser(
        prog="feldsher",
        description="Captures medical studies in a van and carries them, whole and once, over links that break.",
        epilog="example: feldsher demo",
    )
    parser.add_argument("--version", action="version", version=f"feldsher {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub = subparsers.add_parser(
            name, help=summary, description=summary, epilog=f"example: feldsher {EXAMPLES[name]}"
        )
        if name == command:
            importlib.import_module(f"feldsher.{name}").configure(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors of ours become one line and a code by class."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in words if word in COMMANDS), None)
    try:
        args = build_parser(command).parse_args(words)
        return int(args.run(args))
    except FeldsherError as error:
        print(f"feldsher: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if command not in EXTRAS or error.name is None or error.name.partition(".")[0] in OWN:
            raise
        print(
            f"feldsher: the library {error.name!r} is not installed here: pip install 'feldsher[{EXTRAS[command]}]'",
            file=sys.stderr,
        )
        return ConfigError.exit_code
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
