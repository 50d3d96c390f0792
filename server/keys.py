"""The centre's own secrets: made once, kept in one file that only its owner may read.

Owns `keys.toml` in the data folder. May call: `node.secret`, `wire.seal`. The file appears whole or not at all.
Who loses this file loses every study: `docs/operations.md` says how to keep a copy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from node import config
from node.secret import KEY_SIZE, parse_key, require_private, write_secret
from wire.seal import ed25519_public, x25519_public

FILE: Final = "keys.toml"

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
    require_private(path)
    text = config.load(path, _KeyFile)
    return Keys(*(parse_key(getattr(text, name), f"{path}: {name}") for name in text.__struct_fields__))
