"""Studies to look at and to test with, built by the same writers as the kit's: run as a program, it fills a centre.

python -m tests.server.samples /tmp/centre        then: feldsher server run --data /tmp/centre
"""

import hashlib
import math
import sys
from dataclasses import dataclass
from pathlib import Path

from node.entropy import seeded
from server.centre import Centre
from wire import kinds, objects
from wire.checks import STUDY, SUMMARY
from wire.objects import Offer
from wire.record import Correction, Device, Note, Observation, Partial, Patient, Result, Summary
from wire.seal import ed25519_public, x25519_public
from wire.study import StudyWriter
from wire.tag import Tag
from wire.waveform import Waveform

OPENED_MS = 1_795_000_000_000
ASTM = (
    b"\x05\x021H|\\^&|||H550^123456^2.1|||||||P|LIS2-A2|20261118112233\r\x0347\r\n"
    b"\x022P|1||4711|||Koval^Olena||19690412|F\r\x03C1\r\n\x023R|1|^^^WBC^6690-2|7.42|10*9/L|4.0-10.0|N||F\r\x0301\r\n\x04"
)


@dataclass
class Kit:
    """A kit of the samples: its secrets, and the writers that use them."""

    name: str
    seal_public: bytes
    seed: str

    def __post_init__(self):
        self.entropy = seeded(self.seed.encode())
        self.link_secret, self.psk, self.sign_secret = (self.entropy(32) for _ in range(3))

    @property
    def link_public(self):
        return x25519_public(self.link_secret)

    @property
    def sign_public(self):
        return ed25519_public(self.sign_secret)

    def enrol(self, centre):
        return centre.peers.add_kit(self.name, self.link_public, self.psk, self.sign_public)

    def study(
        self, entries, *, study_id=None, kind=STUDY, opened_ms=OPENED_MS, closed_ms=None, sign=True, recovered=False
    ):
        """Return (study id, bytes) of a study whose entries are lists of tags."""
        study_id = study_id or self.entropy(16)
        writer = StudyWriter(study_id, opened_ms, self.seal_public, kind)
        raw = writer.start() + b"".join(writer.entry(tags, self.entropy) for tags in entries)
        raw += writer.end(closed_ms or opened_ms + 60_000, recovered=recovered)
        return study_id, raw + (writer.signature(self.sign_secret) if sign else b"")

    def summary(self, summary):
        """Return (object id, bytes) of the object that announces a study."""
        return self.study([[summary.to_tag()]], kind=SUMMARY)


def offer(object_id, kind, raw, priority=5):
    return Offer(object_id, kind, len(raw), hashlib.blake2b(raw, digest_size=32).digest()[:16], priority)


def device(model="Yumizen H550", serial="123456", driver="astm"):
    return Device(driver=driver, driver_version="1", port="analyser", model=model, serial=serial).to_tag()


def raw_tag(data=ASTM, time_ms=OPENED_MS):
    return Tag(kinds.CAPTURE, kinds.RAW, data, time_ms=time_ms)


def blood_count(qc=False):
    """Return a result record as an analyser gives it."""
    rows = (
        ("WBC", "Leukocytes", "7.42", "10*3/uL", "4.0-10.0", "N", "6690-2", "10*9/L", "7.42"),
        ("RBC", "Erythrocytes", "3.61", "10*6/uL", "4.0-5.2", "L", "789-8", "10*12/L", "3.61"),
        ("HGB", "Haemoglobin", "6.4", "g/dL", "12.0-16.0", "LL", "718-7", "g/L", "64"),
        ("PLT", "Platelets", "612", "10*3/uL", "150-400", "HH", "777-3", "10*9/L", "612"),
        ("NEU%", "Neutrophils", "81.3", "%", "45.0-75.0", "H", "770-8", "%", "81.3"),
        ("X-FLAG", "", "Left shift?", "", "", "A", "", "", ""),
    )
    observations = tuple(
        Observation(code, name, value, unit, limits, flags, "F", "20261118112233", (), loinc, ucum, ucum_value)
        for code, name, value, unit, limits, flags, loinc, ucum, ucum_value in rows
    )
    return Result(
        qc=qc,
        device_time="20261118112233",
        specimen_id="S-0042",
        patient_ids=(("P.3", "  4711"), ("P.5", "Koval^Olena")),
        encoding="ascii",
        observations=observations,
    )


def ecg(seconds=10, rate=500, leads=("I", "II", "V2")):
    """Return a waveform that looks like an ECG: flat, with a narrow peak each 0.8 s."""

    def sample(lead, index):
        phase = (index / rate) % 0.8
        peak = 1100 * math.exp(-(((phase - 0.3) / 0.012) ** 2)) - 180 * math.exp(-(((phase - 0.33) / 0.01) ** 2))
        wave = 90 * math.exp(-(((phase - 0.17) / 0.03) ** 2)) + 220 * math.exp(-(((phase - 0.55) / 0.05) ** 2))
        return round((peak + wave) * (1 + 0.3 * lead) + 12 * math.sin(index / 9.7 + lead))

    samples = tuple([sample(lead, index) for index in range(seconds * rate)] for lead in range(len(leads)))
    return Waveform(tuple(leads), float(rate), "uV", 1.0, 0.0, OPENED_MS, samples)


def pulse(seconds=600):
    """Return an oximeter's two trends, once a second."""
    spo2 = [round(96 + 1.6 * math.sin(n / 41) - (7 if 300 < n < 330 else 0)) for n in range(seconds)]
    rate = [round(78 + 9 * math.sin(n / 23)) for n in range(seconds)]
    return Waveform(("SpO2", "Pulse"), 1.0, "", 1.0, 0.0, OPENED_MS, (spo2, rate))


def summary_of(study_id, kit, patient="", form="laboratory", headline=(), **more):
    values = {"opened_ms": OPENED_MS, "closed_ms": OPENED_MS + 60_000, "device": "Yumizen H550", "entries": 2}
    return Summary(study=study_id, kit=kit, form=form, patient=patient, headline=tuple(headline), **(values | more))


HEADLINE = (("HGB", "6.4", "g/dL"), ("PLT", "612", "10*3/uL"), ("WBC", "7.42", "10*3/uL"))


def laboratory(kit, patient="4711", qc=False, **more):
    """Return (study id, bytes): device, raw bytes, a blood count, the patient, the summary."""
    study_id = kit.entropy(16)
    entries = [
        [device(), raw_tag(), blood_count(qc).to_tag(OPENED_MS)],
        [Patient(patient, "barcode", checked=True, time_ms=OPENED_MS).to_tag()]
        if not qc
        else [Note("control L2").to_tag()],
        [summary_of(study_id, kit.name, "" if qc else patient, headline=HEADLINE, qc=qc).to_tag()],
    ]
    return kit.study(entries, study_id=study_id, **more)


def rich(kit, patient="4711"):
    """Return a study with everything that a page can show."""
    study_id = kit.entropy(16)
    entries = [
        [device("Cardio 3 <script>alert(1)</script>", "C-9"), raw_tag(bytes(range(256)) * 20), ecg().to_tag()],
        [blood_count().to_tag(OPENED_MS)],
        [Correction(1, "The wrong tube was measured.").to_tag(), blood_count().to_tag(OPENED_MS)],
        [Note("Patient had climbed the stairs.\nSecond line.").to_tag(), blood_count(qc=True).to_tag(OPENED_MS)],
        [
            Patient(patient, "barcode", checked=True, time_ms=OPENED_MS).to_tag(),
            Partial("the line was cut", "astm").to_tag(),
        ],
        [summary_of(study_id, kit.name, patient, "ecg", HEADLINE, device="Cardio 3", partial=True).to_tag()],
    ]
    return kit.study(entries, study_id=study_id)


def oximetry(kit, patient="5020"):
    study_id = kit.entropy(16)
    line = (("SpO2", "96", "%"), ("Pulse", "78", "/min"))
    entries = [
        [device("CMS50D+", "", "contec"), raw_tag(b"\x81\x20\x30\x4e\x60" * 60), pulse().to_tag()],
        [Patient(patient, "barcode", checked=True, time_ms=OPENED_MS).to_tag()],
        [summary_of(study_id, kit.name, patient, "oximetry", line, device="CMS50D+").to_tag()],
    ]
    return kit.study(entries, study_id=study_id)


def damage(raw, at=None):
    """Return `raw` with 40 bytes of its middle zeroed."""
    at = len(raw) // 2 if at is None else at
    return raw[:at] + bytes(40) + raw[at + 40 :]


def fill(centre):
    """Put one of everything into `centre`."""
    van, other = (Kit(name, centre.keys.seal_public, name) for name in ("van-1", "van-2"))
    stranger = Kit("stranger", centre.keys.seal_public, "stranger")
    for kit in (van, other):
        kit.enrol(centre)

    def take(pair, kind=objects.STUDY, priority=5):
        answer = centre.ingest.accept(offer(pair[0], kind, pair[1], priority), pair[1], "ground-north")
        assert isinstance(answer, objects.Receipt), answer
        return pair

    take(laboratory(van), priority=1)
    take(rich(other))
    take(oximetry(van))
    take(laboratory(van, qc=True))
    study_id, raw = laboratory(other, "6003")
    take((study_id, damage(raw)))
    take(laboratory(stranger, "7001"))
    take(oximetry(van, "5021"))
    coming = summary_of(van.entropy(16), "van-1", "8123", "ecg", (("HR", "118", "/min"),), device="Cardio 3")
    take(van.summary(coming), objects.SUMMARY, 1)
    for number in range(6):
        take(laboratory(van, f"90{number}"))


if __name__ == "__main__":
    with Centre.open(Path(sys.argv[1])) as opened:
        fill(opened)
        opened.people.add("olena", "a good long password", "doctor", "Europe/Kyiv")
        opened.people.add("office", "a good long password", "admin", "Europe/Kyiv")
