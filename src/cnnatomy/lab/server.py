"""The server: pages, pictures and files over HTTP, by Starlette and uvicorn."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from cnnatomy.errors import ArgumentError
from cnnatomy.lab.desk import Desk
from cnnatomy.lab.guard import LOCAL, Guard
from cnnatomy.lab.limits import PICTURES, SECONDS, UPLOAD
from cnnatomy.lab.reply import Reply, line

HERE = Path(__file__).parent
_STYLES = (HERE.parent / "report" / "page.css", HERE.parent / "explain" / "page.css", HERE / "lab.css")
STATIC = {
    "lab.css": ("text/css", _STYLES),
    "lab.js": ("text/javascript", (HERE / "lab.js",)),
    "stepper.js": ("text/javascript", (HERE.parent / "explain" / "stepper.js",)),
    "units.js": ("text/javascript", (HERE / "units.js",)),
    "pair.js": ("text/javascript", (HERE / "pair.js",)),
}
"""What pages load, by name: its media type and its parts."""


def application(desk: Desk, port: int, token: str | None = None) -> Starlette:
    """The lab as an ASGI application.

    Args:
        desk: who works.
        port: that it is served on.
        token: what is asked for where others can reach it.
    """
    pictures: OrderedDict[str, bytes] = OrderedDict()

    async def page(request: Request) -> Response:
        query = {name: value for name, value in request.query_params.items() if "\x00" not in value}
        picture = pictures.get(query.get("picture", ""), b"")

        async def wanted() -> bool:
            return not await request.is_disconnected()

        return _response(await desk.ask(request.url.path, query, picture, wanted))

    async def keep(request: Request) -> Response:
        given = await _body(request)
        made = given if isinstance(given, Reply) else await desk.ask("/pictures", {}, given)
        if made.status != 200:
            return JSONResponse({"error": made.body.decode()}, 200 if made.status == 422 else made.status)
        name = hashlib.sha256(made.body).hexdigest()[:16]
        pictures[name] = made.body
        pictures.move_to_end(name)
        while len(pictures) > PICTURES:
            pictures.popitem(last=False)
        return JSONResponse({"picture": name})

    async def static(request: Request) -> Response:
        kind, parts = STATIC.get(request.path_params["name"], ("", ()))
        if not parts:
            return _response(line("there is no such file", 404))
        return Response("\n".join(part.read_text("utf-8") for part in parts), media_type=kind)

    async def start(request: Request) -> Response:
        return RedirectResponse("/run" if desk.run else "/numbers")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        opening = asyncio.create_task(desk.open())
        yield
        opening.cancel()
        await desk.close()

    routes = [
        Route("/", start),
        Route("/static/{name}", static),
        Route("/pictures", keep, methods=["POST"]),
        Route("/{path:path}", page),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, port=port, token=token)], lifespan=lifespan)


async def _body(request: Request) -> bytes | Reply:
    """The body of a request, if it is small and comes soon."""
    found = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                found += part
                if len(found) > UPLOAD:
                    return line(f"a picture may have {UPLOAD / 1e6:g} MB", 413)
    except TimeoutError:
        return line(f"the picture did not come within {SECONDS:g} s", 408)
    except ClientDisconnect:
        return line("the picture did not come", 400)
    return bytes(found)


def _response(made: Reply) -> Response:
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(made.name)}"} if made.name else {}
    return Response(made.body, made.status, headers, made.type)


def serve(
    run: Path | None = None, *, host: str | None = None, port: int | None = None, ready: Callable[[str], None]
) -> None:
    """Serve the lab until it is stopped.

    Args:
        run: the folder of a trained run.
        host: an address of this machine that others reach; then the address has a random token. This machine
            alone if left out.
        port: left out, 8642 or the next that is free.
        ready: told the address once the lab can be reached.

    Raises:
        ArgumentError: the address cannot be had.
    """
    token = secrets.token_urlsafe(24) if host is not None else None
    heard = listen(host or LOCAL[0], port)
    number = heard.getsockname()[1]
    app = application(Desk(run), number, token)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, ws="none")
    server = _Server(config)
    where = f"[{host}]" if host and ":" in host else host or LOCAL[0]
    server.told = lambda: ready(f"http://{where}:{number}/{f'?token={token}' if token else ''}")
    with heard:
        server.run(sockets=[heard])


class _Server(uvicorn.Server):
    told: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.told()


PORT = 8642


def listen(host: str, port: int | None) -> socket.socket:
    """A socket on the port, or on the first free one from PORT on.

    Raises:
        ArgumentError: the address cannot be had.
    """
    for number in range(PORT, PORT + 20) if port is None else (port,):
        try:
            return socket.create_server(
                (host, number), family=socket.AF_INET6 if ":" in host else socket.AF_INET
            )
        except OSError as error:
            last = error
    raise ArgumentError(f"cannot serve on {host}", got=last.strerror or str(last), hint="--port")
