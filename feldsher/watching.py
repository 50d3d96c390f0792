"""How status is shown: once, again and again, or as JSON; and the lines that kit and gateway have in common."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from wire.errors import UsageError

REFRESH_S: Final = 1.0
SILENCE_S_MAX: Final = 10.0
"""A daemon writes its status every second; after so long it has ended, or hangs."""
BAR_WIDTH: Final = 24
UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --watch and --json."""
    parser.add_argument("--watch", action="store_true", help="show it again every second until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")


def show(
    args: argparse.Namespace, read: Callable[[], dict[str, Any]], lines: Callable[[dict[str, Any]], list[str]]
) -> int:
    """Show what `read` returns, once or until interrupted."""
    while True:
        status = read()
        text = json.dumps(status) if args.json else "\n".join(lines(status))
        if args.watch and sys.stdout.isatty() and not args.json:
            text = "\x1b[2J\x1b[H" + text
        print(text, flush=True)
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
    return (
        f"{link['bearer']}, heard {span(link['silence_s'])} ago, RTT {rtt}, {link['rate_bps'] / 1000:.1f} kbit/s, "
        f"out {size(link['wire_sent'])}, in {size(link['wire_received'])}, {link['frames_lost']} lost"
    )


def object_lines(objects: Sequence[dict[str, Any]]) -> list[str]:
    """Return a progress bar for each object under way."""
    return [_object_line(one) for one in objects]


def _object_line(one: dict[str, Any]) -> str:
    part = one["done"] / one["size"] if one["size"] else 1.0
    bar = "█" * round(part * BAR_WIDTH)
    return (
        f"  {one['priority']} {one['kind']:<8}{one['object_id'][:8]}  {bar:░<{BAR_WIDTH}} {part:4.0%}  "
        f"{size(one['done'])} of {size(one['size'])}  {span(one['eta_s'])} left  {one['state']}"
    )
