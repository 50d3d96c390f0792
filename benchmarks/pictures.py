"""What codec 4 makes of JPEG files, beside what else packs them, and their previews. `run()` gives the rows.

The pictures are made up (`benchmarks/photographs.py`, and `paper`); each is restored and compared before it counts.
"""

import lzma
import time
from collections.abc import Callable

import numpy as np
import zstandard
from PIL import Image, ImageDraw

from benchmarks.photographs import as_file, photograph
from edge.previews import previews_of
from wire import picture
from wire.record import Picture

Row = dict[str, object]


def paper(width: int, height: int) -> Image.Image:
    """Return a page as a scanner sees it: dark strokes of all lengths on a light ground, with grain."""
    dice = np.random.default_rng(4)
    page = Image.new("RGB", (width, height), (246, 244, 238))
    pen = ImageDraw.Draw(page)
    for top in range(20, height - 20, 34):
        left = 20
        while left < width - 60:
            right, tall = left + int(dice.integers(3, 40)), int(dice.integers(3, 14))
            pen.rectangle((left, top + 14 - tall, right, top + 14), fill=(30, 32, 44))
            left = right + int(dice.integers(3, 12))
    grain = dice.normal(size=(height, width, 3)) * 2
    return Image.fromarray(np.clip(np.asarray(page) + grain, 0, 255).astype(np.uint8))


def _timed(call: Callable[[], bytes]) -> tuple[bytes, float]:
    began = time.perf_counter()
    made = call()
    return made, time.perf_counter() - began


def _row(name: str, raw: bytes) -> Row:
    packed, pack_s = _timed(lambda: picture.pack(raw))
    plain, unpack_s = _timed(lambda: picture.unpack(packed, len(raw)))
    assert plain == raw
    return {
        "picture": name,
        "JPEG, B": len(raw),
        "codec 4, B": len(packed),
        "saved": f"{100 * (1 - len(packed) / len(raw)):.1f} %",
        "zstd -19, B": len(zstandard.compress(raw, 19)),
        "xz -9, B": len(lzma.compress(raw, preset=9)),
        "packed and proved, s": round(pack_s, 3),
        "restored, s": round(unpack_s, 3),
        "previews, B": " + ".join(
            f"{len(one.image):,}" for one in previews_of(bytes(16), 0, Picture("image/jpeg", "", raw))
        ),
    }


def run() -> list[Row]:
    """Return a row for each kind of JPEG."""
    small, large = photograph(640, 480), photograph(4000, 3000, 3)
    middle = photograph(1600, 1200, 2)
    files = {
        "640 x 480, quality 85": as_file(small, quality=85),
        "1600 x 1200, quality 60": as_file(middle, quality=60),
        "1600 x 1200, quality 85": as_file(middle, quality=85),
        "1600 x 1200, quality 95": as_file(middle, quality=95),
        "1600 x 1200, quality 85, 4:4:4": as_file(middle, quality=85, subsampling=0),
        "1600 x 1200, quality 85, progressive": as_file(middle, quality=85, progressive=True),
        "1600 x 1200, quality 85, grey": as_file(middle.convert("L"), quality=85),
        "4000 x 3000, quality 85": as_file(large, quality=85),
        "a page of a form, 1240 x 1754, quality 80": as_file(paper(1240, 1754), quality=80),
    }
    return [_row(name, raw) for name, raw in files.items()]


if __name__ == "__main__":
    for row in run():
        print(row)
