"""A wrong `[[inbox]]` is told by file, key and reason before the van drives off."""

import re
from pathlib import Path

import pytest

from edge import config, inbox_config
from edge.inbox_config import INBOXES_MAX, Inbox
from wire.errors import ConfigError

INBOX = '[[inbox]]\nname = "stick"\npath = "/media/usb"\n'
PAGE = (Path(__file__).parent.parent.parent / "docs/configuration.md").read_text()


def load(tmp_path, text):
    path = tmp_path / "kit.toml"
    path.write_text(text)
    return config.load(path)


def test_a_small_one_is_enough(tmp_path):
    (inbox,) = load(tmp_path, INBOX).inbox
    assert (inbox.form, inbox.priority, inbox.patient, inbox.after, inbox.settle_s) == (
        "document",
        5,
        "file",
        "leave",
        5,
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (INBOX + INBOX, r"inbox\[1\]\.name: 'stick' is used twice"),
        (INBOX + INBOX.replace('"stick"', '"b"'), r"inbox\[1\]\.path: '/media/usb' lies within that of 'stick'"),
        (INBOX + INBOX.replace('"stick"', '"b"').replace("/usb", ""), r"inbox\[1\]\.path: '/media' lies within"),
        (INBOX.replace("/media/usb", "media"), r"inbox\[0\]\.path: 'media': want a whole path"),
        (INBOX.replace("/media/usb", "/"), r"inbox\[0\]\.path: '/': want a whole path"),
        (INBOX.replace('"stick"', '"a b"'), r"inbox\[0\]\.name"),
        (INBOX + 'form = "spectrum"\n', r"inbox\[0\]\.form: 'spectrum'; it may be laboratory"),
        (INBOX + 'kinds = ["pdf", "dcm"]\n', r"inbox\[0\]\.kinds: dcm; they may be dicom"),
        (INBOX + 'patient = "guess"\n', r"inbox\[0\]\.patient"),
        (INBOX + 'after = "remove"\n', r"inbox\[0\]\.after"),
        (INBOX + "settle_s = 0\n", r"inbox\[0\]\.settle_s"),
        (INBOX + "priority = 0\n", r"inbox\[0\]\.priority"),
        (INBOX + "setle_s = 5\n", r"setle_s"),
        (
            "".join(INBOX.replace("stick", f"s{n}").replace("usb", f"usb{n}") for n in range(INBOXES_MAX + 1)),
            f"{INBOXES_MAX + 1} inboxes; at most {INBOXES_MAX}",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        load(tmp_path, text)
    assert "kit.toml" in str(caught.value)


def test_the_example_of_the_documentation_is_lawful_and_every_key_is_documented(tmp_path):
    (example,) = [text for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "[[inbox]]" in text]
    assert len(load(tmp_path, example).inbox) == 2
    for key in Inbox.__struct_fields__:
        assert f"`{key}`" in PAGE, f"{key} is not in docs/configuration.md"
        assert f"{key} = " in inbox_config.__doc__, f"{key} is not in edge/inbox_config.py's head"
