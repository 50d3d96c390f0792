"""A modem whose life is a script: the seam of modems (`seam.py`) around the AT engine.

A subclass writes two scripts: `life`, which never ends by itself, and `farewell`, which ends soon. What it wants to
tell its ears it posts; it is told after the engine has come to rest, so that an ear may send, close or hang up at once.
Owns the power of the modem: a cycle that has begun is ended even if the line vanishes with the supply. Nothing of it
survives the process.
"""

import abc
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from node.modems.at import Controls, Engine, NoControls, Pause, Script
from node.modems.pin import NoNotes, Notes
from node.modems.seam import Bearer, Ears, ModemState, ModemStatus, Power

POSTS_MAX: Final = 4096
"""More untold news than that cannot be: ears are told after each step."""
ROUNDS_MAX: Final = 64
LEAVE_S_MAX: Final = 4.0
"""A script has so long to come to an end of itself when the modem is to hang up."""
POWER_OFF_S: Final = 5.0
"""So long without supply, or with its key released: a capacitor of 1000 uF is empty by then."""
BOOT_S: Final = 8.0
MISSING_S: Final = 30.0
"""A modem on USB has its line so long after it was switched on; if not, its supply is cut for a moment, and after twice
as long again, and so on up to the maximum."""
MISSING_S_MAX: Final = 900.0


class NoPower:
    """The supply is not in our hands."""

    def set(self, on: bool) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Hands:
    """What a modem is given of the outside. `wake`: call it when `deadline` changes outside `feed` and `tick`."""

    entropy: Callable[[int], bytes]
    controls: Controls = field(default_factory=NoControls)
    power: Power = field(default_factory=NoPower)
    pin_notes: Notes = field(default_factory=NoNotes)
    wake: Callable[[], None] = lambda: None


class ScriptedModem(abc.ABC):
    """See the module's text."""

    def __init__(self, ears: Ears, hands: Hands, urcs: tuple[str, ...] = ()) -> None:
        self.engine = Engine(urcs)
        self.controls = hands.controls
        self._ears, self._power, self._wake = ears, hands.power, hands.wake
        self._news: deque[Callable[[float], None]] = deque()
        self._is_telling = False
        self._is_open = self.is_leaving = self._is_saying_farewell = False
        self._leave_by: float | None = None
        self._power_at: float | None = None
        self._off_at = float("-inf")
        self._missing_until: float | None = None
        """Until when a line that is not there is waited for, before the supply is cut."""
        self._missing_s = MISSING_S
        self._now = 0.0
        self.state = ModemState.OFF

    # What a subclass writes

    @abc.abstractmethod
    def life(self) -> Script[None]:
        """Run from `open` until the line is lost. Ends soon once `is_leaving`, where it can see that."""

    @abc.abstractmethod
    def farewell(self) -> Script[None]:
        """End every connection and spare energy. The line may be in any state. Raises nothing."""

    @abc.abstractmethod
    def let_go(self) -> None:
        """Take the bearer down (`post_down`): the life has ended, perhaps in the middle of anything."""

    @abc.abstractmethod
    def status(self) -> ModemStatus: ...

    # The seam

    def open(self, now: float) -> None:
        if self._is_open and not self.is_leaving:
            return
        self._is_open, self.is_leaving, self._is_saying_farewell, self._leave_by = True, False, False, None
        self._now, self.engine.booted_at, self._missing_until = now, now, None
        self.let_go()
        if self._power_at is None and now < self._off_at + POWER_OFF_S:
            self._power_at = self._off_at + POWER_OFF_S
        elif self._power_at is None:
            self._power.set(True)
        self.state = ModemState.STARTING
        self.engine.start(self.life(), now)
        self._settle(now)

    def lost(self, now: float) -> None:
        if self.is_leaving:
            self._switch_off(now)
        self._is_open, self.is_leaving, self._leave_by = False, False, None
        self.engine.stop()
        self.let_go()
        self.state = ModemState.OFF
        self._settle(now)

    def missing(self, now: float) -> None:
        """Switch it on; when it does not come, off and on, ever less often."""
        if self._is_open or self._power_at is not None or isinstance(self._power, NoPower):
            return
        if self._missing_until is None:
            self._missing_s = MISSING_S
            self._power.set(True)
        elif self._missing_until <= now:
            self._missing_s = min(2 * self._missing_s, MISSING_S_MAX)
            self.cycle_power(now)
        else:
            return
        self._missing_until = now + self._missing_s

    def hang_up(self, now: float) -> None:
        if self._missing_until is not None:
            self._missing_until = None
            self._switch_off(now)
        if not self._is_open or self.is_leaving:
            return
        self.is_leaving, self._leave_by = True, now + LEAVE_S_MAX
        if self.state is ModemState.UP:
            self.engine.poke()
        else:
            self._say_farewell(now)
        self._settle(now)

    def feed(self, data: bytes, now: float) -> None:
        self.engine.feed(data, now)
        self._settle(now)

    def tick(self, now: float) -> None:
        if self._power_at is not None and self._power_at <= now:
            self._power_at = None
            self._power.set(True)
            self.engine.booted_at = now
        if self._leave_by is not None and self._leave_by <= now:
            self._say_farewell(now)
        self.engine.tick(now)
        self._settle(now)

    def deadline(self) -> float | None:
        if self._news:
            return self._now
        return min(
            (at for at in (self.engine.deadline(), self._power_at, self._leave_by) if at is not None), default=None
        )

    def output(self) -> bytes:
        return self.engine.output()

    # What a subclass calls

    def post(self, news: Callable[[float], None]) -> None:
        """Tell the ears something, soon."""
        if len(self._news) < POSTS_MAX:
            self._news.append(news)

    def post_up(self, bearer: Bearer) -> None:
        self.post(lambda now: self._ears.bearer_up(bearer, now))

    def post_down(self, bearer: Bearer) -> None:
        self.post(lambda now: self._ears.bearer_down(bearer, now))

    def post_frame(self, bearer: Bearer, frame: bytes) -> None:
        self.post(lambda now: self._ears.receive(bearer, frame, now))

    def post_room(self) -> None:
        self.post(self._ears.tick)

    def poke(self) -> None:
        """There is something to do for the life: called by bearers, from anywhere."""
        self.engine.poke()
        if not self._is_telling:
            self._wake()

    def cycle_power(self, now: float) -> float:
        """Switch it off, and on again later; return after how many seconds it will answer."""
        self._power.set(False)
        self._power_at = now + POWER_OFF_S
        return POWER_OFF_S + BOOT_S

    def power_holds(self) -> None:
        """The modem answers, so it is on: a power key learns from that how things stand."""
        self._power.set(True)

    def power_returned(self, reset_s: float) -> Script[None]:
        """Wait until a cycle of the power that is under way is over, and the modem has had `reset_s` to start."""
        if self._power_at is not None:
            yield Pause(self._power_at - self.engine.now + reset_s)

    # Coming to rest

    def _settle(self, now: float) -> None:
        """Tell what there is to tell, and let the life go on with what that brought, until both are at rest."""
        self._now = now
        if self._is_telling:
            return
        self._is_telling = True
        try:
            for _ in range(ROUNDS_MAX):
                self._tell(now)
                self._leave(now)
                due = self.engine.deadline()
                if due is None or due > now:
                    if not self._news:
                        return
                    continue
                self.engine.tick(now)
        finally:
            self._is_telling = False

    def _tell(self, now: float) -> None:
        while self._news:
            self._news.popleft()(now)

    def _leave(self, now: float) -> None:
        """The life has ended: say farewell; the farewell has: be off."""
        if not self.is_leaving or not self.engine.is_idle:
            return
        if not self._is_saying_farewell:
            self._say_farewell(now)
        else:
            self._is_open = self.is_leaving = False
            self._leave_by = None
            self._switch_off(now)
            self.state = ModemState.OFF

    def _switch_off(self, now: float) -> None:
        self._power_at = None
        self._power.set(False)
        self._off_at = now

    def _say_farewell(self, now: float) -> None:
        self._is_saying_farewell, self._leave_by = True, None
        self.let_go()
        self.state = ModemState.RESTING
        self.engine.start(self.farewell(), now)


__all__ = ["BOOT_S", "POWER_OFF_S", "Hands", "NoPower", "ScriptedModem"]
