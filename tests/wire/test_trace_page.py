"""The hex example of the trace page is what is written, and is read as the page says."""

from tests.wire.test_format_examples import FORMATS, examples
from wire import records, trace
from wire.checks import TRACE
from wire.ranges import RangeSet
from wire.records import Ack, Floor, Ping, Segment
from wire.stream import StreamReader, StreamWriter, Verdict
from wire.trace import SENT, EventSeen, FrameSeen

BEGAN_MS = 1_700_000_000_000
PAYLOAD = records.encode([Ack(RangeSet([(0, 4), (5, 9)]), 0.02), Segment(3, 70_000, bytes(1300))])
ENTRIES = [
    FrameSeen(BEGAN_MS + 123, SENT, "udp://h:7", 3, 0x2F, 70_001, 1428, trace.shapes(PAYLOAD)),
    EventSeen(BEGAN_MS + 500, "silence", "nothing heard for 5 s"),
]


def test_the_trace_of_the_page_is_read():
    (raw,) = examples("trace.md")
    reader = StreamReader()
    found = reader.feed(raw) + reader.finish()
    assert {one.verdict for one in found} == {Verdict.SOUND}
    assert [entry for one in found if (entry := trace.decode(one.tag)) is not None] == ENTRIES


def test_the_trace_of_the_page_is_what_is_written():
    writer = StreamWriter(bytes(range(16)), TRACE, BEGAN_MS)
    raw = writer.start() + b"".join(writer.put(trace.encode(entry)) for entry in ENTRIES) + writer.check()
    assert [raw] == examples("trace.md")


def test_the_page_has_the_records_as_they_are():
    page = (FORMATS / "trace.md").read_text()
    for record in (Ping(), Floor(4), Ack(RangeSet([(0, 1)])), Segment(0, 0, b"1"), records.Control(0, b"1")):
        (shape,) = trace.shapes(records.encode([record]))
        assert f"\n[{shape[0]}{', ' if len(shape) > 1 else ']'}" in page
