"""Getting a modem to listen: from fast and friendly to everything that is known to wake a stuck one. Scripts only.

`synchronise` first gives what a stuck `>` prompt may still wait for, counted, for to it every command is data; then it
asks `AT` a few times. Where that does not help: ESC (never Ctrl-Z, which would send); the escape from a call (`+++`
between two seconds of silence, V.250 and S12); `AT` at every usual speed. In the end it waits, so that a late OK of the
past is nobody's answer.
"""

import contextlib
from typing import Final

from node.modems.at import Command, Controls, Engine, Pause, Say, Script
from node.modems.faults import AtFault, NoAnswer

BAUDS: Final = (115_200, 9_600, 57_600, 19_200, 38_400, 460_800, 230_400)
ASK_S: Final = 0.3
ASKS: Final = 5
GUARD_S: Final = 1.1
"""Silence before and after `+++`: a second (S12 = 50), and a little."""
DRAIN_S: Final = 0.3
ESCAPE: Final = b"\x1b"
_OK: Final = r"OK$|0$"
"""`0` is the OK of a modem that was left with ATV0."""


def synchronise(engine: Engine, controls: Controls, baud: int) -> Script[None]:
    """Return when the modem answers at `baud`, in words, without echo. Raises NoAnswer when it is deaf."""
    found = baud
    if engine.owed:
        owed, engine.owed = engine.owed, b""
        yield Say(owed)
        yield Pause(GUARD_S)
    if not (yield from answers()):
        yield from unstick(engine)
        found = yield from _scan(controls, baud)
    yield from _plain()
    if found != baud:
        yield from _set_baud(controls, baud)
    yield Pause(DRAIN_S)


def unstick(engine: Engine) -> Script[None]:
    """Leave whatever the modem may be in: a prompt, a payload, a call."""
    owed, engine.owed = engine.owed, b""
    yield Say(owed + ESCAPE)
    yield Pause(GUARD_S)
    yield Say(b"+++")
    yield Pause(GUARD_S)
    yield Say(b"\r")


def escape() -> Script[None]:
    """Leave a call or a transparent socket, which goes on. Raises NoAnswer, CallFailed when it had ended."""
    yield Pause(GUARD_S)
    yield Command("+++", timeout_s=GUARD_S + 2, ending=b"")


def _scan(controls: Controls, baud: int) -> Script[int]:
    for rate in (baud, *(rate for rate in BAUDS if rate != baud)):
        controls.set_baud(rate)
        if (yield from answers()):
            return rate
    controls.set_baud(baud)
    raise NoAnswer("the modem does not answer at any speed")


def answers(times: int = ASKS) -> Script[bool]:
    """Ask `AT` until it answers OK; the first asks may be eaten by what it was doing, or by its finding the speed."""
    for number in range(times):
        text = "AT" if number % 2 == 0 else "ATQ0V1"
        try:
            yield Command(text, timeout_s=ASK_S, finals=_OK)
        except AtFault:
            continue
        return True
    return False


def _plain() -> Script[None]:
    """Words instead of numbers, no echo, errors with numbers. Tried twice each: a character may be lost."""
    for text in ("ATE0V1Q0", "AT+CMEE=1"):
        for _ in range(2):
            try:
                yield Command(text, timeout_s=1.0, finals=_OK)
            except AtFault:
                continue
            break


def _set_baud(controls: Controls, baud: int) -> Script[None]:
    """Bring a modem that was found at another speed to ours, for good. Its OK may come at either."""
    with contextlib.suppress(NoAnswer):
        yield Command(f"AT+IPR={baud}", timeout_s=1.0)
    controls.set_baud(baud)
    yield Pause(DRAIN_S)
    if not (yield from answers()):
        raise NoAnswer(f"the modem does not answer after AT+IPR={baud}")
    yield Command("AT&W")


__all__ = ["BAUDS", "answers", "escape", "synchronise", "unstick"]
