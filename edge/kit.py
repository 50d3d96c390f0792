"""The kit: capture, journal, spool, link and panel joined into one object.

Synchronous and driven from outside: bytes of ports come by `heard`, frames by the link's own calls, time by `tick`;
what must go out to a device is returned. The daemon drives it with real ports and sockets, the simulation in virtual
time. May call `edge`, `node`, `wire`.

What survives a crash at any instant: every committed entry, every object of the spool with its state, and the
worklist. Opening a kit recovers: unfinished studies are closed, signed and spooled. What does not: sessions (begun
anew), the label that was scanned (it is scanned again), and what a device had not been told is acknowledged (it sends
again).

A disk that fails stops all intake: devices are refused, the panel says so, and `reopen` begins anew with recovery. An
object that alone cannot be read is set aside in `refused` with the reason, and all others go on.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from edge import coding, imports
from edge.capture import Capture, Happened
from edge.config import KitConfig
from edge.line_errors import LineErrors
from edge.panel import Condition, Lamps, Panel
from edge.timekeeping import MachineClock, Timekeeping, nothing_known
from edge.watched_ports import Ports
from edge.worklist import FromCentre, Worklist
from node.admission import Admits, admits_usually
from node.clock import Clock
from node.disk import Disk
from node.enrolment import Contact, KitEnrolment
from node.entropy import Entropy
from node.journal import Limits, Studies
from node.link import Caller, CallerState, Event
from node.rereading import UnreadableError, read_object
from node.seams import Bearer, Offer, Refusal
from node.spool import Spool, State
from node.tracing import NO_TRACE, Trace
from wire.errors import AuthError, ConfigError, DiskError, DiskFull, FormatError, UsageError
from wire.noise import KeyPair
from wire.objects import STUDY
from wire.receipt import verify_receipt
from wire.record import Patient

ATTENTION_S: Final = 300.0
"""How long the alarm LED asks for a look after a fault that lost nothing."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Objects by state, for the panel and `kit status`."""

    waiting: int
    custody: int
    received: int
    refused: int


class ToCentre:
    """The outbox of the kit (`node.seams.Outbox`): the spool, which lets go only for a receipt signed by the centre."""

    def __init__(self, spool: Spool, server_sign_public: bytes, complain: Callable[[str], None]) -> None:
        self._spool = spool
        self._server_sign_public = server_sign_public
        self._complain = complain
        self.changed = True
        """Objects have other states than when this was last set to False."""

    def pending(self) -> Sequence[Offer]:
        return self._spool.pending()

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        return read_object(self._spool, object_id, offset, size)

    def in_custody(self, object_id: bytes) -> None:
        with self._noting():
            self._spool.in_custody(object_id)

    def receipt(self, object_id: bytes, receipt: bytes) -> None:
        """Keep the receipt when it is the centre's word on these very bytes; a false one changes nothing."""
        held = self._spool.get(object_id)
        if held is None:
            return
        try:
            verify_receipt(receipt, self._server_sign_public, object_id, held.digest)
        except (AuthError, FormatError) as error:
            self._complain(f"a receipt for object {object_id.hex()} is not the centre's: {error}; the object is kept")
        else:
            with self._noting():
                self._spool.receipt(object_id, receipt)

    def refused(self, object_id: bytes, refusal: Refusal | str) -> None:
        with self._noting():
            self._spool.refused(object_id, refusal)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        """What there is no room to note will be heard again, for the object is offered again."""
        self.changed = True
        try:
            yield
        except DiskFull as error:
            self._complain(f"{error}; what was heard of an object will be heard again")
            raise


class Kit:
    """See the module's text. `on_event` gets one line for the log with its kind: `(kind, text)`."""

    def __init__(
        self,
        config: KitConfig,
        enrolment: KitEnrolment,
        disk: Disk,
        clock: Clock,
        entropy: Entropy,
        lamps: Lamps,
        on_event: Callable[[str, str], None] = lambda kind, text: None,
        trace: Trace = NO_TRACE,
        machine: Callable[[], MachineClock] = nothing_known,
    ) -> None:
        self.trace = trace
        self.config, self.enrolment = config, enrolment
        self._disk, self._clock, self._entropy = disk, clock, entropy
        self._on_event = on_event
        self.panel = Panel(lamps)
        self._attention_until = 0.0
        self._missing: set[str] = set()
        self._fresh = self._failed = self._full = self._crossed = False
        self._imports_wait: set[str] = set()
        """Folders in which studies wait for room."""
        self.denied = False
        """The gateway does not know our key, or not any more."""
        self.stick_busy = self.stick_ready = False
        """A stick is in and must stay there, or may be pulled out (`node/carrying.py`)."""
        self.is_held_back = self.person_wanted = False
        """Set by who keeps the ways: policy lets studies wait; a modem waits for a person."""
        self._admits: Admits = admits_usually
        if not enrolment.gateways:
            raise ConfigError(f"kit {enrolment.name}: its enrolment names no gateway")
        self._contact = 0
        self._open_stores()
        self.timekeeping = Timekeeping(clock, machine, ZoneInfo(config.policy.zone))
        self.capture = Capture(
            self.studies,
            clock,
            enrolment.name,
            self._captured,
            orders=self.worklist,
            timekeeping=self.timekeeping,
            coded=coding.coder(config.codes),
        )
        for port in config.port:
            self.capture.attach(port.name, port.driver, port.options, port.bind)
        self.ports = Ports(config.port, self.capture, disk, self._speed_told)
        self._missing.update(self.capture.ports)
        self.caller = self._call()
        self.link = Link(self)

    # Devices

    def present(self, port: str, device: str = "") -> None:
        """The port is open: its device can be heard. `device`: what its name stands for at present."""
        self._missing.discard(port)
        self.ports.appeared(port, device, self._clock.now())

    def heard(self, port: str, data: bytes, now: float) -> bytes:
        """Take what a device sent; return what to send it. What is acknowledged in it has been committed."""
        answer = self.ports.heard(port, data, now)
        self.settle(now)
        return answer

    def lost(self, port: str, now: float, reason: str = "") -> None:
        """The port vanished."""
        self._missing.add(port)
        self.ports.vanished(port, reason, now)
        self.settle(now)

    def dropped(self, port: str, count: int, now: float) -> None:
        """So many bytes of the port were lost before they were taken."""
        self.ports.dropped(port, count, now)
        self.settle(now)

    def counted(self, port: str, errors: LineErrors, now: float) -> None:
        """The line's own counters of what was garbled or lost, since it is open."""
        self.ports.counted(port, errors, now)

    # Files that somebody brings

    def take_imports(self, now: float, folder: str = imports.FOLDER, count: int | None = None) -> None:
        """Look for studies that `kit import` (or an inbox, in its folder) has made, and for questions of the former.

        To be called each second or so. `count`: take so many objects at most, for each takes some fsyncs.
        """
        if self.disk_failed:
            return
        try:
            for ask in imports.asks(self._disk):
                imports.answer(self._disk, ask, self.label(now), self._entropy)
            for one in islice(imports.take_up(self._disk, self.spool, folder), count):
                self._fresh = self.outbox.changed = True
                if one.kind == STUDY:
                    self._on_event("imported", one.object_id.hex())
            self._imports_wait.discard(folder)
        except (DiskFull, UsageError) as error:  # the latter: a file there that is no work of ours
            if folder not in self._imports_wait:
                self.alarm(f"{error}; what was imported waits in {folder}/")
            self._imports_wait.add(folder)
        except DiskError as error:
            self.fail(error)
        self.settle(now)

    def expire_worklist(self, now: float) -> None:
        """Erase the days of the worklist that are over. To be called each second or so."""
        if self.disk_failed:
            return
        try:
            self.worklist.expire()
        except DiskError as error:
            self.fail(error)
            self.settle(now)

    def make_room(self, wanted: int) -> None:
        """Let received studies go until so many bytes of the card are free, as far as there are any."""
        if self.disk_failed:
            return
        try:
            if self._disk.free() < wanted and self.spool.prune(wanted):
                self.outbox.changed = True
        except DiskError as error:
            self.fail(error)

    def label(self, now: float) -> Patient | None:
        """Return whose label is in force for what begins now."""
        scanned = self.capture.label(now)
        return Patient(scanned.id, "barcode", scanned.checked, self._clock.time_ms()) if scanned else None

    # Time

    def tick(self, now: float) -> Mapping[str, bytes]:
        """Let time pass for the devices; return what to send them, by port. To be called at `deadline()`."""
        sends = self.ports.tick(now)
        self.settle(now)
        return sends

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called. The link has a deadline of its own."""
        return self.ports.deadline()

    # The link, as its bearers see it

    @property
    def gateway(self) -> Contact:
        """The gateway that is called now."""
        return self.enrolment.gateways[self._contact]

    def next_gateway(self) -> Contact:
        """Turn to the next gateway of the enrolment: the one before has been silent for too long."""
        self._contact = (self._contact + 1) % len(self.enrolment.gateways)
        self.caller = self._call()
        return self.gateway

    def call_gateway(self, name: str) -> None:
        """Turn to the gateway of this name ("": the first): the way that is used from now on leads there."""
        names = [contact.name for contact in self.enrolment.gateways]
        contact = names.index(name) if name else 0
        if contact != self._contact:
            self._contact = contact
            self.caller = self._call()

    def heed(self, admits: Admits) -> None:
        """Let `admits` say from now on what may go over which bearer."""
        self._admits = self.caller.admits = admits

    def crossed(self) -> bool:
        """Tell whether capture has given the link something to do since the last call: the link's deadline is new."""
        crossed, self._crossed = self._crossed, False
        return crossed

    # Stores

    def reopen(self) -> None:
        """After a failed disk: open the stores anew, with recovery. Raises DiskError when the disk still fails."""
        self._open_stores()
        self.capture.reopen(self.studies)
        self.capture.orders = self.worklist
        self._failed = self._full = False
        self._call_anew(self._clock.now())
        self._crossed = True
        self.settle(self._clock.now())

    @property
    def disk_failed(self) -> bool:
        """The stores are closed until `reopen`."""
        return self._failed or self.capture.disk_failed

    def counts(self) -> Counts:
        """Return how many objects are where."""
        number = self.spool.counts()
        return Counts(number[State.WAITING], number[State.CUSTODY], number[State.RECEIVED], number[State.REFUSED])

    def stop(self, now: float) -> None:
        """Orderly end: open studies are closed and spooled."""
        self.capture.stop(now)

    # Within

    def _open_stores(self) -> None:
        enrolment, limits = self.enrolment, self.config.limits
        self.spool = Spool(self._disk)
        self.studies = Studies(
            self._disk,
            self._clock,
            self._entropy,
            enrolment.server_seal_public,
            enrolment.sign_secret,
            self.spool,
            kit=enrolment.name,
            limits=Limits(study_size_max=limits.study_bytes_max, study_room=limits.study_room_bytes),
        )
        self.recovered = self.studies.recover()
        for study in self.recovered.alarms:
            self.alarm(f"study {study.study_id.hex()}: {study.lost_bytes} bytes in a hole are lost; see broken/")
        self.outbox = ToCentre(self.spool, enrolment.server_sign_public, self.alarm)
        self.worklist = Worklist(self._disk, self._clock, enrolment, lambda text: self._on_event("worklist", text))
        self.inbox = FromCentre(self._disk, self.worklist, limits.study_room_bytes)

    def _call(self) -> Caller:
        identity = KeyPair.from_secret(self.enrolment.link_secret)
        gateway, psk = self.gateway.public, self.enrolment.psk
        caller = Caller(identity, gateway, psk, self.outbox, self.inbox, self._entropy, trace=self.trace)
        caller.admits = self._admits
        return caller

    def _call_anew(self, now: float) -> None:
        self.caller = self._call()
        if self.link.bearer is not None:
            self.caller.bearer_up(self.link.bearer, now)

    def fail(self, error: DiskError) -> None:
        """The disk failed under the link: all stops until `reopen`."""
        self._failed = True
        self._on_event("disk-failed", str(error))

    def set_aside(self, unreadable: UnreadableError, now: float) -> None:
        """Put an object that cannot be read out of the way, and go on with the others in a new session."""
        self.alarm(f"{unreadable}; it is set aside in {State.REFUSED.value}")
        self.outbox.refused(unreadable.object_id, str(unreadable))
        self._call_anew(now)

    def alarm(self, text: str) -> None:
        """Ask for a look: nothing is lost, and somebody should know."""
        self._attention_until = self._clock.now() + ATTENTION_S
        self._on_event("alarm", text)

    def note(self, kind: str, text: str) -> None:
        """Write one line to the log."""
        self._on_event(kind, text)

    def _speed_told(self, text: str, *, is_alarm: bool) -> None:
        """What the search for a device's speed has to say."""
        self.alarm(text) if is_alarm else self.note("speed", text)

    def _captured(self, happened: Happened) -> None:
        if happened.kind in {"fault", "refused"}:
            self._attention_until = self._clock.now() + ATTENTION_S
        if happened.kind in {"refused", "opened", "committed"}:
            self._full = happened.kind == "refused"
        if happened.kind == "closed":
            self._fresh = self.outbox.changed = True
        self._on_event(happened.kind, f"{happened.port}: {happened.text} {happened.study_id.hex()}".rstrip())

    def settle(self, now: float) -> None:
        """Tell the link of a new study, the log of what the link did, and the panel of all of it."""
        if self._fresh:
            self._fresh, self._crossed = False, True
            self.link.nudge(now)
        for event in self.caller.events():
            self._link_event(event)
        if self.outbox.changed:
            self._counts, self.outbox.changed = self.counts(), False
        self.panel.condition = Condition(
            devices_present=len(self.capture.ports) - len(self._missing),
            devices_missing=len(self._missing),
            devices_wrong=len(self.ports.wrong),
            capturing=self.capture.capturing,
            link_up=self.caller.state is CallerState.UP,
            waiting=self._counts.waiting,
            unconfirmed=self._counts.custody,
            held_back=self.is_held_back,
            attention=now < self._attention_until or self.person_wanted,
            refused=self.denied or self._counts.refused > 0,
            disk_failed=self.disk_failed or self._full,
            stick_busy=self.stick_busy,
            stick_ready=self.stick_ready,
        )

    def _link_event(self, event: Event) -> None:
        if event.kind == "session":
            self.denied = False
        elif event.kind == "denied":
            if self.denied:
                return  # said once, not with every call
            self.denied = True
        self._on_event(event.kind, event.text)


class Link:
    """The kit's link as its bearers see it (a synchronous node of `node.reactor`). A failed disk is met by the kit."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.bearer: Bearer | None = None

    def bearer_up(self, bearer: Bearer, now: float) -> None:
        """A bearer to the gateway can carry frames from now on."""
        self.bearer = bearer
        self._do(lambda: self._kit.caller.bearer_up(bearer, now), now)

    def bearer_down(self, bearer: Bearer, now: float) -> None:
        """A bearer is gone."""
        self.bearer = None if bearer is self.bearer else self.bearer
        self._do(lambda: self._kit.caller.bearer_down(bearer, now), now)

    def receive(self, bearer: Bearer, frame: bytes, now: float) -> None:
        """A frame has come. Never raises on hostile bytes."""
        self._do(lambda: self._kit.caller.receive(bearer, frame, now), now)

    def nudge(self, now: float) -> None:
        """The outbox has something new."""
        self._do(lambda: self._kit.caller.nudge(now), now)

    def tick(self, now: float) -> None:
        """Let time pass; to be called at `deadline()`, or earlier."""
        self._do(lambda: self._kit.caller.tick(now), now)

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called."""
        return None if self._kit.disk_failed else self._kit.caller.deadline()

    def _do(self, call: Callable[[], None], now: float) -> None:
        if self._kit.disk_failed:
            return
        todo: Callable[[], None] | None = call
        while todo is not None:
            todo = self._attempt(todo, now)
        self._kit.settle(now)

    def _attempt(self, call: Callable[[], None], now: float) -> Callable[[], None] | None:
        """Make a call; return what is to be done because of it."""
        try:
            call()
        except UnreadableError as error:
            unreadable = error
            return lambda: self._kit.set_aside(unreadable, now)
        except DiskFull as error:
            self._kit.alarm(str(error))
        except DiskError as error:
            self._kit.fail(error)
        return None
