"""Configuration: TOML into typed structures, with errors that name file, key and reason.

A structure is a `msgspec.Struct` whose fields are the documented keys. Unknown keys are an error: a mistyped key
that is ignored in silence is how a van drives for a week with the wrong setting.
"""

import tomllib
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from wire.errors import ConfigError

SIZE_MAX: Final = 1 << 20
"""A larger configuration file is a mistake, bytes."""

T = TypeVar("T")


def load(path: Path, shape: type[T]) -> T:
    """Read the TOML file `path` as `shape`. Raises ConfigError with file, key and reason."""
    return parse(read(path), shape, str(path))


def read(path: Path) -> str:
    """Return the text of `path`. Raises ConfigError when it is missing, unreadable, huge or not UTF-8."""
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > SIZE_MAX:
        raise ConfigError(f"{path}: larger than {SIZE_MAX} bytes: not a configuration")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8") from error


def parse(text: str, shape: type[T], name: str) -> T:
    """Return `text` (TOML) as `shape`; `name` is what an error calls it. Raises ConfigError."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error
    try:
        return msgspec.convert(tree, shape)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        key = where.rstrip("`").lstrip(".") or "top level"
        raise ConfigError(f"{name}: {key}: {reason}") from error
