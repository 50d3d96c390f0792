"""The web application over a centre: routes, templates, and who may see which page (R24).

Owns nothing that lasts. May call: everything of `server`. Every page but the login asks for a session; every change
asks for that session's token; every look at a study is written to the record before the page is sent.
"""

from importlib.resources import files as package_files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from server import show
from server.centre import Centre
from server.web import accounts, office, pages
from server.web.base import handle_error
from server.web.guard import Guard, Packed
from wire.errors import FeldsherError


def build_app(centre: Centre) -> Starlette:
    """Return the ASGI application. It closes nothing: the centre belongs to the caller."""
    app = Starlette(
        routes=[*accounts.ROUTES, *pages.ROUTES, *office.ROUTES, Route("/favicon.ico", pages.favicon), _static()],
        middleware=[Middleware(Guard, clock=centre.clock), Middleware(Packed)],
        exception_handlers={HTTPException: handle_error, FeldsherError: handle_error, Exception: handle_error},
    )
    app.state.centre = centre
    app.state.templates = _templates()
    return app


def _static() -> Mount:
    folder = str(package_files("server.web") / "static")
    return Mount("/static", StaticFiles(directory=folder), name="static")


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("server.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers: dict[str, Any] = {
        "moment": show.moment,
        "badges": show.badges,
        "flag": show.flag,
        "size": show.size,
        "captured_ms": show.captured_ms,
    }
    environment.globals.update(helpers)
    return environment
