"""DirectIP as Iridium's side of it speaks: MO messages out, MT messages in, their confirmations.

Iridium Short Burst Data Service Developers Guide, DirectIP chapters: 0x01, the length of all elements (2 bytes), then
elements of id (1), length (2), value; big-endian. Written from the guide and apart from `wire`, so that each checks the
other.
"""

import struct
from dataclasses import dataclass
from typing import Final

REVISION: Final = 1
MO_HEADER, MO_PAYLOAD, MO_LOCATION, MO_CONFIRMATION = 0x01, 0x02, 0x03, 0x05
MT_HEADER, MT_PAYLOAD, MT_LOCATION, MT_PRIORITY, MT_CONFIRMATION = 0x41, 0x42, 0x43, 0x46, 0x44
MESSAGE_SIZE_MAX: Final = 2_048
FLUSH, RING_ONLY, UPDATE_LOCATION, HIGH_PRIORITY, ASSIGN_MTMSN = 1, 2, 8, 16, 32
"""Disposition flags of an MT message."""


class NotDirectIp(Exception):
    """The bytes are no message of DirectIP."""


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees north and east, and the radius in km within which the modem is with 80 % probability."""

    north: float
    east: float
    radius_km: int = 3


@dataclass(frozen=True, slots=True)
class MtRequest:
    """An MT message as a client sends it. `payload` None: there was none."""

    client_id: bytes
    imei: bytes
    flags: int
    payload: bytes | None


def element(number: int, value: bytes) -> bytes:
    """Return one information element."""
    return struct.pack(">BH", number, len(value)) + value


def message(*elements: bytes) -> bytes:
    """Return a whole message."""
    body = b"".join(elements)
    return struct.pack(">BH", REVISION, len(body)) + body


def mo_message(
    reference: int, imei: str, status: int, serials: tuple[int, int], time_s: int, payload: bytes, place: Place | None
) -> bytes:
    """Return what Iridium sends for one session. `serials`: MOMSN and MTMSN."""
    head = struct.pack(">I15sBHHI", reference, imei.encode(), status, *serials, time_s)
    where = () if place is None else (element(MO_LOCATION, _location(place)),)
    what = (element(MO_PAYLOAD, payload),) if payload else ()
    return message(element(MO_HEADER, head), *where, *what)


def _location(place: Place) -> bytes:
    flags = (2 if place.north < 0 else 0) | (1 if place.east < 0 else 0)
    north, east = divmod(round(abs(place.north) * 60_000), 60_000), divmod(round(abs(place.east) * 60_000), 60_000)
    return struct.pack(">BBHBHI", flags, *north, *east, place.radius_km)


def elements(data: bytes) -> dict[int, bytes] | None:
    """Take a message apart; None while it is not whole. Raises NotDirectIp."""
    if data and data[0] != REVISION:
        raise NotDirectIp(f"revision {data[0]}")
    if len(data) < 3 or len(data) < 3 + int.from_bytes(data[1:3], "big"):
        if len(data) >= 3 and int.from_bytes(data[1:3], "big") > MESSAGE_SIZE_MAX:
            raise NotDirectIp(f"length {int.from_bytes(data[1:3], 'big')}")
        return None
    found, at, end = {}, 3, 3 + int.from_bytes(data[1:3], "big")
    while at < end:
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        if at + 3 + size > end or data[at] in found:
            raise NotDirectIp(f"element {data[at]:#x} at {at}")
        found[data[at]] = data[at + 3 : at + 3 + size]
        at += 3 + size
    return found


def mt_request(found: dict[int, bytes]) -> MtRequest:
    """Read the elements of an MT message. Raises NotDirectIp."""
    head = found.get(MT_HEADER, b"")
    if len(head) != 21:
        raise NotDirectIp(f"an MT header of {len(head)} bytes")
    if set(found) - {MT_HEADER, MT_PAYLOAD, MT_LOCATION, MT_PRIORITY}:
        raise NotDirectIp(f"elements {sorted(found)}")
    return MtRequest(head[:4], head[4:19], int.from_bytes(head[19:21], "big"), found.get(MT_PAYLOAD))


def mt_confirmation(client_id: bytes, imei: bytes, reference: int, status: int) -> bytes:
    """Return the answer to an MT message."""
    return message(element(MT_CONFIRMATION, struct.pack(">4s15sIh", client_id, imei, reference, status)))
