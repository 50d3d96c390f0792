"""Makes the recordings anew with the simulators: `python -m tests.recordings.make`. The diff shows what changed."""

import json
import tomllib

from hardware.simulated.abacus import Abacus
from hardware.simulated.analyser import Analyser
from hardware.simulated.asking_analyser import AskingAnalyser
from hardware.simulated.bare_analyser import BareAnalyser
from hardware.simulated.bc2800 import Bc2800
from hardware.simulated.contec import Contec
from hardware.simulated.file_sender import FileSender
from hardware.simulated.gmc import Gmc
from hardware.simulated.gps import Gps
from hardware.simulated.hbp9030 import Hbp9030
from hardware.simulated.hl7_results import message as hl7_message
from hardware.simulated.hl7_sender import Hl7Sender
from hardware.simulated.kx21 import Kx21
from hardware.simulated.oximeter import Oximeter
from hardware.simulated.poct1a import Poct1aDevice
from hardware.simulated.printing_device import PrintingDevice
from hardware.simulated.radex import Radex
from hardware.simulated.radpro import RadPro
from hardware.simulated.results import message
from hardware.simulated.scales import AndScale, MtSics, Tanita
from hardware.simulated.scanner import Scanner, patient_label
from hardware.simulated.scp_ecg import record
from hardware.simulated.suntech import Suntech
from hardware.simulated.tm2655 import Tm2655
from hardware.simulated.vesmatic import VesMatic
from tests.edge.bench import Bench
from tests.edge.virtual import BenchHost, Wire
from tests.recordings.replay import AFTER_S, FOLDER, load, names, outcome, replay


class Speaker:
    """Says fixed pieces at fixed times; for devices that nobody simulates."""

    def __init__(self, pieces):
        self._pieces = list(pieces)

    def feed(self, data, now):
        return b""

    def tick(self, now):
        out = b""
        while self._pieces and self._pieces[0][0] <= now:
            out += self._pieces.pop(0)[1]
        return out

    def deadline(self):
        return self._pieces[0][0] if self._pieces else None


def analyser(style, *, faults=(), count=1, every_s=5.0, **how):
    messages = [message(style, 7, patient_label(7, at), at=at, **how) for at in range(count)]
    return Analyser(messages, faults, every_s)


def hl7(style, *, faults=(), count=2, control=-1, **how):
    messages = [
        hl7_message(style, 7, patient_label(7, at), at=at, is_control=at == control, **how) for at in range(count)
    ]
    return Hl7Sender(messages, faults, 5.0)


def ecgs(protocol, *faults, count=1, **how):
    files = [(f"{at:04d}.SCP", record(7, patient_label(7, at), at, samples=150, **how)) for at in range(count)]
    return FileSender(files, protocol, faults, 5.0)


def tickets(style, *faults, count=2):
    return PrintingDevice(style, 7, [patient_label(7, at) for at in range(count)], 10.0, faults)


def bedside(style, *faults, count=2):
    return Poct1aDevice(style, 7, [patient_label(7, at) for at in range(count)], 5.0, faults)


def controls_between_patients():
    messages = [message("xp100", 7, patient_label(7, at), at=at, is_control=at == 1) for at in range(3)]
    return Analyser(messages, every_s=5.0)


DEVICES = {
    "astm-xp100": lambda: analyser("xp100"),
    "astm-bare": lambda: BareAnalyser(7, 2, faults=["cut", "lost-ack"]),
    "astm-c111": lambda: analyser("c111", count=2),
    "astm-genexpert": lambda: analyser("genexpert"),
    "astm-blocks-cp1251": lambda: analyser("blocks", encoding="cp1251"),
    "astm-blocks-koi8-u": lambda: analyser("blocks", encoding="koi8-u"),
    "astm-bad-checksum": lambda: analyser("c111", faults=["bad-checksum"]),
    "astm-lost-ack": lambda: analyser("c111", faults=["lost-ack"]),
    "astm-lost-last-ack": lambda: analyser("c111", faults=["lost-last-ack"]),
    "astm-cut": lambda: analyser("c111", faults=["cut"]),
    "astm-frame-numbers": lambda: analyser("blocks", faults=["frame-numbers"]),
    "astm-controls": controls_between_patients,
    "astm-asks": lambda: AskingAnalyser(["S1", "S2"], ["collision"], 5.0),
    "nonin-ascii": lambda: Oximeter(7, 1, 12.0, "ascii"),
    "nonin-format-1": lambda: Oximeter(7, 1, 12.0, "1", ["high-pulse"]),
    "nonin-format-2": lambda: Oximeter(7, 1, 13.0, "2"),
    "nonin-format-7-high-pulse": lambda: Oximeter(7, 1, 6.0, "7", ["high-pulse"]),
    "nonin-format-8": lambda: Oximeter(7, 2, 12.0, "8"),
    "nonin-format-13": lambda: Oximeter(7, 2, 5.0, "13"),
    "nonin-lost-bytes": lambda: Oximeter(7, 1, 10.0, "2", ["lost-bytes"]),
    "barcode-labels": lambda: Scanner([patient_label(7, at) for at in range(3)], 2.0, ["bad-digit", "aim"]),
    "hbp9030-results": lambda: Hbp9030(7, [patient_label(7, at) for at in range(3)], faults=["error", "nul"]),
    "hbp9030-cut": lambda: Hbp9030(7, [patient_label(7, at) for at in range(2)], faults=["cut", "cr-only"]),
    "andscale-key": lambda: AndScale(7, 3, faults=["too-soon"]),
    "andscale-stream": lambda: AndScale(7, 2, faults=["stream", "comma", "overload"]),
    "andscale-lost-bytes": lambda: AndScale(7, 2, faults=["stream", "lost-bytes"]),
    "mtsics-loads": lambda: MtSics(7, 2, faults=["busy"]),
    "mtsics-no-identity": lambda: MtSics(7, 1, faults=["no-identity", "lost-bytes"]),
    "tanita-persons": lambda: Tanita(7, 2, faults=["pulse"]),
    "tanita-damaged": lambda: Tanita(7, 2, faults=["bad-sum"]),
    "contec-v7-stored": lambda: Contec(7, 1, 6.0, ["pi"]),
    "contec-v7-lost-bytes": lambda: Contec(7, 1, 6.0, ["lost-bytes", "high-pulse"]),
    "contec-old": lambda: Contec(7, 1, 6.0, ["old", "high-pulse"]),
    "contec-old-stored": lambda: Contec(7, 1, 6.0, ["old", "breaks-off"]),
    "suntech-results": lambda: Suntech(7, 2, faults=["error"]),
    "suntech-noise": lambda: Suntech(7, 1, faults=["noise", "bad-check"]),
    "tm2655-results": lambda: Tm2655(7, 2, faults=["error"]),
    "tm2655-damaged": lambda: Tm2655(7, 2, faults=["bad-check"]),
    "tm2655-check-is-etx": lambda: Tm2655(7, 1, faults=["check-is-etx"]),
    "tm2655-asked": lambda: Tm2655(7, 2, faults=["asked-only"]),
    "tm2655-envelope": lambda: Tm2655(7, 1),
    "gmc-live": lambda: Gmc(7, 6),
    "gmc-heartbeat": lambda: Gmc(7, 5, faults=["wide", "heartbeat", "first-value"]),
    "gmc-history": lambda: Gmc(7, 3, faults=["short-read"]),
    "poct1a-statstrip": lambda: bedside("statstrip", "keep-alive", "control", count=3),
    "poct1a-hemoscreen": lambda: bedside("hemoscreen", "lost-ack"),
    "poct1a-sofia": lambda: bedside("sofia", "declaration"),
    "poct1a-two-patients": lambda: bedside("statstrip", "two-patients", "wants-patients"),
    "poct1a-cut": lambda: bedside("hemoscreen", "cut", "unclosed"),
    "printer-escpos": lambda: tickets("escpos", "polls"),
    "printer-breaks-off": lambda: tickets("escpos", "breaks-off", "no-page"),
    "printer-absurd": lambda: tickets("escpos", "absurd", "unknown"),
    "printer-column": lambda: tickets("column", count=1),
    "printer-escp": lambda: tickets("escp", count=1),
    "printer-plain": lambda: tickets("plain"),
    "radex-live": lambda: Radex(7, 6),
    "radex-damaged": lambda: Radex(7, 9, faults=["bad-sum", "late-answer"]),
    "radpro-live": lambda: RadPro(7, 6),
    "radpro-old": lambda: RadPro(7, 4, faults=["old-firmware", "echo", "half-line"]),
    "hl7-es480": lambda: hl7("es480"),
    "hl7-bc5380": lambda: hl7("bc5380", count=3, control=1),
    "hl7-pcd01": lambda: hl7("pcd01"),
    "hl7-law": lambda: hl7("law", count=3, control=1),
    "hl7-cp1251": lambda: hl7("bc5380", count=1, encoding="cp1251"),
    "hl7-lost-ack": lambda: hl7("es480", faults=["lost-ack", "fresh-time"]),
    "hl7-cut": lambda: hl7("bc5380", faults=["cut"]),
    "hl7-query": lambda: hl7("es480", faults=["query", "padding", "line-feeds"]),
    "hl7-no-end": lambda: hl7("es480", faults=["no-end"]),
    "nmea-drive": lambda: Gps(7, 15, faults=["no-fix", "binary"]),
    "nmea-rollover": lambda: Gps(7, 8, faults=["rollover", "cut"]),
    "abacus-asleep": lambda: Abacus(7, 2, faults=["asleep", "cyrillic"]),
    "abacus-damaged": lambda: Abacus(7, 2, faults=["damaged", "lost-answer"]),
    "abacus-binary": lambda: Abacus(7, 1, faults=["binary"]),
    "kx21-samples": lambda: Kx21(7, 3, faults=["control", "unreliable", "lost-answer"]),
    "bc2800-handshake": lambda: Bc2800(7, 2, faults=["stars", "cut"]),
    "bc2800-plain": lambda: Bc2800(7, 2, faults=["no-handshake", "ends-1a"]),
    "bc2800-eight-digits": lambda: Bc2800(7, 2, faults=["eight-digits", "control"]),
    "bc2800-other-form": lambda: Bc2800(7, 1, faults=["other-form"]),
    "vesmatic-tubes": lambda: VesMatic(7, 2, faults=["query", "over-140", "control"]),
    "vesmatic-cut": lambda: VesMatic(7, 1, faults=["cut", "lost-answer"]),
    "transfer-zmodem": lambda: ecgs("zmodem", count=2),
    "transfer-zmodem-damaged": lambda: ecgs("zmodem", "bad-crc"),
    "transfer-zmodem-cut": lambda: ecgs("zmodem", "cut", "chatter"),
    "transfer-ymodem": lambda: ecgs("ymodem", "lost-ack"),
    "transfer-xmodem": lambda: ecgs("xmodem", "bad-crc"),
    "transfer-xmodem-sum": lambda: FileSender([("", bytes(range(200)))], "xmodem", ["by-sum"]),
    "transfer-xmodem-cancel": lambda: ecgs("xmodem-1k", "cancel", faults=["section-crc"]),
    "transfer-kermit": lambda: ecgs("kermit", "bad-crc", count=2),
    "transfer-kermit-seven-bit": lambda: ecgs("kermit", "seven-bit", "lost-ack", "chatter"),
    "nmea-gpsd": lambda: Gps(7, 6, faults=["gpsd"]),
    "lines-scale": lambda: Speaker(
        [(0.0, b"ST,GS,+  71.4kg\r\n"), (0.1, b"ST,GS,+  71.4kg\r\n"), (60.0, b"US,GS,+  0.0"), (60.1, b"kg\r\n")]
    ),
    "lines-blocks": lambda: Speaker([(0.0, b"\x02R1,113,170826,131,090,069\x03\x03"), (9.0, b"\x02R2,114,1\x03\x7f")]),
}


def make(name):
    card = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    wire = Wire(DEVICES[name](), BenchHost(Bench(card["driver"], card.get("options"))))
    wire.run(until=AFTER_S * 4)
    last = max(now for direction, now, _ in wire.carried if direction == "<")
    carried = [one for one in wire.carried if one[1] <= last + AFTER_S]  # a driver may ask for ever
    lines = [f"{direction} {now:.3f} {data.hex()}\n" for direction, now, data in carried]
    (FOLDER / f"{name}.txt").write_text("".join(lines))
    expected = outcome(replay(load(name)))
    (FOLDER / f"{name}.expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    for one in names():
        make(one)
