"""Everything that is replayed: our recordings, and the third-party samples as far as they are bytes of a line.

A sample is read where it lies (`tests.edge.samples`) and divided into pieces as its device would send it. What must
come of it is in `samples.json` as counts and a digest: the samples' own text is not ours to keep. Samples that are
answers to questions are put behind a responder, and what then passed on the line is the recording.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge.bench import Bench
from edge.recording import AFTER_S, Recording, outcome, replay
from tests.edge.samples import FOLDER as SAMPLES
from tests.edge.virtual import BenchHost, Wire
from tests.recordings.replay import load, names

DIGESTS = Path(__file__).with_name("samples.json")
PACE_S = 0.5
ANSWER_S = 0.05
DIALOGUE_S = 0.3
ASTM_PIECES = re.compile(rb"\x05|\x04|\x02[^\n]*\n|.", re.DOTALL)
LINE_PIECES = re.compile(rb"[^\n]*\n|[^\n]+\Z")


@dataclass
class Case:
    """One recording and what must come of it."""

    name: str
    recording: Recording
    expected: dict

    @property
    def driver(self):
        return self.recording.card["driver"]

    @property
    def options(self):
        return self.recording.card.get("options", {})

    @property
    def heard(self):
        return self.recording.heard

    @property
    def size(self):
        return sum(len(data) for _, data in self.heard)

    @property
    def longest(self):
        return max(len(data) for _, data in self.heard)


class Responder:
    """Answers each question by a table, a moment later. A list is gone through, and its last answer stays."""

    def __init__(self, answers, otherwise=b""):
        self._answers, self._otherwise, self._due = answers, otherwise, []

    def feed(self, data, now):
        answer = next((said for asked, said in self._answers.items() if data.startswith(asked)), self._otherwise)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        self._due += [(now + ANSWER_S, answer)] if answer else []
        return b""

    def tick(self, now):
        due = [said for at, said in self._due if at <= now]
        self._due = [one for one in self._due if one[0] > now]
        return b"".join(due)

    def deadline(self):
        return self._due[0][0] if self._due else None


def read(name):
    return (SAMPLES / name).read_bytes()


def spoken(pattern, pace_s=0.0):
    """A sample that is what a device says: in pieces, one each `pace_s`."""
    return lambda name, driver, options: [
        ("<", at * pace_s, piece) for at, piece in enumerate(pattern.findall(read(name)))
    ]


def again(times, pace_s):
    """A sample that a device says again and again."""
    return lambda name, driver, options: [("<", at * pace_s, read(name)) for at in range(times)]


def results_of(prefix):
    """What a list of named messages holds of a device's."""

    def pieces(name, driver, options):
        said = [bytes.fromhex(one["hex"]) for one in json.loads(read(name)) if one["name"].startswith(prefix)]
        return [("<", 40.0 * at, data) for at, data in enumerate(said)]

    return pieces


def asked(table):
    """Let our driver ask, and the sample answer, for a while."""

    def pieces(name, driver, options):
        wire = Wire(Responder(*table(name)), BenchHost(Bench(driver, options)))
        wire.run(until=20.0)
        return wire.carried

    return pieces


def gmc_table(name):
    said = json.loads(read(name))["responses_hex"]
    return ({asked.encode(): bytes.fromhex(answer) for asked, answer in said.items()},)


def radpro_table(name):
    lines = [line.split(" ", 1)[1].encode() for line in read(name).decode().splitlines()]
    return {asked: answer + b"\r\n" for asked, answer in zip(lines[::2], lines[1::2], strict=True)}, b"ERROR\r\n"


def suntech_table(name):
    """The cuff's pressure five times, then none (made by us: the samples have no empty cuff), then the result."""
    said = {one["name"]: bytes.fromhex(one["hex"]) for one in json.loads(read(name))}
    cuff = [said["cuff pressure 258 mmHg"]] * 5 + [bytes.fromhex("3e050000bd")]
    return ({said["get cuff pressure"]: cuff, said["get BP data"]: said["BP result"]},)


def dialogue(name, driver, options):
    """What lrzsz said, one thing after the other."""
    said = [line.split() for line in read(name).decode().splitlines()]
    return [
        ("<" if way == "dev->host" else ">", at * DIALOGUE_S, bytes.fromhex(data))
        for at, (way, data) in enumerate(said)
    ]


XMODEM = {"protocol": "xmodem"}
BY_NAME = {
    **{f"astm/{name}.session.bin": ("astm", {}, spoken(ASTM_PIECES)) for name in ("cobas_c111", "dca_vantage")},
    **{f"astm/{name}.session.bin": ("astm", {}, spoken(ASTM_PIECES)) for name in ("genexpert", "sysmex_xp100")},
    **{
        f"astm/constructed-{name}.session.bin": ("astm", {}, spoken(ASTM_PIECES))
        for name in ("cp1251", "etb-split", "koi8u", "latin1", "utf8")
    },
    "astm/constructed-badsum-then-resend-then-dup.dev.bin": ("astm", {}, spoken(ASTM_PIECES)),
    "hl7/es480-oru-serial.mllp.bin": ("hl7", {}, again(1, 0.0)),
    "nonin/df2-packet-hr72-spo2-97.bin": ("nonin", {"format": "2"}, again(36, 1 / 3)),
    "nonin/df8-stream.constructed.bin": ("nonin", {"format": "8"}, again(6, 3.0)),
    "nonin/df13-spotcheck.constructed.bin": ("nonin", {"format": "13"}, again(1, 0.0)),
    "nonin/ascii-avant9600.txt": ("nonin", {"format": "ascii"}, spoken(LINE_PIECES, 1.0)),
    "nibp/and_tm2655.json": ("tm2655", {}, results_of("dev: RB result")),
    "nibp/omron_hbp9030_format5.constructed.txt": ("hbp9030", {}, spoken(LINE_PIECES, 60.0)),
    "nibp/suntech_advantage.json": ("suntech", {}, asked(suntech_table)),
    "gmc/gmc300s.json": ("gmc", {}, asked(gmc_table)),
    "gmc/gmc500_plus.json": ("gmc", {"protocol": "rfc1801"}, asked(gmc_table)),
    "serial-lines/radpro.txt": ("radpro", {}, asked(radpro_table)),
    **{f"nmea/{name}.log": ("nmea", {}, spoken(LINE_PIECES, 0.3)) for name in ("april6_2019", "quectel-eg25-g-2")},
    "nmea/bu353s4.log": ("nmea", {}, spoken(LINE_PIECES, 0.3)),
    "scales/tanita_sc240.txt": ("tanita", {}, spoken(LINE_PIECES, 0.0)),
    "serial-lines/ves_matic_cube_esr.bin": ("vesmatic", {}, again(1, 0.0)),
    "transfer/xmodem-crc-1500B.hex": ("transfer", XMODEM, dialogue),
    "transfer/xmodem-1k-1500B.hex": ("transfer", XMODEM, dialogue),
    "transfer/ymodem-1500B.hex": ("transfer", XMODEM, dialogue),
    "transfer/zmodem-1500B.hex": ("transfer", {}, dialogue),
}
NO_LINE = {
    "README.md": "no sample",
    "astm/manifest.json": "describes the samples",
    "ecg/ecgtoolkit-example.scp": "a file; tests/edge/test_transfer_lrzsz.py sends it over a line",
    "hl7/es480-oru-serial.hl7": "the message without its envelope",
    "nonin/9560_commands.json": "what a host may send",
    "serial-lines/ves_matic_cube_host_reply.bin": "what a host sends",
    "spectra/SGM102432.spe": "a file that is imported",
    "transfer/img.bin": "the file that the dialogues carry",
}
"""Samples that are not bytes of a device's line, and why."""


def samples():
    """Return the names of the samples that there are; none when they are absent."""
    return [name for name in BY_NAME if (SAMPLES / name).exists()]


@cache
def case(name):
    """Return a recording of ours, or a sample by its path."""
    if name not in BY_NAME:
        recording = load(name)
        return Case(name, recording, recording.expected)
    driver, options, pieces = BY_NAME[name]
    recording = Recording(name, {"driver": driver, "options": options}, pieces(name, driver, options))
    return Case(name, recording, outcome(replay(recording)))


def every():
    """Return the names of all that there is."""
    return [*names(), *samples()]


def digest(case):
    """Return what is kept of a sample's outcome."""
    studies = case.expected["studies"]
    values = sum(len(result.get("observations", ())) for study in studies for result in study["results"])
    text = json.dumps(case.expected, ensure_ascii=False, sort_keys=True)
    return {
        "studies": len(studies),
        "values": values,
        "scans": len(case.expected["scans"]),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def digests():
    return json.loads(DIGESTS.read_text())


def write_digests():
    """Note what the drivers make of the samples now; the diff shows what has changed."""
    DIGESTS.write_text(json.dumps({name: digest(case(name)) for name in samples()}, indent=1) + "\n")


__all__ = ["AFTER_S", "BY_NAME", "NO_LINE", "Case", "case", "digest", "digests", "every", "samples", "write_digests"]
