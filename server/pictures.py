"""Pictures of a study as they are shown: what is there, the whole of one, and previews until the whole has come.

Owns nothing. May call: `wire.record`, `server.restoring`. A preview is shown only while its study is on its way, and
only when the kit that announced the study has signed it; of several stages the finest stands. When the study is here
the previews say nothing any more, whatever they are, and however late they come.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from server.reading import Reading, Signature
from server.restoring import Restorer
from wire import picture
from wire.codec import IMAGE
from wire.entry import ENTRY_SIZE_MAX
from wire.errors import FormatError
from wire.record import Picture, Preview
from wire.tag import CODEC_MASK, Tag

IN_PAGE: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Shown in the page; every other kind is only for download."""
PREVIEWS_MAX: Final = 128
"""Preview objects of one study that are looked into."""
PREVIEW_SIZE_MAX: Final = 1 << 20
"""A larger object is no preview."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture or document: which tag of which entry, and what is said of it."""

    entry: int
    number: int
    media_type: str
    name: str
    size: int

    @property
    def is_in_page(self) -> bool:
        return self.media_type in IN_PAGE


@dataclass(frozen=True, slots=True)
class Look:
    """A preview that is shown, and the object in which it came."""

    object_id: str
    preview: Preview


def shown(reading: Reading) -> Iterator[Shown]:
    """Yield the pictures of a study; none is restored for it."""
    for entry in reading.entries:
        for number, tag in enumerate(entry.tags):
            if tag.kind == Picture.KIND:
                try:
                    head, size = _facts(tag)
                except FormatError:
                    continue
                yield Shown(entry.ordinal, number, head.media_type, head.name, size)


def whole(tag: Tag, restorer: Restorer) -> Picture:
    """Return the picture with all its bytes, as they were. Raises FormatError."""
    data = restorer.restore(tag.data, ENTRY_SIZE_MAX) if tag.codec == IMAGE else tag.data
    return Picture.from_tag(replace(tag, data=data, state=tag.state & ~CODEC_MASK))


def looks(readings: Iterable[tuple[str, Reading]], study: str, kit: str) -> list[Look]:
    """Return the finest preview of each picture of `study`, signed by `kit`. `readings`: by object, oldest first."""
    finest: dict[int, Look] = {}
    for object_id, reading in readings:
        if reading.signature != Signature.GOOD or reading.kit is None or reading.kit.name != kit:
            continue
        for _, preview in reading.records(Preview):
            before = finest.get(preview.number)
            is_finer = before is None or preview.stage > before.preview.stage
            if preview.study.hex() == study and preview.media_type in IN_PAGE and is_finer:
                finest[preview.number] = Look(object_id, preview)
    return [finest[number] for number in sorted(finest)]


def _facts(tag: Tag) -> tuple[Picture, int]:
    """Return the head of a picture, and the size of its bytes."""
    if tag.codec != IMAGE:
        found = Picture.from_tag(tag)
        return replace(found, image=b""), len(found.image)
    head, size, _ = picture.parse(tag.data)
    return Picture.from_tag(replace(tag, data=head)), size
