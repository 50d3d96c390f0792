"""The key files of `feldsher link`: both ends fit together, and a wrong file is named by key and reason."""

import stat

import pytest

from node.entropy import seeded
from node.linkkeys import ADDRESSES, SEND, SERVE, load_addresses, load_send, load_serve, make_keys, remember
from wire.errors import ConfigError, UsageError

HEX = "ab" * 32
SECRET, PSK = f'secret = "{HEX}"\n', f'psk = "{HEX}"\n'


@pytest.fixture
def folder(tmp_path):
    make_keys(tmp_path / "keys", seeded(b"keys"))
    return tmp_path / "keys"


def test_both_ends_know_each_other_and_nobody_else(folder):
    send, serve = load_send(folder), load_serve(folder)
    assert send.far_public == serve.identity.public
    assert serve.callers == {send.identity.public: ("send", send.psk)}
    assert send.identity.secret != serve.identity.secret


@pytest.mark.parametrize("name", [SEND, SERVE])
def test_only_the_owner_can_read_the_keys(folder, name):
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", [SEND, SERVE])
def test_keys_are_never_written_over_and_no_half_of_a_pair_is_made(folder, name):
    (folder / (SERVE if name == SEND else SEND)).unlink()
    before = (folder / name).read_text()
    with pytest.raises(UsageError, match=f"{name} is there already"):
        make_keys(folder, seeded(b"other"))
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write keys into .*file/keys"):
        make_keys(tmp_path / "file" / "keys", seeded(b"keys"))


def test_a_missing_file_says_how_it_is_made(tmp_path):
    with pytest.raises(ConfigError, match=r"send\.toml: there is no such key file; `feldsher link keys"):
        load_send(tmp_path)


@pytest.mark.parametrize(
    ("load", "name", "text", "says"),
    [
        (load_send, SEND, "secret = ", "send.toml: "),
        (load_send, SEND, SECRET + PSK + f'far_public = "{HEX[1:]}"', "send.toml: far_public: .*64 hex"),
        (load_send, SEND, SECRET + f'far_public = "{HEX}"', "send.toml: psk: .*64 hex"),
        (load_send, SEND, PSK + f'far_public = "{HEX}"\nsecret = 7', "send.toml: secret: .*64 hex"),
        (load_serve, SERVE, SECRET + "caller = 7", r"serve.toml: caller: want a list of tables, \[\[caller\]\]"),
        (load_serve, SERVE, SECRET + f'[[caller]]\npublic = "{HEX}"', "serve.toml: caller 1: psk: .*64 hex"),
        (load_serve, SERVE, 'secret = "zz"', "serve.toml: secret: .*64 hex"),
    ],
)
def test_what_is_wrong_is_named_and_no_key_is_shown(tmp_path, load, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        load(tmp_path)
    assert HEX[2:] not in str(caught.value)


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / SEND).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=SEND):
        load_send(tmp_path)


def test_an_address_with_a_pin_is_for_its_owner_only(tmp_path):
    remember(tmp_path, ["modem:///dev/ttyUSB2?pin=1234&to=udp://gw:7700"])
    assert (tmp_path / ADDRESSES).stat().st_mode & 0o077 == 0
    assert load_addresses(tmp_path) == ["modem:///dev/ttyUSB2?pin=1234&to=udp://gw:7700"]
