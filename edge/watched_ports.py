"""The kit's ports between their owners and capture: who speaks, at which speed, and what was lost.

Synchronous and pure but for the file of `edge.speed.Remembered`; driven by `edge.kit`, and for its one port by
`feldsher kit capture`, in the place of `edge.capture`. What came goes to the port's watch (`edge.port_watch`) first,
and then to its driver, unless the watch says that another device speaks, or that the line must be set otherwise. A byte
reaches one driver only.

What survives a crash: the speeds that were found.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from edge import registry
from edge.capture import Capture
from edge.config import AUTO, Port
from edge.driver import Line
from edge.line_errors import LineErrors
from edge.port_watch import Found, Retune, Right, Troubled, Verdict, Watch, Wrong
from edge.signs import Signs
from edge.speed import Remembered, Search
from node.disk import Disk

RETUNES_MAX: Final = 64
"""Settings that wait for the daemon; it takes them after every call."""


class Tell(Protocol):
    def __call__(self, text: str, *, is_alarm: bool) -> None: ...


class Ports:
    """See the module's text."""

    def __init__(self, ports: Sequence[Port], capture: Capture, disk: Disk | None, tell: Tell) -> None:
        self._capture, self._tell = capture, tell
        self._remembered = Remembered(disk)
        self._watches = {port.name: self._watch(port, ports) for port in ports}
        self._retunes: deque[tuple[str, Line]] = deque(maxlen=RETUNES_MAX)
        for name in self._watches:
            self._try_out(name)

    def _watch(self, port: Port, ports: Sequence[Port]) -> Watch:
        own = registry.signs(port.driver)
        search = None
        if port.baud == AUTO:
            search = Search(registry.find(port.driver).FACTS.lines, own, self._remembered.line(port.name))
        return Watch(port.driver, own, others_of(port, own, ports), search)

    # What the owners of the ports say

    def appeared(self, port: str, device: str, now: float) -> None:
        """The port is open."""
        self._watches[port].appeared(device, now)
        self._try_out(port)

    def vanished(self, port: str, reason: str, now: float) -> None:
        """The port has gone. What comes next on it may be another device: its own driver is asked first."""
        watch = self._watches[port]
        was_wrong = watch.wrong
        watch.vanished(reason, now)
        if was_wrong:
            self._capture.take_back(port, b"", now)
        else:
            self._capture.lost(port, now)

    def tuned(self, port: str) -> None:
        """The line is set as `take_retunes` said last."""
        self._watches[port].tuned()

    def dropped(self, port: str, count: int, now: float) -> None:
        """So many bytes were lost."""
        self._watches[port].dropped(count, now)
        self._capture.dropped(port, count, now)

    def counted(self, port: str, errors: LineErrors, now: float) -> None:
        """The line's counters, since it is open. What this computer has lost is noted in the study that lacks it."""
        if lost := self._watches[port].counted(errors, now):
            self._capture.overrun(port, lost, now)

    def heard(self, port: str, data: bytes, now: float) -> bytes:
        """Take what came; return what to send."""
        watch = self._watches[port]
        if watch.is_turning:
            return b""
        answer, is_taken = self._heed(port, watch.heard(data, now), now)
        if not is_taken:
            answer += self._capture.receive(port, data, now)
        if answer:
            watch.sent(now)
        return answer

    def tick(self, now: float) -> Mapping[str, bytes]:
        """Let time pass; return what to send, by port."""
        sends: dict[str, bytes] = {}
        for name, watch in self._watches.items():
            answer, _ = self._heed(name, watch.tick(now), now)
            if answer:
                sends[name] = answer
        for name, data in self._capture.tick(now).items():
            self._watches[name].sent(now)
            sends[name] = sends.get(name, b"") + data
        return sends

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        times = [at for watch in self._watches.values() if (at := watch.deadline()) is not None]
        due = self._capture.deadline()
        return min([*times, *([due] if due is not None else [])], default=None)

    # What the daemon asks

    def take_retunes(self) -> list[tuple[str, Line]]:
        """Return the lines that are to be set otherwise, oldest first."""
        taken = list(self._retunes)
        self._retunes.clear()
        return taken

    def line(self, port: str) -> Line | None:
        """Return how the line is to be set where its speed is looked for; None where it is given."""
        search = self._watches[port].search
        return None if search is None else search.line

    @property
    def wrong(self) -> list[str]:
        """The ports on which another device speaks."""
        return [name for name, watch in self._watches.items() if watch.wrong]

    def status(self, now: float) -> dict[str, Any]:
        """Return what `kit status` shows, by port."""
        return {name: watch.status(now) for name, watch in self._watches.items()}

    # Verdicts

    def _heed(self, port: str, verdicts: Sequence[Verdict], now: float) -> tuple[bytes, bool]:
        """Do what the watch says; return what to send, and whether what came has been taken."""
        answer, is_taken = b"", False
        for verdict in verdicts:
            match verdict:
                case Wrong(driver, data):
                    mine = self._watches[port].driver
                    text = f"wrong device on port {port}: it speaks as one of driver {driver!r} does, not {mine!r}"
                    self._capture.set_aside(port, text, data, now)
                    is_taken = True
                case Right(data):
                    self._tell(f"{port}: its own device speaks again", is_alarm=False)
                    answer, is_taken = self._capture.take_back(port, data, now), True
                case Troubled(text):
                    self._tell(f"{port}: {text}", is_alarm=True)
                case Retune(line, in_vain_size):
                    self._retune(port, line, in_vain_size, now)
                case Found(line):
                    self._try_out(port)
                    self._remembered.keep(port, line)
                    self._tell(f"{port}: its device speaks at {line}", is_alarm=False)
        return answer, is_taken

    def _retune(self, port: str, line: Line, in_vain_size: int, now: float) -> None:
        self._retunes.append((port, line))
        self._capture.begin_anew(port, now)
        self._try_out(port)
        if in_vain_size:
            what = f"{in_vain_size} bytes came that are no message of its device; the line is now set to {line}"
            self._tell(f"{port}: {what}. A device that does not repeat by itself must send again", is_alarm=True)

    def _try_out(self, port: str) -> None:
        self._capture.trial(port, on=not self._watches[port].is_trusted)


def others_of(port: Port, own: Signs, ports: Sequence[Port]) -> Mapping[str, Signs]:
    """Return whose devices are told from the port's own."""
    if own.told_from == "nobody":
        return {}
    names = {other.driver for other in ports} if own.told_from == "ports" else set(registry.names())
    return {name: registry.signs(name) for name in sorted(names) if name != port.driver}
