"""A bearer through the sockets inside a modem: connect, send, fetch what came, over and over, whoever made the modem.

A `Stack` is a maker's commands (`sim800.py`, …); everything else is here, once. A UDP frame is one send and one fetch.
On TCP each frame stands behind its length, u16, as on any TCP bearer (`node/bearers.py`), so an ordinary gateway
understands it; when bytes of the stream were lost on the serial line, the connection is given up.

The modem takes bytes at the pace of the air, not of the serial line: what it has not taken waits in a bounded queue,
and as long as anything waits there the bearer has no room. What the modem has taken may be lost with the connection;
the link sends it again. An unsolicited line that was lost costs `POLL_S`: then the modem is asked. Nothing survives.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from node.modems.at import Idle, Pause, Script
from node.modems.care import GsmModem
from node.modems.faults import AtFault, CallFailed, CmeError, CommandFailed, Garbled, NetworkLost, NoAnswer
from node.modems.gsm import Plan
from node.modems.quirks import Quirk
from node.modems.scripted import Hands
from node.modems.seam import Ears, ModemState
from node.modems.sync import synchronise
from node.url import Url
from wire.session import FRAME_SIZE_MAX

UDP_MTU: Final = 1400
TCP_MTU: Final = 1446
UDP_OVERHEAD, TCP_OVERHEAD = 28, 2 + 52
QUEUE_COUNT_MAX: Final = 32
QUEUE_SIZE_MAX: Final = 4 * (TCP_MTU + 2)
"""Frames that were sent without asking for room wait up to here; then they are lost."""
POLL_S: Final = 5.0
LOOK_S: Final = 60.0
FULL_S_MIN, FULL_S_MAX = 0.1, 2.0
"""A modem that takes nothing is asked again after so long, doubled each time."""
FAILS_MAX: Final = 3
"""Sends that fail in a row before a connection is given up: one datagram is no reason."""
GARBLED_S: Final = 0.3
"""What is left of an answer that lost bytes has come by then."""
RECONNECTS_MAX: Final = 3
RECONNECT_S: Final = 1.0


LOST: Final = "bytes of the line were lost"
SHORT_ADVICE: Final = "to=tcp:// loses nothing"
LOST_ADVICE: Final = "a shorter cable, a lower baud=, or RTS/CTS wired and rtscts=yes"


class Stack(Protocol):
    """A maker's socket commands, for one connection. Scripts end by a fault of `faults.py`."""

    kind: str
    """What `kind=` of an address calls it."""
    urcs: tuple[str, ...]
    """Prefixes of its unsolicited lines."""
    send_size_max: int

    def start(self, plan: Plan) -> Script[None]:
        """Bring the packet context up, from whatever state. Raises NetworkLost, or what the modem says."""

    def connect(self, kind: str, host: str, port: int) -> Script[None]:
        """Open the connection; `kind` is `TCP` or `UDP`. Raises CallFailed when the far end is not there."""

    def send(self, data: bytes) -> Script[int]:
        """Give the modem bytes; return how many it took. Raises CommandFailed for a send that failed."""

    def receive(self) -> Script[bytes]:
        """Fetch what waits (one datagram of UDP); b"" for nothing."""

    def look(self) -> Script[bool]:
        """Return whether the connection is still up."""

    def disconnect(self) -> Script[None]:
        """Close the connection; one that is closed is no fault."""

    def stop(self) -> Script[None]:
        """Let the packet context go."""

    def has_data(self, urc: str) -> bool:
        """Tell whether the line says that there is something to fetch."""

    def ends(self, urc: str) -> AtFault | None:
        """Return what the line says has ended: CallFailed the connection, NetworkLost the context, else None."""


StackOf = Callable[[Quirk], Stack]


class SocketBearer:
    """One connection inside the modem, as the link sees it. `poke` wakes the modem's script."""

    is_message = False

    def __init__(self, name: str, *, is_stream: bool, poke: Callable[[], None]) -> None:
        self.name, self.is_stream, self._poke = name, is_stream, poke
        self.mtu, self.overhead = (TCP_MTU, TCP_OVERHEAD) if is_stream else (UDP_MTU, UDP_OVERHEAD)
        self._queue: deque[bytes] = deque()
        self._unsent = 0
        self._heard = bytearray()
        self.frames_dropped = 0
        self.is_closed = False
        self.pays: Callable[[int, int], bool] = lambda up, down: True
        self.is_begun = False
        """The modem took part of a frame: what it takes of the rest has headers of its own on the bill."""

    @property
    def unsent(self) -> int:
        """Bytes that the modem has not taken."""
        return self._unsent

    def room(self) -> int:
        return 0 if self._unsent or self.is_closed else FRAME_SIZE_MAX

    def send(self, frame: bytes) -> None:
        raw = len(frame).to_bytes(2, "big") + frame if self.is_stream else frame
        is_full = len(self._queue) >= QUEUE_COUNT_MAX or self._unsent + len(raw) > QUEUE_SIZE_MAX
        if self.is_closed or is_full or not 0 < len(frame) <= self.mtu:
            self.frames_dropped += 1
            return
        self._queue.append(raw)
        self._unsent += len(raw)
        self._poke()

    def close(self) -> None:
        self.is_closed = True
        self._queue.clear()
        self._unsent = 0
        self._poke()

    def next(self, size: int) -> bytes:
        """Return what goes to the modem next: one datagram, or up to `size` bytes of the stream."""
        if not self.is_stream:
            return self._queue[0] if self._queue else b""
        data = bytearray()
        for raw in self._queue:
            data += raw[: size - len(data)]
        return bytes(data)

    def taken(self, size: int) -> None:
        """The modem has taken so many bytes of `next`; what is left of a datagram is lost with it."""
        while size > 0 and self._queue:
            raw = self._queue.popleft()
            self.is_begun = len(raw) > size and self.is_stream
            if self.is_begun:
                self._queue.appendleft(raw[size:])
            gone = min(len(raw), size) if self.is_stream else len(raw)
            self._unsent -= gone
            size -= gone

    def frames(self, data: bytes) -> list[bytes]:
        """Return the frames that `data` from the modem completes. Raises CallFailed when it is no stream of frames."""
        if not self.is_stream:
            return [data]
        self._heard += data
        found = []
        while len(self._heard) >= 2:
            size = int.from_bytes(self._heard[:2], "big")
            if not 0 < size <= FRAME_SIZE_MAX:
                raise CallFailed(f"{LOST}: the stream from the far end makes no sense")
            if len(self._heard) < 2 + size:
                break
            found.append(bytes(self._heard[2 : 2 + size]))
            del self._heard[: 2 + size]
        return found


class SocketModem(GsmModem):
    """A modem with sockets, connected to `to` (udp:// or tcp://).

    `stack_of` gives the commands for a model's quirk. Raises UsageError when none are known.
    """

    def __init__(self, ears: Ears, plan: Plan, hands: Hands, to: Url, stack_of: StackOf, name: str) -> None:
        super().__init__(ears, plan, hands)
        self._to, self._stack_of, self._name = to, stack_of, name
        self._stack: Stack | None = None
        self._bearer: SocketBearer | None = None
        self._has_data = False
        self._losses = self._fails = 0
        self._full_s = self._looked_at = self._polled_at = 0.0

    # The life of a modem

    def work(self) -> Script[None]:
        self._stack = stack = self._stack_of(self.quirk)
        self.engine.know(stack.urcs)
        yield from self._start(stack)
        self._losses = 0
        while not self.is_leaving:
            try:
                yield from self._connect(stack)
                yield from self._serve(stack)
            except CallFailed as fault:
                self.let_go()
                self.trouble, self.state = f"{self._to}: {fault}", ModemState.CALLING
                self._losses += 1
                if self._losses > RECONNECTS_MAX:
                    raise
                yield from stack.disconnect()
                yield Pause(RECONNECT_S * self._losses)

    def _start(self, stack: Stack) -> Script[None]:
        """Bring the packet context up; a modem that refuses the commands of another maker is told from its address."""
        try:
            yield from stack.start(self.plan)
        except (CommandFailed, CmeError, NetworkLost) as fault:
            if stack.kind != self.quirk.kind:
                fault.advice = f"kind={stack.kind} is not for {self.model or 'this modem'}: kind=auto asks the modem"
            raise

    def part(self) -> Script[None]:
        if self._stack is not None:
            yield from self._stack.disconnect()
            yield from self._stack.stop()

    def let_go(self) -> None:
        bearer, self._bearer = self._bearer, None
        if bearer is not None:
            bearer.is_closed = True
            self.post_down(bearer)

    # One connection

    def _connect(self, stack: Stack) -> Script[None]:
        self.state = ModemState.CALLING
        self.engine.take_urcs()
        yield from stack.connect(self._to.scheme.upper(), self._to.host, self._to.port)
        self._has_data, self._fails = True, 0
        self._bearer = SocketBearer(self._name, is_stream=self._to.scheme == "tcp", poke=self.poke)
        self.state, self.trouble = ModemState.UP, ""
        self.post_up(self._bearer)

    def _serve(self, stack: Stack) -> Script[None]:
        """Carry frames until the modem is to hang up. Raises what ends it."""
        bearer = self._bearer
        assert bearer is not None  # noqa: S101 - `_connect` made it
        self._looked_at = self._polled_at = self.engine.now
        while not (self.is_leaving and not bearer.unsent):
            self._hear_urcs(stack)
            if bearer.is_closed:
                raise CallFailed("our end has given the connection up")
            try:
                yield from self._take_turns(stack, bearer)
            except NoAnswer as fault:
                yield from self._mend(bearer, fault)

    def _take_turns(self, stack: Stack, bearer: SocketBearer) -> Script[None]:
        """What came, what goes, and now and then a look."""
        if self._has_data or self.engine.now >= self._polled_at + POLL_S:
            yield from self._fetch(stack, bearer)
            self._polled_at = self.engine.now
        if bearer.unsent:
            yield from self._give(stack, bearer)
        elif not self._has_data and not self.is_leaving:
            yield Idle(POLL_S)
        if self.engine.now >= self._looked_at + LOOK_S:
            self._looked_at = self.engine.now
            yield from self._look(stack)

    def _mend(self, bearer: SocketBearer, fault: NoAnswer) -> Script[None]:
        """One answer was lost: go on if the modem hears. What a stream has lost with it, only a new one brings back."""
        self._fails += 1
        yield from synchronise(self.engine, self.controls, self.plan.baud)
        self.trouble = f"{LOST} ({fault}); {LOST_ADVICE}"
        if bearer.is_stream or self._fails >= FAILS_MAX:
            raise CallFailed(self.trouble) from fault

    def _hear_urcs(self, stack: Stack) -> None:
        for urc in self.engine.take_urcs():
            fault = stack.ends(urc)
            if fault is not None:
                raise fault
            self._has_data = self._has_data or stack.has_data(urc)

    def _fetch(self, stack: Stack, bearer: SocketBearer) -> Script[None]:
        try:
            data = yield from stack.receive()
        except Garbled as fault:
            if bearer.is_stream:
                raise CallFailed(str(fault)) from fault
            self.trouble = f"{fault}; {LOST_ADVICE}"
            yield Pause(GARBLED_S)
            return
        self._has_data = bool(data)
        if data:
            self._losses = 0
            self.succeeded()
            for frame in bearer.frames(data):
                self.post_frame(bearer, frame)

    def _give(self, stack: Stack, bearer: SocketBearer) -> Script[None]:
        if bearer.is_begun and not bearer.pays(bearer.overhead, bearer.overhead):
            if self.is_leaving:
                bearer.close()
            yield Pause(FULL_S_MAX)
            return
        data = bearer.next(stack.send_size_max)
        try:
            taken = yield from stack.send(data)
        except (CommandFailed, CmeError) as fault:
            self._fails += 1
            if bearer.is_stream or self._fails >= FAILS_MAX:
                raise CallFailed(str(fault)) from fault
            taken = len(data)
        except NoAnswer:
            if not bearer.is_stream:
                yield from self._took(bearer, len(data))  # it may have gone: again, it would be on the bill twice
            raise
        else:
            self._fails = 0
            if not bearer.is_stream and 0 < taken < len(data):
                self.trouble = (
                    f"the modem takes {taken} bytes of a datagram of {len(data)}, the rest is lost; {SHORT_ADVICE}"
                )
        yield from self._took(bearer, taken)

    def _took(self, bearer: SocketBearer, taken: int) -> Script[None]:
        if taken <= 0:
            self._full_s = min(max(2 * self._full_s, FULL_S_MIN), FULL_S_MAX)
            yield Pause(self._full_s)
            return
        self._full_s = 0.0
        bearer.taken(taken)
        if not bearer.unsent:
            self.post_room()

    def _look(self, stack: Stack) -> Script[None]:
        yield from self.look_around()
        if not (yield from stack.look()):
            raise CallFailed("the connection has ended without a word")


__all__ = ["TCP_MTU", "UDP_MTU", "SocketBearer", "SocketModem", "Stack"]
