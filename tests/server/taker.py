"""A process that takes in the same 200 studies over and over, and says what it acknowledged: made to be killed."""

from node.disk import RealDisk
from node.entropy import seeded
from server import keys
from server.centre import Centre
from server.database import Database
from tests.server import samples
from tests.server.conftest import QUICK, TestClock
from wire import objects

STUDIES = 200


def open_centre(folder, disk=None, clock=None):
    made = keys.make(seeded(b"centre"))
    database = Database(f"sqlite:///{folder}/centre.db")
    return Centre.build(disk or RealDisk(folder), database, made, clock or TestClock(), seeded(b"run"), QUICK)


def take_all(folder, told):
    """Take in the studies; send (object id, receipt) of each through `told` once it is acknowledged."""
    with open_centre(folder) as centre:
        kit = samples.Kit("van-1", centre.keys.seal_public, "van-1")
        for number in range(STUDIES):
            object_id, raw = samples.laboratory(kit, str(number))
            answer = centre.ingest.accept(samples.offer(object_id, objects.STUDY, raw), raw)
            told.send((object_id, answer.data))
