"""A wrong kit.toml is told by file, key and reason before anything is opened."""

import pytest

from edge import config
from wire.errors import ConfigError

PORT = '[[port]]\nname = "a"\npath = "/dev/x"\ndriver = "astm"\n'


def write(tmp_path, text):
    path = tmp_path / "kit.toml"
    path.write_text(text)
    return path


def test_a_small_file_is_enough(tmp_path):
    kit = config.load(write(tmp_path, PORT))
    assert kit.port[0].driver == "astm"
    assert kit.port[0].bind == "scan"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PORT.replace("astm", "asmt"), r"port\[0\] \(a\): driver 'asmt' is unknown; there are: astm"),
        (PORT + PORT, r"port\[1\]\.name: 'a' is used twice"),
        (PORT + PORT.replace('"a"', '"b"'), r"port\[1\]\.path: '/dev/x' is used twice"),
        (PORT.replace('"a"', '"a b"'), r"port\[0\]\.name"),
        (PORT + 'bind = "guess"\n', r"port\[0\]\.bind"),
        (PORT + "[port.options]\nencodign = 'cp1251'\n", r"option 'encodign' is unknown"),
        (PORT + "[limits]\nstudy_bytes_max = 1\n", r"limits\.study_bytes_max"),
        ("".join(PORT.replace('"a"', f'"a{n}"').replace("/x", f"/x{n}") for n in range(17)), "17 ports; at most 16"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        config.load(write(tmp_path, text))
    assert "kit.toml" in str(caught.value)
