"""What every test needs: the log of one test's daemon does not reach into the next test."""

import logging

import pytest


@pytest.fixture(autouse=True)
def _own_log():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
