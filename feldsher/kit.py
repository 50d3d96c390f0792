"""`feldsher kit`: put an enrolment on the kit, run it, see what it does, take its studies out by hand."""

import argparse
import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from feldsher import (
    enrolling,
    kit_devices,
    kit_import,
    kit_inbox,
    kit_label,
    kit_links,
    kit_new_driver,
    kit_record,
    kit_replay,
    kit_stick,
    kit_store,
    kit_worklist,
    port_lines,
    tracing,
    watching,
)
from feldsher.enrolling import ENROLMENT
from wire.errors import ConfigError, FeldsherError, UsageError

CONFIG: Final = "kit.toml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    subparsers = parser.add_subparsers(metavar="WHAT", required=True)
    enrol = subparsers.add_parser(
        "enrol",
        help="put the file that the centre made on this kit",
        epilog="example: feldsher kit enrol van-3.toml --data D",
    )
    enrol.add_argument("file", type=Path, help="made at the centre by `feldsher server kit add`")
    enrol.add_argument("--data", type=Path, required=True, help="the kit's data folder, made when missing")
    enrol.set_defaults(run=_enrol)
    run = subparsers.add_parser(
        "run", help="run until SIGTERM", epilog="example: feldsher kit run --data /var/lib/feldsher"
    )
    run.add_argument("--data", type=Path, required=True, help=f"data folder; holds {ENROLMENT} and {CONFIG}")
    run.add_argument("--config", type=Path, help=f"instead of {CONFIG} in the data folder")
    run.add_argument("--verbose", action="store_true", help="log every commit and every bearer")
    tracing.add_options(run)
    run.set_defaults(run=_run)
    status = subparsers.add_parser(
        "status", help="LEDs, devices, link, studies", epilog="example: feldsher kit status --data D --watch"
    )
    status.add_argument("--data", type=Path, required=True, help="the kit's data folder")
    watching.add_options(status)
    status.set_defaults(run=_status)
    selftest = subparsers.add_parser(
        "selftest",
        help="check enrolment, configuration, card and ports",
        epilog="example: feldsher kit selftest --data D",
    )
    selftest.add_argument("--data", type=Path, required=True, help="the data folder of a kit that does not run")
    selftest.add_argument("--json", action="store_true", help="one JSON list, for programs")
    selftest.set_defaults(run=_selftest)
    export = subparsers.add_parser(
        "export",
        help="copy the sealed studies out, to be carried by hand",
        epilog="example: feldsher kit export --data D --into /media/stick",
    )
    export.add_argument("--data", type=Path, required=True, help="the kit's data folder; the kit may run")
    export.add_argument("--into", type=Path, required=True, help="a folder; what is there already is left alone")
    export.set_defaults(run=_export)
    kit_links.configure_links(subparsers)
    kit_import.configure_import(subparsers)
    kit_inbox.configure_inbox(subparsers)
    kit_label.configure_label(subparsers)
    kit_stick.configure_stick(subparsers)
    kit_store.configure_store(subparsers)
    kit_worklist.configure_worklist(subparsers)
    kit_devices.configure_devices(subparsers)
    kit_devices.configure_capture(subparsers)
    kit_record.configure(subparsers)
    kit_replay.configure(subparsers)
    kit_new_driver.configure(subparsers)


def _enrol(args: argparse.Namespace) -> int:
    from node.enrolment import load_kit

    return enrolling.enrol(args, load_kit, "kit")


def _run(args: argparse.Namespace) -> int:
    from edge import config, daemon
    from node.claim import claim
    from node.daemon import start_log
    from node.enrolment import load_kit

    start_log(verbose=args.verbose)
    path = args.config or args.data / CONFIG
    kit = config.load(path)
    enrolment = load_kit(args.data / ENROLMENT)
    with claim(args.data), tracing.tracing(args) as trace:
        asyncio.run(daemon.run(kit, enrolment, args.data, config.load_secrets(kit, path), trace))
    return 0


def _status(args: argparse.Namespace) -> int:
    return watching.show(args, lambda: watching.read(args.data, "kit"), _lines)


def _lines(status: dict[str, Any]) -> list[str]:
    held = status["objects"]
    lines = [*watching.silence(status, "the kit"), f"kit {status['name']}"]
    lines += [f"  LED {led:<7}{rhythm:<8}{means}" for led, (rhythm, means) in status["leds"].items()]
    lines += port_lines.port_lines(status["ports"], status.get("devices", {}))
    label = "a label is in force" if status["label_scanned"] else "no label is in force"
    lines += [f"  clock: {_clock(clock)}"] if (clock := status.get("clock")) else []
    lines += [f"  worklist of {day}: {count} lines" for day, count in status.get("worklist", [])]
    lines.append(f"  patient: {label}; studies being captured: {status['capturing']}")
    lines.append(
        f"  objects: {held['spool']} to send, {held['custody']} with the gateway, {held['received']} at the centre, "
        f"{held['refused']} refused"
    )
    lines += [f"  {line}" for line in kit_inbox.brief(status.get("inboxes", []))]
    lines += watching.study_lines(status["studies"])
    lines.append(f"  gateway {status['gateway']}: {_link(status)}")
    if status.get("links"):
        lines.append(f"  {kit_links.brief(status['links'])}")
    if status["disk_failed"]:
        lines.append("  the card has failed: nothing is taken until it works again")
    return lines


def _clock(clock: Mapping[str, Any]) -> str:
    match clock["source"]:
        case "none":
            return "nobody tells the kit the time"
        case "rtc":
            return "from its battery; nobody tells the kit the time"
        case source:
            by = "GPS" if source == "gps" else "the network"
            return f"{clock['offset_ms'] / 1000:+.1f} s from {by}, within {clock['error_ms'] / 1000:.1f} s"


def _link(status: dict[str, Any]) -> str:
    if status["denied"]:
        return "does not let this kit in: its key is not known there, or was revoked; studies are kept"
    return watching.link_line(status["link"])


def _selftest(args: argparse.Namespace) -> int:
    from node.claim import claim

    with claim(args.data):  # a running kit holds its ports: better one clear word than a failure for each
        checks = list(_selftest_checks(args.data))
    if args.json:
        print(json.dumps([{"check": what, "ok": not code, "error": error} for what, code, error in checks]))
    else:
        for what, code, error in checks:
            print(f"FAILED  {what}: {error}" if code else f"ok      {what}")
    return next((code for _, code, _ in checks if code), 0)


def _selftest_checks(data: Path) -> Iterator[tuple[str, int, str]]:
    """Yield (what was checked, exit code of the failure or 0, what is wrong)."""
    from edge import config
    from edge.daemon import line_of
    from edge.ports import try_open
    from edge.way_checks import check_place, way_checks
    from node.enrolment import load_kit

    yield _tried("enrolment", lambda: _try_enrolment(data / ENROLMENT))
    yield _tried("card: write, fsync, rename, remove", lambda: _try_card(data))
    yield _tried("configuration", lambda: config.load(data / CONFIG))
    with contextlib.suppress(ConfigError):
        kit = config.load(data / CONFIG)
        for port in kit.port:
            what = f"port {port.name} ({port.path})"
            yield _tried(what, lambda port=port: try_open(port.path, line_of(port)))  # type: ignore[misc]  # mypy does not infer a lambda with a default
        for inbox in kit.inbox:
            yield _tried(f"inbox {inbox.name} ({inbox.path})", lambda inbox=inbox: check_place(Path(inbox.path)))  # type: ignore[misc]  # as above
        gateways = [one.name for one in load_kit(data / ENROLMENT).gateways]
        for what, test in way_checks(kit, config.load_secrets(kit, data / CONFIG), gateways):
            yield _tried(what, test)


def _tried(what: str, test: Callable[[], object]) -> tuple[str, int, str]:
    try:
        test()
    except FeldsherError as error:
        return what, error.exit_code, str(error)
    return what, 0, ""


def _try_enrolment(path: Path) -> None:
    from node.enrolment import load_kit

    if not load_kit(path).gateways:
        why = "it names no gateway, and no kit runs without: add a gateway at the centre, then this kit anew"
        raise ConfigError(f"{path}: {why}")


def _try_card(data: Path) -> None:
    from node.disk import RealDisk, put_file

    with RealDisk(data) as disk:
        put_file(disk, "selftest", bytes(4096))
        disk.remove("selftest")


def _export(args: argparse.Namespace) -> int:
    if not args.data.is_dir():
        raise UsageError(f"{args.data}: no data folder is here")
    copied = 0
    for state in ("spool", "custody", "received", "refused"):
        for path in sorted((args.data / state).glob("*.study")):
            target = args.into / path.name
            if target.exists():
                continue
            try:
                args.into.mkdir(parents=True, exist_ok=True)
                beside = target.with_name(f".{target.name}.new")
                shutil.copyfile(path, beside)
                beside.rename(target)
            except OSError as error:
                raise UsageError(f"{target}: cannot be written: {error.strerror}") from error
            copied += 1
    print(f"{copied} studies copied to {args.into}; they are sealed: only the centre can open them")
    return 0
