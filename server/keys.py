"""The centre's own secrets: made once, kept in one file that only its owner may read.

Owns `keys.toml` in the data folder. May call: the operating system's files (the mode of a file is not part of the disk
seam), `wire.seal`. The file appears whole or not at all: it is written beside, synced, renamed, and its folder synced.
Who loses this file loses every study: `docs/operations.md` says how to keep a copy.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from node import config
from wire.errors import ConfigError, DiskError
from wire.seal import ed25519_public, x25519_public

FILE: Final = "keys.toml"
KEY_SIZE: Final = 32

Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Keys:
    """The three secrets of the centre and their public halves."""

    link_secret: bytes = field(repr=False)
    seal_secret: bytes = field(repr=False)
    sign_secret: bytes = field(repr=False)

    @property
    def link_public(self) -> bytes:
        return x25519_public(self.link_secret)

    @property
    def seal_public(self) -> bytes:
        return x25519_public(self.seal_secret)

    @property
    def sign_public(self) -> bytes:
        return ed25519_public(self.sign_secret)


class _KeyFile(msgspec.Struct, forbid_unknown_fields=True):
    link_secret: str
    seal_secret: str
    sign_secret: str


def make(entropy: Entropy) -> Keys:
    """Return new keys."""
    return Keys(entropy(KEY_SIZE), entropy(KEY_SIZE), entropy(KEY_SIZE))


def load_or_make(folder: Path, entropy: Entropy) -> Keys:
    """Return the keys kept in `folder`; make them when the folder has none."""
    path = folder / FILE
    if not path.exists():
        keys = make(entropy)
        names = ("link_secret", "seal_secret", "sign_secret")
        lines = ["# The centre's secrets. Keep a copy in a safe: without seal_secret no study can be opened.\n"]
        lines += [f'{name} = "{getattr(keys, name).hex()}"\n' for name in names]
        write_secret(path, "".join(lines))
        return keys
    return load(path)


def load(path: Path) -> Keys:
    """Return the keys in `path`. Raises ConfigError when others can read it or it does not hold three keys."""
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path}: others can read it: chmod 600 {path}")
    text = config.load(path, _KeyFile)
    return Keys(*(parse_key(getattr(text, name), f"{path}: {name}") for name in text.__struct_fields__))


def parse_key(text: str, name: str) -> bytes:
    """Return the key written as 64 hex digits in `text`; `name` is what an error calls it."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise ConfigError(f"{name}: a key is {2 * KEY_SIZE} hex digits")
    return key


def write_secret(path: Path, text: str) -> None:
    """Write `path` durably, readable by its owner only, whole or not at all; never over an existing file."""
    beside = path.with_name(f".{path.name}.new")
    try:
        if path.exists():
            raise ConfigError(f"{path}: exists already: choose another name")
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise DiskError(f"{path}: cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
