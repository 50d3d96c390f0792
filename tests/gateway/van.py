"""A kit with a stick in its hand, for tests of the station."""

from node.carrying import Far
from node.host import Grant
from node.idle import NothingTaken
from tests.gateway.ground import GROUND, KIT, PSK, offer
from tests.node.sticks import End, Slot
from tests.wire.air import MemoryOutbox
from wire import objects


class Van(End):
    """A kit with its stick in hand."""

    def __init__(self, outbox=None, identity=KIT, seed=7):
        self.outbox = outbox or MemoryOutbox()
        far = [Far(GROUND.public, self.outbox)]
        super().__init__(identity, Slot(), NothingTaken(), lambda _: Grant(PSK, "ground"), far, seed)

    def put(self, data, kind=objects.STUDY, priority=5):
        given = offer(data, kind, priority=priority)
        self.outbox.objects[given.object_id] = given, data
        return given.object_id
