"""`feldsher kit check` and `kit repair`: the stores of a kit (or a gateway), looked at and mended into new files."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from wire.errors import FormatError, UsageError

REPAIRED: Final = "repaired"
IMPORTED: Final = "import"
"""What `kit import` has made and the kit has not taken up yet."""
INBOX: Final = "inbox"
"""The same of what appeared in folders and on sticks."""


def configure_store(subparsers: Any) -> None:  # noqa: ANN401  argparse has no public name for it
    """Add `check` and `repair`."""
    check = subparsers.add_parser(
        "check",
        help="look at every stored file; changes nothing",
        description="May be used while the kit runs. Ends with 65 when something that was kept is damaged or missing.",
        epilog="example: feldsher kit check --data /var/lib/feldsher",
    )
    check.add_argument("--data", type=Path, required=True, help="the data folder of a kit or gateway")
    check.add_argument("--json", action="store_true", help="one JSON object, for programs")
    check.set_defaults(run=_check)
    repair = subparsers.add_parser(
        "repair",
        help="write what is sound of damaged studies as new files",
        description=f"The new files are in {REPAIRED}/ of the data folder; the damaged ones stay where they are.",
        epilog="example: feldsher kit repair --data /var/lib/feldsher",
    )
    repair.add_argument("--data", type=Path, required=True, help="the data folder of a kit or gateway")
    repair.set_defaults(run=_repair)


def _check(args: argparse.Namespace) -> int:
    from node.check import check_store
    from node.disk import RealDisk

    with RealDisk(_existing(args.data)) as disk:
        report = check_store(disk) + check_store(disk, IMPORTED) + check_store(disk, INBOX)
    if args.json:
        print(json.dumps(asdict(report) | {"sound": report.sound}))
    else:
        for problem in report.problems:
            print(f"{problem.severity:<6} {problem.path}: {problem.text}")
        word = "sound" if report.sound else "NOT sound"
        print(f"{report.files} files, {report.size_bytes} bytes: {word}")
    return 0 if report.sound else FormatError.exit_code


def _repair(args: argparse.Namespace) -> int:
    from node.check import repair_store
    from node.clock import SystemClock
    from node.disk import RealDisk

    with RealDisk(_existing(args.data)) as disk:
        repaired = repair_store(disk, "", REPAIRED, SystemClock().time_ms())
    for one in repaired:
        print(f"{one.path}: {one.entries} entries of {one.source}; {one.lost_bytes} bytes given up")
    print(f"{len(repaired)} files written; nothing else was changed")
    return 0


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    return folder
