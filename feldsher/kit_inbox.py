"""`feldsher kit inbox`: what was taken from the kit's inboxes, and which files wait there, and why.

The kit names no file, for names name patients and its status lies on the card in the clear: it gives marks. This
command looks into the places itself and puts the names to the marks. It changes nothing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from feldsher import watching
from feldsher.enrolling import ENROLMENT
from wire.errors import DiskError, FeldsherError, UsageError

SHOWN: Final = (("taken", "taken"), ("known", "taken before"), ("left", "left"), ("failed", "failed"))


def configure_inbox(subparsers: Any) -> None:  # noqa: ANN401  argparse has no public name for it
    """Add `inbox`."""
    parser = subparsers.add_parser(
        "inbox",
        help="what was taken from folders and sticks, and what waits there and why",
        epilog="example: feldsher kit inbox --data D --watch",
    )
    parser.add_argument("--data", type=Path, required=True, help="the kit's data folder")
    watching.add_options(parser)
    parser.set_defaults(run=_inbox)


def _inbox(args: argparse.Namespace) -> int:
    def read() -> dict[str, Any]:
        status = watching.read(args.data, "kit")
        inboxes = status.get("inboxes")
        if not inboxes:
            raise UsageError(f"{args.data}: this kit has no [[inbox]] in its kit.toml")
        for one in inboxes:
            names = _names(args.data, Path(one["path"])) if one["waiting"] else {}
            for waiting in one["waiting"]:
                waiting["name"] = names.get(waiting["mark"], "")
        return {"name": status["name"], "age_s": status.get("age_s", 0.0), "inboxes": inboxes}

    return watching.show(args, read, _lines)


def _names(data: Path, place: Path) -> dict[str, str]:
    """Return the names of what is in a place, by mark; none when it cannot be looked into."""
    from edge.inbox_place import RealPlace
    from edge.inbox_taken import mark_maker
    from node.enrolment import load_kit

    try:
        mark = mark_maker(load_kit(data / ENROLMENT).sign_secret)
        return {mark(seen.path): seen.path for seen in RealPlace(place).survey().files}
    except (FeldsherError, DiskError):
        return {}


def brief(inboxes: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each inbox, for `kit status`."""
    return [_line(one) + (" (`kit inbox`)" if one["waiting_count"] else "") for one in inboxes]


def _line(one: dict[str, Any]) -> str:
    if one["trouble"]:
        return f"inbox {one['name']}: {one['trouble']}"
    if not one["there"]:
        return f"inbox {one['name']}: nothing is at {one['path']}"
    counts = [f"{one['here'][fate]} {word}" for fate, word in SHOWN if one["here"][fate]]
    others = one["waiting_count"] - one["here"]["left"] - one["here"]["failed"]
    waits = [f"{others} waiting"] if others > 0 else []
    return f"inbox {one['name']}: {', '.join([_files(one['files']), *counts, *waits, *one['notes']])}"


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _lines(status: dict[str, Any]) -> list[str]:
    lines = watching.silence(status, "the kit")
    for one in status["inboxes"]:
        lines.append(f"{_line(one)}  {one['path']}")
        lines += [f"  study {study[:8]}  {_files(count)}, taken" for study, count in one["last"]]
        lines += [_waiting_line(waiting) for waiting in one["waiting"]]
        more = one["waiting_count"] - len(one["waiting"])
        lines += [f"  … and {more} more"] if more > 0 else []
    return lines


def _waiting_line(waiting: dict[str, Any]) -> str:
    name = _shown(waiting["name"]) or f"file {waiting['mark']}"
    return f"  {name}  {watching.size(waiting['size'])}  {waiting['says']}"


def _shown(name: str) -> str:
    """Return a file's name as a terminal may show it."""
    return "".join(char if char.isprintable() else "?" for char in name)
