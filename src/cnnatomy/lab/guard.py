"""Who may ask: this machine's own pages, or those who know the token."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cnnatomy.lab.limits import QUERY

HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""On every answer."""
LOCAL = ("127.0.0.1", "localhost", "[::1]")
COOKIE = "cnnatomy-lab"


class Guard:
    """Lets through what comes from the lab's own pages, and says on every answer what a browser may do.

    A page of another site reaches a server on this machine through its reader's browser; what that sends as
    Host or Origin gives the page away.

    Args:
        app: what answers.
        port: of the server.
        token: what is asked for where others can reach the server; then any Host is taken.
    """

    def __init__(self, app: ASGIApp, port: int, token: str | None = None) -> None:
        self.app, self.token = app, token
        self.hosts = {f"{host}:{port}" for host in LOCAL} | (set(LOCAL) if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse to."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None  # nothing here speaks over sockets

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refused(scope)
        await (refused or self.app)(scope, receive, safe)
        return None

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.token is None and host not in self.hosts:
            return PlainTextResponse(f"this lab answers to {', '.join(sorted(self.hosts))}", 403)
        if origin is not None and urlsplit(origin)[:2] != ("http", host):
            return PlainTextResponse("pages of other sites may not ask", 403)
        foreign = headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("pages of other sites may not ask", 403)
        if len(scope["query_string"]) > QUERY:
            return PlainTextResponse(f"an address may have {QUERY:,} letters", 414)
        return self._unknown(scope, headers) if self.token is not None else None

    def _unknown(self, scope: Scope, headers: Headers) -> Response | None:
        """Take the token from the address into a cookie; without either there is no answer."""
        assert self.token is not None, "one is asked for"
        known = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if hmac.compare_digest(known.encode(), self.token.encode()):
            return None
        told = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[-1]
        if not hmac.compare_digest(told.encode(), self.token.encode()):
            return PlainTextResponse("this lab is opened by the address that it printed when it began", 403)
        entered = RedirectResponse(scope["path"], 303)
        entered.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
        return entered
