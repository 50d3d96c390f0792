"""Which USB devices may be opened to see who is behind them: adapters, and devices that this kit has a driver for.

A list of what is known, not of what is not: a modem, a debugger or a door controller that is opened may do something.
The ids are those of the makers' own chips (FTDI, Prolific, WCH, Silicon Labs, …), as in Linux's drivers for them
(drivers/usb/serial). Many things are built around such a chip; so a name that says what it is counts, too.
"""

from collections.abc import Mapping
from typing import Final

ADAPTERS: Final[Mapping[tuple[int, int], str]] = {
    **{(0x0403, pid): "FTDI adapter" for pid in (0x6001, 0x6010, 0x6011, 0x6014, 0x6015)},
    **{(0x067B, pid): "Prolific adapter" for pid in (0x2303, 0x23A3, 0x23B3, 0x23C3, 0x23D3, 0x23E3, 0x23F3)},
    **{(0x1A86, pid): "WCH adapter" for pid in (0x7523, 0x7522, 0x5523, 0x55D3, 0x55D4)},
    **{(0x10C4, pid): "Silicon Labs adapter" for pid in (0xEA60, 0xEA70, 0xEA71)},
    **{(0x9710, pid): "MosChip adapter" for pid in (0x7720, 0x7820, 0x7840)},
    **{(0x04E2, pid): "Exar adapter" for pid in (0x1410, 0x1411, 0x1412, 0x1414)},
    **{(0x110A, pid): "Moxa adapter" for pid in (0x1110, 0x1130, 0x1150, 0x1250, 0x1410, 0x1450)},
    **{(0x1546, pid): "u-blox GPS receiver" for pid in (0x01A5, 0x01A6, 0x01A7, 0x01A8, 0x01A9)},
    (0x0557, 0x2008): "ATEN adapter",
    (0x0451, 0x3410): "Texas Instruments adapter",
    (0x6547, 0x0232): "ArkMicro adapter",
}
SCANNERS: Final[Mapping[int, str]] = {0x0C2E: "Honeywell scanner", 0x05E0: "Zebra scanner", 0x05F9: "Datalogic scanner"}
"""Makers of nothing else that shows as a serial line."""
MODEMS: Final = frozenset((0x12D1, 0x19D2, 0x1199, 0x2C7C, 0x1E0E, 0x1BC7, 0x2CB7, 0x05C6, 0x1546))
"""Huawei, ZTE, Sierra, Quectel, SIMCom, Telit, Fibocom, Qualcomm, u-blox (but for its receivers above)."""
FOREIGN_WORDS: Final = (
    *("modem", "gsm", "lte", "iridium", "rockblock", "printer", "pos58", "ups", "jtag", "debug", "probe", "st-link"),
    *("j-link", "arduino", "zigbee", "z-wave", "programmer", "bootloader", "relay"),
)


def why_not(vid: int | None, pid: int | None, names: str) -> str:
    """Return why a port is not opened without being named; "" when it may be. `names`: what the device calls itself."""
    if vid is None or pid is None:
        return (
            "not on USB: it may be the console or the Bluetooth of this machine. To listen on it, name it with --port"
        )
    word = next((word for word in FOREIGN_WORDS if word in names.lower().replace("/", " ").split()), "")
    if word:
        return f"it calls itself {names.strip()!r}"
    if (vid, pid) in ADAPTERS or vid in SCANNERS:
        return ""
    if vid in MODEMS:
        return f"{vid:04x}:{pid:04x} is a modem"
    return f"{vid:04x}:{pid:04x} is none of the adapters that are known. To listen on it, name it with --port"


def known_as(vid: int | None, pid: int | None) -> str:
    """Return what this is; "" where it is not known."""
    return ADAPTERS.get((vid or 0, pid or 0), SCANNERS.get(vid or 0, ""))
