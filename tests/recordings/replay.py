"""Recordings: a name card (`*.toml`), what passed on the line (`*.txt`) and what must come of it (`*.expected.json`).

A transcript has a line for each piece: `<` from the device or `>` to it, seconds, hex. Replaying feeds what the device
sent, at its times, and compares what the driver answers with what was answered, and the studies with the expected ones.
"""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.edge.bench import Bench
from wire.record import Picture

FOLDER = Path(__file__).parent
AFTER_S = 400.0
"""Time that is given to a driver after the last byte, so that every study ends."""


@dataclass
class Recording:
    name: str
    card: dict
    pieces: list[tuple[str, float, bytes]]

    @property
    def heard(self):
        """What the device sent: (seconds, bytes)."""
        return [(now, data) for direction, now, data in self.pieces if direction == "<"]

    @property
    def answered(self):
        return b"".join(data for direction, _, data in self.pieces if direction == ">")

    @property
    def expected(self):
        return json.loads((FOLDER / f"{self.name}.expected.json").read_text())


def names():
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name):
    card = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    pieces = []
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        direction, now, data = line.split(" ")
        pieces.append((direction, float(now), bytes.fromhex(data)))
    return Recording(name, card, pieces)


def replay(recording, divide=lambda data: [data]):
    """Return the bench after the whole recording; `divide` cuts each piece of the device's bytes."""
    bench = Bench(recording.card["driver"], recording.card.get("options"))
    for now, data in recording.heard:
        bench.wait(max(0.0, now - bench.now))
        for piece in divide(data):
            bench.feed(piece)
    bench.wait(AFTER_S)
    return bench


def outcome(bench):
    """Return what a driver made of a session, as JSON holds it."""
    return {
        "answered": bench.sent.hex(),
        "studies": [study_outcome(study) for study in bench.studies],
        "scans": [str(scan) for scan in bench.scans],
        "faults": [f"{fault.code}: {fault.text}" for fault in bench.faults],
    }


def study_outcome(study):
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


def picture_outcome(one):
    return [one.media_type, one.name, len(one.image), hashlib.sha256(one.image).hexdigest()]


def plain(value):
    return json.loads(json.dumps(value))
