"""Somebody who brings files to a kit with `feldsher kit import`: another process on the same card.

What it says it has taken must be at the centre, byte for byte. A card that fails under it fails for that command only;
the power that goes takes the kit with it.
"""

import io
from dataclasses import dataclass

from edge.importing import Importer, patient_of
from edge.imports import ready
from wire import kinds
from wire.errors import DiskError, DiskFull
from wire.record import Picture

IMPORT_S = 3.0
"""How often a kit looks for what was imported."""
AGAIN_S = 20.0


@dataclass(frozen=True)
class File:
    """What is read of a file by its path."""

    name: str
    data: bytes

    def read_bytes(self):
        return self.data


def draw_file(rng):
    """Return a document, or a photograph that is worth a preview."""
    if rng.random() < 0.6:
        return File(f"letter{rng.randrange(99)}.bin", rng.randbytes(rng.randint(1, 6000)))
    from PIL import Image

    side, out = rng.randint(80, 120), io.BytesIO()
    Image.frombytes("RGB", (side, side), rng.randbytes(3 * side * side)).save(out, "PNG", compress_level=1)
    return File(f"photo{rng.randrange(99)}.png", out.getvalue())


class Person:
    """See the module's text. `taken`: the files of each study that the command has said it has taken."""

    def __init__(self, world, kit, files, patient):
        self.world, self.kit, self.files, self.patient = world, kit, files, patient
        self.taken = {}
        self.is_done = False

    def come(self, at):
        self.world.at(at, self._bring)

    def _bring(self):
        if self.kit.alive and not self.kit.process.disk_failed:
            self.kit.guard(self._make)
        if self.taken:
            self._wait()
        else:
            self.world.after(AGAIN_S, self._bring)

    def _make(self):
        try:
            importer = Importer(self.kit.disk, self.kit.clock, self.world.entropy, self.kit.enrolment)
            made = importer.make(self.files, patient_of(self.patient, 0), self.world.rng.randint(1, 9))
        except (DiskError, DiskFull) as error:
            self.kit.log.append(f"{self.world.now:.1f} {self.kit.name}: kit import: {error}")
        else:
            self.taken[made.study_id.hex()] = self.files

    def _wait(self):
        """The kit looks again and again, until it has taken everything up."""
        kit = self.kit
        if kit.alive and not kit.process.disk_failed:
            kit.guard(lambda: kit.process.take_imports(self.world.now))
            self.is_done = bool(kit.alive and kit.guard(lambda: not ready(kit.disk)))
        if not self.is_done:
            self.world.after(IMPORT_S, self._wait)


def check(person, checks):
    """Hold the centre to what the command has said."""
    for study_id, files in person.taken.items():
        study = checks.studies.get(study_id)
        if study is None:
            checks.fail(f"the imported study {study_id} is not at the centre")
        there = [
            Picture.from_tag(tag).image
            for entry in study.entries
            for tag in entry.tags
            if tag.kind == (kinds.IMAGE, kinds.PICTURE)
        ]
        if there != [file.data for file in files]:
            checks.fail(f"the imported study {study_id} is not as it was brought")
