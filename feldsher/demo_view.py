"""How the demo looks: the kit's LEDs, its devices, the radio, and each study's way, drawn anew twice a second.

On a terminal it redraws in place; into a file or a pipe it writes a line when something changes.
"""

import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from feldsher import watching
from feldsher.demo_stage import USER, Stage
from hardware.leds import lit
from node.spool import SpoolObject, State

REFRESH_S: Final = 0.25
STUDIES_MAX: Final = 8
LABEL_WIDTH: Final = 12
COLOURS: Final = {"power": 32, "device": 33, "link": 34, "alarm": 31}
WAY: Final = {
    State.WAITING: "in the kit",
    State.CUSTODY: "with the gateway",
    State.RECEIVED: "at the centre",
    State.REFUSED: "refused",
}


class View:
    """Draws the stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._begin = time.monotonic()
        self._said: list[str] = []
        self._is_terminal = sys.stdout.isatty()

    def show(self, studies: Sequence[SpoolObject]) -> None:
        """Draw what there is now."""
        kit = self._stage.status("kit")
        if not kit:
            return
        if self._is_terminal:
            sys.stdout.write("\x1b[H\x1b[2J" + "\n".join(self._page(kit, studies)) + "\n")
            sys.stdout.flush()
        else:
            self._say_changes(kit, studies)

    def _page(self, kit: dict[str, Any], studies: Sequence[SpoolObject]) -> list[str]:
        now = time.monotonic() - self._begin
        lines = ["\x1b[1mFeldsher\x1b[0m: a van, a link that breaks, a centre", ""]
        lines += [self._led(led, rhythm, means, now) for led, (rhythm, means) in kit["leds"].items()]
        devices = "  ".join(f"{name} {'●' if there else '○'}" for name, there in kit["ports"].items())
        lines += ["", f"  devices   {devices}", f"  patient   {'a label was scanned' if kit['label_scanned'] else '-'}"]
        lines += [f"  radio     {self._radio()}", f"  link      {self._link(kit)}", ""]
        under_way = {one["object_id"]: one for one in kit["link"]["sending"]}
        lines += ["  studies, newest first"]
        for one in list(reversed(studies))[:STUDIES_MAX]:
            lines.append(self._study(one, under_way.get(one.object_id.hex())))
        lines += ["", f"  the centre's page   {self._stage.address}"]
        lines += [f"  log in as           {USER} / {self._stage.password}", "", "  Ctrl-C ends the demo."]
        return lines

    def _led(self, led: str, rhythm: str, means: str, now: float) -> str:
        lamp = f"\x1b[{COLOURS[led]}m●\x1b[0m" if lit(rhythm, now) else "\x1b[2m○\x1b[0m"
        return f"  {lamp} {led:<8}{means}"

    def _radio(self) -> str:
        if self._stage.radio.is_cut:
            return "\x1b[31mcut\x1b[0m" if self._is_terminal else "cut"
        return "9,600 bit/s, half a second there and back, 2 % lost"

    def _link(self, kit: dict[str, Any]) -> str:
        """Return the link's line without its last words where the terminal is too narrow for them."""
        room = shutil.get_terminal_size().columns - LABEL_WIDTH
        words = watching.link_line(kit["link"]).split(", ")
        while len(", ".join(words)) > room and len(words) > 1:
            words.pop()
        return ", ".join(words)

    def _study(self, one: SpoolObject, sending: dict[str, Any] | None) -> str:
        head = f"    {one.number:>3}  {one.object_id.hex()[:8]}  {watching.size(one.size or 0):>9}  {WAY[one.state]}"
        if sending is None or one.state is not State.WAITING or not sending["done"]:
            return head
        return f"{head}, {sending['done'] / max(1, sending['size']):.0%} sent, {watching.span(sending['eta_s'])} left"

    def _say_changes(self, kit: dict[str, Any], studies: Sequence[SpoolObject]) -> None:
        lines = [f"the centre's page: {self._stage.address} log in as {USER} / {self._stage.password}"]
        lines += [f"radio: {self._radio()}"]
        lines += [f"LED {led}: {rhythm} ({means})" for led, (rhythm, means) in kit["leds"].items()]
        lines += [f"study {one.object_id.hex()[:8]}: {WAY[one.state]}" for one in studies[-STUDIES_MAX:]]
        for line in lines:
            if line not in self._said:
                print(f"{time.monotonic() - self._begin:6.1f} s  {line}", flush=True)
        self._said = lines
