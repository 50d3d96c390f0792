"""`feldsher server worklist`: the day's list of a kit, from a CSV file to the kit. Owns nothing; may call `server`.

The file's first line names its columns, of which `patient` is needed and `name`, `birth`, `sex`, `sample`, `tests` may
be there, in any order; tests of one sample stand in one cell with blanks between them. UTF-8, with comma or semicolon.
A file with any mistake changes nothing: every mistake is told with its line.
"""

import argparse
import csv
import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wire.errors import UsageError
from wire.worklist import ORDERS_MAX, Order, faults_of

if TYPE_CHECKING:
    from server.centre import Centre
    from server.worklists import Listed

COLUMNS: Final = ("patient", "name", "birth", "sex", "sample", "tests")
FILE_SIZE_MAX: Final = 1 << 20
FAULTS_SHOWN: Final = 20
KEEP_H: Final = 12
KEEP_H_MAX: Final = 72
EXAMPLES: Final = {
    "worklist set": "van-1 --day 2026-11-23 --zone Europe/Kyiv list.csv",
    "worklist list": "van-1",
    "worklist show": "van-1 --day 2026-11-23",
    "worklist withdraw": "van-1 --day 2026-11-23",
}

Command = Callable[["Centre", argparse.Namespace], Any]
Adder = Callable[[str, Command, str], argparse.ArgumentParser]


def configure(add: Adder) -> None:
    """Add the actions; `add` makes the parser of one."""
    put = add("set", _set, "give a kit its list for a day, in the place of the one before")
    put.add_argument("kit")
    put.add_argument("file", type=Path, help="CSV with the columns " + ", ".join(COLUMNS) + "; - reads standard input")
    put.add_argument("--zone", default="UTC", help="time zone in which the day ends (%(default)s)")
    put.add_argument(
        "--keep-h",
        type=int,
        default=KEEP_H,
        metavar="HOURS",
        help="the kit erases the list so long after the day's end (%(default)s)",
    )
    add("list", _list, "which lists there are, and how far each has come").add_argument("kit", nargs="?", default="")
    show = add("show", _show, "show the list of a day, line by line")
    show.add_argument("kit")
    withdraw = add("withdraw", _withdraw, "take the list of a day back: the kit erases it")
    withdraw.add_argument("kit")
    for parser in (put, show, withdraw):
        parser.add_argument("--day", required=True, metavar="YYYY-MM-DD", help="which day")


def read_csv(text: str, source: str) -> list[Order]:
    """Return the lines of a list. Raises UsageError that names every mistake with its line."""
    head = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True)
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        _require_columns(names, source)
        read = [(rows.line_num, row) for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UsageError(f"{source}: line {rows.line_num}: {error}") from error
    if len(read) > ORDERS_MAX:
        raise UsageError(f"{source}: {len(read)} lines; at most {ORDERS_MAX} for a day")
    wrong = [
        f"line {number}: {len(row)} cells; the heading has {len(names)}"
        for number, row in read
        if len(row) != len(names)
    ]
    if not wrong:
        orders = [_order(dict(zip(names, (cell.strip() for cell in row), strict=True))) for _, row in read]
        wrong = [f"line {read[at][0]}: {reason}" for at, reason in faults_of(orders)]
    if wrong:
        more = f"; and {len(wrong) - FAULTS_SHOWN} more" if len(wrong) > FAULTS_SHOWN else ""
        raise UsageError(f"{source}: nothing was changed: {'; '.join(wrong[:FAULTS_SHOWN])}{more}")
    return orders


def _require_columns(names: list[str], source: str) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or "patient" not in names or len(set(names)) < len(names):
        raise UsageError(f"{source}: its first line names columns of: {', '.join(COLUMNS)}; patient is needed")


def _order(cells: dict[str, str]) -> Order:
    texts = {name: cells.get(name, "") for name in COLUMNS[:-1]}
    return Order(**texts, tests=tuple(cells.get("tests", "").split()))


def _until_ms(args: argparse.Namespace) -> int:
    if not 0 <= args.keep_h <= KEEP_H_MAX:
        raise UsageError(f"--keep-h {args.keep_h}: 0 to {KEEP_H_MAX}")
    try:
        zone = ZoneInfo(args.zone)
        begins = datetime.strptime(args.day, "%Y-%m-%d").replace(tzinfo=zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UsageError(f"--day {args.day} --zone {args.zone}: {error}") from error
    ends = (begins + timedelta(days=1)).astimezone(UTC)  # the next midnight on the wall, be the day 23 or 25 hours
    return round((ends + timedelta(hours=args.keep_h)).timestamp() * 1000)


def _text_of(path: Path) -> str:
    try:
        data = sys.stdin.buffer.read(FILE_SIZE_MAX + 1) if str(path) == "-" else _read(path)
        if len(data) > FILE_SIZE_MAX:
            raise UsageError(f"{path}: more than {FILE_SIZE_MAX} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8, from byte {error.start} on: save it as UTF-8") from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_SIZE_MAX + 1)


def _set(centre: "Centre", args: argparse.Namespace) -> dict[str, Any]:
    orders = read_csv(_text_of(args.file), str(args.file))
    return _line(centre.worklists.put(args.kit, args.day, orders, _until_ms(args), args.actor))


def _list(centre: "Centre", args: argparse.Namespace) -> list[dict[str, Any]]:
    return [_line(one) for one in centre.worklists.lists(args.kit)]


def _show(centre: "Centre", args: argparse.Namespace) -> list[dict[str, Any]]:
    for one in centre.worklists.lists(args.kit):
        if one.day == args.day:
            return [
                {name: getattr(line, name) for name in COLUMNS[:-1]} | {"tests": list(line.tests)}
                for line in one.orders
            ]
    raise UsageError(f"kit {args.kit} has no list for {args.day[:20]!r}")


def _withdraw(centre: "Centre", args: argparse.Namespace) -> dict[str, Any]:
    centre.worklists.withdraw(args.kit, args.day, args.actor)
    return {"kit": args.kit, "day": args.day, "withdrawn": True}


def _line(one: "Listed") -> dict[str, Any]:
    return {
        "kit": one.kit,
        "day": one.day,
        "lines": len(one.orders),
        "patients": len({line.patient for line in one.orders}),
        "until": datetime.fromtimestamp(one.until_ms / 1000, UTC).isoformat(),
        "state": one.state,
        "by": one.actor,
    }
