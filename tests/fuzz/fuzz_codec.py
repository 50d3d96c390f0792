"""Invariant: any bytes under any codec are unpacked within the bound, or FormatError; what is packed is unpacked.

`python -m tests.fuzz.fuzz_codec`: by atheris where it is installed ([CORPUS]), else seeded mutations ([ROUNDS] [SEED]).
"""

import contextlib

from benchmarks.photographs import jpeg
from tests.fuzz.driver import drive
from wire import kinds
from wire.codec import IMAGE, ZSTD, ZSTD_DICTIONARY, pack, pack_best, unpack
from wire.codec import WAVEFORM as WAVEFORM_CODEC
from wire.errors import FormatError
from wire.waveform import Waveform

SIZE_MAX = 1 << 16
KINDS = ((kinds.CAPTURE, kinds.RAW), (kinds.CAPTURE, kinds.WAVEFORM), (kinds.IMAGE, kinds.PICTURE))
ECG = Waveform(
    ("I", "II", "III"),
    500.0,
    "uV",
    1.0,
    0.0,
    0,
    tuple([(n * k) % 251 - 100 for n in range(200)] for k in (3, 5, 2)),
).to_plain()
TEXT = b"R|1|^^^^WBC^1|  5.5|10*3/uL||N||||               ||20240723172452\r" * 9
SEEDS = [bytes((n,)) + data for n, data in enumerate((TEXT, pack(TEXT, ZSTD), pack(TEXT, ZSTD_DICTIONARY)))]
SEEDS += [bytes((WAVEFORM_CODEC,)) + pack(ECG, WAVEFORM_CODEC), bytes((5,)) + ECG]
PHOTO = jpeg(48, 32)
SEEDS += [bytes((IMAGE,)) + pack(PHOTO, IMAGE), bytes((5,)) + PHOTO]


def check(data: bytes) -> None:
    """Hold the invariant for one input: its first byte is the codec, the rest the data."""
    codec, body = (data[0] & 0x0F, data[1:]) if data else (0, b"")
    with contextlib.suppress(FormatError):
        assert len(unpack(body, codec, SIZE_MAX)) <= SIZE_MAX
    for kind in KINDS:
        number, packed = pack_best(kind, body)
        assert len(packed) <= len(body)
        assert unpack(packed, number, len(body)) == body


if __name__ == "__main__":
    drive(check, SEEDS)
