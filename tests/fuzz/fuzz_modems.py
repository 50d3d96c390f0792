"""Invariant: whatever a modem's line says, and whenever, a driver raises nothing, does not spin, says a bounded amount,
tells its ears of bearers in pairs, and ends when it is told to hang up.

The first byte chooses the driver. Each further one says what happens next: the modem answers rightly, or
with one of many words of modems, or says a word unasked, or raw bytes, or time passes; the carrier falls or rises, the
line is pulled out, the way is closed and opened, the link sends or gives its bearer up.
`sh tests/fuzz/run.sh 60 fuzz_modems`, or `python -m tests.fuzz.fuzz_modems`.
"""

import random

from node.modems.call import PROFILES, CallPlan, DataCall
from node.modems.gsm import Plan
from node.modems.script import NoControls
from node.modems.scripted import Hands
from node.modems.seam import ModemState
from node.modems.sockets import SocketModem
from node.modems.stacks import stack_of
from node.url import Url
from tests.fuzz.driver import drive
from wire.framing import enclose

TEXTS = """OK|ERROR|+CME ERROR: 3|+CME ERROR: 14|+CME ERROR: |RING|NO CARRIER|BUSY|NO ANSWER|CONNECT 9600/RLP|CONNECT|
+CREG: 0,1|+CREG: 1|+CEREG: 2,5|+CPIN: SIM PUK|+CPIN: READY|+CFUN: 1|EC25|+NETOPEN: 0|+NETOPEN: 1|+CIPOPEN: 0,0|
+CIPOPEN: 0,4|+CIPOPEN:|+CIPSEND: 0,5,-1|+CIPSEND: 0,5|+CIPRXGET: 1,0|+CIPRXGET: 2,0,3,0|+CIPRXGET: 2,0,,|
+IPCLOSE: 0,1|+NETCLOSE: 2|
+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY|+QIOPEN: 0,0|+QIOPEN: 0,566|+QIOPEN: 0|SEND OK|SEND FAIL|+QIRD: 3|+QIRD: 99999|
+QIRD: |+QISEND: 9,1,8|+QISEND: |+QISTATE: 0,"TCP","h",1,0,2,1,0,0,"uart1"|+QISTATE: 0,|+QIURC: "recv",0|
+QIURC: "closed",0|+QIURC: "pdpdeact",1|+QIURC: |RDY|APP RDY|
NORMAL POWER DOWN|+CIPCLOSE: 0,0,0|+CIPCLOSE: 0,4|CLOSED|+PDP: DEACT|+CIPRXGET: 1|+CIPRXGET: 2,3,0|+CIPRXGET: 2,|
STATE: IP START|CONNECT FAIL|DATA ACCEPT:3|DATA ACCEPT:|Call Ready|+CPIN: NOT READY""".replace("\n", "")
WORDS = [b"\r\n> ", b"+++", b"\0" + enclose(bytes(40)), *(b"\r\n%b\r\n" % text.encode() for text in TEXTS.split("|"))]
OK = b"\r\nOK\r\n"
RIGHT = {
    b"AT+CGMM": b"\r\nEC25\r\n" + OK,
    b"AT+CFUN?": b"\r\n+CFUN: 1\r\n" + OK,
    b"AT+CPIN?": b"\r\n+CPIN: READY\r\n" + OK,
    b"AT+CREG?": b"\r\n+CREG: 0,1\r\n" + OK,
    b"AT+CEREG?": b"\r\n+CEREG: 0,1\r\n" + OK,
    b"AT+CGREG?": b"\r\n+CGREG: 0,1\r\n" + OK,
    b"ATD": b"\r\n+CR: REL ASYNC\r\n\r\nCONNECT 9600/RLP\r\n",
    b"ATA": b"\r\nCONNECT 9600\r\n",
    b"AT+NETOPEN": OK + b"\r\n+NETOPEN: 0\r\n",
    b"AT+NETCLOSE": OK + b"\r\n+NETCLOSE: 0\r\n",
    b"AT+CIPOPEN": OK + b"\r\n+CIPOPEN: 0,0\r\n",
    b"AT+CIPCLOSE?": b"\r\n+CIPCLOSE: 1,0,0\r\n" + OK,
    b"AT+CIPRXGET=2": b"\r\n+CIPRXGET: 2,0,5,0\r\n\0\3abc\r\n" + OK,
    b"AT+CIPSEND=": b"\r\n> ",
    b"AT+QIOPEN": OK + b"\r\n+QIOPEN: 0,0\r\n",
    b"AT+QISEND=0,0": b"\r\n+QISEND: 9,9,0\r\n" + OK,
    b"AT+QISEND": b"\r\n> ",
    b"AT+QISTATE": b'\r\n+QISTATE: 0,"TCP","h",1,0,2,1,0,0,"uart1"\r\n' + OK,
    b"AT+QIRD": b"\r\n+QIRD: 5\r\n\0\3abc\r\n" + OK,
}
"""The longest key that fits says what is right; else OK. What follows a prompt gets TAKEN."""
SIM800 = {
    **RIGHT,
    b"AT+CGMM": b"\r\nSIMCOM_SIM800L\r\n" + OK,
    b"AT+CIPSHUT": b"\r\nSHUT OK\r\n",
    b"AT+CIFSR": b"\r\n10.1.2.3\r\n",
    b"AT+CIPSTART": OK + b"\r\nCONNECT OK\r\n",
    b"AT+CIPRXGET=2": b"\r\n+CIPRXGET: 2,5,0\r\n\0\3abc\r\n" + OK,
    b"AT+CIPSTATUS": OK + b"\r\nSTATE: CONNECT OK\r\n",
    b"AT+CIPCLOSE": b"\r\nCLOSE OK\r\n",
}
TAKEN = OK + b"\r\n+CIPSEND: 0,47,47\r\n\r\nSEND OK\r\n\r\nDATA ACCEPT:47\r\n"
TIMES = (0.001, 0.1, 0.5, 1.2, 5.0, 30.0, 120.0)
OUTPUT_MAX = 1 << 20
ANSWERED, SPOKEN, TIMED, RAW = 128, 192, 240, 250
"""Codes below each of these: a right answer (the last 32 of them a wrong one), a word unasked, time, raw bytes."""
RISES, FALLS, PULLED, REOPENED, SENT, GIVEN_UP = range(RAW, 256)
KINDS = 10
RING, NO_CARRIER = (
    next(code for code in range(ANSWERED, SPOKEN) if word in WORDS[code % len(WORDS)])
    for word in (b"RING", b"NO CARRIER")
)
SEEDS = [
    bytes((kind, *order * 8))
    for kind in range(KINDS)
    for order in (
        (*range(12),),
        (1, 1, 1, 160, 2, 200),
        (5,) * 9,
        (1, 195),
        (*(1,) * 24, RING, 1, 200),
        (*(1,) * 30, SENT, RISES, 192, FALLS, 192, NO_CARRIER, 198, 192),
    )
]


class Ears:
    """Counts bearers, and says something on each."""

    def __init__(self) -> None:
        self.bearer, self.ups = None, 0

    def bearer_up(self, bearer, now):
        self.ups += 1
        assert self.bearer is None, "a second bearer"
        self.bearer = bearer
        bearer.send(b"hello" * 9)

    def bearer_down(self, bearer, now):
        assert self.bearer is bearer, "another bearer goes down"
        self.bearer = None

    def receive(self, bearer, frame, now):
        assert self.bearer is bearer, "a frame of a bearer that is down"
        bearer.send(frame[: bearer.mtu])

    def tick(self, now): ...


class Line(NoControls):
    """Controls of a line with a carrier to be seen."""

    carrier: bool | None = None

    def has_carrier(self):
        return self.carrier


def make(kind: int, ears: Ears, line: Line):
    hands = Hands(random.Random(kind).randbytes, line)
    if kind < 4:
        profile = PROFILES[("csd", "pstn", "rudics", "csd")[kind]]
        return DataCall(ears, CallPlan(profile, "" if kind == 3 else "200", profile.service), hands, "call")
    to = Url(("udp", "tcp")[kind % 2], "192.0.2.1", 7000)
    return SocketModem(
        ears, Plan(apn="x"), hands, to, stack_of(("quectel", "simcom", "sim800")[kind // 2 - 2]), "modem"
    )


class Course:
    """One driver, the time, and what it was told last."""

    def __init__(self, kind: int) -> None:
        self.now, self.ears, self.said, self.last = 0.0, Ears(), 0, b""
        self.line = Line()
        self.driver = make(kind, self.ears, self.line)
        self.answers = SIM800 if kind >= 8 else RIGHT
        self.driver.open(0.0)
        self.listen()

    def listen(self) -> None:
        text = self.driver.output()
        self.said += len(text)
        self.last = text or self.last

    def feed(self, text: bytes) -> None:
        self.last = b""
        self.driver.feed(text, self.now)
        self.listen()

    def right(self) -> bytes:
        if not self.last.lstrip(b"\r\x1b").startswith(b"AT"):
            return TAKEN
        told = self.last.lstrip(b"\r\x1b")
        keys = [key for key in self.answers if told.startswith(key)]
        return self.answers[max(keys, key=len)] if keys else OK

    def pass_time(self, seconds: float, *, until_told: bool = False) -> None:
        end = self.now + seconds
        for _ in range(20_000):
            self.listen()
            at = self.driver.deadline()
            if at is None or at > end or (until_told and self.last):
                self.now = end if not self.last else self.now
                return
            self.now = max(self.now, at)
            self.driver.tick(self.now)
        raise AssertionError("it spins")

    def step(self, code: int) -> None:
        if code < ANSWERED:
            self.pass_time(200.0, until_told=True)
            self.feed(self.right() if code < ANSWERED - 32 else WORDS[code % len(WORDS)])
        elif code < SPOKEN:
            self.feed(WORDS[code % len(WORDS)])
        elif code < TIMED:
            self.pass_time(TIMES[code % len(TIMES)])
        elif code < RAW:
            self.feed(bytes((code, code * 7 % 256)))
        else:
            self.happen(code)
            self.listen()

    def happen(self, code: int) -> None:
        bearer = self.ears.bearer
        if code in (RISES, FALLS):
            self.line.carrier = code == RISES
        elif code == PULLED:
            self.driver.lost(self.now)
            self.driver.missing(self.now)
            self.driver.open(self.now)
        elif code == REOPENED:
            self.driver.hang_up(self.now)
            self.pass_time(self.now % 7)
            self.driver.open(self.now)
        elif bearer is not None and code == SENT:
            bearer.send(bytes(bearer.mtu))
        elif bearer is not None:
            bearer.close()


def check(data: bytes) -> None:
    """Raise AssertionError when the invariant does not hold."""
    if not data:
        return
    course = Course(data[0] % KINDS)
    for code in data[1:200]:
        course.step(code)
    assert course.said < OUTPUT_MAX
    course.driver.hang_up(course.now)
    course.pass_time(120.0)
    assert course.driver.status().state is ModemState.OFF
    assert course.ears.bearer is None


if __name__ == "__main__":
    drive(check, SEEDS)
