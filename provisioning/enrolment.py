"""Enrolment: one command at the centre makes a node's keys and the one file that is put on it.

Owns how the two files are written (`docs/formats/enrolment.md`; `node.enrolment` reads them) and how a node is
entered. May call: the centre. The centre keeps what it needs to recognise the node, never the secrets by which the
node signs or speaks. The file is durable before the node is entered, so that a crash between the two leaves a useless
file, never a node that nobody has the keys of; the file is removed again when the node cannot be entered.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from node.enrolment import VERSION, checked_urls
from node.secret import KEY_SIZE, write_secret
from server.centre import Centre
from server.peers import NAME, Gateway, Kit
from wire.errors import FeldsherError, UsageError
from wire.seal import ed25519_public, x25519_public

KIT_HEAD: Final = """\
# Enrolment of kit {name}. Put it on the kit as enrolment.toml, mode 0600, and nowhere else: it holds the kit's secrets.
# Lost or stolen: feldsher server kit revoke {name}
"""
GATEWAY_HEAD: Final = """\
# Enrolment of gateway {name}. Put it on the gateway as enrolment.toml, mode 0600, and nowhere else: it holds secrets.
# Lost or stolen: feldsher server gateway revoke {name}
"""


def add_kit(centre: Centre, name: str, out: Path, gateways: Sequence[str] = (), actor: str = "") -> Kit:
    """Enrol kit `name` and write its file. `gateways`: names; all that are not revoked when none is given."""
    _check_name(name)
    chosen = _chosen(centre, gateways)
    link_secret, psk, sign_secret = (centre.entropy(KEY_SIZE) for _ in range(3))
    lines = {
        "link_secret": link_secret,
        "psk": psk,
        "sign_secret": sign_secret,
        "server_seal_public": centre.keys.seal_public,
        "server_sign_public": centre.keys.sign_public,
    }
    text = KIT_HEAD.format(name=name) + _text(name, lines)
    for gateway in chosen:
        text += f"\n[[gateway]]\n{_line('name', gateway.name)}{_line('public', gateway.link_public.hex())}"
        text += _line("urls", gateway.urls)
    write_secret(out, text)
    try:
        return centre.peers.add_kit(name, x25519_public(link_secret), psk, ed25519_public(sign_secret), actor)
    except FeldsherError:
        out.unlink(missing_ok=True)
        raise


def add_gateway(
    centre: Centre,
    name: str,
    out: Path,
    listen: Sequence[str],
    server_urls: Sequence[str],
    urls: Sequence[str] = (),
    actor: str = "",
) -> Gateway:
    """Enrol gateway `name` and write its file. `urls`: where kits reach it; where it listens when none is given."""
    _check_name(name)
    urls = urls or listen
    for what, given in (("--listen", listen), ("--server", server_urls), ("--url", urls)):
        checked_urls(given, f"gateway {name}: {what}")
    link_secret, psk = centre.entropy(KEY_SIZE), centre.entropy(KEY_SIZE)
    lines = {
        "link_secret": link_secret,
        "psk": psk,
        "server_link_public": centre.keys.link_public,
        "server_sign_public": centre.keys.sign_public,
    }
    text = GATEWAY_HEAD.format(name=name) + _text(name, lines)
    text += _line("server_urls", server_urls) + _line("listen", listen)
    write_secret(out, text)
    try:
        return centre.peers.add_gateway(name, x25519_public(link_secret), psk, urls, actor)
    except FeldsherError:
        out.unlink(missing_ok=True)
        raise


def _chosen(centre: Centre, names: Sequence[str]) -> list[Gateway]:
    living = [gateway for gateway in centre.peers.gateways() if not gateway.revoked]
    if not names:
        return living
    unknown = set(names) - {gateway.name for gateway in living}
    if unknown:
        raise UsageError(f"no gateway is called {', '.join(sorted(unknown))}, or it is revoked")
    return [gateway for gateway in living if gateway.name in names]


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(f"not a name: {name[:80]!r}: letters, digits, '.', '_' and '-', at most 64")


def _text(name: str, keys: dict[str, bytes]) -> str:
    lines = [f"version = {VERSION}\n", _line("name", name)]
    return "".join(lines + [_line(key, secret.hex()) for key, secret in keys.items()])


def _line(key: str, value: str | Sequence[str]) -> str:
    """Return one line of TOML: texts and lists of texts are written as in JSON."""
    return f"{key} = {json.dumps(value, ensure_ascii=True)}\n"
