"""Invariant: whatever a line carries, the POCT1-A driver raises nothing, ends what it begins, makes the same of it
whole and in pieces, sends nothing but its own messages, and acknowledges no result while the disk refuses.

`sh tests/fuzz/run.sh 60 fuzz_poct1a`, or `python -m tests.fuzz.fuzz_poct1a`.
"""

import re

from hardware.simulated.poct1a import STYLES, service
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

HDR = '<HDR><HDR.control_id V="7"/><HDR.version_id V="POCT1"/><HDR.creation_dttm V="2026-08-01T09:00:00+03:00"/></HDR>'
HELLO = f'<HEL.R01>{HDR}<DEV><DEV.model_id V="x"/></DEV></HEL.R01><DST.R01>{HDR}<DST/></DST.R01>'
SEEDS = [
    b"\x00"
    + (
        HELLO + f"<OBS.R01>{HDR}{service('statstrip', 1, 'P1', 0)}{service('statstrip', 1, 'P2', 1)}</OBS.R01>"
    ).encode(),
    b"\x01\x0b" + f"<OBS.R02>{HDR}{service('hemoscreen', 1, 'P1', 0, is_control=True)}</OBS.R02>".encode() + b"\x1c\r",
    b"\x01"
    + f"<EOT.R01>{HDR}</EOT.R01><KPA.R01>{HDR}</KPA.R01><EVS.R01>{HDR}</EVS.R01><ESC.R01>{HDR}</ESC.R01>".encode(),
    *(b"\x00<!DOCTYPE a>" + f"<OBS.R01>{HDR}{service(style, 2, '&#8;', 3)}</OBS.R01>".encode() for style in STYLES),
]
OURS = re.compile(rb"\x0b?<(ACK|REQ|END|DTV)\.R01>.*?</\1\.R01>(?:\x1c\r|\n)", re.DOTALL)


def heard(line: bytes, size: int, *, is_continuous: bool) -> Bench:
    bench = Bench("poct1a", {"continuous": is_continuous})
    bench.feed_in_pieces(line, size)
    bench.wait(60)
    assert bench.open is None
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line; the first byte says whether it goes on for ever."""
    if not data:
        return
    line, is_continuous = data[1:], bool(data[0] & 1)
    whole = heard(line, max(1, len(line)), is_continuous=is_continuous)
    pieces = heard(line, 5, is_continuous=is_continuous)
    assert [(one.raw, one.tags) for one in pieces.studies] == [(one.raw, one.tags) for one in whole.studies]
    assert pieces.sent == whole.sent
    assert OURS.sub(b"", whole.sent) == b""
    refused = Bench("poct1a", {}, refuse=lambda number: True)
    refused.feed(f"<OBS.R01>{HDR}{service('sofia', 9, 'P9', 9)}</OBS.R01>".encode())
    assert refused.sent == b""


if __name__ == "__main__":
    drive(check, SEEDS)
