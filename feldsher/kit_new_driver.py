"""`feldsher kit new-driver`: the beginnings of a driver as a package of its own, which installs and passes its tests.

Copies `feldsher.skeleton` under another name into a folder that is made for it; writes nowhere else.
"""

import argparse
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from wire.errors import UsageError

NAME: Final = re.compile(r"[a-z][a-z0-9]{1,31}")
TEMPLATE: Final = "mydevice"
RENAMED: Final = {"package.toml": "pyproject.toml"}
LEFT_OUT: Final = frozenset({"__init__.py", "__pycache__"})


def configure(subparsers: Any) -> None:  # noqa: ANN401  argparse's own class has no public name
    """Add `new-driver`."""
    parser = subparsers.add_parser(
        "new-driver",
        help="begin a driver in a package of its own",
        description="Makes DIR with a small driver, its entry point, a recording and the tests that every driver must "
        "pass. It works as it is; then make it yours (docs/add-a-driver.md).",
        epilog="example: feldsher kit new-driver thermoscan ./feldsher-driver-thermoscan",
    )
    parser.add_argument("name", metavar="NAME", help="of the driver: 2 to 32 small letters and digits")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that is not there yet")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the folder."""
    from edge import registry

    if not NAME.fullmatch(args.name):
        raise UsageError(f"{args.name!r}: a driver's name is 2 to 32 small letters and digits, a letter first")
    if args.name in registry.names():
        raise UsageError(f"{args.name!r}: there is such a driver already")
    if find_spec(args.name) is not None:
        raise UsageError(
            f"{args.name!r}: Python has a module of that name, and the driver's would take its place; choose another"
        )
    try:
        args.folder.mkdir(parents=True)
        for source in files("feldsher.skeleton").iterdir():
            if source.name not in LEFT_OUT:
                name = RENAMED.get(source.name, source.name).replace(TEMPLATE, args.name)
                text = source.read_text("utf-8").replace(TEMPLATE, args.name).replace(TEMPLATE.upper(), args.name)
                (args.folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{args.folder}: cannot be made: {error.strerror}") from error
    print(
        f"{args.folder}: `pip install -e {args.folder}`, then `pytest {args.folder}`; its README.md says what is next"
    )
    return 0
