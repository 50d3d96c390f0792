"""The roster: which kits there are, by which keys they are known, and who is revoked; signed by the server.

A gateway lets in only who is on the newest roster that it has. The roster holds secrets (each kit's psk), so it travels
and rests only where those belong: in sessions with gateways, and on their disks.

```
signature 64 | CBOR {"version": n, "kits": [[name, link public 32, psk 32, sign public 32, revoked], ...]}
```

The signature is Ed25519 over `b"feldsher roster 1"` and the CBOR. Versions grow; a reader keeps the highest that it has
verified, so an old roster cannot bring a revoked kit back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from wire.errors import FormatError, Misuse
from wire.maps import decode_map, encode_map
from wire.seal import KEY_SIZE, SIGNATURE_SIZE, require_signature, sign

KIT_COUNT_MAX: Final = 10_000
NAME_SIZE_MAX: Final = 64
"""Characters of a kit's name."""
VERSION_MAX: Final = (1 << 48) - 1
ROSTER_SIZE_MAX: Final = 4 << 20
CONTEXT: Final = b"feldsher roster 1"


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """One kit: its name and keys, and whether it has lost its rights."""

    name: str
    link_public: bytes
    psk: bytes
    sign_public: bytes
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Roster:
    """Everybody, as of `version`."""

    version: int
    entries: tuple[RosterEntry, ...]


def sign_roster(version: int, entries: Iterable[RosterEntry], sign_secret: bytes) -> bytes:
    """Return the bytes of a signed roster; kits stand by name. Raises Misuse for what would not be read back."""
    kits = [
        [one.name, one.link_public, one.psk, one.sign_public, one.revoked]
        for one in sorted(entries, key=lambda one: one.name)
    ]
    body = encode_map({"version": version, "kits": kits}, ROSTER_SIZE_MAX)
    try:
        _read(body)
    except FormatError as error:
        raise Misuse(f"a roster that nobody would take: {error}") from error
    return sign(CONTEXT + body, sign_secret) + body


def verify_roster(data: bytes, sign_public: bytes) -> Roster:
    """Return the roster. Raises AuthError when the server has not signed these bytes, FormatError for what is none."""
    if len(data) <= SIGNATURE_SIZE:
        raise FormatError(f"a roster of {len(data)} bytes; the signature alone has {SIGNATURE_SIZE}")
    require_signature(CONTEXT + data[SIGNATURE_SIZE:], data[:SIGNATURE_SIZE], sign_public, "the roster")
    return _read(data[SIGNATURE_SIZE:])


def _read(body: bytes) -> Roster:
    values = decode_map(body, "roster", ROSTER_SIZE_MAX)
    version, kits = values.get("version"), values.get("kits")
    if type(version) is not int or not 0 <= version <= VERSION_MAX:
        raise FormatError(f"roster: version {version!r:.40}; want an integer from 0 to {VERSION_MAX}")
    if not isinstance(kits, list) or len(kits) > KIT_COUNT_MAX:
        raise FormatError(f"roster: want a list of at most {KIT_COUNT_MAX} kits")
    entries = tuple(_entry(kit) for kit in kits)
    for what in ("name", "link_public"):
        if len({getattr(one, what) for one in entries}) < len(entries):
            raise FormatError(f"roster: two kits have the same {what}")
    return Roster(version, entries)


def _entry(kit: object) -> RosterEntry:
    if not isinstance(kit, list) or len(kit) != 5:
        raise FormatError("roster: a kit is a list of name, link public, psk, sign public, revoked")
    name, link_public, psk, sign_public, revoked = kit
    if not isinstance(name, str) or not 0 < len(name) <= NAME_SIZE_MAX or not isinstance(revoked, bool):
        raise FormatError(f"roster: kit {name!r:.40}: want a name of 1 to {NAME_SIZE_MAX} characters and true or false")
    if any(not isinstance(key, bytes) or len(key) != KEY_SIZE for key in (link_public, psk, sign_public)):
        raise FormatError(f"roster: kit {name}: its keys are {KEY_SIZE} bytes each")
    return RosterEntry(name, link_public, psk, sign_public, revoked)
