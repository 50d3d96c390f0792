"""The transfer driver: faults of a line in every protocol, recorded dialogues of lrzsz, ECGs, bounds, and the disk."""

import random
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.drivers import transfer_files, transfer_scp
from edge.drivers import transfer_zframes as z
from edge.drivers.transfer_files import CANCEL, FILE_SIZE_MAX
from edge.drivers.transfer_kermit import MOVES as KERMIT_MOVES
from edge.drivers.transfer_xmodem import CALL_S, ERRORS_MAX
from edge.drivers.transfer_xmodem import MOVES as XMODEM_MOVES
from edge.drivers.transfer_zmodem import ANSWER_S
from edge.drivers.transfer_zmodem import MOVES as ZMODEM_MOVES
from edge.file_contents import contents_of
from hardware.simulated import scp_ecg
from hardware.simulated.file_sender import FAULTS, PROTOCOLS, FileSender, binary_header, crc16, packet
from hardware.simulated.scp_ecg import record
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.van import Van, studies_in
from tests.edge.virtual import BenchHost, CaptureHost, Wire
from tests.sim.disk import SimDisk
from wire import kinds
from wire.record import Picture

ECG = record(1, "12345674", samples=100)
BINARY = bytes(range(256)) * 12
SCENES = [
    ("xmodem", "by-sum"),
    ("kermit", "by-sum"),
    *((one, fault) for one in PROTOCOLS for fault in ("", *FAULTS) if fault != "by-sum"),
]


def option_for(protocol):
    return {"protocol": protocol if protocol in {"zmodem", "kermit"} else "xmodem"}


def received(files, protocol, faults=(), piece=4096, refuse=lambda number: False, spoil=lambda way, data: data):
    device = FileSender(files, protocol, faults, 5.0)
    bench = Bench("transfer", option_for(protocol), refuse)
    Wire(device, BenchHost(bench), spoil, piece).run(until=1_000)
    return device, bench


def pictures(bench):
    return [Picture.from_tag(tag) for study in bench.studies for tag in study.tags if tag.kind == Picture.KIND]


def block(number, body, size=128):
    body = body.ljust(size, b"\x1a")
    return bytes((2 if size == 1024 else 1, number, 255 - number)) + body + crc16(body).to_bytes(2, "big")


def head(name, size):
    return block(0, name + b"\0%d" % size + b"\0" * 100)


def called(options=None, **how):
    bench = Bench("transfer", options or {"protocol": "xmodem"}, **how)
    bench.wait(0.1)
    return bench


# Dialogues that were recorded from lrzsz


@pytest.mark.parametrize("name", ["xmodem-crc", "xmodem-1k", "ymodem", "zmodem"])
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_a_recorded_dialogue_gives_the_file_and_the_same_answers(name, piece):
    lines = [line.split() for line in sample(f"transfer/{name}-1500B.hex").decode().splitlines()]
    bench = called(option_for(name))
    for way, data in lines:
        if way == "dev->host":
            bench.feed_in_pieces(bytes.fromhex(data), piece)
            bench.wait(0.3)
    (found,) = pictures(bench)
    whole = sample("transfer/img.bin")
    assert found.image[:1500] == whole
    assert len(found.image) == (1500 if name in {"ymodem", "zmodem"} else 1536)
    theirs = b"".join(bytes.fromhex(data) for way, data in lines if way == "host->dev")
    if name != "zmodem":
        assert bench.sent == theirs
    else:
        assert {bench.sent[at : at + 18] for at in range(0, 20, 21)} <= {theirs[:18]}
        assert bench.sent.endswith(theirs[-20:])


# The simulator's faults, in every protocol


@pytest.mark.parametrize("piece", [1, 4096])
@pytest.mark.parametrize(("protocol", "fault"), SCENES)
def test_whatever_goes_wrong_both_files_arrive_byte_for_byte(protocol, fault, piece):
    files = [("a.scp", ECG), ("b.bin", BINARY)]
    device, bench = received(files, protocol, [fault] if fault else [], piece)
    assert device.report.is_good
    whole = [one for one in pictures(bench) if one.image[: len(BINARY)] in {ECG, BINARY}]
    assert [one.image[: len(want[1])] for one, want in zip(whole, files, strict=True)] == [ECG, BINARY]
    broken = [study for study in bench.studies if study.ends.partial]
    assert len(broken) == (1 if fault in {"cut", "cancel"} else 0)
    assert all(ECG.startswith(study.raw) and study.raw for study in broken)


@pytest.mark.parametrize("protocol", ["xmodem-1k", "ymodem", "zmodem", "kermit"])
@pytest.mark.parametrize("seed", range(3))
def test_random_damage_never_damages_a_file(protocol, seed):
    chance = random.Random(f"{protocol}{seed}")

    def spoil(way, data):
        if chance.random() < 0.15 and len(data) > 1:
            at = chance.randrange(len(data))
            return data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]
        return data

    data = chance.randbytes(20_000)
    _, bench = received([("x.bin", data)], protocol, spoil=spoil)
    for study, found in zip([one for one in bench.studies if not one.raw], pictures(bench), strict=True):
        assert found.image[: len(data)] == data or study.ends.partial
    assert all(data.startswith(study.raw) for study in bench.studies)


# The disk comes first


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_end_is_confirmed_only_when_the_file_is_durable(protocol):
    device, bench = received([("a.bin", BINARY)], protocol, refuse=lambda number: number < 2)
    assert device.report.is_good
    assert bench.asked == 3
    assert [one.image[: len(BINARY)] for one in pictures(bench)] == [BINARY]


def test_eot_is_not_acknowledged_before_the_commit():
    bench = called(refuse=lambda number: True)
    assert bench.sent == b"C"
    assert bench.feed(block(1, b"data")) == b"\x06"
    assert bench.feed(b"\x04") == b""
    assert bench.wait(0.3) == b"\x15"
    assert bench.studies == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_disk_that_never_has_room_ends_the_transfer_and_confirms_nothing(protocol):
    device, bench = received([("a.bin", BINARY)], protocol, refuse=lambda number: True)
    assert device.report.acknowledged == 0
    assert pictures(bench) == []


# XMODEM and YMODEM


def test_it_calls_every_three_seconds_and_for_sums_in_turn():
    bench = called()
    bench.wait(CALL_S * 8)
    assert bench.sent == b"CCCC\x15\x15\x15\x15C"


def test_a_block_that_came_twice_is_taken_once():
    bench = called()
    for raw in (block(1, b"one"), block(1, b"one"), block(2, b"two"), block(2, b"two"), b"\x04"):
        bench.feed(raw)
    bench.wait(1)
    assert len(pictures(bench)[0].image) == 256
    assert bench.sent == b"C\x06\x06\x06\x06\x06"


def test_a_block_that_was_skipped_ends_the_transfer_with_what_came():
    bench = called()
    bench.feed(block(1, b"one") + block(3, b"three"))
    assert bench.sent.endswith(CANCEL)
    assert bench.studies[0].ends.partial == "block 3 after block 1: one was lost for good"
    assert bench.studies[0].raw == b"one".ljust(128, b"\x1a")
    assert bench.studies[0].tags[0].kind == (kinds.CAPTURE, kinds.PARTIAL)


def test_more_than_255_blocks_count_from_0_again():
    bench = called()
    data = random.Random(1).randbytes(128 * 600)
    for number in range(600):
        assert bench.feed(block((number + 1) % 256, data[128 * number : 128 * number + 128])) == b"\x06"
    bench.feed(b"\x04")
    bench.wait(0.3)
    assert pictures(bench)[0].image == data


def test_an_eot_that_is_a_damaged_block_is_none():
    bench = called()
    bench.feed(block(1, b"one"))
    damaged = b"\x04" + block(2, b"two")[1:]
    bench.feed(damaged)
    assert bench.wait(1) == b"\x15"
    bench.feed(block(2, b"two"))
    bench.feed(b"\x04")
    bench.wait(1)
    assert len(pictures(bench)[0].image) == 256


def test_an_eot_that_comes_again_is_acknowledged_again():
    bench = called()
    bench.feed(block(1, b"one"))
    for _ in range(3):
        bench.feed(b"\x04")
        assert bench.wait(0.3) == b"\x06"
    assert len(bench.studies) == 1


def test_silence_in_the_middle_is_asked_about_and_given_up():
    bench = called()
    bench.feed(block(1, b"one"))
    bench.wait(200)
    assert bench.sent.count(b"\x15") >= ERRORS_MAX
    assert CANCEL in bench.sent
    assert bench.studies[0].ends.partial == f"{ERRORS_MAX} errors in a row"


def test_a_ymodem_head_that_came_twice_is_answered_twice():
    bench = called()
    assert bench.feed(head(b"a.bin", 3)) == b"\x06C"
    assert bench.feed(head(b"a.bin", 3)) == b"\x06C"
    bench.feed(block(1, b"one"))
    bench.feed(b"\x04")
    assert bench.wait(0.3) == b"\x06C"
    assert pictures(bench)[0].image == b"one"


def test_an_empty_file_is_a_file():
    bench = called()
    bench.feed(head(b"empty", 0))
    bench.feed(b"\x04")
    bench.wait(0.3)
    assert pictures(bench) == [Picture("application/octet-stream", "empty", b"")]


def test_fewer_bytes_than_were_announced_is_partial():
    bench = called()
    bench.feed(head(b"a.bin", 500))
    bench.feed(block(1, b"one"))
    bench.feed(b"\x04")
    bench.wait(0.3)
    assert bench.studies[0].ends.partial == "128 of 500 bytes came"


@pytest.mark.parametrize("size", [FILE_SIZE_MAX, FILE_SIZE_MAX + 1])
@pytest.mark.parametrize("protocol", ["ymodem", "zmodem", "kermit"])
def test_a_file_of_the_largest_size_is_taken_and_one_byte_more_is_not(protocol, size):
    data = bytes(size)
    device, bench = FileSender([("big.bin", data)], protocol), Bench("transfer", option_for(protocol))
    while not device.is_done:
        answer = bench.wait(1) + bench.feed(device.tick(bench.now))
        while answer:
            answer = bench.feed(device.feed(answer, bench.now))
    if size > FILE_SIZE_MAX:
        assert device.report.failed == 1
        assert bench.studies == []
        assert f"at most {FILE_SIZE_MAX}" in bench.faults[0].text
    else:
        assert pictures(bench)[0].image == data


def test_xmodem_without_an_end_is_bounded():
    bench = called()
    number = 0
    while not bench.sent.endswith(CANCEL):
        number += 1
        bench.feed(block(number % 256, b"x" * 1024, 1024))
        assert number < 1100
    assert len(bench.studies[0].raw) <= FILE_SIZE_MAX + 1024


# ZMODEM


def test_nothing_is_said_before_a_sender_speaks():
    bench = Bench("transfer")
    bench.wait(1_000)
    bench.feed(b"login: **C\x18 garbage *\x18 \x06\x15C" * 100)
    bench.wait(1_000)
    assert bench.sent == b""
    assert bench.driver.deadline() is None


def test_a_remote_command_is_never_run_nor_answered():
    bench = Bench("transfer")
    bench.feed(z.hex_header(z.RQINIT))
    assert bench.feed(z.hex_header(z.COMMAND) + b"rm -rf /\0\x18k\x00\x00") == b""
    assert bench.studies == []


def test_a_sender_that_falls_silent_is_asked_and_then_left():
    bench = Bench("transfer")
    bench.feed(z.hex_header(z.RQINIT))
    said = bench.wait(ANSWER_S * 20)
    assert said.count(b"**\x18B01") == 10
    assert said.endswith(CANCEL)
    assert bench.driver.deadline() is None


def test_data_from_another_place_is_not_taken():
    device = FileSender([("a.bin", BINARY)], "zmodem")
    bench = Bench("transfer")
    answer = bench.feed(device.tick(0.0))
    answer = bench.feed(device.feed(answer, 0.0))
    assert answer == z.hex_header(z.RPOS, 0)
    elsewhere = device.feed(z.hex_header(z.RPOS, 1024), 0.0)
    assert bench.feed(elsewhere)[:21] == z.hex_header(z.RPOS, 0)
    bench.feed(device.feed(z.hex_header(z.RPOS, 0), 0.0))
    assert pictures(bench)[0].image == BINARY


def test_the_port_vanishes_in_the_middle():
    device = FileSender([("a.bin", BINARY)], "zmodem")
    bench = Bench("transfer")
    answer = bench.feed(device.tick(0.0))
    answer = bench.feed(device.feed(answer, 0.0))
    bench.feed(device.feed(answer, 0.0)[:2_000])
    bench.lose()
    assert bench.studies[0].ends.partial == "the port vanished"
    assert BINARY.startswith(bench.studies[0].raw)
    assert len(bench.studies[0].raw) == 1024


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5), st.integers(1, 9), st.sampled_from([b"h", b"i", b"j", b"k"]))
def test_packets_come_out_as_they_went_in_however_they_are_cut(bodies, size, end):
    again = binary_header(z.DATA) if end in b"hk" else b""
    wire = binary_header(z.DATA) + again.join(packet(body, end) for body in bodies)
    decoder, found = z.Decoder(), []
    for at in range(0, len(wire), size):
        decoder.feed(wire[at : at + size])
        while (item := decoder.next()) is not None:
            found.append(item)
    packets = [item.data for item in found if isinstance(item, z.Packet)]
    assert packets == bodies
    assert not any(isinstance(item, z.Bad) for item in found)


@pytest.mark.parametrize("moves", [XMODEM_MOVES, ZMODEM_MOVES, KERMIT_MOVES])
def test_every_state_can_be_reached_and_left(moves):
    states = {state for state, _ in moves}
    assert {after for after, _ in moves.values()} == states


# Names and kinds of files


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"C:\\ECG\\0001.SCP", "0001.SCP"),
        (b"/etc/passwd", "passwd"),
        (b"../../x", "x"),
        ("знімок.png".encode("cp1251"), "знімок.png"),
        (b"a\x07b", "a?b"),
        (b"n" * 20, "n" * 20),
    ],
)
def test_names(sent, shown):
    bench = called()
    bench.feed(head(sent, 3))
    bench.feed(block(1, b"one"))
    bench.feed(b"\x04")
    bench.wait(0.3)
    assert pictures(bench)[0].name == shown


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"%PDF-1.4", "application/pdf"),
        (b"BM\x00", "image/bmp"),
        (ECG, "application/x-scp-ecg"),
        (b"", "application/octet-stream"),
    ],
)
def test_what_a_file_is(data, media_type):
    _, bench = received([("x", data)], "zmodem")
    assert pictures(bench)[0].media_type == media_type


# ECGs


def test_the_example_record_holds_and_says_whose_it_is():
    found = transfer_scp.read(sample("ecg/ecgtoolkit-example.scp"))
    assert (found.size, found.faults) == (34_144, ())
    assert dict(found.texts) == {"1.2": b"SBJ-123", "1.0": b"Clark"}
    assert (found.time, found.model) == ("20021122091000", b"ELI250")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_ecg_is_a_study_of_its_own_kind_without_padding(protocol):
    _, bench = received([("1.scp", ECG)], protocol)
    (study,), (found,) = bench.studies, pictures(bench)
    assert found.image == ECG
    assert (study.begins.form, study.begins.model) == ("ecg", "SIM12")
    assert study.ends.patient_ids == ("12345674",)
    assert study.results[0].device_time == "20260801080000"
    assert ("1.0", "Kovalchuk") in study.results[0].patient_ids


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("record-crc", "the CRC of the record does not hold"),
        ("section-crc", "the CRC of section 1 does not hold"),
        ("length", "the record says"),
    ],
)
def test_an_ecg_that_is_wrong_is_kept_as_it_came_and_says_so(fault, says):
    raw = record(1, "12345674", samples=100, faults=[fault])
    _, bench = received([("1.scp", raw)], "xmodem")
    (study,), (found,) = bench.studies, pictures(bench)
    assert found.image.startswith(raw)
    assert any(says in note for note in study.results[0].notes)
    assert bool(study.ends.partial) == (fault == "length")
    assert set(scp_ecg.FAULTS) == {"record-crc", "section-crc", "length"}


def changed(raw, old, new):
    """Return the record with other bytes in its section 1, and CRCs that hold."""
    at = raw.index(b"\x01\0", 22 + 120) - 2
    size = struct.unpack_from("<I", raw, at + 4)[0]
    section = raw[at + 2 : at + size].replace(old, new)
    assert section != raw[at + 2 : at + size]
    body = raw[2:at] + struct.pack("<H", scp_ecg.crc(section)) + section + raw[at + size :]
    return struct.pack("<H", scp_ecg.crc(body)) + body


@pytest.mark.parametrize(
    ("date", "time"),
    [(bytes.fromhex("07ea0801"), ""), (bytes.fromhex("ea07081f"), "20260831"), (bytes.fromhex("ea070820"), "")],
)
def test_a_date_that_is_none_is_not_told_but_that_it_is_none(date, time):
    raw = changed(record(1, "12345674", samples=100), struct.pack("<HBB", 2026, 8, 1), date)
    found = transfer_scp.read(raw)
    assert found.time[:8] == time
    assert found.faults == (() if time else (f"its date is none: {date.hex(' ')}",))


def test_an_hour_that_is_none_is_not_told():
    raw = changed(record(1, "12345674", samples=100), b"\x1a\x03\0\x08\0\0", b"\x1a\x03\0\x19\0\0")
    assert transfer_scp.read(raw).time == "20260801"


def test_a_record_without_its_mark_is_one_by_the_section_that_points_to_itself():
    raw = record(1, "12345674", samples=100)
    at = raw.index(b"SCPECG")
    unmarked = raw[:at] + bytes(6) + raw[at + 6 :]
    assert transfer_scp.is_record(unmarked[:32])
    assert dict(transfer_scp.read(unmarked).texts)["1.2"] == b"12345674"
    assert not transfer_scp.is_record(bytes(32))
    assert not transfer_scp.is_record(raw[:20])


@pytest.mark.parametrize("mark", [b"", b"\xff\xfe"])
def test_texts_of_two_bytes_a_character_are_read_whole(mark):
    def tag(number, value):
        return struct.pack("<BH", number, len(value)) + value

    name, device = mark + "Коваль\0".encode("utf-16-le"), bytes(8) + b"MADE\0\0" + bytes(2) + b"\x07" + bytes(20)
    patient = tag(0, name) + tag(2, mark + "A7\0".encode("utf-16-le")) + tag(14, device) + b"\xff\0\0"
    sections = [struct.pack("<HHIBB6s", 0, 0, 26, 13, 13, b"SCPECG") + struct.pack("<HII", 0, 26, 7)]
    sections.append(struct.pack("<HHIBB6s", 0, 1, 16 + len(patient), 13, 13, b"") + patient)
    raw = struct.pack("<HI", 0, 6 + sum(map(len, sections))) + b"".join(sections)
    contents = contents_of("a.scp", raw)
    assert dict(contents.results[0].patient_ids) == {"1.0": "Коваль", "1.2": "A7"}
    assert contents.ids == ("A7",)


@pytest.mark.parametrize("gap", [2, 512])
def test_sections_that_lie_apart_are_found_where_the_record_says(gap):
    raw = record(1, "12345674", samples=100)
    found = transfer_scp.read(apart(raw, gap, gap))
    assert (found.faults, set(found.sections)) == ((), {0, 1, 3, 6})
    assert found.sections == transfer_scp.read(raw).sections | {0: found.sections[0]}
    lost = transfer_scp.read(apart(raw, gap, 0))
    assert lost.faults == tuple(f"section {number} is not where the record says" for number in (3, 6))


def test_sections_that_lie_within_one_another_are_read_no_larger_than_the_record():
    size, count, begins = 1 << 20, 60, 1000
    within = bytearray(size - begins)
    pointers = struct.pack("<HII", 0, 16 + 10 * (count + 1), 7)
    for at in range(count):
        struct.pack_into("<HHI", within, 16 * at, 0, 100 + at, len(within) - 16 * at)
        pointers += struct.pack("<HII", 100 + at, len(within) - 16 * at, begins + 16 * at + 1)
    first = struct.pack("<HI", 0, 16 + len(pointers)) + b"\x0a\x0aSCPECG" + pointers
    first = struct.pack("<HH", 0, scp_ecg.crc(first))[2:] + first
    raw = struct.pack("<HI", 0, size) + first
    raw += bytes(begins - len(raw)) + within
    tracemalloc.start()
    found = transfer_scp.read(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "section 159 is not where the record says" in found.faults
    assert peak < 5 * size


def apart(raw, gap, told):
    """Return the record with a gap before section 3, of which section 0 tells so much."""
    pointers = bytearray(raw[22:142])
    for number in (3, 6):
        size, place = struct.unpack_from("<II", pointers, number * 10 + 2)
        struct.pack_into("<II", pointers, number * 10 + 2, size, place + told)
    (first,) = struct.unpack_from("<I", raw, 22 + 3 * 10 + 6)
    head = raw[8:22] + pointers
    body = struct.pack("<H", scp_ecg.crc(head)) + head + raw[142 : first - 1] + bytes(gap) + raw[first - 1 :]
    rest = struct.pack("<I", 6 + len(body)) + body
    return struct.pack("<H", scp_ecg.crc(rest)) + rest


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(ECG)), st.integers(0, len(ECG)))
def test_a_damaged_record_raises_nothing(noise, at, end):
    damaged = ECG[:at] + noise + ECG[end:]
    found = transfer_scp.read(damaged)
    assert found is None or isinstance(found.faults, tuple)
    if found is not None and damaged[: len(ECG)] != ECG:
        assert found.faults or struct.unpack_from("<I", damaged, 2)[0] != len(ECG)


def test_bounds_are_what_they_are_said_to_be():
    assert len(Picture("x" * 40, "n" * 120, bytes(FILE_SIZE_MAX)).to_tag().data) < 1 << 20
    assert transfer_files.INPUT_SIZE_MAX >= 1024 + 5


# Through the kit's own capture and journal


def in_the_van(protocol, files, faults=()):
    """Return the studies that the centre reads, and the pieces of the conversation."""
    device = FileSender(files, protocol, faults, 5.0)
    van = Van(SimDisk(), ports={"line": ("transfer", option_for(protocol), "scan")})
    Wire(device, CaptureHost(van.capture, "line")).run(until=300)
    assert device.report.is_good
    return studies_in(van.stores)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_centre_reads_the_file_byte_for_byte(protocol):
    (study,) = in_the_van(protocol, [("0001.SCP", ECG)])
    (found,) = study.all(Picture)
    assert found.image == ECG
    assert study.summary.form == "ecg"
    assert (study.summary.patient, study.summary.device) == ("12345674", "SIM12")
    assert [one.id for one in study.patients] == ["12345674"]


def test_the_largest_file_fits_the_journal():
    data = random.Random(3).randbytes(FILE_SIZE_MAX)
    (study,) = in_the_van("zmodem", [("big.bin", data)])
    assert [one.image for one in study.all(Picture)] == [data]


def test_a_file_that_broke_off_is_partial_at_the_centre_and_whole_when_it_comes_again():
    broken, whole = sorted(in_the_van("zmodem", [("b.bin", BINARY)], ["cut"]), key=lambda one: not one.summary.partial)
    assert BINARY.startswith(broken.raw)
    assert broken.partials[0].reason == "the sender began anew"
    assert whole.all(Picture)[0].image == BINARY
