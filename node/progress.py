"""What a link can tell of itself: counters, rates, and how far each object is. For people and for programs."""

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Final

METER_S: Final = 15.0
METER_STEPS_MAX: Final = 64


@dataclass
class Counters:
    """What went over one link, over all its sessions. Wire bytes are frames with their bearer's overhead."""

    wire_sent: int = 0
    wire_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    frames_lost: int = 0
    frames_refused: int = 0
    handshakes: int = 0
    probes: int = 0


@dataclass(frozen=True)
class ObjectProgress:
    """How far one object is; `eta_s` is None while the rate is not known."""

    object_id: str
    kind: str
    priority: int
    state: str
    size: int
    done: int
    eta_s: float | None


@dataclass(frozen=True)
class Progress:
    """One link, now."""

    connected: bool
    bearer: str
    silence_s: float
    rtt_s: float | None
    rate_bps: float
    sending: list[ObjectProgress]
    receiving: list[ObjectProgress]
    payload_sent: int
    payload_received: int
    segments_sent: int
    segments_resent: int
    segments_twice: int
    counters: Counters = field(default_factory=Counters)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, the counters beside the rest."""
        plain = asdict(self)
        counters: dict[str, Any] = plain.pop("counters")
        return plain | counters


class Meter:
    """Bytes per second over the last METER_S seconds."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque(maxlen=METER_STEPS_MAX)

    def note(self, size: int, now: float) -> None:
        if self._steps and now - self._steps[-1][0] < METER_S / METER_STEPS_MAX:
            at, before = self._steps.pop()
            self._steps.append((at, before + size))
        elif size:
            self._steps.append((now, size))

    def rate(self, now: float) -> float:
        """Return bytes per second."""
        steps = [(at, size) for at, size in self._steps if now - at <= METER_S]
        if len(steps) < 2:
            return 0.0
        return sum(size for _, size in steps[1:]) / max(now - steps[0][0], 0.001)
