"""Kit, gateway and centre as real processes, each killed with SIGKILL again and again while studies flow.

FELDSHER_KILLS says how often each is killed; 100 by hand, few by default.
"""

import os
import random
import time

import pytest
from sqlalchemy import select

from hardware.simulated.analyser import Analyser
from hardware.simulated.results import STYLES, message
from hardware.simulated.scanner import patient_label
from node.spool import digest_of
from server import tables
from server.centre import Centre
from tests.feldsher.place import Bench, Place
from wire import kinds, objects
from wire.study import open_study

KILLS = int(os.environ.get("FELDSHER_KILLS", "8"))
LIVES_S = {"kit": (0.2, 2.5), "gateway": (0.2, 4.0), "centre": (0.2, 5.0)}
"""How long a life lasts: from the middle of the start to the middle of the work."""
SPEED = 20.0
"""The analyser's patience is cut by this, or it would wait most of the time for a kit that is dead."""
REST_S = 5.0
"""Of the analyser's own clock, between two messages."""
MESSAGES_MAX = 20_000


@pytest.mark.slow
@pytest.mark.timeout(120 + 12 * KILLS)
@pytest.mark.parametrize("victim", ["kit", "gateway", "centre"])
def test_killed_again_and_again_and_nothing_is_lost_or_doubled(tmp_path, victim):
    chance = random.Random(f"{victim} {KILLS}")
    with Place(tmp_path) as place:
        place.configure_kit({"analyser": "astm"})
        styles = sorted(STYLES)
        messages = (message(styles[at % len(styles)], 1, patient_label(1, at), at=at) for at in range(MESSAGES_MAX))
        bench = Bench(place, "analyser", Endless(messages), SPEED)
        for node in ("centre", "gateway", "kit"):
            place.start(node)
        place.until(lambda: bench.acknowledged, "the first frame", alive=("centre", "gateway", "kit"))
        for _ in range(KILLS):
            time.sleep(chance.uniform(*LIVES_S[victim]))
            place.kill(victim)
            time.sleep(chance.uniform(0.0, 0.3))
            place.start(victim)
        finish(place, bench)
        told = judge(place, bench)
    print(f"\n{victim}: {KILLS} kills, {told}")


class Endless:
    """An analyser that always has one more message."""

    def __init__(self, messages):
        self._messages = messages
        self._one = Analyser([], [], every_s=1.0)
        self.sent = 0

    def tick(self, now):
        if self._one.is_done:
            self._one = Analyser([next(self._messages)], [], every_s=1.0)
            self._rest_until = now + REST_S
            self.sent += 1
        return self._one.tick(now) if now >= self._rest_until else b""

    def feed(self, data, now):
        return self._one.feed(data, now)

    def deadline(self):
        at = self._one.deadline()
        return self._rest_until if at is None else max(at, self._rest_until)

    @property
    def is_done(self):
        return False


def finish(place, bench):
    """Let the device fall silent, end the kit's open study, and wait until all has its receipt."""
    bench.stop()
    time.sleep(1.0)
    place.stop("kit")
    place.start("kit")
    place.until(place.is_drained, "every receipt", 120.0, alive=("centre", "gateway", "kit"))
    for node in ("kit", "gateway", "centre"):
        place.stop(node)


def judge(place, bench):
    """Hold what lies at the centre against the kit's card and against what the analyser was told."""
    with Centre.open(place.data("centre")) as centre:
        with centre.database.read() as connection:
            rows = connection.execute(select(tables.objects)).all()
            shown = connection.execute(select(tables.studies.c.study)).scalars().all()
        held = place.held()
        assert {bytes.fromhex(row.object_id) for row in rows} == held.keys(), "lost, or never captured"
        assert len(rows) == len(held), "entered twice"
        assert len(shown) == len(set(shown)), "shown twice"
        raw = []
        for row in rows:
            one, path = held[bytes.fromhex(row.object_id)]
            stored = centre.files.read(row.digest)
            assert stored == path.read_bytes(), f"{one.name} has other bytes at the centre"
            assert digest_of(stored) == one.digest
            if row.kind == objects.STUDY:
                raw.append(raw_of(open_study([stored], centre.keys.seal_secret)))
    lost = [frame for frame in bench.acknowledged if not any(frame in one for one in raw)]
    assert not lost, f"{len(lost)} acknowledged frames are in no study"
    assert len(bench.acknowledged) > KILLS
    return f"{len(raw)} studies, {len(rows)} objects, {len(bench.acknowledged)} acknowledged frames; 0 lost, 0 doubled"


def raw_of(study):
    assert not study.damaged
    return b"".join(tag.data for entry in study.entries for tag in entry.tags if tag.kind == (kinds.CAPTURE, kinds.RAW))
