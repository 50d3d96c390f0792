"""Pictures that compress as photographs do, made from a seed: 1/f noise in three colours, and a sensor's grain."""

import io

import numpy as np
from PIL import Image


def photograph(width: int, height: int, seed: int = 1) -> Image.Image:
    """Return a picture whose spectrum falls as that of a scene does."""
    dice = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falling = np.maximum(np.hypot(down, across), 1 / max(width, height)) ** -1.3
    planes = []
    for _ in range(3):
        spectrum = (dice.normal(size=falling.shape) + 1j * dice.normal(size=falling.shape)) * falling
        plane = np.fft.irfft2(spectrum, s=(height, width))
        planes.append((plane - plane.mean()) / (plane.std() or 1))
    grain = dice.normal(size=(height, width, 3)) * 3
    colours = np.stack([128 + 45 * (0.8 * planes[0] + 0.3 * plane) for plane in planes], -1) + grain
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))


def as_file(picture: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    """Return the picture as a file; `options` are those of Pillow."""
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def jpeg(width: int = 320, height: int = 240, seed: int = 1, **options: object) -> bytes:
    """Return a photograph as a JPEG file."""
    return as_file(photograph(width, height, seed), **({"quality": 85} | options))
