"""`--trace FILE`: the option that every command with a link has, and the file behind it.

`feldsher link trace` shows what is in it. Owns nothing that lasts; the file is `node/tracing.py`.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node.clock import SystemClock
from node.disk import RealDisk
from node.entropy import system
from node.tracing import NO_TRACE, Trace, TraceFile
from wire.errors import UsageError

SIZE_MB: Final = 16
SIZE_MB_MAX: Final = 4096


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --trace and --trace-size."""
    parser.add_argument(
        "--trace", type=Path, metavar="FILE", help="keep what goes over the link, without content: for `link trace`"
    )
    parser.add_argument(
        "--trace-size",
        type=int,
        default=SIZE_MB,
        metavar="MB",
        help="of the trace and the one before it, FILE.1, together (%(default)s)",
    )


@contextlib.contextmanager
def tracing(args: argparse.Namespace) -> Iterator[Trace]:
    """Keep a trace in the file of `--trace`, when there is one. Raises UsageError, DiskError when none can be there."""
    if args.trace is None:
        yield NO_TRACE
        return
    if not 1 <= args.trace_size <= SIZE_MB_MAX:
        raise UsageError(f"--trace-size {args.trace_size}: 1 to {SIZE_MB_MAX} MB")
    if args.trace.is_dir() or not args.trace.parent.is_dir():
        raise UsageError(f"--trace {args.trace}: no file can be there")
    with RealDisk(args.trace.parent) as disk:
        trace = TraceFile(disk, args.trace.name, SystemClock(), system, args.trace_size * 1_000_000)
        try:
            yield trace
        finally:
            trace.flush()
            if trace.ended:
                print(f"the trace ended early: {trace.ended}", file=sys.stderr)
