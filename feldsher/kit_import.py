"""`feldsher kit import`: pictures and documents that somebody brings become a study, committed when the command ends.

Makes the study by itself (`edge.importing`) and leaves it where the kit finds it (`edge.imports`). A kit that runs is
asked for the label that was scanned last, and has taken the study up within a second or two; of one that does not
run, the command opens the spool itself.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from feldsher.enrolling import ENROLMENT
from wire.errors import LinkDown, UsageError

if TYPE_CHECKING:
    from edge.importing import Made
    from node.disk import Disk
    from wire.record import Patient

WAIT_S: Final = 15.0
"""How long a kit that runs is waited for."""
LOOK_S: Final = 0.1


def configure_import(subparsers: Any) -> None:  # noqa: ANN401  argparse has no public name for it
    """Add `import`."""
    parser = subparsers.add_parser(
        "import",
        help="bring pictures and documents into a study",
        description="All files of one command are one study; they are only read. Previews of pictures travel first.",
        epilog="example: feldsher kit import chest.jpg report.pdf --data /var/lib/feldsher --patient 113",
    )
    parser.add_argument("file", type=Path, nargs="+", help="JPEG and PNG pictures, and any other file as a document")
    parser.add_argument("--data", type=Path, required=True, help="the kit's data folder; the kit may run")
    parser.add_argument(
        "--patient",
        help="whose it is (default: by the label that was scanned last, if the kit runs, or else as the files say)",
    )
    parser.add_argument("--priority", type=int, default=5, choices=range(1, 10), help="1 (first) to 9 (default: 5)")
    parser.set_defaults(run=_import)


def _import(args: argparse.Namespace) -> int:
    from edge.importing import Importer, readable
    from edge.imports import FOLDER
    from edge.worklist import Worklist
    from node import entropy
    from node.claim import claim
    from node.clock import SystemClock
    from node.disk import RealDisk, make_durable_folder
    from node.enrolment import load_kit

    paths, enrolment = readable(args.file), load_kit(args.data / ENROLMENT)
    _require_owner(args.data)
    with RealDisk(args.data) as disk:
        make_durable_folder(disk, FOLDER)
        with claim(args.data / FOLDER):
            # A running kit replaces the file as a whole; nothing is written here.
            worklist = Worklist(disk, SystemClock(), enrolment, lambda text: print(text, file=sys.stderr))
            importer = Importer(disk, SystemClock(), entropy.system, enrolment, orders=worklist)
            patient = _patient(args, disk)
            made = importer.make(paths, patient, args.priority)
            is_taken = _hand_over(args.data, disk, made.study_id)
    print(_said(made, patient, is_taken=is_taken))
    return 0


def _require_owner(data: Path) -> None:
    """What another user makes here is closed to the kit, which would take it for a failing card."""
    if (owner := data.stat().st_uid) != os.geteuid():
        raise UsageError(f"{data}: belongs to the user with the number {owner}: run this as that user, as the kit does")


def _patient(args: argparse.Namespace, disk: "Disk") -> "Patient | None":
    """Return whose the files are: as told, or by the label that is in force in a kit that runs."""
    from edge.importing import patient_of
    from edge.imports import Question
    from node import entropy
    from node.clock import SystemClock

    if args.patient is not None:
        return patient_of(args.patient, SystemClock().time_ms())
    if not _runs(args.data):
        return None
    question = Question(disk, entropy.system)
    try:
        if not _waited(question.is_answered):
            raise LinkDown(f"{args.data}: the kit does not say whose label is in force; give --patient, or try again")
        return question.label()
    finally:
        question.forget()


def _runs(data: Path) -> bool:
    from node.claim import claim

    try:
        with claim(data):
            return False
    except UsageError:
        return True


def _hand_over(data: Path, disk: "Disk", study_id: bytes) -> bool:
    """Tell whether the study is in the kit's spool; else the kit takes it up later."""
    from edge.imports import ready, take_up
    from node.claim import claim
    from node.spool import Spool

    def is_taken() -> bool:
        return all(one.object_id != study_id for one in ready(disk))

    try:
        with claim(data):
            list(take_up(disk, Spool(disk)))
    except UsageError:  # the kit has its folder
        return _waited(is_taken)
    return is_taken()


def _waited(is_so: Callable[[], bool]) -> bool:
    from node.clock import SystemClock

    clock = SystemClock()
    until = clock.now() + WAIT_S
    while not is_so():
        if clock.now() > until:
            return False
        time.sleep(LOOK_S)
    return True


def _said(made: "Made", patient: "Patient | None", *, is_taken: bool) -> str:
    from feldsher.watching import size

    nobody = "patient as the files say" if made.bound.patient else "no patient: no label is in force"
    whose = {None: nobody, "manual": "patient as given"}
    said = whose.get(patient.source if patient else None, "patient by the label that was scanned last")
    files = f"{made.files} file{'s' if made.files > 1 else ''}, {size(made.size)}"
    travels = f"travels as {size(made.study_size)}, with {made.previews} previews before it"
    said += "; not on the worklist" if made.bound.unlisted else ""
    said += "; BUT what is said of the patient disagrees: the centre is to look" if made.bound.conflict else ""
    later = "" if is_taken else "; the kit takes it up as soon as it can"
    return f"study {made.study_id.hex()}: {files}, committed; {travels}; {said}{later}"
