"""The seam to the disk: every store of ours asks these calls of it and nothing else, so that a simulated disk can lie.

What a store may rely on (`tests/node/test_disk_conformance.py` holds every implementation to it):

* What `append`, `write_at` and `truncate` change is seen by the next `read`, and survives a power cut after `sync`.
* That a file exists, and its name, survive only after `sync_folder` of its folder. A file moved between two folders
  needs both, the new one first: a cut between the two calls may leave it under both names; the old one first, none.
* `append` happens whole or, as far as this process can see, not at all; `DiskFull` leaves the file as it was.
* `rename` is atomic and replaces. It moves files, not folders.
* After `DiskError` from `sync`, nothing is known about what was written since the last good one, even if it can be
  read: a store stops, is opened anew, and writes again what it still needs. Calling `sync` again proves nothing.

No software can promise what a disk does that confirms a flush and forgets it, or that damages neighbouring sectors when
power falls; check tags find the second, nothing here finds the first.

Paths are relative to the disk's root, "/" separated, with no "." or ".." and no empty part; "" is the root itself.
`RealDisk` goes down folder by folder without following links, so no path leaves the root. It is for one thread.
"""

import contextlib
import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol, Self

from wire.errors import DiskError, DiskFull, FeldsherError, Misuse, UsageError

NAME_SIZE_MAX: Final = 255
"""One part of a path, bytes."""
DEPTH_MAX: Final = 16
HANDLES_MAX: Final = 64
"""Files kept open between a write and its sync."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class Disk(Protocol):
    """The calls that every store is built from. See the module's head for what each promises."""

    def append(self, path: str, data: bytes) -> None:
        """Add `data` at the end of the file, which is created when missing. Raises DiskFull, DiskError."""
        ...

    def write_at(self, path: str, offset: int, data: bytes) -> None:
        """Write `data` at `offset`; a gap before it reads as zeros; the file is created when missing."""
        ...

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """Return `size` bytes (or all) from `offset` on, fewer at the end. UsageError when there is no such file."""
        ...

    def size(self, path: str) -> int:
        """Return the size of the file, bytes. UsageError when there is no such file."""
        ...

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder is there."""
        ...

    def list(self, folder: str) -> list[str]:
        """Return the names in `folder`, sorted; [] when it is missing."""
        ...

    def make_folder(self, folder: str) -> None:
        """Create `folder` and what leads to it; nothing happens when it is there."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give the file `old` the name `new`, replacing what was there, in one step."""
        ...

    def remove(self, path: str) -> None:
        """Remove the file. UsageError when there is no such file."""
        ...

    def truncate(self, path: str, size: int) -> None:
        """Cut the file to `size` bytes, or extend it with zeros."""
        ...

    def sync(self, path: str) -> None:
        """Return when everything written to the file is durable. After a DiskError: stop, reopen, recover."""
        ...

    def sync_folder(self, folder: str) -> None:
        """Return when the names in `folder` are durable as they are now."""
        ...

    def free(self) -> int:
        """Return how many bytes may still be written, about."""
        ...


def parts_of(path: str) -> list[str]:
    """Return the parts of a lawful path ("" has none). Raises UsageError: a path may come from outside."""
    parts = path.split("/") if path else []
    for part in parts:
        if part in ("", ".", "..") or "\0" in part or len(os.fsencode(part)) > NAME_SIZE_MAX:
            raise UsageError(f"not a path on this disk: {path!r}")
    if len(parts) > DEPTH_MAX:
        raise UsageError(f"not a path on this disk: {path!r} has {len(parts)} parts, at most {DEPTH_MAX}")
    return parts


def folder_of(path: str) -> str:
    """Return the folder in which `path` lies."""
    return path.rpartition("/")[0]


def join(folder: str, name: str) -> str:
    """Return the path of `name` in `folder`."""
    return f"{folder}/{name}" if folder else name


def make_durable_folder(disk: Disk, folder: str) -> None:
    """Create `folder` and what leads to it, durably. Nothing is written when it is there."""
    parts = parts_of(folder)
    for depth in range(1, len(parts) + 1):
        here = "/".join(parts[:depth])
        if not disk.exists(here):
            disk.make_folder(here)
            disk.sync_folder(folder_of(here))


def put_file(disk: Disk, path: str, data: bytes) -> None:
    """Make `data` the content of `path`, durably and in one step: a cut leaves the old content or the new.

    Uses `path` + ".new" on the way; one that was left behind by a cut is overwritten.
    """
    new = path + ".new"
    if disk.exists(new):
        disk.remove(new)
    disk.append(new, data)
    disk.sync(new)
    disk.rename(new, path)
    disk.sync_folder(folder_of(path))


def _error(call: str, path: str, error: OSError) -> FeldsherError:
    if isinstance(error, FileNotFoundError):
        return UsageError(f"no such file: {path} ({call})")
    if error.errno in _FULL:
        return DiskFull(f"no room to {call} {path}: {error.strerror}")
    return DiskError(f"disk failed: {call} {path}: {error.strerror} (errno {error.errno})")


@contextlib.contextmanager
def _naming(call: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _error(call, path, error) from error


class RealDisk:
    """The folder `root` of the machine's file system, as a `Disk`.

    A file stays open from its first unsynced write until `sync` (at most HANDLES_MAX such files), because the kernel
    tells a write-back error for certain only to those who had the file open when it happened. `close` syncs nothing.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = str(root)
        self._handles: OrderedDict[str, int] = OrderedDict()
        with _naming("open", self._root):
            self._root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of every open file. What was not synced stays in the kernel's hands."""
        for path in list(self._handles):
            self._let_go(path)
        if self._root_fd >= 0:
            os.close(self._root_fd)
            self._root_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _folder(self, parts: list[str]) -> Iterator[int]:
        if self._root_fd < 0:
            raise Misuse(f"the disk {self._root} is closed")
        fd = os.dup(self._root_fd)
        try:
            for part in parts:
                below = os.open(part, _FOLDER, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _place(self, call: str, path: str, shown: str = "") -> Iterator[tuple[int, str]]:
        *above, name = parts_of(path) or [""]
        if not name:
            raise UsageError(f"cannot {call} the root of the disk")
        with _naming(call, shown or path), self._folder(above) as folder:
            yield folder, name

    def _open(self, call: str, path: str, flags: int) -> int:
        with self._place(call, path) as (folder, name):
            fd = os.open(name, flags | os.O_NONBLOCK, 0o600, dir_fd=folder)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise DiskError(f"disk failed: {call} {path}: not a regular file")
            return fd

    def _writable(self, call: str, path: str, flags: int = os.O_CREAT) -> int:
        fd = self._handles.get(path)
        if fd is None:
            while len(self._handles) >= HANDLES_MAX:
                self.sync(next(iter(self._handles)))
            fd = self._handles[path] = self._open(call, path, _WRITE | flags)
        return fd

    def _let_go(self, path: str) -> None:
        fd = self._handles.pop(path, None)
        if fd is not None:
            os.close(fd)

    def append(self, path: str, data: bytes) -> None:
        fd = self._writable("append to", path)
        with _naming("append to", path):
            self._write(fd, os.fstat(fd).st_size, data)

    def write_at(self, path: str, offset: int, data: bytes) -> None:
        if offset < 0:
            raise Misuse(f"cannot write to {path} at offset {offset}")
        fd = self._writable("write to", path)
        with _naming("write to", path):
            self._write(fd, offset, data)

    def _write(self, fd: int, offset: int, data: bytes) -> None:
        size, view = os.fstat(fd).st_size, memoryview(data)
        try:
            while view:
                written = os.pwrite(fd, view, offset)
                view, offset = view[written:], offset + written
        except OSError:
            os.ftruncate(fd, size)
            raise

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        fd = self._open("read", path, _READ)
        try:
            with _naming("read", path):
                wanted = max(0, os.fstat(fd).st_size - offset)
                return _read_all(fd, offset, wanted if size is None else min(size, wanted))
        finally:
            os.close(fd)

    def size(self, path: str) -> int:
        with self._place("look at", path) as (folder, name):
            return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size

    def exists(self, path: str) -> bool:
        if not parts_of(path):
            return True
        try:
            self.size(path)
        except UsageError:
            return False
        return True

    def list(self, folder: str) -> list[str]:
        parts = parts_of(folder)
        try:
            with self._folder(parts) as fd:
                return sorted(os.listdir(fd))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _error("list", folder, error) from error

    def make_folder(self, folder: str) -> None:
        parts = parts_of(folder)
        for depth in range(len(parts)):
            there = contextlib.suppress(FileExistsError)
            with _naming("make folder", folder), self._folder(parts[:depth]) as above, there:
                os.mkdir(parts[depth], 0o700, dir_fd=above)

    def rename(self, old: str, new: str) -> None:
        both = f"{old} to {new}"
        with self._place("rename", old, both) as (here, name), self._place("rename", new, both) as (there, target):
            if stat.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                raise UsageError(f"cannot rename {old}: it is a folder")
            os.rename(name, target, src_dir_fd=here, dst_dir_fd=there)
        self._let_go(new)
        if old in self._handles:
            self._handles[new] = self._handles.pop(old)

    def remove(self, path: str) -> None:
        self._let_go(path)
        with self._place("remove", path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def truncate(self, path: str, size: int) -> None:
        fd = self._writable("truncate", path, 0)
        with _naming("truncate", path):
            os.ftruncate(fd, size)

    def sync(self, path: str) -> None:
        fd = self._writable("sync", path, 0)
        try:
            _fsync(fd, path)
        finally:
            self._let_go(path)

    def sync_folder(self, folder: str) -> None:
        parts = parts_of(folder)
        with _naming("sync folder", folder or "."), self._folder(parts) as fd:
            _fsync(fd, folder or ".")

    def free(self) -> int:
        with _naming("look at", self._root):
            room = os.fstatvfs(self._root_fd)
            return room.f_bavail * room.f_frsize


def _fsync(fd: int, path: str) -> None:
    try:
        os.fsync(fd)
    except OSError as error:  # even ENOSPC: what was accepted is not there
        raise DiskError(f"disk failed: sync {path}: {error.strerror} (errno {error.errno})") from error


def _read_all(fd: int, offset: int, size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := os.pread(fd, size, offset)):
        pieces.append(piece)
        offset, size = offset + len(piece), size - len(piece)
    return b"".join(pieces)
