"""`feldsher link trace FILE`: what went over a link, frame by frame or summed up, as a trace of `--trace` kept it."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from feldsher.watching import size, span
from wire import trace
from wire.checks import TRACE, parse_start
from wire.errors import FormatError, UsageError
from wire.found import Found
from wire.stream import StreamReader, Verdict
from wire.trace import EventSeen, FrameSeen
from wire.trace_summary import Summary

CHUNK_SIZE: Final = 1 << 16
FOLLOW_S: Final = 0.5
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="what `--trace FILE` wrote, or the FILE.1 before it")
    parser.add_argument("--bearer", metavar="TEXT", help="only frames over bearers whose name has TEXT in it")
    parser.add_argument(
        "--kind", action="append", metavar="KIND", help="only HELLO, WELCOME, DATA, …, or events of a kind; repeatable"
    )
    parser.add_argument(
        "--since", metavar="WHEN", help="HH:MM, HH:MM:SS, or 90s, 15m, 2h before the newest entry; the local day's"
    )
    parser.add_argument("--summary", action="store_true", help="by bearer and direction: frames, bytes, losses, RTT")
    parser.add_argument("--json", action="store_true", help="one JSON object a line; with --summary one in all")
    parser.add_argument("--follow", action="store_true", help="go on as the file grows, until Ctrl-C")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the trace. What is damaged is skipped and counted; exit code 65 when something was."""
    if args.follow and args.summary:
        raise UsageError("--summary is of a whole file, --follow of one that grows: one of the two")
    since_ms = 0 if args.since is None else _since_ms(args.since, args.file)
    lost, summary, is_empty = 0, Summary(), True
    try:
        for seen in read(args.file, follow=args.follow):
            is_empty = False
            if isinstance(seen, int):
                lost += seen
            elif seen.time_ms < since_ms or not _is_wanted(seen, args):
                continue
            elif args.summary:
                summary.add(seen)
            else:
                print(_json(seen) if args.json else f"{_clock(seen.time_ms)} {trace.text(seen)}", flush=args.follow)
        if args.summary:
            print(json.dumps(summary.to_dict()) if args.json else "\n".join(lines(summary.to_dict())))
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    if is_empty:
        print(f"{args.file}: nothing in it yet", file=sys.stderr)
    if lost:
        print(f"{args.file}: {lost} bytes could not be read", file=sys.stderr)
        return FormatError.exit_code
    return 0


def read(path: Path, *, follow: bool = False) -> Iterator[FrameSeen | EventSeen | int]:
    """Give every entry of the trace, and the sizes of what is lost. Raises UsageError, FormatError.

    A trace in which nothing was heard yet has a head only, and is none the less one.
    """
    reader, is_trace = StreamReader(), False
    try:
        with path.open("rb") as file:
            while True:
                data = file.read(CHUNK_SIZE)
                if not data and follow:
                    time.sleep(FOLLOW_S)
                    continue
                for found in reader.feed(data) if data else reader.finish():
                    if found.verdict is Verdict.LOST:
                        yield found.size
                        continue
                    entry = trace.decode(found.tag) if found.tag else None
                    is_trace = is_trace or entry is not None or _is_head(found)
                    if entry is not None:
                        yield entry
                if not data:
                    break
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if not is_trace:
        raise FormatError(f"{path}: no trace of a link")


def _is_head(found: Found) -> bool:
    start = parse_start(found.tag) if found.tag else None
    return start is not None and start.kind == TRACE


def lines(summary: dict[str, Any]) -> list[str]:
    """Return the summary for people."""
    found: list[str] = []
    for bearer, ways in summary["bearers"].items():
        found.append("".join(one if one.isprintable() else "?" for one in bearer))
        found += [f"  {direction:<9}{_way_text(way)}" for direction, way in ways.items()]
    events = ", ".join(f"{kind} {count}" for kind, count in summary["events"].items())
    return [*found, *([f"events: {events}"] if events else [])] or ["nothing"]


def _way_text(way: dict[str, Any]) -> str:
    share = way["overhead_bytes"] / way["bytes"] if way["bytes"] else 0.0
    rtt = way["rtt_s"]
    parts = [
        f"{way['frames']} frames, {size(way['bytes'])} in {span(way['seconds'])}, {share:.1%} of it overhead",
        f"{way['handshakes']} of handshakes, {way['ack_only']} ACKs alone, {way['lost']} lost",
        f"{way['open']} not yet acknowledged" if way["open"] else "",
        f"{way['unread']} not read" if way["unread"] else "",
        f"RTT {rtt['median']:.2f} s ({rtt['least']:.2f} to {rtt['most']:.2f})" if rtt else "",
    ]
    return "; ".join(filter(None, parts))


def _is_wanted(seen: FrameSeen | EventSeen, args: argparse.Namespace) -> bool:
    kind = seen.kind if isinstance(seen, EventSeen) else trace.kind_name(seen.kind)
    if args.kind and kind.lower() not in {wanted.lower() for wanted in args.kind}:
        return False
    place = seen.text if isinstance(seen, EventSeen) else seen.bearer
    return not args.bearer or args.bearer in place


def _since_ms(text: str, path: Path) -> int:
    """Return the time that `--since` names."""
    newest_ms = max((seen.time_ms for seen in read(path) if not isinstance(seen, int)), default=0)
    if text[:-1].isdigit() and text[-1:] in _UNITS_S:
        return newest_ms - int(text[:-1]) * _UNITS_S[text[-1]] * 1000
    for form in ("%H:%M:%S", "%H:%M"):
        try:
            parsed = time.strptime(text, form)
        except ValueError:
            continue
        day = time.localtime(newest_ms // 1000)
        at = (*day[:3], parsed.tm_hour, parsed.tm_min, parsed.tm_sec, 0, 0, -1)
        return round(time.mktime(at) * 1000)
    raise UsageError(f"--since {text}: HH:MM, HH:MM:SS, or a span as 90s, 15m, 2h, 1d is wanted")


def _json(seen: FrameSeen | EventSeen) -> str:
    return json.dumps(asdict(seen) | {"type": "event" if isinstance(seen, EventSeen) else "frame"})


def _clock(time_ms: int) -> str:
    local = time.strftime("%H:%M:%S", time.localtime(time_ms // 1000))
    return f"{local}.{time_ms % 1000:03d}"
