"""What `link`'s help offers as an address must be one that it takes."""

import re

import pytest

from feldsher import link
from node.roads import calling, listening
from wire.errors import UsageError


def schemes_of(text: str) -> list[str]:
    return [scheme for scheme in re.findall(r"(\w+)://", text) if scheme != "dir"]


def test_help_names_no_address_that_is_then_refused():
    for scheme in schemes_of(link.LISTEN_HELP):
        listening(scheme)
    for scheme in schemes_of(link.TO_HELP):
        calling(scheme)
    assert "sbd" not in schemes_of(link.TO_HELP)  # files do not go by satellite messages


def test_nothing_listens_behind_a_modem_with_sockets():
    with pytest.raises(UsageError, match="cannot be listened on"):
        listening("modem")
