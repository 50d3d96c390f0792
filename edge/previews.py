"""Small pictures of a picture, in stages: what a doctor sees in seconds while the whole is on its way for minutes.

The first stage is an overview of a few kilobytes, the second fills a screen. Each is WebP, upright, in plain colours,
and is only for the eye: the picture itself travels untouched behind them. A stage that would not be much smaller than
the picture is left out, and so is one of a file that cannot be decoded, or only with too much memory. Pillow is loaded
when the first preview is made. Owns nothing.
"""

import io
import warnings
from collections.abc import Iterator
from typing import Any, Final

from wire.record import Picture, Preview

STAGES: Final = ((256, 6 << 10), (1024, 48 << 10))
"""(long side in pixels, bytes that it should not exceed), coarse first."""
QUALITIES: Final = (60, 40, 20)
"""Tried one after the other until a stage is small enough; the last is taken as it comes."""
PIXELS_MAX: Final = 1 << 26
"""A larger picture has no preview: decoding it takes 200 MB."""
WORTH: Final = 3
"""A preview is at most one part in so many of the picture's own bytes."""
SIZE_MIN: Final = 16 << 10
"""A smaller file needs none: it is there nearly as soon."""
MEDIA_TYPE: Final = "image/webp"


def previews_of(study: bytes, number: int, picture: Picture) -> list[Preview]:
    """Return the previews of picture `number` of a study, coarse first; none when it is no picture that can be read."""
    if not picture.media_type.startswith("image/") or len(picture.image) < SIZE_MIN:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return list(_stages(study, number, picture))
    except Exception:  # noqa: BLE001  whatever a damaged file makes a decoder raise, the file itself travels
        return []


def _stages(study: bytes, number: int, picture: Picture) -> Iterator[Preview]:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(picture.image)) as opened:
        width, height = opened.size
        if width * height > PIXELS_MAX:
            return
        finest = STAGES[-1][0]
        opened.draft("RGB", (finest, finest))  # a JPEG is decoded at an eighth, a quarter or a half
        opened.thumbnail((finest, finest))
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    sides = (width, height) if (upright.width < upright.height) == (width < height) else (height, width)
    for stage, (side, size_max) in enumerate(STAGES, 1):
        small = upright.copy()
        small.thumbnail((side, side))
        image = _encoded(small, size_max)
        if len(image) * WORTH > len(picture.image):
            return
        yield Preview(study, number, stage, MEDIA_TYPE, picture.name, *sides, image)
        if max(sides) <= side:
            return


def _encoded(image: Any, size_max: int) -> bytes:  # noqa: ANN401  a Pillow image, and Pillow is loaded late
    raw = b""
    for quality in QUALITIES:
        out = io.BytesIO()
        image.save(out, "WEBP", quality=quality)
        raw = out.getvalue()
        if len(raw) <= size_max:
            break
    return raw
