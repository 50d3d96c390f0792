"""The examples of docs/protocol.md, byte for byte."""

import re
from pathlib import Path

import pytest

from node.modems.turns import OVER
from wire import objects, records, tag
from wire.framing import Deframer, enclose
from wire.objects import Custody, Have, Offer, Receipt, Refusal, decode_message, encode_message
from wire.ranges import RangeSet
from wire.records import Ack, Control, Floor, Ping, Segment

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
LINES, MESSAGES_PAGE = PAGE.split("## Frames on a line of bytes")[1].split("## Records")
HEX = re.compile(r"^\| `([0-9a-f ]+)` \|", re.MULTILINE)
EXAMPLES = [bytes.fromhex(found) for found in HEX.findall(MESSAGES_PAGE)]
ON_A_LINE = [bytes.fromhex(found) for found in HEX.findall(LINES)]
FRAMES = [[b"\3\5\7"], [b"\3\0\0\7\x08"], [], [], [], [b"\4\1"], [OVER]]
RECORDS = [
    [Ping()],
    [Ack(RangeSet([(0, 4), (5, 9)]), 0.02)],
    [Ack(RangeSet([(0, 9)]), 0.02, 2.0)],
    [Floor(300)],
    [Control(12, b"hi")],
    [Segment(3, 70000, b"abc"), Segment(4, 0, b"xy")],
]
MESSAGES = [
    Offer(bytes(range(16)), objects.FILE, 300000, bytes(range(0x80, 0x90)), 5),
    Have(RangeSet([(0, 1000), (4000, 4096)])),
    Custody(1),
    Receipt(b"ok"),
    Refusal(objects.DISK_FULL, "full"),
]


def test_the_page_has_as_many_examples_as_are_checked():
    assert len(EXAMPLES) == len(RECORDS) + len(MESSAGES)


@pytest.mark.parametrize(("number", "expected"), list(enumerate(RECORDS)))
def test_records_stand_as_the_page_shows_them(number, expected):
    assert records.encode(expected) == EXAMPLES[number]
    assert records.decode(EXAMPLES[number]) == expected


@pytest.mark.parametrize(("number", "expected"), list(enumerate(MESSAGES)))
def test_messages_stand_as_the_page_shows_them(number, expected):
    raw = EXAMPLES[len(RECORDS) + number]
    assert tag.encode(encode_message(3, expected)) == raw
    assert decode_message(tag.decode(raw)) == (3, expected)


@pytest.mark.parametrize(("raw", "frames"), list(zip(ON_A_LINE, FRAMES, strict=True)))
def test_frames_stand_on_a_line_as_the_page_shows_them(raw, frames):
    assert Deframer().feed(raw) == frames
    assert all(raw.endswith(enclose(frame)) for frame in frames)
