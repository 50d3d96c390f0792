"""Why a serial line cannot be opened, in words that say what to do: for modems and for devices alike.

What the kernel says is an errno in the text of pyserial's exceptions. Who else has the line is found in /proc (Linux,
proc(5)): first who has locked it, then who has it open. Of other users' processes only root sees the open files, so a
kit that runs as its own user may not learn it.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NO_LINE: Final = (errno.ENOTTY, errno.EISDIR, errno.EINVAL)
TAKEN: Final = (errno.EAGAIN, errno.EBUSY)
LOCKED: Final = "exclusively lock"
"""What pyserial says of a line that another program has locked."""
PROC: Final = Path("/proc")
FLOCK_PID, FLOCK_INODE = 4, 5
"""Fields of a line of /proc/locks: `1: FLOCK ADVISORY WRITE 612 00:18:5 0 EOF`."""


def why_not_opened(path: str, error: Exception) -> str:
    """Return what is wrong with the line at `path`, and what to do."""
    if LOCKED in str(error) or _is_any(error, TAKEN):
        return f"{holder_of(path) or 'another program (ModemManager?)'} has it open"
    if _is_any(error, NO_LINE):
        return "it is no serial line; `feldsher kit devices` lists those that are there"
    if _is_any(error, (errno.EACCES, errno.EPERM)):
        return "this user may not open it; on Raspberry Pi OS the group `dialout` may"
    return str(error)


def _is_any(error: Exception, numbers: tuple[int, ...]) -> bool:
    text = str(error)
    return any(getattr(error, "errno", None) == number or os.strerror(number) in text for number in numbers)


def holder_of(path: str) -> str:
    """Return the program that has the file locked, or else open, with its process id; "" when nobody is seen to."""
    target = os.path.realpath(path)
    found = _locker(target) or next((folder for folder in _others() if _has_open(folder, target)), None)
    return "" if found is None else _program(found)


def _locker(target: str) -> Path | None:
    with contextlib.suppress(OSError, ValueError):
        inode = Path(target).stat().st_ino
        for words in map(str.split, (PROC / "locks").read_text().splitlines()):
            is_it = len(words) > FLOCK_INODE and words[FLOCK_INODE].endswith(f":{inode}")
            if is_it and words[FLOCK_PID] != str(os.getpid()) and _has_open(PROC / words[FLOCK_PID], target):
                return PROC / words[FLOCK_PID]
    return None


def _others() -> Iterator[Path]:
    for folder in PROC.glob("[0-9]*"):
        if folder.name != str(os.getpid()):
            yield folder


def _has_open(folder: Path, target: str) -> bool:
    with contextlib.suppress(OSError), os.scandir(folder / "fd") as descriptors:  # else it is another user's
        return any(_leads_to(descriptor.path, target) for descriptor in descriptors)
    return False


def _leads_to(link: str, target: str) -> bool:
    with contextlib.suppress(OSError):  # it has been closed meanwhile
        return str(Path(link).readlink()) == target
    return False


def _program(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return f"{(folder / 'comm').read_text().strip()} (process {folder.name})"
    return f"process {folder.name}"
