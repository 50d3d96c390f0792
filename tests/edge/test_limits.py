"""What the kit holds at most while its disk takes nothing and its devices go on: each named maximum at its limit."""

import pytest

from edge.capture import CLOSE_RETRY_S, CLOSING_COUNT_MAX, STEPS_MAX, Capture
from edge.driver import RAW_SIZE_MAX, Commit, Fault, Note, StudyBegins, StudyEnds
from edge.drivers.astm_records import FIELD_COUNT_MAX, Delimiters
from edge.entries import HELD_COUNT_MAX, EntryQueue
from edge.open_study import NOTES_COUNT_MAX
from tests.edge.van import Van, studies_in
from tests.sim.disk import SimDisk
from wire.errors import DiskFull


class Scripted:
    """A third party's driver: whatever is fed, it says what it was told to say."""

    def __init__(self, events):
        self.events = events

    def feed(self, data, now):
        return self.events

    def deadline(self):
        return None

    def lost(self, now):
        return [StudyEnds()]


@pytest.fixture
def van(monkeypatch):
    return Van(SimDisk())


def hear(van, monkeypatch, events):
    monkeypatch.setattr(van.capture._ports["lab"], "driver", Scripted(events))
    return van.hear("lab", b"x")


def test_a_study_keeps_so_many_notes_and_counts_the_rest(van, monkeypatch):
    notes = [Note(f"note {number}") for number in range(NOTES_COUNT_MAX + 3)]
    hear(van, monkeypatch, [StudyBegins("laboratory"), Commit(b"raw"), *notes, StudyEnds()])
    (study,) = studies_in(van.stores)
    assert study.notes == [f"note {number}" for number in range(NOTES_COUNT_MAX)] + ["3 more notes were not kept"]


def test_a_driver_that_talks_to_itself_is_stopped(van, monkeypatch):
    hear(van, monkeypatch, [Note("again")] * (STEPS_MAX + 1))
    assert van.told("note") == ["again"] * STEPS_MAX
    assert f"more than {STEPS_MAX} events" in van.told("fault")[-1]


class Unclosable:
    """A store in which studies open and grow, and none can be closed while there is no room."""

    def __init__(self):
        self.full, self.opened, self.closed = True, 0, []

    def open(self):
        self.opened += 1
        return Journal(self, self.opened)

    def has_room(self):
        return True


class Journal:
    def __init__(self, store, number):
        self._store, self.study_id = store, number.to_bytes(16, "big")

    def append(self, tags):
        pass

    def close(self, summary):
        if self._store.full:
            raise DiskFull("no room")
        self._store.closed.append(self.study_id)


def test_studies_that_cannot_be_closed_wait_in_bounded_number_and_are_closed_in_order(van, monkeypatch):
    store, told = Unclosable(), []
    capture = Capture(store, van.clock, "kit-7", told.append)
    capture.attach("lab", "lines")
    monkeypatch.setattr(
        capture._ports["lab"], "driver", Scripted([StudyBegins("document"), Commit(b"raw"), StudyEnds()])
    )
    for _ in range(CLOSING_COUNT_MAX + 2):
        capture.receive("lab", b"x", 0.0)
    left = [happened for happened in told if "left to recovery" in happened.text]
    assert len(left) == 2
    store.full = False
    capture.tick(CLOSE_RETRY_S)
    assert store.closed == [number.to_bytes(16, "big") for number in range(1, CLOSING_COUNT_MAX + 1)]


def test_the_queue_holds_so_many_entries_however_small():
    queue = EntryQueue()
    for number in range(HELD_COUNT_MAX + 2):
        queue.put(Commit(number.to_bytes(2, "big")))
    (asked,) = queue.release()
    raws, faults = [], []
    while asked is not None:
        raws.append(int.from_bytes(asked.raw, "big"))
        said = queue.committed(asked.token)
        faults += [event for event in said if isinstance(event, Fault)]
        asked = next((event for event in said if isinstance(event, Commit)), None)
    assert raws == list(range(HELD_COUNT_MAX))
    assert [fault.text for fault in faults] == ["2 entries were lost: the disk had no room for too long"]


@pytest.mark.parametrize("count", [FIELD_COUNT_MAX - 1, FIELD_COUNT_MAX, FIELD_COUNT_MAX + 1, 10 * FIELD_COUNT_MAX])
def test_a_record_of_too_many_fields_is_read_up_to_the_limit(count):
    written = [b"%d" % number for number in range(count)]
    fields = Delimiters().split(b"|".join(written))
    assert len(fields) <= FIELD_COUNT_MAX + 1
    assert fields[:FIELD_COUNT_MAX] == written[:FIELD_COUNT_MAX]
    assert b"|".join(fields) == b"|".join(written)


@pytest.mark.parametrize(("size", "is_kept"), [(RAW_SIZE_MAX, True), (RAW_SIZE_MAX + 1, False)])
def test_an_entry_that_is_larger_than_any_device_makes_is_a_defect_of_its_driver(van, monkeypatch, size, is_kept):
    hear(van, monkeypatch, [StudyBegins("laboratory"), Commit(b"first"), Commit(bytes(size)), StudyEnds()])
    (study,) = studies_in(van.stores)
    assert study.raw == b"first" + (bytes(size) if is_kept else b"")
    assert bool(van.told("fault")) is not is_kept


# What a driver may not say


def test_an_entry_outside_a_study_is_dropped_and_told(van, monkeypatch):
    hear(van, monkeypatch, [Commit(b"stray"), StudyBegins("laboratory"), Commit(b"raw"), StudyEnds()])
    (study,) = studies_in(van.stores)
    assert study.raw == b"raw"
    assert van.told("fault") == ["driver: an entry outside a study was dropped"]


def test_a_study_that_begins_within_another_ends_that_one_as_partial(van, monkeypatch):
    begins = StudyBegins("laboratory")
    hear(van, monkeypatch, [begins, Commit(b"one"), begins, Commit(b"two"), StudyEnds()])
    one, two = studies_in(van.stores)
    assert (one.raw, two.raw) == (b"one", b"two")
    assert (one.summary.partial, two.summary.partial) == (True, False)


def test_studies_without_an_entry_leave_nothing_behind(van, monkeypatch):
    hear(van, monkeypatch, [StudyEnds(), StudyBegins("laboratory"), Note("nothing came"), StudyEnds()])
    assert studies_in(van.stores) == []
    assert van.stores.disk.list("open") == []
