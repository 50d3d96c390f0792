"""What every test needs: neither the log of one test's daemon nor its open database reaches into the next test.

Property tests try the same cases each time, so that a commit is judged by what it changed. `make seek` has them look
for new ones; what it finds becomes a test of its own.
"""

import logging
import os
import sys
from unittest import mock

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("seek", deadline=None)
settings.load_profile("seek" if os.environ.get("FELDSHER_SEEK") else "same")


@pytest.fixture(autouse=True)
def _own_log():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _databases_are_closed():
    """A connection that is only forgotten warns, from Python 3.13 on, in whatever test runs when it is collected."""
    module = sys.modules.get("server.database")
    if module is None:
        yield
        return
    opened, real = [], module.Database.__init__

    def opening(self, *args, **options):
        real(self, *args, **options)
        opened.append(self)

    with mock.patch.object(module.Database, "__init__", opening):
        yield
    for database in opened:
        database.close()
