"""The bearer of a modem's sockets: what it has taken, what it gives on, and what becomes of a stream with a hole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.modems import sockets
from node.modems.faults import CallFailed
from node.modems.sockets import TCP_MTU, UDP_MTU, SocketBearer
from wire.session import FRAME_SIZE_MAX


def bearer(*, is_stream):
    pokes = []
    one = SocketBearer("modem", is_stream=is_stream, poke=lambda: pokes.append(1))
    one.pokes = pokes
    return one


FRAMES = st.lists(st.binary(min_size=1, max_size=TCP_MTU), max_size=3)


@given(FRAMES, st.lists(st.integers(0, 1460), max_size=30))
def test_a_stream_comes_out_as_it_went_in_however_little_the_modem_takes(frames, appetites):
    sender, receiver = bearer(is_stream=True), bearer(is_stream=True)
    for frame in frames:
        sender.send(frame)
    got = []
    for appetite in [*appetites, *[1460] * 10]:
        data = sender.next(1460)[:appetite]
        sender.taken(len(data))
        got += receiver.frames(data)
    assert got == frames
    assert sender.unsent == 0
    assert sender.next(1460) == b""


def test_a_datagram_goes_alone_and_what_the_modem_leaves_of_it_is_lost():
    one = bearer(is_stream=False)
    for frame in (b"first", b"second"):
        one.send(frame)
    assert one.next(1460) == b"first"
    one.taken(2)
    assert (one.next(1460), one.unsent) == (b"second", 6)
    assert one.frames(b"any datagram") == [b"any datagram"]


@pytest.mark.parametrize("is_stream", [True, False])
def test_there_is_room_while_nothing_waits(is_stream):
    one = bearer(is_stream=is_stream)
    assert one.room() == FRAME_SIZE_MAX
    one.send(b"x")
    assert (one.room(), one.pokes) == (0, [1])
    one.taken(one.unsent)
    assert one.room() == FRAME_SIZE_MAX
    one.close()
    assert one.room() == 0
    one.send(b"x")
    assert one.unsent == 0


@pytest.mark.parametrize(("is_stream", "mtu"), [(True, TCP_MTU), (False, UDP_MTU)])
def test_the_queue_is_bounded_in_frames_and_bytes(is_stream, mtu):
    one = bearer(is_stream=is_stream)
    for _ in range(sockets.QUEUE_COUNT_MAX + 5):
        one.send(b"x")
    assert one.frames_dropped == 5
    one = bearer(is_stream=is_stream)
    for _ in range(20):
        one.send(bytes(mtu))
    assert one.unsent <= sockets.QUEUE_SIZE_MAX
    assert one.frames_dropped >= 15
    before = one.frames_dropped
    one.send(bytes(mtu + 1))
    one.send(b"")
    assert one.frames_dropped == before + 2


@pytest.mark.parametrize("head", [b"\x00\x00", b"\xff\xff"])
def test_a_stream_that_makes_no_sense_is_given_up(head):
    with pytest.raises(CallFailed, match="no sense"):
        bearer(is_stream=True).frames(head)


@given(st.lists(st.binary(max_size=50)))
def test_no_stream_raises_anything_else_or_grows(pieces):
    one = bearer(is_stream=True)
    try:
        for piece in pieces:
            one.frames(piece)
    except CallFailed:
        return
    assert len(one._heard) <= FRAME_SIZE_MAX + 52
