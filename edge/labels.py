"""A label for a patient or a sample: its id with a check digit as Code 128, readable, with a date, for two printers.

Pure: an id in, the printer's bytes out. The check digit is the one that `edge.drivers.barcode` verifies: it is found
with that module's own rules, so that what is printed here is taken there.

* ESC/POS (receipt and label printers): ESC @, GS h, GS w, GS k 73 (Code 128, `{B` or `{C` first). Epson, ESC/POS
  command reference.
* ZPL II (label printers of Zebra and others): ^XA … ^BY ^BC ^FD … ^XZ. Zebra, ZPL II programming guide.

An even number of digits is printed in code set C, two digits a symbol, which is half as wide; everything else in B.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edge.drivers.barcode import LABEL_SIZE_MAX, SCHEMES
from wire.errors import UsageError

DIGITS: Final = "0123456789"
CODE39: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%"
SYMBOL_DOTS, END_DOTS, QUIET_DOTS = 11, 35, 20
"""Code 128 in its thinnest lines: a symbol; start, check symbol and stop together; the white to both sides."""
LINE_DOTS_MAX, LINE_DOTS_MIN = 4, 2
"""A line of the code; a thinner one is not read at 8 dots a millimetre."""
HEIGHT_DOTS: Final = 80
TEXT_SIZE_MAX: Final = 40
COPIES_MAX: Final = 50
PAGES: Final = {"cp866": 17, "cp1251": 46, "cp437": 0, "cp852": 18, "cp1252": 16}
"""ESC t n, as Epson numbers them."""


@dataclass(frozen=True, slots=True)
class Label:
    """What stands on it. `id` as it is scanned, with prefix and check digit; `date` and `text` as they are printed."""

    id: str
    date: str = ""
    text: str = ""
    copies: int = 1


def with_check(given: str, scheme: str) -> str:
    """Return an id with its check digit. Raises UsageError when the scheme has none for such an id."""
    if scheme == "none":
        return given
    found = next((given + one for one in _candidates(scheme) if given and SCHEMES[scheme](given + one)), None)
    if found is None:
        wants = {"ean13": "twelve digits", "mod97": "letters and digits", "code39": "capitals and digits"}
        raise UsageError(f"{given!r}: scheme {scheme} wants {wants.get(scheme, 'digits')} before its check digit")
    return found


def _candidates(scheme: str) -> Iterable[str]:
    if scheme == "mod97":
        return (f"{one:02d}" for one in range(100))
    return CODE39 if scheme == "code39" else DIGITS


def require_checked(given: str, scheme: str) -> str:
    """Return an id that has its check digit already. Raises UsageError when it does not hold."""
    if scheme != "none" and not SCHEMES[scheme](given):
        raise UsageError(f"{given!r}: its check digit ({scheme}) does not hold")
    return given


def check(label: Label, width: int) -> int:
    """Return how many dots wide a thin line is on paper of `width` dots. Raises UsageError when it is none."""
    if not 0 < len(label.id) <= LABEL_SIZE_MAX or not all(" " <= char <= "~" for char in label.id):
        raise UsageError(f"{label.id!r}: an id has 1 to {LABEL_SIZE_MAX} characters of ASCII")
    for text in (label.text, label.date):
        if len(text) > TEXT_SIZE_MAX or not text.isprintable():
            raise UsageError(f"{text!r}: a line of text has at most {TEXT_SIZE_MAX} characters, and none for control")
    if not 1 <= label.copies <= COPIES_MAX:
        raise UsageError(f"{label.copies} copies: from 1 to {COPIES_MAX}")
    lines = SYMBOL_DOTS * (len(label.id) // 2 if _is_paired(label.id) else len(label.id)) + END_DOTS + QUIET_DOTS
    dots = min(width // lines, LINE_DOTS_MAX)
    if dots < LINE_DOTS_MIN:
        want = LINE_DOTS_MIN * lines
        raise UsageError(f"{label.id!r}: its code needs {want} dots, and the paper has {width}: shorten it")
    return dots


def escpos(label: Label, width: int, encoding: str = "cp866") -> bytes:
    """Return the bytes for an ESC/POS printer. Raises UsageError."""
    dots = check(label, width)
    texts = b"".join(_encoded(text, encoding) + b"\n" for text in (label.id, label.text, label.date) if text)
    if _is_paired(label.id):
        code = b"{C" + bytes(int(label.id[at : at + 2]) for at in range(0, len(label.id), 2))
    else:
        code = b"{B" + label.id.encode("ascii").replace(b"{", b"{{")
    begins = b"\x1b@\x1ba\x01\x1bt" + bytes((PAGES[encoding],))
    bars = (
        b"\x1dH\x00\x1dh" + bytes((HEIGHT_DOTS,)) + b"\x1dw" + bytes((dots,)) + b"\x1dkI" + bytes((len(code),)) + code
    )
    return (begins + bars + b"\n" + texts + b"\x1bd\x03\x1dVB\x00") * label.copies


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise UsageError(f"{text!r}: {text[error.start]!r} is not in {encoding}") from None


def zpl(label: Label, width: int) -> bytes:
    """Return the bytes for a ZPL printer. Raises UsageError."""
    dots = check(label, width)
    invoked = ">;" if _is_paired(label.id) else ">:"
    code = invoked + label.id.replace(">", ">0")
    parts = ["^XA^CI28", f"^PW{width}", "^LH0,0", f"^FO{10 * dots},20^BY{dots},3,{HEIGHT_DOTS}^BCN,{HEIGHT_DOTS},N,N,N"]
    parts.append(_field(code))
    for row, text in enumerate(text for text in (label.id, label.text, label.date) if text):
        parts.append(f"^FO{10 * dots},{30 + HEIGHT_DOTS + 32 * row}^A0N,28,24{_field(text)}")
    return ("".join(parts) + f"^PQ{label.copies}^XZ\n").encode()


def _field(text: str) -> str:
    """Return ^FD with what ZPL would take for its own written as hex."""
    escaped = "".join(f"_{ord(char):02X}" if char in "^~_\\" else char for char in text)
    return f"^FH_^FD{escaped}^FS"


def _is_paired(text: str) -> bool:
    return len(text) % 2 == 0 and text.isascii() and text.isdigit()
