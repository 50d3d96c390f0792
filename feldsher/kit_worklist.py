"""`feldsher kit worklist`: whom and what the kit expects, as the centre has sent it. Reads only; the kit may run."""

import argparse
import json
from pathlib import Path
from typing import Any

from feldsher.enrolling import ENROLMENT
from wire.errors import UsageError


def configure_worklist(subparsers: Any) -> None:  # noqa: ANN401  argparse has no public name for it
    """Add `worklist`."""
    parser = subparsers.add_parser(
        "worklist",
        help="whom and what the kit expects",
        description="Shows ids, samples and tests of the lists that have not expired. Names only with --names.",
        epilog="example: feldsher kit worklist --data /var/lib/feldsher",
    )
    parser.add_argument("--data", type=Path, required=True, help="the kit's data folder")
    parser.add_argument("--names", action="store_true", help="names, birth dates and sex, too")
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    parser.set_defaults(run=_worklist)


def _worklist(args: argparse.Namespace) -> int:
    from edge.worklist import Worklist
    from node.clock import SystemClock
    from node.disk import RealDisk
    from node.enrolment import load_kit

    if not args.data.is_dir():
        raise UsageError(f"{args.data}: no data folder is here")
    troubles: list[str] = []
    with RealDisk(args.data) as disk:
        worklist = Worklist(disk, SystemClock(), load_kit(args.data / ENROLMENT), troubles.append)
    shown = ("patient", "sample", "tests", *(("name", "birth", "sex") if args.names else ()))
    days: list[dict[str, Any]] = [
        {"day": day.day, "orders": [{name: getattr(one, name) for name in shown} for one in day.orders]}
        for day in worklist.days()
    ]
    if args.json:
        print(json.dumps({"version": worklist.version, "days": days, "problems": troubles}, ensure_ascii=False))
        return 0
    for text in troubles:
        print(text)
    for day in days:
        print(f"{day['day']}: {len(day['orders'])} lines")
        for one in day["orders"]:
            cells = (" ".join(value) if isinstance(value, tuple) else str(value) for value in one.values())
            print("  " + "  ".join(f"{cell or '-':<14}" for cell in cells).rstrip())
    if not days:
        print("no list is in force")
    return 0
