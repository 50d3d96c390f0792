"""First look first, over a slow link, from the kit's card to the centre's record, in virtual time.

What is measured is when the centre enters each object. The photographs take minutes at 40 kbit/s; their summaries and
previews are there within seconds, also those of a study that was brought while another one's bulk was on its way.
"""

import pytest
from sqlalchemy import select

from benchmarks.photographs import as_file, photograph
from edge.config import Port
from edge.importing import Importer, patient_of
from node.sealer import preview_id_of, summary_id_of
from server import tables
from server.pictures import shown, whole
from tests.sim.link import LinkShape, SimLink
from tests.sim.nodes import GatewayNode, KitNode, ServerNode
from tests.sim.world import World
from wire import kinds, objects
from wire.noise import KeyPair
from wire.seal import ed25519_public
from wire.tag import Tag

SATELLITE = LinkShape(rate_bps=40_000, delay_s=0.75, jitter_s=0.0, loss=0.01, duplicate=0.0, corrupt=0.0)
FIBRE = LinkShape(rate_bps=10_000_000, delay_s=0.02, jitter_s=0.0, loss=0.0, duplicate=0.0, corrupt=0.0)
PHOTO = as_file(photograph(1600, 1200), quality=90)
OTHER = as_file(photograph(1280, 960, 2), quality=80, progressive=True)
HOUR_S = 3600.0


class Van:
    """A kit behind a slow link, a gateway, a centre; nothing goes wrong but a frame now and then."""

    def __init__(self, seed=1):
        self.world = World(seed)
        self.server = ServerNode(self.world)
        self.gateway = GatewayNode(self.world, self.server)
        self.kit = KitNode(self.world, self.server, self.gateway, [Port("a", "/dev/a", "astm")], "van-1")
        self.gateway.to_server = self.far = self.link(self.gateway, self.server, FIBRE)
        self.near = self.link(self.kit, self.gateway, SATELLITE)
        self.server.start()
        peers, kit, gateway = self.server.centre.peers, self.kit, self.gateway
        public = KeyPair.from_secret(kit.link_secret).public
        peers.add_kit(kit.name, public, kit.psk, ed25519_public(kit.sign_secret))
        peers.add_gateway("ground", gateway.identity.public, gateway.psk, ["udp://sim:1"])
        for node in (gateway, kit):
            node.start()
        self.world.run(5.0)

    def link(self, near, far, shape):
        link = SimLink(self.world, shape, lambda frame: None)
        near.links.append((link, 0))
        far.links.append((link, 1))
        return link

    def bring(self, paths, priority=5):
        """Import files; returns the id of their study and when it was brought."""
        importer = Importer(self.kit.disk, self.kit.clock, self.world.entropy, self.kit.enrolment)
        made = importer.make(paths, patient_of("113", 0), priority)
        self.kit.guard(lambda: self.kit.process.take_imports(self.world.now))
        return made.study_id, self.world.now

    def entered(self):
        """Return the objects at the centre in the order in which they came."""
        query = select(tables.objects.c.object_id).order_by(tables.objects.c.id)
        with self.server.centre.database.read() as connection:
            return [bytes.fromhex(one) for one in connection.execute(query).scalars()]

    def until(self, object_id, limit=HOUR_S):
        """Let time pass until the centre has the object; returns when that was, to a fifth of a second."""
        end = self.world.now + limit
        while object_id not in self.entered() and self.world.now < end:
            self.world.run(self.world.now + 0.2)
        assert object_id in self.entered()
        return self.world.now

    def until_on_the_ground(self, object_id, limit=HOUR_S):
        """Let time pass until the gateway has the object: what the slow link had to do with it."""
        end = self.world.now + limit
        while self.gateway.process.depot.spool.get(object_id) is None and self.world.now < end:
            self.world.run(self.world.now + 0.2)
        return self.world.now


@pytest.fixture
def photos(tmp_path):
    for name, data in (("first.jpg", PHOTO), ("second.jpg", OTHER)):
        (tmp_path / name).write_bytes(data)
    return tmp_path / "first.jpg", tmp_path / "second.jpg"


def looks_of(study_id):
    return [summary_id_of(study_id), preview_id_of(study_id, 0, 1), preview_id_of(study_id, 0, 2), study_id]


def test_a_summary_comes_before_the_previews_and_these_before_the_whole(photos):
    van = Van()
    study_id, brought = van.bring(photos[:1])
    told, coarse, fine, whole_s = (van.until_on_the_ground(one) - brought for one in looks_of(study_id))
    van.until(study_id)
    assert van.entered() == looks_of(study_id)
    print(f"\nsummary {told:.1f} s, overview {coarse:.1f} s, screen {fine:.1f} s, the whole {whole_s:.0f} s")
    assert told < 5
    assert coarse < 8
    assert fine < 25
    assert whole_s > 60


def test_a_study_that_is_brought_while_another_ones_bulk_is_sent_is_seen_within_seconds(photos):
    van = Van(2)
    first, _ = van.bring(photos[:1])
    van.until(preview_id_of(first, 0, 2))
    van.world.run(van.world.now + 10)
    second, brought = van.bring(photos[1:])
    assert van.until(summary_id_of(second)) - brought < 5
    assert van.until_on_the_ground(preview_id_of(second, 0, 1)) - brought < 8
    assert van.until_on_the_ground(preview_id_of(second, 0, 2)) - brought < 30
    assert first not in van.entered()
    van.until(second)
    assert van.entered() == [*looks_of(first)[:3], *looks_of(second)[:3], first, second]


def test_an_urgent_study_overtakes_the_bulk_and_not_the_first_look_of_a_routine_one(photos):
    van = Van(3)
    routine, _ = van.bring(photos[:1])
    urgent, _ = van.bring(photos[1:], priority=1)
    van.until(routine)
    order = van.entered()
    assert order.index(summary_id_of(urgent)) < order.index(urgent) < order.index(routine)
    assert order.index(summary_id_of(routine)) < order.index(routine)


def test_what_arrives_is_what_was_brought(photos):
    van = Van(4)
    study_id, _ = van.bring(photos)
    van.until(study_id)
    library = van.server.centre.library
    line = library.line(study_id.hex())
    assert line.received
    assert not line.damaged
    reading = library.reading(line)
    tags = {entry.ordinal: entry.tags for entry in reading.entries}
    images = [whole(tags[one.entry][one.number], van.server.centre.restorer).image for one in shown(reading)]
    assert images == [PHOTO, OTHER]


def test_the_page_is_announced_then_previewed_then_whole(photos):
    van = Van(5)
    study_id, _ = van.bring(photos[:1])
    library = van.server.centre.library
    van.until(summary_id_of(study_id))
    assert not library.looks(library.line(study_id.hex()))
    for stage in (1, 2):
        van.until(preview_id_of(study_id, 0, stage))
        (look,) = library.looks(library.line(study_id.hex()))
        assert look.preview.stage == stage
    van.until(study_id)
    assert not library.looks(library.line(study_id.hex()))


def test_the_kit_loses_power_while_previews_are_on_their_way(photos):
    """Nothing is sent for nothing: what was spooled goes on, and the study arrives as it was."""
    van = Van(6)
    study_id, _ = van.bring(photos[:1])
    van.until(preview_id_of(study_id, 0, 1))
    van.kit.power_cut()
    van.near.cut()
    van.world.run(van.world.now + 30)
    van.near.mend()
    van.until(study_id)
    assert set(van.entered()) == set(looks_of(study_id))


def test_fifty_small_studies_share_frames():
    """A hundred objects, each with its offer, in a few more frames than their bytes fill."""
    van = Van(7)
    kit = van.kit.process
    before, ids = kit.caller.progress(van.world.now).to_dict(), []
    for number in range(50):
        journal = kit.studies.open()
        journal.append([Tag(kinds.CAPTURE, kinds.RAW, van.world.entropy(1400 + number))])
        summary = {"study": journal.study_id, "kit": "van-1", "form": "laboratory", "opened_ms": 1, "closed_ms": 2}
        journal.close(summary)
        ids.append(journal.study_id)
    payload = sum(one.size for one in kit.spool.objects() if one.kind in (objects.SUMMARY, objects.STUDY))
    van.kit.guard(lambda: kit.link.nudge(van.world.now))
    began = van.world.now
    van.world.run(began + HOUR_S, lambda: not kit.spool.pending())
    after = kit.caller.progress(van.world.now).to_dict()
    frames = after["frames_sent"] - before["frames_sent"]
    wire = after["wire_sent"] - before["wire_sent"]
    print(f"\n{payload} bytes of 100 objects: {frames} frames, {wire} bytes, {van.world.now - began:.1f} s")
    assert not kit.spool.pending()
    assert set(ids) <= set(van.entered())
    assert frames < 1.6 * payload / 1200
    assert wire < 1.15 * payload
