"""How status is shown: once, again and again, or as JSON; and the lines that kit and gateway have in common."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from feldsher.bars import Painter, bar
from wire.errors import UsageError

REFRESH_S: Final = 1.0
SILENCE_S_MAX: Final = 10.0
"""A daemon writes its status every second; after so long it has ended, or hangs."""
BAR_WIDTH: Final = 24
OBJECTS_MAX: Final = 16
"""Bars of objects; the others are counted."""
STUDY_STATES: Final = {
    "spool": "waits",
    "open": "being captured",
    "custody": "with the gateway",
    "received": "at the centre",
    "pruned": "at the centre; removed here to make room",
}
UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --watch and --json."""
    parser.add_argument("--watch", action="store_true", help="show it again every second until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")


def show(
    args: argparse.Namespace, read: Callable[[], dict[str, Any]], lines: Callable[[dict[str, Any]], list[str]]
) -> int:
    """Show what `read` returns, once or until interrupted."""
    painter = Painter(sys.stdout) if args.watch and sys.stdout.isatty() and not args.json else None
    while True:
        status = read()
        if painter is not None:
            painter.paint(lines(status))
        else:
            print(json.dumps(status) if args.json else "\n".join(lines(status)), flush=True)
        if not args.watch:
            return 0
        time.sleep(REFRESH_S)


def read(folder: Path, node: str) -> dict[str, Any]:
    """Return what the daemon of the `node` in `folder` said last. Raises UsageError when none has run there."""
    from node.daemon import read_status

    status = read_status(folder)
    if not status:
        raise UsageError(f"{folder}: no {node} has run here")
    return status


def silence(status: dict[str, Any], what: str) -> list[str]:
    """Return a line when the daemon has not written its status for too long to be running."""
    age_s = status.get("age_s", 0.0)
    return [f"{what} is not running: this is what it said {span(age_s)} ago"] if age_s > SILENCE_S_MAX else []


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {UNITS[-1]}"


def span(seconds: float | None) -> str:
    """Return a span of time for people; a dash when it is not known."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def link_line(link: dict[str, Any]) -> str:
    """Return one line about a link."""
    if not link["connected"]:
        return "not connected"
    rtt = "-" if link["rtt_s"] is None else f"{link['rtt_s'] * 1000:.0f} ms"
    troubles = [
        f"{link[name]} {text}"
        for name, text in (("frames_lost", "lost"), ("segments_resent", "sent again"), ("segments_twice", "came twice"))
        if link.get(name) or name == "frames_lost"
    ]
    return (
        f"{link['bearer']}, heard {span(link['silence_s'])} ago, RTT {rtt}, {link['rate_bps'] / 1000:.1f} kbit/s, "
        f"out {size(link['wire_sent'])}, in {size(link['wire_received'])}, {', '.join(troubles)}, "
        f"{_count(link['handshakes'], 'handshake')}, {_count(link['probes'], 'probe')}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def object_lines(objects: Sequence[dict[str, Any]]) -> list[str]:
    """Return a progress bar for each object under way."""
    return [_object_line(one) for one in objects[:OBJECTS_MAX]] + _more(len(objects) - OBJECTS_MAX)


def _object_line(one: dict[str, Any]) -> str:
    return (
        f"  {one['priority']} {one['kind']:<8}{one['object_id'][:8]}  {bar(one['done'], one['size'], BAR_WIDTH)}  "
        f"{size(one['done'])} of {size(one['size'])}  {span(one['eta_s'])} left  {one['state']}"
    )


def _more(count: int) -> list[str]:
    return [f"  … and {count} more"] if count > 0 else []


def study_lines(studies: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each study, with a bar for one that is on its way."""
    return [_study_line(one) for one in studies]


def _study_line(one: dict[str, Any]) -> str:
    head = f"  study {one['number']:>5}  {one['study'][:8]}"
    parts = one.get("parts", [])
    if one["state"] != "spool" or not parts:
        return f"{head}  {size(one['size']):>10}  {STUDY_STATES.get(one['state'], one['state'])}"
    looks = [text for kind in ("summary", "preview") if (text := _look(kind, parts))]
    return "  ".join(
        [
            f"{head}  {bar(one['done'], one['total'], BAR_WIDTH)}",
            f"{size(one['done'])} of {size(one['total'])}",
            *([f"{one['rate_bps'] / 1000:.1f} kbit/s"] if one["rate_bps"] else []),
            *([f"{span(one['eta_s'])} left"] if one["eta_s"] is not None else []),
            *([f"by {one['way']}"] if one["way"] else []),
            *looks,
        ]
    )


def _look(kind: str, parts: Sequence[dict[str, Any]]) -> str:
    """Return how far the first look of a study is, "" when it has none."""
    found = [part for part in parts if part["kind"] == kind]
    there = sum(part["done"] >= part["size"] for part in found)
    if not found:
        return ""
    return f"{kind} there" if there == len(found) else f"{there} of {len(found)} {_plural(kind)} there"


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
