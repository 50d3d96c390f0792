"""Kermit: what C-Kermit sends arrives byte for byte, in every check and on seven bits; packets out of turn."""

import os
import pty
import random
import select
import shutil
import subprocess
import time
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.drivers.transfer_files import FILE_SIZE_MAX
from edge.drivers.transfer_kermit import ERRORS_MAX, SILENCE_S, check_of
from hardware.simulated.kermit_sender import check
from tests.edge.bench import Bench
from wire.record import Picture

PATIENCE_S = 20.0


def packet(kind, number, data=b"", of=1):
    body = bytes((len(data) + 2 + of + 32, number + 32)) + kind + data
    return b"\x01" + body + check_of(of, body) + b"\r"


BEGIN = packet(b"S", 0, b"~* @-#N1~")


def receiver(*packets, refuse=lambda number: False):
    bench = Bench("transfer", {"protocol": "kermit"}, refuse)
    for one in packets:
        bench.feed(one)
    return bench


def said(data):
    """Kinds and numbers of our packets."""
    return [chr(line[3]) + str(line[2] - 32) for line in data.split(b"\r") if line]


def files_of(bench):
    return [Picture.from_tag(tag) for study in bench.studies for tag in study.tags if tag.kind == Picture.KIND]


# C-Kermit


def sent_by_kermit(bench, paths, *settings):
    """Run C-Kermit on a pty until it ends, in real time; return its exit code."""
    if shutil.which("kermit") is None:
        pytest.skip("CKERMIT ABSENT: no kermit here; Debian: apt install ckermit")
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    words = ["set exit warning off", "set carrier-watch off", f"set line {os.ttyname(theirs)}", "set speed 115200"]
    words += ["set flow none", "set parity none", "set file type binary", *settings]
    words += ["msend " + " ".join(map(str, paths)), "if fail exit 1", "exit 0"]
    command = ["kermit", "-Y", "-C", ", ".join(words)]
    null = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=null, stdout=null, stderr=null) as sender:
        try:
            began = time.monotonic()
            while sender.poll() is None and time.monotonic() < began + PATIENCE_S:
                if select.select([ours], [], [], 0.02)[0]:
                    os.write(ours, bench.feed(of_line(os.read(ours, 4096), settings)))
                os.write(ours, bench.wait(max(0.0, time.monotonic() - began - bench.now)))
            return sender.poll()
        finally:
            sender.kill()
            os.close(ours)
            os.close(theirs)


def of_line(data, settings):
    """A line of seven bits and parity gives seven bits."""
    return bytes(byte & 0x7F for byte in data) if "set parity even" in settings else data


@pytest.mark.parametrize(
    "settings",
    [
        ("set block 1",),
        ("set block 2",),
        ("set block 3", "set send packet-length 4000"),
        ("set parity even",),
        ("set send packet-length 94", "set window 1", "set control prefixed all"),
    ],
    ids=lambda settings: settings[0],
)
def test_what_c_kermit_sends_arrives(tmp_path, settings):
    data = random.Random(7).randbytes(6_000) + b"\x00" * 500 + b"#&~\x01\x7f\x81\xff" * 40
    (tmp_path / "img.bin").write_bytes(data)
    bench = receiver()
    assert sent_by_kermit(bench, [tmp_path / "img.bin"], *settings) == 0
    (found,) = files_of(bench)
    assert (found.name.lower(), found.image) == ("img.bin", data)
    assert [study.ends.partial for study in bench.studies] == [""]


def test_a_batch_of_c_kermits_is_a_study_for_each_file(tmp_path):
    for at in range(3):
        (tmp_path / f"{at}.dat").write_bytes(b"%d" % at * (100 * at))
    bench = receiver()
    assert sent_by_kermit(bench, [tmp_path / f"{at}.dat" for at in range(3)]) == 0
    assert [(one.name.lower(), len(one.image)) for one in files_of(bench)] == [
        ("0.dat", 0),
        ("1.dat", 100),
        ("2.dat", 200),
    ]


def test_c_kermit_is_told_of_a_refusal_and_asked_again(tmp_path):
    (tmp_path / "img.bin").write_bytes(b"data" * 200)
    bench = receiver(refuse=lambda number: number == 0)
    assert sent_by_kermit(bench, [tmp_path / "img.bin"]) == 0
    assert [one.image for one in files_of(bench)] == [b"data" * 200]
    assert bench.asked == 2


# Packets


def test_a_file_in_packets():
    bench = receiver(
        BEGIN, packet(b"F", 1, b"A.TXT"), packet(b"D", 2, b"one#M#J~*x##"), packet(b"Z", 3), packet(b"B", 4)
    )
    assert said(bench.sent) == ["Y0", "Y1", "Y2", "Y3", "Y4"]
    (found,) = files_of(bench)
    assert (found.name, found.image) == ("A.TXT", b"one\r\n" + b"x" * 10 + b"#")


def test_what_comes_again_is_answered_again_and_taken_once():
    data = packet(b"D", 2, b"abc")
    bench = receiver(
        BEGIN, BEGIN, packet(b"F", 1, b"A"), data, data, data, packet(b"D", 3, b"d"), packet(b"Z", 4), packet(b"Z", 4)
    )
    assert said(bench.sent) == ["Y0", "Y0", "Y1", "Y2", "Y2", "Y2", "Y3", "Y4", "Y4"]
    assert [one.image for one in files_of(bench)] == [b"abcd"]


def test_what_is_damaged_or_out_of_turn_is_refused():
    good = packet(b"D", 2, b"abc")
    bench = receiver(BEGIN, packet(b"F", 1, b"A"), good[:5] + b"x" + good[6:], packet(b"D", 3, b"later"))
    assert said(bench.sent) == ["Y0", "Y1", "N2", "N2"]
    assert said(bench.feed(good[:6] + good)) == ["Y2"]


def test_a_packet_that_is_cut_is_asked_for_again():
    bench = receiver(BEGIN, packet(b"F", 1, b"A"), packet(b"D", 2, b"abc")[:6])
    assert said(bench.wait(3)) == ["N2"]


def test_a_silent_sender_is_asked_and_then_given_up():
    bench = receiver(BEGIN, packet(b"F", 1, b"A"), packet(b"D", 2, b"abc"))
    asked = said(bench.wait(SILENCE_S * (ERRORS_MAX + 2)))
    assert asked == ["N3"] * ERRORS_MAX + ["E3"]
    (study,) = bench.studies
    assert (study.raw, study.ends.partial) == (b"abc", f"{ERRORS_MAX} errors in a row")
    assert bench.wait(1000) == b""


def test_nothing_is_said_before_a_sender_speaks():
    bench = receiver(b"kermit -ir\r\n", packet(b"D", 5, b"stray"))
    assert bench.wait(1000) == b""
    assert bench.sent == b""


def test_a_command_for_a_server_is_declined():
    bench = receiver(packet(b"G", 0, b"D"))
    assert said(bench.sent) == ["E0"]
    assert b"only files are received here" in bench.sent


def test_the_end_is_not_acknowledged_before_the_commit():
    bench = receiver(
        BEGIN, packet(b"F", 1, b"A"), packet(b"D", 2, b"abc"), packet(b"Z", 3), refuse=lambda number: number < 1
    )
    assert said(bench.sent) == ["Y0", "Y1", "Y2"]
    assert said(bench.wait(SILENCE_S + 1)) == ["N3"]
    assert said(bench.feed(packet(b"Z", 3))) == ["Y3"]
    assert [one.image for one in files_of(bench)] == [b"abc"]


@pytest.mark.parametrize("words", [b"Transmission cancelled", b"\xff\x00"])
def test_an_error_of_the_sender_breaks_the_file_off(words):
    bench = receiver(BEGIN, packet(b"F", 1, b"A"), packet(b"D", 2, b"abc"), packet(b"E", 3, words))
    (study,) = bench.studies
    assert study.raw == b"abc"
    assert study.ends.partial.startswith("the sender says: ")
    assert bench.wait(100) == b""


def test_a_file_that_its_sender_discards_is_partial():
    bench = receiver(
        BEGIN, packet(b"F", 1, b"A"), packet(b"D", 2, b"abc"), packet(b"Z", 3, b"D"), packet(b"F", 4, b"B")
    )
    assert said(bench.sent) == ["Y0", "Y1", "Y2", "Y3", "Y4"]
    assert [study.ends.partial for study in bench.studies] == ["the sender broke it off"]


def test_a_file_that_is_too_large_is_refused_by_its_size():
    size = b"%d" % (FILE_SIZE_MAX + 1)
    attributes = b'"' + b'"B8' + b"1" + bytes((len(size) + 32,)) + size
    bench = receiver(packet(b"S", 0, b"~* @-#N1~("), packet(b"F", 1, b"A"), packet(b"A", 2, attributes))
    assert bench.sent.split(b"\r")[2][4:6] == b"N1"
    bench.feed(packet(b"Z", 3, b"D"))
    assert f"at most {FILE_SIZE_MAX}" in bench.faults[0].text


def test_a_text_says_that_its_line_ends_are_its_own():
    attributes = b'"' + b"#AMJ" + b"1!9"
    bench = receiver(
        BEGIN, packet(b"F", 1, b"A"), packet(b"A", 2, attributes), packet(b"D", 3, b"a#M#J"), packet(b"Z", 4)
    )
    (study,) = bench.studies
    assert study.ends.partial == ""
    assert study.notes == ["it was sent as text: its line ends are CR LF"]


def test_fewer_bytes_than_were_declared_are_partial():
    bench = receiver(BEGIN, packet(b"F", 1, b"A"), packet(b"A", 2, b"1!9"), packet(b"D", 3, b"abc"), packet(b"Z", 4))
    assert bench.studies[0].ends.partial == "3 of 9 bytes came"


def test_a_sender_that_begins_anew_leaves_what_came_as_partial():
    bench = receiver(BEGIN, packet(b"F", 1, b"A"), packet(b"D", 2, b"abc"), BEGIN, packet(b"F", 1, b"A"))
    assert said(bench.sent) == ["Y0", "Y1", "Y2", "Y0", "Y1"]
    assert [study.ends.partial for study in bench.studies] == ["the sender began anew"]


@given(st.binary(max_size=300), st.sampled_from([1, 2, 3]))
def test_checks_are_those_of_an_independent_reckoning(data, kind):
    """The simulator's CRC goes by nibbles, ours by a table."""
    assert check_of(kind, data) == check(kind, data)
