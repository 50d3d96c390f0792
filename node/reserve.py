"""Room that is taken before it is needed (a full disk is a normal state).

A `Reserve` is a file of zeros. When a write that must not fail meets a full disk, the file is removed and the write is
made again; it is filled anew once there is room. On a file system that stores zeros for nothing it helps nothing.
"""

from typing import Final

from node.disk import Disk, folder_of
from wire.errors import DiskFull

CHUNK_SIZE: Final = 64 << 10


class Reserve:
    """`size` bytes kept at `path`."""

    def __init__(self, disk: Disk, path: str, size: int) -> None:
        self._disk = disk
        self._path = path
        self._size = size
        self.filled = disk.exists(path) and disk.size(path) == size

    def fill(self) -> bool:
        """Take the room if it is not taken; tell whether it is now."""
        if self.filled:
            return True
        try:
            self._write()
        except DiskFull:
            self.release()
            return False
        self.filled = True
        return True

    def _write(self) -> None:
        have = self._disk.size(self._path) if self._disk.exists(self._path) else 0
        if have > self._size:
            self._disk.truncate(self._path, self._size)
        for at in range(have, self._size, CHUNK_SIZE):
            self._disk.append(self._path, bytes(min(CHUNK_SIZE, self._size - at)))
        self._disk.sync(self._path)
        self._disk.sync_folder(folder_of(self._path))

    def release(self) -> bool:
        """Give the room back; tell whether there was any."""
        self.filled = False
        if not self._disk.exists(self._path):
            return False
        self._disk.remove(self._path)
        self._disk.sync_folder(folder_of(self._path))
        return True
