"""What a trace amounts to: losses both ways, round trips, overhead; bounded whatever the trace holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import trace_summary
from wire.records import Number
from wire.session import FrameKind
from wire.trace import RECEIVED, SENT, EventSeen, FrameSeen
from wire.trace_summary import BEARERS_MAX, OPEN_MAX, OTHERS, Summary

HELLO, WELCOME, DATA, EARLY, SHORT = (
    FrameKind.HELLO,
    FrameKind.WELCOME,
    FrameKind.DATA,
    FrameKind.EARLY,
    FrameKind.SHORT,
)
OURS, THEIRS = 0xA, 0xB
"""The numbers by which the two sides want to be addressed."""


def segment(size=1000):
    return (Number.SEGMENT, 0, 0, size)


def ack(*runs, delay_ms=0):
    return (Number.ACK, delay_ms, *(edge for run in runs for edge in run))


def frame(at_ms, direction, kind, index, counter, *records, size=1100, bearer="udp://h:7"):
    return FrameSeen(at_ms, direction, bearer, kind, index, counter, size, records)


def summed(*entries, bearer="udp://h:7"):
    summary = Summary()
    for entry in entries:
        summary.add(entry)
    return summary.to_dict()["bearers"][bearer]


CALL = (
    frame(0, SENT, HELLO, OURS, 0, segment(300), size=428),
    frame(1, SENT, EARLY, OURS, 1, segment()),
    frame(600, RECEIVED, WELCOME, OURS, 0, size=120),
)


def test_a_call_that_goes_well():
    ways = summed(
        *CALL,
        frame(700, SENT, DATA, THEIRS, 2, segment()),
        frame(1400, RECEIVED, DATA, OURS, 1, ack((0, 3), delay_ms=100), size=60),
        frame(1500, SENT, DATA, THEIRS, 3, ack((0, 2)), size=60),
    )
    sent, received = ways["sent"], ways["received"]
    assert (sent["frames"], sent["bytes"], sent["payload_bytes"]) == (4, 2688, 2300)
    assert sent["overhead_bytes"] == 388
    assert (sent["handshakes"], received["handshakes"]) == (1, 1)
    assert (sent["ack_only"], received["ack_only"]) == (1, 1)
    assert (sent["lost"], sent["open"], received["lost"]) == (0, 0, 0)
    assert sent["rtt_s"] == {"least": 0.6, "median": 0.6, "most": 0.6}
    assert received["rtt_s"] is None
    assert sent["kinds"] == {"HELLO": 1, "EARLY": 1, "DATA": 2}
    assert sent["seconds"] == 1.5


def test_frames_that_no_ack_named_are_lost_and_the_last_ones_are_open():
    ways = summed(
        *CALL,
        *(frame(700 + number, SENT, DATA, THEIRS, number, segment()) for number in range(2, 9)),
        frame(1400, RECEIVED, DATA, OURS, 1, ack((5, 7), (0, 3))),
    )
    assert (ways["sent"]["lost"], ways["sent"]["open"]) == (2, 2)


def test_a_trace_that_begins_in_the_middle_of_a_session_is_understood():
    ways = summed(
        frame(0, RECEIVED, DATA, OURS, 900, segment()),
        frame(10, SENT, DATA, THEIRS, 500, ack((0, 901)), segment()),
        frame(500, RECEIVED, DATA, OURS, 903, ack((400, 501))),
    )
    assert (ways["sent"]["lost"], ways["sent"]["open"], ways["received"]["lost"]) == (0, 0, 2)
    assert ways["sent"]["rtt_s"]["median"] == 0.49


def test_a_frame_that_is_only_late_is_not_lost():
    ways = summed(*(frame(at, RECEIVED, DATA, OURS, counter, segment()) for at, counter in enumerate((1, 4, 2, 3))))
    assert ways["received"]["lost"] == 0


def test_a_session_that_goes_on_over_another_bearer_keeps_its_counts_apart():
    summary = Summary()
    for entry in (
        *CALL,
        frame(700, SENT, DATA, THEIRS, 2, segment()),
        frame(9000, SENT, SHORT, THEIRS, 3, segment(), bearer="sbd"),
        frame(70_000, RECEIVED, SHORT, OURS, 1, ack((3, 4), (0, 2)), bearer="sbd"),
    ):
        summary.add(entry)
    told = summary.to_dict()["bearers"]
    assert told["udp://h:7"]["sent"]["lost"] == 1
    assert told["sbd"]["sent"]["lost"] == 0
    assert told["sbd"]["sent"]["rtt_s"]["median"] == 61.0


def test_frames_that_did_not_open_are_counted():
    assert summed(frame(0, RECEIVED, DATA, OURS, 0), frame(1, RECEIVED, 0, 0, 0))["received"]["unread"] == 2


def test_events_are_counted_by_kind():
    summary = Summary()
    for kind in ("session", "silence", "silence"):
        summary.add(EventSeen(0, kind, "text"))
    assert summary.to_dict() == {"bearers": {}, "events": {"session": 1, "silence": 2}}


def test_a_host_that_everybody_calls_is_summed_up_in_bounds():
    summary = Summary()
    for number in range(BEARERS_MAX + 10):
        summary.add(frame(0, RECEIVED, HELLO, number, 0, bearer=f"udp://{number}:1"))
    told = summary.to_dict()["bearers"]
    assert len(told) == BEARERS_MAX + 1
    assert told[OTHERS]["received"]["frames"] == 10


def test_a_trace_without_an_answer_is_summed_up_in_bounds():
    over = 5
    ways = summed(*CALL[1:], *(frame(n, SENT, DATA, THEIRS, n, segment()) for n in range(2, OPEN_MAX + 1 + over)))
    assert (ways["sent"]["lost"], ways["sent"]["open"]) == (over, OPEN_MAX)


def test_round_trips_are_kept_in_bounds(monkeypatch):
    monkeypatch.setattr(trace_summary, "RTTS_MAX", 3)
    entries = []
    for number in range(1, 10):
        entries.append(frame(number * 10, SENT, DATA, THEIRS, number, segment()))
        entries.append(frame(number * 11, RECEIVED, DATA, OURS, number, ack((number, number + 1))))
    assert summed(*entries)["sent"]["rtt_s"] == {"least": 0.007, "median": 0.008, "most": 0.009}


numbers = st.integers(0, 6) | st.integers(0, (1 << 64) - 1)
frames = st.builds(
    FrameSeen,
    numbers,
    st.sampled_from([SENT, RECEIVED]),
    st.sampled_from(["a", "b"]),
    numbers,
    numbers,
    numbers,
    numbers,
    st.lists(st.lists(numbers, min_size=1, max_size=7).map(tuple), max_size=4).map(tuple),
)


@pytest.mark.filterwarnings("error")
@given(st.lists(frames, max_size=40))
def test_any_trace_can_be_summed_up(entries):
    summary = Summary()
    for entry in entries:
        summary.add(entry)
    told = summary.to_dict()["bearers"].values()
    assert sum(way["frames"] for ways in told for way in ways.values()) == len(entries)
    assert all(way["lost"] >= 0 and way["open"] >= 0 for ways in told for way in ways.values())
