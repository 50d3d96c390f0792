"""What `link send` shows while it sends: a bar for each file under way, and one for all of them. Lines, no terminal."""

from collections.abc import Iterable, Sequence
from typing import Final

from feldsher.bars import bar, fit
from feldsher.watching import size, span
from node.filebox import Parcel
from node.progress import Progress, eta_s
from wire.objects import Refusal

FILES_MAX: Final = 8
"""Bars of files at a time; the others are counted."""
BAR_WIDTH: Final = 16
BAR_WIDTH_NARROW: Final = 6
NARROW_COLUMNS: Final = 50
NAME_WIDTH_MAX: Final = 28
SILENCE_S: Final = 5.0


def done_of(parcel: Parcel, progress: Progress) -> int:
    """Return how many bytes of a parcel the far side has."""
    if parcel.verdict is not None:
        return parcel.offer.size if not isinstance(parcel.verdict, Refusal) else 0
    object_id = parcel.offer.object_id.hex()
    return next((one.done for one in progress.sending if one.object_id == object_id), 0)


def lines(parcels: Iterable[Parcel], progress: Progress, last_error: str, columns: int) -> list[str]:
    """Return bars for a terminal of so many columns: the files under way, then all of it."""
    there = list(parcels)
    done = [done_of(parcel, progress) for parcel in there]
    open_ones = [(parcel, part) for parcel, part in zip(there, done, strict=True) if parcel.verdict is None]
    shown = sorted(open_ones, key=lambda one: not one[1])[:FILES_MAX] if len(there) > 1 else []
    found = [_file_line(parcel, part, columns) for parcel, part in shown]
    if shown and len(open_ones) > len(shown):
        found.append(fit([f"… and {len(open_ones) - len(shown)} more"], columns))
    return [*found, _total_line(there, sum(done), progress, last_error, columns)]


def plain_line(parcels: Iterable[Parcel], progress: Progress, last_error: str) -> str:
    """Return one line for a log."""
    there = list(parcels)
    done = sum(done_of(parcel, progress) for parcel in there)
    return "  ".join(filter(None, _total_parts(there, done, progress, last_error, BAR_WIDTH)))


def _file_line(parcel: Parcel, done: int, columns: int) -> str:
    path, _ = parcel.files[0]
    name = path.name if len(parcel.files) == 1 else f"{path.name} and {len(parcel.files) - 1} more"
    width = max(min(NAME_WIDTH_MAX, columns // 3), 1)
    name = "".join(one if one.isprintable() else "?" for one in name)
    name = name if len(name) <= width else name[: width - 1] + "…"
    return fit([f"{name:<{width}} {bar(done, parcel.offer.size, _width(columns))}", size(parcel.offer.size)], columns)


def _total_line(parcels: Sequence[Parcel], done: int, progress: Progress, last_error: str, columns: int) -> str:
    return fit(_total_parts(parcels, done, progress, last_error, _width(columns)), columns)


def _total_parts(parcels: Sequence[Parcel], done: int, progress: Progress, last_error: str, width: int) -> list[str]:
    total, rate = sum(parcel.offer.size for parcel in parcels), progress.rate_bps / 8
    if not progress.connected:
        waiting = f"waiting for the link{': ' if last_error else ''}{last_error}"
        return [f"{bar(done, total, width)}  {waiting}" if done else waiting]
    files = sum(len(parcel.files) for parcel in parcels)
    settled = sum(len(parcel.files) for parcel in parcels if parcel.verdict is not None)
    left_s = eta_s(total - done, rate)
    is_silent = progress.silence_s > SILENCE_S and settled < files
    return [
        bar(done, total, width),
        f"{size(done)} of {size(total)}",
        f"nothing heard for {span(progress.silence_s)}" if is_silent else "",
        rate_text(rate) if rate and not is_silent else "",
        f"{span(left_s)} left" if left_s and not is_silent else "",
        "all there, waiting for the confirmation" if done >= total and settled < files else "",
        f"{settled} of {files} files" if files > 1 else "",
        f"by {progress.bearer}",
    ]


def rate_text(rate: float) -> str:
    """Return bytes per second for people: two digits are enough, and a slow link has some too."""
    return (
        f"{rate / 1000:.1f} kB/s"
        if rate >= 10_000
        else f"{rate / 1000:.2f} kB/s"
        if rate >= 1000
        else f"{rate:.0f} B/s"
    )


def _width(columns: int) -> int:
    return BAR_WIDTH if columns >= NARROW_COLUMNS else BAR_WIDTH_NARROW
