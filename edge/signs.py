"""By what a driver's device is known: whole messages in a stretch of bytes, and questions that only read.

A driver's module declares `SIGNS` beside its `FACTS`. `whole` counts messages whose check or frame holds, with the
driver's own reader; it is pure and keeps nothing, so it may be asked about any bytes at any time. Three things rest on
it: who is on which port (`edge.finding`), at which speed (`edge.speed`), and whether a cable has been moved to another
socket (`edge.stranger`). A driver without `SIGNS`, such as that of another package, is none of the three.

`asks` are questions that a person may have put to a device that nobody knows. One stands here only when the maker's
document says that it reads, and tests hold it against every simulated device: none is in another state afterwards. No
question holds ACK, NAK, ENQ, EOT or CAN: a device that waits for ACK would take its result for delivered.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

CHECK: Final = "checksum"
FRAME: Final = "form"
"""No checksum, but a form so strict that neither another device nor a wrong speed keeps to it."""
NOTHING: Final = "nothing"
"""Any text is a message: nothing tells right from wrong."""


def _no_reason(_data: bytes) -> str:
    return ""


def calls(data: bytes) -> str:
    """Return why these bytes may be of somebody who waits to be answered: nothing but ENQ, and EOT when it gives up."""
    is_call = 0x05 in data and not data.translate(None, b"\x04\x05")
    return "it calls (ENQ) and waits for an answer before it says more" if is_call else ""


def _never(_data: bytes) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that only reads. `what`: what it asks for, as a person would say.

    `is_answer` judges all that came after it, where one short answer would not be enough for `Signs.whole`.
    """

    data: bytes
    what: str
    is_answer: Callable[[bytes], bool] = _never


def _none(_data: bytes) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Signs:
    """See the module's text. `needed`: so many whole messages in one stretch of bytes leave no doubt.

    `carries`: what this device sends may hold another's messages, as a file may. `one_speed`: why the speed is not
    looked for. `maybe` says why bytes may be this device's although nothing in them proves it; "" when they may not.
    `told_from`: a stranger on its port may be the device of any driver, or of the drivers of the kit's other ports, or
    nobody looks for one.
    """

    proof: str = NOTHING
    whole: Callable[[bytes], int] = _none
    needed: int = 1
    asks: tuple[Ask, ...] = ()
    maybe: Callable[[bytes], str] = _no_reason
    carries: bool = False
    told_from: Literal["anybody", "ports", "nobody"] = "anybody"
    one_speed: str = ""
    needs: re.Pattern[bytes] | None = None
    """What stands in every whole message: a reader that takes byte by byte is not asked about bytes without it."""

    def are_in(self, data: bytes, times: int = 1) -> bool:
        """Return whether these bytes are this device's, without a doubt; `times`: so many times over."""
        return self.proof != NOTHING and self.count(data) >= self.needed * times

    def count(self, data: bytes) -> int:
        """Return how many whole messages there are. Those of a driver that raises are none: it stops no other port."""
        try:
            return self.whole(data) if self.needs is None or self.needs.search(data) else 0
        except Exception:  # noqa: BLE001  whatever a third party's driver does
            return 0


UNKNOWN: Final = Signs(told_from="nobody")


def lines(data: bytes) -> list[bytes]:
    """Return the complete lines in `data`, without their ends; empty ones are left out."""
    *found, _cut = data.replace(b"\r", b"\n").split(b"\n")
    return [line for line in found if line]
