"""`feldsher tags`: any tag file shown, checked, repaired, taken apart; and a sample to try readers with.

Exit codes: 0 all sound, or done · 64 a file that is not there or would be overwritten · 65 something in the file is not
sound, or it is no tag file; `check` prints what it finds before it says so. A signature at the end does not count: it
is for its key to prove.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from feldsher.sample import TAGS_MIN, sample
from feldsher.tagfile import (
    DEPTH_MAX,
    Exporter,
    Repair,
    TagFile,
    create_file,
    describe,
    inner_tags,
    open_file,
    sync_file,
)
from wire import kinds
from wire.checks import STREAM_ID_SIZE
from wire.errors import FeldsherError, FormatError, UsageError
from wire.stream import Found, Verdict
from wire.tag import CONTINUED, SEALED, Tag

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace], int]

NOT_SOUND: Final = FormatError.exit_code
EXIT_CODES: Final = "exit code: 0 all sound; 64 no such file; 65 something is not sound, or it is no tag file"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = _command(commands, "show", "print the tree of tags", "feldsher tags show data/spool/5-8a0f.study", show_file)
    show.add_argument("--depth", type=int, default=DEPTH_MAX, help=f"levels of containers (default {DEPTH_MAX})")
    check = _command(
        commands,
        "check",
        "say of each tag whether it is sound, unproven or lost",
        "feldsher tags check --json FILE",
        check_file,
    )
    check.add_argument("--json", action="store_true", help="one JSON object")
    repair = _command(
        commands,
        "repair",
        "write what is sound into a new file",
        "feldsher tags repair BROKEN --out WHOLE",
        repair_file,
    )
    repair.add_argument("--out", type=Path, required=True, metavar="NEW", help="the new file; must not exist")
    repair.add_argument("--unproven", action="store_true", help="keep what looks like a tag but is not proven, too")
    repair.add_argument("--json", action="store_true", help="the report as one JSON object")
    export = _command(
        commands,
        "export",
        "write the data of tags as files",
        "feldsher tags export FILE --tag 7 --into out",
        export_file,
    )
    which = export.add_mutually_exclusive_group(required=True)
    which.add_argument("--tag", type=int, metavar="N", help="the tag with this number in `tags check`")
    which.add_argument("--all", action="store_true", help="every sound tag but CHECKs")
    export.add_argument("--into", type=Path, required=True, metavar="DIR", help="made when it is not there")
    for command in (show, check, repair, export):
        command.add_argument("--id", type=_stream_id, help="the stream's id, 32 hex digits, where START is damaged")
    _configure_sample(commands)


def _configure_sample(commands: Commands) -> None:
    make = _command(
        commands,
        "sample",
        "write a sound file to try readers with",
        "feldsher tags sample FILE --tags 300 --seed 1",
        sample_file,
    )
    make.add_argument("--tags", type=int, default=300, help=f"top-level tags, at least {TAGS_MIN} (default 300)")
    make.add_argument("--seed", type=int, default=1, help="the same seed gives the same bytes (default 1)")
    make.add_argument("--small", action="store_true", help="no tags over 64 KiB")


def _command(commands: Commands, name: str, summary: str, example: str, run: Run) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example: {example}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.set_defaults(run=run)
    return parser


def _stream_id(text: str) -> bytes:
    try:
        stream_id = bytes.fromhex(text)
    except ValueError:
        stream_id = b""
    if len(stream_id) != STREAM_ID_SIZE:
        raise argparse.ArgumentTypeError(f"{text!r} is not {2 * STREAM_ID_SIZE} hex digits")
    return stream_id


def show_file(args: argparse.Namespace) -> int:
    """Print one line for each tag, containers with what is in them."""
    file = TagFile(args.file, args.id)
    for number, found in enumerate(file):
        print(f"{number:6} {_line(found)}")
        tag = found.tag
        if tag:
            _show_inner(tag, 1, args.depth)
    file.must_have_tags()
    return 0 if file.totals.sound else NOT_SOUND


def _line(found: Found) -> str:
    tag = found.tag
    if tag is None:
        return f"{found.offset:10} {found.size:8} LOST {found.note}".rstrip()
    mark = "" if found.verdict is Verdict.SOUND else "  UNPROVEN"
    return f"{found.offset:10} {found.size:8} {_title(tag)}{mark}"


def _title(tag: Tag) -> str:
    words = [f"{tag.group:04x}:{tag.number:04x}", kinds.NAMES.get(tag.kind, "")]
    for name in ("source", "target", "time_ms", "sequence"):
        value = getattr(tag, name)
        words += [f"{name}={value}"] if value is not None else []
    words += ["sealed"] if tag.state & SEALED else []
    words += ["continued"] if tag.state & CONTINUED else []
    words += [f"codec={tag.codec}"] if tag.codec else []
    return " ".join(word for word in words if word)


def _show_inner(tag: Tag, level: int, depth: int) -> None:
    if level > min(depth, DEPTH_MAX):
        return
    indent = " " * 25 + "  " * level
    try:
        for inner in inner_tags(tag):
            print(f"{indent}{_title(inner)} data={len(inner.data)}")
            _show_inner(inner, level + 1, depth)
    except FeldsherError as error:
        print(f"{indent}cannot be read: {error}")


def check_file(args: argparse.Namespace) -> int:
    """List every tag with its verdict; the list is printed as it comes, however long the file is."""
    file = TagFile(args.file, args.id)
    with open_file(args.file):
        pass
    if args.json:
        print(f'{{"file": {json.dumps(str(args.file))}, "tags": [', end="")
        for number, found in enumerate(file):
            print("," if number else "", json.dumps(describe(number, found)), sep="\n", end="")
        print(f'\n], "totals": {json.dumps(file.totals.as_json())}, {json.dumps(file.totals.as_json())[1:]}')
    else:
        for number, found in enumerate(file):
            if found.verdict is not Verdict.SOUND:
                print(f"{number:6} {_line(found)}")
        _print_totals(file)
    file.must_have_tags()
    return 0 if file.totals.sound else NOT_SOUND


def _print_totals(file: TagFile) -> None:
    counts = ", ".join(f"{file.totals.verdicts[verdict]} {verdict}" for verdict in Verdict)
    print(f"{file.path}: {counts}; {file.totals.bytes_lost} of {file.totals.size} bytes lost")
    if file.totals.signed:
        print("the last tag is a signature; only the signer's public key can prove it")


def repair_file(args: argparse.Namespace) -> int:
    """Write a new file; report how many bytes were given up."""
    with open_file(args.file):
        pass
    seed = _seed(args) if args.id is None else None
    file = TagFile(args.file, args.id)
    with create_file(args.out) as out:
        try:
            repair = Repair(out, args.id, args.unproven)
            for found in file:
                repair.take(found, seed)
            file.must_have_tags()
            repair.finish()
        except BaseException:
            args.out.unlink()
            raise
    given_up = repair.given_up
    report = {"kept": repair.kept, "bytes_given_up": given_up, "size": repair.size, "out": str(args.out)}
    if args.json:
        print(json.dumps(report))
    else:
        print(f"{args.out}: {repair.kept} tags kept byte for byte, {given_up} of {file.totals.size} bytes given up")
    return 0


def _seed(args: argparse.Namespace) -> int | None:
    """Return the seed, which may be known only once the file has been read (START lost)."""
    file = TagFile(args.file)
    for _ in file:
        pass
    return file.totals.seed


def export_file(args: argparse.Namespace) -> int:
    """Write the data of one tag, or of every sound one."""
    file = TagFile(args.file, args.id)
    exporter = Exporter(args.into)
    args.into.mkdir(parents=True, exist_ok=True)
    for number, found in enumerate(file):
        tag = found.tag
        wanted = number == args.tag if args.tag is not None else found.verdict is Verdict.SOUND
        if tag and wanted and (args.tag is not None or tag.kind != (kinds.SERVICE, kinds.CHECK)):
            exporter.take(number, tag)
    file.must_have_tags()
    if args.tag is not None and not exporter.paths:
        raise UsageError(f"{args.file}: tag {args.tag} is not there or lost; see `feldsher tags check`")
    for path in exporter.paths:
        print(path)
    return 0


def sample_file(args: argparse.Namespace) -> int:
    """Write a sample."""
    pieces = sample(args.tags, args.seed, large=not args.small)
    first = next(pieces)
    with create_file(args.file) as file:
        file.write(first)
        file.writelines(pieces)
        sync_file(file)
    print(f"{args.file}: {args.tags} tags", file=sys.stderr)
    return 0
