"""`serial://` from its options to bytes: what is refused, and objects over two real ptys."""

import asyncio
import contextlib
import random

import pytest

from node.link import Caller, Grant, Host
from node.modems import serial_road
from node.modems.serial_road import call_of, check_serial
from node.reactor import CallerShell, HostShell
from node.roads import calling, listening
from node.url import parse_url
from tests.node.lines import BITS, NullModem
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, MemoryOutbox
from wire.errors import UsageError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("dial=12;", "no number to dial"),
        ("dial=call+me", "no number to dial"),
        ("profile=rudics", "without a number"),
        ("dial=123&profile=gprs", "known: csd, iridium, pstn, rudics"),
        ("dial=123&cbst=7", "no bearer service of the profile pstn"),
        ("dial=123&profile=csd&cbst=x", "no bearer service"),
        ("answer=maybe", "want yes or no"),
        ("duplex=maybe", "want full or half"),
        ("duplex=half&answer=yes", "carries both directions"),
        ("baud=fast", "no speed"),
        ("baud=1", "no speed"),
    ],
)
def test_what_the_options_cannot_mean_is_refused(options, said):
    url = parse_url(f"serial:///dev/ttyS0?{options}")
    with pytest.raises(UsageError, match=said):
        check_serial(url)


def test_an_option_that_does_not_exist_is_named():
    async def call() -> None:
        await calling("serial")(None, parse_url("serial:///dev/ttyS0?buad=9600"))

    with pytest.raises(UsageError, match="no option 'buad'; known: answer, baud"):
        asyncio.run(call())


@pytest.mark.parametrize(("text", "is_calling"), [("answer=yes", True), ("dial=12", False)])
def test_each_end_has_its_own_options(text, is_calling):
    async def begin() -> None:
        road = (calling if is_calling else listening)("serial")
        await road(None, parse_url(f"serial:///dev/ttyS0?{text}"))

    with pytest.raises(UsageError, match="is for the end that"):
        asyncio.run(begin())


def test_a_profile_brings_its_speed_and_service():
    call = call_of(parse_url("serial:///dev/ttyUSB1?dial=00881600005123&profile=rudics"))
    assert (call.number, call.service, call.plan.baud, call.profile.dial) == ("00881600005123", 71, 19200, "ATDT")
    call = call_of(parse_url("serial:///dev/ttyUSB1?dial=+4930123&profile=csd&cbst=7&baud=57600"))
    assert (call.number, call.service, call.plan.baud) == ("+4930123", 7, 57600)
    assert call_of(parse_url("serial:///dev/ttyS0")) is None
    assert call_of(parse_url("serial:///dev/ttyS0?answer=yes")).number == ""


def test_a_modem_of_the_bank_that_is_not_there_is_waited_for_and_told_of(caplog, tmp_path):
    async def run() -> None:
        host = Host(GATEWAY, lambda _: None, lambda _: MemoryOutbox(), MemoryInbox(), random.Random(1).randbytes)
        shell = HostShell(host, lambda: None)
        await shell.listen(parse_url(f"serial://{tmp_path}/ttyS7?answer=yes"))
        running = asyncio.ensure_future(shell.run())
        await asyncio.sleep(0.1)
        await ended(running)

    with caplog.at_level("INFO", "feldsher"):
        asyncio.run(run())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "ttyS7: there is no such line; is the modem plugged in" in caplog.text


def test_a_defect_that_a_call_brings_to_light_costs_the_bank_a_minute_of_one_modem(caplog, monkeypatch):
    runs = []

    class Broken:
        async def run(self) -> None:
            runs.append(self)
            raise ZeroDivisionError("a defect")

    async def listen() -> None:
        _, close = await listening("serial")(None, parse_url("serial:///dev/ttyS7?answer=yes"))
        await asyncio.sleep(0.2)
        close()
        await asyncio.sleep(0)

    monkeypatch.setattr(serial_road, "_LoggedShell", lambda shell, path: shell)
    monkeypatch.setattr(serial_road, "_shell", lambda *_, leads: Broken())
    monkeypatch.setattr(serial_road, "DEFECT_S", 0.02)
    asyncio.run(listen())
    assert len(runs) > 2
    assert "a defect" in caplog.text


async def ended(*tasks: asyncio.Future) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Ends:
    """A caller and a host with their shells, at the ends of a null modem."""

    def __init__(self, wire: NullModem, rate: int) -> None:
        self.up, self.at_host = MemoryOutbox(), MemoryInbox()
        entropy = random.Random(1).randbytes
        host = Host(GATEWAY, lambda _: Grant(PSK, "kit"), lambda _: MemoryOutbox(), self.at_host, entropy)
        self.caller = Caller(KIT, GATEWAY.public, PSK, self.up, MemoryInbox(), entropy)
        self.host_shell = HostShell(host, lambda: None)
        self.caller_shell = CallerShell(self.caller, parse_url(f"serial://{wire.paths[0]}?baud={rate}"), self._changed)
        self._listen_at = parse_url(f"serial://{wire.paths[1]}?baud={rate}")
        self.changed = asyncio.Event()

    def _changed(self) -> None:
        self.changed.set()

    async def run(self, wire: NullModem, seconds: float, *, cut: tuple[float, float] | None = None) -> float:
        """Run until everything has its receipt; return how long it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.host_shell.listen(self._listen_at)
        tasks = [asyncio.ensure_future(run) for run in (wire.run(), self.host_shell.run(), self.caller_shell.run())]
        for at, is_cut in ((cut[0], True), (cut[1], False)) if cut else ():
            loop.call_later(at, setattr, wire, "is_cut", is_cut)
        try:
            async with asyncio.timeout(seconds):
                while self.up.objects:
                    self.changed.clear()
                    await self.changed.wait()
                    assert not any(task.done() for task in tasks)
        finally:
            await ended(*tasks)
        return loop.time() - began


def over_ptys(rate: int, size: int, **words) -> tuple[Ends, float, NullModem]:
    async def run() -> tuple[Ends, float, NullModem]:
        wire = NullModem(rate)
        try:
            ends = Ends(wire, rate)
            ends.up.add(random.Random(2).randbytes(size))
            seconds = await ends.run(wire, 30, **words)
        finally:
            wire.close()
        return ends, seconds, wire

    return asyncio.run(run())


def test_a_file_crosses_two_ptys_at_the_speed_of_the_line():
    ends, seconds, _ = over_ptys(38400, 6000)
    assert not ends.up.objects
    assert ends.caller.tally.sent.twice == 0
    assert seconds < 2 * 6000 * BITS / 38400 + 1


def test_a_cable_that_is_pulled_for_a_while_costs_no_handshake():
    ends, _, _ = over_ptys(38400, 8000, cut=(0.5, 1.5))
    assert ends.caller.tally.counters.handshakes == 1
    assert ends.caller.tally.sent.twice <= 1
