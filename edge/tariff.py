"""What it costs to use a way: money, bytes of a plan, and energy from the van's battery. Pure arithmetic.

Everything is counted in whole units, so that a day of small frames adds up exactly: bytes, millionths of the currency
(*micros*), thousandths of a joule. A part of a unit is counted as a whole one: never less than what was spent.

Sources: SBD is billed for each started 50 bytes of a message; a data call for each started minute (operators' price
lists; docs/decisions/0115).
"""

from dataclasses import dataclass
from typing import Final

MESSAGE_BYTES: Final = 50
"""A billed message: so many bytes, the last one perhaps not full."""
MB: Final = 1_000_000
MICROS: Final = 1_000_000
MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True, order=False)
class Amount:
    """What something costs, or how much may be spent."""

    size: int = 0
    """Bytes, with those of lower layers."""
    micros: int = 0
    millijoules: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.size + other.size, self.micros + other.micros, self.millijoules + other.millijoules)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.size - other.size, self.micros - other.micros, self.millijoules - other.millijoules)

    def fits(self, room: "Amount") -> bool:
        """Tell whether no part of it is more than there is room for. What costs nothing always fits."""
        return all(want <= max(have, 0) for want, have in zip(self.parts(), room.parts(), strict=True))

    def least(self, other: "Amount") -> "Amount":
        """Return the smaller of each part."""
        return Amount(*map(min, self.parts(), other.parts()))

    def most(self, other: "Amount") -> "Amount":
        """Return the larger of each part."""
        return Amount(*map(max, self.parts(), other.parts()))

    def parts(self) -> tuple[int, int, int]:
        """Return bytes, micros, millijoules."""
        return self.size, self.micros, self.millijoules


NOTHING: Final = Amount()
UNBOUNDED: Final = Amount(1 << 60, 1 << 60, 1 << 60)
"""What may be spent where there is no limit."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of one way. All are 0 where nothing is said: a cable costs nothing."""

    micros_per_mb: int = 0
    micros_per_message: int = 0
    micros_per_minute: int = 0
    micros_per_call: int = 0
    power_mw: int = 0
    """While it is open, milliwatts."""
    start_mj: int = 0
    """To open it once: boot, registration."""

    def frame(self, size: int) -> Amount:
        """Return what one frame of `size` bytes costs, its overhead included."""
        messages = -(-size // MESSAGE_BYTES)
        return Amount(size, -(-size * self.micros_per_mb // MB) + messages * self.micros_per_message)

    def start(self) -> Amount:
        """Return what opening it costs before anything is carried."""
        return Amount(millijoules=self.start_mj)

    def call(self) -> Amount:
        """Return what a connection costs when it is made."""
        return Amount(micros=self.micros_per_call)

    def minute(self) -> Amount:
        """Return what each started minute of a connection costs."""
        return Amount(micros=self.micros_per_minute)

    def open_for(self, seconds: float) -> Amount:
        """Return what it takes to be open for so long, whether or not anything is carried."""
        return Amount(millijoules=-int(-seconds * self.power_mw // 1))

    def least(self, frame_size: int) -> Amount:
        """Return the cost below which it is not worth opening: a start, a minute, one full frame and its answer."""
        frame = self.frame(frame_size)
        return self.start() + self.call() + self.minute() + self.open_for(MINUTE_S) + frame + frame

    def price(self, size: int) -> int:
        """Return about what `size` bytes cost on their own, micros: what ways are compared by."""
        return self.frame(size).micros + self.micros_per_call + self.micros_per_minute

    @property
    def is_free(self) -> bool:
        """Being open costs nothing, and neither does what is carried."""
        return not any(
            (self.micros_per_mb, self.micros_per_message, self.micros_per_minute, self.micros_per_call, self.power_mw)
        )


FREE: Final = Tariff()
"""A cable: nothing is counted but bytes."""
