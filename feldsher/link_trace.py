"""`feldsher link trace FILE`: what went over a link, frame by frame, as a trace of `--trace` kept it."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from wire import trace
from wire.errors import FormatError, UsageError
from wire.stream import StreamReader, Verdict
from wire.trace import EventSeen, FrameSeen

CHUNK_SIZE = 1 << 16


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="what `--trace FILE` wrote, or the FILE.1 before it")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--follow", action="store_true", help="go on as the file grows, until Ctrl-C")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the trace. What is damaged is skipped and counted; exit code 65 when something was."""
    lost = 0
    try:
        for seen in read(args.file, follow=args.follow):
            if isinstance(seen, int):
                lost += seen
            elif args.json:
                print(json.dumps(asdict(seen) | {"type": "event" if isinstance(seen, EventSeen) else "frame"}))
            else:
                print(f"{_clock(seen.time_ms)} {trace.text(seen)}")
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    if lost:
        print(f"{args.file}: {lost} bytes could not be read", file=sys.stderr)
        return FormatError.exit_code
    return 0


def read(path: Path, *, follow: bool = False) -> Iterator[FrameSeen | EventSeen | int]:
    """Give every entry of the trace, and the sizes of what is lost. Raises UsageError, FormatError."""
    reader, is_trace = StreamReader(), False
    try:
        with path.open("rb") as file:
            while True:
                data = file.read(CHUNK_SIZE)
                if not data and follow:
                    time.sleep(0.5)
                    continue
                for found in reader.feed(data) if data else reader.finish():
                    if found.verdict is Verdict.LOST:
                        yield found.size
                        continue
                    entry = trace.decode(found.tag) if found.tag else None
                    is_trace = is_trace or entry is not None
                    if entry is not None:
                        yield entry
                if not data:
                    break
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if not is_trace:
        raise FormatError(f"{path}: no trace of a link")


def _clock(time_ms: int) -> str:
    local = time.strftime("%H:%M:%S", time.localtime(time_ms // 1000))
    return f"{local}.{time_ms % 1000:03d}"
