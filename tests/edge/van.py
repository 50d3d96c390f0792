"""A van for tests: real capture, real journal, a simulated disk; and a reader with the server's key."""

from edge.capture import Capture
from node.journal import Limits
from tests.node.stores import SEAL_SECRET, Kit, read_all
from wire import kinds
from wire.objects import STUDY, SUMMARY
from wire.record import Note, Partial, Patient, Result, Summary
from wire.study import open_study

ROOMY = Limits(study_room=1 << 16, entries_reserve=1 << 13, closing_reserve=1 << 13)


class Van:
    """One life of the kit's process."""

    def __init__(self, disk, life=0, ports=None, binding_s_max=600.0):
        self.stores = Kit(disk, life, ROOMY)
        self.happened = []
        self.clock = self.stores.studies.sealer.clock
        self.capture = Capture(self.stores.studies, self.clock, "kit-7", self.happened.append, binding_s_max)
        for port, (driver, options, bind) in (ports or {"lab": ("astm", {}, "scan")}).items():
            self.capture.attach(port, driver, options, bind)

    def told(self, kind):
        return [event.text for event in self.happened if event.kind == kind]

    def hear(self, port, data, now=0.0):
        return self.capture.receive(port, data, now)


class Read:
    """A study as the centre reads it."""

    def __init__(self, study):
        self.study = study
        self.tags = [tag for entry in study.entries for tag in entry.tags]

    def all(self, record):
        return [record.from_tag(tag) for tag in self.tags if tag.kind == record.KIND]

    @property
    def raw(self):
        return b"".join(tag.data for tag in self.tags if tag.kind == (kinds.CAPTURE, kinds.RAW))

    @property
    def observations(self):
        return [one for result in self.all(Result) for one in result.observations]

    @property
    def notes(self):
        return [note.text for note in self.all(Note)]

    @property
    def patients(self):
        return self.all(Patient)

    @property
    def partials(self):
        return self.all(Partial)

    @property
    def is_recovered(self):
        return self.study.end.recovered

    @property
    def summary(self):
        return self.all(Summary)[-1]


def studies_in(stores):
    return [Read(study) for _, study in read_all(stores.spool, STUDY)]


def summaries_in(stores):
    return [Read(study).summary for _, study in read_all(stores.spool, SUMMARY)]


def unfinished_in(disk):
    """Return what of an open study could be read now, as a power cut would leave it."""
    return [
        Read(open_study(disk.read(f"open/{name}"), SEAL_SECRET))
        for name in disk.list("open")
        if name.endswith(".study")
    ]
