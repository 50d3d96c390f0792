"""Kits, gateways, the centre's keys and the enrolment files."""

import tomllib

import pytest

from node.enrolment import GATEWAYS_MAX, URLS_MAX, load_gateway, load_kit
from node.entropy import seeded
from node.secret import write_secret
from provisioning import enrolment
from server import keys, peers
from server.peers import Gateway, Kit
from server.roster import signed_roster
from wire.errors import ConfigError, DiskError, UsageError
from wire.roster import verify_roster
from wire.seal import ed25519_public, key_id, x25519_public

LISTEN, SERVER = ["udp://0.0.0.0:7700"], ["tcp://centre.example.org:7701"]


@pytest.fixture
def north(centre, tmp_path):
    return enrolment.add_gateway(
        centre, "north", tmp_path / "north.toml", LISTEN, SERVER, ["udp://gw.example.org:7700"]
    )


def test_a_kit_is_enrolled_by_one_file(centre, tmp_path, north):
    path = tmp_path / "van-1.toml"
    kit = enrolment.add_kit(centre, "van-1", path)
    assert path.stat().st_mode & 0o777 == 0o600
    read = load_kit(path)
    assert x25519_public(read.link_secret) == kit.link_public
    assert ed25519_public(read.sign_secret) == kit.sign_public
    assert (read.name, read.psk) == ("van-1", kit.psk)
    assert (read.server_seal_public, read.server_sign_public) == (centre.keys.seal_public, centre.keys.sign_public)
    (contact,) = read.gateways
    assert (contact.name, contact.public, contact.urls) == ("north", north.link_public, ("udp://gw.example.org:7700",))
    assert centre.peers.kit_by_signer(key_id(kit.sign_public)) == kit


def test_a_gateway_is_enrolled_by_one_file(centre, tmp_path, north):
    read = load_gateway(tmp_path / "north.toml")
    assert x25519_public(read.link_secret) == north.link_public
    assert (read.listen, read.server.urls) == (tuple(LISTEN), tuple(SERVER))
    assert (read.server.public, read.psk) == (centre.keys.link_public, north.psk)
    assert isinstance(centre.peers.by_link_key(north.link_public), Gateway)


def test_the_centre_keeps_no_secret_of_a_kit(centre, tmp_path):
    enrolment.add_kit(centre, "van-1", tmp_path / "van-1.toml")
    read = load_kit(tmp_path / "van-1.toml")
    for path in (tmp_path / "centre.db", tmp_path / "centre.db-wal"):
        kept = path.read_bytes()
        assert read.link_secret not in kept
        assert read.sign_secret not in kept


def test_revocation_counts_at_once_and_the_roster_says_so(centre, tmp_path, north):
    kit = enrolment.add_kit(centre, "van-1", tmp_path / "van-1.toml")
    assert isinstance(centre.peers.by_link_key(kit.link_public), Kit)
    before = centre.peers.version()
    centre.peers.revoke_kit("van-1")
    assert centre.peers.by_link_key(kit.link_public) is None
    assert centre.peers.version() == before + 1
    centre.peers.revoke_kit("van-1")
    assert centre.peers.version() == before + 1, "revoking again changes nothing"
    centre.peers.revoke_gateway("north")
    assert centre.peers.by_link_key(north.link_public) is None
    assert verify_roster(signed_roster(centre), centre.keys.sign_public).version == before + 2


def test_a_revoked_name_stays_taken_and_its_kit_is_still_known(centre, tmp_path):
    kit = enrolment.add_kit(centre, "van-1", tmp_path / "van-1.toml")
    centre.peers.revoke_kit("van-1")
    with pytest.raises(UsageError, match="taken"):
        enrolment.add_kit(centre, "van-1", tmp_path / "again.toml")
    assert not (tmp_path / "again.toml").exists(), "no file for a kit that was not entered"
    assert centre.peers.kit_by_signer(key_id(kit.sign_public)).revoked


def test_a_revoked_gateway_is_not_in_a_new_kits_file(centre, tmp_path, north):
    centre.peers.revoke_gateway("north")
    enrolment.add_kit(centre, "van-1", tmp_path / "van-1.toml")
    assert load_kit(tmp_path / "van-1.toml").gateways == ()
    with pytest.raises(UsageError, match="north"):
        enrolment.add_kit(centre, "van-2", tmp_path / "van-2.toml", ["north"])


def test_an_enrolment_file_is_never_written_over(centre, tmp_path):
    (tmp_path / "van-1.toml").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        enrolment.add_kit(centre, "van-1", tmp_path / "van-1.toml")
    assert (tmp_path / "van-1.toml").read_text() == "mine"
    assert centre.peers.kits() == []


def test_the_file_of_a_gateway_that_cannot_be_entered_is_removed_again(centre, tmp_path):
    enrolment.add_gateway(centre, "north", tmp_path / "north.toml", LISTEN, SERVER)
    with pytest.raises(UsageError, match="north"):
        enrolment.add_gateway(centre, "north", tmp_path / "again.toml", LISTEN, SERVER)
    assert not (tmp_path / "again.toml").exists()
    assert load_gateway(tmp_path / "north.toml").name == "north"


def test_a_folder_that_is_not_there(centre, tmp_path):
    with pytest.raises(DiskError, match="cannot be written"):
        enrolment.add_kit(centre, "van-1", tmp_path / "nowhere" / "van-1.toml")
    assert centre.peers.kits() == []


@pytest.mark.parametrize("name", ["", " ", "a/b", "../x", "x" * 65, "-x", "é", 'a"b', "a\nb"])
def test_a_name_that_cannot_be(centre, tmp_path, name):
    with pytest.raises(UsageError, match="not a name"):
        enrolment.add_kit(centre, name, tmp_path / "f.toml")
    with pytest.raises(UsageError, match="not a name"):
        enrolment.add_gateway(centre, name, tmp_path / "f.toml", LISTEN, SERVER)


@pytest.mark.parametrize("url", ["http://x:1", "udp://a b:1", "udp://x\n:1", "udp://é:1", ""])
def test_an_address_that_cannot_be(centre, tmp_path, url):
    with pytest.raises(ConfigError, match="--listen"):
        enrolment.add_gateway(centre, "north", tmp_path / "f.toml", [url], SERVER)
    assert not (tmp_path / "f.toml").exists()


def test_addresses_at_the_limit_and_one_over(centre, tmp_path):
    urls = [f"udp://gw{n}.example.org:1" for n in range(URLS_MAX + 1)]
    enrolment.add_gateway(centre, "at", tmp_path / "at.toml", urls[:-1], SERVER)
    assert len(load_gateway(tmp_path / "at.toml").listen) == URLS_MAX
    with pytest.raises(ConfigError, match="URLs"):
        enrolment.add_gateway(centre, "over", tmp_path / "over.toml", urls, SERVER)


def test_more_kits_than_fit(centre, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "KITS_MAX", 1)
    enrolment.add_kit(centre, "van-1", tmp_path / "1.toml")
    with pytest.raises(UsageError, match="no more fit"):
        enrolment.add_kit(centre, "van-2", tmp_path / "2.toml")


def edited(centre, tmp_path, edit):
    enrolment.add_kit(centre, "van-1", tmp_path / "whole.toml")
    path = tmp_path / "edited.toml"
    write_secret(path, edit((tmp_path / "whole.toml").read_text()))
    return path


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda text: text.replace("psk", "psc"), "psc"),
        (lambda text: text.replace('psk = "', 'psk = "zz'), "psk: a key is 64 hex digits"),
        (lambda text: text.replace("version = 1", "version = 2"), "version"),
        (lambda text: text[: len(text) // 2], "not TOML"),
        (lambda text: text.replace("version = 1", 'version = "1"'), "version"),
        (lambda text: "\n".join(text.splitlines()[:4]) + "\n", "missing"),
        (lambda text: text + '[[gateway]]\nname="x"\npublic="00"\nurls=["udp://a:1"]\n', r"gateway\[0\].public"),
        (lambda text: text + f'[[gateway]]\nname="x"\npublic="{"00" * 32}"\nurls=[]\n', r"gateway\[0\].urls"),
        (
            lambda text: (
                text + f'[[gateway]]\nname="x"\npublic="{"00" * 32}"\nurls=["udp://a:1"]\n' * (GATEWAYS_MAX + 1)
            ),
            "at most",
        ),
    ],
)
def test_a_file_with_a_mistake_names_file_and_key(centre, tmp_path, edit, told):
    path = edited(centre, tmp_path, edit)
    with pytest.raises(ConfigError, match=told) as caught:
        load_kit(path)
    assert str(path) in str(caught.value)


def test_a_secret_that_others_can_read_is_refused(centre, tmp_path):
    enrolment.add_kit(centre, "van-1", tmp_path / "van-1.toml")
    (tmp_path / "van-1.toml").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_kit(tmp_path / "van-1.toml")
    with pytest.raises(ConfigError, match="there is no such file"):
        load_kit(tmp_path / "missing.toml")


def test_the_centres_keys_are_made_once(tmp_path):
    made = keys.load_or_make(tmp_path, seeded(b"1"))
    assert keys.load_or_make(tmp_path, seeded(b"2")) == made
    assert (tmp_path / keys.FILE).stat().st_mode & 0o777 == 0o600
    assert made.seal_secret.hex() not in repr(made)
    assert set(tomllib.loads((tmp_path / keys.FILE).read_text())) == {"link_secret", "seal_secret", "sign_secret"}


def test_a_half_written_key_file_of_a_crash_is_not_taken_for_keys(tmp_path):
    (tmp_path / f".{keys.FILE}.new").write_text("link_secr")
    made = keys.load_or_make(tmp_path, seeded(b"1"))
    assert keys.load_or_make(tmp_path, seeded(b"2")) == made


def test_keys_that_others_can_read_are_refused(tmp_path):
    keys.load_or_make(tmp_path, seeded(b"1"))
    (tmp_path / keys.FILE).chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        keys.load_or_make(tmp_path, seeded(b"2"))


def test_no_secret_is_shown_by_printing(centre, tmp_path, north):
    kit = enrolment.add_kit(centre, "van-1", tmp_path / "van-1.toml")
    read = load_kit(tmp_path / "van-1.toml")
    for shown in (kit, north, read, load_gateway(tmp_path / "north.toml"), centre):
        for secret in (kit.psk, read.link_secret, read.sign_secret, centre.keys.seal_secret, north.psk):
            assert repr(secret) not in repr(shown)
            assert secret.hex() not in repr(shown)
