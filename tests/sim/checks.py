"""The independent checkers: they know what devices were told and what lies on which disk, and not what our code thinks.

1. What a device was told is acknowledged is in a study at the centre, byte for byte.
2. The centre's file of a study is byte-identical to the one that the kit closed, and is there once.
3. The centre has no study that the kit did not close: no phantoms.
4. No patient's id and no specimen's id is on a link, on the kit's card or on the gateway's disk.
5. No nonce is used twice under one key.
6. Bounds hold: frames, events, spools.
7. When trouble ends, everything drains.

In a journey (`tests/sim/journey.py`), besides: modems' lines, DirectIP and sticks show nothing either; no budget is
exceeded (`ledgers.py`); a SIM's PIN is never tried wrongly three times; what an import said it has taken is at the
centre; no queue of the ground station or of the gateway for one modem grows over its bound.
"""

import contextlib
from unittest import mock

from sqlalchemy import select

from node.spool import State, digest_of
from server import tables
from tests.sim.link import MTU_BYTES
from wire import kinds, noise, objects, parcel, session
from wire.study import open_study

FRAME_SIZE_MAX = MTU_BYTES
EVENTS_MAX = 200_000


class Checks:
    """Collects during a run, judges at its end. `fail` names the seed, so that the run can be repeated."""

    def __init__(self, scenario):
        self._scenario = scenario
        self._nonces = {}
        self.frames = self.line_bytes = self.carried_bytes = 0
        self.studies = {}

    def fail(self, what):
        raise AssertionError(f"seed {self._scenario.world.seed}: {what}")

    # While it runs

    def saw_frame(self, frame):
        self.saw_frame_of(frame, FRAME_SIZE_MAX, "a link")

    def saw_frame_of(self, frame, mtu, where):
        """A whole frame went over a bearer of this size."""
        self.frames += 1
        if not 0 < len(frame) <= mtu:
            self.fail(f"a frame of {len(frame)} bytes on a bearer of {mtu}: {where}")
        self._no_plaintext(frame, where)

    def saw_line(self, data):
        """Bytes went over a modem's line, or over a connection of DirectIP."""
        self.line_bytes += len(data)
        self._no_plaintext(data, "a modem's line")

    def saw_carried(self, path, data):
        """This lies on a stick."""
        self.carried_bytes += len(data)
        self._no_plaintext(path.encode() + b"/" + data, f"a stick: {path}")

    def saw_nonce(self, key, nonce, plaintext):
        said = self._nonces.setdefault((key, nonce), plaintext)
        if said != plaintext:
            self.fail(f"nonce {nonce.hex()} was used twice under one key")

    def _no_plaintext(self, data, where):
        for label in self._scenario.labels:
            if label.encode() in data:
                self.fail(f"the patient's id {label} lies open on {where}")

    # At the end

    def at_the_end(self):
        scenario = self._scenario
        if not scenario.is_drained():
            self.fail(f"not drained at {scenario.world.now:.0f} s: {self._left()}")
        for node in (*scenario.kits, scenario.gateway):
            for path, data in node.disk.tree().items():
                self._no_plaintext(data, f"{node.name}:{path}")
        self._read_studies()
        self._nothing_acknowledged_is_lost()
        self._identical_once_and_no_phantoms()

    def _left(self):
        scenario = self._scenario
        devices = [cable.port for cable in scenario.cables if not cable.device.is_done]
        waiting = [
            one.name[:60]
            for kit in scenario.kits
            if kit.alive
            for one in kit.process.spool.objects(State.WAITING, State.CUSTODY)
        ]
        return f"devices {devices}, objects {waiting}"

    def _read_studies(self):
        server = self._scenario.server
        with server.database.read() as connection:
            rows = connection.execute(select(tables.objects)).all()
        self.rows = {row.object_id: row for row in rows}
        for row in rows:
            if row.kind != objects.STUDY:
                continue
            data = server.centre.files.read(row.digest)
            if digest_of(data).hex() != row.digest[:32]:
                self.fail(f"the centre's file of {row.object_id} has another digest than its name")
            study = open_study([data], server.keys.seal_secret)
            if study.damaged:
                self.fail(f"study {row.object_id} is damaged: {study.lost}")
            self.studies[row.object_id] = study

    def _nothing_acknowledged_is_lost(self):
        raw = [
            b"".join(
                tag.data for entry in study.entries for tag in entry.tags if tag.kind == (kinds.CAPTURE, kinds.RAW)
            )
            for study in self.studies.values()
        ]
        for cable in self._scenario.cables:
            for frame in cable.acknowledged:
                if not any(frame in one for one in raw):
                    self.fail(f"{cable.port}: {frame!r} was acknowledged and is in no study at the centre")

    def _identical_once_and_no_phantoms(self):
        captured = {}
        for kit in self._scenario.kits:
            captured |= kit.held | {one.object_id.hex(): one for one in kit.process.spool.objects()}
        for object_id, one in captured.items():
            row = self.rows.get(object_id)
            if row is None or row.digest[:32] != one.digest.hex():
                self.fail(f"{one.name} of a kit is not at the centre as it was captured")
        for object_id, row in self.rows.items():
            if object_id not in captured:
                self.fail(f"object {object_id} (kind {row.kind}) is at the centre and was never on the kit")


@contextlib.contextmanager
def watch_nonces(checks):
    """Let the checks see every encryption of handshakes, sessions and parcels."""
    real = noise.ChaCha20Poly1305

    class Watched:
        def __init__(self, key):
            self._key, self._real = bytes(key), real(key)

        def encrypt(self, nonce, data, associated_data):
            checks.saw_nonce(self._key, bytes(nonce), bytes(data) + b"|" + bytes(associated_data or b""))
            return self._real.encrypt(nonce, data, associated_data)

        def decrypt(self, nonce, data, associated_data):
            return self._real.decrypt(nonce, data, associated_data)

    with contextlib.ExitStack() as stack:
        for module in (noise, session, parcel):
            stack.enter_context(mock.patch.object(module, "ChaCha20Poly1305", Watched))
        yield
