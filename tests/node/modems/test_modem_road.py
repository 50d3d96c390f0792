"""The road of modem://: what an address says, where a PIN's guard notes, and what a kit's shell brings."""

import asyncio
import contextlib
import os
import time

import pytest

from hardware.simulated import ptys
from node.modems.faults import NotAllowed
from node.modems.modem_road import FileNotes, Keeper, call_modem, plan_of, target_of
from node.modems.quirks import GENERIC, QUIRKS
from node.modems.seam import ModemState
from node.modems.stacks import STACKS, stack_of
from node.url import parse_url
from wire.errors import UsageError

TO = "to=udp://192.0.2.1:7000"


def test_a_note_is_written_whole_and_read_again(tmp_path):
    notes = FileNotes(tmp_path / "deep" / "sim.note")
    assert notes.read() == ""
    for text in ("abc 1 1", ""):
        notes.write(text)
        assert FileNotes(tmp_path / "deep" / "sim.note").read() == text
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["sim.note"]
    assert (tmp_path / "deep" / "sim.note").stat().st_mode & 0o077 == 0


def test_each_line_has_a_note_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    FileNotes.beside_state("/dev/ttyUSB0").write("one")
    assert FileNotes.beside_state("/dev/ttyUSB1").read() == ""
    assert FileNotes.beside_state("/dev/ttyUSB0").read() == "one"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    FileNotes.beside_state("/dev/ttyUSB0").write("two")
    assert list((tmp_path / "home").rglob("sim-*.note"))


def test_what_an_address_says_is_what_the_modem_is_told():
    url = parse_url(f"modem:///dev/ttyS0?apn=a&user=u&password=p&pin=0123&roaming=yes&baud=9600&rtscts=yes&{TO}")
    plan = plan_of(url)
    assert (plan.apn, plan.user, plan.password, plan.pin, plan.roaming) == ("a", "u", "p", "0123", True)
    assert (plan.baud, plan.rtscts) == (9600, True)
    plain = plan_of(parse_url(f"modem:///dev/ttyS0?{TO}"))
    assert (plain.roaming, plain.pin, plain.baud, plain.rtscts) == (False, "", 115_200, False)
    assert str(target_of(url)) == "udp://192.0.2.1:7000"


@pytest.mark.parametrize("kind", sorted(STACKS))
def test_a_kind_may_be_named_or_found(kind):
    assert stack_of(kind)(GENERIC).urcs
    quirk = next(quirk for quirk in QUIRKS if quirk.kind == kind)
    assert stack_of("auto")(quirk).urcs


def test_a_modem_without_known_sockets_wants_its_kind_named():
    with pytest.raises(NotAllowed, match="no sockets are known") as caught:
        stack_of("auto")(GENERIC)
    assert "kind=" in caught.value.advice
    with pytest.raises(UsageError, match="kind='x'"):
        stack_of("x")


class Shell:
    """What every shell has."""

    def __init__(self):
        self.notes = []

    def now(self):
        return asyncio.get_running_loop().time()

    def up(self, bearer): ...
    def down(self, bearer): ...
    def receive(self, bearer, frame): ...
    def tick(self): ...
    def note_error(self, error):
        self.notes.append(str(error))


class KitShell(Shell):
    """What a kit's has beside."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.states, self.power = folder, [], []

    def note_modem(self, status):
        self.states.append(status.state)

    def modem_power(self, how):
        self.power.append(how)
        return self

    def set(self, on):
        self.power.append(on)

    def pin_notes(self, device):
        return FileNotes(self.folder / "note")


def test_a_kits_shell_brings_the_supply_and_hears_how_the_modem_stands(tmp_path):
    async def run():
        shell = KitShell(tmp_path)
        assert isinstance(shell, Keeper)
        assert not isinstance(Shell(), Keeper)
        with ptys.open_pty(str(tmp_path / "tty")) as (ours, _):
            url = parse_url(f"modem://{tmp_path}/tty?power=rail&{TO}")
            calling = asyncio.ensure_future(call_modem(shell, url))
            async with asyncio.timeout(5):
                while not shell.states:  # noqa: ASYNC110 - what it waits for is a list that grows
                    await asyncio.sleep(0.01)
            assert os.read(ours, 100).startswith(b"AT\r")
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
        assert shell.states[0] is ModemState.STARTING
        assert shell.states[-1] is ModemState.OFF
        assert shell.power[:2] == ["rail", True]
        assert shell.power[-1] is False, "it is left with its supply on"

    started = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - started < 8.0, "a modem that never said a word is waited for"


class UsbModem(KitShell):
    """A modem whose line is there only while it is switched on."""

    def __init__(self, folder):
        super().__init__(folder)
        self.stack = contextlib.ExitStack()

    def set(self, on):
        was_on = self.power[-1:] == [True]
        super().set(on)
        if not on:
            self.stack.close()
        elif not was_on:
            self.stack.enter_context(ptys.open_pty(str(self.folder / "tty")))


def test_a_modem_on_usb_comes_back_after_it_was_switched_off(tmp_path):
    async def run():
        shell = UsbModem(tmp_path)
        for _ in range(2):
            calling = asyncio.ensure_future(call_modem(shell, parse_url(f"modem://{tmp_path}/tty?power=rail&{TO}")))
            shell.states.clear()
            async with asyncio.timeout(5):
                while ModemState.STARTING not in shell.states:  # noqa: ASYNC110 - a list that grows
                    await asyncio.sleep(0.01)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            assert shell.power[-1] is False

    asyncio.run(run())


def test_only_a_kit_has_a_supply_in_its_hands():
    with pytest.raises(UsageError, match="power=rail: is for a kit"):
        asyncio.run(call_modem(Shell(), parse_url(f"modem:///dev/x?power=rail&{TO}")))
