"""DirectIP: how Iridium's ground station hands messages of its modems to a server, and takes messages for them.

Iridium's side connects to ours for each message from a modem (MO, mobile originated), we connect to theirs for each
message to one (MT, mobile terminated); either way one message goes, one confirmation may come back, and the
connection ends. Source: Iridium SBD Developers Guide, "DirectIP"; lengths checked against a recorded message. All
integers are big-endian.

    message          01 | size of all elements u16 | element*       element: id u8 | size u16 | value
    MO header    01  28: record u32 | IMEI 15 digits | session status u8 | MOMSN u16 | MTMSN u16 | Unix time u32
    MO payload   02  1 to 1960 bytes                    MT payload   42  1 to 1890 bytes
    MO location  03  11: place (7) | radius km u32      MT location  43  7: place
    MO confirm   05  1: 1 taken, 0 not                  MT priority  46  2: 1 (first) to 5
    MT header    41  21: our id 4 bytes | IMEI 15 digits | flags u16
    MT confirm   44  25: our id 4 bytes | IMEI 15 digits | their id u32 | status i16: 0 to 50 the place in the queue
    place            flags u8 (2 south, 1 west) | degrees u8 | minutes/1000 u16 | degrees u8 | minutes/1000 u16

Pure. Elements of other ids are skipped, as the guide demands, and so is the place of a modem that cannot be: nothing
depends on it, and a message that we refuse is delivered again, before all that came after it. Everything else that is
not lawful is a FormatError that names the element. Nothing here is kept.
"""

import contextlib
import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wire.errors import FormatError, Misuse

REVISION: Final = 1
HEAD_SIZE: Final = 3
ELEMENTS_SIZE_MAX: Final = 4096
"""Of the elements of one message; the largest lawful one has about 2,010."""
MO_PAYLOAD_MAX: Final = 1960
MT_PAYLOAD_MAX: Final = 1890
IMEI_SIZE: Final = 15
CLIENT_ID_SIZE: Final = 4
PRIORITY_MAX: Final = 5
MINUTE: Final = 1000
DEGREE: Final = 60 * MINUTE


class Element(enum.IntEnum):
    """The ids of elements."""

    MO_HEADER = 0x01
    MO_PAYLOAD = 0x02
    MO_LOCATION = 0x03
    MO_CONFIRMATION = 0x05
    MT_HEADER = 0x41
    MT_PAYLOAD = 0x42
    MT_LOCATION = 0x43
    MT_CONFIRMATION = 0x44
    MT_PRIORITY = 0x46


class MtFlag(enum.IntFlag):
    """What is asked of the ground station with a message to a modem."""

    FLUSH_QUEUE = 1
    RING_ONLY = 2
    UPDATE_LOCATION = 8
    HIGH_PRIORITY = 16
    ASSIGN_MTMSN = 32


PLAIN: Final = MtFlag(0)


MO_DONE: Final = frozenset({0, 1, 2})
"""Session statuses with which a message from a modem is whole: done, but an MT message or the location was not."""

MT_STATUSES: Final = {
    -1: "the IMEI is not one",
    -2: "the IMEI is not known there",
    -3: "the payload is too large",
    -4: "a payload was expected",
    -5: "the modem's queue is full",
    -6: "the ground station is short of resources",
    -7: "they found an error of the protocol",
    -8: "ring alerts are switched off for this modem",
    -9: "the modem is not attached",
    -10: "they do not let our address in",
    -11: "the MTMSN is out of range",
    -12: "they do not accept our certificate",
}
MT_TEMPORARY: Final = frozenset({-5, -6, -9})
"""Refusals that time mends; the others want a person."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a modem is or was, in thousandths of minutes; south and west are negative."""

    latitude: int
    longitude: int

    def __post_init__(self) -> None:
        """Hold the bounds of the globe."""
        if abs(self.latitude) > 90 * DEGREE or abs(self.longitude) > 180 * DEGREE:
            raise Misuse(f"no such place: {self.latitude / DEGREE:.5f}, {self.longitude / DEGREE:.5f} degrees")


@dataclass(frozen=True, slots=True)
class MoMessage:
    """A message from a modem, or (without payload) the news of a session that brought none."""

    record: int
    imei: str
    status: int
    momsn: int
    mtmsn: int
    time_s: int
    payload: bytes | None = None
    place: Place | None = None
    radius_km: int = 0


@dataclass(frozen=True, slots=True)
class MoConfirmation:
    """Our answer, where the account asks for one: they try again when it is not taken."""

    is_taken: bool


@dataclass(frozen=True, slots=True)
class MtMessage:
    """A message to a modem, or (without payload) an order to the ground station."""

    client_id: bytes
    imei: str
    payload: bytes | None = None
    flags: MtFlag = PLAIN
    priority: int | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class MtConfirmation:
    """Their answer: `status` is the place in the modem's queue, or below zero a key of MT_STATUSES."""

    client_id: bytes
    imei: str
    auto_id: int
    status: int


Message = MoMessage | MoConfirmation | MtMessage | MtConfirmation
Elements = dict[int, bytes]


def encode(message: Message) -> bytes:
    """Return the bytes of one message. Raises Misuse for what the format cannot say."""
    try:
        elements = _ENCODERS[type(message)](message)
    except (struct.error, UnicodeEncodeError) as error:
        raise Misuse(f"DirectIP cannot say {message!r}: {error}") from error
    body = b"".join(struct.pack(">BH", number, len(value)) + value for number, value in elements.items())
    return struct.pack(">BH", REVISION, len(body)) + body


def decode(raw: bytes) -> Message:
    """Return the one message that `raw` is. Raises FormatError."""
    size = message_size(raw)
    if size is None or size != len(raw):
        raise FormatError(f"a DirectIP message of {len(raw)} bytes; its head says {size}")
    elements = _cut(raw)
    heads = [number for number in _DECODERS if number in elements]
    if len(heads) != 1:
        raise FormatError(f"a DirectIP message with {len(heads)} heads; its elements are {_names(elements)}")
    return _DECODERS[heads[0]](elements)


def message_size(raw: bytes | bytearray) -> int | None:
    """Return the size of the message that begins `raw`, None while it cannot be told. Raises FormatError."""
    if raw and raw[0] != REVISION:
        raise FormatError(f"a DirectIP message of revision {raw[0]}; want {REVISION}")
    if len(raw) < HEAD_SIZE:
        return None
    size = int.from_bytes(raw[1:HEAD_SIZE], "big")
    if not HEAD_SIZE < size <= ELEMENTS_SIZE_MAX:
        raise FormatError(f"a DirectIP message with {size} bytes of elements; want 4 to {ELEMENTS_SIZE_MAX}")
    return HEAD_SIZE + size


class Reader:
    """Cuts messages out of a TCP stream; keeps no more than one. After a FormatError the connection is of no use."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_between(self) -> bool:
        """No part of a message is here."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are whole now. Raises FormatError."""
        self._buffer += data
        found: list[Message] = []
        while (size := message_size(self._buffer)) is not None and len(self._buffer) >= size:
            found.append(decode(bytes(self._buffer[:size])))
            del self._buffer[:size]
        return found


def _cut(raw: bytes) -> Elements:
    elements: Elements = {}
    at = HEAD_SIZE
    while at < len(raw):
        value_at = at + HEAD_SIZE
        end = value_at + int.from_bytes(raw[at + 1 : value_at], "big")
        if end > len(raw):
            raise FormatError(f"DirectIP element {raw[at]:02x} at byte {at} ends at {end} of {len(raw)}")
        if raw[at] in elements:
            raise FormatError(f"DirectIP element {raw[at]:02x} comes twice, again at byte {at}")
        elements[raw[at]] = raw[value_at:end]
        at = end
    return elements


def _names(elements: Elements) -> str:
    return ", ".join(f"{number:02x}" for number in elements) or "none"


def _value(elements: Elements, number: Element, low: int, high: int) -> bytes:
    value = elements[number]
    if not low <= len(value) <= high:
        want = low if low == high else f"{low} to {high}"
        raise FormatError(f"DirectIP element {number:02x} of {len(value)} bytes; want {want}")
    return value


def _checked(number: Element, name: str, good: bool, have: object) -> None:
    if not good:
        raise FormatError(f"DirectIP element {number:02x}: {name} is {have!r}")


def _imei(number: Element, raw: bytes) -> str:
    _checked(number, "the IMEI", raw.isdigit(), raw)
    return raw.decode()


def _put_imei(imei: str) -> bytes:
    if len(imei) != IMEI_SIZE or not (imei.isascii() and imei.isdigit()):
        raise Misuse(f"an IMEI is {IMEI_SIZE} digits, not {imei!r}")
    return imei.encode()


def _put_payload(payload: bytes, high: int) -> bytes:
    if not 1 <= len(payload) <= high:
        raise Misuse(f"a payload of {len(payload)} bytes; want 1 to {high}")
    return payload


def _put_client_id(client_id: bytes) -> bytes:
    if len(client_id) != CLIENT_ID_SIZE:
        raise Misuse(f"a client id of {len(client_id)} bytes; want {CLIENT_ID_SIZE}")
    return client_id


def _put_place(place: Place) -> bytes:
    flags = (2 if place.latitude < 0 else 0) | (1 if place.longitude < 0 else 0)
    return struct.pack(">BBHBH", flags, *divmod(abs(place.latitude), DEGREE), *divmod(abs(place.longitude), DEGREE))


def _read_place(number: Element, raw: bytes) -> Place:
    flags, north, north_minutes, east, east_minutes = struct.unpack(">BBHBH", raw)
    _checked(number, "its flags", flags < 4, flags)
    _checked(number, "its minutes", max(north_minutes, east_minutes) < DEGREE, (north_minutes, east_minutes))
    latitude, longitude = north * DEGREE + north_minutes, east * DEGREE + east_minutes
    _checked(number, "the place", latitude <= 90 * DEGREE and longitude <= 180 * DEGREE, raw.hex())
    return Place(-latitude if flags & 2 else latitude, -longitude if flags & 1 else longitude)


def _encode_mo(message: MoMessage) -> Elements:
    numbers = message.status, message.momsn, message.mtmsn, message.time_s
    head = struct.pack(">I15sBHHI", message.record, _put_imei(message.imei), *numbers)
    elements: Elements = {Element.MO_HEADER: head}
    if message.payload is not None:
        elements[Element.MO_PAYLOAD] = _put_payload(message.payload, MO_PAYLOAD_MAX)
    if message.place is not None:
        elements[Element.MO_LOCATION] = _put_place(message.place) + struct.pack(">I", message.radius_km)
    return elements


def _decode_mo(elements: Elements) -> MoMessage:
    head = _value(elements, Element.MO_HEADER, 28, 28)
    record, imei, status, momsn, mtmsn, time_s = struct.unpack(">I15sBHHI", head)
    payload, place, radius_km = None, None, 0
    if Element.MO_PAYLOAD in elements:
        payload = _value(elements, Element.MO_PAYLOAD, 1, MO_PAYLOAD_MAX)
    if Element.MO_LOCATION in elements:
        with contextlib.suppress(FormatError):
            raw = _value(elements, Element.MO_LOCATION, 11, 11)
            place, radius_km = _read_place(Element.MO_LOCATION, raw[:7]), int.from_bytes(raw[7:], "big")
    return MoMessage(record, _imei(Element.MO_HEADER, imei), status, momsn, mtmsn, time_s, payload, place, radius_km)


def _encode_mo_confirmation(message: MoConfirmation) -> Elements:
    return {Element.MO_CONFIRMATION: bytes((message.is_taken,))}


def _decode_mo_confirmation(elements: Elements) -> MoConfirmation:
    value = _value(elements, Element.MO_CONFIRMATION, 1, 1)[0]
    _checked(Element.MO_CONFIRMATION, "its status", value < 2, value)
    return MoConfirmation(value == 1)


def _encode_mt(message: MtMessage) -> Elements:
    client_id = _put_client_id(message.client_id)
    elements: Elements = {Element.MT_HEADER: struct.pack(">4s15sH", client_id, _put_imei(message.imei), message.flags)}
    if message.payload is not None:
        elements[Element.MT_PAYLOAD] = _put_payload(message.payload, MT_PAYLOAD_MAX)
    if message.place is not None:
        elements[Element.MT_LOCATION] = _put_place(message.place)
    if message.priority is not None:
        if not 1 <= message.priority <= PRIORITY_MAX:
            raise Misuse(f"priority {message.priority}; want 1 to {PRIORITY_MAX}")
        elements[Element.MT_PRIORITY] = message.priority.to_bytes(2, "big")
    return elements


def _decode_mt(elements: Elements) -> MtMessage:
    client_id, imei, flags = struct.unpack(">4s15sH", _value(elements, Element.MT_HEADER, 21, 21))
    payload = place = priority = None
    if Element.MT_PAYLOAD in elements:
        payload = _value(elements, Element.MT_PAYLOAD, 1, MT_PAYLOAD_MAX)
    if Element.MT_LOCATION in elements:
        place = _read_place(Element.MT_LOCATION, _value(elements, Element.MT_LOCATION, 7, 7))
    if Element.MT_PRIORITY in elements:
        priority = int.from_bytes(_value(elements, Element.MT_PRIORITY, 2, 2), "big")
        _checked(Element.MT_PRIORITY, "the priority", 1 <= priority <= PRIORITY_MAX, priority)
    return MtMessage(client_id, _imei(Element.MT_HEADER, imei), payload, MtFlag(flags), priority, place)


def _encode_mt_confirmation(message: MtConfirmation) -> Elements:
    client_id, imei = _put_client_id(message.client_id), _put_imei(message.imei)
    return {Element.MT_CONFIRMATION: struct.pack(">4s15sIh", client_id, imei, message.auto_id, message.status)}


def _decode_mt_confirmation(elements: Elements) -> MtConfirmation:
    value = _value(elements, Element.MT_CONFIRMATION, 25, 25)
    client_id, imei, auto_id, status = struct.unpack(">4s15sIh", value)
    return MtConfirmation(client_id, _imei(Element.MT_CONFIRMATION, imei), auto_id, status)


_ENCODERS: Final[dict[type, Callable[..., Elements]]] = {
    MoMessage: _encode_mo,
    MoConfirmation: _encode_mo_confirmation,
    MtMessage: _encode_mt,
    MtConfirmation: _encode_mt_confirmation,
}
_DECODERS: Final[dict[int, Callable[[Elements], Message]]] = {
    Element.MO_HEADER: _decode_mo,
    Element.MO_CONFIRMATION: _decode_mo_confirmation,
    Element.MT_HEADER: _decode_mt,
    Element.MT_CONFIRMATION: _decode_mt_confirmation,
}
