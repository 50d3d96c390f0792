"""Quarta Radex One personal dosimeter: dose rate, accumulated dose, counts a minute; asked every few seconds.

No manual of the protocol is public. Written from two descriptions by people who read the maker's program on the line:
github mwwhited/BinaryDataDecoders (`BinaryDataDecoders.Quarta.RadexOne/Notes.md`) and iamtio/goradex. On no unit of
our own.

Little-endian words. A question is `7B FF 20 00 | length of the body | number | 0 | sum`, then the body `what 000C
sum`; an answer begins `7A FF 20 80`, repeats the number, and has the same form. A sum is FFFF less the sum of the
words before it modulo FFFF, of the head and of the body each; what does not hold is no answer and is asked again.

Only two questions exist here: 0001 (serial number) and 0800 (values). 0802, which sets the alarm, does not.
"""

from collections.abc import Callable, Mapping
from struct import unpack_from
from typing import Final

from edge.driver import Driver, Facts, Line
from edge.drivers.radiation_meter import PACE, Meter, read_pace
from edge.drivers.radiation_poll import Question
from edge.drivers.radiation_study import FORM, Lead, Survey
from edge.signs import CHECK, Signs
from wire.record import Observation

HEAD_SIZE: Final = 12
BODY_SIZE_MAX: Final = 256
ASK, ANSWER = bytes((0x7B, 0xFF, 0x20, 0x00)), bytes((0x7A, 0xFF, 0x20, 0x80))
SERIAL, VALUES = 0x0001, 0x0800
BODY_SIZES: Final[Mapping[int, int]] = {SERIAL: 30, VALUES: 22}
LEADS: Final = (Lead("dose rate", "µSv/h", 2), Lead("accumulated dose", "µSv", 2), Lead("cpm", "CPM"))
VALUE_MAX: Final = (1 << 31) - 1

FACTS: Final = Facts(
    name="radex",
    version="1",
    title="Quarta Radex One personal dosimeter",
    manual="none public; github mwwhited/BinaryDataDecoders, Quarta.RadexOne/Notes.md",
    form=FORM,
    lines=(Line(9_600),),
    options=PACE,
)


def check_sum(data: bytes | bytearray) -> bytes:
    """Return the sum that follows `data`."""
    words: tuple[int, ...] = unpack_from(f"<{len(data) // 2}H", data)
    return (0xFFFF - sum(words) % 0xFFFF).to_bytes(2, "little")


def request(what: int, number: int) -> bytes:
    """Return a question."""
    body = what.to_bytes(2, "little") + b"\x0c\x00"
    body += check_sum(body)
    head = ASK + len(body).to_bytes(2, "little") + number.to_bytes(2, "little") + b"\0\0"
    return head + check_sum(head) + body


def answer_size(number: int, body_size: int) -> Callable[[bytearray, bool], int]:
    """Return the rule for the answer to question `number`: its form, its number, and both sums."""

    def size(heard: bytearray, _is_quiet: bool) -> int:
        whole = HEAD_SIZE + body_size
        if (
            len(heard) < whole
            or heard[:4] != ANSWER
            or heard[4:8] != bytes((body_size, 0)) + number.to_bytes(2, "little")
        ):
            return 0
        is_good = check_sum(heard[:10]) == heard[10:12] and check_sum(heard[12 : whole - 2]) == heard[whole - 2 : whole]
        return whole if is_good else 0

    return size


def serial_number(answer: bytes) -> tuple[str, str]:
    """Return (version, serial number) as the maker's program shows them: `1.8`, `180620-0840-008344`."""
    unit = int.from_bytes(answer[24:26], "little")
    day, month, year = answer[28], answer[30], answer[31]
    lot = int.from_bytes(answer[34:36], "little")
    return f"{answer[32]}.{answer[33]}", f"{year:02d}{month:02d}{day:02d}-{lot:04d}-{unit:06d}"


class _Radex(Meter):
    """See the module's text."""

    def __init__(self, every_s: float, study_s: float) -> None:
        super().__init__(LEADS, every_s, study_s)
        self._number = 0
        self._meet()

    def _meet(self) -> None:
        self.model = self.serial = ""
        self._is_greeted = False

    def question(self, now: float) -> Question | float:
        if now < self._next_at:
            return self._next_at
        what = VALUES if self._is_greeted else SERIAL
        size = answer_size(self._number, BODY_SIZES[what])
        return Question(f"{what:04x}", request(what, self._number), size, is_needed=True)

    def answered(self, question: Question, answer: bytes, at: float) -> None:
        self._number = (self._number + 1) & 0xFFFF
        if not self._is_greeted:
            self._is_greeted = True
            version, self.serial = serial_number(answer)
            self.model = f"Radex One {version}"
            return
        self._plan_next(at)
        reading: tuple[int, int, int] = unpack_from("<3I", answer, 20)
        if max(reading) <= VALUE_MAX:
            self._take(reading, at)

    def _result(self, survey: Survey) -> tuple[str, list[Observation]]:
        return "", []


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one dosimeter. Raises ConfigError."""
    _, every_s, study_s = read_pace(FACTS, options)
    return _Radex(every_s, study_s)


def _whole(data: bytes) -> int:
    heads = (data[at : at + HEAD_SIZE] for at in range(len(data) - HEAD_SIZE + 1) if data.startswith(ANSWER, at))
    return sum(check_sum(head[:10]) == head[10:] for head in heads)


SIGNS: Final = Signs(CHECK, _whole)
"""Its questions are not for a device that nobody knows: each says that six bytes follow, and 06 is ACK to who waits."""
