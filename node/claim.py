"""One process at a time in a data folder: opening the stores recovers, and would close the studies of another.

The claim is a lock of the kernel on the folder itself. It ends with the process, however that ends, and leaves no file.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wire.errors import UsageError


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises UsageError when it is missing or another holds it."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise UsageError(f"{folder}: another process uses this data folder; stop it first") from error
    try:
        yield
    finally:
        os.close(handle)
