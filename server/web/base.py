"""What every page is built with: who asks, from where, what is sent back, and what a refusal looks like.

Owns nothing. May call: the centre, the templates. Handlers run in worker threads; only the reading of a form's body
runs in the event loop.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from server.centre import Centre
from server.database import Event
from server.people import ADMIN, Session
from server.show import zone_name
from wire.errors import AuthError, DiskError, FeldsherError, FormatError, UsageError

COOKIE: Final = "feldsher_session"
FIELDS_MAX: Final = 20
TOKEN_SIZE_MAX: Final = 128
NEXT_SIZE_MAX: Final = 300

Handler = Callable[[Request, Session], Response]
Form = dict[str, str]
FormHandler = Callable[[Request, Session, Form], Response]
Endpoint = Callable[[Request], Awaitable[Response]]

_HELP: Final = {
    400: ("This request makes no sense", "Go back and try again from the list of arrivals."),
    403: ("You may not do this", "Reload the page you came from and try again. If it stays, ask an administrator."),
    404: ("There is no such page", "The study may have another address: look for it in the list of arrivals."),
    405: ("This cannot be done here", "Go back and try again from the list of arrivals."),
    413: ("This is too large", "A form of ours is never this large."),
    429: ("Too many tries", "Wait a quarter of an hour, or ask an administrator for a new password."),
    500: (
        "Something went wrong at the centre",
        "Nothing was lost. Try again; if it stays, tell the administrator the time.",
    ),
    503: (
        "The centre cannot read its store",
        "Nothing was lost. Tell the administrator: the disk or the database fails.",
    ),
}


def centre_of(request: Request) -> Centre:
    """Return the centre whose pages these are."""
    centre: Centre = request.app.state.centre
    return centre


def address_of(request: Request) -> str:
    """Return where the request comes from."""
    return request.client.host if request.client is not None else ""


def session_of(request: Request) -> Session | None:
    """Return who asks, by the cookie; None for who is not logged in, or not any more."""
    token = request.cookies.get(COOKIE, "")
    return centre_of(request).people.session(token) if 0 < len(token) <= TOKEN_SIZE_MAX else None


def page(handler: Handler, role: str = "") -> Endpoint:
    """Return the endpoint that lets in who is logged in (with `role`, when one is given) and runs `handler`."""

    def run(request: Request) -> Response:
        session = session_of(request)
        if session is None:
            return _to_login(request)
        _check_role(session, role)
        return handler(request, session)

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(run, request)

    return endpoint


def action(handler: FormHandler, role: str = "") -> Endpoint:
    """Return the endpoint for a form: as `page`, and the form must carry the session's token."""

    def run(request: Request, form: Form) -> Response:
        session = session_of(request)
        if session is None:
            return RedirectResponse("/login", 303)
        if not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
            raise HTTPException(403, "The form was not made by this page, or is older than your login.")
        _check_role(session, role)
        return handler(request, session, form)

    async def endpoint(request: Request) -> Response:
        form = await read_form(request)
        return await run_in_threadpool(run, request, form)

    return endpoint


async def read_form(request: Request) -> Form:
    """Return the fields of a form; `Guard` bounds its size."""
    body = await request.body()
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX))
    except ValueError as error:
        raise HTTPException(400, "The form cannot be read.") from error


def render(
    request: Request,
    template: str,
    session: Session | None = None,
    code: int = 200,
    /,
    **values: Any,  # noqa: ANN401 - what a template shows may be anything
) -> Response:
    """Return a page. Every template knows who is logged in and in which zone times are shown."""
    environment: Environment = request.app.state.templates
    zone = session.user.zone if session is not None else "UTC"
    now_ms = centre_of(request).clock.time_ms()
    common = {
        "session": session,
        "zone": zone,
        "zone_name": zone_name(now_ms, zone),
        "is_admin": session is not None and session.user.role == ADMIN,
        "here": request.url.path,
    }
    return HTMLResponse(environment.get_template(template).render(common | values), code)


def look(request: Request, session: Session, study: str, what: str) -> None:
    """Write down who looks at which study, before it is shown."""
    event = Event(f"look {what}", session.user.name, study, address_of(request))
    centre_of(request).library.look(centre_of(request).clock, event)


def safe_next(path: str) -> str:
    """Return `path` when it is one of ours, else the first page: a login never leads elsewhere."""
    parts = urlsplit(path)
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return path if ours and len(path) <= NEXT_SIZE_MAX and path.isprintable() and "\\" not in path else "/"


async def handle_error(request: Request, error: Exception) -> Response:
    """Answer any error with a page that says what to do. What went wrong inside is not told to strangers."""
    status = _status(error)
    title, advice = _HELP.get(status, _HELP[500])
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    if isinstance(error, UsageError | FormatError):
        detail = str(error)
    return render(request, "error.html", None, status, title=title, advice=advice, detail=detail, status=status)


def _status(error: Exception) -> int:
    if isinstance(error, HTTPException):
        return error.status_code
    by_class: dict[type[FeldsherError], int] = {UsageError: 400, AuthError: 403, DiskError: 503, FormatError: 503}
    return next((status for shape, status in by_class.items() if isinstance(error, shape)), 500)


def _to_login(request: Request) -> Response:
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = safe_next(path)
    return RedirectResponse("/login" if wanted == "/" else f"/login?next={quote(wanted, safe='')}", 303)


def _check_role(session: Session, role: str) -> None:
    if role and session.user.role != role:
        raise HTTPException(403, f"This page is for the role {role}.")
