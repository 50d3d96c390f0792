"""An inbox in virtual time: a place that can be pulled out, a card that can lose its power, and the kit's own spool."""

from collections import Counter

from edge.imports import take_up
from edge.inbox_place import HEAD_SIZE, Seen, Survey
from edge.inbox_taken import FOLDER
from edge.inbox_watch import Watch
from edge.taking import Rule, Taker
from node.entropy import seeded
from node.spool import Spool
from tests.edge.test_imports import images_of, opened, tags_of
from tests.edge.test_kit import ENROLMENT, Clock
from tests.sim.disk import SimDisk
from wire.errors import DiskError, UsageError
from wire.record import Summary

SETTLE_S = 5.0


class MadePlace:
    """A `Place` in memory. `is_in`: there is one; `reads_left`: so many reads, and then it is pulled out."""

    def __init__(self):
        self.files = {}
        self.is_in, self.is_writable = True, True
        self.broken = set()
        self.reads_left = None
        self.reads = 0
        self.after_reads = {}
        """What happens to the files after so many reads."""
        self._stamp = 0

    def write(self, path, data):
        self._stamp += 1
        self.files[path] = (data, self._stamp)

    def survey(self):
        self._require()
        return Survey(tuple(Seen(path, len(data), stamp) for path, (data, stamp) in sorted(self.files.items())))

    def read(self, seen):
        if self.reads_left is not None:
            self.is_in = self.reads_left > 0
            self.reads_left -= 1
        self._require()
        if seen.path in self.broken:
            raise DiskError("the file: Input/output error")
        data = self.files[seen.path][0] if self._is(seen) else None
        self.reads += 1
        self.after_reads.pop(self.reads, lambda files: None)(self.files)
        return data

    def head(self, seen):
        self._require()
        return self.files.get(seen.path, (b"", 0))[0][:HEAD_SIZE]

    def move(self, seen):
        self._require()
        if not self.is_writable:
            raise DiskError("the file: Read-only file system")
        if not self._is(seen):
            return ""
        del self.files[seen.path]
        return "taken/" + seen.path

    def _is(self, seen):
        data, stamp = self.files.get(seen.path, (b"", 0))
        return (len(data), stamp) == (seen.size, seen.stamp)

    def _require(self):
        if not self.is_in:
            raise UsageError("it is not there")


class InboxBench:
    """What the daemon does, one step after the other. A Crash goes through; then `restart`."""

    def __init__(self, disk=None, orders=None, **rule):
        self.disk, self.orders = disk or SimDisk(), orders
        self.place = MadePlace()
        self.rule = Rule("stick", **rule)
        self.now, self.life = 0.0, 0
        self.label = None
        self.said = []
        self.restart()

    def restart(self, disk=None):
        """Begin anew, after a crash with what it left of the card."""
        self.disk = disk or self.disk
        self.life += 1
        self.watch = Watch(SETTLE_S)
        self.spool = None
        self._take([])

    def look(self, step_s=1.0):
        """Let some time pass, and do what the daemon does then; return what became of files."""
        self.now += step_s
        try:
            self.watch.look(self.place.survey(), self.now, lambda: self.label)
        except UsageError:
            self.watch.gone()
            return []
        wanted = self.watch.wanted(self.now)
        return self._take(wanted) if wanted else []

    def settle(self, seconds=60):
        """Let a while pass; return the fates that files met in it."""
        return Counter(str(one.fate) for _ in range(seconds) for one in self.look())

    def _take(self, wanted):
        entropy = seeded(b"inbox %d %d" % (self.life, round(self.now * 1000)))
        taker = Taker(self.disk, Clock(), entropy, ENROLMENT, self.place, self.rule, orders=self.orders)
        heard = []
        for outcome in taker.take(wanted, self.watch.busy(self.now)):
            heard.append(outcome)
            seen = next(one.seen for one in wanted if one.seen.path == outcome.path)
            self.watch.heard(seen, outcome, self.now)
        self.said += heard
        self.spool = self.spool or Spool(self.disk)
        list(take_up(self.disk, self.spool, FOLDER))
        return heard

    # What the kit has

    def studies(self):
        return opened(self.spool, "study")

    def contents(self):
        """Return the bytes of every file, as often as the kit has it."""
        return Counter(image.image for study in self.studies() for image in images_of(study))

    def summaries(self):
        return [Summary.from_tag(tag) for one in opened(self.spool, "summary") for tag in tags_of(one)]

    def waiting(self):
        """Return why files wait, by path (the mark is the path itself here)."""
        return {one["mark"]: one["says"] for one in self.watch.status(self.now, lambda path: path)["waiting"]}
