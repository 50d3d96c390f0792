"""The sockets of Quectel's EC2x, EG9x and BG9x: a packet context, and one link whose data wait until we fetch them.

Quectel EC2x&EG9x&EM05 TCP/IP AT Commands Manual V1.0 (2.3, 4 and the flow chart of chapter 3), BG96 TCP/IP V1.0:

    AT+QICSGP=1,1,"apn","user","password",auth     OK
    AT+QIACT=1 (150 s)   OK                        AT+QIDEACT=1 (40 s)   OK
    AT+QIOPEN=1,0,"UDP","host",port,0,0            OK ... +QIOPEN: 0,err (0: open)
    AT+QISEND=0,n        > n bytes                 SEND OK | SEND FAIL (its buffer is full) | ERROR (the link is closed)
    AT+QISEND=0,0        +QISEND: sent,acknowledged,unacknowledged
    AT+QIRD=0,n          +QIRD: given CRLF bytes CRLF OK; nothing there: +QIRD: 0
    AT+QISTATE=1,0       +QISTATE: 0,"UDP",…,state,… (2: up)
    AT+QICLOSE=0 (10 s)  OK

Unsolicited: `+QIURC: "recv",0`, `"closed",0`, `"pdpdeact",1`; after this one only QIDEACT leads on, which `start`
always gives first. `SEND OK` says that the modem has the bytes; on TCP the counters of `QISEND=0,0` are the only proof
that any arrived: a connection on which nothing is acknowledged from one look to the next is given up, as the flow chart
has it. BG96 hangs at AT+CGACT, which is never used here (mbed-os#9749).
"""

import re
from typing import Final

from node.modems.at import Command, Pause, Script
from node.modems.faults import AtFault, CallFailed, CmeError, CommandFailed, NetworkLost
from node.modems.gsm import Plan, attempted, tried
from node.modems.simcom import number_of, size_at, with_result

SEND_SIZE_MAX: Final = 1460
SEND_SIZE_MIN: Final = 64
READ_SIZE_MAX: Final = 1500
CONTEXT_S, DEACTIVATE_S = 150.0, 40.0
CONTEXT_TRIES: Final = 3
"""The flow chart: QIACT that fails so often is for the ladder."""
OPEN_S: Final = 150.0
SEND_S: Final = 20.0
CLOSE_S: Final = 11.0
UP: Final = 2
NO_AUTHENTICATION, PAP_OR_CHAP = 0, 3
REASONS: Final = {
    550: "unknown error",
    552: "wrong parameter",
    561: "the network gives no context",
    563: "the link is in use",
    565: "the name of the far end is unknown",
    566: "nobody answers",
    567: "closed",
    570: "the network has taken the context away",
}
NETWORK_REASONS: Final = frozenset({561, 570})
_READ: Final = r"\+QIRD: ?\d"


class QuectelStack:
    """See the module's text."""

    kind = "quectel"
    urcs: tuple[str, ...] = ("+QIURC:", "+QIOPEN:", "+QIND:", "+QUSIM:", "+QNTP:", "SEND OK", "SEND FAIL")
    send_size_max = SEND_SIZE_MAX

    def __init__(self) -> None:
        self._is_stream = False
        self._size = SEND_SIZE_MAX
        self._proved: tuple[int, int] = 0, 0
        """Bytes acknowledged, and not, at the last look."""

    def start(self, plan: Plan) -> Script[None]:
        yield from self.stop()
        auth = PAP_OR_CHAP if plan.user else NO_AUTHENTICATION
        text = f'AT+QICSGP=1,1,"{plan.apn}","{plan.user}","{plan.password}",{auth}'
        yield from tried(Command(text, is_secret=True))
        for left in range(CONTEXT_TRIES, 0, -1):
            try:
                yield Command("AT+QIACT=1", timeout_s=CONTEXT_S)
            except (CommandFailed, CmeError) as fault:
                if left == 1:
                    raise NetworkLost(f"the network gives no address; is the APN right? ({fault})") from fault
                yield Pause(1.0)
            else:
                return

    def connect(self, kind: str, host: str, port: int) -> Script[None]:
        self._is_stream, self._proved, self._size = kind == "TCP", (0, 0), SEND_SIZE_MAX
        text = f'AT+QIOPEN=1,0,"{kind}","{host}",{port},0,0'
        try:
            line = yield from with_result(text, r"\+QIOPEN: ?0,", OPEN_S)
        except (CommandFailed, CmeError) as fault:
            raise CallFailed(f"no connection ({fault})") from fault
        code = number_of(line, 1)
        if code == 0:
            return
        yield from self.disconnect()  # a link that could not be opened keeps its number
        if code in NETWORK_REASONS:
            raise NetworkLost(f"no connection: {REASONS[code]}")
        raise CallFailed(f"no connection: {REASONS.get(code, line)}")

    def send(self, data: bytes) -> Script[int]:
        if self._is_stream:
            data = data[: self._size]
        text = f"AT+QISEND=0,{len(data)}"
        reply = yield Command(text, payload=data, finals=r"SEND (OK|FAIL)$", timeout_s=SEND_S)
        if reply.final == "SEND OK":
            self._size = min(2 * self._size, SEND_SIZE_MAX)
            return len(data)
        self._size = max(self._size // 2, SEND_SIZE_MIN)
        if self._is_stream:
            return 0  # its buffer has no room for so much: fewer bytes, and later
        raise CommandFailed("AT+QISEND: SEND FAIL")

    def receive(self) -> Script[bytes]:
        try:
            reply = yield Command(f"AT+QIRD=0,{READ_SIZE_MAX}", claims=_READ, raw=size_at(0))
        except (CommandFailed, CmeError) as fault:
            raise CallFailed(f"the connection has ended ({fault})") from fault
        return reply.raw

    def look(self) -> Script[bool]:
        reply = yield Command("AT+QISTATE=1,0", claims=r"\+QISTATE: ?0,", is_optional=True)
        match = re.match(r'\+QISTATE: ?0,"[^"]*","[^"]*",\d+,\d+,(\d)', reply.line)
        if match is None or int(match[1]) != UP:
            return False
        return not self._is_stream or (yield from self._is_proved())

    def _is_proved(self) -> Script[bool]:
        reply = yield Command("AT+QISEND=0,0", claims=r"\+QISEND:")
        acknowledged, missing = number_of(reply.line, 1), number_of(reply.line, 2)
        was, self._proved = self._proved, (acknowledged, missing)
        return missing == 0 or was[1] == 0 or acknowledged > was[0]

    def disconnect(self) -> Script[None]:
        yield from attempted(Command("AT+QICLOSE=0", timeout_s=CLOSE_S))

    def stop(self) -> Script[None]:
        yield from attempted(Command("AT+QIDEACT=1", timeout_s=DEACTIVATE_S))

    def has_data(self, urc: str) -> bool:
        return urc.startswith(('+QIURC: "recv",0', '+QIURC: "incoming full"'))

    def ends(self, urc: str) -> AtFault | None:
        if urc.startswith('+QIURC: "pdpdeact"'):
            return NetworkLost("the network has taken the connection away (pdpdeact)")
        return CallFailed("the far end has closed") if urc.startswith('+QIURC: "closed",0') else None


__all__ = ["READ_SIZE_MAX", "SEND_SIZE_MAX", "QuectelStack"]
