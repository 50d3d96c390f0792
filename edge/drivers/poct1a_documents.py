"""Cuts a line into POCT1-A messages, and reads one: small XML documents, one after another.

CLSI POCT1-A2, device messaging: an XML document for each message, whose root names it (`OBS.R01`), whose values stand
in attributes `V`, units in `U`, display names in `DN`, coding systems in `SN`. On TCP documents follow one another as
they are; some devices (HemoScreen) put MLLP's 0B and 1C 0D around each.

A document begins with a root that is named like a message, and ends with that root's end: neither needs to be
understood to find the other. It is read by expat with everything refused that XML has beyond elements and attributes:
no document type, no entity of its own, bounded depth and number.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

DOCUMENT_SIZE_MAX: Final = 1 << 18
"""Bytes; devices declare 1,000 to 32,768."""
BEFORE_SIZE_MAX: Final = 1_024
"""What stands before a document and is kept with it: its declaration, line ends, 0B; the last bytes of it."""
NAME_SIZE_MAX: Final = 64
ELEMENTS_MAX: Final = 20_000
DEPTH_MAX: Final = 32
ATTRIBUTES_MAX: Final = 32
ROOT_SIZE_MAX: Final = 48
_ROOT: Final = re.compile(rb"<([A-Z]{3}(?:\.[A-Z0-9_]{1,16}){0,2}\.R\d\d)[\s>/]")


@dataclass(frozen=True, slots=True)
class Document:
    """One message as it came. `raw`: with what stood before it; `is_whole`: its end was seen."""

    raw: bytes
    kind: str
    is_whole: bool = True
    is_framed: bool = False
    """It stood between 0B and 1C."""


class Splitter:
    """Finds documents; holds at most one."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._kind = b""
        self._begins = self._looked = 0
        self.skipped = 0
        """Bytes since the last document that belong to none."""

    @property
    def is_inside(self) -> bool:
        """A document has begun."""
        return bool(self._kind)

    def push(self, data: bytes) -> None:
        """Take bytes."""
        self._buffer += data

    def rest(self) -> Document | None:
        """Give up a document that has begun, and return what came of it."""
        return self._give(len(self._buffer), is_whole=False) if self._kind else None

    def next(self) -> Document | None:
        """Return the first document that is whole, or has grown too long; None when there is none."""
        if not self._kind and not self._find_root():
            return None
        end = re.compile(rb"</" + re.escape(self._kind) + rb"\s*>").search(self._buffer, self._looked)
        if end is not None:
            return self._give(end.end(), is_whole=True)
        self._looked = max(self._begins, len(self._buffer) - NAME_SIZE_MAX)
        return self._give(len(self._buffer), is_whole=False) if len(self._buffer) > DOCUMENT_SIZE_MAX else None

    def _find_root(self) -> bool:
        found = _ROOT.search(self._buffer)
        if found is None:
            spare = len(self._buffer) - BEFORE_SIZE_MAX - ROOT_SIZE_MAX  # the root may have come in part
            if spare > 0:
                self.skipped += spare
                del self._buffer[:spare]
            return False
        kind, spare = found[1], max(0, found.start() - BEFORE_SIZE_MAX)  # a match reads the buffer as it is when asked
        del self._buffer[:spare]
        self._kind, self._begins, self._looked, self.skipped = kind, found.start() - spare, 0, 0
        return True

    def _give(self, size: int, *, is_whole: bool) -> Document:
        raw, kind = bytes(self._buffer[:size]), self._kind.decode()
        is_framed = b"\x0b" in raw[: self._begins]
        del self._buffer[:size]
        self._kind, self._begins, self._looked = b"", 0, 0
        return Document(raw, kind, is_whole, is_framed)


@dataclass(slots=True)
class Element:
    """One element: name, attributes, and what is in it. `begins` and `ends`: its bytes in the document."""

    name: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    begins: int = 0
    ends: int = 0

    def all(self, name: str) -> list["Element"]:
        """Return the children of this name."""
        return [one for one in self.children if one.name == name]

    def under(self, *path: str) -> "Element | None":
        """Return the first element at the end of a path of children."""
        at: Element | None = self
        for name in path:
            at = next(iter(at.all(name)), None) if at is not None else None
        return at

    def value(self, *path: str, attribute: str = "V") -> str:
        """Return an attribute of the first element at the end of a path, trimmed; "" when there is none."""
        found = self.under(*path)
        return found.attributes.get(attribute, "").strip() if found is not None else ""


class Unread(Exception):
    """Why a document was not read."""


class _Reader:
    """Takes what expat finds."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self._stack: list[Element] = []
        self._count = 0
        self.root: Element | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > ELEMENTS_MAX or len(self._stack) >= DEPTH_MAX or len(attributes) > ATTRIBUTES_MAX:
            raise Unread("it has more elements, one within another or in all, than any message")
        one = Element(name, attributes, begins=self._parser.CurrentByteIndex)
        if self._stack:
            self._stack[-1].children.append(one)
        else:
            self.root = one
        self._stack.append(one)

    def end(self, _: str) -> None:
        self._stack.pop().ends = self._parser.CurrentByteIndex

    def refuse(self, *_: object) -> None:
        raise Unread("it has a document type or entities of its own, which no message has")


def read(document: Document) -> tuple[Element, int]:
    """Return the root, and where in `raw` its bytes are counted from. Raises Unread."""
    found = _ROOT.search(document.raw)
    root_at = found.start() if found is not None else 0
    declared = max(document.raw.rfind(word, 0, root_at) for word in (b"<?xml", b"<!DOCTYPE"))
    begins = declared if declared >= 0 else root_at
    parser = expat.ParserCreate()
    reader = _Reader(parser)
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = reader.refuse
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    try:
        parser.Parse(document.raw[begins:], True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: an encoding that is none
        raise Unread(f"it is no XML: {error}"[:120]) from None
    if reader.root is None:
        raise Unread("it is empty")
    return reader.root, begins
