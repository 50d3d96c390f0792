"""Labels: what is printed here is scanned here, and a printer that cannot print says why."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import label_printer, labels
from edge.driver import PatientScanned
from edge.drivers.barcode import SCHEMES
from edge.label_printer import Printer, open_line
from edge.labels import Label, escpos, require_checked, with_check, zpl
from hardware.simulated.label_printer import LabelPrinter
from node.clock import SystemClock
from tests.edge.bench import Bench
from wire.errors import ConfigError, DeviceError, UsageError

IDS = {"none": "A-17 b{>^~_\\}", "mod10": "1055433", "ean13": "400638133393", "mod97": "KIEV07", "code39": "VAN3-17"}
LANGUAGES = ("escpos", "zpl")


class VirtualLine:
    """A printer at the end of a line on which a read that finds nothing takes its time."""

    def __init__(self, device):
        self.device, self.now, self.heard = device, 0.0, b""
        self.written = b""

    def clock(self):
        return self.now

    def write(self, data):
        self.written += data
        self.heard += self.device.feed(data, self.now)

    def read(self, size=1):
        if not self.heard:
            self.now += label_printer.READ_S
        data, self.heard = self.heard[:size], self.heard[size:]
        return data

    def close(self):
        pass


def made(language, label, width=384):
    return zpl(label, width) if language == "zpl" else escpos(label, width)


def put(language, label, *faults, asks=True, width=384):
    device = LabelPrinter(label.copies, faults)
    line = VirtualLine(device)
    Printer(line, "printer", language, line.clock, asks).put(made(language, label, width))
    return device


def decode(rows):
    """What an independent reader of bar codes sees; the code stands on white paper."""
    reader = pytest.importorskip("zxingcpp", reason="ZXING ABSENT: pip install zxing-cpp")
    from PIL import Image

    image = Image.new("L", (len(rows[0]), len(rows) + 40), 255)
    for y, row in enumerate(rows):
        for x, dot in enumerate(row):
            if dot:
                image.putpixel((x, y + 20), 0)
    (found,) = reader.read_barcodes(image)
    assert str(found.format).replace(" ", "").endswith("Code128")
    return found.text


# From the id to the patient


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", IDS)
def test_what_is_printed_is_scanned_and_its_check_digit_holds(language, scheme):
    code = "P" + with_check(IDS[scheme], scheme)
    (printed,) = put(language, Label(code, "2026-11-22", "Ковальчук Олег"), width=576).labels
    assert printed.texts[0] == code
    assert printed.texts[2] == "2026-11-22"
    (rows,) = printed.codes
    bench = Bench("barcode", {"scheme": scheme, "prefix": "P"})
    bench.feed(decode(rows).encode() + b"\r")
    assert bench.scans == [PatientScanned(code[1:], scheme != "none", "")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_even_number_of_digits_is_half_as_wide(language):
    widths = []
    for code in ("10554335", "1055433"):
        (printed,) = put(language, Label(code)).labels
        assert decode(printed.codes[0]) == code
        widths.append(len(printed.codes[0][0]))
    assert widths == [3 * (4 * 11 + 55), 2 * (7 * 11 + 55)]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12))
def test_any_id_reaches_the_paper_as_it_is(code):
    for language in LANGUAGES:
        (printed,) = put(language, Label(code)).labels
        assert printed.texts[0] == code
        assert len(printed.codes) == 1


@given(st.from_regex(r"[0-9]{1,12}", fullmatch=True), st.sampled_from(["mod10", "mod97", "code39"]))
def test_there_is_one_check_digit_and_it_is_the_scanners(given_id, scheme):
    checked = with_check(given_id, scheme)
    assert checked.startswith(given_id)
    assert SCHEMES[scheme](checked)
    assert require_checked(checked, scheme) == checked


def test_the_printer_driver_reads_our_own_label():
    bench = Bench("printer")
    bench.feed(escpos(Label("P10554335", "2026-11-22", "Ковальчук Олена"), 384))
    (study,) = bench.studies
    found = [one.value for one in study.observations]
    assert found == ["CODE128: {BP10554335", "P10554335", "Ковальчук Олена", "2026-11-22"]


def test_copies_are_printed_as_often():
    for language in LANGUAGES:
        assert len(put(language, Label("10554335", copies=3)).labels) == 3


# What cannot be printed


@pytest.mark.parametrize(
    ("code", "scheme"), [("12a", "mod10"), ("123", "ean13"), ("", "mod10"), ("Ж1", "mod97"), ("a", "code39")]
)
def test_an_id_that_has_no_check_digit_is_refused(code, scheme):
    with pytest.raises(UsageError, match=f"scheme {scheme} wants"):
        with_check(code, scheme)


def test_a_wrong_check_digit_is_refused():
    with pytest.raises(UsageError, match=r"'10554336': its check digit \(mod10\) does not hold"):
        require_checked("10554336", "mod10")


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (Label("ABCDEFGHIJKLMNOP"), "its code needs 462 dots, and the paper has 384"),
        (Label("Ж"), "characters of ASCII"),
        (Label(""), "characters of ASCII"),
        (Label("1", text="x" * 41), "at most 40 characters"),
        (Label("1", text="a\x1b@"), "none for control"),
        (Label("1", copies=0), "0 copies"),
    ],
)
def test_a_label_that_cannot_be_printed_is_refused(label, reason):
    for language in LANGUAGES:
        with pytest.raises(UsageError, match=reason):
            made(language, label)


def test_a_letter_that_the_printer_has_not_is_named():
    with pytest.raises(UsageError, match="'Ž' is not in cp866"):
        escpos(Label("1", text="Žižka"), 384)


# Printers that cannot print


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("paper-out", "the paper is out; nothing was sent"),
        ("cover-open", "(the cover|the head) is open; nothing was sent"),
        ("paused", "it is (paused|off line); nothing was sent"),
        ("silent", "does not answer.*; nothing was sent"),
        ("paper-ends", "the paper is out; the label may not be whole"),
    ],
)
def test_a_printer_says_why_it_does_not_print(language, fault, reason):
    with pytest.raises(DeviceError, match=f"printer: .*{reason}"):
        put(language, Label("10554335"), fault)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_but_questions_goes_to_a_printer_without_paper(language):
    device = LabelPrinter(1, ["paper-out"])
    line = VirtualLine(device)
    with pytest.raises(DeviceError):
        Printer(line, "printer", language, line.clock).put(made(language, Label("1")))
    assert line.written == (b"~HS" if language == "zpl" else b"\x10\x04\x04")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_printer_that_cannot_answer_prints_when_it_is_not_asked(language):
    assert len(put(language, Label("10554335"), "silent", asks=False).labels) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_comes_unasked_is_no_answer(language):
    assert len(put(language, Label("10554335"), "chatters").labels) == 1


def test_a_label_printer_on_the_network():
    device = LabelPrinter(1)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(4096):
                    connection.sendall(device.feed(data, 0.0))

        thread = threading.Thread(target=serve)
        thread.start()
        line = open_line(f"tcp://127.0.0.1:{server.getsockname()[1]}", 9600)
        try:
            Printer(line, "printer", "zpl", SystemClock().now).put(zpl(Label("10554335"), 384))
        finally:
            line.close()
            thread.join()
    assert device.labels[0].texts == ["10554335"]


@pytest.mark.parametrize(
    ("path", "error", "reason"),
    [
        ("lpt1", ConfigError, "want /dev/… or tcp://HOST:PORT"),
        ("tcp://printer", ConfigError, "want a host, a port"),
        ("/dev/nonesuch", DeviceError, "/dev/nonesuch: No such file"),
        (__file__, DeviceError, "this is no device"),
    ],
)
def test_where_no_printer_is_is_named(path, error, reason):
    with pytest.raises(error, match=reason):
        open_line(path, 9600)


def test_the_width_of_a_line_fits_the_paper():
    for width in (200, 384, 576, 832):
        for size in range(1, 16):
            label = Label("A" * size)
            try:
                dots = labels.check(label, width)
            except UsageError:
                assert 2 * (11 * size + 55) > width
            else:
                assert dots * (11 * size + 55) <= width
