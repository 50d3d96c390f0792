"""What administrators see besides: who may send, who may look, what kits expect, what was set aside, and the record.

Read only: kits, gateways and users are changed by the command line on the machine itself, so that a stolen password of
an administrator adds no kit.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.library import EVENTS_MAX
from server.people import ADMIN, Session
from server.web.base import centre_of, page, render
from server.web.pages import page_number
from wire.objects import KINDS


def office(request: Request, session: Session) -> Response:
    centre = centre_of(request)
    return render(
        request,
        "office.html",
        session,
        kits=centre.peers.kits(),
        gateways=centre.peers.gateways(),
        worklists=centre.worklists.lists(),
        users=centre.people.users(),
        refused=centre.library.refused(),
        version=centre.peers.version(),
        kinds=KINDS,
    )


def events(request: Request, session: Session) -> Response:
    here = page_number(request, "page")
    found = centre_of(request).library.events(here)
    return render(request, "record.html", session, events=found, page=here, more=len(found) == EVENTS_MAX)


ROUTES: Final = (
    Route("/office", page(office, ADMIN)),
    Route("/office/record", page(events, ADMIN)),
)
