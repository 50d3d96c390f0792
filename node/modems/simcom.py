"""The sockets of SIMCom's SIM7500, SIM7600 and A76xx: the network is opened, then one link; results follow their OK.

SIM7500_SIM7600 Series TCPIP Application Note V3.00 and AT Command Manual V1.08 (A76xx Series V1.07 agrees in these):

    AT+NETOPEN           OK ... +NETOPEN: 0        already open: +IP ERROR: Network is already opened, ERROR
    AT+CIPRXGET=1        OK                        what comes waits until we fetch it
    AT+CIPOPEN=0,"TCP","host",port                 OK ... +CIPOPEN: 0,err (0: open)
    AT+CIPOPEN=0,"UDP",,,port                      the same; each send then names the far end
    AT+CIPSEND=0,n[,"host",port]    > n bytes      OK ... +CIPSEND: 0,asked,accepted (-1: the link is closed)
    AT+CIPRXGET=2,0,n    +CIPRXGET: 2,0,given,left CRLF bytes CRLF OK; nothing there: +IP ERROR: No data, ERROR
    AT+CIPCLOSE?         +CIPCLOSE: 1,0,0,0,0,0,0,0,0,0
    AT+CIPCLOSE=0        OK ... +CIPCLOSE: 0,0; not open: +CIPCLOSE: 0,4, ERROR
    AT+NETCLOSE          OK ... +NETCLOSE: 0; not open: +NETCLOSE: 2, ERROR

Unsolicited: `+CIPRXGET: 1,0`, `+IPCLOSE: 0,reason`, `+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY`; after this one only
NETCLOSE leads on, which `start` always gives first. Who goes on at the OK fails (TinyGSM#189); an OK may come late too.
"""

import re
from collections.abc import Callable
from typing import Final

from node.modems.at import Command, Script
from node.modems.faults import AtFault, CallFailed, CmeError, CommandFailed, NetworkLost
from node.modems.gsm import Plan, attempted, tried

SEND_SIZE_MAX: Final = 1500
READ_SIZE_MAX: Final = 1500
OPEN_S: Final = 75.0
NETWORK_S: Final = 120.0
SEND_S: Final = 20.0
CLOSE_S: Final = 10.0
LOCAL_PORT: Final = 50_000
SETTINGS: Final = (
    "AT+CIPMODE=0",
    "AT+CIPSENDMODE=0",
    "AT+CIPCCFG=10,0,0,0,1,0,75000",
    "AT+CIPTIMEOUT=75000,15000,15000",
)
"""Command mode; `+CIPSEND` when the bytes are taken, not when they have arrived; the shortest time-outs there are."""
REASONS: Final = {
    1: "the network fails",
    2: "the network is not open",
    3: "wrong parameter",
    4: "the link is in use",
    10: "nobody answers",
    11: "the name of the far end is unknown",
}
NETWORK_REASONS: Final = frozenset({1, 2})
"""Numbers of `+CIPOPEN: 0,err` that no other far end would change."""
_READ: Final = r"\+CIPRXGET: ?2,0, ?\d{1,5}, ?\d"
"""With what says how many bytes follow: half of such a line is no answer yet."""


def with_result(text: str, prefix: str, timeout_s: float, payload: bytes | None = None) -> Script[str]:
    """Give a command whose result is a line `prefix` of its own, most often after the OK, and return that line.

    Raises CommandFailed when it is refused at once.
    """
    reply = yield Command(text, claims=prefix, is_optional=True, timeout_s=timeout_s, payload=payload)
    if not reply.line:
        reply = yield Command("", finals=prefix, timeout_s=timeout_s)
    return reply.line or reply.final


def number_of(line: str, at: int) -> int:
    """Return number `at` behind the colon of `+NAME: 0,15,-1`, -1 when it is missing."""
    words = re.findall(r"-?\d{1,9}", line.partition(":")[2])
    return int(words[at]) if at < len(words) else -1


def size_at(at: int) -> Callable[[str], int]:
    """Return what reads from the line of an answer how many bytes follow it: its number `at`."""
    return lambda line: max(number_of(line, at), 0)


class SimcomStack:
    """See the module's text."""

    kind = "simcom"
    urcs: tuple[str, ...] = (
        "+CIPRXGET: 1",
        "+IPCLOSE:",
        "+CIPEVENT:",
        "+NETOPEN:",
        "+NETCLOSE:",
        "+CIPOPEN:",
        "+CIPSEND:",
        "+CIPCLOSE:",
        "+CIPERROR:",
        "+IP ERROR:",
    )
    send_size_max = SEND_SIZE_MAX

    def __init__(self) -> None:
        self._far = ""

    def start(self, plan: Plan) -> Script[None]:
        yield from self.stop()
        yield from tried(Command(f'AT+CGDCONT=1,"IP","{plan.apn}"'))
        if plan.user:
            yield from attempted(Command(f'AT+CGAUTH=1,1,"{plan.password}","{plan.user}"', is_secret=True))
        for text in SETTINGS:
            yield from attempted(Command(text))
        try:
            line = yield from with_result("AT+NETOPEN", r"\+NETOPEN: ?\d", NETWORK_S)
        except CommandFailed as fault:
            raise NetworkLost(f"the network cannot be opened ({fault})") from fault
        if number_of(line, 0) != 0:
            raise NetworkLost(f"the network gives no address; is the APN right? ({line})")
        yield from tried(Command("AT+CIPRXGET=1"))

    def connect(self, kind: str, host: str, port: int) -> Script[None]:
        self._far = f',"{host}",{port}' if kind == "UDP" else ""
        what = f",,{LOCAL_PORT}" if kind == "UDP" else f'"{host}",{port}'
        try:
            line = yield from with_result(f'AT+CIPOPEN=0,"{kind}",{what}', r"\+CIPOPEN: ?0,", OPEN_S)
        except CommandFailed as fault:
            raise CallFailed(f"no connection ({fault})") from fault
        code = number_of(line, 1)
        if code in NETWORK_REASONS:
            raise NetworkLost(f"no connection: {REASONS[code]}")
        if code != 0:
            raise CallFailed(f"no connection: {REASONS.get(code, line)}")

    def send(self, data: bytes) -> Script[int]:
        line = yield from with_result(f"AT+CIPSEND=0,{len(data)}{self._far}", r"\+CIPSEND: ?0,", SEND_S, data)
        taken = number_of(line, 2)
        if taken < 0:
            raise CallFailed("the connection has ended (+CIPSEND: -1)")
        return min(taken, len(data))

    def receive(self) -> Script[bytes]:
        try:
            reply = yield Command(f"AT+CIPRXGET=2,0,{READ_SIZE_MAX}", claims=_READ, raw=size_at(2))
        except (CommandFailed, CmeError):
            return b""  # nothing waits; a link that has ended shows itself otherwise
        return reply.raw

    def look(self) -> Script[bool]:
        reply = yield Command("AT+CIPCLOSE?", claims=r"\+CIPCLOSE:")
        return number_of(reply.line, 0) == 1

    def disconnect(self) -> Script[None]:
        yield from _ended("AT+CIPCLOSE=0", r"\+CIPCLOSE: ?0,")

    def stop(self) -> Script[None]:
        yield from _ended("AT+NETCLOSE", r"\+NETCLOSE:")

    def has_data(self, urc: str) -> bool:
        return urc.startswith("+CIPRXGET: 1")

    def ends(self, urc: str) -> AtFault | None:
        if urc.startswith("+CIPEVENT: NETWORK CLOSED"):
            return NetworkLost("the network has taken the connection away (+CIPEVENT)")
        return CallFailed("the far end has closed (+IPCLOSE)") if urc.startswith("+IPCLOSE: 0,") else None


def _ended(text: str, prefix: str) -> Script[None]:
    """End what may have ended already: then it is refused."""
    try:
        yield from with_result(text, prefix, CLOSE_S)
    except (CommandFailed, CmeError):
        return


__all__ = ["READ_SIZE_MAX", "SEND_SIZE_MAX", "SimcomStack", "number_of", "size_at", "with_result"]
