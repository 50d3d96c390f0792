"""A Quectel EC2x, and a BG96 with its own manners: a context, twelve links, buffer, push and transparent access.

Quectel EC2x&EG9x&EM05 TCP/IP AT Commands Manual V1.0 (chapters 2.3 and 4: result codes), BG96 TCP/IP AT Commands Manual
V1.0. `SEND OK` says only that the bytes were taken; `AT+QISEND=<link>,0` tells what the far end has acknowledged.
`STEPS` is the life of the context; a pair that is not there is answered ERROR.

    INACTIVE ── QIACT ──► ACTIVE ── the network ──► BROKEN
        ▲                   │ QIDEACT                 │ QIDEACT
        └───────────────────┴─────────────────────────┘
"""

from collections.abc import Mapping
from typing import ClassVar, Final

from hardware.simulated.modems.answers import ERROR, Answer, Ask, Online, Outcome, Pending, Refuse
from hardware.simulated.modems.commands import Kind, Request
from hardware.simulated.modems.inet import Inet, Link, port_of
from hardware.simulated.modems.machine import Mode

LINKS: Final = 12
SEND_SIZE: Final = 1_460
ACTIVATION_S: Final = 1.8
DEACTIVATION_S: Final = 0.8
CLOSE_S: Final = 0.4
POWER_DOWN_S: Final = 4.0
CONTEXT: Final = 1
INACTIVE, ACTIVE, BROKEN = "inactive", "active", "broken"
STEPS: Final[Mapping[tuple[str, str], str]] = {
    (INACTIVE, "+QIACT"): ACTIVE,
    (INACTIVE, "+QIDEACT"): INACTIVE,
    (ACTIVE, "+QIDEACT"): INACTIVE,
    (BROKEN, "+QIDEACT"): INACTIVE,
    (ACTIVE, "lost"): BROKEN,
    (INACTIVE, "lost"): INACTIVE,
    (BROKEN, "lost"): BROKEN,
}
BUFFER, PUSH, TRANSPARENT = 0, 1, 2
LINK_STATES: Final[Mapping[str, int]] = {"opening": 1, "up": 2, "closed": 4}
ERRORS: Final[Mapping[int, str]] = {
    0: "operate successfully",
    550: "unknown error",
    552: "invalid parameters",
    561: "open PDP context failed",
    563: "socket identity has been used",
    565: "DNS parse failed",
    566: "socket connect failed",
    567: "socket has been closed",
    569: "operation timeout",
    570: "PDP context broken down",
}


class Quectel(Inet):
    """An EC25."""

    MAKER: ClassVar[str] = "Quectel"
    MODEL: ClassVar[str] = "EC25"
    FIRMWARE: ClassVar[str] = "EC25EFAR06A01M4G"
    IMEI: ClassVar[str] = "861107030000019"
    BOOT_S: ClassVar[float] = 6.0
    BANNER: ClassVar[tuple[tuple[float, bytes], ...]] = ((0.0, b"RDY"), (0.3, b"APP RDY"), (0.5, b"+CFUN: 1"))
    SOME_URC: ClassVar[bytes] = b'+QIND: "csq",17,99'

    def fall_silent(self, now: float) -> None:
        super().fall_silent(now)
        self.context = INACTIVE
        self._modes: dict[int, int] = {}
        self._error = 0
        self._online: int | None = None

    def _add_cellular(self) -> None:
        super()._add_cellular()
        self.commands |= {
            "+QICSGP": self._qicsgp,
            "+QIACT": self._qiact,
            "+QIDEACT": self._qideact,
            "+QIOPEN": self._qiopen,
            "+QISEND": self._qisend,
            "+QIRD": self._qird,
            "+QICLOSE": self._qiclose,
            "+QISTATE": self._qistate,
            "+QISWTMD": self._qiswtmd,
            "+QIGETERROR": lambda _r, _n: Answer(
                (b"+QIGETERROR: %d,%b" % (self._error, ERRORS[self._error].encode()),)
            ),
            "+QPOWD": lambda _r, _n: Answer(then=self._power_down),
            "+QCCID": self._qccid,
            "+QPINC": self._qpinc,
            "+QCFG": lambda _r, _n: Answer(),
            "+QURCCFG": lambda _r, _n: Answer(),
        }

    def _i(self, request: Request, now: float) -> Outcome:
        return Answer((self.MAKER.encode(), self.MODEL.encode(), b"Revision: " + self.FIRMWARE.encode()))

    def _firmware(self) -> bytes:
        return self.FIRMWARE.encode()

    def _step(self, event: str) -> bool:
        after = STEPS.get((self.context, event))
        if after is not None:
            self.context = after
        return after is not None

    def _fail(self, code: int) -> Answer:
        self._error = code
        return Answer(final=ERROR)

    # Facts

    def link_has_data(self, link: Link, now: float) -> None:
        if self._online == link.number and self.mode is Mode.ONLINE:
            self.say(link.take(link.waiting), now)
            link.is_told = False
        elif self._modes.get(link.number) == PUSH:
            while link.waiting:
                data = link.take(SEND_SIZE)
                self.say(b'\r\n+QIURC: "recv",%d,%d\r\n%b\r\n' % (link.number, len(data), data), now)
            link.is_told = False
        else:
            self.urc(b'+QIURC: "recv",%d' % link.number, now)

    def link_closed(self, link: Link, now: float) -> None:
        if self._online == link.number and self.mode is Mode.ONLINE:
            self._online = None
            self.offline(now)
        else:
            self.urc(b'+QIURC: "closed",%d' % link.number, now)

    def pdp_lost(self, now: float) -> None:
        was_active = self.context == ACTIVE
        self._step("lost")
        self._online = None
        self.offline(now)
        if was_active:
            self.urc(b'+QIURC: "pdpdeact",%d' % CONTEXT, now)

    def has_call(self) -> bool:
        return self._online is not None and self._online in self.links

    def connect_text(self) -> bytes:
        return b"CONNECT"

    def online_room(self, now: float) -> int:
        return self.room_of(self.links.get(self._online if self._online is not None else -1))

    def send_online(self, data: bytes, now: float) -> None:
        link = self.links.get(self._online if self._online is not None else -1)
        if link is not None and link.state == "up":
            self.transmit(link, data, now)

    def hang_up(self, now: float) -> None:
        if self._online is not None:
            self._drop(self._online, now)

    # The context

    def _qicsgp(self, request: Request, now: float) -> Outcome:
        if request.number(0) != CONTEXT:
            return self._fail(552)
        if request.kind is Kind.SET and len(request.arguments) == 1:
            apn = self.contexts.get(CONTEXT, ("IP", ""))[1]
            return Answer((f'+QICSGP: 1,"{apn}","","",0'.encode("latin-1"),))
        self.contexts[CONTEXT] = ("IP", request.argument(2))
        return Answer()

    def _qiact(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            row = b'+QIACT: %d,1,1,"%b"' % (CONTEXT, self.address)
            return Answer((row,) if self.context == ACTIVE else ())
        if request.number(0) != CONTEXT or (self.context, "+QIACT") not in STEPS:
            return self._fail(552)
        self.later(ACTIVATION_S, self._activated, now)
        return Pending()

    def _activated(self, now: float) -> None:
        good = self.is_attached and self._step("+QIACT")
        self.complete(Answer() if good else self._fail(561), now)

    def _qideact(self, request: Request, now: float) -> Outcome:
        if request.number(0) != CONTEXT or not self._step("+QIDEACT"):
            return self._fail(552)
        for number in list(self.links):
            self._drop(number, now)
        return Answer(after_s=DEACTIVATION_S)

    # Connections

    def _drop(self, number: int, now: float) -> None:
        link = self.links.pop(number, None)
        if link is not None:
            link.socket.close(now)
        if self._online == number:
            self._online = None

    def _qiopen(self, request: Request, now: float) -> Outcome:
        number, kind, port = request.number(1), request.argument(2).upper(), port_of(request.argument(4))
        mode = request.number(6, 0)
        if (
            request.number(0) != CONTEXT
            or not 0 <= number < LINKS
            or kind not in {"TCP", "UDP"}
            or not port
            or mode not in {BUFFER, PUSH, TRANSPARENT}
        ):
            return self._fail(552)
        code = 563 if number in self.links else {ACTIVE: 0, INACTIVE: 561, BROKEN: 570}[self.context]
        if code:
            return self._not_opened(number, code, mode)
        link = self.open_link(number, kind, request.argument(3), port, now)
        self._modes[number] = mode
        if mode == TRANSPARENT:
            self.when_open(link, self._opened_transparent, now)
            return Pending()
        return Answer(then=lambda at: self.when_open(link, self._opened, at))

    def _not_opened(self, number: int, code: int, mode: int) -> Answer:
        self._error = code
        if mode == TRANSPARENT:
            return Answer(final=ERROR)
        return Answer(then=lambda at: self.urc(b"+QIOPEN: %d,%d" % (number, code), at))

    def _code(self, link: Link, *, is_open: bool) -> int:
        self._error = 0 if is_open else 565 if "host" in link.socket.error else 566
        return self._error

    def _opened(self, link: Link, is_open: bool, now: float) -> None:
        self.urc(b"+QIOPEN: %d,%d" % (link.number, self._code(link, is_open=is_open)), now)

    def _opened_transparent(self, link: Link, is_open: bool, now: float) -> None:
        self._code(link, is_open=is_open)
        self._online = link.number if is_open else None
        self.complete(Online() if is_open else Answer(final=ERROR), now)

    def _qiswtmd(self, request: Request, now: float) -> Outcome:
        number, mode = request.number(0), request.number(1)
        link = self.links.get(number)
        if link is None or link.state != "up" or mode not in {BUFFER, PUSH, TRANSPARENT}:
            return self._fail(552)
        self._modes[number] = mode
        if mode != TRANSPARENT:
            return Answer()
        self._online, link.is_told = number, False
        return Online()

    def _qisend(self, request: Request, now: float) -> Outcome:
        link = self.links.get(request.number(0))
        if link is None or self._modes.get(link.number) == TRANSPARENT:
            return self._fail(552)
        size = request.number(1)
        if size == 0:
            acked = link.sent - link.unacknowledged
            return Answer((b"+QISEND: %d,%d,%d" % (link.sent, acked, link.unacknowledged),))
        if link.state != "up":
            return self._fail(567)
        if not request.argument(1):
            return Ask(self.prompt(), lambda data, at: self._send(link, data, at), ends=b"\x1a", escapes=True)
        if not 0 < size <= SEND_SIZE:
            return self._fail(552)
        return Ask(self.prompt(), lambda data, at: self._send(link, data, at), size=size)

    def _send(self, link: Link, data: bytes, now: float) -> Outcome:
        if link.state != "up":
            return self._fail(567)
        if self.acceptable(link, len(data)) < len(data):
            return Answer(final=b"SEND FAIL")
        outcome = self.transmit(link, data, now)
        return Answer(final={"ok": b"SEND OK", "fail": b"SEND FAIL", "gone": ERROR}[outcome], after_s=0.05)

    def _qird(self, request: Request, now: float) -> Outcome:
        link = self.links.get(request.number(0))
        if link is None or self._modes.get(link.number) != BUFFER:
            return self._fail(552)
        size = request.number(1, 1_500)
        if size == 0:
            return Answer((b"+QIRD: %d,%d,%d" % (link.received, link.read, link.waiting),))
        data = link.take(min(max(size, 1), 1_500))
        link.is_told = bool(link.waiting)
        return Answer((b"+QIRD: %d" % len(data),), raw=data or None)

    def _qiclose(self, request: Request, now: float) -> Outcome:
        if not 0 <= request.number(0) < LINKS:
            return self._fail(552)
        self._drop(request.number(0), now)
        return Answer(after_s=CLOSE_S)

    def _qistate(self, request: Request, now: float) -> Outcome:
        wanted = [request.number(1)] if request.number(0) == 1 else sorted(self.links)
        return Answer(tuple(self._row(self.links[number]) for number in wanted if number in self.links))

    def _row(self, link: Link) -> bytes:
        host, port = link.socket.peer
        tail = f"0,{LINK_STATES[link.state]},{CONTEXT},{link.number},{self._modes[link.number]}"
        return f'+QISTATE: {link.number},"{link.kind}","{host}",{port},{tail},"uart1"'.encode("latin-1")

    # The rest

    def _power_down(self, now: float) -> None:
        self.later(POWER_DOWN_S, lambda at: self.urc(b"POWERED DOWN", at), now)
        self.later(POWER_DOWN_S + 0.5, self.switch_off, now)

    def _qccid(self, request: Request, now: float) -> Outcome:
        if not self.card.is_there:
            raise Refuse(10)
        return Answer((b"+QCCID: " + self.card.iccid.encode(),))

    def _qpinc(self, request: Request, now: float) -> Outcome:
        return Answer((b'+QPINC: "SC",%d,%d' % (self.card.tries, self.card.puk_tries),))


class Bg96(Quectel):
    """A BG96: its clock is UTC, and AT+CGACT makes it hang (mbed-os#9749)."""

    MODEL: ClassVar[str] = "BG96"
    FIRMWARE: ClassVar[str] = "BG96MAR02A07M1G"
    CLOCK_IS_UTC: ClassVar[bool] = True

    def _cgact(self, request: Request, now: float) -> Outcome:
        self.hang(now)
        return Pending()
