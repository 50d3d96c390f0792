"""Devices that send files over a serial line by XMODEM, YMODEM, ZMODEM or Kermit: ECGs (SCP-ECG), pictures, reports.

Written from Forsberg's and da Cruz's protocol references and EN 1064 (named in `transfer_xmodem`, `transfer_zmodem`,
`transfer_kermit`, `transfer_scp`); tried against lrzsz and C-Kermit. On no unit of our own.

One file is one study. It is kept as a PICTURE (that is what a document is, too), byte for byte, once its protocol's own
checks hold; the envelopes of blocks and packets are not kept, for they say nothing more. **The sender is told that the
file has arrived (ACK to EOT or Z, ZRINIT to ZEOF) only after the commit.** What the disk refuses is not confirmed, so
that the sender offers it again. A transfer that breaks off is kept as far as it came, in RAW, and marked partial.

* `protocol = "zmodem"` (the default) and `"kermit"` say nothing before they are spoken to.
* `protocol = "xmodem"` takes XMODEM, XMODEM-1K and YMODEM, whichever the device sends, and calls for it every three
  seconds, for these protocols are begun by the receiver. XMODEM does not say how long a file is: what pads it stays,
  but for an SCP-ECG record, which says so itself.

Of an SCP-ECG the leads are kept as a WAVEFORM, too (`transfer_leads`), so that the centre can look at them at once.
"""

import re
from binascii import crc_hqx
from collections.abc import Callable, Mapping
from typing import Final

from edge import charset, scp_ecg
from edge.driver import (
    RAW_SIZE_MAX,
    Commit,
    Driver,
    Event,
    Facts,
    Fault,
    Headline,
    Line,
    Option,
    Send,
    StudyBegins,
    StudyEnds,
)
from edge.drivers import transfer_scp
from edge.drivers.transfer_files import Broken, File, Offer, Out, Receiver, Say
from edge.drivers.transfer_kermit import KermitReceiver, whole_packets
from edge.drivers.transfer_xmodem import XmodemReceiver
from edge.drivers.transfer_zframes import Decoder, Header
from edge.drivers.transfer_zmodem import ZmodemReceiver
from edge.registry import read_options
from edge.signs import CHECK, Signs
from wire.record import FORMS, Partial, Picture, Result

SHORT_TEXT_MAX: Final = 40
PADDING: Final = b"\x1a\x00"
PADDING_SIZE_MAX: Final = 1_024
OCTETS: Final = "application/octet-stream"
BEGINNINGS: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"%PDF-", "application/pdf"),
)

FACTS: Final = Facts(
    name="transfer",
    version="1",
    title="Files by XMODEM, YMODEM, ZMODEM or Kermit, SCP-ECG recognised",
    manual="Forsberg, XMODEM/YMODEM (1988), ZMODEM (1988); da Cruz, Kermit (1986); EN 1064:2005+A1:2007",
    form="document",
    lines=(Line(115200), Line(9600), Line(19200), Line(38400), Line(57600)),
    options=(
        Option(
            "protocol",
            "zmodem",
            "zmodem and kermit wait; xmodem (also 1K and YMODEM) calls for a file",
            ("zmodem", "xmodem", "kermit"),
        ),
        Option("encoding", "auto", "character set of names", ("auto", *charset.ENCODINGS)),
        Option("form", "document", "kind of study of a file that is no ECG", FORMS),
        Option("model", "", "what to call the device"),
        Option("leads", True, "SCP-ECG: keep the leads as a waveform, too, beside the file"),
    ),
)

RECEIVERS: Final[Mapping[str, Callable[[], Receiver]]] = {
    "zmodem": ZmodemReceiver,
    "xmodem": XmodemReceiver,
    "kermit": KermitReceiver,
}


class _Transfer:
    """One device on one port. See the module's text; the conversation is the receiver's."""

    def __init__(self, receiver: Receiver, encoding: str, form: str, model: str, *, wants_leads: bool) -> None:
        self._wants_leads = wants_leads
        self._receiver, self._encoding, self._form, self._model = receiver, encoding, form, model
        self._token = 0
        self._ends: StudyEnds | None = None
        """How the study ends whose commit is awaited."""

    def feed(self, data: bytes, now: float) -> list[Event]:
        return self._heed(self._receiver.feed(data, now))

    def tick(self, now: float) -> list[Event]:
        return self._heed(self._receiver.tick(now))

    def committed(self, token: int, now: float) -> list[Event]:
        if token != self._token or self._ends is None:
            return []
        ends, self._ends = self._ends, None
        return [ends, *self._heed(self._receiver.stored(now))]

    def refused(self, token: int, now: float) -> list[Event]:
        if token != self._token or self._ends is None:
            return []
        self._ends = None
        return [StudyEnds(partial="the disk refused it"), *self._heed(self._receiver.refused(now))]

    def lost(self, now: float) -> list[Event]:
        waited, self._ends = self._ends, None
        ends = [StudyEnds(partial="the port vanished")] if waited is not None else []
        return [*ends, *self._heed(self._receiver.lost(now))]

    def deadline(self) -> float | None:
        return self._receiver.deadline() if self._ends is None else None

    # Files to studies

    def _heed(self, said: list[Out]) -> list[Event]:
        events: list[Event] = []
        for one in said:
            match one:
                case Say(data):
                    events.append(Send(data))
                case Offer(file):
                    events += self._offer(file)
                case Broken(file, reason):
                    events += self._break_off(file, reason)
        return events

    def _offer(self, file: File) -> list[Event]:
        record = transfer_scp.read(file.data)
        file = _without_padding(file, record)
        text, encoding = self._text(file.name.replace(b"\\", b"/").rpartition(b"/")[2])
        name = _printable(text)[: scp_ecg.NAME_TEXT_MAX] or "file"
        ecg = scp_ecg.read(record, self._text, wants_leads=self._wants_leads) if record is not None else None
        short = file.size > len(file.data)
        partial = f"{len(file.data)} of {file.size} bytes came" if short else ecg.partial if ecg else ""
        result = Result(
            device_time=ecg.time if ecg else "",
            patient_ids=ecg.patient_ids if ecg else (),
            encoding=encoding,
            notes=(*file.notes, *(ecg.notes if ecg else ()), *([partial] if partial else [])),
        )
        picture = Picture(scp_ecg.MEDIA_TYPE if record is not None else _media_type(file.data), name, file.data)
        ids, model = (ecg.ids, self._model or ecg.model) if ecg else ((), self._model)
        self._token += 1
        self._ends = StudyEnds(False, partial, ids, _headline(name, file, record), model)
        tags = (result.to_tag(), picture.to_tag(), *(ecg.waves if ecg else ()))
        begins = StudyBegins("ecg" if record is not None else self._form, model)
        return [begins, Commit(b"", tags, self._token, patient_id=next(iter(ids), ""))]

    def _text(self, data: bytes) -> tuple[str, str]:
        return charset.decode(data, charset.detect(data) if self._encoding == "auto" else self._encoding)

    def _break_off(self, file: File, reason: str) -> list[Event]:
        """Keep what came, when there is anything; it was not confirmed, and may come again."""
        if not file.data:
            return [Fault("file", f"a file was not received: {reason}")]
        chunks = [file.data[at : at + RAW_SIZE_MAX] for at in range(0, len(file.data), RAW_SIZE_MAX)]
        last = Commit(chunks[-1], (Partial(reason, FACTS.name).to_tag(),))
        name = _printable(self._text(file.name)[0])[:SHORT_TEXT_MAX]
        ends = StudyEnds(partial=reason, headline=(("file", name, ""),) if name else ())
        form = "ecg" if transfer_scp.read(file.data) is not None else self._form
        return [StudyBegins(form, self._model), *(Commit(one) for one in chunks[:-1]), last, ends]


def _without_padding(file: File, record: transfer_scp.Record | None) -> File:
    """Cut what XMODEM put behind a record that says how long it is; note it of any other file."""
    if file.size >= 0:
        return file
    if record is not None and record.size <= len(file.data):
        rest = file.data[record.size :]
        if not rest.strip(PADDING) and len(rest) < PADDING_SIZE_MAX and not record.faults:
            return File(file.name, file.data[: record.size], record.size, file.notes)
    note = "its length is not known: XMODEM fills the last block"
    return File(file.name, file.data, file.size, (*file.notes, note))


def _media_type(data: bytes) -> str:
    return next((kind for begins, kind in BEGINNINGS if data.startswith(begins)), OCTETS)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _headline(name: str, file: File, record: transfer_scp.Record | None) -> tuple[Headline, ...]:
    lines = [("file", name[:SHORT_TEXT_MAX], ""), ("size", str(len(file.data)), "By")]
    return (*lines, *([("ECG of", record.time, "")] if record is not None and record.time else []))


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one device. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    receiver = RECEIVERS[str(chosen["protocol"])]()
    texts = (str(chosen[name]) for name in ("encoding", "form", "model"))
    return _Transfer(receiver, *texts, wants_leads=bool(chosen["leads"]))


def _whole(data: bytes) -> int:
    """Return how many ZMODEM headers, XMODEM blocks with a CRC and Kermit packets with one hold their checks."""
    decoder, found = Decoder(), 0
    decoder.feed(data)
    while (item := decoder.next()) is not None:
        found += isinstance(item, Header)
    found += whole_packets(data)
    return found + sum(_is_block(data, begin.start()) for begin in _BLOCK.finditer(data))


def _is_block(data: bytes, at: int) -> bool:
    """Return whether a block of XMODEM begins here: its number, the number's complement, and CRC-16 over the data."""
    whole = at + 3 + (128 if data[at] == 1 else 1024) + 2
    return len(data) >= whole and data[at + 1] ^ data[at + 2] == 0xFF and not crc_hqx(data[at + 3 : whole], 0)


_BLOCK: Final = re.compile(rb"[\x01\x02](?=[\x00-\xff]{2})")


SIGNS: Final = Signs(CHECK, _whole, carries=True)
