"""How far a study is: with its summary and previews, as one; and what a technician reads of it."""

import pytest

from edge.study_progress import STUDIES_MAX, StudyProgress
from feldsher import watching
from node.disk import RealDisk
from node.progress import ObjectProgress
from node.sealer import preview_id_of, summary_id_of
from node.spool import Spool
from wire.objects import PREVIEW, STUDY, SUMMARY

STUDY_ID = bytes(range(16))
LISTED = {"number": 12, "study": STUDY_ID.hex(), "size": 3000, "state": "spool"}


@pytest.fixture
def spool(tmp_path):
    with RealDisk(tmp_path) as disk:
        spool = Spool(disk)
        spool.put(summary_id_of(STUDY_ID), SUMMARY, bytes(100))
        for number in (0, 63):
            spool.put(preview_id_of(STUDY_ID, number, 1), PREVIEW, bytes(200))
        spool.put(STUDY_ID, STUDY, bytes(3000))
        yield spool


def sending(object_id, size, done, eta_s):
    return ObjectProgress(object_id.hex(), "", 5, "sending", size, done, eta_s)


def described(spool, *moving, ways=None, progress=None, listed=LISTED):
    (study,) = (progress or StudyProgress()).describe(spool, [listed], moving, 2400.0, ways or {})
    return study


def test_a_study_is_all_its_objects(spool):
    study = described(spool)
    assert [part["kind"] for part in study["parts"]] == ["summary", "preview", "preview", "study"]
    assert (study["total"], study["done"], study["eta_s"], study["rate_bps"]) == (3500, 0, None, 0.0)


def test_what_the_gateway_has_is_done_and_what_moves_counts_as_far_as_it_is(spool):
    spool.in_custody(summary_id_of(STUDY_ID))
    for number in (0, 63):
        spool.receipt(preview_id_of(STUDY_ID, number, 1), b"r")
    study = described(spool, sending(STUDY_ID, 3000, 1000, 6.7), ways={STUDY_ID: "gsm"})
    assert (study["done"], study["eta_s"], study["rate_bps"], study["way"]) == (1500, 6.7, 2400.0, "gsm")
    (line,) = watching.study_lines([study])
    assert line.startswith("  study    12  00010203  █")
    assert "42%  1.5 KiB of 3.4 KiB  2.4 kbit/s  7 s left  by gsm  summary there  preview there" in line


def test_no_time_is_foretold_while_a_part_of_it_is_held_back(spool):
    study = described(spool, sending(summary_id_of(STUDY_ID), 100, 50, 1.0))
    assert study["eta_s"] is None
    (line,) = watching.study_lines([study])
    assert "left" not in line
    assert "0 of 2 previews there" in line
    assert "0 of 1 summaries there" in line


def test_a_study_that_is_being_captured_has_no_bar(spool):
    study = described(spool, listed=LISTED | {"study": "ff" * 16, "state": "open"})
    assert study["parts"] == []
    assert watching.study_lines([study]) == ["  study    12  ffffffff     2.9 KiB  being captured"]


def test_a_study_is_found_when_its_capture_ends(spool):
    progress, other = StudyProgress(), b"\xff" * 16
    assert described(spool, progress=progress, listed=LISTED | {"study": other.hex()})["parts"] == []
    spool.put(other, STUDY, bytes(10))
    assert len(described(spool, progress=progress, listed=LISTED | {"study": other.hex()})["parts"]) == 1


def test_what_was_removed_to_make_room_is_no_longer_a_part(spool):
    progress = StudyProgress()
    described(spool, progress=progress)
    spool.receipt(STUDY_ID, b"r")
    spool.forget(STUDY_ID)
    assert [part["kind"] for part in described(spool, progress=progress)["parts"]] == ["summary", "preview", "preview"]


def test_studies_are_remembered_in_bounds(spool):
    progress = StudyProgress()
    for number in range(STUDIES_MAX + 3):
        study_id = bytes([number]) * 16
        spool.put(study_id, STUDY, b"1")
        described(spool, progress=progress, listed=LISTED | {"study": study_id.hex()})
    assert len(progress._ids) == STUDIES_MAX


def test_a_line_about_a_link_tells_what_was_lost_and_sent_again():
    link = {"connected": True, "bearer": "gsm (modem)", "silence_s": 3.0, "rtt_s": 0.61, "rate_bps": 9600.0}
    link |= {"wire_sent": 2048, "wire_received": 100, "frames_lost": 2, "segments_resent": 3, "segments_twice": 0}
    link |= {"handshakes": 1, "probes": 4}
    assert watching.link_line(link) == (
        "gsm (modem), heard 3 s ago, RTT 610 ms, 9.6 kbit/s, out 2.0 KiB, in 100 B, 2 lost, 3 sent again,"
        " 1 handshake, 4 probes"
    )


def test_many_objects_are_counted_not_listed():
    one = {
        "priority": 5,
        "kind": "study",
        "object_id": "ab" * 16,
        "done": 1,
        "size": 2,
        "eta_s": None,
        "state": "sending",
    }
    assert watching.object_lines([one] * (watching.OBJECTS_MAX + 2))[-1] == "  … and 2 more"
