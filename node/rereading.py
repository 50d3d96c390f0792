"""Reading an object that is to be sent from a disk that may have a bad sector.

Owns nothing. A failed read blames one object and not the store, so it has an error of its own: whoever sends puts that
object out of the way and goes on with the others. Otherwise one bad sector stops a node, and meets it again after
every start.
"""

from typing import Final

from node.spool import Spool
from wire.errors import DiskError

READS_MAX: Final = 3
"""A disk that cannot read a piece of an object is asked again so often before the object is given up."""


class UnreadableError(DiskError):
    """One object cannot be read; nothing is known against the others."""

    def __init__(self, object_id: bytes, why: str) -> None:
        super().__init__(f"object {object_id.hex()} cannot be read: {why}")
        self.object_id = object_id


def read_object(spool: Spool, object_id: bytes, offset: int, size: int) -> bytes:
    """Return exactly these bytes of the object. Raises UnreadableError."""
    why: DiskError | None = None
    for _ in range(READS_MAX):
        try:
            return spool.read(object_id, offset, size)
        except DiskError as error:
            why = error
    raise UnreadableError(object_id, str(why)) from why
