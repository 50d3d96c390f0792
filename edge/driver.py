"""The seam between a device's protocol and the kit: what a driver is given, and what it may say.

A driver is a pure object: bytes and time in, events out. It does no I/O, reads no clock, starts no thread and raises
nothing, whatever it is fed; what it holds is bounded. So a recording replayed in a test, a pty and a cable in the
van run the same code, and a study can be replayed years later.

The one promise that everything else rests on: **a driver never releases a device's acknowledgement itself.** It says
`Commit(token=...)` and goes on only when `committed(token)` tells it that the bytes are durable, or
`refused(token)` that they are not. While a token is out, a driver keeps what arrives and reads no further.

One driver is one module that has `FACTS` and `create(options)`; `edge.registry` finds it by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

from wire.tag import Tag
from wire.waveform import Waveform
from wire.worklist import Order

Headline = tuple[str, str, str]
"""Name, value and unit, as they should stand on one line of a list."""

HEADLINE_LINES_MAX: Final = 8
RAW_SIZE_MAX: Final = 1 << 18
"""Bytes of raw that one Commit may carry; a driver that heard more makes several."""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the device, now."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Reserve:
    """The device asks whether we are ready. Answered by `committed(token)` (there is room) or `refused(token)`."""

    token: int


@dataclass(frozen=True, slots=True)
class StudyBegins:
    """What follows on this port belongs to a new study. A study that was open on the port must have ended before."""

    form: str
    model: str = ""
    serial: str = ""
    is_earlier: bool = False
    """Measured before now, out of a device's memory: neither the label nor the place of now counts for it."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A waveform whose first sample came at `began` (the `now` of the seam); capture sets its date."""

    began: float
    waveform: Waveform


@dataclass(frozen=True, slots=True)
class Commit:
    """One journal entry: the bytes as they came, and what was read from them. `token`: tell me when it is durable.

    A Commit or Reserve with a token is the last event of its list: what follows depends on the answer.
    """

    raw: bytes = b""
    tags: tuple[Tag, ...] = ()
    token: int | None = None
    waveforms: tuple[Sampled, ...] = ()
    patient_id: str = ""
    """The patient as the device names them in this entry. Kept as the study's patient when no label was scanned."""


@dataclass(frozen=True, slots=True)
class StudyEnds:
    """The study on this port is complete, or as complete as it will ever be (`partial` with the reason)."""

    qc: bool = False
    partial: str = ""
    patient_ids: tuple[str, ...] = ()
    """Every id by which the device may mean a patient, trimmed; compared with what was scanned."""
    headline: tuple[Headline, ...] = ()
    model: str = ""
    """What the device calls itself, where that was learnt only after the beginning."""


@dataclass(frozen=True, slots=True)
class PatientScanned:
    """A label was read. `checked`: its check digit holds (a label without a scheme is not checked)."""

    id: str
    checked: bool
    symbology: str = ""


@dataclass(frozen=True, slots=True)
class PatientReleased:
    """The label that ends a patient's visit was read: the next study belongs to nobody yet."""


@dataclass(frozen=True, slots=True)
class Located:
    """The kit is here. `utc`: what the satellites' clock said at `at` (the seam's `now`); None: it is not known."""

    latitude: str
    longitude: str
    """Decimal degrees, south and west negative."""
    at: float
    utc: datetime | None = None
    altitude_m: str = ""
    satellites: str = ""
    hdop: str = ""
    sentences: tuple[str, ...] = ()
    """What it was read from, as received."""


@dataclass(frozen=True, slots=True)
class ClockRead:
    """The device said what its own clock shows: `reading` at `at` (the seam's `now`).

    Only for the clock as it stands, not for when something was measured. `reading` names its zone when the device does;
    else it is the local time of the kit's place. The study that is open, and those of the next hour, tell the offset.
    """

    text: str
    """As received."""
    reading: datetime
    at: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something a person at the kit should see on the panel. `code` is a short fixed word, `text` says what and why."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something the study's reader should know; kept in the study when one is open, in the log in any case."""

    text: str


@dataclass(frozen=True, slots=True)
class OperatorScanned:
    """A badge was read: who works with the devices from now on."""

    id: str
    checked: bool
    symbology: str = ""


@dataclass(frozen=True, slots=True)
class OrdersWanted:
    """The device asks what is ordered. Answered at once by `Asking.ordered(token)`, from the kit's worklist.

    `ids`: of patients or samples; none: all that is ordered.
    """

    token: int
    ids: tuple[str, ...]


Event = (
    Send
    | Reserve
    | StudyBegins
    | Commit
    | StudyEnds
    | PatientScanned
    | PatientReleased
    | OperatorScanned
    | OrdersWanted
    | Located
    | ClockRead
    | Fault
    | Note
)


class Driver(Protocol):
    """See the module's text. `now` is monotonic seconds and never goes back."""

    def feed(self, data: bytes, now: float) -> list[Event]: ...
    def tick(self, now: float) -> list[Event]: ...

    def committed(self, token: int, now: float) -> list[Event]:
        """Everything up to and with the Commit or Reserve of this token is durable."""
        ...

    def refused(self, token: int, now: float) -> list[Event]:
        """The disk did not take it. What was in the Commit is not kept: the device must be made to send it again."""
        ...

    def lost(self, now: float) -> list[Event]:
        """The port vanished. What was open is ended as partial, or waits for its return."""
        ...

    def deadline(self) -> float | None:
        """When `tick` wants to be called next."""
        ...


@runtime_checkable
class Asking(Protocol):
    """A driver that says `OrdersWanted`."""

    def ordered(self, token: int, orders: Sequence[Order], now: float) -> list[Event]:
        """These lines of the worklist have one of the ids: empty when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """Settings of a serial line, as the manual gives them."""

    baud: int = 9600
    data_bits: int = 8
    parity: str = "N"
    stop_bits: float = 1

    def __str__(self) -> str:
        return f"{self.baud} {self.data_bits}{self.parity}{self.stop_bits:g}"


@dataclass(frozen=True, slots=True)
class Option:
    """One key that a port's configuration may hold for this driver."""

    name: str
    default: str | int | float | bool
    about: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a driver declares about itself and its device."""

    name: str
    version: str
    title: str
    manual: str
    """The document, revision and section that the code was written from."""
    form: str
    lines: tuple[Line, ...] = (Line(),)
    """Settings to try, the most likely first."""
    options: tuple[Option, ...] = ()


class DriverModule(Protocol):
    """What a module must have to be a driver."""

    @property
    def FACTS(self) -> Facts: ...  # noqa: N802  (a module's constant)

    def create(self, options: Mapping[str, object]) -> Driver:
        """Return a new driver. Raises ConfigError that names the option, what it is and what it may be."""
        ...
