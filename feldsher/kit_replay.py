"""`feldsher kit replay`: a recording through the real driver, capture and journal, or onto a line to a running kit.

Without `--port` the studies go into a store that is made for this and thrown away: a folder of its own with keys that
nobody else has. Time is the recording's; with `--speed device` it also passes. What the store holds is then opened and
printed as a centre would read it. With `--port` the recording is a device (`hardware.simulated.player`) on a serial
line, or on a pty of that name when there is none, and the kit at the other end does what it does.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from feldsher import kit_devices
from wire.errors import DeviceError, Misuse, UsageError

if TYPE_CHECKING:
    from edge.capture import Capture, Happened
    from edge.recording import Recording
    from wire.tag import Tag

LINE: Final = "line"
TICKS_MAX: Final = 1_000_000
"""Deadlines of one replay. More is a driver whose deadline does not move on."""
DEVICE, FULL = "device", "full"


def configure(subparsers: Any) -> None:  # noqa: ANN401  argparse's own class has no public name
    """Add `replay`."""
    parser = subparsers.add_parser(
        "replay",
        help="play a recording through a driver, and show the studies it makes",
        description="Plays NAME.txt through the real driver, capture and journal into a store that is thrown away, and "
        "prints the studies. With --port it speaks to a running kit instead.",
        epilog="example: feldsher kit replay tests/recordings/astm-c111 --speed device",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="NAME, NAME.txt or NAME.toml")
    parser.add_argument("--driver", default="", help="instead of the one on the name card")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the driver")
    parser.add_argument(
        "--speed",
        choices=(DEVICE, FULL),
        default=FULL,
        help="device: as long as it took; full: as fast as it goes (with --port without the pauses between two pieces)",
    )
    parser.add_argument("--port", default="", metavar="PATH", help="speak on this line; a pty of that name if none is")
    parser.add_argument("--baud", type=int, default=9600, help="with --port (default 9600)")
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    parser.add_argument("--expected", action="store_true", help="print the text of NAME.expected.json and nothing else")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay. Exit code 79 when a running kit did not answer as the recording was answered."""
    from edge import recording

    found = recording.load(args.file)
    if not found.heard:
        raise UsageError(f"{args.file}: the device says nothing in this recording")
    if args.port:
        return _speak(args, found)
    driver, options = _driver_of(args, found)
    if args.expected:
        print(recording.expected_text(recording.replay(found, driver=driver, options=options)), end="")
        return 0
    told = _replay(found, driver, options, time.sleep if args.speed == DEVICE else lambda _: None)
    print(json.dumps(told, ensure_ascii=False, indent=1) if args.json else "\n".join(_lines(found, told)))
    return 0


def _driver_of(args: argparse.Namespace, found: "Recording") -> tuple[str, dict[str, object]]:
    """Return name and options: those of the card, unless another driver is asked for."""
    from edge import registry

    own = str(found.card.get("driver", ""))
    driver = args.driver or own
    if not driver:
        raise UsageError(f"{args.file}: no driver is on its name card: name one with --driver")
    options = dict(found.card.get("options", {})) if driver == own else {}
    options |= kit_devices.read_options(args.option, registry.find(driver).FACTS)
    registry.create(driver, options)
    return driver, options


# Into a store that is thrown away


class _Clock:
    """The recording's time."""

    def __init__(self, began_ms: int) -> None:
        self.at, self._began_ms = 0.0, began_ms

    def now(self) -> float:
        return self.at

    def time_ms(self) -> int:
        return self._began_ms + round(self.at * 1000)


def _replay(
    found: "Recording", driver: str, options: Mapping[str, object], sleep: Callable[[float], None]
) -> dict[str, Any]:
    from edge.capture import Capture
    from edge.recording import AFTER_S
    from node import entropy
    from node.disk import RealDisk
    from node.journal import Studies
    from node.spool import Spool
    from wire.seal import seal_pair, sign_pair

    clock, happened, answered = _Clock(_date_ms(found)), list["Happened"](), bytearray()
    (seal_secret, seal_public), (sign_secret, _) = seal_pair(os.urandom(32)), sign_pair(os.urandom(32))
    with tempfile.TemporaryDirectory(prefix="feldsher-replay-") as folder, RealDisk(Path(folder)) as disk:
        spool = Spool(disk)
        studies = Studies(disk, clock, entropy.system, seal_public, sign_secret, spool, kit="replay")
        studies.recover()
        capture = Capture(studies, clock, "replay", happened.append)
        capture.attach(LINE, driver, options)
        for at, data in found.heard:
            answered += _pass_time(capture, clock, at, sleep)
            answered += capture.receive(LINE, data, clock.now())
        answered += _pass_time(capture, clock, clock.now() + AFTER_S, lambda _: None)
        capture.stop(clock.now())
        told = [_study(tags) for tags in _opened(spool, seal_secret)]
    return {
        "driver": driver,
        "studies": told,
        "labels": sum(one.kind == "patient" for one in happened),
        "faults": [one.text for one in happened if one.kind == "fault"],
        "answered": answered.hex(),
        "recorded": found.answered.hex(),
    }


def _date_ms(found: "Recording") -> int:
    date = str(found.card.get("date", ""))
    try:
        return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return 0


def _pass_time(capture: "Capture", clock: _Clock, until: float, sleep: Callable[[float], None]) -> bytes:
    """Let time pass as the driver asks for it; return what it sends meanwhile."""
    sent = b""
    for _ in range(TICKS_MAX):
        due = capture.deadline()
        if due is None or due > until:
            break
        sleep(max(0.0, due - clock.at))
        clock.at = max(clock.at, due)
        sent += capture.tick(clock.at).get(LINE, b"")
    else:
        raise Misuse("the driver's deadline does not move on")
    sleep(max(0.0, until - clock.at))
    clock.at = max(clock.at, until)
    return sent


def _opened(spool: Any, seal_secret: bytes) -> "Iterator[list[Tag]]":  # noqa: ANN401  node.spool, imported late
    from wire.objects import STUDY
    from wire.study import open_study

    for one in sorted(spool.objects(), key=lambda one: one.number):
        if one.kind == STUDY:
            study = open_study(spool.read(one.object_id, 0, one.size), seal_secret)
            yield [tag for entry in study.entries for tag in entry.tags]


def _study(tags: "list[Tag]") -> dict[str, Any]:
    """Return what a reader of a study sees."""
    from wire import kinds
    from wire.record import ClockMark, Note, Partial, Picture, Result, Summary
    from wire.waveform import Waveform

    summary = next(Summary.from_tag(tag) for tag in reversed(tags) if tag.kind == Summary.KIND)
    results = [Result.from_tag(tag) for tag in tags if tag.kind == Result.KIND]
    pictures = [Picture.from_tag(tag) for tag in tags if tag.kind == Picture.KIND]
    waves = [Waveform.from_tag(tag) for tag in tags if tag.kind == (kinds.CAPTURE, kinds.WAVEFORM)]
    marks = [ClockMark.from_tag(tag) for tag in tags if tag.kind == ClockMark.KIND]
    notes = [Note.from_tag(tag).text for tag in tags if tag.kind == Note.KIND]
    return {
        "form": summary.form,
        "device": summary.device,
        "patient": summary.patient,
        "qc": summary.qc,
        "partial": [Partial.from_tag(tag).reason for tag in tags if tag.kind == Partial.KIND] or summary.partial,
        "headline": [list(line) for line in summary.headline],
        "values": [[one.code, one.value, one.unit, one.loinc] for result in results for one in result.observations],
        "notes": [*notes, *(note for result in results for note in result.notes)],
        "waveforms": [[list(one.names), one.rate_hz, one.count] for one in waves],
        "pictures": [[one.media_type, one.name, len(one.image)] for one in pictures],
        "device_clock": [mark.device_time for mark in marks if mark.device_time],
        "raw_bytes": sum(len(tag.data) for tag in tags if tag.kind == (kinds.CAPTURE, kinds.RAW)),
    }


def _lines(found: "Recording", told: Mapping[str, Any]) -> Iterator[str]:
    studies = told["studies"]
    yield f"{found.name}: {found.card.get('device', 'an unknown device')}, driver {told['driver']}"
    yield f"{len(studies)} {'study' if len(studies) == 1 else 'studies'}, {told['labels']} labels"
    for study in studies:
        marks = [name for name in ("qc", "partial") if study[name]]
        yield f"{study['form']} of {study['device']}, {study['raw_bytes']} raw bytes{''.join(f', {m}' for m in marks)}"
        yield f"  patient {study['patient'] or 'unknown'}"
        yield from (f"  its clock said {text}" for text in study["device_clock"])
        yield from (f"  {code:<20} {value} {unit} {loinc}".rstrip() for code, value, unit, loinc in study["values"])
        yield from (f"  waveform {', '.join(names)}: {count} at {hz:g} Hz" for names, hz, count in study["waveforms"])
        yield from (f"  file {name or '-'}: {kind}, {size} bytes" for kind, name, size in study["pictures"])
        yield from (f"  note: {note}" for note in study["notes"])
    yield from (f"fault: {fault}" for fault in told["faults"])
    if not told["recorded"] and not told["answered"]:
        yield "nothing is answered"
    elif not told["recorded"]:
        yield f"no answers were recorded; the driver sends {len(told['answered']) // 2} bytes"
    elif told["answered"] == told["recorded"]:
        yield f"answered as recorded: {len(told['answered']) // 2} bytes"
    else:
        yield (
            f"answered otherwise than recorded: {len(told['answered']) // 2} bytes; "
            f"recorded {len(told['recorded']) // 2}"
        )


# Onto a line


def _speak(args: argparse.Namespace, found: "Recording") -> int:
    from feldsher.simulate import stoppable
    from hardware.simulated import ptys
    from hardware.simulated.player import Player
    from node.clock import SystemClock

    player = Player(found.pieces, in_a_hurry=args.speed == FULL)
    is_line = Path(args.port).exists()
    try:
        opened = ptys.open_line(args.port, args.baud) if is_line else ptys.open_pty(args.port)
        with stoppable() as stopped, opened as (line, path):
            print(path, flush=True)
            is_done = ptys.run(player, line, SystemClock().now, stopped)
    except OSError as error:
        raise DeviceError(f"{args.port}: {error.strerror}") from error
    good, report = is_done and player.report.is_good, player.report
    if args.json:
        print(json.dumps({"done": is_done, "good": good, **asdict(report)}))
    else:
        print(f"{report.bytes_sent} bytes said; {report.acknowledged} of {report.messages} answers came")
    return 0 if good else DeviceError.exit_code
