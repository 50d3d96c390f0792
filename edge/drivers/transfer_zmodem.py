"""ZMODEM, the receiver: the sender begins, streams, and goes back where something was damaged.

Written from Chuck Forsberg, "The ZMODEM Inter Application File Transfer Protocol" (1988), sections 8 and 11;
`transfer_zframes` has the frames.

    idle       silent; a sender says ZRQINIT
    open       we said ZRINIT; a file, or the end, comes
    file       between packets of a file; we said ZRPOS: send from here
    data       packets stream
    storing    ZEOF came at the right place; ZRINIT is said when the file is durable

It says nothing before it is spoken to, so it can listen on a line whose device it does not know. A remote command
(ZCOMMAND) is never run. A file that is too large is skipped (ZSKIP), and the sender goes on with its next one.
"""

from collections.abc import Callable, Mapping
from typing import Final

from edge.drivers import transfer_zframes as z
from edge.drivers.transfer_files import CANCEL, FILE_SIZE_MAX, Broken, File, Offer, Out, Say, field_of
from wire.errors import Misuse

ANSWER_S: Final = 10.0
RETRY_S: Final = 2.0
"""After the disk had no room."""
ERRORS_MAX: Final = 10
RECEIVER_FLAGS: Final = 0x23 << 24
"""CANFDX, CANOVIO, CANFC32: both ways at once, stores while it receives, knows CRC-32. No limit of a burst."""
READ_SIZE: Final = 4_096

IDLE, OPEN, FILE, DATA, STORING = "idle", "open", "file", "data", "storing"
STATES: Final = (IDLE, OPEN, FILE, DATA, STORING)
EVENTS: Final = ("RQINIT", "SINIT", "FILE", "DATA", "EOF", "FIN", "END", "COMMAND", "OTHER", "PACKET", "BAD", "LOST")
NAMES: Final = {
    z.RQINIT: "RQINIT",
    z.SINIT: "SINIT",
    z.FILE: "FILE",
    z.DATA: "DATA",
    z.EOF: "EOF",
    z.FIN: "FIN",
    z.ABORT: "END",
    z.FERR: "END",
    z.COMMAND: "COMMAND",
}

MOVES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # state, event: next state, action (a method of ZmodemReceiver; it may choose another state)
    # Any header may come in any state, from a sender that was started anew or a line that damages; most say nothing.
    **{(state, event): (state, "ignore") for state in STATES for event in EVENTS},
    (IDLE, "RQINIT"): (OPEN, "invite"),
    (IDLE, "FILE"): (OPEN, "expect_name"),
    (IDLE, "FIN"): (IDLE, "part"),
    (OPEN, "RQINIT"): (OPEN, "invite"),
    (OPEN, "SINIT"): (OPEN, "expect_attention"),
    (OPEN, "FILE"): (OPEN, "expect_name"),
    (OPEN, "PACKET"): (OPEN, "take_head"),
    (OPEN, "EOF"): (OPEN, "invite"),
    (OPEN, "FIN"): (IDLE, "part"),
    (OPEN, "END"): (IDLE, "part"),
    (OPEN, "BAD"): (OPEN, "invite_again"),
    (OPEN, "SILENCE"): (OPEN, "invite_again"),
    (OPEN, "LOST"): (IDLE, "ignore"),
    (FILE, "RQINIT"): (OPEN, "begin_anew"),
    (FILE, "FILE"): (FILE, "expect_name"),
    (FILE, "PACKET"): (FILE, "take_head"),
    (FILE, "DATA"): (DATA, "open_data"),
    (FILE, "EOF"): (STORING, "finish"),
    (FILE, "FIN"): (IDLE, "part"),
    (FILE, "END"): (IDLE, "cancelled"),
    (FILE, "BAD"): (FILE, "go_back"),
    (FILE, "SILENCE"): (FILE, "go_back"),
    (FILE, "LOST"): (IDLE, "vanish"),
    (DATA, "PACKET"): (DATA, "take"),
    (DATA, "END"): (IDLE, "cancelled"),
    (DATA, "BAD"): (FILE, "go_back"),
    (DATA, "SILENCE"): (FILE, "go_back"),
    (DATA, "LOST"): (IDLE, "vanish"),
    (STORING, "STORED"): (OPEN, "confirm"),
    (STORING, "REFUSED"): (FILE, "postpone"),
    (STORING, "LOST"): (IDLE, "vanish"),
}


class ZmodemReceiver:
    """See the module's text. Holds at most one file."""

    def __init__(self) -> None:
        self._state = IDLE
        self._decoder = z.Decoder()
        self._now = self._heard_at = 0.0
        self._errors = 0
        self._awaits = ""
        """What the next packet is: a file's head, or the attention string."""
        self._file = File()
        self._data = bytearray()
        self._actions: Mapping[str, Callable[[z.Item], list[Out]]] = {
            action: getattr(self, f"_{action}") for _, action in MOVES.values()
        }

    def feed(self, data: bytes, now: float) -> list[Out]:
        self._now = self._heard_at = now
        if self._state == STORING:
            # The sender waits, and says again what it says meanwhile.
            return []
        out: list[Out] = []
        for at in range(0, len(data), READ_SIZE):
            self._decoder.feed(data[at : at + READ_SIZE])
            while self._state != STORING and (item := self._decoder.next()) is not None:
                out += self._item(item)
        return out

    def tick(self, now: float) -> list[Out]:
        self._now = now
        due = self.deadline()
        if due is None or now < due:
            return []
        self._heard_at = now
        return self._move("SILENCE")

    def stored(self, now: float) -> list[Out]:
        self._now = self._heard_at = now
        return self._move("STORED")

    def refused(self, now: float) -> list[Out]:
        self._now = self._heard_at = now
        return self._move("REFUSED")

    def lost(self, now: float) -> list[Out]:
        self._now = now
        self._decoder = z.Decoder()
        return self._move("LOST")

    def deadline(self) -> float | None:
        return None if self._state in {IDLE, STORING} else self._heard_at + ANSWER_S

    # From items to moves

    def _item(self, item: z.Item) -> list[Out]:
        match item:
            case z.Header(kind):
                return self._move(NAMES.get(kind, "OTHER"), item)
            case z.Packet():
                return self._move("PACKET", item)
            case z.Cancel():
                return self._move("END", item)
        return self._move("BAD", item)

    def _move(self, event: str, item: z.Item = z.Header(z.RQINIT)) -> list[Out]:  # noqa: B008  it cannot be changed
        try:
            self._state, action = MOVES[self._state, event]
        except KeyError:
            raise Misuse(f"zmodem: {event} in state {self._state}") from None
        return self._actions[action](item)

    # Actions

    def _ignore(self, item: z.Item) -> list[Out]:
        if isinstance(item, z.Header) and self._state != DATA:
            self._decoder.abandon()
        return []

    def _invite(self, _: z.Item) -> list[Out]:
        self._errors = 0
        return [Say(z.hex_header(z.RINIT, RECEIVER_FLAGS))]

    def _invite_again(self, item: z.Item) -> list[Out]:
        self._errors += 1
        if self._errors > ERRORS_MAX:
            self._state = IDLE
            return [Say(CANCEL)]
        return [Say(z.hex_header(z.RINIT, RECEIVER_FLAGS))]

    def _begin_anew(self, item: z.Item) -> list[Out]:
        return [*self._break_off("the sender began anew"), *self._invite(item)]

    def _expect_name(self, _: z.Item) -> list[Out]:
        self._awaits = "head"
        return []

    def _expect_attention(self, _: z.Item) -> list[Out]:
        self._awaits = "attention"
        return []

    def _take_head(self, item: z.Item) -> list[Out]:
        """A packet that is no data: a file's name and size, or an attention string that we never send."""
        awaits, self._awaits = self._awaits, ""
        if awaits == "attention":
            return [Say(z.hex_header(z.ACK))]
        if awaits != "head" or not isinstance(item, z.Packet):
            return []
        name, size = field_of(item.data)
        broken = (
            self._break_off("the sender went on with another file") if self._data and name != self._file.name else []
        )
        if size > FILE_SIZE_MAX:
            self._state, self._file = OPEN, File()
            reason = f"a file of {size} bytes; at most {FILE_SIZE_MAX} are taken"
            return [*broken, Broken(File(name, b"", size), reason), Say(z.hex_header(z.SKIP))]
        if broken or self._state == OPEN:
            self._data.clear()
        self._state, self._file, self._errors = FILE, File(name, b"", size), 0
        return [*broken, self._ask()]

    def _ask(self) -> Out:
        """From here on, please."""
        return Say(z.hex_header(z.RPOS, len(self._data)))

    def _open_data(self, item: z.Item) -> list[Out]:
        if isinstance(item, z.Header) and item.position == len(self._data):
            return []
        self._state = FILE
        self._decoder.abandon()
        return [self._ask()]

    def _take(self, item: z.Item) -> list[Out]:
        if not isinstance(item, z.Packet):
            return []
        if len(self._data) + len(item.data) > FILE_SIZE_MAX:
            return self._give_up(f"a file of more than {FILE_SIZE_MAX} bytes")
        self._data += item.data
        self._errors = 0
        if item.end in "hk":
            self._state = FILE
        return [Say(z.hex_header(z.ACK, len(self._data)))] if item.end in "jk" else []

    def _go_back(self, _: z.Item) -> list[Out]:
        """Something was damaged, or nothing comes: what follows the last good packet is asked for again."""
        self._decoder.abandon()
        self._errors += 1
        if self._errors > ERRORS_MAX:
            return self._give_up(f"{ERRORS_MAX} errors in a row")
        return [self._ask()]

    def _finish(self, item: z.Item) -> list[Out]:
        if isinstance(item, z.Header) and item.position == len(self._data):
            return [Offer(self._received())]
        self._state = FILE
        return []

    def _received(self) -> File:
        return File(self._file.name, bytes(self._data), self._file.size)

    def _confirm(self, _: z.Item) -> list[Out]:
        self._data.clear()
        self._file = File()
        return [Say(z.hex_header(z.RINIT, RECEIVER_FLAGS))]

    def _postpone(self, _: z.Item) -> list[Out]:
        """The disk has no room: in a while the sender is asked for the end again."""
        self._errors += 1
        self._heard_at = self._now - ANSWER_S + RETRY_S
        return self._give_up("the disk has no room") if self._errors > ERRORS_MAX else []

    def _part(self, _: z.Item) -> list[Out]:
        return [*(self._break_off("the sender ended") if self._file.name else []), Say(z.hex_header(z.FIN))]

    def _cancelled(self, _: z.Item) -> list[Out]:
        return self._break_off("the sender cancelled")

    def _vanish(self, _: z.Item) -> list[Out]:
        return self._break_off("the port vanished")

    def _give_up(self, reason: str) -> list[Out]:
        self._state = IDLE
        self._decoder.abandon()
        return [Say(CANCEL), *self._break_off(reason)]

    def _break_off(self, reason: str) -> list[Out]:
        file = self._received()
        self._data.clear()
        self._file, self._awaits = File(), ""
        return [Broken(file, reason)]
