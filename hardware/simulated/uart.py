"""What a receiver at one speed hears of a sender at another: a UART, bit by bit.

Written from how a UART works (16550 data sheet, "receiver"): the line rests at 1; a byte is a 0, its bits from the
lowest on, a parity bit where there is one, and a 1. The receiver begins at a falling edge, looks at the middle of each
bit by its own clock, and takes what it finds. Where the 1 at the end is missing the byte is a framing error, and is
delivered all the same, as Linux does without PARMRK.
"""

from typing import Final

PARITIES: Final = "NEO"


def bits_of(data: bytes, data_bits: int = 8, parity: str = "N") -> list[int]:
    """Return the line's states for `data`, one for each bit time, without a pause between bytes."""
    states: list[int] = []
    for byte in data:
        bits = [byte >> at & 1 for at in range(data_bits)]
        check = [] if parity == "N" else [sum(bits) & 1 ^ (parity == "O")]
        states += [0, *bits, *check, 1]
    return states


def heard_at(data: bytes, sent_baud: int, baud: int, *, data_bits: int = 8, parity: str = "N") -> bytes:
    """Return what a receiver at `baud`, 8N1, takes for what was sent at `sent_baud`."""
    states = bits_of(data, data_bits, parity)
    ratio = sent_baud / baud
    heard, at = bytearray(), 0.0

    def state(time: float) -> int:
        return states[int(time)] if int(time) < len(states) else 1

    while (begin := _falling_edge(states, at)) is not None:
        if state(begin + ratio / 2):  # shorter than half of our bits: a glitch
            at = begin + max(1.0, ratio / 2)
            continue
        heard.append(sum(state(begin + ratio * (1.5 + place)) << place for place in range(8)))
        at = begin + ratio * 9.5
        while not state(at):  # no stop bit: the line must rest first
            at += 1
    return bytes(heard)


def _falling_edge(states: list[int], at: float) -> float | None:
    """Return when the line goes to 0, from `at` on, where it may be 0 already."""
    if at and int(at) < len(states) and not states[int(at)]:
        return at
    return next((float(place) for place in range(int(at), len(states)) if not states[place] and place >= at), None)
