"""A tree of links like /dev/serial/by-path, with ptys behind them that come and go, and what a kit kept."""

import os
import select

from hardware.simulated import ptys
from tests.edge.test_kit import SERVER_SEAL
from wire import kinds, record
from wire.study import open_study


class Sockets:
    """`plug` puts a device into a socket, `pull` takes it out; a device that comes back may have another name."""

    def __init__(self, folder):
        self.folder = folder / "by-path"
        self.folder.mkdir()
        self._plugged = {}

    def path(self, socket):
        return str(self.folder / socket)

    def plug(self, socket):
        """Return the device's end of the line."""
        opened = ptys.open_pty(self.path(socket))
        line, _ = opened.__enter__()
        self._plugged[socket] = opened, line
        return line

    def pull(self, *sockets):
        for socket in sockets or list(self._plugged):
            opened, _ = self._plugged.pop(socket)
            opened.__exit__(None, None, None)

    def name(self, socket):
        return os.readlink(self.path(socket))


def said(line, size=4096):
    """Return what the kit has sent to the device, without waiting."""
    return os.read(line, size) if select.select([line], [], [], 0)[0] else b""


class Kept:
    """One study as the centre would read it."""

    def __init__(self, path):
        study = open_study(path.read_bytes(), SERVER_SEAL[0])
        tags = [tag for entry in study.entries for tag in entry.tags]
        self.device = next(record.Device.from_tag(tag) for tag in tags if tag.kind == record.Device.KIND)
        self.raw = b"".join(tag.data for tag in tags if tag.kind == (kinds.CAPTURE, kinds.RAW))
        self.notes = [record.Note.from_tag(tag).text for tag in tags if tag.kind == record.Note.KIND]
        self.partial = [record.Partial.from_tag(tag).reason for tag in tags if tag.kind == record.Partial.KIND]
        results = [record.Result.from_tag(tag) for tag in tags if tag.kind == record.Result.KIND]
        self.values = {one.name: one.value for result in results for one in result.observations}
        self.patients = [record.Patient.from_tag(tag).id for tag in tags if tag.kind == record.Patient.KIND]


def kept(folder):
    """Return the studies that are closed, oldest first."""
    paths = sorted((folder / "spool").glob("5-*.study"), key=lambda path: path.name.split("-")[1])
    return [Kept(path) for path in paths]
