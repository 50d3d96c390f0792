"""The vocabulary: every (group, number) that Feldsher writes. Groups as in paper A, section 4 (R5).

A reader keeps and passes on what it does not know. Only the groups of `GROUPS` count as believable while a
reader searches for the next tag after damage.
"""

from typing import Final

USER_INTERFACE: Final = 0x0001
GRAPHIC: Final = 0x0003
CONTOUR: Final = 0x0005
NETWORK: Final = 0x0007
DATABASE: Final = 0x0009
CAPTURE: Final = 0x000B
"""What a device gave: raw bytes and what was read from them. Ours: the paper names no group for it."""
SERVICE: Final = 0x00FF
IMAGE: Final = 0x0101

GROUPS: Final = frozenset({USER_INTERFACE, GRAPHIC, CONTOUR, NETWORK, DATABASE, CAPTURE, SERVICE, IMAGE})

# Service (0x00FF)
START: Final = 0x01
"""First tag of a stream: data = format version (u8), stream kind (u8), stream id (16 bytes)."""
CHECK: Final = 0x02
END: Final = 0x03
"""Last tag of the content: CBOR map."""
SIGNATURE: Final = 0x04
SEALED: Final = 0x05
"""A sealed container: one journal entry."""
PADDING: Final = 0x06

# Database (0x0009)
PATIENT: Final = 0x01
CORRECTION: Final = 0x02
NOTE: Final = 0x03
RECORD: Final = 0x04
"""One record of a store's log (`node.log`); its owner knows what is in it."""
OPERATOR: Final = 0x05
"""CBOR map: whose badge was read."""

# Capture (0x000B)
DEVICE: Final = 0x01
"""CBOR map: driver, version, port, model and serial number as the device gave them."""
RAW: Final = 0x02
"""Bytes exactly as they came from the device."""
RESULT: Final = 0x03
"""CBOR map: one result record with its observations."""
WAVEFORM: Final = 0x04
PARTIAL: Final = 0x05
"""CBOR map: why what was read is not whole."""
SUMMARY: Final = 0x06
PLACE: Final = 0x07
"""CBOR map: where the study began, and how far the kit's clock was from the satellites'."""
CLOCK: Final = 0x08
"""CBOR map: how good the kit's clock was, and what the device's clock said."""

# Images (0x0101)
PICTURE: Final = 0x01
"""Container: media type, name, and the file's own bytes untouched."""
PREVIEW: Final = 0x02
"""Container: which picture of which study, and a small picture of it."""

# Network (0x0007): the command channel of a link (`docs/protocol.md`)
OFFER: Final = 0x01
HAVE: Final = 0x02
CUSTODY: Final = 0x03
RECEIPT: Final = 0x04
REFUSED: Final = 0x05
ABOUT: Final = 0x06
"""In a parcel (`docs/formats/parcel.md`): which object of the other side the answers on a channel are about."""
TAKEN: Final = 0x07
"""In a parcel: ids of parcels of the other side that need not be carried any more."""

# Network (0x0007): a FILE object, what `feldsher link send` carries
BUNDLE: Final = 0x10
"""A container of FILE_META and FILE_DATA tags; the codec is in its state."""
FILE_META: Final = 0x11
"""CBOR map: name, size, mtime_ns, digest."""
FILE_DATA: Final = 0x12
"""The next bytes of the file that the last FILE_META named."""

# Network (0x0007): the log of a partial object (`node/intake.py`)
INTAKE_OFFER: Final = 0x20
INTAKE_RANGE: Final = 0x21
INTAKE_SYNCED: Final = 0x22

# Network (0x0007): a trace of a link (`wire/trace.py`)
FRAME_SEEN: Final = 0x30
EVENT_SEEN: Final = 0x31

NAMES: Final = {
    (SERVICE, START): "START",
    (SERVICE, CHECK): "CHECK",
    (SERVICE, END): "END",
    (SERVICE, SIGNATURE): "SIGNATURE",
    (SERVICE, SEALED): "SEALED",
    (SERVICE, PADDING): "PADDING",
    (DATABASE, PATIENT): "PATIENT",
    (DATABASE, CORRECTION): "CORRECTION",
    (DATABASE, NOTE): "NOTE",
    (DATABASE, OPERATOR): "OPERATOR",
    (CAPTURE, DEVICE): "DEVICE",
    (CAPTURE, RAW): "RAW",
    (CAPTURE, RESULT): "RESULT",
    (CAPTURE, WAVEFORM): "WAVEFORM",
    (CAPTURE, PARTIAL): "PARTIAL",
    (CAPTURE, SUMMARY): "SUMMARY",
    (IMAGE, PICTURE): "PICTURE",
    (IMAGE, PREVIEW): "PREVIEW",
    (NETWORK, OFFER): "OFFER",
    (NETWORK, HAVE): "HAVE",
    (NETWORK, CUSTODY): "CUSTODY",
    (NETWORK, RECEIPT): "RECEIPT",
    (NETWORK, REFUSED): "REFUSED",
    (NETWORK, ABOUT): "ABOUT",
    (NETWORK, TAKEN): "TAKEN",
    (NETWORK, BUNDLE): "BUNDLE",
    (NETWORK, FILE_META): "FILE_META",
    (NETWORK, FILE_DATA): "FILE_DATA",
    (NETWORK, FRAME_SEEN): "FRAME_SEEN",
    (NETWORK, EVENT_SEEN): "EVENT_SEEN",
}
"""What people see; a kind that is not here is shown by its numbers."""
