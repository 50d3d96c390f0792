"""The AT engine: the one reader of a modem's line, and the runner of one script. Pure: bytes and `now` in, bytes out.

A *script* is a generator that yields steps and is resumed with a `Reply`, or has an `AtFault` thrown into it:

    reply = yield Command("AT+CSQ", claims=r"\\+CSQ:")        # reply.lines == ("+CSQ: 15,99",)
    yield Command("AT+CIPSEND=5", payload=b"hello", finals=r"DATA ACCEPT:\\d+$|SEND OK$")
    reply = yield Command("AT+CIPRXGET=2,5", claims=r"\\+CIPRXGET: ?2,", raw=size_in_header)   # reply.raw
    yield Command("", finals="CONNECT OK$", failures="CONNECT FAIL$", timeout_s=75)     # sends nothing: only waits
    yield Command("ATD*99#", finals="CONNECT(?! FAIL)", connects=True)  # TRANSPARENT: bytes go to `engine.sink`
    yield Pause(1.1)                # only time ends it
    yield Idle(10.0)                # time, `poke`, or an unsolicited line ends it
    yield Say(frame)                # bytes for the line, at once

Scripts call scripts with `yield from`. Never two scripts run at once, and what a script calls may never call back into
`feed`, `tick` or `start`; `poke` is always lawful.

Lines are cut at CR or LF (ITU-T V.250, 5.7.1). Each goes, in this order, to: the echo; what the running command claims;
its final results and failures; the common ones (`ERROR`, `+CME ERROR`, …); start-up banners; unsolicited codes (kept in
`take_urcs` for the script, never handled in the middle of a command); a command that takes any line; or it is a stray,
counted and dropped, unless it proves to be the first half of a line that an unsolicited one has torn. A binary answer
must be followed by CR: if not, bytes of it were lost, and it is dropped.

Owns the buffer of the line and the mode of the reader. Bounded by the names in `_MAX`. Nothing survives the process.
"""

import enum
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from node.modems.faults import AtFault, CallFailed, CommandFailed, Garbled, ModemReset, NoAnswer, fault_of
from node.modems.script import Command, Controls, Idle, NoControls, Pause, Reply, Say, Script, Step
from wire.errors import Misuse

__all__ = [
    "Change",
    "Command",
    "Controls",
    "Engine",
    "Idle",
    "Mode",
    "NoControls",
    "Pause",
    "Reply",
    "Say",
    "Script",
    "Step",
]

LINE_SIZE_MAX: Final = 2048
"""Without an end of line by then it is noise, and dropped."""
LINES_MAX: Final = 64
RAW_SIZE_MAX: Final = 1 << 14
URCS_MAX: Final = 64
"""Beyond it the oldest is forgotten: scripts ask for the state now and then."""
STEPS_MAX: Final = 10_000
"""Steps of a script without waiting; more is a script that spins."""
END_SILENCE_S: Final = 0.5
BOOT_S: Final = 60.0
"""`SMS Ready` and the like come so long after a modem was switched on."""

CR, LF = 0x0D, 0x0A
_BLANK: Final = " \t\x00"
_SIGNS: Final = "+*^%"
"""With one of these an information line begins."""
_DONE: Final = Reply()


class Mode(enum.Enum):
    """How the next bytes are read."""

    LINE = "lines"
    PROMPT = "lines, until the prompt"
    RAW = "so many bytes as they are"
    TRANSPARENT = "every byte belongs to the far end"


class Change(enum.Enum):
    """What changes the mode. (A turn is something else: who may speak, `turns.py`.)"""

    ASKED = "a command with a payload was sent"
    PROMPTED = "the prompt came"
    HEADED = "a line said that bytes follow"
    FILLED = "they are all here"
    CONNECTED = "CONNECT"
    ENDED = "the command is over"
    LEFT = "the call has ended, or was left by +++"


MODES: Final[dict[tuple[Mode, Change], Mode]] = {
    (Mode.LINE, Change.ASKED): Mode.PROMPT,
    (Mode.PROMPT, Change.PROMPTED): Mode.LINE,
    (Mode.PROMPT, Change.ENDED): Mode.LINE,
    (Mode.LINE, Change.HEADED): Mode.RAW,
    (Mode.RAW, Change.FILLED): Mode.LINE,
    (Mode.RAW, Change.ENDED): Mode.LINE,
    (Mode.LINE, Change.ENDED): Mode.LINE,
    (Mode.LINE, Change.CONNECTED): Mode.TRANSPARENT,
    (Mode.TRANSPARENT, Change.LEFT): Mode.LINE,
}
"""Whatever is not here cannot happen; if it does, it is a defect of ours."""


COMMON_URCS: Final = (
    "+CREG:", "+CGREG:", "+CEREG:", "+CMTI:", "+CDS", "+CMT:", "+CBM:", "+CRING", "RING", "+CLIP:", "+CCWA:", "+CUSD:",
    "+CTZV:", "+CTZE:", "*PSUTTZ", "*PSNWID", "DST:", "+NITZ:", "+CIEV:", "+CGEV:", "+CSQN:", "UNDER-VOLTAGE",
    "OVER-VOLTAGE", "+CMTE:", "VOICE CALL:", "MISSED_CALL:", "+QIND:", "+QUSIM:", "+STIN:", "^", "%",
)  # fmt: skip
"""Prefixes of unsolicited result codes that any GSM modem may send: 3GPP TS 27.007, SIMCom and Quectel manuals."""
BANNERS: Final = ("RDY", "APP RDY", "NORMAL POWER DOWN", "POWERED DOWN", "START", "SYSTART", "MODEM STARTUP")
"""A modem that says one of these forgets everything that it was told."""
LATE_BANNERS: Final = (
    "+CFUN: 1",
    "+CPIN: READY",
    "+CPIN: NOT",
    "+CPIN: SIM",
    "Call Ready",
    "SMS Ready",
    "PB DONE",
    "SMS DONE",
)
"""These come up to a minute after it, and are a sign of a restart only later."""  # fmt: skip


def _may_be_free(command: Command, text: str) -> bool:
    """Tell whether a line may answer a command that takes any: no echo, and no `+…` but its own (`+CGMM: …`)."""
    if text.startswith("AT"):
        return False
    return text[0] not in _SIGNS or text.startswith(command.text[2:])


def _prefixes(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(word) for word in words) or "(?!)")


class Engine:
    """See the module's text. `urcs`: prefixes of this kind of modem, beside the common ones."""

    def __init__(self, urcs: Iterable[str] = (), sink: Callable[[bytes], None] = lambda data: None) -> None:
        self.mode = Mode.LINE
        self.now = 0.0
        self.sink = sink
        self.is_settled = False
        """Set by the script when all is set up: from now on a banner means that the modem has restarted."""
        self.booted_at = 0.0
        self.owed = b""
        """What a modem may still wait for, after a command with a payload that never came to its final result: the
        payload, if its prompt was never heard; else so many CRs, for some of it may have been lost."""
        self.strays = 0
        self.urcs_lost = 0
        self.know(urcs)
        self._banner, self._late_banner = re.compile(f"(?:{_prefixes(BANNERS).pattern})$"), _prefixes(LATE_BANNERS)
        self._urcs: deque[str] = deque()
        self._buffer = bytearray()
        self._skip_lf = False
        self._out = bytearray()
        self._script: Script[None] | None = None
        self._is_running = False
        self._step: Step | None = None
        self._until: float | None = None
        self._outcome: Reply | AtFault | None = None
        self._lines: list[str] = []
        self._raw = b""
        self._raw_size = 0
        self._raw_is_unproved = False
        self._torn = ""
        """The last stray; with an unsolicited line after it (`_is_torn`) it may be the first half of a line."""
        self._is_torn = False
        self._is_poked = False
        self._tail = b""
        self._call_end = b""
        self._ends_at: float | None = None

    # What the owner calls

    def start(self, script: Script[None], now: float) -> None:
        """Run `script`; one that runs is given up first."""
        self.stop()
        self.now, self._script, self._outcome = now, script, _DONE
        self._run()

    def stop(self) -> None:
        """Give up the script and what was read; unsent bytes too."""
        if self._is_running:
            raise Misuse("a script cannot end itself from within")
        script, self._script = self._script, None
        self._step = self._until = self._outcome = self._ends_at = None
        self.mode, self.is_settled, self._is_poked = Mode.LINE, False, False
        self._skip_lf = self._raw_is_unproved = False
        self._buffer.clear()
        self._out.clear()
        self._urcs.clear()
        if script is not None:
            script.close()

    @property
    def is_ending(self) -> bool:
        """The last words of a call have come, and it is over unless more follows: what is sent now is a command."""
        return self._ends_at is not None

    @property
    def is_idle(self) -> bool:
        """No script runs."""
        return self._script is None

    def feed(self, data: bytes, now: float) -> None:
        """Take what came on the line."""
        self.now = now
        if self._script is None:
            return
        self._buffer += data
        while self._script is not None and self._take():
            self._run()

    def tick(self, now: float) -> None:
        """Let time pass."""
        self.now = now
        if self._ends_at is not None and self._ends_at <= now:
            self.carrier_lost(now)
        elif self._is_poked and isinstance(self._step, Idle):
            self._finish(_DONE)
        elif self._until is not None and self._until <= now:
            self._expire()
        self._run()

    def carrier_lost(self, now: float) -> None:
        """The far end has hung up: data carrier detect has gone, or the line said so."""
        self.now = now
        if self.mode is Mode.TRANSPARENT:
            self.call_ended()
            self._finish(CallFailed("the far end has ended the call"))
            self._run()

    def poke(self) -> None:
        """There is something to do for a script that is idle; `deadline` is now."""
        self._is_poked = True

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        if self._is_poked and isinstance(self._step, Idle):
            return self.now
        return min((at for at in (self._until, self._ends_at) if at is not None), default=None)

    def output(self) -> bytes:
        """Return what goes on the line, and forget it."""
        data = bytes(self._out)
        self._out.clear()
        return data

    # What a script may call

    def know(self, urcs: Iterable[str]) -> None:
        """Take these prefixes, and the common ones, for unsolicited lines from now on."""
        self._urc = _prefixes((*COMMON_URCS, *urcs))

    def call_ended(self) -> None:
        """The script knows that the call is over: what comes now is lines, a late `NO CARRIER` one of them."""
        if self.mode is Mode.TRANSPARENT:
            self._change(Change.LEFT)
            self._ends_at = None

    def take_urcs(self) -> list[str]:
        """Return the unsolicited lines since the last call, oldest first."""
        urcs = list(self._urcs)
        self._urcs.clear()
        return urcs

    # The script

    def _run(self) -> None:
        for _ in range(STEPS_MAX):
            outcome, self._outcome = self._outcome, None
            if self._script is None or outcome is None:
                return
            self._is_running = True
            try:
                step = self._resume(self._script, outcome)
            except StopIteration:
                self._script = self._step = self._until = None
                return
            finally:
                self._is_running = False
            self._begin(step)
        raise Misuse(f"a script made {STEPS_MAX} steps without waiting")

    def _resume(self, script: Script[None], outcome: Reply | AtFault) -> Step:
        if isinstance(outcome, AtFault):
            return script.throw(outcome)
        return script.send(outcome) if self._step is not None else next(script)

    def _begin(self, step: Step) -> None:
        self._step = step
        if isinstance(step, Say):
            self._out += step.data
            self._finish(_DONE)
        elif isinstance(step, Command):
            self._begin_command(step)
        else:
            self._until = self.now + step.seconds
            if isinstance(step, Idle) and (self._is_poked or self._urcs):
                self._finish(_DONE)

    def _begin_command(self, command: Command) -> None:
        self.call_ended()
        self._lines, self._raw, self._raw_size, self._torn = [], b"", 0, ""
        self._until = self.now + command.timeout_s
        if command.text:
            self._out += command.text.encode("ascii", "replace") + command.ending
        if command.payload is not None:
            self.owed = command.payload
            self._change(Change.ASKED)

    def _expire(self) -> None:
        step = self._step
        if isinstance(step, Command):
            self._finish(NoAnswer(f"{step.label}: no answer in {step.timeout_s:g} s"))
        else:
            self._finish(_DONE)

    def _finish(self, outcome: Reply | AtFault) -> None:
        if isinstance(self._step, Idle):
            self._is_poked = False
        if self.mode is not Mode.TRANSPARENT:
            self._change(Change.ENDED)
        if isinstance(self._step, Command) and self._step.payload is not None and not isinstance(outcome, NoAnswer):
            self.owed = b""
        self._until, self._outcome, self._raw_is_unproved = None, outcome, False

    def _change(self, change: Change) -> None:
        try:
            self.mode = MODES[self.mode, change]
        except KeyError:
            raise Misuse(f"the reader of {self.mode.value} cannot be told: {change.value}") from None

    @property
    def _command(self) -> Command | None:
        return self._step if isinstance(self._step, Command) and self._until is not None else None

    # The reader

    def _take(self) -> bool:
        """Take one thing from the buffer; False when more bytes are needed."""
        if self._skip_lf and self._buffer:
            self._skip_lf = False
            if self._buffer[0] == LF:
                del self._buffer[0]
        if not self._buffer:
            return False
        if self.mode is Mode.TRANSPARENT:
            return self._take_call()
        if self.mode is Mode.RAW:
            return self._take_raw()
        if self._raw_is_unproved:
            return self._prove_raw()
        if self._is_prompt():
            return self._take_prompt()
        command = self._command
        if command is not None and command.binary is not None and not self._raw:
            size = command.binary(bytes(self._buffer[:64]))
            if size != 0:
                return size is not None and self._await_raw(size)
        return self._take_line()

    def _take_call(self) -> bool:
        data = bytes(self._buffer)
        self._buffer.clear()
        self._tail = (self._tail + data)[-64:]
        self._ends_at = self.now + END_SILENCE_S if self._tail.endswith(self._call_end) else None
        self.sink(data)
        return True

    def _await_raw(self, size: int) -> bool:
        if size > RAW_SIZE_MAX:
            self._finish(Garbled(f"an answer of {size} bytes; {RAW_SIZE_MAX} at most"))
            return True
        self._raw_size = size
        self._change(Change.HEADED)
        return True

    def _take_raw(self) -> bool:
        if len(self._buffer) < self._raw_size:
            return False
        self._raw = bytes(self._buffer[: self._raw_size])
        del self._buffer[: self._raw_size]
        self._change(Change.FILLED)
        self._raw_is_unproved = True
        return True

    def _prove_raw(self) -> bool:
        self._raw_is_unproved = False
        if self._buffer[0] != CR:
            self._finish(Garbled("bytes of the line were lost: a binary answer is shorter than it says"))
        return True

    def _is_prompt(self) -> bool:
        command = self._command
        if self.mode is not Mode.PROMPT or command is None or command.prompt != ">":
            return False
        return bytes(self._buffer[:8]).lstrip(b"\r\n \x00").startswith(b">")

    def _take_prompt(self) -> bool:
        del self._buffer[: self._buffer.index(b">") + 1]
        return self._prompted()

    def _prompted(self) -> bool:
        command = self._command
        assert command is not None  # noqa: S101 - only a command makes the mode PROMPT
        assert command.payload is not None  # noqa: S101 - as above
        self._out += command.payload
        self.owed = b"\r" * len(command.payload)
        self._change(Change.PROMPTED)
        return True

    def _take_line(self) -> bool:
        ends = [at for at in (self._buffer.find(CR), self._buffer.find(LF)) if at >= 0]
        if not ends:
            if len(self._buffer) > LINE_SIZE_MAX:
                self._buffer.clear()
                self.strays += 1
            return False
        at = min(ends)
        text = bytes(self._buffer[:at]).decode("latin-1")[:LINE_SIZE_MAX]
        self._skip_lf = self._buffer[at] == CR
        del self._buffer[: at + 1]
        if text.strip(_BLANK):
            self._line(text)
        return True

    # One line

    def _line(self, raw: str) -> None:
        command, text = self._command, raw.strip(_BLANK)
        if command is not None and self._answers_whole(command, raw):
            self._torn = ""
            return
        if self._banner.match(text):
            self._booted(text)
        elif self._late_banner.match(text):
            self._booted_late(text)
        elif self._urc.match(text):
            self._note_urc(text)
        elif command is not None and command.is_free and _may_be_free(command, text):
            self._keep(text)
        else:
            self._note_stray(raw)

    def _note_stray(self, raw: str) -> None:
        """Count what is nobody's; it may be half of a line, or what tore one: something unsolicited and unknown."""
        self.strays += 1
        if self._torn and raw[0] in _SIGNS:
            self._is_torn = True
        else:
            self._torn, self._is_torn = raw, False

    def _answers_whole(self, command: Command, raw: str) -> bool:
        """Take a line of the answer, also one that an unsolicited line has torn in two."""
        if self._torn and self._is_torn and self._answers(command, (self._torn + raw).strip(_BLANK)):
            return True
        return self._answers(command, raw.strip(_BLANK))

    def _answers(self, command: Command, text: str) -> bool:
        """Take a line that the running command waits for."""
        if command.text and text == command.text:
            return True
        if self.mode is Mode.PROMPT and text == command.prompt:
            return self._prompted()
        if command.claims and re.match(command.claims, text):
            self._keep(text)
            if command.raw is not None:
                size = command.raw(text)
                return size == 0 or self._await_raw(size)
            return True
        if re.match(command.finals, text):
            self._final(command, text)
            return True
        fault = fault_of(command.label, text)
        if fault is None and command.failures and re.match(command.failures, text):
            fault = CommandFailed(f"{command.label}: {text}")
        if fault is not None:
            self._finish(fault)
        return fault is not None

    def _final(self, command: Command, text: str) -> None:
        is_early = self.mode is Mode.PROMPT or (bool(command.claims) and not self._lines and not command.is_optional)
        if is_early or (command.binary is not None and not self._raw):
            self._finish(Garbled(f"{command.label}: {text} without an answer"))
            return
        self._finish(Reply(tuple(self._lines), text, self._raw))
        if command.connects:
            self._change(Change.CONNECTED)
            self._tail, self._call_end = b"", command.call_end

    def _keep(self, text: str) -> None:
        if len(self._lines) < LINES_MAX:
            self._lines.append(text)
        else:
            self.strays += 1

    def _booted(self, text: str) -> None:
        self.booted_at = self.now
        if self.is_settled:
            self.is_settled = False
            self._finish(ModemReset(f"the modem has restarted by itself ({text})"))
        else:
            self._note_urc(text)

    def _booted_late(self, text: str) -> None:
        if self.is_settled and self.now > self.booted_at + BOOT_S:
            self._booted(text)
        else:
            self._note_urc(text)

    def _note_urc(self, text: str) -> None:
        self._is_torn = True
        if len(self._urcs) >= URCS_MAX:
            self._urcs.popleft()
            self.urcs_lost += 1
        self._urcs.append(text)
        if isinstance(self._step, Idle):
            self._finish(_DONE)
