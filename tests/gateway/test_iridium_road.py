"""The road of sbd:// on real sockets: a stranger's bytes, a slow ground station, and a third party's program between.

The program is iridiumSBD 0.0.8 of PyPI, unmodified. It asks for psycopg2, which it does not use and which wants a
compiler, so it is no part of the extra `dev`: `pip install --no-deps iridiumSBD`.
"""

import asyncio
import contextlib
import importlib.util
import random
import socket
import subprocess
import sys

import pytest

from gateway.door import ADDRESS_MAX, CONNECTIONS_MAX
from gateway.iridium_road import listen_sbd, target_of
from hardware.simulated.modems.directip import elements, mt_confirmation, mt_request
from node.link import Grant, Host
from node.reactor import HostShell
from node.url import parse_url
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, MemoryOutbox
from wire.directip import MoConfirmation, MoMessage, MtConfirmation, Reader, decode, encode
from wire.errors import FormatError, UsageError
from wire.noise import KeyPair
from wire.session import Call, FrameKind, peek

IMEI = "300234063904190"
TAKEN = bytes.fromhex("01000405000101")
needs_third_party = pytest.mark.skipif(
    importlib.util.find_spec("iridiumSBD") is None,
    reason="iridiumSBD is not there: pip install --no-deps iridiumSBD",
)


def hello(identity=KIT):
    return Call(identity, GATEWAY.public, PSK, 7, b"e" * 32, b"").hello


def mo(frame, momsn=1, record=1, **more):
    return MoMessage(record, IMEI, 0, momsn, 0, 1_790_000_000, frame, **more)


class GroundStation:
    """Takes MT messages over real TCP, and answers what it is told to."""

    def __init__(self, *statuses, answer=None):
        self.statuses, self.answer, self.frames, self.flags = list(statuses), answer, [], []
        self.arrived = asyncio.Event()

    async def serve(self, reader, writer):
        found, raw = None, b""
        while found is None and (data := await reader.read(4096)):
            raw += data
            found = elements(raw)
        if found is not None:
            request = mt_request(found)
            self.flags.append(request.flags)
            status = self.statuses.pop(0) if self.statuses else 1
            self.frames += [request.payload] if status >= 0 else []
            writer.write(self.answer or mt_confirmation(request.client_id, request.imei, 7, status))
            await writer.drain()
            self.arrived.set()
        writer.close()


class Scene:
    """A host behind the road, a ground station that takes messages, and what went over both."""

    def __init__(self, options="", station=None):
        self.options, self.station = options, station

    async def __aenter__(self):
        entropy = random.Random(1).randbytes
        self.inbox = MemoryInbox()
        grants = {KIT.public: Grant(PSK, "kit")}
        self.host = Host(GATEWAY, grants.get, lambda _: MemoryOutbox(), self.inbox, entropy)
        self.shell = HostShell(self.host, lambda: None, {"sbd": listen_sbd})
        self.server = None
        options = self.options
        if self.station is not None:
            self.server = await asyncio.start_server(self.station.serve, "127.0.0.1", 0)
            options = f"{options}&mt=127.0.0.1:{self.server.sockets[0].getsockname()[1]}".lstrip("&")
        url = await self.shell.listen(parse_url(f"sbd://127.0.0.1:0{'?' if options else ''}{options}"))
        self.port = url.port
        self.running = asyncio.ensure_future(self.shell.run())
        return self

    async def __aexit__(self, *_):
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running
        if self.server is not None:
            self.server.close()
        await asyncio.sleep(0)

    async def send(self, raw, answers=1):
        """Connect, send, return what was answered until the connection ended or so many confirmations came."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        heard = b""
        with contextlib.suppress(ConnectionError):
            writer.write(raw)
            await writer.drain()
            while len(heard) < answers * len(TAKEN) and (data := await asyncio.wait_for(reader.read(100), 5)):
                heard += data
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return heard


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is many things
            await asyncio.sleep(0.01)


def test_a_hello_is_confirmed_and_its_welcome_goes_to_the_ground_station():
    async def scenario():
        station = GroundStation()
        async with Scene(station=station) as scene:
            assert await scene.send(encode(mo(hello()))) == TAKEN
            await until(lambda: station.frames)
            assert peek(station.frames[0])[0] is FrameKind.WELCOME
            assert scene.host.progress(0.0)

    asyncio.run(scenario())


def test_a_delivery_that_is_repeated_is_taken_once_and_confirmed_each_time():
    async def scenario():
        station = GroundStation()
        async with Scene(station=station) as scene:
            raw = encode(mo(hello()))
            for _ in range(3):
                assert await scene.send(raw) == TAKEN
            await until(lambda: station.frames)
            await asyncio.sleep(0.1)
            assert len(station.frames) == 1

    asyncio.run(scenario())


def test_several_messages_in_one_connection_byte_by_byte():
    async def scenario():
        async with Scene() as scene:
            raw = encode(mo(b"no frame of ours")) + encode(mo(None, 2)) + encode(mo(hello(), 3))
            reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
            for at in range(len(raw)):
                writer.write(raw[at : at + 1])
                await writer.drain()
            assert await asyncio.wait_for(reader.readexactly(3 * len(TAKEN)), 5) == 3 * TAKEN
            writer.close()
            assert KIT.public in scene.host.tallies

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\xff\xff",
        b"\x01\x00\x00",
        encode(MoConfirmation(is_taken=True)),
        encode(MtConfirmation(b"1234", IMEI, 1, 1)),
        bytes(5000),
    ],
)
def test_what_is_not_directip_ends_its_connection_and_nothing_else(raw):
    async def scenario():
        async with Scene() as scene:
            assert await scene.send(raw) == b""
            assert await scene.send(encode(mo(hello()))) == TAKEN
            assert scene.shell.works

    asyncio.run(scenario())


def test_a_stranger_behind_a_good_message_is_met_with_silence():
    async def scenario():
        station = GroundStation()
        async with Scene(station=station) as scene:
            stranger = KeyPair.from_secret(b"x" * 32)
            assert await scene.send(encode(mo(hello(stranger)))) == TAKEN
            await asyncio.sleep(0.1)
            assert station.frames == []

    asyncio.run(scenario())


@pytest.mark.parametrize(("allowed", "is_heard"), [("127.0.0.0/8", True), ("192.0.2.7,2001:db8::/32", False)])
def test_only_listed_addresses_are_heard(allowed, is_heard):
    async def scenario():
        async with Scene(f"allow={allowed}") as scene:
            assert await scene.send(encode(mo(hello()))) == (TAKEN if is_heard else b"")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("options", "with_mt", "is_warned"),
    [("", True, True), ("allow=127.0.0.1", True, False), ("", False, False)],
    ids=["anybody", "listed", "no messages are sent at all"],
)
def test_an_account_that_is_open_to_anybody_is_warned_of(options, with_mt, is_warned, caplog):
    async def scenario():
        async with Scene(options, GroundStation() if with_mt else None) as scene:
            assert await scene.send(encode(mo(hello()))) == TAKEN
            assert ("without allow= anybody" in caplog.text) is is_warned

    asyncio.run(scenario())


def test_without_confirmations():
    async def scenario():
        async with Scene("confirm=no") as scene:
            reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
            writer.write(encode(mo(hello())))
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            assert KIT.public in scene.host.tallies

    asyncio.run(scenario())


async def stay_silent(scene, count):
    return [await asyncio.open_connection("127.0.0.1", scene.port) for _ in range(count)]


def leave(silent):
    for _, writer in silent:
        writer.close()


def test_an_address_that_says_nothing_holds_few_places_and_gives_them_up(monkeypatch):
    async def scenario():
        monkeypatch.setattr("gateway.door.GRACE_S", 0.2)
        async with Scene() as scene:
            silent = await stay_silent(scene, ADDRESS_MAX)
            assert await scene.send(encode(mo(hello()))) == b"", "they may have come together, and speak at once"
            await asyncio.sleep(0.2)
            assert await scene.send(encode(mo(hello()))) == TAKEN
            leave(silent)

    asyncio.run(scenario())


def test_whom_the_owner_names_may_have_all_places_and_loses_them_by_silence(monkeypatch):
    async def scenario():
        monkeypatch.setattr("gateway.door.GRACE_S", 0.2)
        async with Scene("allow=127.0.0.1") as scene:
            silent = await stay_silent(scene, CONNECTIONS_MAX)
            await asyncio.sleep(0.3)
            assert await scene.send(encode(mo(hello()))) == TAKEN
            assert await asyncio.wait_for(silent[0][0].read(), 1) == b"", "the oldest has left"
            leave(silent)

    asyncio.run(scenario())


def test_silence_ends_a_connection_and_what_was_said_keeps_it(monkeypatch):
    async def scenario():
        monkeypatch.setattr("gateway.iridium_road.FIRST_BYTES_S", 0.2)
        async with Scene() as scene:
            (mute, one), (slow, other) = await stay_silent(scene, 2)
            whole = encode(mo(hello()))
            other.write(whole[:9])
            assert await asyncio.wait_for(mute.read(), 1) == b""
            await asyncio.sleep(0.2)
            other.write(whole[9:])
            assert await asyncio.wait_for(slow.read(100), 1) == TAKEN
            leave([(mute, one), (slow, other)])

    asyncio.run(scenario())


def test_a_hundred_strangers_are_one_warning(caplog):
    async def scenario():
        async with Scene() as scene:
            for _ in range(100):
                await scene.send(b"GET / HTTP/1.1\r\n\r\n")

    asyncio.run(scenario())
    assert len([one for one in caplog.records if one.getMessage().startswith("DirectIP from 127.0.0.1")]) == 1


def test_a_full_queue_at_the_ground_is_flushed_for_what_is_newer():
    async def scenario():
        station = GroundStation(-5)
        async with Scene(station=station) as scene:
            await scene.send(encode(mo(hello())))
            await until(lambda: station.frames)
            assert station.flags == [0, 1]

    asyncio.run(scenario())


@pytest.mark.parametrize("answer", [b"\x31\0\4\5\0\1\1", b"\1\0\4\5\0\1\1", b"\1"])
def test_a_ground_station_that_answers_nonsense_is_asked_again_later(answer, monkeypatch):
    async def scenario():
        monkeypatch.setattr("gateway.iridium.RETRY_S_MIN", 0.05)
        station = GroundStation(answer=answer)
        async with Scene(station=station) as scene:
            await scene.send(encode(mo(hello())))
            await until(lambda: len(station.frames) >= 3)
            assert len(set(station.frames)) == 1
            assert scene.shell.works

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "text", ["mt=nowhere", "mt=:5", "mt=host:0", "mt=host:99999", "mt=host:٣", "mt=a..b:5", "speed=9", "confirm=1"]
)
def test_an_address_that_cannot_be_is_refused_in_words(text):
    async def scenario():
        with pytest.raises(UsageError, match="sbd://"):
            async with Scene(text):
                pass

    asyncio.run(scenario())


def test_a_list_of_addresses_that_cannot_be_is_refused_in_words():
    async def scenario():
        with pytest.raises(UsageError, match="want addresses such as"):
            async with Scene("allow=192.0.2.300"):
                pass

    asyncio.run(scenario())


def test_a_target_may_have_an_address_of_six():
    assert target_of(parse_url("sbd://0.0.0.0:10800?mt=[2001:db8::7]:10800")) == ("2001:db8::7", 10800)


# iridiumSBD


@needs_third_party
def test_a_third_party_reads_what_we_write():
    from iridiumSBD.iridiumSBD import IridiumSBD

    read = IridiumSBD(encode(mo(b"a frame", 75, 0x70EC0769)))
    assert read.mtype == "MO"
    assert read.attributes["header"]["IMEI"] == IMEI
    assert read.attributes["header"]["MOMSN"] == 75
    assert read.attributes["header"]["CDR_reference"] == 0x70EC0769
    assert read.payload["data"] == b"a frame"
    assert IridiumSBD(TAKEN).attributes["confirmation"]["status"] == 1
    answer = IridiumSBD(encode(MtConfirmation(b"\0\0\0\7", IMEI, 42, -5))).attributes["confirmation"]
    assert (answer["unique_client_msg_id"], answer["auto_id_reference"], answer["status"]) == (7, 42, -5)


@pytest.fixture
def relay(tmp_path):
    """iridiumSBD's own server as a process: it keeps messages of modems, and passes those for modems on."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        port, outbound = one.getsockname()[1], two.getsockname()[1]
    (tmp_path / "inbox").mkdir()
    program = (
        "from iridiumSBD.directip.server import runserver;"
        f"runserver('127.0.0.1', {port}, {str(tmp_path)!r}, outbound_address=('127.0.0.1', {outbound}))"
    )
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", program])
    try:
        yield port, outbound, tmp_path / "inbox"
    finally:
        process.terminate()
        process.wait(10)


async def reachable(port):
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@needs_third_party
def test_a_third_party_passes_our_message_to_a_modem_and_its_confirmation_back(relay):
    port, outbound, _ = relay

    async def scenario():
        station = GroundStation()
        server = await asyncio.start_server(station.serve, "127.0.0.1", outbound)
        await reachable(port)
        async with Scene(f"mt=127.0.0.1:{port}") as scene:
            assert await scene.send(encode(mo(hello()))) == TAKEN
            await until(lambda: station.frames)
            await asyncio.sleep(0.2)
            assert [peek(frame)[0] for frame in station.frames] == [FrameKind.WELCOME], "it was confirmed"
        server.close()

    asyncio.run(scenario())


@needs_third_party
def test_a_third_party_takes_a_message_of_ours_and_its_wrong_answer_is_known(relay):
    """It answers with an ASCII 1 where the revision should be: to our reader that is no confirmation."""
    port, _, inbox = relay
    raw = encode(mo(b"hello", 9))

    async def scenario():
        await reachable(port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        answer = await asyncio.wait_for(reader.read(100), 5)
        writer.close()
        return answer

    answer = asyncio.run(scenario())
    assert answer == b"1" + TAKEN[1:]
    with pytest.raises(FormatError, match="revision 49"):
        Reader().feed(answer)
    (kept,) = inbox.glob("*.isbd")
    assert decode(kept.read_bytes()) == mo(b"hello", 9)
