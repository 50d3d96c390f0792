"""Tags encoded and decoded beside CBOR sequences (cbor2) and DICOM elements (pydicom); a recovery scan of 100 MB beside
a plain read.

All three carry the same payloads in the same number of items: for CBOR an array of the fields, for DICOM a private
element of VR OB in explicit little endian. MB are 10⁶ bytes of encoded data. Each figure is the best of three runs.
"""

import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from random import Random

import cbor2
from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement

from wire import kinds
from wire.checks import STUDY
from wire.stream import StreamReader, StreamWriter, TagAssembler
from wire.tag import Tag, encode

SIZES = ((20, 20_000), (500, 20_000), (50_000, 1_000))
TIME_MS = 1_760_000_000_000
SCAN_SIZE = 100_000_000
READ_SIZE = 1 << 16
BEST_OF = 3
DAMAGE_EVERY = 1_000_000
PRIVATE_GROUPS = range(0x0011, 0xFFFF, 2)
ELEMENTS_OF_GROUP = 0xFFFF - 0x1000
Row = dict[str, object]


def _seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(BEST_OF):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def _row(what: str, size: int, count: int, encoded: int, writing: float, reading: float) -> Row:
    return {
        "what": what,
        "payload, bytes": size,
        "encoded, tags/s": round(count / writing),
        "encoded, MB/s": encoded / writing / 1e6,
        "decoded, tags/s": round(count / reading),
        "decoded, MB/s": encoded / reading / 1e6,
        "overhead, bytes an item": round(encoded / count - size, 1),
    }


def tags(payloads: list[bytes]) -> tuple[int, float, float]:
    """Return (encoded bytes, seconds to encode, seconds to decode)."""
    made = [Tag(kinds.CAPTURE, kinds.RAW, data, time_ms=TIME_MS) for data in payloads]
    whole = b"".join(map(encode, made))
    assert TagAssembler().feed(whole) == made
    return len(whole), _seconds(lambda: b"".join(map(encode, made))), _seconds(lambda: TagAssembler().feed(whole))


def stream(payloads: list[bytes]) -> tuple[int, float, float]:
    """The same as a stream with a CHECK after every fourth tag, read by the recovering reader, each tag decoded."""
    made = [Tag(kinds.CAPTURE, kinds.RAW, data, time_ms=TIME_MS) for data in payloads]

    def write() -> bytes:
        writer = StreamWriter(bytes(range(16)), STUDY, TIME_MS)
        parts = [writer.start()]
        for number, tag in enumerate(made):
            parts.append(writer.put(tag) + (writer.check() if number % 4 == 3 else b""))
        return b"".join(parts)

    def read() -> int:
        reader = StreamReader()
        pieces = (whole[at : at + READ_SIZE] for at in range(0, len(whole), READ_SIZE))
        found = [one.tag for piece in pieces for one in reader.feed(piece)]
        return len(found) + len(reader.finish())

    whole = write()
    assert read() >= len(made) * 5 // 4
    return len(whole), _seconds(write), _seconds(read)


def cbor(payloads: list[bytes]) -> tuple[int, float, float]:
    """A CBOR sequence: an array of group, number, time and data for each tag."""
    made = [[kinds.CAPTURE, kinds.RAW, TIME_MS, data] for data in payloads]

    def read() -> list[object]:
        decoder = cbor2.CBORDecoder(BytesIO(whole))
        return [decoder.decode() for _ in made]

    whole = b"".join(map(cbor2.dumps, made))
    assert read() == made
    return len(whole), _seconds(lambda: b"".join(map(cbor2.dumps, made))), _seconds(read)


def dicom(payloads: list[bytes]) -> tuple[int, float, float]:
    """A data set of private elements of VR OB, without file header."""
    even = [data + bytes(len(data) % 2) for data in payloads]

    def write() -> bytes:
        dataset = Dataset()
        for number, data in enumerate(even):
            group, element = PRIVATE_GROUPS[number // ELEMENTS_OF_GROUP], 0x1000 + number % ELEMENTS_OF_GROUP
            dataset[group, element] = DataElement((group, element), "OB", data)
        out = BytesIO()
        dataset.save_as(out, implicit_vr=False, little_endian=True)
        return out.getvalue()

    def read() -> int:
        return sum(len(element.value) for element in dcmread(BytesIO(whole), force=True))

    whole = write()
    assert read() == sum(map(len, even))
    return len(whole), _seconds(write), _seconds(read)


def items() -> list[Row]:
    """Rows for each payload size."""
    rows = []
    beside = (
        ("tags", tags),
        ("tags, stream with CHECKs", stream),
        ("cbor2 sequence", cbor),
        ("pydicom elements", dicom),
    )
    for size, count in SIZES:
        dice = Random(size)
        payloads = [dice.randbytes(size) for _ in range(count)]
        rows += [_row(name, size, count, *measure(payloads)) for name, measure in beside]
    return rows


def scans() -> list[Row]:
    """Rows for the scan of a file of 100 MB, sound and damaged."""
    dice = Random(1)
    with tempfile.TemporaryDirectory() as folder:
        sound, damaged = Path(folder) / "sound", Path(folder) / "damaged"
        sound.write_bytes(_large(dice))
        data = bytearray(sound.read_bytes())
        for at in range(DAMAGE_EVERY // 2, len(data), DAMAGE_EVERY):
            data[at] ^= 1 << dice.randrange(8)
        damaged.write_bytes(data)
        works = (
            ("plain read", sound, _read),
            ("recovery scan", sound, _scan),
            ("recovery scan, 1 bit flipped in each MB", damaged, _scan),
        )
        return [_scan_row(name, path, work) for name, path, work in works]


def _scan_row(name: str, path: Path, work: Callable[[Path], object]) -> Row:
    seconds, size = _seconds(lambda: work(path)), path.stat().st_size
    return {"what": name, "payload, bytes": size, "decoded, MB/s": size / seconds / 1e6, "seconds": round(seconds, 3)}


def _large(dice: Random) -> bytes:
    writer = StreamWriter(bytes(range(16)), STUDY, TIME_MS)
    parts, size = [writer.start()], 0
    while size < SCAN_SIZE:
        data = dice.randbytes(dice.choice((100, 1_000, 10_000, 100_000)))
        parts.append(writer.put(Tag(kinds.CAPTURE, kinds.RAW, data)) + writer.check())
        size += len(parts[-1])
    return b"".join([*parts, writer.finish()])


def _read(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(READ_SIZE):
            pass


def _scan(path: Path) -> None:
    reader = StreamReader()
    with path.open("rb") as file:
        while piece := file.read(READ_SIZE):
            reader.feed(piece)
    reader.finish()


def run() -> list[Row]:
    """Return all rows."""
    return items() + scans()


if __name__ == "__main__":
    for row in run():
        print(row)
