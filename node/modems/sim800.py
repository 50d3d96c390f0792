"""The sockets of SIMCom's SIM800 and SIM900 (and SIM808, SIM868): one connection, fetched by us, sent quickly.

SIM800 Series AT Command Manual V1.10, chapter 8, and SIM800 Series TCPIP Application Note:

    AT+CIPSHUT       SHUT OK            always first: no other command leads out of PDP DEACT
    AT+CIPMODE=0     OK                 not transparent
    AT+CIPMUX=0      OK                 one connection
    AT+CIPQSEND=1    OK                 CIPSEND answers DATA ACCEPT:n, without waiting for the far end
    AT+CIPRXGET=1    OK                 what comes waits until we fetch it
    AT+CSTT="apn"    OK   AT+CIICR  OK (85 s)   AT+CIFSR  10.1.2.3 (and no OK)
    AT+CIPSTART="UDP","host",port       OK ... CONNECT OK | CONNECT FAIL | ALREADY CONNECT (75 s)
    AT+CIPSEND=n     > n bytes          DATA ACCEPT:m, m <= n | SEND FAIL
    AT+CIPRXGET=2,n                     +CIPRXGET: 2,given,left CRLF bytes CRLF OK
    AT+CIPCLOSE      CLOSE OK | ERROR (it was closed)

Unsolicited: `+CIPRXGET: 1`, `CLOSED`, `+PDP: DEACT`. The manual does not say whether datagrams that wait are read as
one; a unit that does so wants tcp://. A SIM800 that browns out while it sends hangs until its supply is cut.
"""

import re
from typing import Final

from node.modems.at import Command, Script
from node.modems.faults import AtFault, CallFailed, CommandFailed, NetworkLost
from node.modems.gsm import Plan, attempted, tried
from node.modems.simcom import size_at

SEND_SIZE_MAX: Final = 1460
READ_SIZE_MAX: Final = 1460
SHUT_S, CONTEXT_S, OPEN_S = 65.0, 85.0, 75.0
SEND_S: Final = 12.0
CLOSE_S: Final = 5.0
UP_STATES: Final = ("CONNECT OK",)
_READ: Final = r"\+CIPRXGET: ?2, ?\d{1,5}, ?\d"
"""With what says how many bytes follow: half of such a line is no answer yet."""


class Sim800Stack:
    """See the module's text."""

    kind = "sim800"
    urcs: tuple[str, ...] = (
        "CLOSED",
        "+PDP:",
        "+CIPRXGET: 1",
        "STATE:",
        "CONNECT OK",
        "CONNECT FAIL",
        "ALREADY CONNECT",
        "SEND OK",
    )
    send_size_max = SEND_SIZE_MAX

    def start(self, plan: Plan) -> Script[None]:
        yield from tried(Command("AT+CIPSHUT", timeout_s=SHUT_S, finals="SHUT OK$"))
        for text in ("AT+CIPMODE=0", "AT+CIPMUX=0", "AT+CIPQSEND=1", "AT+CIPRXGET=1"):
            yield from tried(Command(text))
        words = ",".join(f'"{word}"' for word in (plan.apn, plan.user, plan.password))
        yield from tried(Command(f"AT+CSTT={words}", is_secret=True))
        try:
            yield from tried(Command("AT+CIICR", timeout_s=CONTEXT_S))
            yield from tried(Command("AT+CIFSR", finals=r"\d{1,3}(\.\d{1,3}){3}$"))
        except CommandFailed as fault:
            raise NetworkLost(f"the network gives no address; is the APN right? ({fault})") from fault

    def connect(self, kind: str, host: str, port: int) -> Script[None]:
        yield Command(f'AT+CIPSTART="{kind}","{host}",{port}')
        try:
            yield Command("", finals="CONNECT OK$", failures="CONNECT FAIL|ALREADY CONNECT", timeout_s=OPEN_S)
        except CommandFailed as fault:
            raise CallFailed(f"no connection ({fault})") from fault

    def send(self, data: bytes) -> Script[int]:
        finals, failures = r"DATA ACCEPT: ?\d+$|SEND OK$", "SEND FAIL"
        text = f"AT+CIPSEND={len(data)}"
        reply = yield Command(text, payload=data, finals=finals, failures=failures, timeout_s=SEND_S)
        taken = re.search(r"\d+$", reply.final)
        return min(int(taken[0]), len(data)) if taken else len(data)

    def receive(self) -> Script[bytes]:
        try:
            reply = yield Command(f"AT+CIPRXGET=2,{READ_SIZE_MAX}", claims=_READ, raw=size_at(1))
        except CommandFailed as fault:
            raise CallFailed(f"the connection has ended ({fault})") from fault
        return reply.raw

    def look(self) -> Script[bool]:
        yield Command("AT+CIPSTATUS")
        reply = yield Command("", finals="STATE: ", timeout_s=5.0)
        return reply.final.partition(": ")[2].strip() in UP_STATES

    def disconnect(self) -> Script[None]:
        yield from attempted(Command("AT+CIPCLOSE=1", finals="CLOSE OK$", timeout_s=CLOSE_S))

    def stop(self) -> Script[None]:
        yield from attempted(Command("AT+CIPSHUT", finals="SHUT OK$", timeout_s=CLOSE_S))

    def has_data(self, urc: str) -> bool:
        return urc.startswith("+CIPRXGET: 1")

    def ends(self, urc: str) -> AtFault | None:
        if urc.startswith("+PDP: DEACT"):
            return NetworkLost("the network has taken the connection away (+PDP: DEACT)")
        return CallFailed("the far end has closed") if urc == "CLOSED" else None


__all__ = ["READ_SIZE_MAX", "SEND_SIZE_MAX", "Sim800Stack"]
