"""A disk that keeps only what it was told to sync, and not always that politely.

What a running program sees is the *cache*: an inode's content and the names in the folders. What a power cut leaves is
the *durable* state plus, as the seed decides, any part of what was pending:

* of the writes to a file since its last sync: none, all, the first few with the last one torn, or any of them in any
  order; a write may have extended the file and left zeros where its bytes should be;
* of the names in a folder since its last `sync_folder`: the first few changes or any of them. A move between two
  folders may have added the new name and not yet removed the old one.

A failed `sync` (EIO) makes any part durable, and the rest is forgotten although it can still be read, as Linux does: a
second `sync` succeeds and writes nothing.

Faults are set by `fail_at` (the ordinal of a call, 1 is the next) and `fault`. `calls` counts calls. A `Crash` passes
through everything that catches Exception; after it the disk refuses all calls and `crash()` gives what was left.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from node.disk import folder_of, join, parts_of
from wire.errors import DiskError, DiskFull, Misuse, UsageError

Fault = Literal["EIO", "ENOSPC", "crash"]
SECTOR = 512
T = TypeVar("T")


class Crash(BaseException):
    """The power went. Nobody may catch this but the test."""


@dataclass
class Write:
    """One change of a file that was not synced: `data` at `offset`, or a new size when `data` is None."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
            content.extend(bytes(self.offset - len(content)))
        else:
            content.extend(bytes(max(0, self.offset - len(content))))
            content[self.offset : self.offset + len(self.data)] = self.data


@dataclass
class Inode:
    durable: bytes = b""
    cached: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)
    bad: range = range(0)
    """Bytes that cannot be read."""


@dataclass
class Naming:
    """One change of a folder that was not synced: `name` now means `inode` (None: nothing)."""

    name: str
    inode: Inode | None
    after: "Naming | None" = None
    """The addition of the new name, for the removal of the old one: it is not undone without this."""
    done: bool = False


@dataclass
class Folder:
    durable: dict[str, Inode] = field(default_factory=dict)
    cached: dict[str, Inode] = field(default_factory=dict)
    pending: list[Naming] = field(default_factory=list)


def _put(names: dict[str, Inode], naming: Naming) -> None:
    naming.done = True
    if naming.inode is None:
        names.pop(naming.name, None)
    else:
        names[naming.name] = naming.inode


class SimDisk:
    """A `node.disk.Disk` in memory with the faults of the module's head, all decided by `seed`."""

    def __init__(self, seed: int = 0, *, capacity: int = 1 << 30, stall: Callable[[str, int], None] | None = None):
        self.seed = seed
        self.capacity = capacity
        self.calls = 0
        self.log: list[str] = []
        self.fail_at: int | None = None
        self.fault: Fault = "EIO"
        self.crashed = False
        self._stall = stall
        self._random = random.Random(seed)
        self._folders: dict[str, Folder] = {"": Folder()}
        self._durable_folders = {""}

    def fail(self, fault: Fault, at: int = 1) -> None:
        """Let the call `at` from now (1: the next) meet `fault`."""
        self.fail_at, self.fault = self.calls + at, fault

    def syncs(self) -> int:
        """Return how many times a file was synced."""
        return sum(line.startswith("sync ") for line in self.log)

    # What the seam asks for

    def append(self, path: str, data: bytes) -> None:
        self._write("append", path, None, data)

    def write_at(self, path: str, offset: int, data: bytes) -> None:
        if offset < 0:
            raise Misuse(f"cannot write to {path} at offset {offset}")
        self._write("write_at", path, offset, data)

    def _write(self, call: str, path: str, offset: int | None, data: bytes) -> None:
        def act() -> None:
            folder, name = self._place(path)
            inode = folder.cached.get(name)
            at = offset if offset is not None else len(inode.cached) if inode else 0
            grow = at + len(data) - (len(inode.cached) if inode else 0)
            if grow > self.free():
                raise DiskFull(f"no room to {call} {path}: {grow} bytes more, {self.free()} left")
            if inode is None:
                inode = self._name(path, Inode())
            self._change(inode, Write(at, bytes(data)))

        self._call(f"{call} {path}", act, mutates=True, fills=True)

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        def act() -> bytes:
            inode = self._inode(path)
            end = len(inode.cached) if size is None else min(len(inode.cached), offset + size)
            if max(offset, inode.bad.start) < min(end, inode.bad.stop):
                raise DiskError(f"disk failed: read {path}: bad sector (errno 5)")
            return bytes(inode.cached[offset:end])

        return self._call(f"read {path}", act)

    def size(self, path: str) -> int:
        return self._call(f"size {path}", lambda: len(self._inode(path).cached))

    def exists(self, path: str) -> bool:
        def act() -> bool:
            parts_of(path)
            above = self._folders.get(folder_of(path))
            return path in self._folders or (above is not None and path.rpartition("/")[2] in above.cached)

        return self._call(f"exists {path}", act)

    def list(self, folder: str) -> list[str]:
        def act() -> list[str]:
            parts_of(folder)
            if folder not in self._folders:
                return []
            below = {name.rpartition("/")[2] for name in self._folders if name and folder_of(name) == folder}
            return sorted(below | set(self._folders[folder].cached))

        return self._call(f"list {folder}", act)

    def make_folder(self, folder: str) -> None:
        def act() -> None:
            parts = parts_of(folder)
            for depth in range(1, len(parts) + 1):
                self._folders.setdefault("/".join(parts[:depth]), Folder())

        self._call(f"make_folder {folder}", act, mutates=True)

    def rename(self, old: str, new: str) -> None:
        def act() -> None:
            parts_of(old)
            if old in self._folders:
                raise UsageError(f"cannot rename {old}: it is a folder")
            inode = self._inode(old)
            self._place(new)
            if old != new:
                self._name(new, inode)
                self._unname(old, self._folders[folder_of(new)].pending[-1])

        self._call(f"rename {old} {new}", act, mutates=True)

    def remove(self, path: str) -> None:
        def act() -> None:
            self._inode(path)
            self._unname(path, None)

        self._call(f"remove {path}", act, mutates=True)

    def truncate(self, path: str, size: int) -> None:
        self._call(f"truncate {path}", lambda: self._change(self._inode(path), Write(size, None)), mutates=True)

    def sync(self, path: str) -> None:
        def act() -> None:
            inode = self._inode(path)
            content = bytearray(inode.durable)
            for write in inode.pending:
                write.apply(content)
            inode.durable, inode.pending = bytes(content), []

        def fail() -> None:
            inode = self._inode(path)
            inode.durable, inode.pending = self._settle(inode), []

        self._call(f"sync {path}", act, mutates=True, failing=fail)

    def sync_folder(self, folder: str) -> None:
        def act() -> None:
            parts_of(folder)
            if folder not in self._folders:
                raise UsageError(f"no such file: {folder} (sync folder)")
            here = self._folders[folder]
            for naming in here.pending:
                _put(here.durable, naming)
            here.pending = []
            below = {name for name in self._folders if name and folder_of(name) == folder}
            self._durable_folders |= below

        self._call(f"sync_folder {folder}", act, mutates=True)

    def free(self) -> int:
        inodes = {id(inode): inode for folder in self._folders.values() for inode in folder.cached.values()}
        return max(0, self.capacity - sum(len(inode.cached) for inode in inodes.values()))

    # What the power cut leaves

    def crash(self, seed: int | None = None) -> "SimDisk":
        """Return the disk as the next start finds it. This one refuses every further call."""
        self.crashed = True
        chance = random.Random(self._random.random() if seed is None else seed)
        self._random = chance
        left = SimDisk(chance.randrange(1 << 30), capacity=self.capacity, stall=self._stall)
        for path in self._surviving_folders(chance):
            left._folders[path] = Folder()
            left._durable_folders.add(path)
        inodes: dict[int, Inode] = {}
        for path, names in self._surviving_names(chance).items():
            if path in left._folders:
                for name, inode in names.items():
                    if id(inode) not in inodes:
                        inodes[id(inode)] = self._after_cut(inode)
                    left._folders[path].cached[name] = left._folders[path].durable[name] = inodes[id(inode)]
        return left

    def _surviving_folders(self, chance: random.Random) -> tuple[str, ...]:
        kept = {""}
        for path in sorted(self._folders, key=lambda path: path.count("/")):
            if path and folder_of(path) in kept and (path in self._durable_folders or chance.random() < 0.5):
                kept.add(path)
        return tuple(sorted(kept))

    def _surviving_names(self, chance: random.Random) -> dict[str, dict[str, Inode]]:
        names = {path: dict(folder.durable) for path, folder in self._folders.items()}
        for naming in (naming for folder in self._folders.values() for naming in folder.pending):
            naming.done = False
        for path, folder in sorted(self._folders.items()):
            for naming in _some(folder.pending, chance):
                if naming.after is None:
                    _put(names[path], naming)
                else:
                    naming.done = True
        for path, folder in sorted(self._folders.items()):
            for naming in folder.pending:
                if naming.done and naming.after is not None and naming.after.done:
                    _put(names[path], naming)
        return names

    def _after_cut(self, inode: Inode) -> Inode:
        content = self._settle(inode)
        return Inode(content, bytearray(content))

    def _settle(self, inode: Inode) -> bytes:
        """Return the durable content with any part of the pending writes."""
        content = bytearray(inode.durable)
        chosen = _some(inode.pending, self._random)
        for write in chosen:
            self._torn(write, last=write is chosen[-1]).apply(content)
        return bytes(content)

    def _torn(self, write: Write, *, last: bool) -> Write:
        data = write.data
        if not data or self._random.random() < (0.3 if last else 0.7):
            return write
        cut = self._random.randrange(len(data) + 1)
        way = self._random.randrange(4)
        if way == 0:
            return Write(write.offset, data[:cut])
        if way == 1:
            return Write(write.offset, bytes(len(data)))
        if way == 2:
            return Write(write.offset, data[:cut] + bytes(len(data) - cut))
        return Write(write.offset, self._sectors_of(data))

    def _sectors_of(self, data: bytes) -> bytes:
        pieces = (data[at : at + SECTOR] for at in range(0, len(data), SECTOR))
        return b"".join(piece if self._random.random() < 0.5 else bytes(len(piece)) for piece in pieces)

    # The machinery

    def _call(self, what: str, act: Callable[[], T], *, mutates=False, fills=False, failing=None) -> T:
        if self.crashed:
            raise Crash(what)
        self.calls += 1
        self.log.append(what)
        if self._stall:
            self._stall(what, self.calls)
        if self.calls != self.fail_at:
            return act()
        if self.fault == "crash":
            self._meet_crash(what, act, mutates=mutates)
        if self.fault == "ENOSPC":
            if not fills:
                return act()
            raise DiskFull(f"no room to {what}: as the test wants")
        if failing:
            failing()
        raise DiskError(f"disk failed: {what}: as the test wants (errno 5)")

    def _meet_crash(self, what: str, act: Callable[[], object], *, mutates: bool) -> None:
        if mutates and self._random.random() < 0.5:
            act()
        self.crashed = True
        raise Crash(what)

    def _place(self, path: str) -> tuple[Folder, str]:
        parts = parts_of(path)
        if not parts:
            raise UsageError("cannot write to the root of the disk")
        folder = self._folders.get(folder_of(path))
        if folder is None:
            raise UsageError(f"no such file: {path} (its folder is missing)")
        if path in self._folders:
            raise DiskError(f"disk failed: {path}: not a regular file")
        return folder, parts[-1]

    def _inode(self, path: str) -> Inode:
        folder, name = self._place(path)
        if name not in folder.cached:
            raise UsageError(f"no such file: {path}")
        return folder.cached[name]

    def _change(self, inode: Inode, write: Write) -> None:
        write.apply(inode.cached)
        inode.pending.append(write)

    def _name(self, path: str, inode: Inode) -> Inode:
        folder, name = self._place(path)
        folder.cached[name] = inode
        folder.pending.append(Naming(name, inode))
        return inode

    def _unname(self, path: str, after: Naming | None) -> None:
        folder, name = self._place(path)
        del folder.cached[name]
        folder.pending.append(Naming(name, None, after))

    # For tests that damage or look

    def damage(self, path: str, offset: int, data: bytes) -> None:
        """Change bytes on the medium itself, as rot does: durable at once, no call counted."""
        inode = self._folders[folder_of(path)].cached[path.rpartition("/")[2]]
        Write(offset, data).apply(inode.cached)
        inode.durable = bytes(inode.cached)

    def spoil(self, path: str, offset: int, size: int) -> None:
        """Make bytes unreadable, as a bad sector does. No call counted."""
        self._folders[folder_of(path)].cached[path.rpartition("/")[2]].bad = range(offset, offset + size)

    def tree(self) -> dict[str, bytes]:
        """Return path → content of every file, as a program sees them. No call counted."""
        return {
            join(path, name): bytes(inode.cached)
            for path, folder in sorted(self._folders.items())
            for name, inode in sorted(folder.cached.items())
        }


def _some(pending: list[T], chance: random.Random) -> list[T]:
    """Return what of `pending` came to pass: nothing, all, the first few, or any."""
    way = chance.randrange(4)
    if way == 0:
        return []
    if way == 1:
        return list(pending)
    if way == 2:
        return pending[: chance.randrange(len(pending) + 1)]
    return [one for one in pending if chance.random() < 0.5]
