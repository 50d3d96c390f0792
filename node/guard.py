"""A disk as one store sees it: after the first failed write or sync, the store is refused everything.

After a failed fsync the kernel may show bytes that are on no medium, so whoever goes on builds on sand. Each store puts
a `GuardedDisk` between itself and the disk it was given; a new store object (which recovers first) has a new one. A
failed *read* blames one file, not the store, and `DiskFull` leaves everything as it was: neither closes the guard.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from node.disk import Disk
from wire.errors import DiskError

P = ParamSpec("P")
R = TypeVar("R")


class GuardedDisk:
    """A `node.disk.Disk` over another one that stays closed after a DiskError from a call that changes something."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.failure: DiskError | None = None
        self.append = self._changing(disk.append)
        self.write_at = self._changing(disk.write_at)
        self.make_folder = self._changing(disk.make_folder)
        self.rename = self._changing(disk.rename)
        self.remove = self._changing(disk.remove)
        self.truncate = self._changing(disk.truncate)
        self.sync = self._changing(disk.sync)
        self.sync_folder = self._changing(disk.sync_folder)
        self.read = self._looking(disk.read)
        self.size = self._looking(disk.size)
        self.exists = self._looking(disk.exists)
        self.list = self._looking(disk.list)
        self.free = self._looking(disk.free)

    def _check(self) -> None:
        if self.failure is not None:
            raise DiskError(f"closed since the disk failed; open the store anew. It was: {self.failure}")

    def _looking(self, call: Callable[P, R]) -> Callable[P, R]:
        def guarded(*args: P.args, **options: P.kwargs) -> R:
            self._check()
            return call(*args, **options)

        return guarded

    def _changing(self, call: Callable[P, R]) -> Callable[P, R]:
        def guarded(*args: P.args, **options: P.kwargs) -> R:
            self._check()
            try:
                return call(*args, **options)
            except DiskError as error:
                self.failure = error
                raise

        return guarded
