"""A FILE object: files of any kind with their names, as a stream of BUNDLE tags. What `feldsher link send` carries.

    BUNDLE  07:10   container, packed as a whole; its tags:
        FILE_META 07:11   CBOR map: name, size, mtime_ns, digest (BLAKE2b-256 of the content)
        FILE_DATA 07:12   the next bytes of that file

Small files share a container, and so a compression; a large file goes on over as many as it needs. The same files
make the same bytes, which is what lets a transfer go on after both programs were killed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import cbor2

from wire import codec, kinds, tag
from wire.errors import FormatError
from wire.tag import CODEC_MASK, TAGS, Tag

PIECE_SIZE: Final = (1 << 20) - 4096
NAME_SIZE_MAX: Final = 255
PLAIN_SIZE_MAX: Final = 1 << 20
META_SIZE_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What travels of a file beside its bytes."""

    name: str
    size: int
    mtime_ns: int
    digest: bytes


def check_name(name: str) -> str | None:
    """Return why `name` cannot be the name of a file in a folder of ours, None when it can."""
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        return f"{name!r} is not the name of a file"
    if name.startswith(".feldsher"):
        return f"{name!r} is a name of our own"
    if not name.isprintable() or len(name.encode(errors="surrogateescape")) > NAME_SIZE_MAX:
        return f"{name!r} has characters that cannot be shown, or more than {NAME_SIZE_MAX} bytes"
    return None


def write(files: Iterable[tuple[FileMeta, Iterable[bytes]]], *, compress: bool) -> Iterator[bytes]:
    """Yield the BUNDLE tags of `files`, bytes."""
    plain = b""
    for meta, content in files:
        fields = {"name": meta.name, "size": meta.size, "mtime_ns": meta.mtime_ns, "digest": meta.digest}
        head = tag.encode(Tag(kinds.NETWORK, kinds.FILE_META, cbor2.dumps(fields, canonical=True)))
        if plain and len(plain) + len(head) + min(meta.size, PIECE_SIZE) > PIECE_SIZE:
            yield _pack(plain, compress)
            plain = b""
        plain += head
        for piece in content:
            for at in range(0, len(piece), PIECE_SIZE // 2):
                data = tag.encode(Tag(kinds.NETWORK, kinds.FILE_DATA, piece[at : at + PIECE_SIZE // 2]))
                if len(plain) + len(data) > PIECE_SIZE:
                    yield _pack(plain, compress)
                    plain = b""
                plain += data
    if plain:
        yield _pack(plain, compress)


def _pack(plain: bytes, compress: bool) -> bytes:
    packed = codec.pack(plain, codec.ZSTD) if compress else plain
    number = codec.ZSTD if len(packed) < len(plain) else codec.NONE
    return tag.encode(Tag(kinds.NETWORK, kinds.BUNDLE, packed if number else plain, state=TAGS | number))


def read(container: Tag) -> Iterator[FileMeta | bytes]:
    """Yield what one BUNDLE holds: the head of a file, then its bytes. Raises FormatError."""
    if container.kind != (kinds.NETWORK, kinds.BUNDLE) or not container.state & TAGS:
        raise FormatError(f"not a bundle: tag {container.group:04x}:{container.number:04x}")
    plain = codec.unpack(container.data, container.state & CODEC_MASK, PLAIN_SIZE_MAX)
    at = 0
    while at < len(plain):
        header = tag.parse_header(plain, at)
        if header is None or at + header.total > len(plain):
            raise FormatError(f"a bundle is cut short at byte {at} of {len(plain)}")
        data = plain[at + header.size : at + header.total]
        if header.tag.kind == (kinds.NETWORK, kinds.FILE_META):
            yield _read_meta(data)
        elif header.tag.kind == (kinds.NETWORK, kinds.FILE_DATA):
            yield data
        at += header.total


def _read_meta(data: bytes) -> FileMeta:
    if len(data) > META_SIZE_MAX:
        raise FormatError(f"the head of a file has {len(data)} bytes; at most {META_SIZE_MAX}")
    try:
        fields = cbor2.loads(data)
        meta = FileMeta(fields["name"], fields["size"], fields["mtime_ns"], fields["digest"])
    except (cbor2.CBORError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FormatError(f"the head of a file makes no sense: {error}") from error
    good = isinstance(meta.name, str) and isinstance(meta.digest, bytes)
    if not good or type(meta.size) is not int or type(meta.mtime_ns) is not int or meta.size < 0:
        raise FormatError("the head of a file has fields of the wrong kind")
    return meta
