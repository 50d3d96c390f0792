"""Previews: small, upright, coarse first; none rather than a large one; nothing a file may hold stops an import."""

import io
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.photographs import as_file, jpeg, photograph
from edge import previews
from edge.previews import STAGES, WORTH, previews_of
from wire.record import Picture

STUDY = bytes(range(16))
PHOTO = photograph(1600, 1200)


def made(image, media_type="image/jpeg"):
    return previews_of(STUDY, 3, Picture(media_type, "left eye.jpg", image))


def opened(preview):
    with Image.open(io.BytesIO(preview.image)) as image:
        image.load()
        return image


def test_a_photograph_has_an_overview_of_a_few_kilobytes_and_one_that_fills_a_screen():
    coarse, fine = made(as_file(PHOTO, quality=90))
    assert (coarse.stage, fine.stage) == (1, 2)
    assert opened(coarse).size == (256, 192)
    assert opened(fine).size == (1024, 768)
    assert len(coarse.image) <= STAGES[0][1]
    assert (coarse.study, coarse.number, coarse.name) == (STUDY, 3, "left eye.jpg")
    assert (coarse.width, coarse.height) == (1600, 1200)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_every_kind_of_jpeg(options):
    assert len(made(as_file(PHOTO, quality=90, **options))) == 2


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGBA", "1", "I;16"])
def test_every_kind_of_png(mode):
    image = PHOTO.convert("L").convert("I").convert("I;16") if mode == "I;16" else PHOTO.convert(mode)
    assert [one.stage for one in made(as_file(image, "PNG"), "image/png")][:1] in ([1], [])


def test_a_camera_that_was_held_upright_makes_an_upright_preview():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by a quarter
    coarse, _ = made(as_file(PHOTO, quality=90, exif=exif))
    assert opened(coarse).size == (192, 256)
    assert (coarse.width, coarse.height) == (1200, 1600)


def test_a_preview_carries_nothing_of_what_the_camera_wrote():
    exif = Image.Exif()
    exif[0x010E] = "Koval Olena, born 1969"
    for one in made(as_file(PHOTO, quality=90, exif=exif)):
        assert b"Koval" not in one.image


def test_what_would_not_be_much_smaller_is_left_out():
    for side in (64, 200, 400, 800):
        image = jpeg(side, side)
        for one in made(image):
            assert len(one.image) * WORTH <= len(image)
    assert made(jpeg(64, 64)) == []


def test_a_picture_that_the_first_stage_shows_whole_has_no_second():
    image = as_file(photograph(250, 200), "PNG")
    assert [one.stage for one in made(image, "image/png")] == [1]


def test_what_is_no_picture_has_none():
    assert made(b"%PDF-1.4", "application/pdf") == []
    assert made(jpeg(), "application/octet-stream") == []


def test_a_picture_that_would_take_too_much_memory_has_none(monkeypatch):
    image = as_file(PHOTO, quality=90)
    monkeypatch.setattr(previews, "PIXELS_MAX", 1600 * 1200)
    assert len(made(image)) == 2
    monkeypatch.setattr(previews, "PIXELS_MAX", 1600 * 1200 - 1)
    assert made(image) == []


def test_a_png_that_unpacks_to_a_gigabyte_is_not_decoded():
    """Its header says so; a bomb costs nothing."""
    bomb = bytearray(as_file(Image.new("L", (8, 8)), "PNG"))
    bomb[16:24] = (40_000).to_bytes(4, "big") * 2
    assert made(bytes(bomb), "image/png") == []


@pytest.mark.parametrize("cut", [3, 20, 200, 20_000])
def test_a_file_that_is_cut_short_has_none(cut):
    assert made(jpeg(640, 480)[:cut]) == []


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF"]))
def test_any_bytes_have_previews_or_none(rest, beginning):
    assert isinstance(made(beginning + rest), list)


def test_a_kit_that_captures_no_picture_loads_nothing_for_pictures():
    """Its memory is for the devices: 60 MB on a Raspberry Pi."""
    asked = "import edge.daemon, feldsher.kit, sys; print([one for one in ('PIL', 'pillow_jxl') if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
