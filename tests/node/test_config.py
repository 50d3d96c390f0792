"""A wrong configuration is told by file, key and reason."""

import msgspec
import pytest

from node.config import SIZE_MAX, load, parse
from wire.errors import ConfigError


class Port(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    speed_bps: int = 9600


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    ports: list[Port] = []


def test_a_good_file_is_read(tmp_path):
    path = tmp_path / "kit.toml"
    path.write_text('name = "van 3"\n[[ports]]\npath = "/dev/ttyUSB0"\n')
    assert load(path, Shape) == Shape("van 3", [Port("/dev/ttyUSB0")])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "van', r"kit.toml: not TOML: "),
        ("name = 3", r"kit.toml: name: Expected `str`, got `int`"),
        ('name = "v"\n[[ports]]\npath = "p"\nspeed_bps = "fast"', r"kit.toml: ports\[0\]\.speed_bps: Expected `int`"),
        ('name = "v"\nprots = []', r"kit.toml: top level: .*unknown field `prots`"),
        ("", r"kit.toml: top level: .*missing required field `name`"),
    ],
)
def test_a_wrong_file_is_told_by_file_key_and_reason(text, says):
    with pytest.raises(ConfigError, match=says):
        parse(text, Shape, "kit.toml")


def test_a_truncated_configuration_is_not_half_read(tmp_path):
    whole = b'name = "van 3"\n[[ports]]\npath = "/dev/ttyUSB0"\nspeed_bps = 19200\n'
    path = tmp_path / "kit.toml"
    path.write_bytes(whole[: whole.index(b"192")])
    with pytest.raises(ConfigError, match="not TOML"):
        load(path, Shape)


def test_missing_binary_and_huge_files(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml", Shape)
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="byte 0 is not UTF-8"):
        load(tmp_path / "b.toml", Shape)
    (tmp_path / "h.toml").write_bytes(b"#" * (SIZE_MAX + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load(tmp_path / "h.toml", Shape)
