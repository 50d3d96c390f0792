"""How a node is enrolled: the file that the centre made is put into its data folder. Kit and gateway do it alike.

What is there already is never written over: it holds the only copies of a node's secrets. May call: `node.secret`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from wire.errors import UsageError

ENROLMENT: Final = "enrolment.toml"


class Enrolment(Protocol):
    """What is asked of an enrolment here."""

    @property
    def name(self) -> str: ...


def enrol(args: argparse.Namespace, load: Callable[[Path], Enrolment], node: str) -> int:
    """Put `args.file` into `args.data`. Raises ConfigError for a file that is no enrolment of a `node`, UsageError."""
    from node.secret import write_secret

    enrolment, target = load(args.file), args.data / ENROLMENT
    if target.exists():
        there = load(target).name
        raise UsageError(f"{args.data}: {node} {there} is enrolled here already; its {ENROLMENT} is left as it is")
    try:
        args.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{args.data}: no data folder can be here: {error.strerror}") from error
    write_secret(target, args.file.read_text())
    print(f"this is {node} {enrolment.name} now; remove {args.file} from wherever it travelled: it holds secrets")
    return 0
