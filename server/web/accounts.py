"""Logging in and out, and the zone in which times are shown.

Owns the cookies. The session's cookie is HttpOnly and SameSite=Strict, and Secure where the page came over HTTPS. The
form of the login carries a token of its own, because there is no session yet that could vouch for it.
"""

import hmac
from typing import Final
from zoneinfo import available_timezones

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from server.people import SESSION_MS_MAX, Session, Throttled
from server.web.base import (
    COOKIE,
    Form,
    action,
    address_of,
    centre_of,
    page,
    read_form,
    render,
    safe_next,
    session_of,
)
from wire.errors import AuthError, UsageError

LOGIN_COOKIE: Final = "feldsher_login"
LOGIN_S_MAX: Final = 3600


def _login_page(request: Request, problem: str = "", name: str = "", status: int = 200) -> Response:
    token = centre_of(request).entropy(16).hex()
    wanted = safe_next(request.query_params.get("next", "/"))
    response = render(request, "login.html", None, status, token=token, wanted=wanted, problem=problem, name=name)
    _set_cookie(request, response, LOGIN_COOKIE, token, LOGIN_S_MAX)
    return response


def _set_cookie(request: Request, response: Response, name: str, value: str, age_s: int) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=age_s, path="/", secure=secure, httponly=True, samesite="strict")


def _show_login(request: Request) -> Response:
    if session_of(request) is not None:
        return RedirectResponse(safe_next(request.query_params.get("next", "/")), 303)
    return _login_page(request)


def _log_in(request: Request, form: Form) -> Response:
    expected = request.cookies.get(LOGIN_COOKIE, "")
    if not expected or not hmac.compare_digest(form.get("token", "").encode(), expected.encode()):
        return _login_page(request, "This form is too old, or cookies are switched off. Please try again.", status=403)
    name = form.get("name", "")
    try:
        token, _ = centre_of(request).people.log_in(name, form.get("password", ""), address_of(request))
    except Throttled as error:
        return _login_page(request, f"{error}.".capitalize(), name, 429)
    except AuthError as error:
        return _login_page(request, f"{error}.".capitalize(), name, 403)
    response = RedirectResponse(safe_next(form.get("next", "/")), 303)
    _set_cookie(request, response, COOKIE, token, SESSION_MS_MAX // 1000)
    response.delete_cookie(LOGIN_COOKIE, path="/")
    return response


async def show_login(request: Request) -> Response:
    return await run_in_threadpool(_show_login, request)


async def log_in(request: Request) -> Response:
    form = await read_form(request)
    return await run_in_threadpool(_log_in, request, form)


def log_out(request: Request, session: Session, _form: Form) -> Response:
    centre_of(request).people.log_out(session, address_of(request))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, path="/")
    return response


def show_settings(request: Request, session: Session) -> Response:
    return render(
        request, "settings.html", session, zones=sorted(available_timezones()), saved="saved" in request.query_params
    )


def set_zone(request: Request, session: Session, form: Form) -> Response:
    try:
        centre_of(request).people.set_zone(session.user.name, form.get("zone", ""))
    except UsageError as error:
        raise HTTPException(400, str(error)) from error
    return RedirectResponse("/settings?saved", 303)


ROUTES: Final = (
    Route("/login", show_login, methods=["GET"]),
    Route("/login", log_in, methods=["POST"]),
    Route("/logout", action(log_out), methods=["POST"]),
    Route("/settings", page(show_settings), methods=["GET"]),
    Route("/settings", action(set_zone), methods=["POST"]),
)
