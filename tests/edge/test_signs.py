"""By their signs devices are known: their own recordings, nobody else's, and no bytes of another speed."""

import random
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import finding, registry
from edge.config import Port
from edge.driver import Line
from edge.signs import CHECK, NOTHING, UNKNOWN, Signs, lines
from edge.watched_ports import others_of
from hardware.simulated.uart import heard_at
from tests.edge.test_driver_conformance import SHAPED
from tests.recordings import replay

NAMES = [name for name in registry.names() if registry.signs(name).proof != NOTHING]
NOT_KNOWN = {
    "bc2800-other-form": "a form of which no manual says what it holds",
    "contec-old": "packets without a sum, which another speed can look like",
    "contec-old-stored": "packets without a sum",
    "nonin-format-1": "frames without a sum",
    "nonin-format-8": "frames without a sum",
    "transfer-xmodem-sum": "blocks with a sum of one byte: too weak to be a sign",
}
SPEEDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
HEARD_SIZE = 1500


def heard(name):
    return b"".join(data for _, data in replay.load(name).heard)


def of_drivers():
    return [(name, driver) for name in replay.names() if (driver := replay.load(name).card["driver"]) in NAMES]


def known(data):
    return {one for one in NAMES if registry.signs(one).are_in(data)}


@pytest.mark.parametrize(("name", "driver"), of_drivers())
def test_a_recording_shows_its_own_driver_and_no_other(name, driver):
    assert known(heard(name)) == (set() if name in NOT_KNOWN else {driver})


@pytest.mark.parametrize(
    ("name", "driver"),
    [(name, driver) for name, driver in of_drivers() if "sum" in NOT_KNOWN.get(name, "") and driver != "transfer"],
)
def test_what_has_no_checksum_is_only_said_to_be_likely(name, driver):
    assert "no checksum" in registry.signs(driver).maybe(heard(name))


def test_somebody_who_calls_may_be_any_analyser():
    may_be = {one for one in NAMES if registry.signs(one).maybe(b"\x05\x04\x05")}
    assert may_be == {"astm", "bc2800"}
    assert not any(registry.signs(one).maybe(b"\x05A") for one in NAMES)


@pytest.mark.parametrize("name", [name for name, _ in of_drivers() if not name.endswith(("cut", "damaged", "bytes"))])
def test_at_another_speed_nobody_is_known(name):
    data = heard(name)[:HEARD_SIZE]
    chance = random.Random(name)
    for baud, other in [chance.sample(SPEEDS, 2) for _ in range(4)]:
        assert known(heard_at(data, baud, other)) == set(), (baud, other)


def test_noise_is_nobody():
    chance = random.Random(4)
    for _ in range(20):
        assert known(chance.randbytes(4096)) == set()


def test_at_the_same_speed_all_is_heard_and_with_a_parity_bit_too_much_is():
    data = bytes(range(256))
    assert heard_at(data, 9600, 9600) == data
    text = b"ST,GS,+  71.4kg\r\n"
    assert heard_at(text, 2400, 2400, data_bits=7, parity="E") != text
    assert bytes(byte & 0x7F for byte in heard_at(text, 2400, 2400, data_bits=7, parity="E")) == text


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.one_of(SHAPED, st.binary(max_size=60)), max_size=30))
def test_any_bytes_are_judged_and_raise_nothing(name, parts):
    signs, data = registry.signs(name), b"".join(parts)
    assert signs.whole(data) >= 0
    assert isinstance(signs.maybe(data), str)


def test_a_drivers_reader_that_raises_knows_nothing():
    def broken(_data):
        raise ValueError("a third party's")

    assert not Signs(CHECK, broken).are_in(b"anything")


def test_a_broken_package_that_nobody_has_configured_stops_no_kit(tmp_path, monkeypatch):
    (tmp_path / "broken_driver.py").write_text("this is no Python")
    monkeypatch.syspath_prepend(tmp_path)
    broken = EntryPoint("broken", "broken_driver", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken])
    assert "broken" in registry.names()
    assert registry.signs("broken") is UNKNOWN
    port = Port("a", "/dev/a", "astm")
    assert "nonin" in others_of(port, registry.signs("astm"), [port])
    assert finding.judge(heard("tanita-persons"), Line(9600)).driver == "tanita"


def test_lines_are_complete_ones_without_their_ends():
    assert lines(b"one\r\n\r\ntwo\nthr") == [b"one", b"two"]


def test_a_driver_that_declares_nothing_is_known_by_nothing():
    assert not UNKNOWN.are_in(b"anything")
    assert registry.signs("lines").proof == NOTHING


@pytest.mark.parametrize("driver", [name for name in registry.names() if registry.signs(name).needs is not None])
def test_what_a_reader_is_not_asked_about_holds_none_of_its_messages(driver):
    signs = registry.signs(driver)
    for name in replay.names():
        line = heard(name)[:8_192]
        for data in (line, line[: len(line) // 2], line[7:]):
            assert signs.count(data) == signs.whole(data), name
