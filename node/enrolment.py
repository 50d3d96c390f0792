"""The enrolment files as a node reads them: its keys, and whom it may talk to. `docs/formats/enrolment.md`.

Owns the shapes of the two files and their checks; `provisioning.enrolment` writes them. They hold secrets, so a file
that others can read is refused. Nothing here changes a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from node import config
from node.secret import parse_key, require_private
from wire.errors import ConfigError

VERSION: Final = 1
GATEWAYS_MAX: Final = 64
URLS_MAX: Final = 16
SCHEMES: Final = ("udp://", "tcp://")


class GatewayAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gateway as a kit's file names it."""

    name: str
    public: str
    urls: list[str]


class KitFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of a kit's file, as text."""

    version: int
    name: str
    link_secret: str
    psk: str
    sign_secret: str
    server_seal_public: str
    server_sign_public: str
    gateway: list[GatewayAddress] = []


class GatewayFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of a gateway's file, as text."""

    version: int
    name: str
    link_secret: str
    psk: str
    server_link_public: str
    server_sign_public: str
    server_urls: list[str]
    listen: list[str]


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody to call: the link key that must answer, and where."""

    name: str
    public: bytes
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KitEnrolment:
    """What a kit knows of itself and of its world."""

    name: str
    link_secret: bytes = field(repr=False)
    psk: bytes = field(repr=False)
    sign_secret: bytes = field(repr=False)
    server_seal_public: bytes
    server_sign_public: bytes
    gateways: tuple[Contact, ...]


@dataclass(frozen=True, slots=True)
class GatewayEnrolment:
    """What a gateway knows of itself and of the server."""

    name: str
    link_secret: bytes = field(repr=False)
    psk: bytes = field(repr=False)
    server_sign_public: bytes
    server: Contact
    listen: tuple[str, ...]


File = TypeVar("File", KitFile, GatewayFile)


def load_kit(path: Path) -> KitEnrolment:
    """Return the kit's enrolment in `path`. Raises ConfigError that names file, key and reason."""
    file = _load(path, KitFile)
    if len(file.gateway) > GATEWAYS_MAX:
        raise ConfigError(f"{path}: gateway: {len(file.gateway)} gateways; at most {GATEWAYS_MAX}")
    return KitEnrolment(
        name=file.name,
        link_secret=parse_key(file.link_secret, f"{path}: link_secret"),
        psk=parse_key(file.psk, f"{path}: psk"),
        sign_secret=parse_key(file.sign_secret, f"{path}: sign_secret"),
        server_seal_public=parse_key(file.server_seal_public, f"{path}: server_seal_public"),
        server_sign_public=parse_key(file.server_sign_public, f"{path}: server_sign_public"),
        gateways=tuple(_contact(one, f"{path}: gateway[{at}]") for at, one in enumerate(file.gateway)),
    )


def load_gateway(path: Path) -> GatewayEnrolment:
    """Return the gateway's enrolment in `path`. Raises ConfigError that names file, key and reason."""
    file = _load(path, GatewayFile)
    public = parse_key(file.server_link_public, f"{path}: server_link_public")
    return GatewayEnrolment(
        name=file.name,
        link_secret=parse_key(file.link_secret, f"{path}: link_secret"),
        psk=parse_key(file.psk, f"{path}: psk"),
        server_sign_public=parse_key(file.server_sign_public, f"{path}: server_sign_public"),
        server=Contact("server", public, checked_urls(file.server_urls, f"{path}: server_urls")),
        listen=checked_urls(file.listen, f"{path}: listen"),
    )


def _contact(one: GatewayAddress, name: str) -> Contact:
    return Contact(one.name, parse_key(one.public, f"{name}.public"), checked_urls(one.urls, f"{name}.urls"))


def _load(path: Path, shape: type[File]) -> File:
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file; a node gets it by `feldsher kit enrol` or `gateway enrol`")
    require_private(path)
    file = config.load(path, shape)
    if file.version != VERSION:
        raise ConfigError(f"{path}: version: {file.version}; this program reads {VERSION}")
    return file


def checked_urls(urls: Sequence[str], name: str) -> tuple[str, ...]:
    """Return `urls`. Raises ConfigError, calling them `name`, unless they are 1 to URLS_MAX addresses of ours."""
    if not 0 < len(urls) <= URLS_MAX:
        raise ConfigError(f"{name}: 1 to {URLS_MAX} URLs, not {len(urls)}")
    for url in urls:
        if not (url.startswith(SCHEMES) and url.isascii() and url.isprintable() and " " not in url):
            raise ConfigError(f"{name}: {url[:80]!r}: udp://HOST:PORT or tcp://HOST:PORT")
    return tuple(urls)
