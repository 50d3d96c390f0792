"""`feldsher kit stick init`: make a stick one that kits and gateways carry parcels on."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wire.errors import DeviceError, DiskError, DiskFull, UsageError

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def configure_stick(subparsers: "_Commands") -> None:
    """Add the subcommand."""
    stick = subparsers.add_parser(
        "stick",
        help="make a USB stick one that carries studies to a gateway",
        epilog="example: feldsher kit stick init /media/stick",
    )
    actions = stick.add_subparsers(metavar="ACTION", required=True)
    init = actions.add_parser(
        "init", help="mark the stick; its files are left alone", epilog="example: feldsher kit stick init /media/stick"
    )
    init.add_argument("place", type=Path, metavar="PATH", help="where the stick is mounted")
    init.set_defaults(run=_init)


def _init(args: argparse.Namespace) -> int:
    from node.disk import RealDisk
    from node.stick import FOLDER, mark

    if not args.place.is_dir():
        raise UsageError(f"{args.place}: no folder is here: is the stick mounted?")
    try:
        with RealDisk(args.place) as disk:
            mark(disk)
            free = disk.free()
    except (DiskError, DiskFull, UsageError) as error:
        raise DeviceError(f"{args.place}: cannot be written: {error}") from error
    print(f"{args.place}: the folder {FOLDER}/ is there, {free / 1e6:.0f} MB are free; the stick carries parcels now")
    return 0
