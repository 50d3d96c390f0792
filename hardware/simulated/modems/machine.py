"""A modem as a thing on a line: supply, boot, baud, bytes that come and go, and their faults. No commands yet.

    OFF ── supply, key ──► BOOTING ── banner ──► awake (COMMAND, RUNNING, COLLECTING, ONLINE: `interpreter.py`)
     ▲                                             │
     └──── supply gone, key, from everywhere ──────┴── fault ──► HUNG (until the supply is cut)

Nothing survives the supply but what `stored` holds (the profile written by AT&W).
"""

import enum
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import ClassVar, Final

from hardware.simulated.modems.faults import Faults, Knob
from hardware.simulated.modems.supply import Key, Rail
from hardware.simulated.modems.timing import Agenda, Outlet, earliest

INPUT_SIZE_MAX: Final = 16_384
"""What waits inside while a command runs; more is lost, as on a line without flow control."""
CTS_SIZE: Final = 2_048
"""With so much waiting it lets CTS fall."""
NOISE_SIZE_MAX: Final = 4_096
HELD_URCS_MAX: Final = 32
CRLF: Final = b"\r\n"

COMMON: Final[Mapping[str, Knob]] = {
    "no-echo": Knob("never echoes, whatever ATE says", when="*"),
    "echo": Knob("echoes, whatever ATE says", when="*"),
    "one-byte": Knob("writes every byte by itself, this many seconds apart", "0.001", "*", is_number=True),
    "urc-inside": Knob("an unsolicited line at this byte of the reply (not inside counted bytes)", "7", is_number=True),
    "urc-between": Knob("an unsolicited line after the first line of the reply"),
    "urc-in-data": Knob("an unsolicited line at this one of the counted bytes of a reply", "3", is_number=True),
    "lost-final": Knob("the result code of the command is never sent", of_commands=True),
    "lost-reply": Knob("nothing is said at all, though the command was obeyed", of_commands=True),
    "late-final": Knob("the result code comes so many seconds later", "8", is_number=True, of_commands=True),
    "cme-error": Knob("the command is refused with this number", "100", is_number=True, of_commands=True),
    "hang": Knob("says nothing any more from this command on, until its supply is cut", of_commands=True),
    "restart": Knob("boots by itself instead of answering the command (an empty battery)", of_commands=True),
    "vanish": Knob("the USB device is gone for so many seconds", "5", is_number=True, of_commands=True),
    "boot-garbage": Knob("so many bytes of noise before the banner", "9", "*", is_number=True),
    "slow-boot": Knob("so many seconds more until it answers", "20", "*", is_number=True),
    "baud": Knob("it begins at this speed", "9600", "*", is_number=True),
    "autobaud": Knob("it has no speed, nor a banner, until it has heard AT", when="*"),
    "lost-bytes": Knob("it misses this percentage of the host's bytes", "1", "*", is_number=True),
}
"""Every command is an opportunity, or every reply where replies are spoken of."""


class Mode(enum.Enum):
    """What the next byte from the host is taken for."""

    OFF = "off"
    BOOTING = "booting"
    COMMAND = "command"
    RUNNING = "running"
    COLLECTING = "collecting"
    ONLINE = "online"
    HUNG = "hung"


DEAF: Final = frozenset({Mode.OFF, Mode.BOOTING, Mode.HUNG})


class Machine:
    """One modem. `log(direction, text)` is told what comes ("<") and what goes (">")."""

    KNOBS: ClassVar[Mapping[str, Knob]] = COMMON
    BAUD: ClassVar[int] = 115_200
    BOOT_S: ClassVar[float] = 2.0
    BANNER: ClassVar[tuple[tuple[float, bytes], ...]] = ()
    """(seconds after it answers, line)."""

    def __init__(
        self,
        faults: Iterable[str] = (),
        seed: int = 1,
        *,
        is_powered: bool = True,
        log: Callable[[str, bytes], None] = lambda _direction, _text: None,
    ) -> None:
        self.rng = Random(f"modem {seed}")  # noqa: S311 - no secret
        self.faults = Faults(faults, self.KNOBS, self.rng)
        self.log = log
        self.now = 0.0
        self.mode = Mode.OFF
        self.baud = self.BAUD
        self.host_baud: int | None = None
        self.is_present = True
        self.is_ringing = False
        self.boots = 0
        self.rail, self.key = Rail(is_on=is_powered), Key()
        self._agenda, self._outlet = Agenda(), Outlet()
        self._input = bytearray()
        self._held: list[bytes] = []

    # The line

    def feed(self, data: bytes, now: float) -> None:
        """Take what the host sent."""
        self.tick(now)
        if self.is_present and self.mode not in DEAF:
            self._input += self._heard(data)[: max(0, INPUT_SIZE_MAX - len(self._input))]
        self.tick(now)

    def tick(self, now: float) -> None:
        """Let time pass: to be called at `deadline`, or earlier. The first call switches on what has a supply."""
        self.now = max(self.now, now)
        self._supply(self.now)
        self._work(self.now)
        while due := self._agenda.take_due(self.now):
            due[1](due[0])
            self._work(due[0])
        if self.mode not in DEAF:
            self.poll(self.now)

    def output(self) -> bytes:
        """Return what has left by the last `now`, and forget it."""
        data = self._outlet.take(self.now)
        return data if self.host_baud in {None, self.baud} else self._garbled(data)

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called."""
        if self.rail.is_changed or self.key.is_changed:
            return self.now
        polled = None if self.mode in DEAF else self.next_poll()
        return earliest(self._agenda.next_at(), self._outlet.next_at(), self.key.acts_at(), polled)

    def room(self) -> int:
        """Return how many bytes more the modem takes without losing any: CTS, as a number."""
        return max(0, CTS_SIZE - len(self._input))

    # What a modem brings

    def work(self, waiting: bytearray, now: float) -> bool:
        """Take some of what waits from the host; return whether to go on."""
        raise NotImplementedError

    def poll(self, now: float) -> None:
        """Look at the far end."""

    def next_poll(self) -> float | None:
        return None

    def started(self, now: float) -> None:
        """It answers from here on."""

    def stopped(self, now: float) -> None:
        """Its supply is gone, or it restarts: everything is broken off without a word."""

    def powered(self, rested_s: float, now: float) -> None:
        """The supply has come, after so many seconds without."""
        self.boot(now)

    def baud_kept(self) -> int:
        """Return the speed with which it begins."""
        return self.BAUD

    # What a modem calls

    def later(self, delay_s: float, event: Callable[[float], None], now: float) -> int:
        """Let something happen, unless the supply goes before."""
        return self._agenda.put(now + delay_s, event)

    def cross_out(self, number: int | None) -> None:
        if number is not None:
            self._agenda.cross_out(number)

    def line_is_free_at(self) -> float:
        """Return when everything said so far will have left."""
        return self._outlet.busy_until

    def urc(self, line: bytes, now: float) -> None:
        """Say an unsolicited line; while the line carries a call it waits for the call's end."""
        if self.mode is Mode.ONLINE:
            self._held = [*self._held, line][-HELD_URCS_MAX:]
        elif self.mode not in DEAF:
            self.say(CRLF + line + CRLF, now)

    def release_held(self, now: float) -> None:
        """Say what had to wait for the call's end."""
        held, self._held = self._held, []
        for line in held:
            self.urc(line, now)

    def say(self, data: bytes, now: float) -> None:
        """Put bytes on the line."""
        if data and self.is_present and self.mode is not Mode.HUNG:
            self.log(">", data)
            self._outlet.put(data, now, self.baud or self.BAUD, self.faults.number("one-byte"))

    def restart(self, now: float) -> None:
        """Boot without a word."""
        self.fall_silent(now)
        self.boot(now)

    def switch_off(self, now: float) -> None:
        """Off, until the key is pressed or the supply was cut."""
        self.fall_silent(now)
        self.mode = Mode.OFF

    def hang(self, now: float) -> None:
        """Never a word again, until the supply was cut."""
        self.fall_silent(now)
        self.mode = Mode.HUNG

    def vanish(self, absence_s: float, now: float) -> None:
        """Gone from the USB bus; it boots when it is back."""
        self.switch_off(now)
        self.is_present = False
        self.later(absence_s, self._reappear, now)

    def fall_silent(self, now: float) -> None:
        """Forget everything that was going on."""
        self.stopped(now)
        self._agenda.clear()
        self._outlet.cut(now)
        self._input.clear()
        self._held = []
        self.is_ringing = False

    def boot(self, now: float) -> None:
        """Begin to start."""
        self.mode = Mode.BOOTING
        self.boots += 1
        kept = int(self.faults.number("baud") or self.baud_kept())
        self.baud = 0 if self.faults.is_set("autobaud") else kept
        self.later(self.BOOT_S + (self.faults.number("slow-boot") or 0.0), self._booted, now)

    def _reappear(self, now: float) -> None:
        self.is_present = True
        self.boot(now)

    def _supply(self, now: float) -> None:
        rested_s = self.rail.take_change(now)
        if rested_s is not None:
            self.switch_off(now)
            self.is_present = True
            if self.rail.is_on and not self.key.is_needed:
                self.powered(rested_s, now)
        if self.key.toggles(now) and self.rail.is_on:
            self.boot(now) if self.mode is Mode.OFF else self.switch_off(now)

    def _booted(self, now: float) -> None:
        self.mode = Mode.COMMAND
        self.say(self.rng.randbytes(min(int(self.faults.number("boot-garbage") or 0), NOISE_SIZE_MAX)), now)
        self.started(now)
        for after_s, line in self.BANNER if self.baud else ():
            self.later(after_s, self._saying(line), now)

    def _saying(self, line: bytes) -> Callable[[float], None]:
        return lambda at: self.urc(line, at)

    # Bytes from the host

    def _work(self, now: float) -> None:
        if self.mode in DEAF:
            self._input.clear()
        while self._input and self.mode not in DEAF and self.work(self._input, now):
            pass

    def _heard(self, data: bytes) -> bytes:
        if self.baud == 0:
            data = self._synchronised(data)
        elif self.host_baud not in {None, self.baud}:
            data = self._garbled(data)
        lost = self.faults.number("lost-bytes")
        return bytes(byte for byte in data if self.rng.random() * 100 >= lost) if lost else data

    def _synchronised(self, data: bytes) -> bytes:
        """Autobaud: everything up to the first AT is missed, and this AT tells the speed."""
        at = data.upper().find(b"AT")
        if at < 0:
            return b""
        self.baud = self.host_baud or self.BAUD
        return data[at + 2 :]

    def _garbled(self, data: bytes) -> bytes:
        """At the wrong speed other bytes arrive, more of them or fewer, and never the sent ones."""
        ratio = (self.host_baud or self.BAUD) / (self.baud or self.BAUD)
        size = int(len(data) * min(ratio, 2.0) + self.rng.random())
        return bytes(0x80 | self.rng.randrange(128) for _ in range(size))
