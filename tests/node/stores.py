"""A kit's stores on any disk, a script that uses them, and the checker that decides whether anything was lost.

The `Ledger` is written by the script: what was tried, what was acknowledged, what was refused. `check` reads the stores
after recovery with the server's key and holds them against the ledger; it shares no code with the stores.
"""

from dataclasses import dataclass, field

from node.entropy import seeded
from node.journal import Limits, Studies
from node.sealer import preview_id_of
from node.spool import Spool, State
from wire import kinds
from wire.errors import DiskFull
from wire.objects import PREVIEW, STUDY, SUMMARY
from wire.record import Preview, Summary
from wire.seal import key_id, seal_pair, sign_pair
from wire.study import open_study
from wire.tag import Tag

SEAL_SECRET, SEAL_PUBLIC = seal_pair(bytes(range(32)))
SIGN_SECRET, SIGN_PUBLIC = sign_pair(bytes(range(32, 64)))
SMALL = Limits(study_room=1 << 16, entries_reserve=1 << 13, closing_reserve=1 << 13)


class FixedClock:
    """Every reading is a millisecond later."""

    def __init__(self):
        self.ms = 1_700_000_000_000

    def now(self):
        return self.ms / 1000

    def time_ms(self):
        self.ms += 1
        return self.ms


class Kit:
    """Spool and studies of one process life, recovered."""

    def __init__(self, disk, life=0, limits=SMALL):
        self.disk = disk
        self.spool = Spool(disk)
        self.studies = Studies(
            disk,
            FixedClock(),
            seeded(b"life %d" % life),
            SEAL_PUBLIC,
            SIGN_SECRET,
            self.spool,
            kit="kit-7",
            limits=limits,
        )
        self.report = self.studies.recover()


def raw_tag(payload):
    return Tag(kinds.CAPTURE, kinds.RAW, payload, time_ms=1_700_000_000_000)


def summary_of(journal, entries):
    return {
        "study": journal.study_id,
        "kit": "kit-7",
        "form": "laboratory",
        "opened_ms": journal.opened_ms,
        "closed_ms": 2,
        "device": "analyser",
        "patient": "113",
        "entries": entries,
        "headline": [["WBC", "6.1", "10*3/uL"]],
    }


def previews_of(journal, pictures=1):
    """Return two stages of previews for each picture, which tell what they are of."""
    return [
        Preview(journal.study_id, number, stage, "image/webp", "eye", 640, 480, b"%d %d" % (number, stage) * 60)
        for stage in (1, 2)
        for number in range(pictures)
    ]


@dataclass
class Ledger:
    tried: dict[bytes, bytes] = field(default_factory=dict)
    acked: dict[bytes, bytes] = field(default_factory=dict)
    refused: set[bytes] = field(default_factory=set)
    closed: set[bytes] = field(default_factory=set)
    marks: dict[bytes, State] = field(default_factory=dict)
    was_full: bool = False
    """The disk was full at some time: an object may have moved without its receipt."""

    def tell(self):
        """Something was acknowledged. For those who want to know when."""


def payload_of(study, entry, size=0):
    head = b"study %d entry %d " % (study, entry)
    return head + bytes((study * 31 + entry * 7 + at) % 256 for at in range(size))


def script(disk, ledger, life=0, studies=2, entries=3, limits=SMALL):
    """Write, close and mark studies; a full disk refuses steps, and the script goes on with the next."""
    kit = Kit(disk, life, limits)
    for study in range(studies):
        try:
            journal = kit.studies.open(priority=1 + 4 * study)
        except DiskFull:
            continue
        count = sum(_append(journal, payload_of(study, entry, 1500 * entry), ledger) for entry in range(entries))
        _close(journal, count, ledger)
    _mark(kit, ledger)
    return kit


def _append(journal, payload, ledger):
    ledger.tried[payload] = journal.study_id
    try:
        journal.append([raw_tag(payload)])
    except DiskFull:
        ledger.refused.add(payload)
        return 0
    ledger.acked[payload] = journal.study_id
    ledger.tell()
    return 1


def _close(journal, count, ledger):
    for _ in range(2):
        try:
            journal.close(summary_of(journal, count), previews=previews_of(journal))
        except DiskFull:
            continue
        ledger.closed.add(journal.study_id)
        ledger.tell()
        return


def _mark(kit, ledger):
    steps = {
        STUDY: [(State.CUSTODY, kit.spool.in_custody), (State.RECEIVED, lambda one: kit.spool.receipt(one, b"signed"))],
        PREVIEW: [(State.CUSTODY, kit.spool.in_custody)],
        SUMMARY: [(State.REFUSED, lambda one: kit.spool.refused(one, "not wanted: no such kit"))],
    }
    for one in kit.spool.objects(State.WAITING):
        for state, act in steps[one.kind]:
            act(one.object_id)
            ledger.marks[one.object_id] = state
            ledger.tell()
    for one in kit.spool.objects(State.REFUSED)[:1]:
        del ledger.marks[one.object_id]
        ledger.tell()
        kit.spool.again(one.object_id)


def read_all(spool, kind):
    keys = {key_id(SIGN_PUBLIC): SIGN_PUBLIC}
    for one in spool.objects():
        if one.kind == kind:
            study = open_study(spool.read(one.object_id, 0, one.size), SEAL_SECRET, keys)
            assert study.signature_ok
            assert not study.damaged, study
            yield one.object_id, study


def payloads_of(study):
    return [tag.data for entry in study.entries for tag in entry.tags if tag.kind == (kinds.CAPTURE, kinds.RAW)]


def check(kit, ledger):
    """Everything acknowledged is there, once, as it was; nothing is there that was not tried; nothing is left lying."""
    found = {}
    studies = dict(read_all(kit.spool, STUDY))
    for study_id, study in studies.items():
        assert study.study_id == study_id
        for payload in payloads_of(study):
            assert payload not in found, "an entry is there twice"
            found[payload] = study_id
        order = [list(ledger.tried).index(payload) for payload in payloads_of(study)]
        assert order == sorted(order)
        if study_id in ledger.closed:
            assert not study.end.recovered
    pruned = pruned_for_room(kit, ledger)
    lost = [p for p, study_id in ledger.acked.items() if found.get(p) != study_id and study_id not in pruned]
    assert not lost, "an acknowledged entry is lost"
    assert found.items() <= ledger.tried.items(), "an entry is there that nobody wrote"
    assert not ledger.refused & found.keys(), "an entry is there that was refused"
    check_summaries(kit, studies, ledger, pruned)
    check_previews(kit, studies, pruned)
    for object_id, state in ledger.marks.items():
        assert object_id in pruned or kit.spool.get(object_id).state in (state, State.RECEIVED)
    for one in kit.spool.objects(State.RECEIVED):
        assert kit.spool.receipt_of(one.object_id) in ((b"signed", b"") if ledger.was_full else (b"signed",))
    assert not kit.disk.list("open")
    assert not kit.disk.list("broken")
    assert not kit.spool.foreign
    assert not [name for folder in State for name in kit.disk.list(folder) if name.endswith(".new")]


def pruned_for_room(kit, ledger):
    """Return what was received and is gone: lawful when the disk was full."""
    received = {object_id for object_id, state in ledger.marks.items() if state is State.RECEIVED}
    return {object_id for object_id in received if kit.spool.get(object_id) is None} if ledger.was_full else set()


def check_summaries(kit, studies, ledger, pruned):
    summaries = {}
    for _, stream in read_all(kit.spool, SUMMARY):
        (tag,) = stream.entries[0].tags
        summary = Summary.from_tag(tag)
        assert summary.study not in summaries, "a study has two summaries"
        summaries[summary.study] = summary
    assert summaries.keys() - pruned == studies.keys()
    for study_id in ledger.closed:
        assert summaries[study_id].patient == "113"
        assert not summaries[study_id].recovered


def check_previews(kit, studies, pruned):
    """A crash or a full disk may cost a preview, never mix one up, and never leave one without its study."""
    for object_id, stream in read_all(kit.spool, PREVIEW):
        (tag,) = stream.entries[0].tags
        preview = Preview.from_tag(tag)
        assert preview.image == b"%d %d" % (preview.number, preview.stage) * 60
        assert object_id == preview_id_of(preview.study, preview.number, preview.stage)
        assert preview.study in studies.keys() | pruned


def recover_and_check(disk, ledger, life=100):
    """Recover, check, and recover again: the second time nothing happens."""
    kit = Kit(disk, life)
    check(kit, ledger)
    before = disk.tree()
    again = Kit(disk, life + 1)
    assert again.report.studies == ()
    assert disk.tree() == before
    return kit
