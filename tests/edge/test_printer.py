"""The printer driver: tickets as a printer would have made them, dot by dot, and nothing said that is not durable."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge.drivers import printer
from edge.drivers.printer_paper import Dots, Paper, from_columns, from_rows, png
from hardware.simulated.printing_device import HEIGHT, STYLES, WIDTH, PrintingDevice, ticket, trace
from tests.edge.bench import Bench
from tests.edge.virtual import BenchHost, Wire
from wire.errors import ConfigError
from wire.record import Picture

CUT = b"\x1dVB\x00"
ASK, DONE = b"\x10\x04\x01", b"\x1dr\x01"
FINE, IS_DONE = b"\x12", b"\x00"


def heard(data, refuse=lambda number: False, wait=5.0, **options):
    bench = Bench("printer", options, refuse)
    bench.feed(data)
    bench.wait(wait)
    return bench


def texts(study):
    return [one.value for one in study.observations]


def pictures(study):
    """Each picture of a study as Pillow reads it: rows of 0 and 1, 1 is black."""
    found = [Picture.from_tag(tag) for tag in study.tags if tag.kind == Picture.KIND]
    images = [Image.open(io.BytesIO(one.image)) for one in found]
    assert all(image.mode == "1" for image in images)
    return [
        [[int(not image.getpixel((x, y))) for x in range(image.width)] for y in range(image.height)] for image in images
    ]


def drawn(data, **options):
    """The rows of the only picture of a ticket, blank ones above it and right of the last dot left away."""
    (study,) = heard(data + CUT, **options).studies
    (rows,) = pictures(study)
    rows = rows[next(at for at, row in enumerate(rows) if any(row)) :]
    wide = max(at for row in rows for at, dot in enumerate(row) if dot) + 1
    return ["".join(map(str, row[:wide])) for row in rows]


def simulated(style, count=2, faults=(), refuse=lambda number: False, **options):
    device = PrintingDevice(style, 7, [f"{24310077 + at}" for at in range(count)], 5.0, faults)
    bench = Bench("printer", options, refuse)
    Wire(device, BenchHost(bench), piece=97).run(until=900.0)
    bench.wait(30)
    return device, bench


# Tickets of simulated devices

LANGUAGES = {"escpos": "escpos", "column": "escpos", "escp": "escp", "plain": "text"}


@pytest.mark.parametrize("style", STYLES)
def test_a_ticket_is_a_study_with_its_text_and_its_dots(style):
    device, bench = simulated(style, language=LANGUAGES[style])
    assert device.report.is_good
    assert len(bench.studies) == 2
    for at, study in enumerate(bench.studies):
        assert study.ends.partial == ""
        assert f"{24310077 + at}" in texts(study)[0]
        assert study.raw.replace(DONE, b"").endswith(ticket(style, 7, f"{24310077 + at}", at))
        if style == "plain":
            assert not pictures(study)
            continue
        (rows,) = pictures(study)
        want = [list(row) for row in trace(7, at)]
        assert [row[:WIDTH] for row in rows[-HEIGHT:]] == want
        assert not any(dot for row in rows for dot in row[WIDTH:])


def test_cyrillic_is_read_by_the_page_that_the_device_set():
    _, bench = simulated("escpos", 1)
    assert texts(bench.studies[0])[1] == "АНАЛИЗ МОЧИ"
    assert bench.studies[0].results[0].encoding == "cp866"


def test_without_a_page_the_set_is_guessed_and_an_option_overrules():
    _, bench = simulated("escpos", 1, ["no-page"])
    assert texts(bench.studies[0])[1] == "АНАЛИЗ МОЧИ"
    assert bench.studies[0].results[0].encoding == "cp1251"
    (study,) = heard(b"\x1bt\x11" + "Лейкоциты\n".encode("koi8-r") + CUT, encoding="koi8-r").studies
    assert texts(study) == ["Лейкоциты"]


def test_a_device_that_only_asks_makes_no_study():
    bench = Bench("printer")
    bench.feed_in_pieces((ASK + b"\x1b@") * 500, 5)
    bench.wait(60)
    assert bench.studies == []
    assert bench.sent == FINE * 500
    assert bench.durable == b""


def test_a_host_that_asks_all_the_time_does_not_keep_a_ticket_open():
    bench = Bench("printer")
    for text in (b"one\n", b"two\n"):
        bench.feed(text)
        for _ in range(20):
            for byte in DONE:
                bench.feed(bytes((byte,)))
                bench.wait(0.2)
    assert [texts(study) for study in bench.studies] == [["one"], ["two"]]
    assert bench.sent == IS_DONE * 40


@pytest.mark.parametrize("question", [b"", ASK, DONE])
def test_a_device_that_prints_slowly_prints_one_ticket(question):
    bench = Bench("printer")
    for at in range(10):
        bench.feed_in_pieces(b"line %d\n" % at + question)
        bench.wait(2.0)
    assert len(bench.studies) == 0
    bench.wait(2.0)
    assert [len(study.observations) for study in bench.studies] == [10]


def test_pictures_that_go_to_the_printers_memory_make_no_study():
    stored = b"\x1cq\x01\x40\x00\x40\x00" + bytes(64 * 64 * 8)
    bench = Bench("printer")
    bench.feed_in_pieces(stored, 1000)
    bench.wait(100)
    assert bench.studies == []
    bench.feed(b"one\n" + CUT)
    assert bench.studies[0].raw == stored + b"one\n" + CUT


def test_settings_before_a_ticket_are_kept_with_it():
    bench = Bench("printer")
    bench.feed(b"\x1b@\x1bt\x2e")
    bench.wait(100)
    bench.feed("Глюкоза 5,5\n".encode("cp1251"))
    bench.wait(100)
    (study,) = bench.studies
    assert study.raw == b"\x1b@\x1bt\x2e" + "Глюкоза 5,5\n".encode("cp1251")
    assert texts(study) == ["Глюкоза 5,5"]


def test_a_carriage_return_ends_a_line_only_where_the_option_says_so():
    (study,) = heard(b"one\rtwo\r\nthree\n" + CUT).studies
    assert texts(study) == ["onetwo", "three"]
    (study,) = heard(b"one\rtwo\r\nthree\n" + CUT, cr="feed").studies
    assert texts(study) == ["one", "two", "three"]


def test_what_is_not_shown_is_noted():
    (study,) = heard(b"x" * 300 + b"\n\x1bR\x02[ok]\n" + b"line\n" * 300 + CUT).studies
    assert study.notes == [
        "a line is longer than 200 bytes; RAW has it whole",
        "the device chose the signs of a country (ESC R 2): brackets and the like may be others",
        "46 more lines are in RAW only",
    ]
    assert len(texts(study)) == 256
    assert texts(study)[0] == "x" * 200


# What is answered, and when


def test_the_end_of_printing_is_confirmed_only_when_the_ticket_is_durable():
    bench = Bench("printer", {}, refuse=lambda number: number < 5)
    assert bench.feed(b"Glucose 5.5\n" + DONE) == b""
    assert bench.durable == b""
    bench.wait(4.5)
    assert bench.sent == b""
    bench.wait(2.0)
    assert bench.sent == IS_DONE
    assert bench.durable.startswith(b"Glucose 5.5\n" + DONE)


def test_while_the_disk_refuses_a_host_that_asks_for_hours_gets_few_answers_afterwards():
    bench = Bench("printer", {}, refuse=lambda number: number < 400)
    bench.feed(b"Glucose 5.5\n")
    for _ in range(300):
        bench.feed(ASK)
        bench.wait(1.0)
    bench.wait(200)
    assert 0 < len(bench.sent) <= printer.QUESTIONS_MAX
    assert b"Glucose 5.5\n" in bench.durable


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (b"\x10\x04\x04", b"\x12"),
        (b"\x10\x04\x09", b""),
        (b"\x1da\x0f", b"\x10\x00\x00\x00"),
        (b"\x1da\x00", b""),
        (b"\x1dr\x02", b"\x00"),
        (b"\x1bv", b"\x00"),
        (b"\x1dI\x01", b""),
        (b"\x10\x05\x01", b""),
        (b"\x10\x14\x01\x00\x01", b""),
    ],
)
def test_only_how_the_printer_is_is_answered(question, answer):
    assert heard(question).sent == answer
    assert heard(question, answer="none").sent == b""
    assert heard(question, language="text").sent == b""


def test_a_question_within_a_picture_is_a_part_of_the_picture():
    picture = b"\x1dv0\x00\x03\x00\x01\x00" + ASK
    assert heard(picture + CUT).sent == b""
    assert drawn(picture) == ["000100000000010000000001"]


# Dots


def test_raster_stands_where_it_was_sent_and_is_doubled_where_it_says_so():
    assert drawn(b"\x1dv0\x00\x01\x00\x02\x00\xa5\x80") == ["10100101", "10000000"]
    assert drawn(b"\x1dv0\x03\x01\x00\x01\x00\xa0") == ["110011", "110011"]
    (study,) = heard(
        b"\x1ba\x02\x1dv0\x00\x01\x00\x01\x00\xff\x1ba\x01\x1dv0\x00\x01\x00\x01\x00\xff" + CUT, width=64
    ).studies
    (rows,) = pictures(study)
    assert ["".join(map(str, row)) for row in rows] == ["0" * 56 + "1" * 8, "0" * 28 + "1" * 8 + "0" * 28]


def test_columns_of_24_pins_are_rows_again():
    assert drawn(b"\x1b*\x21\x02\x00\x80\x00\x01\x40\x00\x00\n") == ["10", "01", *["00"] * 21, "10"]


def test_columns_of_eight_pins_are_three_dots_apart():
    rows = drawn(b"\x1b*\x00\x02\x00\x80\x40\n")
    assert rows == ["1100"] * 3 + ["0011"] * 3


@pytest.mark.parametrize("head", [b"\x1d(L\x0c\x00", b"\x1d8L\x0c\x00\x00\x00"])
def test_stored_graphics_are_drawn_when_they_are_printed(head):
    stored = head + b"\x30\x70\x30\x01\x02\x31\x07\x00\x02\x00\xa0\x02"
    printed = b"\x1d(L\x02\x00\x30\x32"
    assert drawn(stored + printed) == ["1010000", "1010000", "0000001", "0000001"]
    assert not heard(stored + CUT).studies


def test_a_downloaded_picture_is_drawn_as_often_as_it_is_called():
    rows = drawn(b"\x1d*\x01\x01" + b"\x80" + bytes(6) + b"\x01" + b"\x1d/\x00\x1d/\x01")
    assert rows[0] == "1" + "0" * 15
    assert rows[7] == "00000001" + "0" * 8
    assert rows[8] == "11" + "0" * 14
    assert rows[15] == "0" * 14 + "11"


def test_what_lies_in_the_printers_memory_is_noted():
    (study,) = heard(b"logo:\n\x1cp\x01\x00\x1d/\x00" + CUT).studies
    assert study.notes == ["a picture from the printer's own memory stood here"]


def test_text_keeps_its_room_between_pictures():
    dot = b"\x1dv0\x00\x01\x00\x01\x00\x80"
    (study,) = heard(dot + b"one line\n\x1bJ\x0a" + dot + CUT).studies
    (rows,) = pictures(study)
    assert [at for at, row in enumerate(rows) if any(row)] == [0, 1 + 30 + 10]


def test_bar_codes_are_told_by_their_data():
    code = b"\x1dkI\x0a{B24310077"
    qr = b"\x1d(k\x06\x001P0abc"
    (study,) = heard(code + qr + b"\x1dk\x0424310077\x00" + CUT).studies
    assert [(one.code, one.value) for one in study.observations] == [
        ("barcode", "CODE128: {B24310077"),
        ("barcode", "QR: abc"),
        ("barcode", "CODE39: 24310077"),
    ]


def test_a_metre_of_dots_is_several_pictures_of_one_study():
    black = b"\x1dv0\x00\x48\x00\x00\x08" + b"\xff" * 72 * 2048
    bench = heard(black * 2 + b"end\n" + CUT)
    (study,) = bench.studies
    assert [len(one) for one in pictures(study)] == [2048, 2048]
    assert texts(study) == ["end"]


def test_a_ticket_without_an_end_goes_on_in_the_next_study():
    row = b"\x1dv0\x00\x48\x00\x40\x00" + b"\xaa\x55\x33" * 24 * 64
    bench = Bench("printer")
    bench.feed_in_pieces(row * 300 + CUT, 4096)
    assert len(bench.studies) == 2
    assert b"".join(study.raw for study in bench.studies) == row * 300 + CUT
    assert bench.notes == ["goes on from the study before"]
    images = [Picture.from_tag(tag) for study in bench.studies for tag in study.tags if tag.kind == Picture.KIND]
    assert sum(Image.open(io.BytesIO(one.image)).height for one in images) == 300 * 64


def test_dots_beyond_the_paper_are_cut_off_and_noted():
    (study,) = heard(b"\x1dv0\x00\x02\x00\x01\x00\xff\xff" + CUT, width=12).studies
    assert pictures(study) == [[[1] * 12]]
    assert study.notes == ["dots right of the 12 that the paper is wide are not shown"]


# Damage


def test_a_ticket_that_breaks_off_in_its_picture_keeps_text_and_whole_rows():
    _, bench = simulated("escpos", 2, ["breaks-off"])
    cut, whole = bench.studies
    assert cut.ends.partial.startswith("it breaks off in the command 1D 76: ")
    assert texts(cut)[1] == "АНАЛИЗ МОЧИ"
    (rows,) = pictures(cut)
    size = len(rows) - next(at for at, row in enumerate(rows) if any(row))
    assert 10 < size < HEIGHT
    assert not whole.ends.partial


def test_a_command_that_no_printer_takes_ends_what_is_read():
    _, bench = simulated("escpos", 2, ["absurd"])
    bad, whole = bench.studies
    assert bad.ends.partial == "a command that no printer takes: what stands behind it was not read"
    assert texts(bad)[1] == "АНАЛИЗ МОЧИ"
    assert not pictures(bad)
    assert texts(whole)[1] == "АНАЛИЗ МОЧИ"
    assert len(pictures(whole)) == 1


def test_an_unknown_command_is_noted_and_the_rest_is_read():
    _, bench = simulated("escpos", 1, ["unknown"])
    (study,) = bench.studies
    assert study.notes == ["command 1B 7F is not known: what stands behind it may be its own"]
    assert texts(study)[1] == "АНАЛИЗ МОЧИ"


def test_the_port_vanishes_in_the_middle_of_a_command():
    bench = Bench("printer")
    bench.feed(b"Glucose 5.5\n\x1dv0\x00\x48\x00")
    bench.lose()
    (study,) = bench.studies
    assert study.ends.partial == "it breaks off in the command 1D 76: 6 of 8 bytes"
    assert texts(study) == ["Glucose 5.5"]


def test_endless_data_after_damage_makes_studies_of_a_bounded_size():
    bench = Bench("printer")
    bench.feed(b"\x1dv0\x00\xff\xff\xff\xff")
    for _ in range(300):
        bench.feed(b"x" * 10_000)
    bench.wait(10)
    assert len(bench.studies) == 3
    assert all(len(study.raw) < (1 << 20) + 20_000 for study in bench.studies)
    assert all(study.ends.partial for study in bench.studies)
    assert len(bench.durable) == 8 + 3_000_000


SHAPED = st.sampled_from(
    [
        ASK,
        DONE,
        CUT,
        b"Glucose 5.5\n",
        b"\x1b@",
        b"\x1bt\x11",
        b"\x1dv0\x00\x02\x00\x02\x00",
        b"\x1b*\x21\x03\x00",
        b"\x1d(L\x0c",
    ]
)


@given(st.lists(st.one_of(SHAPED, st.binary(max_size=20)), max_size=20).map(b"".join))
def test_pieces_make_no_difference(data):
    whole, single = heard(data), Bench("printer")
    single.feed_in_pieces(data)
    single.wait(5.0)
    assert [(one.raw, one.observations, pictures(one)) for one in single.studies] == [
        (one.raw, one.observations, pictures(one)) for one in whole.studies
    ]
    assert single.sent == whole.sent


# The parts


def packed(bits):
    return bytes(int("".join(map(str, bits[at : at + 8])), 2) for at in range(0, len(bits), 8))


@given(st.integers(1, 4), st.integers(0, 6), st.randoms(use_true_random=False))
def test_rows_and_columns_of_the_same_dots_are_the_same(pins, width, chance):
    dots = [[chance.randrange(2) for _ in range(8 * width)] for _ in range(8 * pins)]
    rows = from_rows(b"".join(map(packed, dots)), width)
    if width:
        assert from_columns(b"".join(packed([row[x] for row in dots]) for x in range(8 * width)), pins) == rows


@given(st.integers(1, 40), st.lists(st.integers(0), max_size=9))
def test_png_is_what_pillow_reads(width, rows):
    rows = tuple(row % (1 << width) for row in rows) or (0,)
    image = Image.open(io.BytesIO(png(Dots(width, rows))))
    found = [sum((not image.getpixel((x, y))) << (width - 1 - x) for x in range(width)) for y in range(image.height)]
    assert tuple(found) == rows


def test_a_feed_of_many_metres_costs_nothing():
    paper = Paper(8)
    paper.draw(Dots(8, (0xFF,)), 0)
    for _ in range(1000):
        paper.advance(65_000)
    paper.draw(Dots(8, (0x0F,)), 0)
    paper.finish()
    assert [page.rows[-1] for page in paper.pages] == [0xFF, 0x0F]


@pytest.mark.parametrize(("option", "value"), [("width", 4), ("width", 2000), ("quiet_s", 0.2), ("quiet_s", 1e9)])
def test_a_wrong_option_is_named(option, value):
    with pytest.raises(ConfigError, match=f"option '{option}' is"):
        Bench("printer", {option: value})
