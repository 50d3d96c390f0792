"""What packing and sealing cost and gain, beside what one would use instead. `run()` gives the rows.

The ECG is pydicom's own test file (12 leads, 10 s at 1000 Hz), for xz and zstd as it stands in the file and lead by
lead; records are made up by `benchmarks/records.py` with a seed that the dictionary was not trained with.
"""

import lzma
import time
from collections.abc import Callable, Sequence
from hashlib import shake_256

import numpy as np
import zstandard

from benchmarks.records import container, entries
from wire.codec import WAVEFORM, ZSTD_DICTIONARY, pack, unpack
from wire.entry import INFO, open_entry, seal_entry
from wire.record import Result
from wire.seal import seal, seal_pair, unseal
from wire.study import StudyWriter
from wire.tag import Tag, encode
from wire.waveform import Waveform

UNSEEN_SEED = 20261122
SECRET, PUBLIC = seal_pair(bytes(range(32)))
SEED = b"seed"
Row = dict[str, object]


def _row(what: str, value: float, unit: str, want: str = "", **instead: int) -> Row:
    """Return a row; `instead` is the same by what one would use otherwise, in the same unit."""
    beside = " · ".join(f"{name.replace('_', ' ')} {size:,}" for name, size in instead.items())
    shown = int(value) if unit == "B" or value >= 100 else round(value, 2)
    return {"what": what, "ours": shown, "unit": unit, "instead": beside, "want": want}


def _rate(call: Callable[[], object], seconds: float = 0.5) -> float:
    """Return how many calls a second."""
    call()
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        call()
        count += 1
    return count / passed


def _ecg() -> tuple[Waveform, bytes]:
    """Return the ECG and its samples as they stand in the file, lead beside lead."""
    import pydicom
    from pydicom.data import get_testdata_file

    group = pydicom.dcmread(get_testdata_file("waveform_ecg.dcm")).WaveformSequence[0]
    samples = np.frombuffer(group.WaveformData, "<i2").reshape(-1, group.NumberOfWaveformChannels)
    names = tuple(one.ChannelSourceSequence[0].CodeMeaning for one in group.ChannelDefinitionSequence)
    return Waveform(names, float(group.SamplingFrequency), "uV", 1.25, 0.0, 0, tuple(samples.T)), group.WaveformData


def ecg() -> list[Row]:
    """Return the ECG under codec 3, xz, zstd, and pcodec alone."""
    import pcodec
    from pcodec import standalone

    one, samples = _ecg()
    plain = one.to_plain()
    config = pcodec.ChunkConfig(compression_level=12)
    alone = sum(len(standalone.simple_compress(np.asarray(lead).astype(np.int16), config)) for lead in one.samples)
    packed = pack(plain, WAVEFORM)
    assert unpack(packed, WAVEFORM, len(plain)) == plain
    beside = {
        "xz_9": len(lzma.compress(samples, preset=9)),
        "xz_9_lead_by_lead": len(lzma.compress(plain, preset=9)),
        "zstd_19": len(zstandard.compress(samples, 19)),
    }
    ratio = beside["xz_9"] / len(packed)
    return [
        _row("12-lead ECG, 240,000 B of samples", len(packed), "B", **beside, pcodec_per_lead=alone),
        _row("12-lead ECG, times smaller than xz -9", ratio, "x", want="at least 2"),
        _row("12-lead ECG, packed", _rate(lambda: pack(plain, WAVEFORM)), "/s"),
        _row("12-lead ECG, unpacked", _rate(lambda: unpack(packed, WAVEFORM, len(plain))), "/s"),
    ]


def _sizes(name: str, blocks: Sequence[bytes], want: str = "") -> list[Row]:
    ours = sum(len(pack(one, ZSTD_DICTIONARY)) for one in blocks) / len(blocks)
    theirs = sum(len(zstandard.compress(one, 19)) for one in blocks) / len(blocks)
    plain = sum(map(len, blocks)) / len(blocks)
    return [
        _row(f"{name}, mean of {len(blocks)}", ours, "B", plain=round(plain), zstd_19=round(theirs)),
        _row(f"{name}, times smaller than zstd -19", theirs / ours, "x", want),
    ]


def records() -> list[Row]:
    """Return records that the dictionary has not seen, with and without it."""
    unseen = entries(UNSEEN_SEED, 400)
    results = [tag.data for tags in unseen for tag in tags if tag.kind == Result.KIND and 1500 <= len(tag.data) <= 2500]
    raws = [tag.data for tags in unseen for tag in tags if tag.kind == (0x0B, 0x02)]
    return [
        *_sizes("RESULT of about 2 KB", results, want="at least 2"),
        *_sizes("RAW session", raws),
        *_sizes("entry (DEVICE, RAW, RESULT)", [container(tags) for tags in unseen]),
    ]


def sealing() -> list[Row]:
    """Return what a seal costs, in bytes and in time."""
    count = 0

    def entropy(size: int) -> bytes:
        nonlocal count
        count += 1
        return shake_256(count.to_bytes(8, "big")).digest(size)

    tags: list[Tag] = max(entries(UNSEEN_SEED, 40), key=lambda one: len(container(one)))
    sealed = seal_entry(0, tags, SEED, PUBLIC, entropy)
    writer = StudyWriter(bytes(16), 0, PUBLIC)
    start = len(writer.start())
    in_stream = len(writer.entry(tags, entropy))
    packed = len(pack(container(tags), ZSTD_DICTIONARY))
    tail = len(writer.end(0)) + len(writer.signature(bytes(32)))
    return [
        _row("sealed entry, over its packed bytes", len(encode(sealed[0])) - packed, "B"),
        _row("sealed entry with CHECK, over its packed bytes", in_stream - packed, "B"),
        _row("study without entries", start + tail, "B"),
        _row("entries packed and sealed", _rate(lambda: seal_entry(0, tags, SEED, PUBLIC, entropy)), "/s"),
        _row("entries opened and unpacked", _rate(lambda: open_entry(sealed, SEED, SECRET)), "/s"),
    ]


def seals() -> list[Row]:
    """Return the seal alone over 400 bytes, beside the HPKE of `cryptography` (no associated data, own randomness)."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    secret = X25519PrivateKey.from_private_bytes(SECRET)
    public, data, ephemeral = secret.public_key(), bytes(400), bytes(range(32, 64))
    sealed, theirs = seal(data, PUBLIC, INFO, b"", ephemeral), suite.encrypt(data, public, INFO)
    seal_rate = _rate(lambda: seal(data, PUBLIC, INFO, b"", ephemeral))
    unseal_rate = _rate(lambda: unseal(sealed, SECRET, INFO, b""))
    their_seal_rate = _rate(lambda: suite.encrypt(data, public, INFO))
    their_unseal_rate = _rate(lambda: suite.decrypt(theirs, secret, INFO))
    return [
        _row("seal of 400 bytes", seal_rate, "/s", cryptography_Suite=round(their_seal_rate)),
        _row("unseal of 400 bytes", unseal_rate, "/s", cryptography_Suite=round(their_unseal_rate)),
    ]


def run() -> list[Row]:
    """Return all rows."""
    return ecg() + records() + sealing() + seals()


if __name__ == "__main__":
    for row in run():
        print(row)
