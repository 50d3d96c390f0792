"""A centre in a folder of its own, on a clock that the test turns, with a hasher that takes no time."""

import shutil

import httpx
import pytest
from argon2 import PasswordHasher

from node.disk import RealDisk
from node.entropy import seeded
from server import keys
from server.app import build_app
from server.centre import Centre
from server.database import Database
from tests.server.samples import OPENED_MS, Kit, offer
from wire import objects

PASSWORD = "a good long password"  # noqa: S105 - of a user in tests


class TestClock:
    """Both clocks, turned by hand."""

    __test__ = False

    def __init__(self):
        self.seconds, self.ms = 1000.0, OPENED_MS + 3_600_000

    def now(self):
        return self.seconds

    def time_ms(self):
        return self.ms

    def pass_s(self, seconds):
        self.seconds += seconds
        self.ms += round(seconds * 1000)


QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A database with its schema and nothing in it, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "centre.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def centre(tmp_path, clock, empty_database):
    shutil.copy(empty_database, tmp_path / "centre.db")
    entropy = seeded(b"centre")
    disk = RealDisk(tmp_path)
    database = Database(f"sqlite:///{tmp_path}/centre.db")
    with Centre.build(disk, database, keys.make(entropy), clock, entropy, QUICK) as built:
        yield built


@pytest.fixture
def van(centre):
    kit = Kit("van-1", centre.keys.seal_public, "van-1")
    kit.enrol(centre)
    return kit


@pytest.fixture
def take(centre):
    """Take in a (id, bytes) pair and return the answer."""

    def run(pair, kind=objects.STUDY, priority=5, sender="ground-north"):
        return centre.ingest.accept(offer(pair[0], kind, pair[1], priority), pair[1], sender)

    return run


class Browser:
    """Speaks to the application as a browser does: keeps cookies, follows forms."""

    def __init__(self, centre, address="192.0.2.1"):
        transport = httpx.ASGITransport(build_app(centre), raise_app_exceptions=False, client=(address, 5000))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://centre.test")

    def call(self, method, path, **more):
        import asyncio

        return asyncio.run(self.client.request(method, path, **more))

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, **more):
        return self.call("POST", path, **more)

    def field(self, page, name):
        return page.text.split(f'name="{name}" value="')[1].split('"')[0]

    def log_in(self, name, password=PASSWORD, **more):
        page = self.get("/login", **more)
        form = {"token": self.field(page, "token"), "next": self.field(page, "next")}
        return self.post("/login", data={**form, "name": name, "password": password})


@pytest.fixture
def stranger(centre):
    return Browser(centre)


@pytest.fixture
def doctor(centre):
    centre.people.add("olena", PASSWORD, "doctor", "Europe/Kyiv")
    browser = Browser(centre)
    assert browser.log_in("olena").status_code == 303
    return browser


@pytest.fixture
def admin(centre):
    centre.people.add("office", PASSWORD, "admin")
    browser = Browser(centre)
    assert browser.log_in("office").status_code == 303
    return browser
