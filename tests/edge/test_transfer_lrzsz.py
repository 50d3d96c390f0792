"""Files sent by an independent program, lrzsz, into the transfer driver: byte for byte."""

import os
import pty
import random
import select
import shutil
import subprocess
import time
import tty

import pytest

from tests.edge.bench import Bench
from tests.edge.samples import sample
from wire.record import Picture

SENDERS = [
    ("sz", [], "zmodem"),
    ("sz", ["--16-bit-crc"], "zmodem"),
    ("sz", ["--escape"], "zmodem"),
    ("sz", ["-w", "2048"], "zmodem"),
    ("sz", ["-L", "256"], "zmodem"),
    ("sb", [], "xmodem"),
    ("sb", ["-k"], "xmodem"),
    ("sx", [], "xmodem"),
    ("sx", ["-k"], "xmodem"),
]
PATIENCE_S = 20.0


def send(words, bench, spoil=lambda data: data):
    """Run a sender on a pty until it ends, in real time; return its exit code."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"LRZSZ ABSENT: no {words[0]} here; Debian: apt install lrzsz")
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL) as sender:
        try:
            return _converse(sender, ours, bench, spoil)
        finally:
            sender.kill()
            os.close(ours)
            os.close(theirs)


def _converse(sender, line, bench, spoil):
    began = time.monotonic()
    while sender.poll() is None and time.monotonic() < began + PATIENCE_S:
        if select.select([line], [], [], 0.02)[0]:
            os.write(line, bench.feed(spoil(os.read(line, 4096))))
        os.write(line, bench.wait(max(0.0, time.monotonic() - began - bench.now)))
    return sender.poll()


def files_of(bench):
    return [Picture.from_tag(tag) for study in bench.studies for tag in study.tags if tag.kind == Picture.KIND]


def data_of(size):
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize(
    ("program", "options", "protocol"), SENDERS, ids=[" ".join((one[0], *one[1])) for one in SENDERS]
)
@pytest.mark.parametrize("size", [1, 1500, 20_000])
def test_what_lrzsz_sends_arrives(tmp_path, program, options, protocol, size):
    path = tmp_path / "img.bin"
    path.write_bytes(data_of(size))
    bench = Bench("transfer", {"protocol": protocol})
    assert send([program, *options, str(path)], bench) == 0
    (found,) = files_of(bench)
    if program == "sx":
        assert found.image.startswith(data_of(size))
        assert len(found.image) - size < 1024
    else:
        assert (found.name, found.image) == ("img.bin", data_of(size))
    assert [study.ends.partial for study in bench.studies] == [""]


@pytest.mark.parametrize(("program", "protocol"), [("sz", "zmodem"), ("sb", "xmodem")])
def test_a_batch_is_a_study_for_each_file(tmp_path, program, protocol):
    for at in range(3):
        (tmp_path / f"{at}.dat").write_bytes(data_of(300 + at))
    bench = Bench("transfer", {"protocol": protocol})
    assert send([program, *(str(tmp_path / f"{at}.dat") for at in range(3))], bench) == 0
    assert [(one.name, one.image) for one in files_of(bench)] == [(f"{at}.dat", data_of(300 + at)) for at in range(3)]


@pytest.mark.parametrize(("program", "protocol"), [("sz", "zmodem"), ("sb", "xmodem"), ("sx", "xmodem")])
def test_an_ecg_arrives_with_its_patient_and_its_time(tmp_path, program, protocol):
    raw = sample("ecg/ecgtoolkit-example.scp")
    path = tmp_path / "ecg.scp"
    path.write_bytes(raw)
    bench = Bench("transfer", {"protocol": protocol})
    assert send([program, str(path)], bench) == 0
    (found,), (study,) = files_of(bench), bench.studies
    assert found.image == raw
    assert study.begins.form == "ecg"
    assert study.ends.patient_ids == ("SBJ-123",)
    assert study.results[0].device_time == "20021122091000"
    assert study.results[0].notes == ()


def test_damaged_packets_are_sent_again(tmp_path):
    path = tmp_path / "img.bin"
    path.write_bytes(data_of(60_000))
    chance, reads = random.Random(5), iter(range(10_000))

    def spoil(data):
        if next(reads) in {4, 9} and len(data) > 100:
            at = chance.randrange(20, len(data))
            return data[: at - 1] + bytes((data[at - 1] ^ 0x04,)) + data[at:]
        return data

    bench = Bench("transfer")
    assert send(["sz", str(path)], bench, spoil) == 0
    assert [one.image for one in files_of(bench)] == [data_of(60_000)]


def test_the_sender_is_told_nothing_while_the_disk_refuses(tmp_path):
    """ZEOF is not confirmed; sz is asked for it again, and the second offer is taken."""
    path = tmp_path / "img.bin"
    path.write_bytes(data_of(1500))
    bench = Bench("transfer", refuse=lambda number: number == 0)
    assert send(["sz", str(path)], bench) == 0
    assert [one.image for one in files_of(bench)] == [data_of(1500)]
    assert bench.asked == 2
