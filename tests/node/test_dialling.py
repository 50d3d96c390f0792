"""Which address is called: the next one when the last is silent, the same one for ever when there is no other."""

import asyncio
import contextlib

import pytest

from node import dialling, reactor
from node.dialling import call_each
from node.entropy import seeded
from node.idle import NothingTaken, NothingToSend
from node.link import Caller, Grant, Host
from node.reactor import HostShell
from node.url import CARRIED, SCHEMES, parse_url
from wire.errors import DiskError, UsageError
from wire.noise import KeyPair

NEAR, FAR, PSK = KeyPair.from_secret(b"n" * 32), KeyPair.from_secret(b"f" * 32), b"p" * 32


def caller():
    return Caller(NEAR, FAR.public, PSK, NothingToSend(), NothingTaken(), seeded(b"caller"))


def host():
    grant = Grant(PSK, "near")
    return Host(FAR, lambda _: grant, lambda _: NothingToSend(), NothingTaken(), seeded(b"host"))


class Called:
    """Runs `call_each` for a while and remembers which shells it made."""

    def __init__(self, node, urls, *, only=True):
        self.shells = []
        self.task = asyncio.ensure_future(call_each(node, lambda: node, urls, self.shells.append, only=only))

    async def until(self, done, seconds=10.0):
        async with asyncio.timeout(seconds):
            while not done():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.02)

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(dialling, "SILENCE_S_MAX", 0.5)


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_silent_address_gives_way_to_the_next_which_answers(impatient, scheme):
    async def run():
        shell = HostShell(host(), lambda: None)
        there = await shell.listen(parse_url(f"{scheme}://127.0.0.1:0"))
        serving = asyncio.ensure_future(shell.run())
        node = caller()
        called = Called(node, [f"{scheme}://127.0.0.1:9", str(there)])
        await called.until(lambda: node.last_heard is not None)
        assert len(called.shells) == 2
        await called.stop()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(run())


def test_the_only_address_is_called_for_ever(impatient):
    async def run():
        called = Called(caller(), ["udp://127.0.0.1:9"])
        await asyncio.sleep(1.5)  # longer than one that is not the only address is given
        assert not called.task.done()
        assert len(called.shells) == 1
        await called.stop()

    asyncio.run(run())


def test_an_address_that_never_answered_is_given_less_time_than_one_that_did(monkeypatch):
    """Patience is for the first answer; an address that has answered is waited for as long as everywhere."""

    async def run():
        shell = HostShell(host(), lambda: None)
        there = await shell.listen(parse_url("udp://127.0.0.1:0"))
        serving = asyncio.ensure_future(shell.run())
        node = caller()
        started = asyncio.get_running_loop().time()
        await call_each(node, lambda: node, ["udp://127.0.0.1:9"], only=False, patience=lambda url: 0.4)
        assert asyncio.get_running_loop().time() - started < 5
        called = asyncio.ensure_future(
            call_each(node, lambda: node, [str(there)], only=False, patience=lambda url: 0.4)
        )
        await asyncio.sleep(1.5)  # several times as long as its patience
        assert not called.done()
        called.cancel()
        serving.cancel()
        await asyncio.gather(called, serving, return_exceptions=True)

    asyncio.run(run())


def test_every_scheme_that_is_called_has_its_patience():
    assert set(dialling.PATIENCE_S) == SCHEMES - {CARRIED}


def test_the_only_address_of_one_of_several_far_ends_gives_way(impatient):
    async def run():
        called = Called(caller(), ["udp://127.0.0.1:9"], only=False)
        await called.until(called.task.done)
        called.task.result()

    asyncio.run(run())


def test_a_disk_that_fails_under_the_link_ends_the_calling():
    class Failing(Caller):
        def tick(self, now):
            raise DiskError("the card is gone")

    async def run():
        node = Failing(NEAR, FAR.public, PSK, NothingToSend(), NothingTaken(), seeded(b"x"))
        called = Called(node, ["udp://127.0.0.1:9"])
        with pytest.raises(DiskError, match="the card is gone"):
            await asyncio.wait_for(called.task, 10)

    asyncio.run(run())


def test_an_address_that_is_none_is_named():
    async def run():
        with pytest.raises(UsageError, match="carrier pigeon"):
            await call_each(caller(), caller, ["carrier pigeon"])

    asyncio.run(run())


def test_a_caller_that_is_ended_while_it_goes_on_to_the_next_address_ends(impatient, monkeypatch):
    closing = []

    async def slow_to_close(shell, url):
        try:
            await asyncio.Event().wait()
        finally:
            closing.append(url)
            await asyncio.sleep(0.2)

    monkeypatch.setattr(reactor, "calling", lambda scheme: slow_to_close)

    async def run():
        called = Called(caller(), ["udp://127.0.0.1:9", "udp://127.0.0.1:10"])
        await called.until(lambda: closing)
        called.task.cancel()
        _, left = await asyncio.wait({called.task}, timeout=2.0)
        for task in left:
            task.cancel()
        assert not left
        assert len(called.shells) == 1

    asyncio.run(run())
