"""The codecs of a tag's data (R9): chosen per kind of data, never making them larger, bounded when read.

| number | codec | packed form |
|---|---|---|
| 0 | none | the data |
| 1 | zstd | one zstd frame that declares its content size |
| 2 | zstd with our dictionary | dictionary number u8, one zstd frame without magic, with content size |
| 3 | waveform | `wire.leads`: integer samples, predicted across leads |
| 4 | image | `wire.picture`: a JPEG file as JPEG XL, restored byte for byte |

The number stands in the low four bits of the tag's state. A number that is not known is FormatError here; who only
keeps or passes on a tag does not unpack it. `unpack` never gives back, nor allocates for the result, more than
`size_max` bytes, whatever the packed data claim. Dictionaries are for ever: what was packed with number n is
unpacked with number n, so a new dictionary gets a new number.
"""

from functools import cache
from typing import Final

import zstandard

from wire import kinds, leads, picture
from wire.dictionary import NUMBERS, PACKING, dictionary
from wire.errors import FormatError, Misuse

NONE: Final = 0
ZSTD: Final = 1
ZSTD_DICTIONARY: Final = 2
WAVEFORM: Final = 3
IMAGE: Final = 4

LEVEL: Final = 19
LEVEL_BULK: Final = 9
"""Over BULK_SIZE bytes, where level 19 would hold a Raspberry Pi for seconds."""
BULK_SIZE: Final = 128 * 1024
DICTIONARY_GAIN_SIZE_MAX: Final = 64 * 1024
"""Over this many bytes a dictionary no longer helps, and is not tried."""
WINDOW_SIZE_MAX: Final = 8 << 20
"""Memory that a frame may ask of its reader, bytes."""


def pack(data: bytes, codec: int) -> bytes:
    """Return `data` packed. Raises Misuse for a codec that is not ours, FormatError for data not of its form."""
    if codec == NONE:
        return data
    if codec == ZSTD:
        return _compress(data, None)
    if codec == ZSTD_DICTIONARY:
        return bytes((PACKING,)) + _compress(data, PACKING)
    if codec == WAVEFORM:
        return leads.pack_plain(data)
    if codec == IMAGE:
        return picture.pack(data)
    raise Misuse(f"no codec {codec}")


def unpack(data: bytes, codec: int, size_max: int) -> bytes:
    """Return what was packed. Raises FormatError: damage, over `size_max` bytes, or a codec that is not known."""
    if codec == NONE:
        plain = data
    elif codec == ZSTD:
        plain = _decompress(data, None, size_max)
    elif codec == ZSTD_DICTIONARY:
        if not data or data[0] not in NUMBERS:
            raise FormatError(f"zstd dictionary {data[0] if data else 'missing'}; have {sorted(NUMBERS)}")
        plain = _decompress(data[1:], data[0], size_max)
    elif codec == WAVEFORM:
        plain = leads.unpack_plain(data, size_max)
    elif codec == IMAGE:
        plain = picture.unpack(data, size_max)
    else:
        raise FormatError(f"codec {codec} is not known")
    if len(plain) > size_max:
        raise FormatError(f"unpacked data are {len(plain)} bytes; at most {size_max}")
    return plain


def pack_best(kind: tuple[int, int], data: bytes) -> tuple[int, bytes]:
    """Return (codec, packed data) for a tag of type `kind`; never larger than `data`."""
    best = NONE, data
    for codec in _candidates(kind, len(data)):
        try:
            packed = pack(data, codec)
        except FormatError:  # not of the form that this codec takes: the next one may
            continue
        if len(packed) < len(best[1]):
            best = codec, packed
    return best


def _candidates(kind: tuple[int, int], size: int) -> tuple[int, ...]:
    if kind == (kinds.CAPTURE, kinds.WAVEFORM):
        return WAVEFORM, ZSTD
    if kind == (kinds.IMAGE, kinds.PICTURE):
        return IMAGE, ZSTD
    if size <= DICTIONARY_GAIN_SIZE_MAX:
        return ZSTD_DICTIONARY, ZSTD
    return (ZSTD,)


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(dictionary(number))


def _compress(data: bytes, number: int | None) -> bytes:
    level = LEVEL if len(data) <= BULK_SIZE else LEVEL_BULK
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=len(data),
        dict_size=0 if number is None else len(dictionary(number)),
        format=_format(number),
        write_content_size=True,
        write_checksum=False,
        write_dict_id=False,
    )
    if number is None:
        return zstandard.ZstdCompressor(compression_params=parameters).compress(data)
    return zstandard.ZstdCompressor(compression_params=parameters, dict_data=_dictionary(number)).compress(data)


def _format(number: int | None) -> int:
    return zstandard.FORMAT_ZSTD1 if number is None else zstandard.FORMAT_ZSTD1_MAGICLESS


def _decompress(data: bytes, number: int | None, size_max: int) -> bytes:
    frame_format = _format(number)
    try:
        frame = zstandard.get_frame_parameters(data, format=frame_format)
        if frame.content_size > size_max:  # also when it is not declared: that reads as 2**64 - 1
            raise FormatError(f"zstd frame declares {frame.content_size} bytes; at most {size_max}")
        reader = zstandard.ZstdDecompressor(
            dict_data=None if number is None else _dictionary(number),
            max_window_size=WINDOW_SIZE_MAX,
            format=frame_format,
        )
        return reader.decompress(data, max_output_size=size_max, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"damaged zstd data, {len(data)} bytes: {error}") from error
