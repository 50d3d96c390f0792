"""Whatever a line says to the SBD driver, and whenever: it never raises, never spins, never holds more than a frame."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from node.modems.sbd import SESSION_S_MAX, SbdModem, SbdPlan
from node.modems.sbd_words import with_checksum
from node.modems.scripted import Hands
from tests.node.modems.conformance.rig import Ears

HOUR_S = 3600.0
WORDS = [
    b"\r\nOK\r\n",
    b"\r\nERROR\r\n",
    b"\r\nREADY\r\n",
    b"\r\n0\r\n\r\nOK\r\n",
    b"\r\n1\r\n\r\nOK\r\n",
    b"\r\n2\r\n",
    b"\r\n3\r\n\r\nOK\r\n",
    b"\r\n+SBDIX: 0, 1, 1, 1, 5, 1\r\n\r\nOK\r\n",
    b"\r\n+SBDIX: 0, 1, 0, 0, 0, 0\r\n\r\nOK\r\n",
    b"\r\n+SBDIX: 18, 1, 2, 0, 0, 0\r\n\r\nOK\r\n",
    b"\r\n+SBDIX: 12, 1, 2, 0, 0, 0\r\n\r\nOK\r\n",
    b"\r\n+SBDIX: 15, 1, 2, 0, 0, 0\r\n\r\nOK\r\n",
    b"\r\n+SBDIX: 99999, 1\r\n\r\nOK\r\n",
    b"\r\n+SBDSX: 0, 1, 1, 1, 0, 0\r\n\r\nOK\r\n",
    b"\r\n+SBDSX: 0, 1, 0, -1, 0, 0\r\n\r\nOK\r\n",
    b"\r\nSBDRING\r\n",
    b"\r\n+CIEV:1,1\r\n",
    b"\r\n+CIEV:0,9\r\n",
    b"\r\n-MSSTM: ffffffff\r\n\r\nOK\r\n",
    b"\x00\x05" + with_checksum(b"hello") + b"\r\nOK\r\n",
    b"\x00\x05hello\0\0\r\nOK\r\n",
    b"\x07\xa8",
    b"\xff\xff\xff",
    b"+SBDIX: 0",
    b"> ",
    b"\r\nNO CARRIER\r\n",
    b"\r\n+CME ERROR: 3\r\n",
    b"\r\nRDY\r\n",
]
events = st.lists(
    st.one_of(
        st.sampled_from(WORDS),
        st.binary(max_size=20),
        st.sampled_from(["send", "fetch", "lost", "open", "hang up", "close"]),
        st.floats(0.0, 400.0),
    ),
    max_size=60,
)


class Line:
    """The shell's part, and the clock."""

    def __init__(self, seed):
        self.now, self.ears = 0.0, Ears()
        self.driver = SbdModem(self.ears, SbdPlan(), Hands(random.Random(seed).randbytes), "sbd:///dev/x")
        self.said = 0

    def do(self, event):
        driver, bearer = self.driver, self.ears.bearer
        if isinstance(event, bytes):
            driver.feed(event, self.now)
        elif isinstance(event, float):
            self.wait(event)
        elif event in ("lost", "open", "hang up"):
            {"lost": driver.lost, "open": driver.open, "hang up": driver.hang_up}[event](self.now)
        elif bearer is not None:
            {"send": lambda: bearer.send(b"x" * 100), "fetch": bearer.fetch, "close": bearer.close}[event]()
        self.said += len(driver.output())

    def wait(self, seconds):
        end, steps = self.now + seconds, 0
        while (at := self.driver.deadline()) is not None and at <= end:
            self.now = max(at, self.now)
            self.driver.tick(self.now)
            self.said += len(self.driver.output())
            steps += 1
            assert steps < 20 * seconds + 200, "it spins"
        self.now = end


@settings(max_examples=150, deadline=None)
@given(events, st.integers(0, 1 << 16))
def test_whatever_the_line_says_it_goes_on(happens, seed):
    line = Line(seed)
    line.driver.open(0.0)
    for event in happens:
        line.do(event)
        at = line.driver.deadline()
        assert at is None or at <= line.now + HOUR_S + SESSION_S_MAX
    assert line.ears.wrong == []
    line.wait(2 * HOUR_S)
    assert line.said < 1 << 20
