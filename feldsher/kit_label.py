"""`feldsher kit label`: print a label with a patient's or a sample's id, its check digit and a bar code."""

import argparse
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from node.clock import SystemClock
from wire.errors import UsageError

if TYPE_CHECKING:
    from edge.config import LabelPrinter
    from edge.labels import Label

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

CONFIG: Final = "kit.toml"
IDS_MAX: Final = 100


def configure_label(subparsers: "_Commands") -> None:
    """Add the subcommand."""
    label = subparsers.add_parser(
        "label",
        help="print labels with bar codes",
        description="Prints each id with its check digit as Code 128. The printer is [label] of the configuration, or "
        "what is given here.",
        epilog="example: feldsher kit label 1055433 --data D; feldsher kit label 1055433 --printer /dev/usb/lp0 "
        "--scheme mod10",
    )
    label.add_argument("id", nargs="+", help="without prefix and check digit: both are added")
    label.add_argument("--data", type=Path, help=f"data folder; its {CONFIG} says which printer, scheme and prefix")
    label.add_argument("--printer", metavar="PATH", help="/dev/…, /dev/usb/lp0 or tcp://HOST:9100")
    label.add_argument("--language", choices=("escpos", "zpl"), help="what the printer speaks")
    label.add_argument("--scheme", choices=("none", "mod10", "ean13", "mod97", "code39"), help="check digit")
    label.add_argument("--checked", action="store_true", help="the ids have their check digits, which are verified")
    label.add_argument("--text", default="", help="one more line, a name for example")
    label.add_argument("--no-date", action="store_true", help="leave today's date out")
    label.add_argument("--copies", type=int, default=1, help="of each label")
    label.add_argument("--into", type=Path, metavar="FILE", help="write the printer's bytes to a new file instead")
    label.set_defaults(run=run_label)


def run_label(args: argparse.Namespace) -> int:
    """Print; a label that cannot be made is said before anything is printed."""
    from edge import label_printer

    clock = SystemClock()
    chosen, zone = _chosen(args)
    today = datetime.fromtimestamp(clock.time_ms() / 1000, UTC).astimezone(zone)
    date = "" if args.no_date else today.strftime("%Y-%m-%d")
    made = [(one, _bytes(one, chosen)) for one in _labels(args, chosen, date)]
    if args.into is not None:
        _write(args.into, b"".join(data for _, data in made))
        return 0
    with closing(label_printer.open_line(chosen.path, chosen.baud)) as line:
        printer = label_printer.Printer(line, chosen.path, chosen.language, clock.now, chosen.ask)
        for one, data in made:
            printer.put(data)
            print(one.id if chosen.ask else f"{one.id} (sent; the printer was not asked)", flush=True)
    return 0


def _chosen(args: argparse.Namespace) -> "tuple[LabelPrinter, ZoneInfo | None]":
    """Return the printer of the configuration, with what the command line says instead, and the clinic's time zone."""
    from msgspec.structs import replace

    from edge import config, label_printer

    path = args.data / CONFIG if args.data is not None else None
    has_config = path is not None and path.exists()
    kit = config.load(path) if has_config and path is not None else None
    known = kit.label if kit is not None else config.LabelPrinter()
    given = {"path": args.printer, "language": args.language, "scheme": args.scheme}
    chosen = replace(known, **{name: value for name, value in given.items() if value is not None})
    if args.into is None and not chosen.path:
        where = f"{path}: no [label] path" if has_config else "no --printer, and no --data with a configuration"
        raise UsageError(f"{where}: where is the printer?")
    if args.into is None:
        label_printer.check_address(chosen.path)
    return chosen, ZoneInfo(kit.policy.zone) if kit is not None else None


def _labels(args: argparse.Namespace, chosen: "LabelPrinter", date: str) -> "list[Label]":
    from edge import labels

    if len(args.id) > IDS_MAX:
        raise UsageError(f"{len(args.id)} ids: at most {IDS_MAX} at once")
    check = labels.require_checked if args.checked else labels.with_check
    ids = [chosen.prefix + check(one.removeprefix(chosen.prefix), chosen.scheme) for one in args.id]
    return [labels.Label(one, date, args.text, args.copies) for one in ids]


def _bytes(label: "Label", chosen: "LabelPrinter") -> bytes:
    from edge import labels

    if chosen.language == "zpl":
        return labels.zpl(label, chosen.width)
    return labels.escpos(label, chosen.width, chosen.encoding)


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
