"""Our recordings: a name card (`*.toml`), what passed on the line (`*.txt`), what must come of it (`*.expected.json`).

The format and the replaying itself are in `edge.recording`, for other packages have recordings, too.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from edge import recording
from edge.recording import AFTER_S, outcome, picture_outcome, plain, replay, study_outcome

__all__ = ["AFTER_S", "FOLDER", "load", "names", "outcome", "picture_outcome", "plain", "replay", "study_outcome"]

FOLDER = Path(__file__).parent


@dataclass
class Recording(recording.Recording):
    @property
    def expected(self):
        return json.loads((FOLDER / f"{self.name}.expected.json").read_text())


def names():
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name):
    one = recording.load(FOLDER / name)
    return Recording(name, one.card, one.pieces)
