"""What a port hears, in words: is its device there, is it the right one, at which speed, and was anything lost?

Pure. `edge.kit` owns one `Watch` for each port, feeds it before the driver, and heeds what it says:

    Retune      the line is to be set otherwise; the driver begins anew
    Found       the speed is proved: entries are committed from now on
    Wrong       another device speaks; what came is kept as it came, and the driver hears no more of it
    Right       the port's own device speaks again
    Troubled    the line's counters say that something is wrong with it

May call `edge.speed`, `edge.stranger`, `edge.line_errors`. Nothing survives a crash.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.driver import Line
from edge.line_errors import LineErrors, Tally
from edge.signs import NOTHING, Signs
from edge.speed import Search
from edge.stranger import Suspicion

DEVICE_SIZE_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Retune:
    """Set the line to this. `in_vain_size`: bytes that came at the setting before, and were no message."""

    line: Line
    in_vain_size: int


@dataclass(frozen=True, slots=True)
class Found:
    """This is the right setting."""

    line: Line


@dataclass(frozen=True, slots=True)
class Wrong:
    """`driver` is the one whose device speaks; `data`: what of it came already, the last bytes among them."""

    driver: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Right:
    """`data`: what came of the own device, the last bytes among them."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Troubled:
    """Somebody is to look at the line; `text` says why."""

    text: str


Verdict = Retune | Found | Wrong | Right | Troubled


class Watch:
    """One port. `search` is None where the speed is given."""

    def __init__(self, driver: str, own: Signs, others: Mapping[str, Signs], search: Search | None = None) -> None:
        self.driver, self.search = driver, search
        self._suspicion = Suspicion(own, others)
        self._is_provable = own.proof != NOTHING
        self._open = False
        self._changed_at = 0.0
        self._reason = ""
        self._device = ""
        self._heard_at: float | None = None
        self._vanished = 0
        self._lost_bytes = 0
        self._lost_at = 0.0
        self._errors = Tally()

    # What happens

    def appeared(self, device: str, now: float) -> None:
        """The port is open."""
        self._open, self._changed_at, self._device = True, now, device[:DEVICE_SIZE_MAX]
        self._heard_at = None
        self._suspicion.appeared()
        self._errors.opened()
        if self.search is not None:
            self.search.appeared()

    def vanished(self, reason: str, now: float) -> None:
        """The port has gone, or cannot be opened."""
        self._vanished += self._open
        self._open, self._changed_at, self._reason = False, now, reason[:DEVICE_SIZE_MAX]
        self._suspicion.appeared()

    def dropped(self, count: int, now: float) -> None:
        """So many bytes were lost in the kit."""
        self._lost_bytes, self._lost_at = self._lost_bytes + count, now

    def heard(self, data: bytes, now: float) -> list[Verdict]:
        """Take what came, before the driver does."""
        self._heard_at = now
        before = self._suspicion.wrong
        verdicts = self._verdicts(before, self._suspicion.heard(data, now))
        if self.search is not None and self.search.heard(data, now):
            verdicts.append(Found(self.search.line))
        if text := self._errors.news(now):
            verdicts.append(Troubled(text))
        return verdicts

    def counted(self, errors: LineErrors, now: float) -> int:
        """Take the line's counters since it is open; return how many bytes this computer has lost since the last."""
        return self._errors.counted(errors, now, is_tuning=self.search is not None and not self.search.is_found)

    def tuned(self) -> None:
        """The line is set as the last `Retune` said."""
        if self.search is not None:
            self.search.tuned()

    @property
    def is_turning(self) -> bool:
        """What comes now came at a setting that is no more wanted."""
        return self.search is not None and self.search.is_turning

    def sent(self, now: float) -> None:
        """The driver has sent something."""
        if self.search is not None:
            self.search.sent(now)

    def tick(self, now: float) -> list[Verdict]:
        """Let time pass."""
        before = self._suspicion.wrong
        verdicts = self._verdicts(before, self._suspicion.tick(now))
        if self.search is not None and self._open and not self.wrong:
            was_found = self.search.is_found
            if self.search.tick(now):
                verdicts.append(Retune(self.search.line, self.search.in_vain_size))
            elif self.search.is_found and not was_found:
                verdicts.append(Found(self.search.line))
        return verdicts

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        times = (self._suspicion.deadline(), self.search.deadline() if self.search is not None and self._open else None)
        return min((at for at in times if at is not None), default=None)

    def _verdicts(self, before: str, data: bytes) -> list[Verdict]:
        wrong = self._suspicion.wrong
        if wrong == before:
            return []
        return [Wrong(wrong, data)] if wrong else [Right(data)]

    # What it looks like

    @property
    def is_trusted(self) -> bool:
        """The speed is given, or right, or was right before: what is read at it may be committed."""
        return self.search is None or self.search.is_trusted

    @property
    def wrong(self) -> str:
        """The driver whose device speaks here instead of ours; "" when none is known to."""
        return self._suspicion.wrong

    def status(self, now: float) -> dict[str, Any]:
        """Return what `kit status` shows of the port."""
        state, text = self._words(now)
        return {
            "driver": self.driver,
            "state": state,
            "text": text,
            "device": self._device if self._open else "",
            "line": str(self.search.line) if self.search is not None else "",
            "vanished": self._vanished,
            "lost_bytes": self._lost_bytes,
            "lost_s": round(now - self._lost_at, 1) if self._lost_bytes else None,
            "errors": self._errors.status(now),
            "silence_s": None if self._heard_at is None else round(now - self._heard_at, 1),
        }

    def _words(self, now: float) -> tuple[str, str]:
        if not self._open:
            return "missing", self._reason or "not opened yet"
        if self.wrong:
            return (
                "wrong-device",
                f"wrong device: a device of the driver {self.wrong!r} speaks here, not {self.driver!r}",
            )
        if self.search is not None and not self.search.is_found:
            return "searching", f"the speed is looked for; now {self.search.line}"
        if self._heard_at is None:
            return "silent", "open; its device has said nothing yet"
        if not self._is_provable:
            return "heard", "its device has spoken"
        if self._suspicion.own_at is not None:
            return "heard", "its device was understood"
        return "unproven", "something came; no whole message of its device yet"
