"""Sysmex KX-21 and KX-21N haematology analysers, in their own format of fixed columns (not ASTM).

Written from the operator's manual, appendix B (STX before the text, ETX after it, ASCII; class A sends and waits for
nothing, class B waits for ACK or NAK), and for the columns, which the public part of the manual does not show, from
one program that reads this analyser (github vactorwu/xhn-tianjian-pacs, KX21.cpp). On no unit of our own.

Counted from STX: `D1U` is a sample (another third letter is a control); the specimen's id has 12 columns from 11; from
30 on each value has four digits and a mark. Digits are kept as sent: the decimal point is not on the wire, and where
it belongs only one source says, so nobody here puts it in. A value with `*` is unreliable. The columns behind RDW are
not read: the source contradicts itself there.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from edge.driver import Driver, Facts, Line, Option, Send
from edge.drivers.lab_answering import FORM, Answering, Report
from edge.registry import read_options
from edge.signs import FRAME, Signs
from wire.record import Observation

STX, ETX, ACK, NAK = 0x02, 0x03, b"\x06", b"\x15"
TEXT_SIZE_MAX: Final = 512
KIND_AT, ID_AT, ID_SIZE, VALUES_AT, VALUE_SIZE = 1, 11, 12, 30, 5
NAMES: Final = (
    *("WBC", "RBC", "HGB", "HCT", "MCV", "MCH", "MCHC", "PLT"),
    *("LYM%", "MXD%", "NEUT%", "LYM#", "MXD#", "NEUT#", "RDW"),
)
AS_SENT: Final = "digits as sent; the decimal point is not on the wire"

FACTS: Final = Facts(
    name="kx21",
    version="1",
    title="Sysmex KX-21, KX-21N haematology analysers, own format",
    manual="KX-21N Operator's Manual, appendix B 1.2; columns by github vactorwu/xhn-tianjian-pacs, KX21.cpp",
    form=FORM,
    lines=(Line(9_600), Line(4_800), Line(2_400)),
    options=(Option("answer", "ack", "class B waits for ACK, class A for nothing", ("ack", "none")),),
)


class Texts:
    """Cuts texts from STX to ETX. What stands between them is dropped."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_open(self) -> bool:
        """A text has begun."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the texts that end in `data`."""
        for byte in data:
            if byte == STX:
                self._buffer.clear()
            if byte == STX or self._buffer:
                self._buffer.append(byte)
            if self._buffer and (byte == ETX or len(self._buffer) >= TEXT_SIZE_MAX):
                yield self.rest()

    def rest(self) -> bytes:
        """Give up what is not whole."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


def read(raw: bytes) -> Report:
    """Return what a text says."""
    if raw[-1:] != bytes((ETX,)) or not raw.isascii():
        return Report(partial="a text that is not ASCII or does not end")
    text = raw.decode("ascii")
    ids = (("specimen", text[ID_AT : ID_AT + ID_SIZE]),)
    kind = text[KIND_AT : KIND_AT + 3]
    if kind != "D1U":
        return Report(ids=ids, qc=True, notes=(f"a text of kind {kind!r}: a control or unknown; kept, not read",))
    if len(raw) < VALUES_AT + len(NAMES) * VALUE_SIZE + 1:
        return Report(ids=ids, partial=f"a text of {len(raw)} characters, too short for its columns")
    return Report(tuple(_values(text)), ids)


def _values(text: str) -> Iterator[Observation]:
    for place, name in enumerate(NAMES):
        at = VALUES_AT + place * VALUE_SIZE
        value, mark = text[at : at + VALUE_SIZE - 1].strip(), text[at + VALUE_SIZE - 1].strip()
        if value:
            marks = ("*" if "*" in value else "") + mark
            yield Observation(name, name, value, flags=marks, comments=(AS_SENT,))


class _Kx21(Answering):
    """See the module's text."""

    name = FACTS.name

    def __init__(self, *, answers: bool) -> None:
        super().__init__(Texts())
        self._answers = answers

    def _message(self, raw: bytes, now: float) -> None:
        report = read(raw)
        if not self._answers:
            self._study(raw, report)
        elif report.partial and raw[-1:] != bytes((ETX,)):
            self._queue.put(Send(NAK))
        else:
            self._answered_study(raw, raw, report, Send(ACK), Send(NAK), now)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one analyser. Raises ConfigError."""
    return _Kx21(answers=read_options(FACTS, options)["answer"] == "ack")


def _whole(data: bytes) -> int:
    found = ((text, read(text)) for text in Texts().feed(data))
    return sum(text[1:4] == b"D1U" and bool(report.observations) for text, report in found)


SIGNS: Final = Signs(FRAME, _whole)
