"""A ground station for tests: the real one on a simulated disk, with a kit and a server whose stores are in memory."""

from gateway.station import Station, Upstream
from node.enrolment import Contact, GatewayEnrolment
from node.entropy import seeded
from node.idle import NothingTaken
from node.link import Caller, Grant, Host
from node.seams import Offer, Receipt
from node.spool import digest_of
from tests.sim.roads import Roads
from tests.wire.air import MemoryInbox, MemoryOutbox
from wire import objects
from wire.noise import KeyPair
from wire.roster import RosterEntry, sign_roster
from wire.seal import sign_pair

KIT, OTHER = KeyPair.from_secret(b"k" * 32), KeyPair.from_secret(b"o" * 32)
GROUND, SERVER = KeyPair.from_secret(b"g" * 32), KeyPair.from_secret(b"s" * 32)
PSK, UP_PSK = b"p" * 32, b"u" * 32
SIGN_SECRET, SIGN_PUBLIC = sign_pair(b"r" * 32)
RESERVE = 1 << 12


def offer(data, kind=objects.STUDY, object_id=None, priority=5):
    return Offer(object_id or digest_of(b"id of " + data), kind, len(data), digest_of(data), priority)


def roster(version, *entries, secret=SIGN_SECRET):
    return sign_roster(version, entries, secret)


def kit_entry(pair=KIT, name="van-1", revoked=False):
    return RosterEntry(name, pair.public, PSK, bytes(32), revoked)


def roster_offer(data):
    return offer(data, objects.ROSTER, priority=1)


def hand_over(inbox, data, given=None, peer=KIT.public):
    """Offer `data` and bring all of it; return what the inbox says at last."""
    given = given or offer(data)
    answer = inbox.offered(peer, given)
    if not isinstance(answer, objects.RangeSet):
        return answer
    for start, end in answer.gaps(given.size):
        refusal = inbox.write(peer, given.object_id, start, data[start:end])
        if refusal is not None:
            return refusal
    return inbox.finish(peer, given.object_id)


def enrolment(server_url, listen):
    server = Contact("server", SERVER.public, (server_url,))
    return GatewayEnrolment("ground", b"g" * 32, UP_PSK, SIGN_PUBLIC, server, (listen,))


class Ground:
    """The station with a server above it and kits below it, joined by roads that lose nothing."""

    def __init__(self, disk, *entries):
        self.events = []
        self.entropy = seeded(b"ground")
        self.station = Station(
            GROUND, Upstream(SERVER.public, UP_PSK, SIGN_PUBLIC), disk, self.entropy, self.events.append, RESERVE
        )
        self.to_ground, self.at_server = (
            MemoryOutbox(),
            MemoryInbox(lambda given: Receipt(b"the word on " + given.digest)),
        )
        grant = Grant(UP_PSK, "ground")
        self.server = Host(
            SERVER,
            lambda public: grant if public == GROUND.public else None,
            lambda _: self.to_ground,
            self.at_server,
            self.entropy,
        )
        self.roads = Roads(self.station, self.server)
        if entries:
            self.station.roster.take(roster(1, *entries))

    def call_server(self):
        return self.roads.join(self.station.server, self.server)

    def kit(self, pair=KIT):
        """Return (caller, outbox) of a kit that calls the station now."""
        outbox = MemoryOutbox()
        caller = Caller(pair, GROUND.public, PSK, outbox, NothingTaken(), self.entropy)
        self.roads.nodes.append(caller)
        caller.road = self.roads.join(caller, self.station.kits)
        return caller, outbox

    def give_roster(self, data):
        self.to_ground.objects[roster_offer(data).object_id] = (roster_offer(data), data)
        self.server.nudge(None, self.roads.now)

    def put(self, outbox, data, kind=objects.STUDY):
        given = offer(data, kind)
        outbox.objects[given.object_id] = (given, data)
        return given.object_id
