"""Files that hold secrets: written whole or not at all, and readable by their owner only.

Owns nothing. Calls the operating system itself, because the mode of a file is not part of the disk seam; nothing here
runs in the simulation. After `write_secret` has returned, the file survives a power cut.
"""

import os
from pathlib import Path
from typing import Final

from wire.errors import ConfigError, DiskError, UsageError

KEY_SIZE: Final = 32
OTHERS: Final = 0o077


def parse_key(text: str, name: str) -> bytes:
    """Return the key written as 64 hex digits in `text`; `name` is what an error calls it."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise ConfigError(f"{name}: a key is {2 * KEY_SIZE} hex digits")
    return key


def require_private(path: Path) -> None:
    """Raise ConfigError when anybody but its owner can read `path`, or when it is missing."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if mode & OTHERS:
        raise ConfigError(f"{path}: others can read this secret: chmod 600 {path}")


def write_secret(path: Path, text: str) -> None:
    """Write `text` to `path`, which must not exist yet. Raises UsageError, DiskError."""
    if path.exists():
        raise UsageError(f"{path}: exists already, and a secret is never written over: choose another name")
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise DiskError(f"{path}: cannot be written: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
