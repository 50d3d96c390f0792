"""XMODEM, XMODEM-1K and YMODEM, the receiver: blocks of 128 or 1,024 bytes, each acknowledged.

Written from Chuck Forsberg, "XMODEM/YMODEM Protocol Reference" (1988), chapters 3 to 7.

    block: 01 n FF-n 128 bytes check | 02 n FF-n 1024 bytes check
    check: CRC-16 (1021, from 0), high byte first, or a sum of the bytes; 04 ends a file, 18 18 cancels

The receiver begins: it calls `C` for a CRC, and after some calls NAK for an old sender that knows sums only. What comes
first decides: block 0 is YMODEM's, with name and size; block 1 is XMODEM's, where nobody says how long the file is.
YMODEM goes on with the next block 0; an empty name ends it.

    calling      C is said every three seconds
    receiving    blocks come
    storing      the file is whole; EOT is acknowledged when it is durable

A damaged block is answered by NAK when the line has been quiet, so that the answer is not taken for that of a piece of
it. EOT counts only when nothing follows at once: a block whose first byte was damaged may look like it. A block that
came twice is acknowledged and dropped; one that was skipped cannot be had any more, and the transfer ends.
"""

from binascii import crc_hqx
from collections.abc import Callable, Mapping
from typing import Final

from edge.drivers.transfer_files import (
    CAN,
    CANCEL,
    FILE_SIZE_MAX,
    INPUT_SIZE_MAX,
    Broken,
    File,
    Offer,
    Out,
    Say,
    field_of,
)
from wire.errors import Misuse

SOH, STX, EOT, ACK, NAK, CRC = 0x01, 0x02, 0x04, b"\x06", b"\x15", b"C"
SIZES: Final = {SOH: 128, STX: 1024}
CALL_S: Final = 3.0
CALLS_MAX: Final = 4
"""So often `C` is called before NAK is tried, and the other way round."""
BLOCK_S: Final = 10.0
GAP_S: Final = 1.0
"""Within a block."""
QUIET_S: Final = 0.5
"""Silence after a damaged block before it is refused."""
END_S: Final = 0.2
ERRORS_MAX: Final = 10

CALLING, RECEIVING, STORING = "calling", "receiving", "storing"
Block = tuple[int, bytes]

MOVES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # state, event: next state, action (a method of XmodemReceiver; it may choose another state)
    (CALLING, "BLOCK"): (RECEIVING, "begin"),
    (CALLING, "BAD"): (CALLING, "call"),
    (CALLING, "EOT"): (CALLING, "confirm_again"),
    (CALLING, "CANCEL"): (CALLING, "ignore"),
    (CALLING, "SILENCE"): (CALLING, "call"),
    (CALLING, "LOST"): (CALLING, "ignore"),
    (RECEIVING, "BLOCK"): (RECEIVING, "take"),
    (RECEIVING, "BAD"): (RECEIVING, "refuse"),
    (RECEIVING, "EOT"): (STORING, "finish"),
    (RECEIVING, "CANCEL"): (CALLING, "cancelled"),
    (RECEIVING, "SILENCE"): (RECEIVING, "refuse"),
    (RECEIVING, "LOST"): (CALLING, "vanish"),
    (STORING, "STORED"): (CALLING, "confirm"),
    (STORING, "REFUSED"): (RECEIVING, "postpone"),
    (STORING, "LOST"): (CALLING, "vanish"),
}


class XmodemReceiver:
    """See the module's text. Holds at most one file."""

    def __init__(self) -> None:
        self._state = CALLING
        self._input = bytearray()
        self._is_purging = False
        self._now = self._heard_at = 0.0
        self._call_at = 0.0
        self._calls = self._errors = 0
        self._by_sum = False
        self._file = File()
        self._data = bytearray()
        self._last = -1
        """Number of the block that was acknowledged last, modulo 256; -1 before the first of a file."""
        self._actions: Mapping[str, Callable[[Block], list[Out]]] = {
            action: getattr(self, f"_{action}") for _, action in MOVES.values()
        }

    def feed(self, data: bytes, now: float) -> list[Out]:
        self._now = self._heard_at = now
        if self._is_purging:
            return []
        out: list[Out] = []
        for at in range(0, len(data), INPUT_SIZE_MAX // 2):
            room = INPUT_SIZE_MAX - len(self._input)
            self._input += data[at : at + INPUT_SIZE_MAX // 2][:room]
            out += self._read_on()
        return out

    def tick(self, now: float) -> list[Out]:
        self._now = now
        due = self.deadline()
        if due is None or now < due:
            return []
        if not self._is_purging and not self._input:
            return self._move("SILENCE")
        event = "EOT" if not self._is_purging and self._input[0] == EOT else "BAD"
        self._is_purging = False
        self._input.clear()
        return self._move(event)

    def stored(self, now: float) -> list[Out]:
        return self._settle("STORED", now)

    def refused(self, now: float) -> list[Out]:
        return self._settle("REFUSED", now)

    def lost(self, now: float) -> list[Out]:
        self._now, self._call_at = now, now + CALL_S
        self._input.clear()
        self._is_purging = False
        return self._move("LOST")

    def deadline(self) -> float | None:
        if self._state == STORING:
            return None
        if self._is_purging:
            return self._heard_at + QUIET_S
        if self._input:
            return self._heard_at + (END_S if self._input[0] == EOT else GAP_S)
        return self._call_at if self._state == CALLING else self._heard_at + BLOCK_S

    # From bytes to moves

    def _settle(self, event: str, now: float) -> list[Out]:
        self._now = self._heard_at = now
        return [*self._move(event), *self._read_on()]

    def _move(self, event: str, block: Block = (0, b"")) -> list[Out]:
        try:
            self._state, action = MOVES[self._state, event]
        except KeyError:
            raise Misuse(f"xmodem: {event} in state {self._state}") from None
        return self._actions[action](block)

    def _read_on(self) -> list[Out]:
        out: list[Out] = []
        while self._input and self._state != STORING and not self._is_purging:
            size = self._size_of_block()
            if size and len(self._input) < size:
                break
            if size:
                block = self._block(size)
                out += self._move("BLOCK", block) if block is not None else []
            elif not self._take_control(out):
                break
        return out

    def _size_of_block(self) -> int:
        size = SIZES.get(self._input[0], 0)
        return 3 + size + (1 if self._by_sum else 2) if size else 0

    def _block(self, size: int) -> Block | None:
        """Return a block whose check holds; another is purged."""
        raw = bytes(self._input[:size])
        del self._input[:size]
        body = raw[3 : 3 + SIZES[raw[0]]]
        check = bytes((sum(body) & 0xFF,)) if self._by_sum else crc_hqx(body, 0).to_bytes(2, "big")
        if raw[1] ^ raw[2] == 0xFF and raw[3 + len(body) :] == check:
            return raw[1], body
        self._purge()
        return None

    def _take_control(self, out: list[Out]) -> bool:
        """Take what is no block; False when more is needed to tell what it is."""
        if self._input[:2] == CAN * 2:
            self._input.clear()
            out += self._move("CANCEL")
        elif self._input[0] in {EOT, CAN[0]} and len(self._input) == 1:
            return False
        elif self._state == CALLING:
            del self._input[:1]
        else:
            self._purge()
        return True

    def _purge(self) -> None:
        self._input.clear()
        self._is_purging = True

    # Actions

    def _ignore(self, _: Block) -> list[Out]:
        return []

    def _call(self, _: Block) -> list[Out]:
        self._call_at = self._now + CALL_S
        self._by_sum = self._calls // CALLS_MAX % 2 == 1
        self._calls += 1
        return [Say(NAK if self._by_sum else CRC)]

    def _begin(self, block: Block) -> list[Out]:
        self._calls = self._errors = 0
        self._data.clear()
        self._last = -1
        self._file = File()
        return self._head(block[1]) if block[0] == 0 else self._take(block)

    def _head(self, body: bytes) -> list[Out]:
        """Block 0: a name and a size, or the end of the batch."""
        name, size = field_of(body)
        if not name:
            self._state = CALLING
            self._call_at = self._now + CALL_S
            return [Say(ACK)]
        self._file, self._last = File(name, b"", size), 0
        if size > FILE_SIZE_MAX:
            return self._give_up(f"a file of {size} bytes; at most {FILE_SIZE_MAX} are taken")
        return [Say(ACK + self._calling)]

    @property
    def _calling(self) -> bytes:
        return NAK if self._by_sum else CRC

    def _take(self, block: Block) -> list[Out]:
        number, body = block
        if number == max(self._last, 0) and (self._last > 0 or not self._data) and self._last >= 0:
            return [Say(ACK + (self._calling if number == 0 and not self._data else b""))]
        if number != (max(self._last, 0) + 1) % 256:
            return self._give_up(f"block {number} after block {self._last}: one was lost for good")
        if len(self._data) + len(body) > FILE_SIZE_MAX + SIZES[STX]:
            return self._give_up(f"a file of more than {FILE_SIZE_MAX} bytes")
        self._data += body
        self._last, self._errors = number, 0
        return [Say(ACK)]

    def _refuse(self, _: Block) -> list[Out]:
        self._errors += 1
        self._heard_at = self._now
        if self._errors > ERRORS_MAX:
            return self._give_up(f"{ERRORS_MAX} errors in a row")
        begun = self._data or self._last > 0
        return [Say(NAK if begun else self._calling)]

    def _finish(self, _: Block) -> list[Out]:
        return [Offer(self._received())]

    def _received(self) -> File:
        size = self._file.size
        data = bytes(self._data if size < 0 else self._data[:size])
        return File(self._file.name, data, size)

    def _confirm(self, _: Block) -> list[Out]:
        """The file is durable: EOT is acknowledged, and the next file called for where there may be one."""
        follows = self._calling if self._file.name else b""
        self._data.clear()
        self._file, self._last = File(), -1
        self._call_at = self._now + CALL_S
        return [Say(ACK + follows)]

    def _confirm_again(self, _: Block) -> list[Out]:
        self._call_at = self._now + CALL_S
        return [Say(ACK)]

    def _postpone(self, _: Block) -> list[Out]:
        """The disk has no room: EOT is refused, and will come again."""
        return self._refuse((0, b""))

    def _cancelled(self, _: Block) -> list[Out]:
        return self._break_off("the sender cancelled")

    def _vanish(self, _: Block) -> list[Out]:
        return self._break_off("the port vanished")

    def _give_up(self, reason: str) -> list[Out]:
        self._state = CALLING
        return [Say(CANCEL), *self._break_off(reason)]

    def _break_off(self, reason: str) -> list[Out]:
        file = self._received()
        self._data.clear()
        self._file, self._last = File(), -1
        self._call_at = self._now + CALL_S
        return [Broken(file, reason)]
