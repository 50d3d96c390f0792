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
LOCK_FOLDERS: Final = (Path("/run/lock"), Path("/var/lock"))
"""Where programs that dial leave `LCK..ttyUSB0` with their process id (Filesystem Hierarchy Standard 5.9)."""


def why_not_opened(path: str, error: Exception) -> str:
    """Return what is wrong with the line at `path`, and what to do."""
    if LOCKED in str(error) or _is_any(error, TAKEN):
        holder = holder_of(path)
        hint = ": take the GPS from its socket, `feldsher kit devices --propose`" if holder.startswith("gpsd ") else ""
        return f"{holder or 'another program (ModemManager?)'} has it open{hint}"
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
    opener = next((folder for folder in _others() if _has_open(folder, target)), None)
    found = _locker(target) or opener or _dialler(target)
    return "" if found is None else _program(found)


def _locker(target: str) -> Path | None:
    with contextlib.suppress(OSError, ValueError):
        file = Path(target).stat()
        whole = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
        for words in map(str.split, (PROC / "locks").read_text().splitlines()):
            is_like = len(words) > FLOCK_INODE and words[FLOCK_INODE].endswith(f":{file.st_ino}")
            if not is_like or words[FLOCK_PID] == str(os.getpid()):
                continue
            # another user's files are not to be seen; that it has locked this very file is
            if words[FLOCK_INODE] == whole or _has_open(PROC / words[FLOCK_PID], target):
                return PROC / words[FLOCK_PID]
    return None


def _dialler(target: str) -> Path | None:
    """Return who has left a lock file for the line, and lives."""
    for folder in LOCK_FOLDERS:
        with contextlib.suppress(OSError, ValueError, IndexError):
            process = PROC / str(int((folder / f"LCK..{Path(target).name}").read_text().split()[0]))
            if process.exists() and process.name != str(os.getpid()):
                return process
    return None


def _others() -> Iterator[Path]:
    for folder in PROC.glob("[0-9]*"):
        if folder.name != str(os.getpid()):
            yield folder


def _has_open(folder: Path, target: str) -> bool:
    with contextlib.suppress(OSError), os.scandir(folder / "fd") as descriptors:  # else it is another user's
        is_open = any(_leads_to(descriptor.path, target) for descriptor in descriptors)
        return is_open and not _is_far_end(folder, target)
    return False


def _is_far_end(folder: Path, target: str) -> bool:
    """Return whether this process is the device behind a pty: it has the other end, and keeps this one open."""
    number = target.removeprefix("/dev/pts/")
    return number != target and any(_reads(info, f"tty-index:\t{number}\n") for info in (folder / "fdinfo").glob("*"))


def _reads(file: Path, line: str) -> bool:
    with contextlib.suppress(OSError):
        return line in file.read_text()
    return False


def _leads_to(link: str, target: str) -> bool:
    with contextlib.suppress(OSError):  # it has been closed meanwhile
        return str(Path(link).readlink()) == target
    return False


def _program(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return f"{(folder / 'comm').read_text().strip()} (process {folder.name})"
    return f"process {folder.name}"
