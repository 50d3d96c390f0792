"""What each way needs of this machine: for `kit selftest`, before the van drives off. Nothing is sent, and no supply is
switched.

A device is opened for us alone and closed again; an interface, the programs that make and end its connection, the pins
of `power=`, the place of a stick are looked for. A gateway is not called: where a kit is tested, there is often no
network. What is missing is raised as a DeviceError that says what to do.
"""

import shlex
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from edge.config import KitConfig, Way, filled
from edge.interface import SYSTEM
from edge.modem_power import check_pins
from node.serial_line import try_line
from node.url import PLACED, Url, parse_url
from wire.errors import ConfigError, DeviceError, FeldsherError

LINES: Final = frozenset({"serial", "modem", "sbd"})
BAUD: Final = 9600

Check = tuple[str, Callable[[], None]]
"""What is looked at, and what raises a FeldsherError when it is not well."""


def way_checks(config: KitConfig, secrets: Mapping[str, str], gateways: Collection[str]) -> Iterator[Check]:
    """Yield one check for each way. `gateways`: whom the kit is enrolled with."""
    for way in config.way:
        url = parse_url(filled(way.url, secrets)) if way.url else None
        place = way.interface or (url.path or f"{url.scheme}://{url.host}:{url.port}" if url else "as enrolled")
        yield f"way {way.name} ({place})", lambda way=way, url=url: _check(way, url, gateways)  # type: ignore[misc]  # mypy does not infer a lambda with defaults


def _check(way: Way, url: Url | None, gateways: Collection[str]) -> None:
    """Raise one DeviceError with everything that is wrong."""
    if way.gateway and way.gateway not in gateways:
        raise ConfigError(f"gateway {way.gateway!r} is not in the enrolment; there are: {', '.join(sorted(gateways))}")
    found = [str(error) for test in _tests(way, url) if (error := _fault(test)) is not None]
    if found:
        prefix = f"{url.path}: " if url is not None and url.path else ""
        raise DeviceError("; ".join(text.removeprefix(prefix) for text in found))


def _fault(test: Callable[[], None]) -> FeldsherError | None:
    try:
        test()
    except FeldsherError as error:
        return error
    return None


def _tests(way: Way, url: Url | None) -> Iterator[Callable[[], None]]:
    if url is not None and url.scheme == "dir":
        yield lambda: check_place(Path(url.path))
    elif url is not None and url.scheme in LINES | PLACED:
        if url.options.get("power"):
            yield check_pins
        yield lambda: try_line(url.path, int(url.options.get("baud", BAUD)))
    if way.interface and not way.up:
        yield lambda: _check_interface(way.interface)
    for key, words in (("up", way.up), ("down", way.down)):
        if words:
            yield lambda key=key, words=words: _check_program(key, words)  # type: ignore[misc]  # as above


def check_place(place: Path) -> None:
    """A stick need not be in; the folder where sticks appear must be there."""
    if place.exists() and not place.is_dir():
        raise DeviceError(f"{place}: is no folder; want the one where a stick appears, for example /media/stick")
    if not place.parent.is_dir():
        raise DeviceError(f"{place}: {place.parent} is missing; make it, or name the folder where sticks appear")


def _check_interface(name: str) -> None:
    if not (SYSTEM / name).exists():
        there = ", ".join(sorted(one.name for one in SYSTEM.glob("*")))
        raise DeviceError(f"there is no interface {name}; there are: {there}. Is its modem plugged in?")


def _check_program(key: str, words: str) -> None:
    program = shlex.split(words)[0] if words.strip() else ""
    if not program or shutil.which(program) is None:
        raise DeviceError(f"{key}: there is no program {program!r}; install it, or write its whole path")


__all__ = ["Check", "way_checks"]
