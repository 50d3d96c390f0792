"""What stands before every page: limits of rate and size, and the headers that keep a browser strict.

Owns the counters of requests by address, in memory and bounded; a restart forgets them. May call: the clock.
Plain ASGI, so that it sees requests before anything of them is read.
"""

from collections import OrderedDict
from typing import Final

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.clock import Clock

BODY_SIZE_MAX: Final = 64 * 1024
"""No form of ours is larger, bytes."""
RATE_PER_S: Final = 20.0
BURST_MAX: Final = 150.0
ADDRESSES_MAX: Final = 4096
"""Addresses counted at once; the one that was quiet longest is forgotten."""
PACKED_SIZE_MIN: Final = 1000
NEVER_PACKED: Final = ("/file", "/bytes", ".ico")
HEADERS: Final = (
    (
        b"content-security-policy",
        b"; ".join(
            (
                b"default-src 'none'",
                b"style-src 'self'",
                b"script-src 'self'",
                b"img-src 'self'",
                b"connect-src 'self'",
                b"form-action 'self'",
                b"base-uri 'none'",
                b"frame-ancestors 'none'",
            )
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"x-robots-tag", b"noindex"),
)
NO_STORE: Final = (b"cache-control", b"no-store")


class Brake:
    """A bucket of requests for each address: RATE_PER_S flow in, BURST_MAX fit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def passes(self, address: str) -> bool:
        """Tell whether one more request from `address` is taken, and count it."""
        now = self._clock.now()
        left, since = self._buckets.pop(address, (BURST_MAX, now))
        left = min(BURST_MAX, left + (now - since) * RATE_PER_S)
        taken = left >= 1
        self._buckets[address] = (left - 1 if taken else left, now)
        if len(self._buckets) > ADDRESSES_MAX:
            self._buckets.popitem(last=False)
        return taken


class _TooLarge(Exception):
    """The body goes on beyond BODY_SIZE_MAX."""


class Packed:
    """Sends pages gzipped: a study's page is a third of its size then. What is sealed stays as it is.

    Compressing secrets beside what a stranger can write is unsafe where he can make a browser ask on its user's behalf;
    the session's cookie is SameSite=Strict, so he cannot.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._packed = GZipMiddleware(app, minimum_size=PACKED_SIZE_MIN, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        packs = scope["type"] == "http" and not scope["path"].endswith(NEVER_PACKED)
        await (self._packed if packs else self._plain)(scope, receive, send)


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._brake = Brake(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        respond = _with_headers(send)
        client = scope.get("client")
        if not self._brake.passes(client[0] if client else ""):
            refusal = PlainTextResponse(
                "Too many requests. Wait a minute, then try again.\n", 429, {"retry-after": "60"}
            )
            await refusal(scope, receive, respond)
            return
        try:
            await self._app(scope, _bounded(scope, receive), respond)
        except _TooLarge:
            await PlainTextResponse(f"A form of at most {BODY_SIZE_MAX} bytes is taken.\n", 413)(
                scope, receive, respond
            )


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Return a `receive` that stops a body that is too large, whether or not it says how large it is."""
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    seen = int(announced) if announced.isdigit() and len(announced) < 20 else BODY_SIZE_MAX + 1
    if seen <= BODY_SIZE_MAX:
        seen = 0

    async def take() -> Message:
        nonlocal seen
        if seen > BODY_SIZE_MAX:
            raise _TooLarge
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_SIZE_MAX:
            raise _TooLarge
        return message

    return take


def _with_headers(send: Send) -> Send:
    async def respond(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"cache-control" for name, _ in headers):
                headers.append(NO_STORE)
            message = {**message, "headers": [*headers, *HEADERS]}
        await send(message)

    return respond
