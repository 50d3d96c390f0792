"""Codec 4: a JPEG file within a tag's data, recompressed as JPEG XL and restored byte for byte (R9).

A JPEG is a fifth to a quarter smaller as JPEG XL without a pixel changed, because its coefficients are coded anew and
better; the box `jbrd` keeps what else the file was made of (markers, Huffman tables, order of scans, bytes behind its
end), so that the very file comes out again. `docs/formats/codec.md` is normative; the container is that of ISO/IEC
18181-2, boxes and all, so that any JPEG XL program opens it.

Packing restores at once and compares: what does not come out identical (a file cut short, CMYK, arithmetic coding) is
FormatError, and another codec takes it as it is. Reading bounds what libjxl may be asked for, before it is asked: the
size of the file, the pixels (22 bytes of memory each) and the markers (64 KB each). What the codestream says behind its
own first bytes is not looked into here, so who reads what a stranger wrote does that in a process with limits of its
own (`server.restoring`), and an entry that is opened leaves such tags packed (`wire.entry`).

libjxl is loaded when the first picture is packed or restored; without it pictures stay as they are.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

from wire import varint
from wire.errors import FormatError, PeerError

JPEG_XL: Final = 1
"""The method, first byte of the packed form; others may follow."""
HEAD_SIZE_MAX: Final = 1 << 17
"""Bytes before the JPEG file: what a PICTURE says of it."""
PIXELS_MAX: Final = 1 << 24
"""A larger picture is not recompressed: 16.8 million pixels take libjxl about 370 MB."""
MARKERS_MAX: Final = 512
"""Of one JPEG file; each may make libjxl hold 64 KB."""
_SOI: Final = b"\xff\xd8\xff"
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15, which carry height and width (ITU-T T.81, B.2.2)."""
_SIGNATURE: Final = bytes.fromhex("0000000c 4a584c20 0d0a870a")
_BOXES: Final = frozenset({b"JXL ", b"ftyp", b"jxll", b"jxlc", b"jxlp", b"jbrd", b"brob", b"Exif", b"xml "})
_CODESTREAM: Final = b"\xff\x0a"
_RATIOS: Final = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height by the three bits of a size header, from 1 (ISO/IEC 18181-1, SizeHeader)."""
_EOI: Final = 0xD9 - 0xC0
_SIZE_BITS: Final = (9, 13, 18, 30)


def pack(data: bytes) -> bytes:
    """Return the packed form of data that hold a JPEG file up to their end. Raises FormatError: stays as it is."""
    at = data.find(_SOI, 0, HEAD_SIZE_MAX + len(_SOI))
    if at < 0:
        raise FormatError("no JPEG file is in it")
    jpeg = data[at:]
    height, width = _frame_size(jpeg)
    if not 0 < height * width <= PIXELS_MAX:
        raise FormatError(f"a JPEG of {width} x {height} pixels; at most {PIXELS_MAX}")
    jxl = _transcoded(jpeg)
    if _restored(jxl, len(jpeg)) != jpeg:
        raise FormatError("this JPEG would not come out of JPEG XL as it was")
    return bytes((JPEG_XL,)) + varint.encode(at) + varint.encode(len(jpeg)) + data[:at] + jxl


def unpack(packed: bytes, size_max: int) -> bytes:
    """Return what was packed. Raises FormatError: damage, or more than `size_max` bytes."""
    head, size, jxl = parse(packed)
    if len(head) + size > size_max:
        raise FormatError(f"a packed picture declares {len(head) + size} bytes; at most {size_max}")
    jpeg = _restored(jxl, size)
    if len(jpeg) != size:
        raise FormatError(f"a packed picture declares a JPEG of {size} bytes; it is one of {len(jpeg)}")
    return head + jpeg


def parse(packed: bytes) -> tuple[bytes, int, bytes]:
    """Return (what stands before the JPEG, size of the JPEG, JPEG XL file), without restoring. Raises FormatError."""
    if packed[:1] != bytes((JPEG_XL,)):
        raise FormatError(f"a picture packed by method {packed[0] if packed else 'missing'}; have {JPEG_XL}")
    try:
        head_size, at = varint.decode(packed, 1)
        size, at = varint.decode(packed, at)
    except PeerError as error:
        raise FormatError(f"a packed picture: {error}") from error
    if head_size > HEAD_SIZE_MAX or at + head_size > len(packed):
        raise FormatError(f"a packed picture of {len(packed)} bytes has no room for a head of {head_size}")
    return packed[at : at + head_size], size, packed[at + head_size :]


def _frame_size(jpeg: bytes) -> tuple[int, int]:
    """Return height and width, from the first frame header. Raises FormatError when none stands before the scans."""
    at = 2
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", jpeg[at + 5 : at + 9])
            return height, width
        at += 1 if marker == 0xFF else 2 + max(length, 2)
    raise FormatError("a JPEG without a frame header")


def _libjxl() -> Any:  # noqa: ANN401  the types that it ships leave out the arguments that we need
    try:
        import pillow_jxl
    except ImportError as error:
        raise FormatError("pictures of codec 4 need the package pillow-jxl-plugin, which is not here") from error
    return pillow_jxl


def _transcoded(jpeg: bytes) -> bytes:
    # `lossless` and the original profile belong to it: with the defaults the coefficients are quantised once more.
    options = {"lossless": True, "quality": 100, "use_original_profile": True, "use_container": True, "num_threads": 1}
    try:
        return bytes(_libjxl().Encoder(mode="RGB", **options)(jpeg, 1, 1, jpeg_encode=True))
    except (RuntimeError, ValueError) as error:
        raise FormatError(f"a JPEG of {len(jpeg)} bytes is not transcoded: {error}") from error


def _restored(jxl: bytes, size: int) -> bytes:
    _check(jxl)
    try:
        is_jpeg, _, data, *_ = _libjxl().Decoder(num_threads=1)(jxl)
    except (RuntimeError, ValueError) as error:
        raise FormatError(f"damaged JPEG XL of {len(jxl)} bytes for a JPEG of {size}: {error}") from error
    if not is_jpeg:
        raise FormatError(f"JPEG XL of {len(jxl)} bytes holds pixels, no JPEG")
    return bytes(data)


def _check(jxl: bytes) -> None:
    """Bound what libjxl will be asked for. Raises FormatError."""
    if not jxl.startswith(_SIGNATURE):
        raise FormatError("no JPEG XL container")
    boxes = list(_boxes(jxl))
    rebuilding = [body for kind, body in boxes if kind == b"jbrd"]
    if len(rebuilding) != 1:
        raise FormatError(f"JPEG XL with {len(rebuilding)} boxes to rebuild a JPEG from; want 1")
    stream = b"".join(body[4 if kind == b"jxlp" else 0 :][:16] for kind, body in boxes if kind in {b"jxlp", b"jxlc"})
    pixels = _pixels(stream)
    if pixels > PIXELS_MAX:
        raise FormatError(f"JPEG XL declares {pixels} pixels; at most {PIXELS_MAX}")
    _check_markers(rebuilding[0])


def _boxes(jxl: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, content) of each box. Raises FormatError for one that is cut short, or that belongs elsewhere."""
    at = 0
    while at < len(jxl):
        size, kind = int.from_bytes(jxl[at : at + 4], "big"), jxl[at + 4 : at + 8]
        size = size or len(jxl) - at
        if kind not in _BOXES or not 8 <= size <= len(jxl) - at:
            raise FormatError(f"a box {kind!r} of {size} bytes at {at} of a JPEG XL file of {len(jxl)}")
        yield kind, jxl[at + 8 : at + size]
        at += size


class _Bits:
    """Bits of a codestream, the low ones of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise FormatError("a JPEG XL header is cut short")
        value = self._value & ((1 << count) - 1)
        self._value, self._left = self._value >> count, self._left - count
        return value


def _pixels(stream: bytes) -> int:
    if not stream.startswith(_CODESTREAM):
        raise FormatError("no JPEG XL codestream")
    bits = _Bits(stream[len(_CODESTREAM) :])
    is_small = bits.take(1)
    height = _side(bits, is_small)
    ratio = bits.take(3)
    if not ratio:
        return height * _side(bits, is_small)
    times, per = _RATIOS[ratio - 1]
    return height * (height * times // per)


def _side(bits: _Bits, is_small: int) -> int:
    return 8 * (bits.take(5) + 1) if is_small else 1 + bits.take(_SIZE_BITS[bits.take(2)])


def _check_markers(rebuilding: bytes) -> None:
    """The box lists the file's markers first: one bit for grey, then six for each, EOI the last."""
    bits = _Bits(rebuilding[: 1 + MARKERS_MAX])
    bits.take(1)
    for _ in range(MARKERS_MAX):
        if bits.take(6) == _EOI:
            return
    raise FormatError(f"a JPEG of more than {MARKERS_MAX} markers")
