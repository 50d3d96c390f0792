"""The place of an inbox as the kit sees it: a folder, or where a stick is mounted. What is there, read whole, or moved.

Calls may hang as long as the kernel tries a stick that breaks, so whoever may not wait has them made elsewhere.
Nothing is followed out of the place: no link, no device, no pipe. Nothing is ever removed or overwritten; `move`
alone changes something there, and only where the configuration asks for it. Owns nothing; nothing of it survives.

Raises UsageError when there is no such place or file, DiskError for what the medium does.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from wire.errors import DiskError, UsageError

FILES_MAX: Final = 4_096
"""Files of one place that are looked at; the rest is said to be too much."""
DEPTH_MAX: Final = 12
TAKEN: Final = "taken"
"""The folder in the place into which what was taken is moved."""
HEAD_SIZE: Final = 4096
FILE: Final = "the file"
"""How an error calls it: its name may name a patient."""
NAMES_MAX: Final = 1000
"""Names that are tried for one file in it."""
IGNORED: Final = frozenset({"system volume information", "$recycle.bin", "lost+found", "found.000"})
IGNORED_AT_TOP: Final = frozenset({TAKEN, "feldsher"})
"""What was taken, and the parcels of a stick (`node.stick`)."""


class Seen(NamedTuple):
    """A file as a look finds it. `path`: below the place, "/" between; `stamp`: its time of change, nanoseconds."""

    path: str
    size: int
    stamp: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in a place. `is_cut`: there is more than is looked at."""

    files: tuple[Seen, ...] = ()
    is_cut: bool = False
    device: int = 0
    """Of the medium: another one is another stick."""
    closed: tuple[str, ...] = ()
    """Folders that may not be looked into, or lie too deep."""


class Place(Protocol):
    """See the module's text."""

    def survey(self) -> Survey: ...

    def read(self, seen: Seen) -> bytes | None:
        """Return the file; None when it is not, or not any more, as it was seen."""
        ...

    def head(self, seen: Seen) -> bytes:
        """Return how the file begins, HEAD_SIZE bytes at most."""
        ...

    def move(self, seen: Seen) -> str:
        """Move the file below TAKEN and return where it lies; "" when it is not as it was seen, and stays."""
        ...


class RealPlace:
    """The folder `root` of the machine's file system, as a `Place`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def survey(self) -> Survey:
        found: list[Seen] = []
        closed: list[str] = []
        with self._opened() as top, _naming(self._root):
            device = os.fstat(top).st_dev
            for seen in _walk(top, "", 0, closed):
                if len(found) >= FILES_MAX:
                    return Survey(tuple(found), True, device, tuple(closed))
                found.append(seen)
        return Survey(tuple(found), False, device, tuple(closed))

    def read(self, seen: Seen) -> bytes | None:
        with self._folder_of(seen.path) as (folder, name), _naming(FILE):
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with open(handle, "rb") as file:
                if not _is(os.fstat(handle), seen):
                    return None
                data = file.read(seen.size + 1)
                return data if len(data) == seen.size and _is(os.fstat(handle), seen) else None

    def head(self, seen: Seen) -> bytes:
        with self._folder_of(seen.path) as (folder, name), _naming(FILE):
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with open(handle, "rb") as file:
                return file.read(HEAD_SIZE) if stat.S_ISREG(os.fstat(handle).st_mode) else b""

    def move(self, seen: Seen) -> str:
        with self._opened() as top, self._folder_of(seen.path) as (folder, name), _naming(FILE):
            if not _is(os.stat(name, dir_fd=folder, follow_symlinks=False), seen):
                return ""
            above, _, _ = seen.path.rpartition("/")
            with _made(top, [TAKEN, *filter(None, above.split("/"))]) as target:
                free = _rename(folder, name, target)
                if not _is(os.stat(free, dir_fd=target, follow_symlinks=False), seen):
                    _rename(target, free, folder, name)  # it was written meanwhile: not what was taken
                    return ""
                os.fsync(target)
            os.fsync(folder)
        return "/".join(filter(None, (TAKEN, above, free)))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        with _naming(self._root):
            handle = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield handle
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _folder_of(self, path: str) -> Iterator[tuple[int, str]]:
        *above, name = path.split("/")
        with self._opened() as top, contextlib.ExitStack() as stack, _naming(FILE):
            handle = top
            for part in above:
                handle = _below(handle, part)
                stack.callback(os.close, handle)
            yield handle, name


def _walk(folder: int, above: str, depth: int, closed: list[str]) -> Iterator[Seen]:
    """Yield the regular files below an open folder, in the order of their names."""
    for name in sorted(os.listdir(folder)):
        small = name.lower()
        if name.startswith(".") or small in IGNORED or (not depth and small in IGNORED_AT_TOP):
            continue
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:  # gone meanwhile
            continue
        path = f"{above}/{name}" if above else name
        if stat.S_ISREG(status.st_mode):
            yield Seen(path, status.st_size, status.st_mtime_ns)
        elif stat.S_ISDIR(status.st_mode):
            try:
                handle = _below(folder, name) if depth < DEPTH_MAX else -1
            except FileNotFoundError:
                continue
            except PermissionError:
                handle = -1
            if handle < 0:
                closed.append(path)
                continue
            try:
                yield from _walk(handle, path, depth + 1, closed)
            finally:
                os.close(handle)


def _below(folder: int, name: str) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


@contextlib.contextmanager
def _made(top: int, parts: list[str]) -> Iterator[int]:
    """Open a folder below `top`, made when missing."""
    with contextlib.ExitStack() as stack:
        handle = top
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=handle)
            handle = _below(handle, part)
            stack.callback(os.close, handle)
        yield handle


def _rename(source: int, name: str, target: int, wanted: str = "") -> str:
    """Give the file a name in `target` that nothing has there, and return it."""
    wanted = wanted or name
    base, dot, ending = wanted.rpartition(".")
    for number in range(NAMES_MAX):
        free = wanted if not number else f"{base or ending}.{number}{dot if base else ''}{ending if base else ''}"
        try:
            os.link(name, free, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}:
                raise
            if _exists(target, free):  # a file system without links, FAT above all
                continue
            os.rename(name, free, src_dir_fd=source, dst_dir_fd=target)
            return free
        os.unlink(name, dir_fd=source)
        return free
    raise UsageError(f"there are {NAMES_MAX} files of this name in {TAKEN}/ already")


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is(status: os.stat_result, seen: Seen) -> bool:
    return stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == (seen.size, seen.stamp)


@contextlib.contextmanager
def _naming(path: object) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UsageError(f"{path}: is not there") from error
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}") from error
