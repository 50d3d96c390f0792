"""Recordings: what passed on a line, a name card beside it, and what a driver makes of it.

`NAME.txt` is the transcript, a line for each piece: `<` from the device or `>` to it, seconds, hex. `NAME.toml` is the
name card: `driver`, `options` where there are any, `device`, `firmware`, `date`, `what`. `NAME.expected.json` is what
the driver made of it when somebody last looked (`outcome`). Format and text only: files are read and written by who
asks for it, so nothing here survives anything. A recording may hold patients' data, whatever its card says.

Seconds count from when the line was first heard (`edge.ports.Recorder`) or the simulated device was switched on.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.bench import Bench, Seen
from wire.errors import FormatError, UsageError
from wire.record import Picture

AFTER_S: Final = 400.0
"""Time that is given to a driver after the last byte, so that every study ends."""
TEXT_SIZE_MAX: Final = 65 << 20
"""A transcript, characters; `edge.ports.Recorder` ends at 64 MiB."""
CARD_KEYS: Final = ("driver", "device", "firmware", "date", "what")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")

Piece = tuple[str, float, bytes]
"""Direction (`<` from the device, `>` to it), seconds, bytes."""


@dataclass
class Recording:
    """A transcript and its card."""

    name: str
    card: dict[str, Any] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)

    @property
    def heard(self) -> list[tuple[float, bytes]]:
        """What the device sent: (seconds, bytes)."""
        return [(now, data) for direction, now, data in self.pieces if direction == "<"]

    @property
    def answered(self) -> bytes:
        """What it was sent."""
        return b"".join(data for direction, _, data in self.pieces if direction == ">")


def parse(text: str, name: str = "recording") -> list[Piece]:
    """Return the pieces of a transcript. Raises FormatError that names the line and what is wrong with it.

    A last line without its end is what a full disk or a crash left: what is whole of it counts.
    """
    pieces: list[Piece] = []
    *whole, rest = text.split("\n")
    for number, line in enumerate([*whole, *_torn(rest)], 1):
        try:
            direction, now, data = line.split(" ")
            piece = (direction, float(now), bytes.fromhex(data))
        except ValueError as error:
            raise FormatError(f"{name}:{number}: a line is `< SECONDS HEX` or `> SECONDS HEX`: {error}") from error
        last = pieces[-1][1] if pieces else 0.0
        if direction not in {"<", ">"} or not last <= piece[1] < float("inf"):
            raise FormatError(f"{name}:{number}: `{direction} {now}`: a direction is < or >, and time does not go back")
        pieces.append(piece)
    return pieces


def _torn(line: str) -> list[str]:
    """Return what is whole of a line that breaks off."""
    if line.count(" ") < 2:
        return []
    return [line[: len(line) - len(line.rpartition(" ")[2]) % 2]]


def load(path: Path) -> Recording:
    """Return the recording at a path: the stem, the transcript or the card. Raises UsageError, FormatError.

    A card may be missing (a transcript by itself), a transcript may not.
    """
    stem = path.with_suffix("") if path.suffix in {".txt", ".toml"} else path
    transcript, card = Path(f"{stem}.txt"), Path(f"{stem}.toml")
    text = _text(transcript)
    try:
        told = tomllib.loads(_text(card)) if card.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"{card}: {error}") from error
    if not isinstance(told.get("driver", ""), str) or not isinstance(told.get("options", {}), dict):
        raise FormatError(f"{card}: driver is a name, and options is a table")
    return Recording(stem.name, told, parse(text, str(transcript)))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > TEXT_SIZE_MAX:
            raise UsageError(f"{path}: {path.stat().st_size} bytes; a transcript has at most {TEXT_SIZE_MAX}")
        return path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: this is no text: {error}") from error


def card_text(card: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """Return a name card as TOML. `date` is an ISO date. Raises UsageError for text that holds control characters."""
    lines = [f"# {_CONTROL.sub(' ', comment)}" for comment in comments]
    lines.append(f"driver = {_quoted('driver', card['driver'])}")
    if card.get("options"):
        pairs = ", ".join(f"{_key(name)} = {_value(name, value)}" for name, value in card["options"].items())
        lines.append(f"options = {{ {pairs} }}")
    lines += [f"{key} = {_quoted(key, card[key])}" for key in ("device", "firmware")]
    lines += [f"date = {card['date']}", f"what = {_quoted('what', card['what'])}"]
    return "\n".join(lines) + "\n"


def _quoted(key: str, text: str) -> str:
    if _CONTROL.search(text):
        raise UsageError(f"{key}: {text!r} holds a control character; one line of text is wanted")
    return json.dumps(text, ensure_ascii=False)


def _key(name: str) -> str:
    return name if _KEY.fullmatch(name) else _quoted("options", name)


def _value(name: str, value: object) -> str:
    return _quoted(name, value) if isinstance(value, str) else json.dumps(value)


# What a driver makes of it


def replay(
    recording: Recording,
    divide: Callable[[bytes], Iterable[bytes]] = lambda data: [data],
    driver: str = "",
    options: Mapping[str, object] | None = None,
) -> Bench:
    """Return the bench after the whole recording; `divide` cuts each piece of the device's bytes. Raises Misuse."""
    own = recording.card.get("options") if options is None else options
    bench = Bench(driver or recording.card["driver"], own)
    for now, data in recording.heard:
        bench.wait(max(0.0, now - bench.now))
        for piece in divide(data):
            bench.feed(piece)
    bench.wait(AFTER_S)
    return bench


def outcome(bench: Bench) -> dict[str, Any]:
    """Return what a driver made of a session, as JSON holds it."""
    return {
        "answered": bench.sent.hex(),
        "studies": [study_outcome(study) for study in bench.studies],
        "scans": [str(scan) for scan in bench.scans],
        "faults": [f"{fault.code}: {fault.text}" for fault in bench.faults],
    }


def study_outcome(study: Seen) -> dict[str, Any]:
    """Return one study of it: what was read, and how many bytes it was read from."""
    ends = study.ends
    pictures = [picture_outcome(Picture.from_tag(tag)) for tag in study.tags if tag.kind == Picture.KIND]
    seen = {
        "form": study.begins.form,
        "model": study.begins.model,
        "qc": ends.qc,
        "partial": ends.partial,
        "patient_ids": list(ends.patient_ids),
        "headline": [list(line) for line in ends.headline],
        "raw_bytes": len(study.raw),
        "results": [plain(result.to_map()) for result in study.results],
        "waveforms": [
            [list(wave.names), wave.rate_hz, [[lead[0], lead[-1], sum(lead)] for lead in wave.samples], wave.count]
            for wave in study.waveforms
        ],
    }
    return seen | ({"pictures": pictures} if pictures else {})


def picture_outcome(one: Picture) -> list[object]:
    """Return what is told of a picture or file."""
    return [one.media_type, one.name, len(one.image), hashlib.sha256(one.image).hexdigest()]


def plain(value: object) -> Any:  # noqa: ANN401  whatever JSON holds
    """Return a value as JSON gives it back."""
    return json.loads(json.dumps(value))


def expected_text(bench: Bench) -> str:
    """Return the text of `NAME.expected.json`."""
    return json.dumps(outcome(bench), ensure_ascii=False, indent=1) + "\n"
