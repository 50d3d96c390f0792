"""A study as a folder of plain files, for those who want their data without our programs.

Owns the folder that it makes, which must not exist. May call: the centre's files and library. The folder holds a
patient's data in plain text; it and all in it can be read by their owner only.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from server import export, pictures
from server.centre import Centre
from server.library import Line
from server.reading import Reading
from server.restoring import Restorer
from wire import kinds
from wire.errors import DiskError, FormatError, UsageError
from wire.record import Picture
from wire.tag import Tag
from wire.waveform import Waveform

SUFFIXES: Final = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "application/pdf": "pdf"}


def unpack(centre: Centre, line: Line, into: Path) -> list[str]:
    """Write the study's own file and everything in it to the new folder `into`; return the names."""
    reading = centre.library.reading(line)
    try:
        into.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise UsageError(f"{into}: exists already: name a new folder") from error
    except OSError as error:
        raise DiskError(f"{into}: cannot be made: {error.strerror}") from error
    names = []
    if line.digest is not None:
        with _create(into / f"{line.study}.study").open("wb") as file:
            for chunk in centre.files.chunks(line.digest):
                file.write(chunk)
        names.append(f"{line.study}.study")
    for name, data in _parts(line, reading, centre.restorer):
        _create(into / name).write_bytes(data)
        names.append(name)
    return names


def _create(path: Path) -> Path:
    path.touch(mode=0o600, exist_ok=False)
    return path


def _parts(line: Line, reading: Reading, restorer: Restorer) -> Iterator[tuple[str, bytes]]:
    yield "study.json", export.to_json(line, reading).encode()
    yield "results.csv", export.to_csv(reading).encode()
    for entry in reading.entries:
        for number, tag in enumerate(entry.tags):
            name, data = _part(tag, restorer)
            yield f"entry-{entry.ordinal:04d}-{number:03d}-{name}", data


def _part(tag: Tag, restorer: Restorer) -> tuple[str, bytes]:
    """Return what to call the tag's data and what to write: readable where we know how, else as it stands."""
    try:
        if tag.kind == (kinds.CAPTURE, kinds.WAVEFORM):
            return "waveform.csv", _wave_csv(Waveform.from_tag(tag))
        if tag.kind == Picture.KIND:
            picture = pictures.whole(tag, restorer)
            return f"picture.{SUFFIXES.get(picture.media_type, 'bin')}", picture.image
    except FormatError:
        pass
    name = "raw.bin" if tag.kind == (kinds.CAPTURE, kinds.RAW) else f"{tag.group:04x}-{tag.number:04x}.cbor"
    return name, tag.data


def _wave_csv(wave: Waveform) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["time_s", *(f"{name} {wave.unit}".strip() for name in wave.names)])
    for index, row in enumerate(zip(*wave.samples, strict=True)):
        values = [f"{sample * wave.scale + wave.offset:.9g}" for sample in row]
        writer.writerow([f"{index / wave.rate_hz:.6f}", *values])
    return out.getvalue().encode()
