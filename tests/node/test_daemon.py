"""What every daemon has around it: a log, a status file, signals, systemd's watchdog."""

import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import signal
import socket

import pytest

from node import daemon
from wire.errors import DiskError


def test_the_status_that_was_written_is_read(tmp_path):
    daemon.write_status(tmp_path, {"name": "van-1", "objects": {"spool": 3}})
    status = daemon.read_status(tmp_path)
    assert status["name"] == "van-1"
    assert status["objects"] == {"spool": 3}
    assert [path.name for path in tmp_path.iterdir()] == [daemon.STATUS_FILE]


@pytest.mark.parametrize("text", ["", "{", "[]", "nonsense", '"text"', "\x00\xff"])
def test_a_status_file_that_is_none_counts_as_never_written(tmp_path, text):
    (tmp_path / daemon.STATUS_FILE).write_bytes(text.encode("latin-1"))
    assert daemon.read_status(tmp_path) == {}


def test_no_status_file_is_no_status(tmp_path):
    assert daemon.read_status(tmp_path) == {}
    assert daemon.read_status(tmp_path / "missing") == {}


def test_a_huge_status_file_is_read_to_its_limit_only(tmp_path):
    (tmp_path / daemon.STATUS_FILE).write_text(json.dumps({"x": "y" * daemon.STATUS_SIZE_MAX}))
    assert daemon.read_status(tmp_path) == {}


def test_a_view_that_cannot_be_written_stops_nothing(tmp_path):
    daemon.write_status(tmp_path / "missing", {"name": "x"})


def test_a_full_disk_does_not_freeze_the_view(tmp_path, monkeypatch):
    """The status of a kit with a full card stood still, and the command said that the kit was not running."""
    daemon.write_status(tmp_path, {"name": "van-1", "alarm": "off", "more": "x" * 100})

    def full(path, text):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(daemon.Path, "write_text", full)
    daemon.write_status(tmp_path, {"name": "van-1", "alarm": "fast"})
    assert daemon.read_status(tmp_path)["alarm"] == "fast"
    assert [path.name for path in tmp_path.iterdir()] == [daemon.STATUS_FILE]


def test_the_status_tells_how_old_it_is(tmp_path):
    daemon.write_status(tmp_path, {"name": "van-1"})
    assert daemon.read_status(tmp_path)["age_s"] < 5
    long_ago = (tmp_path / daemon.STATUS_FILE).stat().st_mtime - 3600
    os.utime(tmp_path / daemon.STATUS_FILE, (long_ago, long_ago))
    assert 3590 < daemon.read_status(tmp_path)["age_s"] < 3610


def test_systemd_is_told_where_it_asks_to_be(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        daemon.tell_systemd("READY=1")
        assert notify.recv(100) == b"READY=1"


def test_systemd_that_is_gone_or_was_never_there_is_not_missed(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    daemon.tell_systemd("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "@feldsher-test-no-such-socket")
    daemon.tell_systemd("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    daemon.tell_systemd("READY=1")


def test_systemd_that_does_not_read_does_not_stop_the_daemon(tmp_path, monkeypatch):
    """After ten unread messages the eleventh waited for ever, and with it capture, link and SIGTERM."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for _ in range(1000):
            daemon.tell_systemd("WATCHDOG=1")
        assert notify.recv(100) == b"WATCHDOG=1"


def test_the_watchdog_is_fed_and_the_end_is_told(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        async def work():
            await asyncio.sleep(0.05)

        asyncio.run(daemon.run_until_signal(work(), status=dict, folder=tmp_path))
        assert [notify.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_in_order(tmp_path, number):
    ended = []

    async def work():
        try:
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            ended.append("in order")

    asyncio.run(daemon.run_until_signal(work(), status=lambda: {"a": 1}, folder=tmp_path))
    assert ended == ["in order"]
    assert daemon.read_status(tmp_path)["a"] == 1


def test_a_work_that_does_not_heed_its_end_is_named_and_told_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(daemon, "END_S", 0.1)

    async def deaf():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def ends():
        await asyncio.sleep(0.05)

    async def run():
        async with asyncio.timeout(2.0):
            await daemon.run_until_signal(deaf(), ends(), status=dict, folder=tmp_path)

    asyncio.run(run())
    assert "deaf" in caplog.text


def test_a_second_error_at_the_end_is_not_printed_as_one_that_nobody_has_seen(tmp_path, caplog):
    async def fails():
        raise DiskError("the card is gone")

    async def fails_at_its_end():
        try:
            await asyncio.Event().wait()
        finally:
            raise DiskError("and does not come back")

    async def run():
        with pytest.raises(DiskError, match="is gone"):
            await daemon.run_until_signal(fails(), fails_at_its_end(), status=dict, folder=tmp_path)
        gc.collect()

    asyncio.run(run())
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_an_error_of_one_work_ends_all_and_comes_out(tmp_path):
    ended = []

    async def other():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("other")

    async def fails():
        raise DiskError("the card is gone")

    async def run():
        await daemon.run_until_signal(other(), fails(), status=dict, folder=tmp_path)

    with pytest.raises(DiskError, match="the card is gone"):
        asyncio.run(run())
    assert ended == ["other"]


def test_the_log_goes_to_standard_error_and_is_short_unless_asked(capsys):
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        daemon.start_log(verbose=False)
        daemon.log.info("seen")
        daemon.log.debug("not seen")
        daemon.start_log(verbose=True)
        daemon.log.debug("seen too")
    finally:
        logging.getLogger().handlers[:], logging.getLogger().level = before
    err = capsys.readouterr().err
    assert "INFO seen" in err
    assert "not seen" not in err
    assert "DEBUG seen too" in err
