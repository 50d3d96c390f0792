"""Tickets made by an independent program, python-escpos, into the printer driver: dot by dot and letter by letter."""

import io

import pytest
from PIL import Image

from tests.edge.bench import Bench
from wire.record import Picture

printers = pytest.importorskip("escpos.printer", reason="PYTHON-ESCPOS ABSENT: pip install python-escpos")

WIDE, HIGH = 200, 60


def picture():
    image = Image.new("1", (WIDE, HIGH), 1)
    for x in range(WIDE):
        image.putpixel((x, x * 7 % HIGH), 0)
        image.putpixel((x, HIGH - 1), 0)
    return image


def white(image, size):
    return [[bool(image.getpixel((x, y))) for x in range(size[0])] for y in range(size[1])]


def heard(host, **options):
    bench = Bench("printer", options)
    bench.feed_in_pieces(host.output, 64)
    bench.wait(10)
    (study,) = bench.studies
    assert study.raw == host.output
    return study


@pytest.mark.parametrize("way", ["bitImageRaster", "graphics", "bitImageColumn"])
@pytest.mark.parametrize("doubled", [False, True])
def test_a_picture_is_the_same_dot_by_dot(way, doubled):
    host = printers.Dummy()
    host.image(picture(), impl=way, high_density_vertical=not doubled, high_density_horizontal=not doubled)
    host.cut()
    study = heard(host)
    (found,) = [Picture.from_tag(tag) for tag in study.tags if tag.kind == Picture.KIND]
    image = Image.open(io.BytesIO(found.image))
    times = 2 if doubled else 1
    want = picture().resize((WIDE * times, HIGH * times), Image.Resampling.NEAREST)
    if way == "bitImageColumn" and doubled:
        want = want.resize((WIDE * 2, HIGH * 3), Image.Resampling.NEAREST)
    assert white(image, want.size) == white(want, want.size)
    assert study.notes == []


@pytest.mark.parametrize("page", ["CP866", "CP1251", "CP437", "ISO_8859-15"])
def test_text_is_read_under_the_page_that_was_set(page):
    text = {"CP437": "Größe 5,5 µ", "ISO_8859-15": "Glucose 5 €"}.get(page, "Анализ мочи 5,5")
    host = printers.Dummy(profile="TM-T88V" if page != "CP1251" else "default")
    host.charcode(page)
    host.set(align="center", double_width=True, bold=True)
    host.text(f"{text}\n")
    host.ln(2)
    host.cut()
    assert [one.value for one in heard(host).observations] == [text]


def test_bar_codes_and_symbols_are_told():
    host = printers.Dummy(profile="TM-T88V")
    host.barcode("{B24310077", "CODE128", function_type="B")
    host.qr("24310077", native=True)
    host.cut()
    found = [(one.code, one.value) for one in heard(host).observations]
    assert ("barcode", "CODE128: {B24310077") in found
    assert ("barcode", "QR: 24310077") in found
