"""Inboxes of a daemon that runs: real folders, a real process for what is taken, sticks and processes that hang."""

import asyncio
import contextlib
import os
import threading
import time
from dataclasses import replace

import pytest

from edge import daemon, inboxes
from edge.config import KitConfig, Port
from edge.inbox_config import Inbox
from edge.inbox_place import RealPlace
from hardware.simulated import ptys
from node.daemon import read_status
from node.spool import State
from tests.edge.dicom_made import dicom
from tests.edge.test_daemon import NEAR, can_read, run, until
from tests.edge.test_imports import opened, tags_of
from tests.edge.test_kit import SERVER_SIGN
from wire.errors import ConfigError
from wire.objects import STUDY
from wire.record import Patient, Summary
from wire.seal import x25519_public
from wire.worklist import Day, Order, seal_day, sign_worklist

PDF = b"%PDF-1.4 a report"


class Van:
    """A daemon with one inbox, running while its context lasts."""

    def __init__(self, tmp_path, ports=(), **inbox):
        self.data, self.place = tmp_path / "data", tmp_path / "stick"
        self.data.mkdir(exist_ok=True)
        self.inbox = Inbox(name="stick", path=str(self.place), settle_s=1.0, **inbox)
        self.config = KitConfig(port=list(ports), inbox=[self.inbox])

    async def __aenter__(self):
        self.daemon = daemon.Daemon(self.config, NEAR, self.data)
        self.running = asyncio.ensure_future(self.daemon.run())
        return self

    async def __aexit__(self, *_):
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    def studies(self):
        return [one for one in self.daemon.kit.spool.objects(State.WAITING) if one.kind == STUDY]

    def said(self):
        (one,) = self.daemon._inboxes.status()
        return one


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(inboxes, "LOOK_S", 0.1)
    monkeypatch.setattr(inboxes, "FAILURE_S", 0.3)


def test_what_appears_in_a_folder_is_in_the_spool_and_once_after_a_restart(quick, tmp_path):
    async def play():
        async with Van(tmp_path) as van:
            await until(lambda: not van.said()["there"])
            van.place.mkdir()
            (van.place / "a.pdf").write_bytes(PDF)
            await until(van.studies)
            assert van.said()["last"] == [[van.studies()[0].object_id.hex(), 1]]
            assert van.said()["here"]["taken"] == 1
            panel = van.daemon.kit.panel.condition
            assert not panel.attention
        async with Van(tmp_path) as van:
            await until(lambda: van.said()["here"]["known"] == 1)
            assert len(van.studies()) == 1
            assert (van.place / "a.pdf").read_bytes() == PDF

    asyncio.run(play())


def test_the_kits_worklist_goes_with_the_files_and_what_is_disputed_asks_for_a_look(quick, tmp_path):
    async def play():
        async with Van(tmp_path) as van:
            await until(lambda: not van.said()["there"])
            day = Day("2099-06-01", (Order("113", "Koval", sample="S1"), Order("114", sample="S2")))
            sealed = seal_day(day, 4_083_912_000_000, x25519_public(NEAR.link_secret), bytes(range(32)))
            kit_public = x25519_public(NEAR.link_secret)
            van.daemon.kit.worklist.take(sign_worklist(1, kit_public, [sealed], SERVER_SIGN[0]))
            van.place.mkdir()
            (van.place / "IM1").write_bytes(dicom(study="1", patient="S1"))
            await until(lambda: len(van.studies()) == 1)
            assert not van.daemon.kit.panel.condition.attention
            scan = Patient("S2", "barcode", checked=True, time_ms=7)
            van.daemon._inboxes._slots[0].rule = replace(van.daemon._inboxes._slots[0].rule, patient="label")
            van.daemon.kit.label = lambda now: scan
            (van.place / "IM2").write_bytes(dicom(study="2", patient="S1"))
            await until(lambda: len(van.studies()) == 2)
            assert van.daemon.kit.panel.condition.attention
            return [
                (one.patient, one.patient_conflict, one.unlisted)
                for study in opened(van.daemon.kit.spool, "summary")
                for one in [Summary.from_tag(tag) for tag in tags_of(study)]
            ]

    assert asyncio.run(play()) == [("113", False, False), ("114", True, False)]


def test_a_process_that_is_killed_in_the_middle_costs_nothing(quick, tmp_path, monkeypatch):
    """It lives just long enough to close the study, and not to say so."""
    code = "import os, edge.taking as t, edge.inbox_taken as i; i.Taken.closed = lambda self: os._exit(9); t.main()"
    monkeypatch.setattr(inboxes, "COMMAND", ("-c", code))

    async def play():
        async with Van(tmp_path) as van:
            van.place.mkdir()
            (van.place / "a.pdf").write_bytes(PDF)
            await until(lambda: "ended with 9" in van.said()["trouble"])
            assert not van.studies()
            assert van.said()["waiting"][0]["says"] == "taking its files ended with 9"
            monkeypatch.setattr(inboxes, "COMMAND", ("-m", "edge.taking"))
            await until(van.studies)
            await until(lambda: not van.said()["trouble"])
            assert len(van.studies()) == 1

    asyncio.run(play())


def test_a_process_that_says_nothing_is_given_up(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(inboxes, "COMMAND", ("-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(inboxes, "SILENCE_S_MAX", 0.3)

    async def play():
        async with Van(tmp_path) as van:
            await until(lambda: "does not answer" in van.said()["trouble"])
            began = time.monotonic()
        assert time.monotonic() - began < 3

    asyncio.run(play())


def test_a_stick_that_hangs_delays_no_answer_to_a_device_and_not_the_end(quick, tmp_path, monkeypatch):
    hangs, mended = threading.Event(), threading.Event()

    def hang(self):
        hangs.set()
        mended.wait(20)

    monkeypatch.setattr(RealPlace, "survey", hang)
    monkeypatch.setattr(inboxes, "HANG_S", 0.2)
    link = str(tmp_path / "tty")

    async def play():
        with ptys.open_pty(link) as (line, _):
            async with Van(tmp_path, [Port(name="lab", path=link, driver="astm")]) as van:
                await until(lambda: van.daemon._ports["lab"].is_present)
                await until(hangs.is_set)
                began = time.monotonic()
                os.write(line, b"\x05")
                await until(lambda: can_read(line))
                assert os.read(line, 10) == b"\x06"
                assert time.monotonic() - began < 0.5
                await until(lambda: "does not answer" in van.said()["trouble"])
                began = time.monotonic()
        return time.monotonic() - began

    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(mended.set)
        assert asyncio.run(play()) < 2


def test_the_kit_takes_up_what_found_no_room_at_first(quick, tmp_path, monkeypatch):
    from node.spool import Spool
    from wire.errors import DiskFull

    adopt = Spool.adopt

    def refuse(self, path, *args, **more):
        if path.startswith("inbox/spool/"):
            raise DiskFull("no room")
        return adopt(self, path, *args, **more)

    monkeypatch.setattr(Spool, "adopt", refuse)

    async def play():
        async with Van(tmp_path) as van:
            van.place.mkdir()
            (van.place / "a.pdf").write_bytes(PDF)
            await until(lambda: van.said()["here"]["taken"] == 1)
            assert not van.studies()
            monkeypatch.setattr(Spool, "adopt", adopt)
            await until(van.studies)

    asyncio.run(play())


def test_a_place_within_the_data_folder_is_refused(tmp_path):
    async def scene(made):
        await asyncio.sleep(0)

    with pytest.raises(ConfigError, match="within each other"):
        asyncio.run(_made(KitConfig(inbox=[Inbox(name="x", path=str(tmp_path / "below"))]), tmp_path))
    assert run(tmp_path, scene) is None


async def _made(config, folder):
    return daemon.Daemon(config, NEAR, folder)


def test_the_status_file_has_the_inboxes(tmp_path):
    async def scene(made):
        await until(lambda: read_status(tmp_path))
        return read_status(tmp_path)

    assert run(tmp_path, scene)["inboxes"] == []


def test_studies_that_were_received_make_room_for_what_is_taken(quick, tmp_path, monkeypatch):
    asked = []

    async def play():
        async with Van(tmp_path) as van:
            kit = van.daemon.kit
            kit.spool.put(bytes(16), STUDY, bytes(3000))
            kit.spool.receipt(bytes(16), b"a receipt")
            with monkeypatch.context() as full:
                for disk in (kit._disk, kit.spool._disk):
                    full.setattr(disk, "free", lambda: 0)
                kit.make_room(1)
            assert kit.counts().received == 0
            monkeypatch.setattr(kit, "make_room", asked.append)
            van.place.mkdir()
            (van.place / "a.pdf").write_bytes(PDF)
            await until(van.studies)

    asyncio.run(play())
    assert asked[-1] == inboxes.ROOM_KEPT + len(PDF)


def test_a_fault_of_ours_in_an_inbox_ends_no_capture(quick, tmp_path, monkeypatch, caplog):
    def fail(self, *_):
        raise ZeroDivisionError("KOVAL.pdf")

    async def play():
        async with Van(tmp_path) as van:
            monkeypatch.setattr("edge.inbox_watch.Watch.look", fail)
            van.place.mkdir()
            await until(lambda: "ZeroDivisionError" in caplog.text)
            assert not van.running.done()
            assert "KOVAL" not in caplog.text

    asyncio.run(play())
