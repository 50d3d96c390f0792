"""Study files, each kept once under the digest of its bytes (R21).

Owns the folder `files` of its disk. May call: the disk seam. A file is *stored* when `put` returns: its bytes, its
name and the folder that holds the name are synced. A crash before that leaves at most a file in `files/new`, which
`sweep` removes when the kernel starts, which alone puts. Reading checks the digest, so that a disk that rots is noticed
and never shown; putting the same bytes again heals a copy that has rotted. Nothing here removes a stored file.

What is asked of the disk: `rename` replaces atomically, and what `sync` and `sync_folder` returned for stays. One
thread may write at a time (`Ingest` sees to that); any number may read beside it, because `RealDisk` shares nothing
between reads.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from node.disk import Disk, make_durable_folder
from wire.errors import DiskFull, FormatError, UsageError

CHUNK_SIZE: Final = 1 << 20
DIGEST_SIZE: Final = 32
ROOT: Final = "files"
NEW: Final = "files/new"

Chunks = bytes | Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is stored: its BLAKE2b-256 in hex, and its size in bytes."""

    digest: str
    size: int


class Files:
    """The content-addressed store. `entropy` names files that are not whole yet."""

    def __init__(self, disk: Disk, entropy: Callable[[int], bytes]) -> None:
        self._disk = disk
        self._entropy = entropy
        make_durable_folder(disk, NEW)

    def sweep(self) -> int:
        """Remove what a crash left half-written; return how many. To be called before anything is put, by
        who alone puts: it would take the ground from under another's feet."""
        names = self._disk.list(NEW)
        for name in names:
            self._disk.remove(f"{NEW}/{name}")
        return len(names)

    def put(self, chunks: Chunks, digest: bytes = b"") -> Stored:
        """Store the bytes and return their name. The same bytes are kept once.

        `digest`: how their BLAKE2b-256 must begin. Raises FormatError, and keeps nothing, when it does not.
        """
        temporary = f"{NEW}/{self._entropy(16).hex()}"
        try:
            stored = self._write(temporary, (chunks,) if isinstance(chunks, bytes) else chunks)
        except DiskFull:
            if self._disk.exists(temporary):
                self._disk.remove(temporary)
            raise
        if not stored.digest.startswith(digest.hex()):
            self._disk.remove(temporary)
            raise FormatError(f"the bytes have the digest {stored.digest}, {digest.hex()} was announced")
        path = _path(stored.digest)
        folder = path.rpartition("/")[0]
        if self._sound(path, stored.digest):
            self._disk.remove(temporary)
        else:
            make_durable_folder(self._disk, folder)
            self._disk.rename(temporary, path)
        # Also when they were there already: the put that brought them may have ended before its own sync.
        self._disk.sync_folder(folder)
        self._disk.sync_folder(ROOT)
        return stored

    def has(self, digest: str) -> bool:
        return self._disk.exists(_path(digest))

    def size(self, digest: str) -> int:
        return self._disk.size(_path(digest))

    def chunks(self, digest: str) -> Iterator[bytes]:
        """Yield the file's bytes. Raises FormatError at the end when they are not those that were put."""
        seen = hashlib.blake2b(digest_size=DIGEST_SIZE)
        for chunk in self._chunks(_path(digest)):
            seen.update(chunk)
            yield chunk
        if seen.hexdigest() != digest:
            raise FormatError(f"file {digest}: its bytes have changed since they were stored: restore it from a backup")

    def read(self, digest: str) -> bytes:
        """Return the whole file, checked."""
        return b"".join(self.chunks(digest))

    def check(self) -> Iterator[tuple[str, bool]]:
        """Yield every stored digest and whether its bytes still are what was put."""
        for folder in self._disk.list(ROOT):
            if f"{ROOT}/{folder}" != NEW:
                for digest in self._disk.list(f"{ROOT}/{folder}"):
                    yield digest, self._sound(_path(digest), digest)

    def _write(self, path: str, chunks: Iterable[bytes]) -> Stored:
        seen, size = hashlib.blake2b(digest_size=DIGEST_SIZE), 0
        self._disk.append(path, b"")
        for chunk in chunks:
            self._disk.append(path, chunk)
            seen.update(chunk)
            size += len(chunk)
        self._disk.sync(path)
        return Stored(seen.hexdigest(), size)

    def _chunks(self, path: str) -> Iterator[bytes]:
        size = self._disk.size(path)
        for offset in range(0, size, CHUNK_SIZE):
            yield self._disk.read(path, offset, min(CHUNK_SIZE, size - offset))

    def _sound(self, path: str, digest: str) -> bool:
        if not self._disk.exists(path):
            return False
        seen = hashlib.blake2b(digest_size=DIGEST_SIZE)
        for chunk in self._chunks(path):
            seen.update(chunk)
        return seen.hexdigest() == digest


def _path(digest: str) -> str:
    if len(digest) != 2 * DIGEST_SIZE or set(digest) - set("0123456789abcdef"):
        raise UsageError(f"not a digest: {digest[:80]!r}")
    return f"{ROOT}/{digest[:2]}/{digest}"
