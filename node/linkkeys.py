"""The key files of a link between two machines: `serve.toml` for the end that is called, `send.toml` for the caller.

Made together by `feldsher link keys DIR`; DIR may be copied to both machines, and each end reads only its own file.
They are secrets: readable by their owner only, and each is on the disk whole or not at all. Kits and gateways get
theirs by enrolment instead (`provisioning`). May call: `node.secret`.

Beside the keys lies `addresses`, one a line, no secret: where the far end has been reached, the last one first. It is a
help for `--to auto`; nothing is lost with it.
"""

import contextlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.entropy import Entropy
from node.secret import write_secret
from wire.errors import ConfigError, DiskError, UsageError
from wire.noise import KEY_SIZE, KeyPair

SERVE: Final = "serve.toml"
SEND: Final = "send.toml"
ADDRESSES: Final = "addresses"
ADDRESSES_MAX: Final = 16
_HEAD: Final = "# Key file of `feldsher link`, made by `feldsher link keys`. Secret: for this {} only.\n"


@dataclass(frozen=True)
class SendKeys:
    """What a caller needs."""

    identity: KeyPair
    far_public: bytes
    psk: bytes


@dataclass(frozen=True)
class ServeKeys:
    """What a host needs: its own pair, and name and psk of each caller by public key."""

    identity: KeyPair
    callers: dict[bytes, tuple[str, bytes]]


def make_keys(folder: Path, entropy: Entropy) -> None:
    """Write both key files into `folder`. Raises UsageError rather than write over one."""
    serve, send, psk = KeyPair.from_secret(entropy(KEY_SIZE)), KeyPair.from_secret(entropy(KEY_SIZE)), entropy(KEY_SIZE)
    caller = f'\n[[caller]]\nname = "send"\npublic = "{send.public.hex()}"\npsk = "{psk.hex()}"\n'
    texts = {
        SERVE: _HEAD.format("`link serve`") + f'secret = "{serve.secret.hex()}"\n' + caller,
        SEND: _HEAD.format("`link send`")
        + f'secret = "{send.secret.hex()}"\nfar_public = "{serve.public.hex()}"\npsk = "{psk.hex()}"\n',
    }
    for name in texts:
        if (folder / name).exists():
            raise UsageError(f"{folder / name} is there already; keys are never written over")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in texts.items():
            write_secret(folder / name, text)
    except OSError as error:
        raise UsageError(f"cannot write keys into {folder}: {error.strerror}") from error
    except DiskError as error:
        raise UsageError(f"cannot write keys: {error}") from error


def load_addresses(folder: Path) -> list[str]:
    """Return where the far end may be, the likeliest first; nothing when nobody has said."""
    try:
        lines = (folder / ADDRESSES).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [line.strip() for line in lines if line.strip()][:ADDRESSES_MAX]


def remember(folder: Path, addresses: Sequence[str]) -> None:
    """Put these addresses before the others. A folder that cannot be written stays as it is."""
    known = list(dict.fromkeys([*addresses, *load_addresses(folder)]))[:ADDRESSES_MAX]
    if known == load_addresses(folder):
        return
    beside = folder / f".{ADDRESSES}.new"
    with contextlib.suppress(OSError):
        beside.unlink(missing_ok=True)
        beside.touch(mode=0o600)  # the address of a modem may hold its PIN
        beside.write_text("".join(f"{address}\n" for address in known))
        beside.replace(folder / ADDRESSES)


def load_send(folder: Path) -> SendKeys:
    """Read the caller's keys. Raises ConfigError that names file and key."""
    path = folder / SEND
    table = _load(path)
    return SendKeys(
        KeyPair.from_secret(_key(path, table, "secret")), _key(path, table, "far_public"), _key(path, table, "psk")
    )


def load_serve(folder: Path) -> ServeKeys:
    """Read the host's keys. Raises ConfigError that names file and key."""
    path = folder / SERVE
    table = _load(path)
    callers = {}
    entries = table.get("caller", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{path}: caller: want a list of tables, [[caller]]")
    for number, entry in enumerate(entries, 1):
        where = f"caller {number}: "
        name = str(entry.get("name", f"caller {number}"))
        callers[_key(path, entry, "public", where)] = (name, _key(path, entry, "psk", where))
    return ServeKeys(KeyPair.from_secret(_key(path, table, "secret")), callers)


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such key file; `feldsher link keys {path.parent}` makes it") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _key(path: Path, table: dict[str, Any], name: str, where: str = "") -> bytes:
    text = table.get(name)
    try:
        value = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        value = b""
    if len(value) != KEY_SIZE:
        raise ConfigError(f"{path}: {where}{name}: want {2 * KEY_SIZE} hex digits")
    return value
