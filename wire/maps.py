"""CBOR maps with text keys, read with bounds: the body of every record, request and receipt.

A peer, a damaged card or a device may put anything here, so decoding is narrow: one definite-length map and nothing
after it, plain values only (no CBOR tags, so no dates, patterns or shared references), bounded in size and depth, each
key once. Whatever does not fit is a FormatError. Encoding keeps the order of the keys, so equal maps written in the
same order are equal bytes.
"""

from collections.abc import Iterable, Mapping
from typing import IO, Any, Final, NoReturn, cast

import cbor2

from wire.errors import FormatError, Misuse

MAP_SIZE_MAX: Final = 512 * 1024
"""Encoded bytes. A map of a million empty lists would cost 60 times its size in memory."""
DEPTH_MAX: Final = 8
"""Containers within containers; a result record needs four."""

_PLAIN: Final = (str, bytes, bool, int, float, type(None))
# Every semantic tag that cbor2 would act on by itself; others reach `_refuse_tag` as `tag_hook`.
_ACTIVE_TAGS: Final = (
    *(0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37),
    *(52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799),
)


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("CBOR tags are not used here")


_DECODERS: Final = dict.fromkeys(_ACTIVE_TAGS, _refuse_tag)


def encode_map(value: Mapping[str, Any], size_max: int = MAP_SIZE_MAX) -> bytes:
    """Return the CBOR of `value`. Raises Misuse for what `decode_map` would not read back."""
    try:
        _check(value, 0)
        data = cbor2.dumps(dict(value))
    except (ValueError, cbor2.CBOREncodeError) as error:  # UnicodeEncodeError is a ValueError
        raise Misuse(f"cannot be written as a map: {error}") from error
    if len(data) > size_max:
        raise Misuse(f"a map of {len(data)} bytes; at most {size_max}")
    return data


def decode_map(data: bytes, what: str, size_max: int = MAP_SIZE_MAX) -> dict[str, Any]:
    """Return the map whose CBOR is exactly `data`. Raises FormatError that names `what` was read."""
    if len(data) > size_max:
        raise FormatError(f"{what}: a map of {len(data)} bytes; at most {size_max}")
    try:
        value = _decode_whole(data)
        _check(value, 0)
    except (ValueError, cbor2.CBORDecodeError) as error:
        raise FormatError(f"{what}: not a plain CBOR map: {error}") from error
    return dict(value)


class _Source:
    """The bytes as the file-like object that cbor2 reads from, which shows how far it has read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or what is left."""
        read = self.data[self.at : self.at + size]
        self.at += len(read)
        return read

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say no, so that nothing is read ahead."""
        return False


def _decode_whole(data: bytes) -> dict[str, Any]:
    source = _Source(data)
    decoder = cbor2.CBORDecoder(
        cast("IO[bytes]", source),
        tag_hook=_refuse_tag,
        semantic_decoders=_DECODERS,
        max_depth=DEPTH_MAX,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    value: dict[str, Any] = decoder.decode()
    if source.at != len(data):
        raise ValueError(f"{len(data) - source.at} bytes after the map")
    return value


def _check(value: object, depth: int) -> None:
    """Raise ValueError unless `value` is a map of text keys (at the top) and plain values, within DEPTH_MAX."""
    if isinstance(value, Mapping):
        odd = next((key for key in value if not isinstance(key, str)), None)
        if odd is not None:
            raise ValueError(f"a key is {type(odd).__name__}, not text")
        _check_items(value.values(), depth)
    elif depth == 0:
        raise ValueError(f"{type(value).__name__}, not a map")
    elif isinstance(value, (list, tuple)):
        _check_items(value, depth)
    elif not isinstance(value, _PLAIN):
        raise ValueError(f"a value of type {type(value).__name__}")
    elif isinstance(value, int) and not -(1 << 64) <= value < 1 << 64:
        raise ValueError("an integer over 64 bits")


def _check_items(items: Iterable[object], depth: int) -> None:
    if depth == DEPTH_MAX:
        raise ValueError(f"deeper than {DEPTH_MAX} containers")
    for item in items:
        _check(item, depth + 1)
