"""`feldsher server`: runs the centre and keeps its kits, gateways, users and studies.

Owns nothing. May call: `server`, `provisioning.enrolment`. Each command opens the centre in the data folder, so the
first one ever makes it. All of them but `run` may be used while the centre runs: the database sees to that, and a
revocation counts from the next thing that the revoked node says.
"""

import argparse
import asyncio
import contextlib
import getpass
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

from feldsher import server_worklist, tracing
from node import daemon
from node.claim import claim
from node.tracing import Trace
from provisioning import enrolment
from server.centre import Centre
from server.library import Line
from server.people import ROLES
from wire.errors import UsageError

DATA_DEFAULT: Final = "/var/lib/feldsher/centre"
LISTEN_DEFAULT: Final = "127.0.0.1:8080"
CONNECTIONS_MAX: Final = 500
KEEP_ALIVE_S: Final = 15
STOP_S_MAX: Final = 5
WATCHDOG_S: Final = 5

EXAMPLES: Final = {
    "run": "--listen 127.0.0.1:8080 --link udp://0.0.0.0:7700 --link tcp://0.0.0.0:7700",
    "user add": "olena --role doctor --zone Europe/Kyiv",
    "user passwd": "olena",
    "user disable": "olena",
    "kit add": "van-1 --out van-1.toml",
    "kit revoke": "van-1",
    "gateway add": "north --listen udp://0.0.0.0:7700 --url udp://gw.example.org:7700 --server tcp://c.example.org:7700",
    "gateway revoke": "north",
    **server_worklist.EXAMPLES,
    "study list": "--json",
    "study show": "8a0f3c",
    "study export": "8a0f3c --into study-8a0f3c",
}

Command = Callable[[Centre, argparse.Namespace], Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(dest="server_command", metavar="COMMAND", required=True)
    run = _command(commands, "run", _run, "serve the web pages and the link until stopped")
    run.add_argument("--listen", default=LISTEN_DEFAULT, metavar="ADDR:PORT", help="of the web pages (%(default)s)")
    run.add_argument(
        "--link", action="append", default=[], metavar="URL", help="udp://ADDR:PORT or tcp://…; repeatable"
    )
    tracing.add_options(run)
    _command(commands, "migrate", _with(_migrate), "bring the database to the newest schema (every start does)")
    _configure_users(commands)
    _configure_kits(commands)
    _configure_gateways(commands)
    _configure_worklists(commands)
    _configure_studies(commands)


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:  # noqa: ANN401
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    words = parser.prog.partition(" server ")[2]
    parser.epilog = f"example: feldsher server {words} {EXAMPLES.get(words, '')}".rstrip()
    default = os.environ.get("FELDSHER_CENTRE", DATA_DEFAULT)
    parser.add_argument("--data", type=Path, default=Path(default), metavar="DIR", help="the data folder (%(default)s)")
    parser.add_argument("--database", default="", metavar="URL", help="another database than DIR/centre.db")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def _group(commands: Any, name: str, text: str) -> Any:  # noqa: ANN401 - argparse has no public name for it
    words = next(words for words in EXAMPLES if words.startswith(f"{name} "))
    example = f"example: feldsher server {words} {EXAMPLES[words]}"
    parser = commands.add_parser(name, help=text, description=text, epilog=example)
    return parser.add_subparsers(dest=f"{name}_command", metavar="ACTION", required=True)


def _configure_users(commands: Any) -> None:  # noqa: ANN401
    group = _group(commands, "user", "who may look at the pages")
    add = _command(group, "add", _with(_user_add), "make a user; asks for the password")
    add.add_argument("name")
    add.add_argument("--role", choices=ROLES, default=ROLES[0], help="an admin sees the office too")
    add.add_argument("--zone", default="UTC", help="time zone in which times are shown (%(default)s)")
    _command(group, "list", _with(_user_list), "list the users")
    passwd = _command(group, "passwd", _with(_user_passwd), "give a user a new password")
    passwd.add_argument("name")
    for parser in (add, passwd):
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the password from the first line of input"
        )
    _command(group, "disable", _with(_user_disable), "let a user in no longer").add_argument("name")


def _configure_kits(commands: Any) -> None:  # noqa: ANN401
    group = _group(commands, "kit", "the kits in the vans")
    add = _command(group, "add", _with(_kit_add), "enrol a kit: makes its keys and the one file to put on it")
    add.add_argument("name")
    add.add_argument("--out", type=Path, metavar="FILE", help="the enrolment file (NAME.toml)")
    add.add_argument("--gateway", action="append", default=[], metavar="NAME", help="only these gateways; repeatable")
    _command(group, "list", _with(_kit_list), "list the kits")
    _command(group, "revoke", _with(_kit_revoke), "refuse a kit from now on").add_argument("name")


def _configure_gateways(commands: Any) -> None:  # noqa: ANN401
    group = _group(commands, "gateway", "the ground stations")
    add = _command(group, "add", _with(_gateway_add), "enrol a gateway: makes its keys and the one file to put on it")
    add.add_argument("name")
    add.add_argument("--out", type=Path, metavar="FILE", help="the enrolment file (NAME.toml)")
    add.add_argument("--listen", action="append", required=True, metavar="URL", help="where it listens; repeatable")
    add.add_argument("--server", action="append", required=True, metavar="URL", help="where it finds this centre")
    add.add_argument("--url", action="append", default=[], metavar="URL", help="where kits find it, if not as --listen")
    _command(group, "list", _with(_gateway_list), "list the gateways")
    _command(group, "revoke", _with(_gateway_revoke), "refuse a gateway from now on").add_argument("name")


def _configure_worklists(commands: Any) -> None:  # noqa: ANN401
    group = _group(commands, "worklist", "whom and what a kit is to expect on a day")

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        parser = _command(group, name, _with(command), text)
        parser.set_defaults(actor=_actor())
        return parser

    server_worklist.configure(add)


def _configure_studies(commands: Any) -> None:  # noqa: ANN401
    group = _group(commands, "study", "what has arrived")
    listing = _command(group, "list", _with(_study_list), "list the studies, the newest change first")
    listing.add_argument("--qc", action="store_true", help="quality control instead of patients' studies")
    listing.add_argument("--page", type=int, default=0, help="further back, 50 at a time")
    _command(group, "show", _with(_study_show), "show what a study says").add_argument("study", metavar="ID")
    export = _command(group, "export", _with(_study_export), "write a study's file and all that is in it")
    export.add_argument("study", metavar="ID")
    export.add_argument("--into", type=Path, required=True, metavar="DIR", help="a new folder")
    _command(group, "check", _with(_study_check), "read every stored file and compare it with its digest")


@contextlib.contextmanager
def _opened(args: argparse.Namespace) -> Iterator[Centre]:
    with Centre.open(args.data, args.database) as centre:
        yield centre


def _with(command: Command) -> Callable[[argparse.Namespace], int]:
    """Return the runner: opens the centre, runs `command`, prints what it returns, as text or JSON."""

    def run(args: argparse.Namespace) -> int:
        with _opened(args) as centre:
            answer = command(centre, args)
        if args.json:
            print(json.dumps(answer, ensure_ascii=False, indent=2, default=str))
        else:
            _print_text(answer)
        return 74 if isinstance(answer, dict) and answer.get("damaged_files") else 0

    return run


def _print_text(answer: Any) -> None:  # noqa: ANN401
    for row in answer if isinstance(answer, list) else [answer]:
        if isinstance(row, dict):
            print("  ".join(f"{name}={_short(value)}" for name, value in row.items() if value not in (None, "", [])))
        else:
            print(row)
    if answer == []:
        print("none")


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else str(value)


def _actor() -> str:
    """Return who is at the keyboard, for the record of events."""
    return f"shell:{getpass.getuser()}"


def _migrate(centre: Centre, _args: argparse.Namespace) -> dict[str, Any]:
    have, want = centre.database.revision()
    return {"schema": have, "wanted": want}


def _password(args: argparse.Namespace) -> str:
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask for the password on: use --password-stdin")
    password = getpass.getpass(f"Password for {args.name}: ")
    if getpass.getpass("Once more: ") != password:
        raise UsageError("the two passwords differ")
    return password


def _user_add(centre: Centre, args: argparse.Namespace) -> dict[str, Any]:
    user = centre.people.add(args.name, _password(args), args.role, args.zone, _actor())
    return {"name": user.name, "role": user.role, "zone": user.zone}


def _user_list(centre: Centre, _args: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        {"name": user.name, "role": user.role, "zone": user.zone, "disabled": user.disabled_ms is not None}
        for user in centre.people.users()
    ]


def _user_passwd(centre: Centre, args: argparse.Namespace) -> dict[str, Any]:
    centre.people.set_password(args.name, _password(args), _actor())
    return {"name": args.name, "password": "changed"}


def _user_disable(centre: Centre, args: argparse.Namespace) -> dict[str, Any]:
    centre.people.disable(args.name, _actor())
    return {"name": args.name, "disabled": True}


def _kit_add(centre: Centre, args: argparse.Namespace) -> dict[str, Any]:
    out = args.out or Path(f"{args.name}.toml")
    kit = enrolment.add_kit(centre, args.name, out, args.gateway, _actor())
    if not any(not one.revoked for one in centre.peers.gateways()):
        note = "there is no gateway yet: with this file a kit captures one device to try it, and does not run"
        print(f"feldsher: {note}", file=sys.stderr)
    return {"name": kit.name, "file": str(out), "link_public": kit.link_public.hex()}


def _kit_list(centre: Centre, _args: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        {"name": kit.name, "revoked": kit.revoked, "created_ms": kit.created_ms, "link_public": kit.link_public.hex()}
        for kit in centre.peers.kits()
    ]


def _kit_revoke(centre: Centre, args: argparse.Namespace) -> dict[str, Any]:
    kit = centre.peers.revoke_kit(args.name, _actor())
    return {"name": kit.name, "revoked": True, "revoked_ms": kit.revoked_ms}


def _gateway_add(centre: Centre, args: argparse.Namespace) -> dict[str, Any]:
    out = args.out or Path(f"{args.name}.toml")
    gateway = enrolment.add_gateway(centre, args.name, out, args.listen, args.server, args.url, _actor())
    return {"name": gateway.name, "file": str(out), "urls": list(gateway.urls)}


def _gateway_list(centre: Centre, _args: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "revoked": one.revoked, "urls": list(one.urls), "link_public": one.link_public.hex()}
        for one in centre.peers.gateways()
    ]


def _gateway_revoke(centre: Centre, args: argparse.Namespace) -> dict[str, Any]:
    gateway = centre.peers.revoke_gateway(args.name, _actor())
    return {"name": gateway.name, "revoked": True, "revoked_ms": gateway.revoked_ms}


def _study_list(centre: Centre, args: argparse.Namespace) -> list[dict[str, Any]]:
    from server import export
    from server.library import PAGE_SIZE

    lines = centre.library.lines(qc=args.qc, page=max(0, args.page))[:PAGE_SIZE]
    return [_line(line) | {"flags": export.flags(line)} for line in lines]


def _line(line: Line) -> dict[str, Any]:
    return {
        "study": line.study,
        "state": "received" if line.received else "announced",
        "kit": line.kit,
        "form": line.form,
        "patient": line.patient,
        "closed_ms": line.closed_ms,
        "received_ms": line.received_ms,
        "size": line.size,
        "digest": line.digest,
    }


def _find(centre: Centre, args: argparse.Namespace) -> Line:
    from server.database import Event

    found = centre.library.find(args.study)
    centre.library.look(centre.clock, Event(f"look {args.study_command}", _actor(), found.study))
    return found


def _study_show(centre: Centre, args: argparse.Namespace) -> dict[str, Any]:
    from server import export

    line = _find(centre, args)
    return export.study_tree(line, centre.library.reading(line))


def _study_export(centre: Centre, args: argparse.Namespace) -> dict[str, Any]:
    from server import unpacking

    line = _find(centre, args)
    return {"study": line.study, "into": str(args.into), "files": unpacking.unpack(centre, line, args.into)}


def _study_check(centre: Centre, _args: argparse.Namespace) -> dict[str, Any]:
    checked = list(centre.files.check())
    missing = [digest for digest in centre.library.digests() if not centre.files.has(digest)]
    damaged = [digest for digest, sound in checked if not sound] + missing
    return {"files": len(checked), "damaged_files": damaged}


def _run(args: argparse.Namespace) -> int:
    host, port = _address(args.listen)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    with _opened(args) as centre, claim(args.data), tracing.tracing(args) as trace:
        if not centre.people.users():
            print("feldsher: nobody can log in yet: feldsher server user add NAME", file=sys.stderr)
        asyncio.run(_serve(centre, host, port, args.link, trace))
    return 0


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 0xFFFF:
        raise UsageError(f"--listen {text}: ADDR:PORT is wanted, for example {LISTEN_DEFAULT}")
    return host.strip("[]"), int(port)


async def _serve(centre: Centre, host: str, port: int, urls: list[str], trace: Trace) -> None:
    """Run web pages and link side by side until a signal, or until one of them fails."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    parts: list[Coroutine[Any, Any, Any]] = [_serve_pages(centre, host, port), stopped.wait(), _tell_systemd()]
    if urls:
        from server.kernel import start

        parts += [start(centre, urls, trace), daemon.keep_flushed(trace)]
    tasks = [asyncio.ensure_future(part) for part in parts]
    done, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        task.cancel()
    await asyncio.wait(running, timeout=STOP_S_MAX)
    for task in done:
        task.result()


async def _tell_systemd() -> None:
    """Say that the centre is there, and go on saying it as long as the loop turns."""
    daemon.tell_systemd("READY=1")
    while True:
        daemon.tell_systemd("WATCHDOG=1")
        await asyncio.sleep(WATCHDOG_S)


async def _serve_pages(centre: Centre, host: str, port: int) -> None:
    import uvicorn

    from server.app import build_app

    config = uvicorn.Config(
        build_app(centre),
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        lifespan="off",
    )
    try:
        listener = socket.create_server((host, port), family=_family(host))
    except OSError as error:
        raise UsageError(f"--listen {host}:{port}: cannot listen there: {error.strerror}") from error

    class Server(uvicorn.Server):
        """Uvicorn's, with the signals left to us."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    server = Server(config)
    here = listener.getsockname()
    print(f"feldsher: pages at http://{host}:{here[1]}/", file=sys.stderr, flush=True)
    with listener:
        try:
            await server.serve(sockets=[listener])
        except asyncio.CancelledError:
            server.should_exit = True
            await server.shutdown(sockets=[listener])
            raise


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
