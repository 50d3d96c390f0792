"""Which code gives bearers for which scheme of an address, at the calling and at the listening end.

A road is a coroutine that opens one bearer, hands it to its shell (`node/reactor.py`), and returns when the bearer is
gone; the shell calls it again. What only some machines need (serial lines, modems) is imported when it is asked for.
Nothing of a road survives the process.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from node.seams import Bearer
from node.url import ADDRESSED, Url
from wire.errors import UsageError


class Shell(Protocol):
    """What a road sees of the shell that it serves."""

    def now(self) -> float: ...
    @property
    def works(self) -> bool:
        """The node has taken all that it was given; False once its disk has failed."""

    def up(self, bearer: Bearer) -> None: ...
    def down(self, bearer: Bearer) -> None: ...
    def receive(self, bearer: Bearer, frame: bytes) -> None: ...
    def tick(self) -> None:
        """A bearer that had no room has some again."""

    def note_error(self, error: Exception | str) -> None:
        """Keep for people why there is no bearer; "" when there is nothing to say any more."""


Calling = Callable[[Shell, Url], Awaitable[None]]
"""Returns when the bearer is gone. Raises OSError, TimeoutError or LinkDown when there is none to be had now."""
Listening = Callable[[Shell, Url], Awaitable[tuple[Url, Callable[[], None]]]]
"""Returns the address with what was left open in it filled in, and what ends the listening. Raises OSError."""

_Road = TypeVar("_Road")


def calling(scheme: str) -> Calling:
    """Return the road for a caller. Raises UsageError for a scheme that cannot be called."""
    return _find(_CALLING, scheme, "called")


def listening(scheme: str) -> Listening:
    """Return the road for a host. Raises UsageError for a scheme that cannot be listened on."""
    return _find(_LISTENING, scheme, "listened on")


def check_calling(url: Url) -> None:
    """Raise UsageError for what the road of `url` would not take, an option or a port; nothing is opened."""
    if url.scheme in ADDRESSED and not url.port:
        raise UsageError(f"{url}: nobody can be called at port 0; it is for `--listen`, where the system chooses one")
    if url.scheme in _CHECKS:
        _CHECKS[url.scheme]()(url)


def _find(roads: dict[str, Callable[[], _Road]], scheme: str, what: str) -> _Road:
    try:
        return roads[scheme]()
    except KeyError:
        raise UsageError(f"{scheme}:// cannot be {what}; want one of {', '.join(sorted(roads))}") from None


def _call_udp() -> Calling:
    from node.internet import call_udp

    return call_udp


def _call_tcp() -> Calling:
    from node.internet import call_tcp

    return call_tcp


def _listen_udp() -> Listening:
    from node.internet import listen_udp

    return listen_udp


def _listen_tcp() -> Listening:
    from node.internet import listen_tcp

    return listen_tcp


def _call_serial() -> Calling:
    from node.modems.serial_road import call_serial

    return call_serial


def _listen_serial() -> Listening:
    from node.modems.serial_road import listen_serial

    return listen_serial


def _call_modem() -> Calling:
    from node.modems.modem_road import call_modem

    return call_modem


def _call_sbd() -> Calling:
    from node.modems.sbd_road import call_sbd

    return call_sbd


def _check_serial() -> Callable[[Url], object]:
    from node.modems.serial_road import check_calling_serial

    return check_calling_serial


def _check_modem() -> Callable[[Url], object]:
    from node.modems.modem_road import check_modem

    return check_modem


def _check_sbd() -> Callable[[Url], object]:
    from node.modems.sbd_road import plan_of

    return plan_of


_CHECKS: Final[dict[str, Callable[[], Callable[[Url], object]]]] = {
    "serial": _check_serial,
    "modem": _check_modem,
    "sbd": _check_sbd,
}
_CALLING: Final[dict[str, Callable[[], Calling]]] = {
    "udp": _call_udp,
    "tcp": _call_tcp,
    "serial": _call_serial,
    "modem": _call_modem,
    "sbd": _call_sbd,
}
_LISTENING: Final[dict[str, Callable[[], Listening]]] = {
    "udp": _listen_udp,
    "tcp": _listen_tcp,
    "serial": _listen_serial,
}
