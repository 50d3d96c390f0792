"""When it really was: what a kit wrote before it knew the time is dated by what it wrote afterwards in the same boot.

Every study says when it was on the kit's monotonic clock, which nobody sets, and in which boot. Of each boot the mark
is kept that knew the time best, from studies that the kit signed. Nothing in a study is changed, and no row of it: the
times stand as the kit wrote them, and what is reckoned here is shown beside them.

Written within the transaction of `server.ingest`, read by the pages.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, insert, select, update

from server import tables as t
from server.reading import Reading, Signature
from wire.record import CLOCKS_KNOWN, DRIFT_PPM, WRITTEN_MS, ClockMark

WARN: Final = "warn"
OFF_MS: Final = 2_000
"""A clock that was off by more than this, beside what is not known, is dated anew."""


@dataclass(frozen=True, slots=True)
class Dated:
    """The true time of a mark, in Unix milliseconds, and how far off that may be."""

    true_ms: int
    error_ms: int
    learnt: str = ""
    """"earlier" or "later" in the same boot, where the kit did not know it then."""


def enter(connection: Connection, reading: Reading, received_ms: int) -> None:
    """Keep what a study knows of the time of its boot, when no other knew it better."""
    if reading.signature != Signature.GOOD or reading.kit is None:
        return
    for _, mark in reading.records(ClockMark):
        if mark.source in CLOCKS_KNOWN and mark.boot:
            _keep(connection, reading.kit.number, mark, received_ms)


def _keep(connection: Connection, kit: int, mark: ClockMark, received_ms: int) -> None:
    base_ms = mark.kit_ms - mark.offset_ms - mark.uptime_ms
    values = {"base_ms": base_ms, "uptime_ms": mark.uptime_ms, "error_ms": mark.error_ms, "updated_ms": received_ms}
    key = _of_boot(kit, mark)
    row = connection.execute(select(t.boots.c.error_ms).where(key)).one_or_none()
    if row is None:
        connection.execute(insert(t.boots).values(kit_id=kit, boot=mark.boot.hex(), **values))
    elif mark.error_ms < row.error_ms:
        connection.execute(update(t.boots).where(key).values(**values))


def _of_boot(kit: int, mark: ClockMark) -> ColumnElement[bool]:
    return (t.boots.c.kit_id == kit) & (t.boots.c.boot == mark.boot.hex())


def _dated_itself(mark: ClockMark) -> Dated | None:
    """Return when a mark was written, as far as the kit knew it then."""
    return Dated(mark.kit_ms - mark.offset_ms, mark.error_ms) if mark.source in CLOCKS_KNOWN else None


def dated(connection: Connection, kit: int | None, mark: ClockMark) -> Dated | None:
    """Return when a mark was written, as far as the kit knew it then or later; None when it never did."""
    found = _dated_itself(mark)
    if found is not None or kit is None or not mark.boot:
        return found
    row = connection.execute(select(t.boots).where(_of_boot(kit, mark))).one_or_none()
    if row is None:
        return None
    drift_ms = abs(row.uptime_ms - mark.uptime_ms) * DRIFT_PPM // 1_000_000
    learnt = "later" if row.uptime_ms >= mark.uptime_ms else "earlier"
    return Dated(row.base_ms + mark.uptime_ms, row.error_ms + drift_ms, learnt)


def is_wrong(reading: Reading) -> bool:
    """Return whether the times of a study are wrong by what the kit itself knew: its clock never set, or far off."""
    mark = next((mark for _, mark in reading.records(ClockMark)), None)
    return mark is not None and words(mark, _dated_itself(mark))[1] == WARN


def words(mark: ClockMark, found: Dated | None) -> tuple[str, str]:
    """Return what a reader should know of the kit's clock, and the sign of it: "", or WARN."""
    if found is None:
        if mark.kit_ms < WRITTEN_MS:
            return "was never set: no time holds", WARN
        return "from a battery, never compared" if mark.source == "rtc" else "nobody tells it the time", ""
    off_ms = mark.kit_ms - found.true_ms
    within = f"known within {span(found.error_ms)}"
    by = "by GPS" if mark.source == "gps" else "by the network"
    by = f"by what it learnt {found.learnt} in the same run" if found.learnt else by
    if abs(off_ms) <= OFF_MS + found.error_ms:
        return f"right, {within} {by}", ""
    return f"{span(abs(off_ms))} {'ahead' if off_ms > 0 else 'behind'}, {within} {by}", WARN


@dataclass(frozen=True, slots=True)
class ClockLine:
    """What the page of a study says of one mark. `begun_ms`: when the study truly began, when not then."""

    kit: str = ""
    tone: str = ""
    begun_ms: int | None = None
    device: str = ""
    device_time: str = ""
    stepped: str = ""


def lines(connection: Connection, reading: Reading) -> list[ClockLine]:
    """Return what is to be shown of the marks of a study: of the kit's clock only what the first one says."""
    shown: list[ClockLine] = []
    kit = reading.kit.number if reading.kit is not None and reading.signature == Signature.GOOD else None
    for _, mark in reading.records(ClockMark):
        found = dated(connection, kit, mark) if not shown else None
        text, tone = words(mark, found) if not shown else ("", "")
        begun_ms = found.true_ms if tone and found is not None else None
        device = _off(mark.device_offset_ms, mark.device_step_ms) if mark.device_time else ""
        stepped = _set(mark.stepped_ms) if mark.stepped_ms else ""
        shown.append(ClockLine(text, tone, begun_ms, device, mark.device_time, stepped))
    return shown


def _off(ms: int, step_ms: int) -> str:
    """Say how far a device's clock was off; by less than a step of it is not off as far as anybody knows."""
    is_same = -max(1_000, step_ms) < ms < 1_000
    off = "as" if is_same else f"{span(abs(ms))} {'ahead of' if ms > 0 else 'behind'}"
    return f"{off} the kit\u2019s{', to the minute' if step_ms else ''}"


def _set(ms: int) -> str:
    return f"set {'forward' if ms > 0 else 'back'} by {span(abs(ms))} while the study was open"


def span(ms: int) -> str:
    """Return a span of time in the two largest units that it has: 2 d 3 h, 4 min 5 s, 0.3 s."""
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    found: list[str] = []
    rest = ms // 1000
    for unit, size in (("y", 31_557_600), ("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or found:
            found.append(f"{count} {unit}" if count else "")
    return " ".join(filter(None, found[:2]))
