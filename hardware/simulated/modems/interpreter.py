"""The interpreter of V.250 command lines that every simulated modem has: echo, profile, result codes, prompts, escape.

    COMMAND ── line with AT ──► RUNNING ── result code ──► COMMAND
                                  ├── prompt ──► COLLECTING ── counted bytes, end mark, timeout ──► RUNNING
                                  └── CONNECT ──► ONLINE ── guard time +++ guard time, far end, DTR ──► COMMAND

A modem adds its commands to `commands`. Bytes that come while a command runs wait, or break it off where V.250 5.6.1
allows that (dialling). In COLLECTING nothing is echoed. `FLOW` is the table of all this; another step is a defect.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final

from hardware.simulated.modems.answers import (
    CME_TEXTS,
    ERROR,
    NUMERIC,
    OK,
    Answer,
    Ask,
    Handler,
    Online,
    Outcome,
    Pending,
    Refuse,
)
from hardware.simulated.modems.commands import Kind, NoCommand, Request, parse
from hardware.simulated.modems.machine import CRLF, DEAF, Machine, Mode
from wire.errors import Misuse

LINE_SIZE_MAX: Final = 556
CR, ESC, BACKSPACE = b"\r", 0x1B, 0x08
GUARD_UNIT_S: Final = 0.02
ESCAPE: Final = b"+++"
ROOM_S: Final = 0.05
"""How long a modem whose call takes nothing now waits before it tries again."""
PIECE_SIZE_MAX: Final = 1_460
BAUD_CHANGE_S: Final = 0.01
BAUDS: Final = (0, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
FLOW: Final[Mapping[Mode, frozenset[Mode]]] = {
    Mode.COMMAND: frozenset({Mode.RUNNING}),
    Mode.RUNNING: frozenset({Mode.COMMAND, Mode.COLLECTING, Mode.ONLINE, Mode.RUNNING}),
    Mode.COLLECTING: frozenset({Mode.RUNNING}),
    Mode.ONLINE: frozenset({Mode.COMMAND}),
}
"""The steps of an awake modem. Those to and from OFF, BOOTING and HUNG are `machine.py`'s."""


class AtModem(Machine):
    """A machine that takes commands."""

    WHOLE_LINES: ClassVar[frozenset[str]] = frozenset()
    """Commands whose text reaches to the end of the line, semicolons and all."""
    PROFILE: ClassVar[Mapping[str, str]] = {"E": "1", "V": "1", "Q": "0", "&D": "2", "&C": "1", "&K": "0", "X": "4"}
    """What AT&W keeps and ATZ brings back; AT&F brings back these."""
    REGISTERS: ClassVar[Mapping[int, int]] = {0: 0, 3: 13, 4: 10, 5: 8, 7: 60, 10: 15, 12: 50}
    SOME_URC: ClassVar[bytes] = b'+CMTI: "SM",3'
    """What the knobs put where it does not belong."""

    def __init__(
        self,
        faults: Iterable[str] = (),
        seed: int = 1,
        *,
        is_powered: bool = True,
        log: Callable[[str, bytes], None] = lambda _direction, _text: None,
    ) -> None:
        super().__init__(faults, seed, is_powered=is_powered, log=log)
        self._stored = (dict(self.PROFILE), dict(self.REGISTERS))
        self.commands: dict[str, Handler] = {
            **dict.fromkeys(("E", "V", "Q", "X", "&D", "&C", "&K"), self._basic),
            **dict.fromkeys(("+CMEE", "+IFC"), self._kept),
            "Z": self._z,
            "&F": self._f,
            "&W": self._w,
            "O": self._o,
            "H": self._h,
            "I": self._i,
            "+IPR": self._ipr,
        }
        self._forget()

    def _forget(self) -> None:
        self.profile, self.registers = dict(self._stored[0]), dict(self._stored[1])
        self.settings: dict[str, str] = {}
        """What the supply takes along."""
        self._line = bytearray()
        self._requests: list[Request] = []
        self._name = ""
        self._ask: Ask | None = None
        self._pending: Pending | None = None
        self._raw = bytearray()
        self._timer: int | None = None
        self._plus: int | None = None
        self._pluses = b""
        self._waits_for_room = False
        self._data_at = float("-inf")
        self._is_dtr = True

    # What a modem brings

    def identity(self) -> bytes:
        return b"Feldsher simulated modem"

    def has_call(self) -> bool:
        """Return whether there is something that ATO goes back to."""
        return False

    def send_online(self, data: bytes, now: float) -> None:
        """Bytes of the host for the far end."""

    def online_room(self, now: float) -> int:
        """Return how many of them it takes now."""
        return PIECE_SIZE_MAX

    def hang_up(self, now: float) -> None:
        """End what ATO would go back to."""

    def connect_text(self) -> bytes:
        return b"CONNECT"

    # What a modem calls

    def complete(self, outcome: Outcome, now: float) -> None:
        """End the command that is pending with what came of it."""
        if self._pending is not None:
            self._come_to(outcome, now)

    def start(self, pending: Pending, now: float) -> None:
        """Be busy without a command (a call that is answered by itself). Only while no command runs."""
        self.go(Mode.RUNNING)
        self._pending = pending

    def connect(self, online: Online, now: float) -> None:
        """Go online without a command: what was asked for has come true. Only while no command runs."""
        self.go(Mode.RUNNING)
        self._go_online(online, now)

    def offline(self, now: float, final: bytes = b"NO CARRIER") -> None:
        """The line carries the call no more: say so, and take commands again."""
        if self.mode is Mode.ONLINE:
            self.cross_out(self._plus)
            self._plus, self._pluses = None, b""
            self.go(Mode.COMMAND)
            self.say(self._final(final), now)
            self.release_held(now)

    def refusal(self, code: int) -> Answer:
        """Return how a command is refused, as AT+CMEE has it."""
        level = self.profile.get("+CMEE", "0")
        if level == "0":
            return Answer(final=ERROR)
        text = CME_TEXTS.get(code, "unknown") if level == "2" else str(code)
        return Answer(final=b"+CME ERROR: " + text.encode())

    def go(self, mode: Mode) -> None:
        """Step. Raises Misuse for a step that `FLOW` does not have."""
        if mode not in FLOW.get(self.mode, ()):
            raise Misuse(f"a simulated modem in {self.mode.value} cannot come to {mode.value}")
        self.mode = mode

    # The machine

    def fall_silent(self, now: float) -> None:
        super().fall_silent(now)
        self._forget()

    def baud_kept(self) -> int:
        return int(self._stored[0].get("+IPR", "0")) or self.BAUD

    def urc(self, line: bytes, now: float) -> None:
        if self.profile["Q"] == "0":
            super().urc(line, now)

    def set_dtr(self, is_on: bool, now: float) -> None:
        """The host raises or drops DTR: AT&D says what comes of it."""
        self.tick(now)
        fell, self._is_dtr = self._is_dtr and not is_on, is_on
        if fell and self.profile["&D"] == "2" and self.mode not in DEAF:
            self.hang_up(now)
        if fell and self.profile["&D"] in {"1", "2"}:
            self.offline(now, OK)

    @property
    def is_carrier(self) -> bool:
        """DCD: always on after AT&C0."""
        return self.is_present and (self.profile["&C"] == "0" or self.has_call())

    def work(self, waiting: bytearray, now: float) -> bool:
        if self.mode is Mode.COMMAND:
            return self._take_line(waiting, now)
        if self.mode is Mode.COLLECTING:
            return self._take_raw(waiting, now)
        if self.mode is Mode.ONLINE:
            return self._take_online(waiting, now)
        return self._take_while_running(waiting, now)

    # COMMAND

    def _take_line(self, waiting: bytearray, now: float) -> bool:
        end = waiting.find(CR) + 1 or len(waiting)
        piece = bytes(waiting[:end])
        del waiting[:end]
        if self.faults.is_set("echo") or (self.profile["E"] == "1" and not self.faults.is_set("no-echo")):
            self.say(piece, now)
        self._line = (self._line + piece)[: LINE_SIZE_MAX + 1]
        if piece.endswith(CR):
            line, self._line = _edited(self._line), bytearray()
            self._execute(line, now)
        return True

    def _execute(self, line: str, now: float) -> None:
        head, found, tail = line.partition("AT") if "AT" in line else line.partition("at")
        if not found or head.strip("\n \0"):
            return
        self.log("<", line.encode("latin-1"))
        self.go(Mode.RUNNING)
        try:
            self._requests = parse(tail, self.WHOLE_LINES)
            is_good = len(line) < LINE_SIZE_MAX
        except NoCommand:
            is_good = False
        if is_good:
            self._next(now)
            return
        self._requests = []
        self._come_to(Answer(final=ERROR), now)

    def _next(self, now: float) -> None:
        if not self._requests:
            self._name = ""
            self._come_to(Answer(), now)
            return
        request = self._requests.pop(0)
        self._name = request.name
        if self._is_struck(request.name, now):
            return
        code = self.faults.pick("cme-error", request.name)
        try:
            outcome = self._handler(request)(request, now) if code is None else self.refusal(int(float(code)))
            self._come_to(outcome, now)
        except Refuse as refusal:
            self._come_to(self.refusal(refusal.code), now)

    def _is_struck(self, name: str, now: float) -> bool:
        """Let the faults happen that take the whole modem."""
        if self.faults.strikes("hang", name):
            self.hang(now)
        elif self.faults.strikes("restart", name):
            self.restart(now)
        elif (absence := self.faults.pick("vanish", name)) is not None:
            self.vanish(float(absence), now)
        else:
            return False
        return True

    def _handler(self, request: Request) -> Handler:
        if request.name.startswith("S") and request.name[1:].isdigit():
            return self._register
        return self.commands.get(request.name, self._unknown)

    # RUNNING

    def _take_while_running(self, waiting: bytearray, now: float) -> bool:
        if self._pending is None or self._pending.abort is None or not waiting.strip(b"\n"):
            return False
        waiting.clear()
        self._come_to(self._pending.abort(now), now)
        return True

    def _come_to(self, outcome: Outcome, now: float) -> None:
        if self.mode in DEAF:
            return
        self.go(Mode.RUNNING)
        if isinstance(outcome, Pending):
            self._pending = outcome
            return
        self._pending = None
        if isinstance(outcome, Answer):
            self.later(outcome.after_s, lambda at: self._answer(outcome, at), now)
        elif isinstance(outcome, Ask):
            self.later(outcome.after_s, lambda at: self._prompt(outcome, at), now)
        else:
            self.later(outcome.after_s, lambda at: self._go_online(outcome, at), now)

    def _answer(self, answer: Answer, now: float) -> None:
        goes_on = answer.final in {OK, b""} and bool(self._requests)
        after, late = (b"", None) if goes_on else self._ending(answer.final)
        if late is not None:
            self.later(late, lambda at: self.say(after, at), now)
        if not self.faults.strikes("lost-reply", self._name):
            before = b"".join(CRLF + line + CRLF for line in answer.lines)
            self._say_reply(before, answer.raw, after if late is None else b"", now)
        if goes_on:
            self._next(now)
        else:
            self._requests = []
            self.go(Mode.COMMAND)
        if answer.then is not None:
            answer.then(now)

    def _ending(self, final: bytes) -> tuple[bytes, float | None]:
        """Return the result code as it goes on the line, and how much later it does."""
        late = self.faults.pick("late-final", self._name)
        if self.faults.strikes("lost-final", self._name):
            return b"", None
        return self._final(final), None if late is None else float(late)

    def _final(self, text: bytes) -> bytes:
        if not text or self.profile["Q"] == "1":
            return b""
        if self.profile["V"] == "0":
            return NUMERIC.get(text.split(b" ")[0] if text.startswith(b"CONNECT") else text, text) + CR
        return CRLF + text + CRLF

    def _say_reply(self, before: bytes, raw: bytes | None, after: bytes, now: float) -> None:
        """Say a reply as one, with the unsolicited lines that the knobs put into it."""
        extra = CRLF + self.SOME_URC + CRLF
        data = raw or b""
        if (at := self.faults.pick("urc-in-data") if data else None) is not None:
            cut = int(float(at)) % (len(data) + 1)
            data = data[:cut] + extra + data[cut:]
        if before + after and (at := self.faults.pick("urc-inside")) is not None:
            cut = int(float(at)) % (len(before + after) + 1)
            before, after = (
                (before[:cut] + extra + before[cut:], after)
                if cut <= len(before)
                else (before, after[: cut - len(before)] + extra + after[cut - len(before) :])
            )
        if before + after and self.faults.strikes("urc-between"):
            after = extra + after
        self.say(before + data + after, now)

    # COLLECTING

    def _prompt(self, ask: Ask, now: float) -> None:
        self.go(Mode.COLLECTING)
        self._ask, self._raw = ask, bytearray()
        self.say(ask.prompt, now)
        self._timer = self.later(ask.wait_s, self._prompt_is_late, now)

    def _prompt_is_late(self, now: float) -> None:
        ask = self._ask
        if ask is not None and self.mode is Mode.COLLECTING:
            self._ask = None
            self._come_to(ask.late, now)

    def _take_raw(self, waiting: bytearray, now: float) -> bool:
        ask = self._ask
        if ask is None:
            raise Misuse("a simulated modem collects bytes that nobody asked for")
        if ask.size is not None:
            self._raw += waiting[: ask.size - len(self._raw)]
            del waiting[: len(self._raw)]
            if len(self._raw) == ask.size:
                self._collected(ask, bytes(self._raw), now)
            return True
        byte = waiting.pop(0)
        if byte in ask.ends:
            self._collected(ask, bytes(self._raw), now)
        elif byte == ESC and ask.escapes:
            self._end_prompt()
            self._come_to(Answer(), now)
        else:
            self._raw = (self._raw + bytes([byte]))[:LINE_SIZE_MAX]
        return True

    def _collected(self, ask: Ask, data: bytes, now: float) -> None:
        self.log("<", data)
        self._end_prompt()
        try:
            self._come_to(ask.take(data, now), now)
        except Refuse as refusal:
            self._come_to(self.refusal(refusal.code), now)

    def _end_prompt(self) -> None:
        self.cross_out(self._timer)
        self._ask = self._timer = None

    # ONLINE

    def _go_online(self, online: Online, now: float) -> None:
        self._requests = []
        self.go(Mode.ONLINE)
        self._data_at = now
        self.say(b"".join(CRLF + line + CRLF for line in online.lines) + self._final(online.text), now)

    def _take_online(self, waiting: bytearray, now: float) -> bool:
        room = self.online_room(now)
        if room <= 0:
            if not self._waits_for_room:
                self._waits_for_room = True
                self.later(ROOM_S, self._try_again, now)
            return False
        data = bytes(waiting[:room])
        del waiting[:room]
        guard_s = self.registers[12] * GUARD_UNIT_S
        may_escape = bool(self._pluses) or now - self._data_at >= guard_s
        data, self._pluses = self._pluses + data, b""
        self.cross_out(self._plus)
        self._plus = None
        if may_escape and ESCAPE.startswith(data):
            self._pluses = data
            self._plus = self.later(guard_s, self._escape, now)
            return True
        self._data_at = now
        self.send_online(data, now)
        return True

    def _try_again(self, now: float) -> None:
        self._waits_for_room = False

    def _escape(self, now: float) -> None:
        self._plus = None
        data, self._pluses = self._pluses, b""
        if data == ESCAPE:
            self.offline(now, OK)
        else:
            self.send_online(data, now)

    # Commands of every modem

    def _basic(self, request: Request, now: float) -> Outcome:
        if len(request.text) > 1:
            return Answer(final=ERROR)
        self.profile[request.name] = request.text or "0"
        return Answer()

    def _kept(self, request: Request, now: float) -> Outcome:
        return self.remember(request, self.profile)

    def remember(self, request: Request, where: dict[str, str], default: str = "0") -> Answer:
        """Answer a command that sets something or reads it back."""
        if request.kind is Kind.READ:
            return Answer((f"{request.name}: {where.get(request.name, default)}".encode("latin-1"),))
        if request.kind is Kind.SET:
            where[request.name] = request.text
        return Answer()

    def _register(self, request: Request, now: float) -> Outcome:
        number = int(request.name[1:])
        if request.kind is Kind.READ:
            return Answer((b"%03d" % self.registers.get(number, 0),))
        value = request.number(default=0)
        if number not in self.registers or not 0 <= value <= 255:
            return Answer(final=ERROR)
        self.registers[number] = value
        return Answer()

    def _z(self, request: Request, now: float) -> Outcome:
        self.hang_up(now)
        self.profile, self.registers = dict(self._stored[0]), dict(self._stored[1])
        return Answer()

    def _f(self, request: Request, now: float) -> Outcome:
        self.profile, self.registers = dict(self.PROFILE), dict(self.REGISTERS)
        return Answer()

    def _w(self, request: Request, now: float) -> Outcome:
        self._stored = (dict(self.profile), dict(self.registers))
        return Answer()

    def _o(self, request: Request, now: float) -> Outcome:
        return Online(self.connect_text()) if self.has_call() else Answer(final=b"NO CARRIER")

    def _h(self, request: Request, now: float) -> Outcome:
        self.hang_up(now)
        return Answer()

    def _i(self, request: Request, now: float) -> Outcome:
        return Answer((self.identity(),))

    def _ipr(self, request: Request, now: float) -> Outcome:
        if request.kind is not Kind.SET:
            return self.remember(request, self.profile, str(self.baud))
        if request.number() not in BAUDS:
            return Answer(final=ERROR)
        self.profile["+IPR"] = str(request.number())
        return Answer(then=self._change_baud)

    def _change_baud(self, now: float) -> None:
        """After OK has gone at the old speed."""
        self.later(max(0.0, self.line_is_free_at() - now) + BAUD_CHANGE_S, self._set_baud, now)

    def _unknown(self, request: Request, now: float) -> Outcome:
        return Answer(final=ERROR)

    def _set_baud(self, now: float) -> None:
        self.baud = int(self.profile["+IPR"]) or self.baud


def _edited(line: bytearray) -> str:
    """Return the line without its CR, with what was struck out by backspaces gone."""
    kept: list[int] = []
    for byte in line.removesuffix(CR):
        if byte != BACKSPACE:
            kept.append(byte)
        elif kept:
            kept.pop()
    return bytes(kept).decode("latin-1")
