"""The serial line on asyncio, on ptys: bytes both ways, a line that goes and comes back, one that takes nothing."""

import asyncio
import os
import termios
import tty

import pytest

from hardware.simulated import ptys
from node import serial_line
from node.modems.seam import ModemState, ModemStatus
from node.serial_line import ModemShell, SerialLine
from wire.errors import DeviceError


class Bearer:
    name = "modem"


class Shell:
    """A road's shell that remembers."""

    def __init__(self):
        self.notes, self.ups, self.downs, self.frames, self.ticks = [], 0, 0, [], 0

    def now(self):
        return asyncio.get_running_loop().time()

    def up(self, bearer):
        self.ups += 1

    def down(self, bearer):
        self.downs += 1

    def receive(self, bearer, frame):
        self.frames.append(frame)

    def tick(self):
        self.ticks += 1

    def note_error(self, error):
        self.notes.append(str(error))


class Parrot:
    """A modem that greets, gives what it hears as a frame, and says goodbye half a second after being told to go."""

    def __init__(self, ears, controls, wake):
        self.ears, self.controls, self.wake = ears, controls, wake
        self.out, self.bearer, self.at, self.state = b"", Bearer(), None, ModemState.OFF
        self.broken, self.missed = False, 0

    def open(self, now):
        self.state, self.out, self.at = ModemState.UP, b"hello", now + 0.05
        self.ears.bearer_up(self.bearer, now)

    def lost(self, now):
        self.state = ModemState.OFF
        self.ears.bearer_down(self.bearer, now)

    def missing(self, now):
        self.missed += 1

    def hang_up(self, now):
        self.out, self.at, self.state = b"bye", now + 0.05, ModemState.RESTING

    def feed(self, data, now):
        if self.broken:
            raise ZeroDivisionError
        self.ears.receive(self.bearer, data, now)

    def tick(self, now):
        if self.at is not None and now >= self.at:
            self.at = None
            self.out = b"tick"
            if self.state is ModemState.RESTING:
                self.state = ModemState.OFF
        self.ears.tick(now)

    def deadline(self):
        return self.at

    def output(self):
        out, self.out = self.out, b""
        return out

    def status(self):
        return ModemStatus(self.state)


async def heard(fd, size, seconds=3.0):
    data = b""
    async with asyncio.timeout(seconds):
        while len(data) < size:
            try:
                data += os.read(fd, 4096)
            except BlockingIOError:
                await asyncio.sleep(0.005)
    return data


async def until(condition, seconds=3.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for is a list that grows
            await asyncio.sleep(0.005)


def test_bytes_go_both_ways_and_a_pulled_plug_is_told_once():
    async def run():
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        got, gone = bytearray(), []
        line = SerialLine(os.ttyname(theirs), 115200, got.extend, gone.append)
        os.close(theirs)
        line.write(b"AT\r")
        assert await heard(ours, 3) == b"AT\r"
        os.write(ours, bytes(range(256)))
        await until(lambda: len(got) == 256)
        assert got == bytes(range(256))
        line.set_baud(9600)
        line.set_dtr(False)
        line.has_carrier()
        os.close(ours)
        await until(lambda: gone)
        assert len(gone) == 1
        assert "has gone" in gone[0]
        assert not line.is_open
        line.write(b"into the void")
        line.close()

    asyncio.run(run())


def test_what_the_line_does_not_take_waits_and_is_told():
    async def run():
        with ptys.open_pty() as (ours, path):
            drained, gone = [], []
            line = SerialLine(path, 115200, lambda data: None, gone.append, lambda: drained.append(1))
            line.write(bytes(60_000))
            assert 0 < line.unsent() <= 60_000
            assert len(await heard(ours, 60_000)) == 60_000
            await until(lambda: drained)
            assert line.unsent() == 0
            line.write(bytes(serial_line.QUEUE_SIZE_MAX))
            assert line.is_open
            line.write(bytes(serial_line.QUEUE_SIZE_MAX))
            assert not line.is_open
            assert "RTS/CTS" in gone[0]

    asyncio.run(run())


def test_a_line_that_is_missing_or_taken_is_named():
    async def run():
        with pytest.raises(DeviceError, match="no such line"):
            SerialLine("/dev/nonesuch", 9600, print, print)
        with ptys.open_pty() as (_, path):
            line = SerialLine(path, 9600, print, print)
            with pytest.raises(DeviceError, match="another program"):
                SerialLine(path, 9600, print, print)
            line.close()

    asyncio.run(run())


def test_a_plug_that_is_pulled_while_the_line_is_set_up_is_no_defect(monkeypatch):
    def pulled(*words):
        raise termios.error(5, "Input/output error")

    async def run():
        with ptys.open_pty() as (_, path):
            line = SerialLine(path, 9600, print, print)
            monkeypatch.setattr(termios, "tcsetattr", pulled)
            line.set_baud(19200)
            line.close()
            monkeypatch.undo()
            monkeypatch.setattr(termios, "tcflush", pulled)
            with pytest.raises(DeviceError, match="cannot be opened"):
                SerialLine(path, 9600, print, print)

    asyncio.run(run())


def test_a_modem_is_driven_survives_its_line_and_hangs_up_at_the_end(tmp_path):
    async def run():
        link, shell = str(tmp_path / "tty"), Shell()
        modem_shell = ModemShell(shell, Parrot, link, 115200)
        running = asyncio.ensure_future(modem_shell.run())
        await until(lambda: shell.notes)
        assert "no such line" in shell.notes[0]
        for times in (1, 2):
            with ptys.open_pty(link) as (ours, _):
                assert await heard(ours, 9, 8.0) == b"hellotick"
                assert (shell.ups, shell.notes[-1]) == (times, "")
                os.write(ours, b"frame")
                await until(lambda times=times: b"".join(shell.frames) == b"frame" * times)
            await until(lambda times=times: shell.downs == times)
            assert "gone" in shell.notes[-1]
        with ptys.open_pty(link) as (ours, _):
            assert await heard(ours, 5, 8.0) == b"hello"
            running.cancel()
            assert b"bye" in await heard(ours, 3)
            with pytest.raises(asyncio.CancelledError):
                await running
        assert (shell.ups, shell.downs) == (3, 3)

    asyncio.run(run())


def test_a_modem_may_have_its_line_opened_anew(tmp_path):
    async def run():
        link, shell = str(tmp_path / "tty"), Shell()
        with ptys.open_pty(link) as (ours, _):
            modem_shell = ModemShell(shell, Parrot, link, 115200)
            running = asyncio.ensure_future(modem_shell.run())
            await heard(ours, 5)
            modem_shell.set_baud(9600)
            modem_shell.set_dtr(True)
            modem_shell.reopen()
            await until(lambda: shell.ups == 2)
            assert shell.downs == 1
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())


def test_a_defect_of_a_modem_ends_the_run(tmp_path):
    async def run():
        link, shell = str(tmp_path / "tty"), Shell()
        with ptys.open_pty(link) as (ours, _):
            modem_shell = ModemShell(shell, Parrot, link, 115200)
            running = asyncio.ensure_future(modem_shell.run())
            await heard(ours, 5)
            modem_shell.modem.broken = True
            os.write(ours, b"x")
            with pytest.raises(ZeroDivisionError):
                await running
            assert shell.downs == 1, "nobody goes on sending to it"

    asyncio.run(run())
