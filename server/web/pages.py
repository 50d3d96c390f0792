"""What doctors see: arrivals, quality control, a study with its results, waveforms and raw bytes, and its files.

Owns nothing. Every handler that shows something of a study writes it down first (`look`).
"""

import math
from importlib.resources import files as package_files
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from server import export, pictures, show
from server.library import PAGE_SIZE, Line
from server.people import Session
from server.reading import Reading
from server.web.base import centre_of, look, page, render
from server.web.drawing import draw
from wire import kinds
from wire.errors import FormatError
from wire.objects import KINDS
from wire.record import Device, Note, Partial, Patient, Picture, Place

PAGE_MAX: Final = 10_000
NUMBER_SIZE_MAX: Final = 9


def arrivals(request: Request, session: Session) -> Response:
    return _list(request, session, qc=False)


def quality(request: Request, session: Session) -> Response:
    return _list(request, session, qc=True)


def _list(request: Request, session: Session, *, qc: bool) -> Response:
    centre, number = centre_of(request), page_number(request, "page")
    state = f'"{centre.library.newest()}-{session.user.zone}-{number}-{int(qc)}"'
    fragment = "rows" in request.query_params
    if fragment and request.headers.get("if-none-match") == state:
        return Response(status_code=304, headers={"etag": state})
    lines = centre.library.lines(qc=qc, page=number)
    values = {
        "lines": [(line, export.flags(line)) for line in lines[:PAGE_SIZE]],
        "page": number,
        "more": len(lines) > PAGE_SIZE,
        "qc": qc,
        "state_of": state,
    }
    response = render(request, "rows.html" if fragment else "arrivals.html", session, **values)
    response.headers["etag"] = state
    return response


def study(request: Request, session: Session) -> Response:
    line, reading = _open(request, session, "study")
    centre = centre_of(request)
    waves = show.joined_waves(show.wave_parts(reading))
    results, left_out = show.groups(reading, qc=False)
    controls, controls_left_out = show.groups(reading, qc=True)
    others = centre.library.lines(patient=line.patient)[:PAGE_SIZE] if line.patient and not line.qc else []
    return render(
        request,
        "study.html",
        session,
        line=line,
        reading=reading,
        flags=export.flags(line),
        patients=[record for _, record in reading.records(Patient)],
        devices=[record for _, record in reading.records(Device)],
        notes=[record.text for _, record in reading.records(Note)],
        places=[record for _, record in reading.records(Place)],
        clocks=centre.library.clocks(reading),
        partials=[record for _, record in reading.records(Partial)],
        device_ids=show.device_ids(reading),
        results=results,
        controls=controls,
        left_out=left_out + controls_left_out,
        waves=[(part, draw(part.wave) if part.wave is not None else None) for part in waves],
        pictures=list(pictures.shown(reading)),
        looks=centre.library.looks(line),
        raws=show.raw_parts(reading),
        others=[other for other in others if other.study != line.study],
        objects=centre.library.arrivals(line.study),
        kinds=KINDS,
        signature=show.SIGNATURES[reading.signature],
    )


def waveform(request: Request, session: Session) -> Response:
    line, reading = _open(request, session, "waveform")
    entry, number = _part(request)
    parts = show.joined_waves(show.wave_parts(reading))
    wave = next((part.wave for part in parts if (part.entry, part.tag) == (entry, number)), None)
    if wave is None:
        raise HTTPException(404)
    drawing = draw(wave, _seconds(request, "from", 0.0), _seconds(request, "to", math.inf))
    start_ms = wave.start_ms
    values = {"line": line, "drawing": drawing, "entry": entry, "number": number, "start_ms": start_ms}
    return render(request, "waveform.html", session, flags=export.flags(line), **values)


def raw(request: Request, session: Session) -> Response:
    line, reading = _open(request, session, "raw bytes")
    entry, number = _part(request)
    tag = show.find_tag(reading, entry, number, (kinds.CAPTURE, kinds.RAW))
    if tag is None:
        raise HTTPException(404)
    count = max(1, math.ceil(len(tag.data) / show.HEX_PAGE_SIZE))
    here = min(page_number(request, "page"), count - 1)
    values = {"line": line, "rows": list(show.hex_rows(tag.data, here)), "page": here, "pages": count}
    return render(request, "raw.html", session, entry=entry, number=number, length=len(tag.data), tag=tag, **values)


def raw_bytes(request: Request, session: Session) -> Response:
    line, reading = _open(request, session, "raw bytes")
    entry, number = _part(request)
    tag = show.find_tag(reading, entry, number, (kinds.CAPTURE, kinds.RAW))
    if tag is None:
        raise HTTPException(404)
    return _download(tag.data, "application/octet-stream", f"{line.study[:12]}-entry-{entry}-{number}.bin")


def picture(request: Request, session: Session) -> Response:
    line, reading = _open(request, session, "picture")
    entry, number = _part(request)
    tag = show.find_tag(reading, entry, number, Picture.KIND)
    if tag is None:
        raise HTTPException(404)
    try:
        found = pictures.whole(tag, centre_of(request).restorer)
    except FormatError as error:
        raise HTTPException(404, f"It cannot be shown; its bytes are in the original file: {error}") from error
    if found.media_type in pictures.IN_PAGE:
        return Response(found.image, media_type=found.media_type)
    return _download(found.image, "application/octet-stream", f"{line.study[:12]}-picture-{entry}-{number}.bin")


def preview(request: Request, session: Session) -> Response:
    line = _line(request)
    look(request, session, line.study, "preview")
    for one in centre_of(request).library.looks(line):
        if one.object_id == request.path_params["object_id"]:
            return Response(one.preview.image, media_type=one.preview.media_type)
    raise HTTPException(404, "This preview is not shown any more: the study itself is here, or it never came.")


def original(request: Request, session: Session) -> Response:
    line = _line(request)
    if line.digest is None:
        raise HTTPException(404, "The study is announced; its file is still on the way.")
    look(request, session, line.study, "file")
    chunks = centre_of(request).files.chunks(line.digest)
    headers = {"content-disposition": f'attachment; filename="{line.study}.study"', "content-length": str(line.size)}
    return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)


def receipt(request: Request, session: Session) -> Response:
    line = _line(request)
    look(request, session, line.study, "receipt")
    for arrival in centre_of(request).library.arrivals(line.study):
        if arrival.object_id == request.path_params["object_id"]:
            return _download(arrival.receipt, "application/octet-stream", f"{arrival.object_id}.receipt")
    raise HTTPException(404)


def results_json(request: Request, session: Session) -> Response:
    line, reading = _open(request, session, "results")
    return _download(export.to_json(line, reading).encode(), "application/json", f"{line.study[:12]}.json")


def results_csv(request: Request, session: Session) -> Response:
    line, reading = _open(request, session, "results")
    return _download(export.to_csv(reading).encode(), "text/csv; charset=utf-8", f"{line.study[:12]}.csv")


def health(request: Request) -> Response:
    """Say whether the centre can read its store. No session: a watchdog asks, and learns nothing else."""
    have, want = centre_of(request).database.revision()
    good = have == want
    return JSONResponse({"ok": good, "schema": have}, 200 if good else 503)


def favicon(_request: Request) -> Response:
    icon = str(package_files("server.web") / "static" / "favicon.ico")
    return FileResponse(icon, media_type="image/x-icon", headers={"cache-control": "max-age=86400"})


def _line(request: Request) -> Line:
    line = centre_of(request).library.line(request.path_params["study"])
    if line is None:
        raise HTTPException(404, "No study has this number here.")
    return line


def _open(request: Request, session: Session, what: str) -> tuple[Line, Reading]:
    line = _line(request)
    look(request, session, line.study, what)
    return line, centre_of(request).library.reading(line)


def _download(data: bytes, media_type: str, name: str) -> Response:
    return Response(data, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


def page_number(request: Request, name: str) -> int:
    """Return the number in the query, 0 for none or for what is no number; at most PAGE_MAX."""
    text = request.query_params.get(name, "0")
    return min(int(text), PAGE_MAX) if text.isascii() and text.isdigit() and len(text) <= NUMBER_SIZE_MAX else 0


def _part(request: Request) -> tuple[int, int]:
    entry, number = request.path_params["entry"], request.path_params["number"]
    return int(entry), int(number)


def _seconds(request: Request, name: str, default: float) -> float:
    try:
        return float(request.query_params.get(name, default))
    except ValueError:
        return default


STUDY: Final = "/studies/{study}"
PART: Final = "{entry:int}/{number:int}"
ROUTES: Final = (
    Route("/", page(arrivals)),
    Route("/quality", page(quality)),
    Route(STUDY, page(study)),
    Route(f"{STUDY}/waveforms/{PART}", page(waveform)),
    Route(f"{STUDY}/raw/{PART}", page(raw)),
    Route(f"{STUDY}/raw/{PART}/bytes", page(raw_bytes)),
    Route(f"{STUDY}/pictures/{PART}", page(picture)),
    Route(f"{STUDY}/previews/{{object_id}}", page(preview)),
    Route(f"{STUDY}/file", page(original)),
    Route(f"{STUDY}/receipts/{{object_id}}", page(receipt)),
    Route(f"{STUDY}/results.json", page(results_json)),
    Route(f"{STUDY}/results.csv", page(results_csv)),
    Route("/health", health),
)
