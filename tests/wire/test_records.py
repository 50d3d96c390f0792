"""Records and varints: what is written is read back; what a stranger writes is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import records, varint
from wire.errors import Misuse, PeerError
from wire.ranges import RangeSet
from wire.records import ACK_RUNS_MAX, Ack, Control, Floor, Ping, Segment

ranges = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 500)), min_size=1, max_size=20).map(
    lambda runs: RangeSet((start, start + width) for start, width in runs)
)
kinds = st.one_of(
    st.just(Ping()),
    st.builds(Ack, ranges, st.integers(0, 1000).map(lambda units: units * records.DELAY_UNIT_S)),
    st.builds(Floor, st.integers(0, 1 << 48)),
    st.builds(Control, st.integers(0, 1 << 30), st.binary(max_size=50)),
    st.builds(Segment, st.integers(0, 1 << 29), st.integers(0, 1 << 39), st.binary(min_size=1, max_size=50)),
)


@given(st.lists(kinds, max_size=8))
def test_records_are_read_back(written):
    read = records.decode(records.encode(written))
    assert len(read) == len(written)
    for ours, theirs in zip(written, read, strict=True):
        if isinstance(ours, Ack):
            assert isinstance(theirs, Ack)
            assert theirs.frames == ours.frames
            assert abs(theirs.delay_s - ours.delay_s) <= records.DELAY_UNIT_S
        else:
            assert ours == theirs


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_a_peers_fault(payload):
    try:
        for record in records.decode(payload):
            assert not isinstance(record, Segment) or record.data
    except PeerError:
        pass


@given(st.integers(0, varint.VALUE_MAX))
def test_a_number_has_one_form(value):
    raw = varint.encode(value)
    assert len(raw) == varint.size(value)
    assert varint.decode(raw + b"more", 0) == (value, len(raw))


@pytest.mark.parametrize(
    "raw",
    ["", "40", "4001", "80000001", "c000000000000001", "80 00 3f ff"],
    ids=["missing", "cut", "1 in two bytes", "1 in four", "1 in eight", "16383 in four"],
)
def test_numbers_that_are_cut_or_too_long_are_refused(raw):
    with pytest.raises(PeerError):
        varint.decode(bytes.fromhex(raw), 0)


@pytest.mark.parametrize("value", [-1, 1 << 62])
def test_numbers_that_do_not_fit_are_our_own_defect(value):
    with pytest.raises(Misuse):
        varint.encode(value)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("08", id="unknown kind"),
        pytest.param("06 00 00 05 61", id="segment longer than the frame"),
        pytest.param("07 00 00", id="segment of nothing"),
        pytest.param("02 00 05 00 06", id="ack below zero"),
        pytest.param("02 00 05 20", id="too many runs"),
        pytest.param("04 00 09 61", id="commands longer than the frame"),
        pytest.param("02 00", id="ack cut short"),
    ],
)
def test_unlawful_records_are_refused(payload):
    with pytest.raises(PeerError):
        records.decode(bytes.fromhex(payload))


def test_an_ack_tells_the_newest_runs_when_there_are_too_many():
    frames = RangeSet((10 * n, 10 * n + 1) for n in range(ACK_RUNS_MAX + 5))
    (ack,) = records.decode(records.encode([Ack(frames)]))
    assert isinstance(ack, Ack)
    assert list(ack.frames) == list(frames)[5:]


def test_the_ack_of_a_clean_line_takes_five_bytes():
    assert len(records.encode([Ack(RangeSet([(0, 50)]))])) <= 6


def test_a_segment_costs_at_most_what_is_reckoned_for_it():
    segment = Segment((1 << 30) - 1, (1 << 40) - 2000, bytes(1400))
    assert records.encoded_size(segment) <= records.SEGMENT_OVERHEAD_MAX + 1400


def test_an_ack_of_nothing_is_our_own_defect():
    with pytest.raises(Misuse):
        records.encode([Ack(RangeSet())])
