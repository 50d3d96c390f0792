"""Frames: sealed, counted, replayed, forged, out of order, and the truncated counter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import AuthError, Misuse
from wire.noise import KeyPair
from wire.session import (
    COUNTER_MAX,
    DATA_OVERHEAD,
    FRAME_SIZE_MAX,
    HELLO_OVERHEAD,
    SHORT_OVERHEAD,
    SHORT_SPAN,
    WELCOME_OVERHEAD,
    WINDOW,
    Call,
    FrameKind,
    HintCode,
    ReplayWindow,
    Session,
    make_hint,
    peek,
    read_hello,
    read_hint,
)

KIT, GATEWAY = KeyPair.from_secret(b"k" * 32), KeyPair.from_secret(b"g" * 32)
PSK = b"p" * 32


def pair() -> tuple[Session, Session]:
    call = Call(KIT, GATEWAY.public, PSK, 0x1234, b"e" * 32, b"early")
    answering = read_hello(GATEWAY, call.hello, {KIT.public: PSK}.get)
    host, welcome = answering.welcome(0xABCD, b"f" * 32, b"hello")
    caller, payload = call.complete(welcome)
    assert (answering.peer, answering.payload, payload) == (KIT.public, b"early", b"hello")
    return caller, host


def test_handshake_takes_144_bytes_and_a_few_for_the_indices():
    call = Call(KIT, GATEWAY.public, PSK, 1, b"e" * 32, b"")
    _, welcome = read_hello(GATEWAY, call.hello, lambda _: PSK).welcome(2, b"f" * 32, b"")
    assert (len(call.hello), len(welcome)) == (HELLO_OVERHEAD, WELCOME_OVERHEAD)
    assert len(call.hello) + len(welcome) == 144 + 3 + 3 + 2


def test_a_data_frame_costs_21_bytes_and_is_found_by_its_index():
    caller, host = pair()
    counter, frame = caller.seal(b"abc")
    assert (counter, len(frame)) == (1, DATA_OVERHEAD + 3)
    assert DATA_OVERHEAD == 21
    assert peek(frame) == (FrameKind.DATA, host.index)
    assert host.open(frame) == (1, b"abc")


def test_both_directions_have_keys_of_their_own():
    caller, host = pair()
    _, frame = caller.seal(b"abc")
    with pytest.raises(AuthError):
        caller.open(frame)
    _, back = host.seal(b"abc")
    assert frame[5:] != back[5:]
    assert caller.open(back) == (1, b"abc")


@given(st.permutations(range(40)), st.sets(st.integers(0, 39)))
def test_frames_may_come_in_any_order_some_twice_some_never(order, lost):
    caller, host = pair()
    frames = [caller.seal(bytes((n,))) for n in range(40)]
    for n in order:
        if n in lost:
            continue
        counter, frame = frames[n]
        assert host.open(frame) == (counter, bytes((n,)))
        assert host.open(frame) is None, "a repeated frame counted twice"


def test_a_replayed_frame_is_nothing_new_even_much_later():
    caller, host = pair()
    _, first = caller.seal(b"first")
    assert host.open(first) == (1, b"first")
    for _ in range(3 * WINDOW):
        host.open(caller.seal(b"x")[1])
    assert host.open(first) is None


def test_a_frame_older_than_the_window_is_dropped_and_one_within_it_is_taken():
    caller, host = pair()
    old, within = caller.seal(b"old"), caller.seal(b"within")
    for _ in range(WINDOW - 1):
        newest = caller.seal(b"x")
    host.open(newest[1])
    assert host.open(within[1]) == (2, b"within")
    assert host.open(old[1]) is None


@given(st.lists(st.integers(1, 30000), min_size=1, max_size=30))
def test_the_truncated_counter_is_completed_across_long_losses(jumps):
    caller, host = pair()
    for jump in jumps:
        caller.next_counter += jump
        counter, frame = caller.seal(b"x")
        assert host.open(frame) == (counter, b"x")


@given(st.integers(0, 1 << 40), st.integers(-0x7FFF, 0x7FFF))
def test_expand_finds_the_nearest_counter(highest, off):
    window = ReplayWindow()
    window.highest = highest
    counter = highest + off
    if counter >= 0:
        assert window.expand(counter & 0xFFFF) == counter


@given(st.integers(0, 200), st.integers(0, 7))
def test_a_flipped_bit_is_seen(at, bit):
    caller, host = pair()
    _, frame = caller.seal(bytes(100))
    at %= len(frame)
    forged = frame[:at] + bytes((frame[at] ^ 1 << bit,)) + frame[at + 1 :]
    try:
        opened = host.open(forged)
    except AuthError:
        opened = None
    assert opened is None
    assert host.open(frame) is not None, "a forged frame spoiled the true one"


def test_a_session_ends_before_its_counters_do():
    caller, _ = pair()
    caller.next_counter = COUNTER_MAX - 1
    caller.seal(b"last")
    assert caller.is_spent
    with pytest.raises(Misuse, match="spent"):
        caller.seal(b"one too many")


@pytest.mark.parametrize("frame", [b"", b"\x03ab", bytes(30), b"\x09" + bytes(30), bytes(FRAME_SIZE_MAX + 1)])
def test_what_is_no_frame_is_no_fault_of_a_peer(frame):
    with pytest.raises(AuthError):
        peek(frame)


def test_a_short_data_frame_is_no_fault_of_a_peer():
    _, host = pair()
    with pytest.raises(AuthError, match="at least 21"):
        host.open(b"\x03" + bytes(19))


def test_a_hello_to_another_index_does_not_open():
    call = Call(KIT, GATEWAY.public, PSK, 1, b"e" * 32, b"")
    with pytest.raises(AuthError):
        read_hello(GATEWAY, call.hello[:1] + b"\x00\x02" + call.hello[3:], lambda _: PSK)


def test_hints_name_the_frame_that_they_are_about():
    call = Call(KIT, GATEWAY.public, PSK, 7, b"e" * 32, b"")
    hint = make_hint(7, HintCode.NOT_LET_IN, call.hello)
    assert peek(hint) == (FrameKind.HINT, 7)
    code, echo = read_hint(hint)
    assert code is HintCode.NOT_LET_IN
    assert call.is_echo(echo)
    assert not call.is_echo(b"12345678")


@pytest.mark.parametrize("hint", [b"\x04\0\0\x01", b"\x04\0\0\x07" + bytes(8)])
def test_a_senseless_hint_is_no_fault_of_a_peer(hint):
    with pytest.raises(AuthError):
        read_hint(hint)


def test_a_short_frame_costs_19_bytes_and_opens_like_any_other():
    caller, host = pair()
    counter, frame = caller.seal(b"abc", is_short=True)
    assert (counter, len(frame)) == (1, SHORT_OVERHEAD + 3)
    assert SHORT_OVERHEAD == 19
    assert peek(frame) == (FrameKind.SHORT, host.index)
    assert host.open(frame) == (1, b"abc")
    assert host.open(frame) is None


@given(st.integers(0, 1 << 20), st.integers(1, SHORT_SPAN))
def test_seven_bits_are_enough_within_the_span(seen, beyond):
    caller, host = pair()
    host.window.mark(seen)
    caller.next_counter = seen + beyond
    assert host.open(caller.seal(b"x", is_short=True)[1]) == (seen + beyond, b"x")


def test_short_and_long_frames_share_one_counter():
    caller, host = pair()
    frames = [caller.seal(b"x", is_short=bool(n % 2))[1] for n in range(6)]
    assert [host.open(frame)[0] for frame in reversed(frames)] == [6, 5, 4, 3, 2, 1]


def test_a_short_frame_whose_counter_is_altered_does_not_open():
    caller, host = pair()
    _, frame = caller.seal(b"abc", is_short=True)
    for forged in (bytes((frame[0] ^ 2,)) + frame[1:], frame[:1] + frame[2:], frame[:18], bytes((0x83, 0, 0, 0, 0))):
        with pytest.raises(AuthError):
            host.open(forged)
