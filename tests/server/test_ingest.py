"""Taking in: exactly once, whatever is repeated, damaged, forged or interrupted."""

import hashlib
import json
import multiprocessing
import pickle
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from node.disk import RealDisk
from node.entropy import seeded
from server import ingest as door
from server import studies
from server import tables as t
from server.reading import Signature
from tests.server import samples
from tests.server.faults import Broken, FailingDisk
from tests.server.taker import STUDIES, open_centre, take_all
from wire import objects
from wire.checks import SUMMARY
from wire.errors import DiskFull
from wire.objects import Offer, Receipt, Refusal
from wire.receipt import DAMAGED, WHOLE, parse_receipt, verify_receipt
from wire.record import Note, Observation, Patient, Result


def rows(centre, table):
    with centre.database.read() as connection:
        return connection.execute(select(table).order_by(table.c.id)).all()


def only(centre):
    (line,) = centre.library.lines() + centre.library.lines(qc=True)
    return line


def test_a_study_is_kept_byte_for_byte_and_shown(centre, van, take):
    study_id, raw = samples.laboratory(van)
    assert isinstance(take((study_id, raw)), Receipt)
    line = only(centre)
    assert centre.files.read(line.digest) == raw
    assert (line.study, line.kit, line.patient, line.form) == (study_id.hex(), "van-1", "4711", "laboratory")
    assert (line.signature, line.damaged, line.qc, line.received) == (Signature.GOOD, False, False, True)
    assert line.headline == samples.HEADLINE


def test_the_same_object_again_gets_the_same_receipt(centre, van, take, clock):
    pair = samples.laboratory(van)
    first = take(pair)
    clock.pass_s(86_400)
    assert take(pair) == take(pair, sender="another") == first
    assert centre.ingest.known(samples.offer(pair[0], objects.STUDY, pair[1])) == first
    assert centre.ingest.receipt(pair[0]) == first.data
    assert len(rows(centre, t.objects)) == len(rows(centre, t.studies)) == 1


def test_the_receipt_is_for_these_bytes_and_signed_by_the_centre(centre, van, take, clock):
    study_id, raw = samples.laboratory(van)
    data = take((study_id, raw)).data
    assert len(data) <= objects.RECEIPT_SIZE_MAX
    digest = hashlib.blake2b(raw, digest_size=32).digest()
    receipt = verify_receipt(data, centre.keys.sign_public, study_id, digest)
    assert (receipt.result, receipt.time_ms) == (WHOLE, clock.time_ms())


def test_the_receipt_of_a_damaged_study_says_so(centre, van, take):
    study_id, raw = samples.laboratory(van)
    assert parse_receipt(take((study_id, samples.damage(raw))).data).result == DAMAGED


def test_another_study_under_the_same_object_id_is_kept_aside(centre, van, take):
    pair = samples.laboratory(van)
    first = take(pair)
    other = (pair[0], samples.laboratory(van, "9999")[1])
    answer = take(other)
    assert isinstance(answer, Refusal)
    assert not answer.temporary
    assert "kept aside" in answer.text
    assert take(other) == answer, "asked again it is refused without a transfer"
    assert take(pair) == first
    (aside,) = rows(centre, t.refused)
    assert centre.files.read(aside.digest) == other[1]
    assert only(centre).patient == "4711"
    assert "object refused" in [one.kind for one in rows(centre, t.events)]


@pytest.mark.parametrize("kind", [objects.STUDY, objects.FILE])
def test_bytes_brought_first_under_the_id_of_a_study_do_not_keep_it_out(centre, van, take, kind):
    """A gateway sees the ids of what passes: what it brought first stood, and the kit's study was refused for good."""
    pair = samples.laboratory(van)
    false = (pair[0], b"anything at all")
    take(false, kind)
    answer = take(pair)
    assert isinstance(answer, Receipt)
    verify_receipt(answer.data, centre.keys.sign_public, pair[0], hashlib.blake2b(pair[1], digest_size=32).digest())
    line = only(centre)
    assert (line.patient, line.signature) == ("4711", Signature.GOOD)
    (aside,) = rows(centre, t.refused)
    assert centre.files.read(aside.digest) == false[1], "nothing is dropped"
    assert isinstance(take(false, kind), Refusal)
    assert take(pair) == answer


def test_false_copies_brought_up_to_the_limit_do_not_keep_the_study_out(centre, van, take, monkeypatch):
    monkeypatch.setattr(door, "COPIES_ASIDE_MAX", 3)
    pair = samples.laboratory(van)
    for n in range(6):
        take((pair[0], b"anything" + bytes([n])))
    assert isinstance(take(pair), Receipt)
    assert only(centre).signature == Signature.GOOD
    aside = len(rows(centre, t.refused))
    assert isinstance(take((pair[0], b"one more")), Refusal)
    assert len(rows(centre, t.refused)) == aside


def test_a_study_signed_by_a_kit_does_not_displace_another_by_coming_under_its_id(centre, van, take):
    first, second = samples.laboratory(van), samples.laboratory(van, "9999")
    unsigned = (first[0], first[1][:-78])
    stands = take(unsigned)
    assert isinstance(take((first[0], second[1])), Refusal)
    assert take(unsigned) == stands


def test_copies_kept_aside_are_bounded(centre, van, take, monkeypatch):
    monkeypatch.setattr(door, "COPIES_ASIDE_MAX", 3)
    object_id, raw = samples.laboratory(van)
    take((object_id, raw))
    answers = [take((object_id, raw + bytes([n]))) for n in range(5)]
    assert all(isinstance(answer, Refusal) for answer in answers)
    assert len(rows(centre, t.refused)) == 3


def test_bytes_that_do_not_match_the_offer(centre, van):
    object_id, raw = samples.laboratory(van)
    offered = samples.offer(object_id, objects.STUDY, raw)
    assert centre.ingest.accept(offered, raw[:-1]).reason == objects.BROKEN
    shorter = Offer(object_id, objects.STUDY, len(raw) - 1, offered.digest)
    assert centre.ingest.accept(shorter, raw).reason == objects.BROKEN
    assert rows(centre, t.objects) == []


@pytest.mark.parametrize("kind", [objects.ROSTER, objects.RECEIPT, 15])
def test_a_kind_that_the_centre_does_not_take(centre, kind):
    assert centre.ingest.accept(samples.offer(bytes(16), kind, b"x"), b"x").reason == objects.NOT_WANTED


def test_an_object_at_the_limit_of_size_and_one_over(centre):
    at = Offer(bytes(16), objects.FILE, door.OBJECT_SIZE_MAX, bytes(16))
    over = Offer(bytes(16), objects.FILE, door.OBJECT_SIZE_MAX + 1, bytes(16))
    assert centre.ingest.known(at) is None
    assert centre.ingest.known(over).reason == objects.TOO_LARGE


def test_a_plain_file_is_kept_and_is_no_study(centre, take):
    assert isinstance(take((bytes(16), b"a log"), objects.FILE), Receipt)
    assert centre.library.lines() == []


def test_the_summary_announces_and_the_study_completes(centre, van, take, clock):
    study_id, raw = samples.laboratory(van)
    announced = samples.summary_of(study_id, "van-1", "4711", headline=samples.HEADLINE)
    take(van.summary(announced), objects.SUMMARY, priority=2)
    line = only(centre)
    assert (line.received, line.patient, line.digest, line.urgent) == (False, "4711", None, False)
    assert centre.library.reading(line).summary.patient == "4711"
    clock.pass_s(60)
    take((study_id, raw))
    line = only(centre)
    assert line.received
    assert line.received_ms - line.announced_ms == 60_000


def test_a_summary_after_its_study_changes_nothing(centre, van, take):
    study_id, raw = samples.laboratory(van)
    take((study_id, raw))
    before = only(centre)
    take(van.summary(samples.summary_of(study_id, "van-1", "0000")), objects.SUMMARY)
    assert only(centre) == before


def test_a_forged_summary_does_not_take_the_place_of_a_signed_one(centre, van, take):
    study_id = van.entropy(16)
    stranger = samples.Kit("stranger", centre.keys.seal_public, "stranger")
    take(stranger.summary(samples.summary_of(study_id, "van-1", "FORGED")), objects.SUMMARY)
    assert only(centre).signature == Signature.UNKNOWN_KIT
    take(van.summary(samples.summary_of(study_id, "van-1", "4711")), objects.SUMMARY)
    take(stranger.summary(samples.summary_of(study_id, "van-1", "FORGED 2")), objects.SUMMARY)
    assert (only(centre).patient, only(centre).signature) == ("4711", Signature.GOOD)


@pytest.mark.parametrize(("priority", "urgent"), [(1, True), (2, False), (5, False)])
def test_a_summary_is_urgent_only_at_the_best_priority(centre, van, take, priority, urgent):
    take(van.summary(samples.summary_of(bytes(16), "van-1", "1")), objects.SUMMARY, priority)
    assert only(centre).urgent is urgent


def test_quality_control_is_never_among_patients(centre, van, take):
    take(samples.laboratory(van, qc=True))
    assert centre.library.lines() == []
    assert [line.qc for line in centre.library.lines(qc=True)] == [True]
    assert rows(centre, t.patients) == []


def test_a_study_whose_results_are_all_controls_is_quality_control_without_a_summary(centre, van, take):
    take(van.study([[samples.blood_count(qc=True).to_tag()]]))
    assert only(centre).qc


def test_a_damaged_study_is_kept_and_marked(centre, van, take):
    study_id, raw = samples.laboratory(van)
    broken = samples.damage(raw)
    assert isinstance(take((study_id, broken)), Receipt)
    line = only(centre)
    assert (line.damaged, line.signature) == (True, Signature.BROKEN)
    assert line.bytes_lost > 0
    assert centre.files.read(line.digest) == broken
    assert centre.library.reading(line).problems


def test_the_whole_study_takes_the_place_of_a_damaged_one(centre, van, take):
    study_id, raw = samples.laboratory(van)
    take((study_id, samples.damage(raw)))
    take((bytes(15) + b"2", raw))
    line = only(centre)
    assert (line.damaged, line.conflict, line.signature) == (False, False, Signature.GOOD)
    assert centre.files.read(line.digest) == raw
    assert len(rows(centre, t.pages[0])) == len(samples.blood_count().observations)


def test_a_damaged_copy_does_not_take_the_place_of_a_whole_one(centre, van, take):
    study_id, raw = samples.laboratory(van)
    take((study_id, raw))
    take((bytes(15) + b"2", samples.damage(raw)))
    assert not only(centre).damaged
    assert len(rows(centre, t.objects)) == 2


def test_two_signed_files_of_one_study_are_a_conflict(centre, van, take):
    study_id, raw = samples.laboratory(van)
    take((study_id, raw))
    take((bytes(15) + b"2", van.study([[Note("other").to_tag()]], study_id=study_id)[1]))
    line = only(centre)
    assert line.conflict
    assert centre.files.read(line.digest) == raw
    assert "second file of a study" in [one.kind for one in rows(centre, t.events)]


def test_two_patient_ids_in_one_study_are_a_conflict(centre, van, take):
    tags = [Patient(code, "barcode", checked=True).to_tag() for code in ("1", "2")]
    take(van.study([[tag] for tag in tags]))
    assert only(centre).conflict


def test_a_study_of_an_unknown_kit_is_kept_and_not_trusted(centre, take):
    stranger = samples.Kit("stranger", centre.keys.seal_public, "stranger")
    assert isinstance(take(samples.laboratory(stranger)), Receipt)
    assert (only(centre).signature, only(centre).kit) == (Signature.UNKNOWN_KIT, "")


def test_an_unsigned_study_is_kept_and_not_trusted(centre, van, take):
    assert isinstance(take(samples.laboratory(van, sign=False)), Receipt)
    assert only(centre).signature == Signature.NONE


def test_a_study_of_a_revoked_kit_is_refused_at_once_and_set_aside(centre, van, take):
    pair = samples.laboratory(van)
    before = take(pair)
    centre.peers.revoke_kit("van-1")
    later = samples.laboratory(van, "5")
    answer = take(later)
    assert (answer.reason, answer.text) == (objects.NOT_ALLOWED, "kit van-1 is revoked")
    assert take(pair) == before, "what was received before stays received"
    assert [line.patient for line in centre.library.lines()] == ["4711"]
    assert centre.files.read(rows(centre, t.refused)[0].digest) == later[1]


def test_a_study_sealed_for_another_centre_is_kept_and_marked(centre, take):
    elsewhere = samples.Kit("van-9", samples.x25519_public(bytes(range(32))), "van-9")
    study_id, raw = samples.laboratory(elsewhere)
    assert isinstance(take((study_id, raw)), Receipt)
    line = only(centre)
    assert (line.study, line.damaged) == (study_id.hex(), True)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=3000), kind=st.sampled_from([objects.STUDY, objects.SUMMARY]))
def test_any_bytes_at_all_are_kept_and_marked(centre, raw, kind):
    object_id = hashlib.blake2b(raw + bytes([kind]), digest_size=16).digest()
    answer = centre.ingest.accept(samples.offer(object_id, kind, raw), raw)
    assert isinstance(answer, Receipt)
    assert centre.library.line(object_id.hex()).damaged


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_study_cut_or_changed_anywhere_is_kept_and_never_called_good(centre, van, data):
    study_id, raw = samples.laboratory(samples.Kit("van-1", centre.keys.seal_public, "the same each time"))
    at = data.draw(st.integers(0, len(raw) - 1))
    broken = raw[:at] if data.draw(st.booleans()) else raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
    object_id = hashlib.blake2b(broken, digest_size=16).digest()
    assert isinstance(centre.ingest.accept(samples.offer(object_id, objects.STUDY, broken), broken), Receipt)
    line = centre.library.line(study_id.hex()) or centre.library.line(object_id.hex())
    assert line is not None
    assert line.signature != Signature.GOOD


def test_results_can_be_searched_as_integers(centre, van, take):
    take(samples.laboratory(van))
    page, alias = t.pages[0].c, t.aliases.c
    low = (
        select(page.text)
        .join(t.aliases, alias.id == page.f01)
        .where(alias.text == "718-7", page.f02 < 70 * studies.SCALE)
    )
    with centre.database.read() as connection:
        found = connection.execute(low).scalars().all()
        description = connection.execute(select(t.forms.c.description)).scalar_one()
    assert [json.loads(text)["value"] for text in found] == ["6.4"]
    assert "f01 analyte" in description


def test_values_that_are_no_numbers_are_kept_and_not_searched(centre, van, take):
    odd = ("", "<5", "1e400", "9" * 40, "7,5", "NaN", "-3.25", "  12 ", "١٢")
    take(van.study([[Result(observations=tuple(Observation(code="X", value=one) for one in odd)).to_tag()]]))
    found = rows(centre, t.pages[0])
    assert [row.f02 for row in found] == [None, None, None, None, None, None, -3_250_000, 12_000_000, None]
    assert [json.loads(row.text).get("value", "") for row in found] == list(odd)


def test_more_observations_than_are_searched(centre, van, take, monkeypatch):
    monkeypatch.setattr(studies, "OBSERVATIONS_MAX", 3)
    take(samples.laboratory(van))
    assert len(rows(centre, t.pages[0])) == 3
    assert "not all searchable" in [one.kind for one in rows(centre, t.events)]


def test_texts_longer_than_their_columns(centre, van, take):
    result = Result(observations=(Observation(code="C" * 5000, unit="u" * 5000, value="1"),))
    patient = Patient("P" * 5000, "barcode")
    assert isinstance(take(van.study([[result.to_tag(), patient.to_tag()]])), Receipt)
    assert len(only(centre).patient) == studies.CODE_SIZE_MAX


def test_characters_that_a_database_may_not_hold_and_counts_beyond_its_integers(centre, van, take):
    said = samples.summary_of(bytes(16), "van-1", "4\x0071", "lab\0", device="\0", entries=(1 << 48) - 1)
    result = Result(observations=(Observation(code="a\0b", unit="\0", value="1\0"),))
    study_id, raw = van.study([[said.to_tag(), result.to_tag()]])
    take((study_id, raw))
    line = only(centre)
    assert (line.patient, line.entries) == ("4\N{REPLACEMENT CHARACTER}71", studies.COUNT_MAX)
    assert centre.files.read(line.digest) == raw
    for table in (t.studies, t.aliases, t.pages[0], t.patients):
        assert not any("\0" in value for row in rows(centre, table) for value in row if isinstance(value, str))


def test_a_full_disk_asks_to_come_again(centre, van, tmp_path):
    disk = FailingDisk(RealDisk(tmp_path))
    centre.files._disk = disk
    disk.fail("append", DiskFull("no room"))
    object_id, raw = samples.laboratory(van)
    offered = samples.offer(object_id, objects.STUDY, raw)
    answer = centre.ingest.accept(offered, raw)
    assert (answer.reason, answer.temporary) == (objects.DISK_FULL, True)
    assert isinstance(centre.ingest.accept(offered, raw), Receipt)


def test_two_processes_that_take_in_the_same_object_give_one_receipt(centre, van, monkeypatch):
    object_id, raw = samples.laboratory(van)
    offered = samples.offer(object_id, objects.STUDY, raw)
    other = door.Ingest(centre.database, centre.files, centre.keys, centre.peers, centre.clock)
    first = []
    real = door.Ingest._read

    def read_and_lose_the_race(self, *args):
        if not first:
            first.append(None)
            first[0] = other.accept(offered, raw)
        return real(self, *args)

    monkeypatch.setattr(door.Ingest, "_read", read_and_lose_the_race)
    assert centre.ingest.accept(offered, raw) == first[0]
    assert len(rows(centre, t.objects)) == 1


def after_the_crash(folder, pair):
    """Open again, take in again, and check what must hold: one object, one study, one receipt, the same bytes."""
    with open_centre(folder) as centre:
        centre.files.sweep()  # as the kernel does when it starts
        known = centre.ingest.known(samples.offer(pair[0], objects.STUDY, pair[1]))
        answer = centre.ingest.accept(samples.offer(pair[0], objects.STUDY, pair[1]), pair[1])
        assert isinstance(answer, Receipt)
        assert known in (None, answer)
        assert len(rows(centre, t.objects)) == len(rows(centre, t.studies)) == 1
        assert len(rows(centre, t.pages[0])) == len(samples.blood_count().observations)
        assert centre.files.read(only(centre).digest) == pair[1]
        assert all(sound for _, sound in centre.files.check())
        assert [one.kind for one in rows(centre, t.events)].count("object received") == 1
        return known


def copied(tmp_path_factory, prepared_folder):
    folder = tmp_path_factory.mktemp("crash") / "centre"
    shutil.copytree(prepared_folder, folder)
    return folder


def prepared(folder):
    with open_centre(folder) as centre:
        kit = samples.Kit("van-1", centre.keys.seal_public, "van-1")
        kit.enrol(centre)
        return samples.laboratory(kit)


def test_crash_at_every_call_to_the_disk(tmp_path_factory):
    template = tmp_path_factory.mktemp("template")
    pair = prepared(template)
    for number in range(1, 40):
        folder = copied(tmp_path_factory, template)
        disk = FailingDisk(RealDisk(folder))
        centre = open_centre(folder, disk)
        disk.fail_at = disk.calls + number
        try:
            answer = centre.ingest.accept(samples.offer(pair[0], objects.STUDY, pair[1]), pair[1])
        except Broken:
            answer = None
        centre.database.close()
        known = after_the_crash(folder, pair)
        if answer is not None:
            assert known == answer, "an acknowledged object is known after the crash"
            return
    pytest.fail("taking in takes more calls than this test counts")


@pytest.mark.slow
def test_crash_at_every_statement_and_right_before_and_after_the_commit(tmp_path_factory):
    template = tmp_path_factory.mktemp("template")
    pair = prepared(template)
    for number in range(1, 200):
        folder = copied(tmp_path_factory, template)
        centre = open_centre(folder)
        left = [number]

        def count(*_args, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise Broken

        event.listen(centre.database.engine, "before_cursor_execute", count)
        event.listen(centre.database.engine, "commit", count)
        try:
            answer = centre.ingest.accept(samples.offer(pair[0], objects.STUDY, pair[1]), pair[1])
        except Broken:
            answer = None
        centre.database.close()
        known = after_the_crash(folder, pair)
        if answer is not None:
            assert known == answer
            return
        assert known is None, "nothing of a transaction that broke off"
    pytest.fail("taking in takes more statements than this test counts")


def heard(pipe, count):
    """Return up to `count` messages, fewer when the other side is gone; a message that was cut off does not count."""
    found = []
    try:
        while len(found) < count:
            found.append(pipe.recv())
    except (EOFError, OSError, pickle.UnpicklingError):
        pass
    return found


def killed_rounds(folder, count):
    """Run a process that takes in the same studies, kill it at a random moment, `count` times; check what it said."""
    prepared(folder)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.server.taker"])
    told, moments = {}, seeded(b"moments")
    for _ in range(count):
        ours, theirs = processes.Pipe(duplex=False)
        child = processes.Process(target=take_all, args=(folder, theirs))
        child.start()
        theirs.close()
        lines = heard(ours, moments(1)[0] % 24)
        child.kill()
        for object_id, receipt in lines + heard(ours, STUDIES):
            assert told.setdefault(object_id, receipt) == receipt, "the same object, another receipt"
        ours.close()
        child.join()
        child.close()
    with open_centre(folder) as centre:
        for object_id, receipt in told.items():
            assert centre.ingest.receipt(object_id) == receipt
        with centre.database.read() as connection:
            doubles = select(t.studies.c.study).group_by(t.studies.c.study).having(func.count() > 1)
            assert connection.execute(doubles).all() == []
        assert all(sound for _, sound in centre.files.check())
        assert all(centre.files.has(digest) for digest in centre.library.digests())
    return told


def test_killed_three_times_nothing_that_was_acknowledged_is_lost(tmp_path):
    assert killed_rounds(tmp_path, 3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_a_hundred_times_nothing_that_was_acknowledged_is_lost(tmp_path):
    assert len(killed_rounds(tmp_path, 100)) > 10


def test_a_summary_stream_that_is_offered_as_a_study(centre, van, take):
    raw = van.summary(samples.summary_of(bytes(16), "van-1", "1"))
    assert isinstance(take(raw, objects.STUDY), Receipt)
    assert centre.library.line(raw[0].hex()) is not None
    assert SUMMARY == 2
