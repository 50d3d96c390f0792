"""Capture over the real journal on a simulated disk: nothing is acknowledged that is not kept."""

import pytest

from edge.capture import Capture
from hardware.simulated.analyser import Analyser
from hardware.simulated.oximeter import Oximeter
from hardware.simulated.results import message
from hardware.simulated.scanner import patient_label
from tests.edge.van import Van, studies_in, summaries_in, unfinished_in
from tests.edge.virtual import CaptureHost, Wire
from tests.node.stores import Kit
from tests.sim.disk import Crash, SimDisk
from wire.errors import ConfigError, DiskError, Misuse
from wire.record import Device

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
SCANNING = {"scanner": ("barcode", {"scheme": "mod10", "release": "END"}, "scan"), "lab": ("astm", {}, "scan")}


class Overhearing:
    """Notes every frame that the device was told is acknowledged."""

    def __init__(self):
        self.acked, self._last = [], b""

    def __call__(self, direction, data):
        if direction == "<" and data[:1] == b"\x02":
            self._last = data.rstrip(b"\n")
        elif direction == ">" and data == ACK and self._last:
            self.acked.append(self._last)
            self._last = b""
        return data


def analyser(style="c111", count=1, **how):
    return Analyser([message(style, 3, patient_label(3, at), at=at, **how) for at in range(count)], every_s=5.0)


def converse(van, device, port="lab", **how):
    return Wire(device, CaptureHost(van.capture, port), **how).run()


def test_a_message_becomes_a_signed_study_in_the_spool():
    van = Van(SimDisk())
    wire = converse(van, analyser("xp100"))
    (study,) = studies_in(van.stores)
    assert study.raw == b"".join(data for direction, _, data in wire.carried if direction == "<")
    assert len(study.observations) == 12
    (device,) = study.all(Device)
    assert (device.driver, device.port) == ("astm", "lab")
    (summary,) = summaries_in(van.stores)
    assert summary == study.summary
    assert summary.patient == patient_label(3, 0)
    assert summary.headline[0] == ("WBC", study.observations[0].value.strip(), "10*3/uL")
    assert (summary.form, summary.partial, summary.qc) == ("laboratory", False, False)


def test_one_fsync_of_the_study_for_each_frame():
    disk = SimDisk()
    van = Van(disk)
    van.hear("lab", ENQ)
    frames = [b"\x021H|\\^&|||X\r\x03B1\r\n", b"\x022P|1||133\r\x03CE\r\n"]
    van.hear("lab", frames[0])
    before = disk.syncs()
    assert van.hear("lab", frames[1]) == ACK
    assert disk.syncs() == before + 1


@pytest.mark.parametrize("style", ["c111", "xp100"])
def test_power_cut_at_every_disk_call_loses_nothing_that_was_acknowledged(style):
    quiet = SimDisk()
    van = Van(quiet)
    calls_before = quiet.calls
    converse(van, analyser(style, count=2))
    for at in range(1, quiet.calls - calls_before + 1, 1 if style == "xp100" else 3):
        assert_nothing_lost(style, at)


def assert_nothing_lost(style, at):
    disk, overhearing, device = SimDisk(seed=at), Overhearing(), analyser(style, count=2)
    van = Van(disk)
    disk.fail("crash", at)
    wire = Wire(device, CaptureHost(van.capture, "lab"), overhearing)
    with pytest.raises(Crash):
        wire.run()
    van = Van(disk.crash(at), life=1)
    kept = b"".join(study.raw for study in studies_in(van.stores))
    assert all(frame in kept for frame in overhearing.acked), "an acknowledged frame is lost"
    wire.host = CaptureHost(van.capture, "lab")
    wire.now += 5.0
    wire.run()
    assert device.report.is_good
    studies = studies_in(van.stores)
    for number in range(2):
        ours = [study for study in studies if patient_label(3, number).encode() in study.raw]
        assert any(study.observations and not study.partials for study in ours), "a result was not read"
    assert all(study.is_recovered or not study.summary.partial for study in studies)


def test_power_cut_in_the_middle_of_a_message_keeps_the_frames_as_a_recovered_study():
    disk = SimDisk()
    van = Van(disk)
    van.hear("lab", ENQ)
    van.hear("lab", b"\x021H|\\^&|||X\r\x03B1\r\n")
    (study,) = unfinished_in(disk)
    assert study.raw == ENQ + b"\x021H|\\^&|||X\r\x03B1\r\n"
    again = Kit(disk.crash(1), life=1)
    (recovered,) = studies_in(again)
    assert recovered.raw == study.raw
    assert recovered.is_recovered
    (summary,) = summaries_in(again)
    assert summary.recovered


def test_full_disk_refuses_the_enquiry_and_takes_it_when_there_is_room():
    disk = SimDisk(capacity=1 << 20)
    van = Van(disk)
    disk.capacity = disk.capacity - disk.free() + 1000
    assert van.hear("lab", ENQ) == NAK
    assert van.told("refused")
    disk.capacity = 1 << 22
    assert van.hear("lab", ENQ, 11.0) == ACK


def test_disk_full_once_in_the_middle_the_frame_is_refused_comes_again_and_nothing_is_twice():
    quiet = SimDisk()
    van = Van(quiet)
    before = quiet.calls
    converse(van, analyser("c111"))
    whole = [one.to_map() for one in studies_in(van.stores)[0].observations]
    for at in range(1, quiet.calls - before + 1):
        disk, device, overhearing = SimDisk(), analyser("c111"), Overhearing()
        van = Van(disk)
        disk.fail("ENOSPC", at)
        converse(van, device, spoil=overhearing)
        assert device.report.is_good, at
        (study,) = studies_in(van.stores)
        assert [one.to_map() for one in study.observations] == whole, at
        assert all(frame in study.raw for frame in overhearing.acked), at


def test_disk_error_is_never_acknowledged_and_after_reopening_the_message_is_taken_whole():
    disk, device = SimDisk(), analyser("c111")
    van = Van(disk)
    disk.fail("EIO", 12)
    wire = Wire(device, CaptureHost(van.capture, "lab"))
    wire.run(until=30.0)
    assert van.capture.disk_failed
    assert van.hear("lab", EOT + ENQ, wire.now) == NAK
    van.stores = Kit(disk, 1)
    van.capture.reopen(van.stores.studies)
    wire.now += 1.0
    wire.run()
    assert device.report.is_good
    wholes = [study for study in studies_in(van.stores) if not study.is_recovered]
    assert len(wholes) == 1
    assert len(wholes[0].observations) == 1


def test_a_disk_that_failed_while_a_study_was_closed_asks_for_no_tick_in_the_past():
    """The loop around the kit spun until the stores were opened anew."""
    quiet = SimDisk()
    van = Van(quiet)
    before = quiet.calls
    converse(van, analyser())
    waiting = 0
    for at in range(1, quiet.calls - before + 1):
        disk = SimDisk()
        van = Van(disk)
        disk.fail("EIO", at)
        wire = Wire(analyser(), CaptureHost(van.capture, "lab"))
        wire.run(until=4.0)
        if van.capture.disk_failed:
            due = van.capture.deadline()
            assert due is None or due > wire.now, at
            waiting += 1
    assert waiting


def test_a_device_that_asks_after_the_disk_failed_under_the_link_is_told_to_wait():
    """The kit's step ended with DiskError, and with it the kit, before the stores were opened anew."""
    disk = SimDisk()
    van = Van(disk)
    disk.fail("EIO", 2)
    with pytest.raises(DiskError):
        van.stores.spool.put(bytes(16), 2, b"of the link")
    assert van.hear("lab", ENQ) == NAK
    assert van.capture.disk_failed
    van.stores = Kit(disk, 1)
    van.capture.reopen(van.stores.studies)
    assert van.hear("lab", ENQ, 20.0) == ACK


def test_an_oximeters_samples_wait_while_the_disk_is_full():
    disk = SimDisk(capacity=1 << 22)
    van = Van(disk, ports={"lab": ("nonin", {}, "scan")})
    device = Oximeter(1, 1, 60.0)
    room = disk.capacity
    wire = Wire(device, CaptureHost(van.capture, "lab"))
    wire.run(until=15.0)
    disk.fail("ENOSPC", 1)
    wire.run()
    disk.capacity = room
    (study,) = studies_in(van.stores)
    assert sum(tag.kind == (0x0B, 0x04) for tag in study.tags) >= 12
    assert study.raw in b"".join(data for direction, _, data in wire.carried if direction == "<")


def scan(van, label, now=0.0):
    return van.hear("scanner", label.encode() + b"\r", now)


def test_a_label_names_the_patient_of_the_studies_that_begin_after_it():
    van = Van(SimDisk(), ports=SCANNING)
    scan(van, patient_label(3, 0))
    converse(van, analyser("xp100"))
    (study,) = studies_in(van.stores)
    (patient,) = study.patients
    assert (patient.id, patient.source, patient.checked) == (patient_label(3, 0), "barcode", True)
    assert study.summary.patient == patient_label(3, 0)
    assert not study.summary.patient_conflict


def test_label_and_device_disagree_the_study_is_kept_and_flagged():
    van = Van(SimDisk(), ports=SCANNING)
    scan(van, patient_label(3, 9))
    converse(van, analyser("xp100"))
    (study,) = studies_in(van.stores)
    assert study.summary.patient_conflict
    assert study.summary.patient == patient_label(3, 9)
    assert len(study.observations) == 12


def test_a_port_bound_by_device_takes_no_label():
    van = Van(SimDisk(), ports=SCANNING | {"lab": ("astm", {}, "device")})
    scan(van, patient_label(3, 9))
    converse(van, analyser("xp100"))
    (study,) = studies_in(van.stores)
    (patient,) = study.patients
    assert (patient.id, patient.source) == (patient_label(3, 0), "device")
    assert study.summary.patient == patient_label(3, 0)
    assert not study.summary.patient_conflict


def test_nothing_that_is_told_to_the_log_names_a_patient_or_a_result():
    van = Van(SimDisk(), ports=SCANNING)
    scan(van, patient_label(3, 0))
    converse(van, analyser("xp100"))
    said = " ".join(event.text for event in van.happened)
    assert patient_label(3, 0) not in said
    assert not any(one.value.strip() in said for one in studies_in(van.stores)[0].observations)


def test_a_control_is_no_patients_even_when_a_label_was_scanned():
    van = Van(SimDisk(), ports=SCANNING)
    scan(van, patient_label(3, 0))
    converse(van, analyser("xp100", is_control=True))
    (study,) = studies_in(van.stores)
    assert study.summary.qc
    assert study.summary.patient == ""
    assert not study.summary.patient_conflict


def test_a_label_scanned_in_the_middle_of_a_study_is_not_tied_to_it():
    van = Van(SimDisk(), ports=SCANNING)
    van.hear("lab", ENQ + b"\x021H|\\^&|||X\r\x03B1\r\n")
    scan(van, patient_label(3, 0))
    van.hear("lab", b"\x022L|1|N\r\x0305\r\n" + EOT)
    (study,) = studies_in(van.stores)
    assert not study.patients
    assert any("not tied" in note for note in study.notes)


@pytest.mark.parametrize(("seconds", "patient"), [(599.0, patient_label(3, 0)), (601.0, "")])
def test_a_label_is_good_for_ten_minutes(seconds, patient):
    van = Van(SimDisk(), ports=SCANNING)
    scan(van, patient_label(3, 0))
    van.hear("lab", ENQ + b"\x021H|\\^&|||X\r\x03B1\r\n\x022L|1|N\r\x0305\r\n" + EOT, seconds)
    (study,) = studies_in(van.stores)
    assert study.summary.patient == patient


def test_the_release_label_ends_a_visit():
    van = Van(SimDisk(), ports=SCANNING)
    scan(van, patient_label(3, 0))
    scan(van, "END")
    assert van.capture.patient(0.0) is None


def test_a_label_with_a_wrong_digit_is_shown_and_not_used():
    van = Van(SimDisk(), ports=SCANNING)
    scan(van, "12345678")
    assert van.capture.patient(0.0) is None
    assert any("check digit" in text for text in van.told("fault"))


def test_stopping_closes_what_is_open_as_partial():
    van = Van(SimDisk())
    van.hear("lab", ENQ + b"\x021H|\\^&|||X\r\x03B1\r\n")
    van.capture.stop(1.0)
    (study,) = studies_in(van.stores)
    assert study.summary.partial
    assert van.capture.ports == []


class Raising:
    """A third party's driver with a defect."""

    def feed(self, data, now):
        raise KeyError("defect")

    def deadline(self):
        return None

    def lost(self, now):
        return []


def test_a_driver_that_raises_is_started_anew_and_stops_nobody_else(monkeypatch):
    van = Van(SimDisk(), ports=SCANNING)
    monkeypatch.setattr(van.capture._ports["scanner"], "driver", Raising())
    assert scan(van, "x") == b""
    (text,) = van.told("fault")
    assert "KeyError at test_capture.py" in text
    assert "defect" not in text
    scan(van, patient_label(3, 0))
    assert van.capture.patient(0.0).id == patient_label(3, 0)


def test_mistakes_in_attaching_are_named():
    van = Van(SimDisk())
    with pytest.raises(ConfigError, match="driver 'nonesuch' is unknown; there are: "):
        van.capture.attach("a", "nonesuch")
    with pytest.raises(ConfigError, match="option 'encoding' is 'ebcdic'; it may be"):
        van.capture.attach("a", "astm", {"encoding": "ebcdic"})
    with pytest.raises(ConfigError, match="option 'speed' is unknown"):
        van.capture.attach("a", "astm", {"speed": 1})
    with pytest.raises(Misuse, match="attached already"):
        van.capture.attach("lab", "astm")
    with pytest.raises(Misuse, match="bind"):
        van.capture.attach("a", "astm", bind="guess")
    assert isinstance(van.capture, Capture)
